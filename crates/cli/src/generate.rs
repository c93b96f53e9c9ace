//! Manual pages and shell completions, from the declarations of the options.

mod man;

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use crate::args::{Args, GenerateArgs, Generated};
use crate::tools::Tool;

/// Writes them into the directory.
pub(crate) fn main(args: &GenerateArgs) -> ExitCode {
    let written = match args.what {
        Generated::Man => man::write(&args.directory),
        Generated::Completions => completions(&args.directory),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ferrosync generate: {}: {error}", args.directory.display());
            ExitCode::FAILURE
        }
    }
}

/// Every program: `ferrosync`, and the tools under their usual names.
fn programs() -> Vec<Command> {
    let tools = Tool::ALL.into_iter().map(Tool::command);
    [Args::command()].into_iter().chain(tools).collect()
}

/// A directory for each shell, with the names that its completion looks for.
fn completions(directory: &Path) -> io::Result<()> {
    for (shell, name) in [
        (Shell::Bash, "bash"),
        (Shell::Fish, "fish"),
        (Shell::Zsh, "zsh"),
    ] {
        let directory = directory.join(name);
        fs::create_dir_all(&directory)?;
        for mut program in programs() {
            let name = program.get_name().to_owned();
            clap_complete::generate_to(shell, &mut program, name, &directory)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_completions_for_every_shell() {
        let directory = tempfile::tempdir().expect("a directory");
        completions(directory.path()).expect("written");
        for program in programs() {
            let name = program.get_name();
            for file in [
                format!("bash/{name}.bash"),
                format!("fish/{name}.fish"),
                format!("zsh/_{name}"),
            ] {
                let text = fs::read_to_string(directory.path().join(&file)).expect("a file");
                assert!(text.contains(name), "{file}");
            }
        }
    }
}
