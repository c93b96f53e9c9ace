//! How the tools are called.

/// One call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    /// The tool and its words.
    pub(super) words: &'static [&'static str],
    /// What the shell does with it; `"$@"` is the call.
    pub(super) script: &'static str,
    live: Live,
}

/// What changes between two calls, and is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Live {
    Nothing,
    /// The line with the date of corosync-quorumtool.
    Date,
    /// Values of counters that the daemon keeps of its messages.
    Counters,
    /// Values of statistics, and what names a connection in their keys.
    Statistics,
    /// That, and the id of the ring, which is another one when the daemon has started again.
    Ring,
}

impl Question {
    const fn new(words: &'static [&'static str]) -> Self {
        Self {
            words,
            script: "exec \"$@\"",
            live: Live::Nothing,
        }
    }

    const fn by(self, script: &'static str) -> Self {
        Self { script, ..self }
    }

    const fn but(self, live: Live) -> Self {
        Self { live, ..self }
    }

    /// Whether it makes sense to ask the same for JSON: it is plain, and one value comes out.
    pub(super) fn is_json(&self) -> bool {
        matches!(
            self.words,
            ["corosync-cfgtool", "-s" | "-n"]
                | ["corosync-cfgtool", "-a", "1"]
                | ["corosync-cmapctl"]
                | ["corosync-cmapctl", "-m", "stats"]
                | ["corosync-cpgtool"]
                | ["corosync-cpgtool", "-n"]
                | ["corosync-quorumtool", "-s" | "-l"]
        )
    }

    /// What is compared of what a tool has printed.
    pub(super) fn narrowed(&self, text: &str) -> String {
        match self.live {
            Live::Nothing => text.to_owned(),
            Live::Date => lines(text, |line| {
                let is_date = line.starts_with("Date:             ");
                if is_date {
                    "Date".to_owned()
                } else {
                    line.to_owned()
                }
            }),
            Live::Ring => lines(text, |line| {
                if line.starts_with("Date:") || line.starts_with("Ring ID:") {
                    line.split(':').next().unwrap_or_default().to_owned()
                } else {
                    line.to_owned()
                }
            }),
            Live::Counters => lines(text, |line| match line.split_once(" (u64) = ") {
                Some((key, _)) if key.starts_with("runtime.services.") => key.to_owned(),
                Some(_) | None => line.to_owned(),
            }),
            // Times when the daemon was not scheduled come as the machine pleases.
            Live::Statistics => lines(text, statistic)
                .split_inclusive('\n')
                .filter(|line| !line.starts_with("stats.schedmiss."))
                .collect(),
        }
    }
}

/// A line of statistics without its value, and without process id and address in the key of a connection.
fn statistic(line: &str) -> String {
    let Some((key, value)) = line.split_once(" = ") else {
        return line.to_owned();
    };
    if !key.starts_with("stats.") {
        return line.to_owned();
    }
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = key.split('.').map(|part| {
        if number(part) {
            "PID"
        } else if part.starts_with("0x") {
            "CONNECTION"
        } else {
            part
        }
    });
    let key = parts.collect::<Vec<_>>().join(".");
    // Texts do not change.
    if key.ends_with("(str)") {
        return format!("{key} = {value}");
    }
    key
}

fn lines(text: &str, change: impl Fn(&str) -> String) -> String {
    text.split_inclusive('\n')
        .map(|line| match line.strip_suffix('\n') {
            Some(line) => change(line) + "\n",
            None => change(line),
        })
        .collect()
}

