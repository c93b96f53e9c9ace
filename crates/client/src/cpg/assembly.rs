//! Long messages, put together from their pieces.

use std::collections::BTreeMap;

use ferrosync_wire::ipc::cpg::{PartialDeliver, PieceKind};

use super::{Message, Process};

/// Messages of which some pieces came, one per sender: a process sends one at a time.
#[derive(Debug, Default)]
pub(super) struct Assemblies(BTreeMap<Process, Assembly>);

#[derive(Debug)]
struct Assembly {
    expected: usize,
    data: Vec<u8>,
}

impl Assemblies {
    /// Takes a piece; the message when this was its last. A first piece replaces what there was: its sender was
    /// told that it failed. Pieces without a first belong to a message that began before this process joined.
    pub(super) fn take(&mut self, piece: PartialDeliver<'_>) -> Option<Message> {
        let sender = Process {
            node: piece.nodeid,
            pid: piece.pid,
        };
        if piece.kind == PieceKind::FIRST {
            let assembly = Assembly {
                expected: usize::try_from(piece.msglen).ok()?,
                data: Vec::new(),
            };
            self.0.insert(sender, assembly);
        }
        let assembly = self.0.get_mut(&sender)?;
        assembly.data.extend_from_slice(piece.data);
        // A sender that sends more than it announced gets no memory for it.
        if assembly.data.len() > assembly.expected {
            self.0.remove(&sender);
            return None;
        }
        if piece.kind != PieceKind::LAST {
            return None;
        }
        let Assembly { expected, data } = self.0.remove(&sender)?;
        (data.len() == expected).then_some(Message {
            group: piece.group,
            sender,
            data,
        })
    }

    /// Drops what processes did not finish before they left.
    pub(super) fn forget(&mut self, left: impl Iterator<Item = Process>) {
        for process in left {
            self.0.remove(&process);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrosync_wire::{GroupName, NodeId};

    fn piece(pid: u32, kind: PieceKind, msglen: u32, data: &[u8]) -> PartialDeliver<'_> {
        PartialDeliver {
            group: GroupName::new(b"g").unwrap(),
            msglen,
            nodeid: NodeId(1),
            pid,
            kind,
            data,
        }
    }

    fn data(message: Option<Message>) -> Option<Vec<u8>> {
        message.map(|m| m.data)
    }

    const FIRST: PieceKind = PieceKind::FIRST;
    const CONTINUED: PieceKind = PieceKind::CONTINUED;
    const LAST: PieceKind = PieceKind::LAST;

    #[test]
    fn pieces_of_several_senders_are_kept_apart() {
        let mut all = Assemblies::default();
        assert_eq!(all.take(piece(1, FIRST, 6, b"ab")), None);
        assert_eq!(all.take(piece(2, FIRST, 4, b"12")), None);
        assert_eq!(all.take(piece(1, CONTINUED, 6, b"cd")), None);
        assert_eq!(
            data(all.take(piece(2, LAST, 4, b"34"))),
            Some(b"1234".to_vec())
        );
        assert_eq!(
            data(all.take(piece(1, LAST, 6, b"ef"))),
            Some(b"abcdef".to_vec())
        );
        assert!(all.0.is_empty());
    }

    #[test]
    fn a_beginning_replaces_what_was_not_finished() {
        let mut all = Assemblies::default();
        assert_eq!(all.take(piece(1, FIRST, 4, b"xx")), None);
        assert_eq!(all.take(piece(1, FIRST, 4, b"ab")), None);
        assert_eq!(
            data(all.take(piece(1, LAST, 4, b"cd"))),
            Some(b"abcd".to_vec())
        );
    }

    #[test]
    fn what_does_not_add_up_is_dropped() {
        let mut all = Assemblies::default();
        assert_eq!(all.take(piece(1, CONTINUED, 4, b"xx")), None);
        assert_eq!(all.take(piece(1, LAST, 4, b"xx")), None);
        assert_eq!(all.take(piece(1, FIRST, 4, b"abcde")), None);
        assert_eq!(all.take(piece(1, LAST, 4, b"")), None);
        assert_eq!(all.take(piece(1, FIRST, 4, b"ab")), None);
        assert_eq!(all.take(piece(1, LAST, 4, b"c")), None, "too short");
        assert!(all.0.is_empty());
    }

    #[test]
    fn who_leaves_finishes_nothing() {
        let mut all = Assemblies::default();
        assert_eq!(all.take(piece(1, FIRST, 4, b"ab")), None);
        let gone = Process {
            node: NodeId(1),
            pid: 1,
        };
        all.forget([gone].into_iter());
        assert_eq!(all.take(piece(1, LAST, 4, b"cd")), None);
    }
}
