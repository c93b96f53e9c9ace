//! Where log lines go and how they look, option by option: corosync and our daemon are given the same configuration, and
//! write the same lines but for times, process ids and places in the source.

use std::fs;
use std::process::{Child, Stdio};

use anyhow::{Context as _, bail};

use super::calls::difference;
use super::lab::{DaemonVerb, Lab, Peers, Plan};
use super::wait::wait_for;
use super::{Outcome, Setup};

/// Takes both daemons through all options and compares.
pub(super) fn run(setup: &Setup) -> anyhow::Result<Outcome> {
    let theirs = lines(setup, "logs-corosync", Peers::ALL)?;
    let ours = lines(setup, "logs-asked", setup.corosync.unwrap_or(Peers::NONE))?;
    journal(setup)?;
    match difference(&theirs, &ours) {
        None => Ok(Outcome::Passed(format!(
            "{} options, {} lines alike",
            OPTIONS.len(),
            theirs.lines().count()
        ))),
        Some(difference) => bail!("lines differ:\n{difference}"),
    }
}

/// What one setting of the logging section does.
struct Options {
    /// The section.
    section: &'static str,
    /// What makes the daemon write a line.
    act: Act,
    /// Who gets it.
    to: &'static [Target],
}

/// What makes a daemon write a line that both have.
#[derive(Clone, Copy)]
enum Act {
    /// An error of MAIN.
    Gather,
    /// A debug line of CFG.
    Reopen,
}

impl Act {
    const fn text(self) -> &'static str {
        match self {
            Self::Gather => "Forcing into GATHER state",
            Self::Reopen => "Reopening logging files",
        }
    }

    const fn command(self) -> &'static [&'static str] {
        match self {
            Self::Gather => &[
                "corosync-cmapctl",
                "-s",
                "runtime.force_gather",
                "str",
                "yes",
            ],
            Self::Reopen => &["corosync-cfgtool", "-L"],
        }
    }
}

/// Where lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    File,
    Stderr,
    Syslog,
    /// A second log file.
    Other,
}

impl Target {
    const ALL: [Self; 4] = [Self::File, Self::Stderr, Self::Syslog, Self::Other];

    const fn file(self) -> &'static str {
        match self {
            Self::File => "/var/log/corosync/corosync.log",
            Self::Stderr => "/var/log/corosync/output.log",
            Self::Syslog => "/var/log/corosync/syslog",
            Self::Other => "/var/log/corosync/other.log",
        }
    }
}

fn lines(setup: &Setup, name: &str, corosync: Peers) -> anyhow::Result<String> {
    let daemon = Daemon::start(setup, name, corosync)?;
    let mut text = String::new();
    for options in &OPTIONS {
        text += &format!("{}\n", options.section);
        text += &daemon
            .try_out(options)
            .with_context(|| options.section.to_owned())?;
    }
    text += &daemon.rotate()?;
    text += &daemon.try_out(&LAST)?;
    fs::write(setup.dir.join(format!("{name}.lines")), &text)?;
    Ok(text)
}

/// A daemon with a syslog of its own.
struct Daemon {
    lab: Lab,
    /// Its file, without the logging section.
    conf: String,
    syslog: Child,
}

impl Daemon {
    fn start(setup: &Setup, name: &str, corosync: Peers) -> anyhow::Result<Self> {
        let lab = Lab::start(setup, name, &Plan::new(1, corosync, "udpu"))?;
        lab.output(NODE, &["sh", "-c", OWN_DEV])?;
        let listen = setup.clients.program("syslog_listen");
        let syslog = lab
            .command(NODE, &listen.to_string_lossy())
            .args([SOCKET, Target::Syslog.file()])
            .stdin(Stdio::null())
            .spawn()?;
        wait_for("a syslog daemon", || {
            Ok(lab.output(NODE, &["test", "-S", SOCKET]).is_ok())
        })?;
        let conf = lab.output(NODE, &["cat", CONF])?;
        let start = conf.find("logging {").context("a logging section")?;
        let end = start + conf[start..].find('}').context("a section ends")? + 1;
        let conf = format!("{}{}", &conf[..start], &conf[end..]);
        Ok(Self { lab, conf, syslog })
    }

