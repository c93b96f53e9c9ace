//! A chat between the terminals of a cluster: `cargo run -p ferrosync-client --example cpg_chat -- ROOM`.
//!
//! Lines from standard input go to everybody in the room; what anybody says is printed, and who comes and goes.

use std::error::Error;
use std::io::{self, BufRead};
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::Duration;

use ferrosync_client::cpg::{Cpg, Event};
use ferrosync_client::{GroupName, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let room = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "lobby".to_owned());
    let group = GroupName::new(room.as_bytes())?;
    let mut cpg = Cpg::connect(&Options::default())?;
    cpg.join(&group)?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        io::stdin()
            .lock()
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| sender.send(line))
    });
    loop {
        match lines.try_recv() {
            Ok(line) => cpg.mcast(&[line.as_bytes()])?,
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => break,
        }
        if let Some(event) = cpg.dispatch(Duration::from_millis(50))? {
            show(&event);
        }
    }
    // What is still on its way is shown before this process leaves.
    while let Some(event) = cpg.dispatch(Duration::from_millis(500))? {
        show(&event);
    }
    Ok(cpg.close()?)
}

#[expect(clippy::print_stdout, reason = "that is what the example is for")]
fn show(event: &Event) {
    match event {
        Event::Message(message) => {
            println!(
                "{}: {}",
                message.sender,
                String::from_utf8_lossy(&message.data)
            );
        }
        Event::Membership(change) => {
            for (process, cause) in &change.joined {
                println!("{process} is here ({cause:?})");
            }
            for (process, cause) in &change.left {
                println!("{process} is gone ({cause:?})");
            }
        }
        Event::Ring(ring) => println!("the cluster is {:?}", ring.members),
    }
}