/// Asked while the daemon runs, in this order.
pub(super) const PRESENT: &[Question] = &[
    // corosync-cfgtool
    Question::new(&["corosync-cfgtool"]),
    Question::new(&["corosync-cfgtool", "-h"]),
    Question::new(&["corosync-cfgtool", "-s"]),
    Question::new(&["corosync-cfgtool", "-n"]),
    Question::new(&["corosync-cfgtool", "-b"]),
    Question::new(&["corosync-cfgtool", "-sb"]),
    Question::new(&["corosync-cfgtool", "-s", "-n"]),
    Question::new(&["corosync-cfgtool", "word", "-bs", "word"]),
    Question::new(&["corosync-cfgtool", "--", "-s"]),
    Question::new(&["corosync-cfgtool", "--status", "--brief"]),
    Question::new(&["corosync-cfgtool", "--nodes"]),
    Question::new(&["corosync-cfgtool", "--st", "--if", "eth0"]),
    Question::new(&["corosync-cfgtool", "-si10.77.0.1"]),
    Question::new(&["corosync-cfgtool", "--s"]),
    Question::new(&["corosync-cfgtool", "--brief=1"]),
    Question::new(&["corosync-cfgtool", "--nothing"]),
    Question::new(&["corosync-cfgtool", "-x"]),
    Question::new(&["corosync-cfgtool", "-sxn"]),
    Question::new(&["corosync-cfgtool", "--for"]),
    Question::new(&["corosync-cfgtool", "-a", "1"]),
    Question::new(&["corosync-cfgtool", "-a2"]),
    Question::new(&["corosync-cfgtool", "--address=1"]),
    Question::new(&["corosync-cfgtool", "--addr", " +2"]),
    Question::new(&["corosync-cfgtool", "-a", "4711"]),
    Question::new(&["corosync-cfgtool", "-a", "4294967295"]),
    Question::new(&["corosync-cfgtool", "-a", "4294967296"]),
    Question::new(&["corosync-cfgtool", "-a", "0"]),
    Question::new(&["corosync-cfgtool", "-a", "1x"]),
    Question::new(&["corosync-cfgtool", "-a"]),
    Question::new(&["corosync-cfgtool", "--address"]),
    Question::new(&["corosync-cfgtool", "-k", "x"]),
    Question::new(&["corosync-cfgtool", "-k", "0"]),
    Question::new(&["corosync-cfgtool", "-k", "4711"]),
    Question::new(&["corosync-cfgtool", "-L"]),
    Question::new(&["corosync-cfgtool", "-R"]),
    // corosync-cmapctl: what is there
    Question::new(&["corosync-cmapctl", "-h"]),
    Question::new(&["corosync-cmapctl", "-x"]),
    Question::new(&["corosync-cmapctl", "--help"]),
    Question::new(&["corosync-cmapctl"]).but(Live::Counters),
    Question::new(&["corosync-cmapctl", "nodelist."]),
    Question::new(&["corosync-cmapctl", "-b", "totem.", "nodelist."]),
    Question::new(&["corosync-cmapctl", "-m", "icmap", "totem."]),
    Question::new(&["corosync-cmapctl", "-m", "default", "-q", "totem."]),
    Question::new(&["corosync-cmapctl", "nothing."]),
    Question::new(&["corosync-cmapctl", "nothing.", "totem.version"]),
    Question::new(&["corosync-cmapctl", "nothing.", "more.nothing."]),
    Question::new(&["corosync-cmapctl", "-g", "totem.version", "totem.cluster_name"]),
    Question::new(&["corosync-cmapctl", "-qg", "totem.version"]),
    Question::new(&["corosync-cmapctl", "-g", "totem.version", "nothing", "totem.cluster_name"]),
    Question::new(&["corosync-cmapctl", "-g", "bad key"]),
    Question::new(&["corosync-cmapctl", "-g", ""]),
    Question::new(&["corosync-cmapctl", "-g"]).by("exec \"$@\" $(printf '%0256d' 0)"),
    Question::new(&["corosync-cmapctl"]).by("exec \"$@\" $(printf '%0256d' 0)"),
    Question::new(&["corosync-cmapctl", "-g"]).by("exec \"$@\" $(printf 'not.\\351.utf8')"),
    Question::new(&["corosync-cmapctl", "-g"]),
    Question::new(&["corosync-cmapctl", "-t"]),
    Question::new(&["corosync-cmapctl", "-d"]),
    Question::new(&["corosync-cmapctl", "-m", "none"]),
    Question::new(&["corosync-cmapctl", "-m", "stats", "-m", "none", "stats.srp.mtu"])
        .but(Live::Statistics),
    Question::new(&["corosync-cmapctl", "-m"]),
    Question::new(&["corosync-cmapctl", "-m", "stats"]).but(Live::Statistics),
    Question::new(&["corosync-cmapctl", "-m", "stats", "-g", "stats.srp.mcast_tx"])
        .but(Live::Statistics),
    Question::new(&["corosync-cmapctl", "-m", "stats", "-s", "stats.srp.mcast_tx", "u64", "1"]),
    Question::new(&["corosync-cmapctl", "-C", "all"]),
    Question::new(&["corosync-cmapctl", "-C", "nothing"]),
    Question::new(&["corosync-cmapctl", "-C"]),
    // corosync-cmapctl: setting
    Question::new(&["corosync-cmapctl", "-s", "same.u8", "u8", "255"]),
    Question::new(&["corosync-cmapctl", "-s", "same.i8", "i8", "-128"]),
    Question::new(&["corosync-cmapctl", "-s", "same.u16", "u16", " 7 dwarfs"]),
    Question::new(&["corosync-cmapctl", "-s", "same.i16", "i16", "-3.5"]),
    Question::new(&["corosync-cmapctl", "-s", "same.u32", "u32", "4294967295"]),
    Question::new(&["corosync-cmapctl", "-s", "same.i32", "i32", "+5"]),
    Question::new(&["corosync-cmapctl", "-s", "same.u64", "u64", "-1"]),
    Question::new(&["corosync-cmapctl", "-s", "same.i64", "i64", "99999999999999999999"]),
    Question::new(&["corosync-cmapctl", "-s", "same.flt", "flt", "0.1e1x"]),
    Question::new(&["corosync-cmapctl", "-s", "same.dbl", "dbl", "-1234567.0625"]),
    Question::new(&["corosync-cmapctl", "-s", "same.inf", "dbl", "-inf"]),
    Question::new(&["corosync-cmapctl", "-s", "same.nan", "flt", "nan"]),
    Question::new(&["corosync-cmapctl", "-s", "same.str", "str", "two words"]),
    Question::new(&["corosync-cmapctl", "-s", "same.empty", "str", ""]),
    Question::new(&["corosync-cmapctl", "-s", "same.eight", "str"]).by("exec \"$@\" $(printf '\\351')"),
    Question::new(&["corosync-cmapctl", "-s", "same.bin", "bin", "-"])
        .by("printf 'a\\\\\\001\\377' | \"$@\""),
    Question::new(&["corosync-cmapctl", "-s", "same.file", "bin", "/etc/debian_version"]),
    Question::new(&["corosync-cmapctl", "-s", "same.none", "bin", "/dev/null"]),
    Question::new(&["corosync-cmapctl", "-s", "same.none", "bin", "/none/such"]),
    Question::new(&["corosync-cmapctl", "-s", "same.long", "bin", "-"])
        .by("head -c 20000 /dev/zero | \"$@\""),
    Question::new(&["corosync-cmapctl", "same."]),
    Question::new(&["corosync-cmapctl", "-b", "same."]),
    Question::new(&["corosync-cmapctl", "-bqg", "same.bin"]),
    Question::new(&["corosync-cmapctl", "-q", "same."]),
    Question::new(&["corosync-cmapctl", "-s", "same.u8", "u8", "256"]),
    Question::new(&["corosync-cmapctl", "-s", "same.u8", "u8", "-1"]),
    Question::new(&["corosync-cmapctl", "-s", "same.i16", "i16", "32768"]),
    Question::new(&["corosync-cmapctl", "-s", "same.u32", "u32", "x"]),
    Question::new(&["corosync-cmapctl", "-s", "same.dbl", "dbl", "x"]),
    Question::new(&["corosync-cmapctl", "-s", "same.u8", "byte", "1"]),
    Question::new(&["corosync-cmapctl", "-s", "same.u8", "u8"]),
    Question::new(&["corosync-cmapctl", "-s", "totem.version", "u32", "3"]),
    Question::new(&["corosync-cmapctl", "-s", "a", "u32", "3"]),
    Question::new(&["corosync-cmapctl", "-s", "same.bad!", "u32", "3"]),
    // corosync-cmapctl: deleting and loading
    Question::new(&["corosync-cmapctl", "-d", "same.u8"])
        .by("corosync-cmapctl -s same.u8 u8 1 && exec \"$@\""),
    Question::new(&["corosync-cmapctl", "-d", "same.u8", "same.u16"]),
    Question::new(&["corosync-cmapctl", "-d", "totem.version"]),
    Question::new(&["corosync-cmapctl", "-D", "same.d", "same.f"])
        .by("corosync-cmapctl -s same.d.one u8 1 && exec \"$@\""),
    Question::new(&["corosync-cmapctl", "-D", "totem.tok"]),
    Question::new(&["corosync-cmapctl", "-D", "nothing."]),
    Question::new(&["corosync-cmapctl", "-p", "/none/such"]),
    Question::new(&["corosync-cmapctl", "-p"]),
    Question::new(&["corosync-cmapctl", "-p", "/dev/stdin"]).by(
        "printf '# none\\n\\nsame.load u8 7\\n  same.more  str  a  b\\n^same.load\\n^nothing\\n^^same.mo\\nsame.last u8 1' \
         | \"$@\"; corosync-cmapctl same.",
    ),
    Question::new(&["corosync-cmapctl", "-p", "/dev/stdin"])
        .by("printf 'same.load u8 7\\nsame.bad u8\\nsame.never u8 1\\n' | \"$@\""),
    Question::new(&["corosync-cmapctl", "-p", "/dev/stdin"]).by("printf 'same.load u8 x\\n' | \"$@\""),
    Question::new(&["corosync-cmapctl", "-D", "same."]).by("\"$@\"; exec corosync-cmapctl same."),
    // corosync-cmapctl: tracking
    Question::new(&["corosync-cmapctl", "-t", "same.one"]).by("exec \"$@\" </dev/null"),
    Question::new(&["corosync-cmapctl", "-t", "same.one"]).by("echo quit | \"$@\""),
    Question::new(&["corosync-cmapctl", "-T", ""]).by("echo q | \"$@\""),
    Question::new(&["corosync-cmapctl", "-t", "bad key"]).by("echo q | \"$@\""),
    Question::new(&["corosync-cmapctl", "-t", "same.one", "same.two"]).by(TRACKED),
    Question::new(&["corosync-cmapctl", "-bT", "same."]).by(TRACKED),
    Question::new(&["corosync-cmapctl", "-qT", "same."]).by(TRACKED),
    Question::new(&["corosync-cmapctl", "-tT", "same.one"]).by(TRACKED),
    // corosync-cpgtool
    Question::new(&["corosync-cpgtool"]),
    Question::new(&["corosync-cpgtool", "-h"]),
    Question::new(&["corosync-cpgtool", "-n"]),
    Question::new(&["corosync-cpgtool", "-e"]),
    Question::new(&["corosync-cpgtool", "-d", ";"]),
    Question::new(&["corosync-cpgtool", "-d;,", "-e"]),
    Question::new(&["corosync-cpgtool", "-nd;"]),
    Question::new(&["corosync-cpgtool", "-ne"]),
    Question::new(&["corosync-cpgtool", "-d", ""]),
    Question::new(&["corosync-cpgtool", "-d"]),
    Question::new(&["corosync-cpgtool", "-x"]),
    // corosync-quorumtool
    Question::new(&["corosync-quorumtool"]).but(Live::Date),
    Question::new(&["corosync-quorumtool", "-s"]).but(Live::Date),
    Question::new(&["corosync-quorumtool", "-sp"]).but(Live::Date),
    Question::new(&["corosync-quorumtool", "-sH"]).but(Live::Date),
    Question::new(&["corosync-quorumtool", "-si"]).but(Live::Date),
    Question::new(&["corosync-quorumtool", "-l"]),
    Question::new(&["corosync-quorumtool", "-la"]),
    Question::new(&["corosync-quorumtool", "-li"]),
    Question::new(&["corosync-quorumtool", "-lai"]),
    Question::new(&["corosync-quorumtool", "-lH"]),
    Question::new(&["corosync-quorumtool", "-lp"]),
    Question::new(&["corosync-quorumtool", "-l", "-o", "a"]),
    Question::new(&["corosync-quorumtool", "-l", "-oi"]),
    Question::new(&["corosync-quorumtool", "-l", "-on"]),
    Question::new(&["corosync-quorumtool", "-o", "x"]),
    Question::new(&["corosync-quorumtool", "-h"]),
    Question::new(&["corosync-quorumtool", "-V"]),
    Question::new(&["corosync-quorumtool", "-x"]),
    Question::new(&["corosync-quorumtool", "-o"]),
    Question::new(&["corosync-quorumtool", "-f"]),
    Question::new(&["corosync-quorumtool", "-e", "2"]),
    Question::new(&["corosync-quorumtool", "-e", "0"]),
    Question::new(&["corosync-quorumtool", "-e", "x"]),
    Question::new(&["corosync-quorumtool", "-e", "1"]),
    Question::new(&["corosync-quorumtool", "-e", "2147483648"]),
    Question::new(&["corosync-quorumtool", "-v", "1"]),
    Question::new(&["corosync-quorumtool", "-v", "-1"]),
    Question::new(&["corosync-quorumtool", "-v", "1", "-n", "4711"]),
    Question::new(&["corosync-quorumtool", "-v", "2147483648"]),
    Question::new(&["corosync-quorumtool", "-n", "0"]),
    Question::new(&["corosync-quorumtool", "-m"]).by(MONITORED).but(Live::Date),
    // corosync-notifyd
    Question::new(&["corosync-notifyd", "-h"]),
    Question::new(&["corosync-notifyd", "-x"]),
    Question::new(&["corosync-notifyd", "-m"]),
    Question::new(&["corosync-notifyd"]),
    Question::new(&["corosync-notifyd", "-f"]),
    Question::new(&["corosync-notifyd", "-o"]),
    Question::new(&["corosync-notifyd", "-f", "-n"]),
    // corosync-blackbox
    Question::new(&["corosync-blackbox"]).by(DUMPED),
];

