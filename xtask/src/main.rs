//! Tests, checks, benchmarks and interop runs of the workspace: `cargo xtask --help`.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command-line tool speaks on stdout")]

mod bench;
mod clients;
mod dist;
mod interop;
mod process;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Workspace tasks of Ferrosync.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run everything that must pass before a change lands, and say what could not be run.
    Test(test::Args),
    /// The same as `test`, under the name CI systems look for.
    Ci(test::Args),
    /// Check the rules of STYLE.md that no compiler knows.
    Tidy,
    /// Run cases against real corosync daemons and C clients.
    Interop(interop::Args),
    /// Compile the C clients of interop/ into target/interop/.
    Clients,
    /// Run the deterministic cluster: `sim --help` tells its arguments.
    #[command(disable_help_flag = true)]
    Sim {
        /// Passed on to `ferrosync-sim`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure our daemon and corosync side by side.
    Bench(bench::Args),
    /// Build the Debian package and the tarball.
    Dist(dist::Args),
}

fn main() -> ExitCode {
    match run(Args::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let workspace = workspace::Workspace::load()?;
    match task {
        Task::Test(args) | Task::Ci(args) => test::run(&workspace, &args),
        Task::Tidy => tidy::run(&workspace),
        Task::Interop(args) => interop::run(&workspace, &args),
        Task::Clients => {
            let clients = clients::Clients::build(&workspace)?;
            println!("{}", clients.dir().display());
            Ok(())
        }
        Task::Sim { arguments } => process::run(&mut test::sim(&workspace, &arguments)),
        Task::Bench(args) => bench::run(&workspace, &args),
        Task::Dist(args) => dist::run(&workspace, &args),
    }
}
