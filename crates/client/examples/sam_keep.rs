//! Keeps a program running while the cluster has quorum: `sam_keep PROGRAM [ARGUMENT..]`.
//!
//! Without arguments it supervises itself, as a program that counts its lives.

use std::env;
use std::error::Error;
use std::process::Command;
use std::thread;
use std::time::Duration;

use ferrosync_client::Options;
use ferrosync_client::sam::{Recovery, Supervised, SupervisedError, Supervisor};

#[expect(clippy::print_stdout, reason = "that is what the example is for")]
fn main() -> Result<(), Box<dyn Error>> {
    match Supervised::connect() {
        Ok(program) => return work(program),
        Err(SupervisedError::Alone) => {}
        Err(error) => return Err(error.into()),
    }
    let mut arguments = env::args_os().skip(1);
    let mut command = match arguments.next() {
        Some(program) => Command::new(program),
        None => Command::new(env::current_exe()?),
    };
    command.args(arguments);
    let options = Options::default();
    let ended = Supervisor::new(command, Recovery::Restart)
        .expect_health(Duration::from_secs(5))
        .need_quorum(&options)?
        .show(&options)?
        .run()?;
    println!("ended: {} ({:?})", ended.status, ended.how);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "that is what the example is for")]
fn work(mut program: Supervised) -> Result<(), Box<dyn Error>> {
    println!("life {}", program.instance());
    program.start()?;
    for _ in 0..3 {
        thread::sleep(Duration::from_secs(1));
        program.alive()?;
    }
    if program.instance() < 3 {
        return Err("this life fails".into());
    }
    program.stop()?;
    Ok(())
}
