//! At most one live token per ring: no two different tokens of a ring carry the same number.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use ferrosync_wire::RingId;
use ferrosync_wire::totem::{Kind, Message};

use super::Violation;
use crate::observation::{Place, RingKey};

/// The checker.
#[derive(Debug, Default)]
pub(super) struct Token {
    rings: BTreeMap<RingKey, VecDeque<(u32, Bytes)>>,
}

impl Token {
    /// A frame leaves a node.
    pub(super) fn sent(
        &mut self,
        place: Place,
        frame: &Bytes,
        ring: impl Fn(RingId) -> RingKey,
    ) -> Result<(), Violation> {
        if crate::cluster::kind(frame) != Some(Kind::OrfToken) {
            return Ok(());
        }
        let Ok((_, Message::OrfToken(token))) = Message::parse(frame) else {
            return violation("sends a token that is none".to_owned());
        };
        let key = ring(token.ring);
        let known = self.rings.entry(key).or_default();
        let Some((_, other)) = known.iter().find(|(seq, _)| *seq == token.token_seq) else {
            if known.len() >= REMEMBERED {
                known.pop_front();
            }
            known.push_back((token.token_seq, frame.clone()));
            return Ok(());
        };
        if other == frame {
            return Ok(());
        }
        violation(format!(
            "node {} sends token {} of {key:?}, of which there is another: {token:?} and {:?}",
            place.node,
            token.token_seq,
            Message::parse(other),
        ))
    }
}

/// Tokens remembered per ring. What is older was accepted by everybody long ago.
const REMEMBERED: usize = 32;

const fn violation(text: String) -> Result<(), Violation> {
    Err(Violation {
        checker: "token",
        text,
    })
}
