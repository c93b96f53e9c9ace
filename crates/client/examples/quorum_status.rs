//! Prints whether this part of the cluster may act and whose votes make it so, and every change:
//! `cargo run -p ferrosync-client --example quorum_status -- [--once]`.

use std::error::Error;
use std::time::Duration;

use ferrosync_client::quorum::{Event, Model, Quorum, Track};
use ferrosync_client::votequorum::Votequorum;
use ferrosync_client::{NodeId, Options};

#[expect(clippy::print_stdout, reason = "that is what the example is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let once = std::env::args().any(|arg| arg == "--once");
    let options = Options::default();
    let mut quorum = Quorum::connect(Model::V1, &options)?;
    println!(
        "provider: {:?}, quorate: {}",
        quorum.provider(),
        quorum.is_quorate()?
    );
    // Not every cluster has votes.
    if let Ok(mut votequorum) = Votequorum::connect(&options) {
        let info = votequorum.info(NodeId(0))?;
        println!(
            "{} of {} expected votes are here, {} make quorum",
            info.total_votes, info.expected_votes, info.quorum
        );
    }
    quorum.track(if once { Track::Current } else { Track::Changes })?;
    let timeout = Duration::from_secs(if once { 0 } else { 3600 });
    loop {
        match quorum.dispatch(timeout)? {
            Some(Event::Nodes { ring, members, .. }) => println!("ring {ring}: {members:?}"),
            Some(Event::Quorum { quorate, .. } | Event::V0 { quorate, .. }) => {
                println!("quorate: {quorate}");
            }
            None if once => return Ok(()),
            None => {}
        }
    }
}