    /// Reloads with these options, has a line written and says who got it, and how it looks.
    fn try_out(&self, options: &Options) -> anyhow::Result<String> {
        let section = options.section;
        let to_logfile = if section.contains("to_logfile") {
            ""
        } else {
            "to_logfile: yes"
        };
        let logfile = Target::File.file();
        let conf = format!(
            "{}logging {{\nlogfile: {logfile}\n{to_logfile}\n{section}\n}}\n",
            self.conf
        );
        let script = format!("printf %s \"$1\" > {CONF}");
        self.lab.output(NODE, &["sh", "-c", &script, "sh", &conf])?;
        self.lab.output(NODE, &["corosync-cfgtool", "-R"])?;
        let text = options.act.text();
        let before: Vec<usize> = Target::ALL
            .iter()
            .map(|t| self.found(*t, text).len())
            .collect();
        let new = |target: Target| -> Vec<String> {
            let at = Target::ALL.iter().position(|t| *t == target).unwrap_or(0);
            self.found(target, text).split_off(before[at])
        };
        self.lab.output(NODE, options.act.command())?;
        for target in options.to {
            let what = format!("the line for {target:?}");
            wait_for(&what, || Ok(!new(*target).is_empty()))?;
        }
        let mut told = String::new();
        for target in Target::ALL {
            for line in new(target) {
                told += &format!("  {target:?}: {}\n", masked(&line, text)?);
            }
        }
        let surplus = |target: &Target| !options.to.contains(target) && !new(*target).is_empty();
        if let Some(target) = Target::ALL.iter().find(|target| surplus(target)) {
            bail!("{target:?} should not get the line:\n{told}");
        }
        Ok(told)
    }

    /// Renames the log file and has it opened anew.
    fn rotate(&self) -> anyhow::Result<String> {
        let file = Target::File.file();
        let rotated = format!("{file}.1");
        self.lab.output(NODE, &["mv", file, &rotated])?;
        self.lab.output(NODE, &["corosync-cfgtool", "-L"])?;
        let before = self.lab.output(NODE, &["cat", &rotated])?;
        self.lab.output(NODE, Act::Gather.command())?;
        wait_for("a line in the new file", || {
            Ok(!self.found(Target::File, Act::Gather.text()).is_empty())
        })?;
        let after = self.lab.output(NODE, &["cat", &rotated])?;
        let count = |text: &str| text.matches(Act::Gather.text()).count();
        if count(&before) != count(&after) {
            bail!("the rotated file still gets lines");
        }
        Ok("rotated\n".to_owned())
    }

    /// Lines with a text.
    fn found(&self, target: Target, text: &str) -> Vec<String> {
        let all = self.lab.output(NODE, &["cat", target.file()]);
        // It is not there before the first line.
        let all = all.unwrap_or_default();
        let lines = all.lines().filter(|line| line.contains(text));
        lines.map(str::to_owned).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It ends with the lab; both do nothing when it has ended already.
        drop(self.syslog.kill());
        drop(self.syslog.wait());
    }
}

