//! Prints keys and their values, and what becomes of them:
//! `cargo run -p ferrosync-client --example cmap_watch -- [--stats] [--once] [PREFIX]`.

use std::error::Error;
use std::time::Duration;

use ferrosync_client::Options;
use ferrosync_client::cmap::{Cmap, Map, Tracked};

#[expect(clippy::print_stdout, reason = "that is what the example is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let (flags, rest): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|arg| arg.starts_with("--"));
    let is_set = |flag: &str| flags.iter().any(|f| f == flag);
    let prefix = rest.first().map_or("", String::as_str);
    let map = if is_set("--stats") {
        Map::Statistics
    } else {
        Map::Configuration
    };
    let mut cmap = Cmap::connect_map(map, &Options::default())?;
    let entries: Vec<_> = cmap.iterate(prefix)?.collect::<Result<_, _>>()?;
    for entry in entries {
        // It may be gone meanwhile.
        if let Ok(value) = cmap.get(&entry.key) {
            println!("{} = {value:?}", entry.key);
        }
    }
    if is_set("--once") {
        return Ok(());
    }
    cmap.track(Tracked::Prefix(prefix))?;
    loop {
        if let Some(event) = cmap.dispatch(Duration::from_secs(60))? {
            println!(
                "{} {:?}: {:?} -> {:?}",
                event.key, event.kind, event.old, event.new
            );
        }
    }
}
