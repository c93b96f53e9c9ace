//! Reads a record; the format is documented at the head of `interop/cpg_storm.c`.

use std::collections::BTreeSet;
use std::str::FromStr;

use anyhow::{Context as _, bail};

use super::{Body, Condition, Event, MessageId, Process, Record, Ring, Sender, View};

/// Reads the record `text` of the client called `name`.
pub(crate) fn parse(name: &str, text: &str) -> anyhow::Result<Record> {
    let mut events = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line_number = at + 1;
        let event =
            parse_line(line).with_context(|| format!("{name}, line {line_number}: `{line}`"))?;
        events.push((line_number, event));
    }
    Ok(Record {
        name: name.to_owned(),
        events,
    })
}

fn parse_line(line: &str) -> anyhow::Result<Event> {
    let words: Vec<&str> = line.split(' ').collect();
    Ok(match words.as_slice() {
        ["connect", node, pid, incarnation] => Event::Connect(sender(node, pid, incarnation)?),
        ["ring", representative, seq, members] => Event::Ring(Ring {
            representative: number(representative)?,
            seq: number(seq)?,
            members: members.split(',').map(number).collect::<Result<_, _>>()?,
        }),
        ["view", members, left, joined] => Event::View(View {
            members: processes(members)?,
            left: processes(left)?,
            joined: processes(joined)?,
        }),
        ["sent", seq, length, hash] => Event::Sent(number(seq)?, body(length, hash)?),
        ["got", node, pid, incarnation, seq, length, hash, condition] => {
            let id = MessageId {
                sender: sender(node, pid, incarnation)?,
                seq: number(seq)?,
            };
            let condition = match *condition {
                "ok" => Condition::Sound,
                "damaged" => Condition::Damaged,
                other => bail!("`{other}` is neither ok nor damaged"),
            };
            Event::Got(id, body(length, hash)?, condition)
        }
        ["disconnect", error] => Event::Disconnect((*error).to_owned()),
        ["end", accepted, came_back] => Event::End {
            accepted: number(accepted)?,
            came_back: number(came_back)?,
        },
        _ => bail!("no event of a record"),
    })
}

fn number<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    word: &str,
) -> anyhow::Result<T> {
    word.parse().with_context(|| format!("`{word}`"))
}

fn sender(node: &str, pid: &str, incarnation: &str) -> anyhow::Result<Sender> {
    Ok(Sender {
        process: Process {
            node: number(node)?,
            pid: number(pid)?,
        },
        incarnation: number(incarnation)?,
    })
}

fn body(length: &str, hash: &str) -> anyhow::Result<Body> {
    Ok(Body {
        length: number(length)?,
        hash: u64::from_str_radix(hash, 16).with_context(|| format!("`{hash}`"))?,
    })
}

/// `NODE:PID,NODE:PID..`, or `-` for none.
fn processes(list: &str) -> anyhow::Result<BTreeSet<Process>> {
    if list == "-" {
        return Ok(BTreeSet::new());
    }
    let process = |word: &str| -> anyhow::Result<Process> {
        let (node, pid) = word.split_once(':').with_context(|| format!("`{word}`"))?;
        Ok(Process {
            node: number(node)?,
            pid: number(pid)?,
        })
    };
    list.split(',').map(process).collect()
}