/// Our daemon with its standard error at a journal: each line goes there once, with its fields (D-96).
fn journal(setup: &Setup) -> anyhow::Result<()> {
    let daemon = Daemon::start(setup, "logs-journal", Peers::NONE)?;
    let lab = &daemon.lab;
    lab.output(NODE, &["mkdir", "-p", "/run/systemd/journal"])?;
    let listen = setup.clients.program("syslog_listen");
    let mut listener = lab
        .command(NODE, &listen.to_string_lossy())
        .args([JOURNAL, "/run/lines"])
        .stdin(Stdio::null())
        .spawn()?;
    let there = || Ok(lab.output(NODE, &["test", "-S", JOURNAL]).is_ok());
    wait_for("a journal", there)?;
    lab.daemon(DaemonVerb::Shutdown, NODE)?;
    let gone = || {
        Ok(lab
            .output(NODE, &["test", "-e", "/run/corosync.pid"])
            .is_err())
    };
    wait_for("the end of the lab's daemon", gone)?;
    let options = "to_syslog: yes\nto_stderr: yes\ntimestamp: on";
    let conf = format!("{}logging {{\n{options}\n}}\n", daemon.conf);
    let program = setup.program.to_string_lossy().into_owned();
    let script = format!(
        "printf %s \"$1\" > {CONF}; > /run/stderr; \
         JOURNAL_STREAM=$(stat --format %d:%i /run/stderr) exec \"$2\" daemon -f -c {CONF} 2> /run/stderr"
    );
    let mut ours = lab
        .command(NODE, "sh")
        .args(["-c", &script, "sh", &conf, &program])
        .stdin(Stdio::null())
        .spawn()?;
    let result = journal_has(
        lab,
        "Completed service synchronization, ready to provide service.",
    );
    for child in [&mut ours, &mut listener] {
        // They end with the lab as well.
        drop(child.kill());
        drop(child.wait());
    }
    result
}

/// Waits until the journal has a line, and sees that nobody else does.
fn journal_has(lab: &Lab, text: &str) -> anyhow::Result<()> {
    let count = |text: &str, file: &str| -> usize {
        // Without a match or a file grep fails.
        let count = lab.output(NODE, &["grep", "-a", "-c", text, file]);
        count.ok().and_then(|n| n.trim().parse().ok()).unwrap_or(0)
    };
    wait_for(
        "a line in the journal",
        || Ok(count(text, "/run/lines") > 0),
    )?;
    for field in [
        "PRIORITY",
        "SYSLOG_IDENTIFIER",
        "CODE_LINE",
        "COROSYNC_SUBSYSTEM",
    ] {
        if count(&format!("^{field}$"), "/run/lines") == 0 {
            bail!("the journal has no {field}");
        }
    }
    let copies = [
        count(text, "/run/lines"),
        count(text, "/run/stderr"),
        count(text, Target::Syslog.file()),
    ];
    if copies != [1, 0, 0] {
        bail!("journal, standard error and syslog have {copies:?} copies of the line");
    }
    Ok(())
}

/// A line without what must differ: its time, process id and place in the source.
fn masked(line: &str, text: &str) -> anyhow::Result<String> {
    let line = line.trim_end();
    let start = line.find("] ").context("a subsystem")?;
    // A process id comes before it in files, in syslog as well.
    let start = match line[start + 2..].find("] ") {
        Some(second) => start + 2 + second + 2,
        None => start + 2,
    };
    let (head, rest) = line.split_at(start);
    let place = rest.strip_suffix(text).context("the text ends the line")?;
    let place: Vec<&str> = place.split(':').map(kind).collect();
    Ok(format!("{}{}{text}", masked_head(head), place.join(":")))
}

/// A part of a place.
fn kind(part: &str) -> &'static str {
    let blank = part.ends_with(' ');
    match part.trim_end() {
        "" => "",
        number if number.chars().all(|c| c.is_ascii_digit()) && blank => "LINE ",
        number if number.chars().all(|c| c.is_ascii_digit()) => "LINE",
        _ if blank => "NAME ",
        _ => "NAME",
    }
}

/// Digits of times become zeros, process ids vanish, and any month is January.
fn masked_head(head: &str) -> String {
    let mut masked = String::new();
    let mut inside = false;
    for c in head.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        match c {
            '0'..='9' if inside => {}
            '0'..='9' if head.starts_with('<') && !masked.contains('>') => masked.push(c),
            '0'..='9' => masked.push('0'),
            _ => masked.push(c),
        }
    }
    for month in MONTHS {
        masked = masked.replacen(&format!("{month} "), "Jan ", 1);
    }
    masked
}

