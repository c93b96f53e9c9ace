//! Manual pages: what clap knows of the options, and what only words can tell.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::tools::Tool;

/// Writes a page for every program.
pub(super) fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for program in super::programs() {
        let name = program.get_name().to_owned();
        let mut page = Vec::new();
        render(program, &mut page)?;
        fs::write(directory.join(format!("{name}.8")), page)?;
    }
    Ok(())
}

fn render(program: Command, page: &mut dyn Write) -> io::Result<()> {
    let tool = Tool::ALL
        .into_iter()
        .find(|tool| tool.name() == program.get_name());
    let has_subcommands = program.has_subcommands();
    let man = Man::new(program)
        .section("8")
        .source("Ferrosync")
        .manual("Ferrosync Manual");
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if has_subcommands {
        man.render_subcommands_section(page)?;
    }
    let mut more = Roff::default();
    for (head, paragraphs) in sections(tool) {
        more.control("SH", [*head]);
        for paragraph in *paragraphs {
            more.control("PP", []);
            more.text([roman(*paragraph)]);
        }
    }
    more.control("SH", ["SEE ALSO"]);
    let others = Tool::ALL.into_iter().filter(|other| Some(*other) != tool);
    let mut see = vec![bold("ferrosync"), roman("(8)")];
    for other in others {
        see.extend([roman(", "), bold(other.name()), roman("(8)")]);
    }
    more.text(see);
    more.to_writer(page)
}

/// A head and what stands under it.
type Section = (&'static str, &'static [&'static str]);

fn sections(tool: Option<Tool>) -> &'static [Section] {
    match tool {
        None => &FERROSYNC,
        Some(Tool::Blackbox) => &BLACKBOX,
        Some(Tool::Cfgtool) => &CFGTOOL,
        Some(Tool::Cmapctl) => &CMAPCTL,
        Some(Tool::Cpgtool) => &CPGTOOL,
        Some(Tool::Keygen) => &KEYGEN,
        Some(Tool::Notifyd) => &NOTIFYD,
        Some(Tool::Quorumtool) => &QUORUMTOOL,
    }
}

const FERROSYNC: [Section; 1] = [(
    "NOTES",
    &[
        "Under the name of one of corosync's tools, such as corosync-cfgtool, this program is that tool: ferrosync cfgtool \
         and corosync-cfgtool are the same.",
        "ferrosync status ends with 0 where the cluster has quorum, with 2 where it has none, and with 1 where no daemon \
         answers.",
    ],
)];

const BLACKBOX: [Section; 2] = [
    (
        "NOTES",
        &[
            "The daemon keeps its last log lines of all levels in memory. It writes them when this tool asks and when it \
             crashes, to a file beside /var/lib/corosync/fdata, which is a link to the latest one. logging.blackbox: off in \
             corosync.conf switches that off.",
        ],
    ),
    (
        "EXIT STATUS",
        &["0, also where there is nothing to print; 1 for a wrong option."],
    ),
];

const CFGTOOL: [Section; 3] = [
    (
        "NOTES",
        &[
            "Of several actions the last one is done. Without an action a summary of the options is printed.",
            "-s shows each link as other nodes have it; -b shows a digit for each node in the order of node ids: n for this \
             node, 3 for a link that carries data, 1 for one that does not, 0 for one that is not configured.",
            "-R checks the new file as a whole; a file that is refused changes nothing, and the log says why. -H asks the \
             programs that have registered for it, which may refuse unless --force is given.",
        ],
    ),
    (
        "EXIT STATUS",
        &[
            "0 if it worked. -R and -L end with the number of corosync's error, everything else with 1. -H ends with 0 even \
           where the shutdown was refused; standard error says so.",
        ],
    ),
    (
        "EXAMPLES",
        &["corosync-cfgtool -sb", "corosync-cfgtool -n --format json"],
    ),
];

const CMAPCTL: [Section; 4] = [
    (
        "NOTES",
        &[
            "Without an action the words are what keys begin like, and all such keys are printed; without words all keys are. \
             Of several actions the last one is done.",
            "-s takes a key, a type and a value. The types are i8, u8, i16, u16, i32, u32, i64, u64, flt, dbl, str and bin; \
             the value of bin is the name of a file, or - for standard input.",
        ],
    ),
    (
        "FILES FOR -p",
        &[
            "A line holds a key, a type and a value, divided by blanks, and sets the key; ^KEY deletes a key, ^^PREFIX all keys \
             that begin like it. What begins with # is a comment.",
        ],
    ),
    (
        "EXIT STATUS",
        &["0 if it worked and a key was found, otherwise 1."],
    ),
    (
        "EXAMPLES",
        &[
            "corosync-cmapctl nodelist.",
            "corosync-cmapctl -m stats -g stats.srp.mcast_tx",
            "corosync-cmapctl -t runtime.votequorum.ev_barrier",
        ],
    ),
];

const CPGTOOL: [Section; 1] = [(
    "NOTES",
    &[
        "Bytes of a name that do not print are shown in hexadecimal, unless -e is given. The addresses behind a member are \
         those of its node.",
    ],
)];

const KEYGEN: [Section; 1] = [(
    "NOTES",
    &[
        "Every node of a cluster with crypto_cipher or crypto_hash needs the same key. The file is readable by its owner \
         alone; copy it by a way that nobody can listen to.",
    ],
)];

const NOTIFYD: [Section; 4] = [
    (
        "NOTES",
        &[
            "Events are: a node comes or goes, this node gets or loses quorum, a link of this node works or does not, and a \
             program connects to the daemon or disconnects. The last one has no SNMP trap.",
            "With -o lines go to standard error; with --format json events go to standard output, each on a line.",
        ],
    ),
    (
        "SNMP",
        &[
            "Traps of version 2c as COROSYNC-MIB (1.3.6.1.4.1.35488) describes them, sent by UDP to port 162 unless -m names another \
           one, as in -m manager:1162.",
        ],
    ),
    (
        "D-BUS",
        &[
            "Signals of the interface org.corosync from the object /org/corosync on the system bus: NodeStateChange (name, node id, \
           address, state), QuorumStateChange (name, node id, state), ConnectionStateChange (name, node id, program, state). A \
           link's state is a QuorumStateChange with other arguments (name, node id, node id of the other side, number of the \
           link, state), as corosync has it.",
        ],
    ),
    (
        "EXIT STATUS",
        &["0 after SIGTERM, SIGINT or SIGQUIT; 1 where the daemon cannot be reached or ends."],
    ),
];

const QUORUMTOOL: [Section; 2] = [
    (
        "NOTES",
        &[
            "The column Qdevice tells whether a node's quorum device is alive (A or NA), gives its votes (V or NV) and decides \
           alone (MW or NMW); NR is a node without one. -f, -e, -v and -n need votequorum.",
        ],
    ),
    (
        "EXIT STATUS",
        &[
            "0 if the cluster has quorum, 2 if -s or -m finds that it has none, 1 if something failed.",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_stands_in_its_page() {
        let directory = tempfile::tempdir().expect("a directory");
        write(directory.path()).expect("written");
        for program in crate::generate::programs() {
            let name = program.get_name();
            let page = directory.path().join(format!("{name}.8"));
            let page = fs::read_to_string(page).expect("a page").replace('\\', "");
            assert!(page.contains("SEE ALSO"), "{name}");
            for arg in program.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let shown = match (arg.get_short(), arg.get_long()) {
                    (Some(letter), _) => format!("-{letter}"),
                    (None, Some(long)) => format!("--{long}"),
                    (None, None) => continue,
                };
                assert!(page.contains(&shown), "{shown} of {name}");
            }
        }
    }
}