/// What ends the daemon, which is started again for the other one.
pub(super) const ENDINGS: &[Question] = &[
    Question::new(&["corosync-cfgtool", "-H"]),
    Question::new(&["corosync-cfgtool", "--force", "--shutdown"]),
    Question::new(&["corosync-cfgtool", "-k", "2"]),
    Question::new(&["corosync-cmapctl", "-t", "same.one"]).by(ENDED),
    Question::new(&["corosync-quorumtool", "-m"])
        .by(ENDED)
        .but(Live::Ring),
];

/// Asked while no daemon runs.
pub(super) const ABSENT: &[Question] = &[
    Question::new(&["corosync-cfgtool"]),
    Question::new(&["corosync-cfgtool", "-s"]),
    Question::new(&["corosync-cfgtool", "-n"]),
    Question::new(&["corosync-cfgtool", "-R"]),
    Question::new(&["corosync-cfgtool", "-L"]),
    Question::new(&["corosync-cfgtool", "-H"]),
    Question::new(&["corosync-cfgtool", "-k", "1"]),
    Question::new(&["corosync-cfgtool", "-a", "1"]),
    Question::new(&["corosync-cmapctl"]),
    Question::new(&["corosync-cmapctl", "-h"]),
    Question::new(&["corosync-cmapctl", "-m", "stats", "-g", "stats.srp.mtu"]),
    Question::new(&["corosync-cmapctl", "-s", "same.u8"]),
    Question::new(&["corosync-cmapctl", "-C", "all"]),
    Question::new(&["corosync-cmapctl", "-p", "/none/such"]),
    Question::new(&["corosync-cpgtool"]),
    Question::new(&["corosync-cpgtool", "-n"]),
    Question::new(&["corosync-quorumtool"]),
    Question::new(&["corosync-quorumtool", "-l"]),
    Question::new(&["corosync-quorumtool", "-m"]),
    Question::new(&["corosync-quorumtool", "-e", "2"]),
    // corosync-keygen
    Question::new(&["corosync-keygen", "-h"]),
    Question::new(&["corosync-keygen", "--help"]),
    Question::new(&["corosync-keygen", "-x"]),
    Question::new(&["corosync-keygen", "-k"]),
    Question::new(&["corosync-keygen", "-s", "127"]),
    Question::new(&["corosync-keygen", "-s", "4097"]),
    Question::new(&["corosync-keygen", "-s", "x"]),
    Question::new(&["corosync-keygen", "-r", "/none/such"]),
    Question::new(&["corosync-keygen", "-k", "/none/such/key"]),
    Question::new(&["corosync-keygen", "-k", "/run/same.key"]).by(KEY),
    Question::new(&["corosync-keygen", "-l", "-s", "128", "-k", "/run/same.key"]).by(KEY),
    Question::new(&[
        "corosync-keygen",
        "--size=4096",
        "--random-file=/dev/zero",
        "--key-file=/run/same.key",
    ])
    .by(KEY),
];