const OPTIONS: [Options; 20] = [
    everywhere("timestamp: hires"),
    everywhere("timestamp: on"),
    everywhere("timestamp: off"),
    everywhere("fileline: on"),
    everywhere("function_name: on"),
    everywhere("fileline: on\nfunction_name: on"),
    everywhere("timestamp: off\nfileline: on\nfunction_name: on"),
    everywhere("syslog_facility: local6"),
    Options {
        section: "to_logfile: yes\nto_stderr: no\nto_syslog: no",
        act: Act::Gather,
        to: &[Target::File],
    },
    Options {
        section: "to_stderr: no",
        act: Act::Gather,
        to: &[Target::File, Target::Syslog],
    },
    Options {
        section: "logfile_priority: crit\n\
                  syslog_priority: err",
        act: Act::Gather,
        to: &[Target::Syslog],
    },
    Options {
        section: "syslog_priority: alert\ndebug: on",
        act: Act::Reopen,
        to: &[Target::File, Target::Stderr, Target::Syslog],
    },
    Options {
        section: "to_stderr: no\nlogger_subsys {\nsubsys: CFG\ndebug: trace\n}",
        act: Act::Reopen,
        to: &[Target::File, Target::Syslog],
    },
    Options {
        section: "to_stderr: no\nto_syslog: no\nlogger_subsys {\nsubsys: CFG\ndebug: on\nlogfile: /var/log/corosync/other.log\n}",
        act: Act::Reopen,
        to: &[Target::Other],
    },
    Options {
        section: "logfile_priority: debug",
        act: Act::Reopen,
        to: &[Target::File, Target::Stderr],
    },
    Options {
        section: "to_stderr: no\nsyslog_priority: debug",
        act: Act::Reopen,
        to: &[Target::Syslog],
    },
    Options {
        section: "to_stderr: no\nlogger_subsys {\nsubsys: MAIN\nlogfile_priority: crit\n}",
        act: Act::Gather,
        to: &[Target::Syslog],
    },
    Options {
        section: "to_stderr: no\nlogger_subsys {\nsubsys: MAIN\nsyslog_priority: alert\n}",
        act: Act::Gather,
        to: &[Target::File],
    },
    Options {
        section: "to_stderr: no\nto_syslog: no\nlogger_subsys {\nsubsys: CFG\nlogfile_priority: debug\n}",
        act: Act::Reopen,
        to: &[Target::File],
    },
    everywhere("debug: off"),
];

/// Without the log file: where it was switched off corosync does not switch it on again (`docs/deviations.md`, D-99).
const LAST: Options = Options {
    section: "to_logfile: no\nto_stderr: yes\nto_syslog: no",
    act: Act::Gather,
    to: &[Target::Stderr],
};

/// All targets get the line.
const fn everywhere(section: &'static str) -> Options {
    Options {
        section,
        act: Act::Gather,
        to: &[Target::File, Target::Stderr, Target::Syslog],
    }
}

const NODE: u8 = 1;
const CONF: &str = "/etc/corosync/corosync.conf";
const SOCKET: &str = "/dev/log";
const JOURNAL: &str = "/run/systemd/journal/socket";
/// Gives the node a `/dev` in which a socket can be made without the machine having it.
const OWN_DEV: &str = "set -e; mkdir /run/dev; mount --rbind /dev /run/dev; mount -t tmpfs tmpfs /dev; \
                       for file in null zero full random urandom tty; do \
                       touch /dev/$file; mount --bind /run/dev/$file /dev/$file; done; \
                       mkdir /dev/shm; mount --bind /run/dev/shm /dev/shm";
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn times_processes_and_places_do_not_count() {
        let of = |line| masked(line, "text").unwrap();
        assert_eq!(
            of("Nov 23 07:28:15.123 [12] node1 corosync error   [MAIN  ] main.c:12 text"),
            "Jan 00 00:00:00.000 [] node0 corosync error   [MAIN  ] NAME:LINE text"
        );
        assert_eq!(
            of("<27>Nov 23 07:28:15 corosync[12]:   [MAIN  ] main.c:run:9 text"),
            "<27>Jan 00 00:00:00 corosync[]:   [MAIN  ] NAME:NAME:LINE text"
        );
        assert_eq!(
            of("error   [MAIN  ] run text"),
            "error   [MAIN  ] NAME text"
        );
        assert_eq!(of("error   [MAIN  ] text"), "error   [MAIN  ] text");
        assert!(masked("text", "text").is_err());
    }
}