/// Changes keys once the tool follows them, and types q once it has told the last change. What goes into a pipe would wait
/// in the C library's buffer, so stdbuf(1) empties it with each line.
const TRACKED: &str = "dir=$(mktemp -d) && cd $dir && mkfifo in && : >out || exit 99
    stdbuf -oL \"$@\" <in >out & pid=$!
    exec 3>in
    until grep -q finish out; do sleep 0.05; done
    printf 'b\\001' >bin
    corosync-cmapctl -s same.one u8 1
    corosync-cmapctl -s same.one u8 2
    corosync-cmapctl -s same.one str text
    corosync-cmapctl -s same.two bin bin
    corosync-cmapctl -d same.two
    corosync-cmapctl -d same.one
    until tail -n 1 out | grep -q 'delete> \\(same.one\\|text\\)'; do sleep 0.05; done
    echo q >&3
    wait $pid; code=$?
    cat out; rm -r $dir; exit $code";

/// Ends the tool when it has shown this node, which is the last line of the list.
const MONITORED: &str = "dir=$(mktemp -d) && cd $dir && : >out || exit 99
    stdbuf -oL \"$@\" >out & pid=$!
    until grep -q '(local)' out; do sleep 0.05; done
    until [ \"$(tail -n 1 out)\" = '' ]; do sleep 0.05; done
    kill $pid
    # The shell may say how it ended.
    wait $pid 2>/dev/null; code=$?
    cat out; rm -r $dir; exit $code";

/// Ends the daemon when the tool has said something.
const ENDED: &str = "dir=$(mktemp -d) && cd $dir && mkfifo in && : >out || exit 99
    stdbuf -oL \"$@\" <in >out & pid=$!
    exec 3>in
    until grep -q 'finish\\|(local)' out; do sleep 0.05; done
    corosync-cfgtool -H
    wait $pid; code=$?
    cat out; rm -r $dir; exit $code";

/// What becomes of a key file that is there already.
const KEY: &str = "rm -f /run/same.key; echo old >/run/same.key; chmod 644 /run/same.key
    \"$@\"; code=$?; stat -c '%s %a %U' /run/same.key; exit $code";

/// Lets the daemon write its flight recorder, and prints a copy that does not change any more.
const DUMPED: &str = "corosync-cmapctl -g runtime.blackbox.dump_state >/dev/null 2>&1 || exit 98
    file=/var/lib/corosync/same.fdata
    if ! [ -e $file ]; then
        corosync-cmapctl -s runtime.blackbox.dump_flight_data str \"$(date +%s)\"
        until [ -e /var/lib/corosync/fdata ]; do sleep 0.05; done
        until cp /var/lib/corosync/fdata $file && cmp -s /var/lib/corosync/fdata $file; do sleep 0.05; done
    fi
    case $(command -v \"$1\") in
        /usr/*) qb-blackbox $file 2>/dev/null ;;
        *) \"$1\" $file ;;
    esac | grep -v 'Token warning every' # libqb reads its two signs of per cent for something else";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_statistics_are_not_compared_but_their_keys_are() {
        let question = Question::new(&["tool"]).but(Live::Statistics);
        let text = "stats.ipcs.service1.77.0x55d0.recv_retries (u32) = 3\n\
                    stats.ipcs.service1.77.0x55d0.procname (str) = crmd\n\
                    totem.version (u32) = 2\nstats.srp.mtu (u32) = 1";
        assert_eq!(
            question.narrowed(text),
            "stats.ipcs.service1.PID.CONNECTION.recv_retries (u32)\n\
             stats.ipcs.service1.PID.CONNECTION.procname (str) = crmd\n\
             totem.version (u32) = 2\nstats.srp.mtu (u32)"
        );
    }

    #[test]
    fn dates_are_not_compared() {
        let question = Question::new(&["tool"]).but(Live::Date);
        assert_eq!(
            question.narrowed("Date:             now\nRing ID:          1.5\n"),
            "Date\nRing ID:          1.5\n"
        );
        let question = question.but(Live::Ring);
        assert_eq!(
            question.narrowed("Ring ID:          1.5\nNodes: 2\n"),
            "Ring ID\nNodes: 2\n"
        );
    }
}
