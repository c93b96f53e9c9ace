//! Two keys at once, so that a running ring can change from one to the other.

use core::fmt;

use bytes::BytesMut;

use super::instance::Place;
use super::{IV_LEN, Instance, OpenError, Overhead};

/// The keys of one node: up to two that open, of which one seals.
///
/// A ring changes its key in steps that each node takes at its own pace: set the free slot, use it, empty the first.
/// From the first to the second step ([`Self::prepare`]) a packet is sealed with what its receiver is known to open.
#[derive(Debug)]
pub struct Crypto {
    slots: [Option<Instance>; 2],
    in_use: Option<Slot>,
    next: Option<Next>,
    clear_traffic: ClearTraffic,
}

/// What will be in use next: a key, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Next(Option<Slot>);

/// What a receiver is known to open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Opens {
    /// What is in use.
    #[default]
    Present,
    /// What was prepared, too.
    Next,
}

impl Crypto {
    /// No keys: everything goes out and comes in as it is.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            slots: [None, None],
            in_use: None,
            next: None,
            clear_traffic: ClearTraffic::Allowed,
        }
    }

    /// Puts a key into `slot`, or empties it; what was there is wiped.
    ///
    /// # Errors
    ///
    /// [`SlotError::InUse`]: packets are being sealed with it. Nothing was changed.
    pub fn set(&mut self, slot: Slot, instance: Option<Instance>) -> Result<(), SlotError> {
        if self.in_use == Some(slot) {
            return Err(SlotError::InUse(slot));
        }
        if self.next == Some(Next(Some(slot))) {
            self.next = None;
        }
        self.slots[slot.index()] = instance;
        Ok(())
    }

    /// Seals with the key in `slot`, or not at all, for receivers of which that is known to be right.
    ///
    /// # Errors
    ///
    /// [`SlotError::Empty`]: there is no key in it. Nothing was changed.
    pub fn prepare(&mut self, slot: Option<Slot>) -> Result<(), SlotError> {
        self.next = Some(Next(self.filled(slot)?));
        Ok(())
    }

    /// Whether what was prepared is this key, and another one in use.
    #[must_use]
    pub fn is_next(&self, slot: Slot) -> bool {
        self.next == Some(Next(Some(slot))) && self.in_use != Some(slot)
    }

    /// Seals with the key in `slot` from now on, or not at all; its overhead differs, so path MTUs are to be found
    /// anew (`libknet/crypto.c:crypto_use_config`, v1.x).
    ///
    /// # Errors
    ///
    /// [`SlotError::Empty`]: there is no key in it. Nothing was changed.
    pub fn use_slot(&mut self, slot: Option<Slot>) -> Result<(), SlotError> {
        self.in_use = self.filled(slot)?;
        self.next = None;
        Ok(())
    }

    fn filled(&self, slot: Option<Slot>) -> Result<Option<Slot>, SlotError> {
        match slot {
            Some(slot) if self.slots[slot.index()].is_none() => Err(SlotError::Empty(slot)),
            Some(_) | None => Ok(slot),
        }
    }

    /// Whether packets that no key opens are taken as they are.
    pub const fn set_clear_traffic(&mut self, clear_traffic: ClearTraffic) {
        self.clear_traffic = clear_traffic;
    }

    /// The slot that seals.
    #[must_use]
    pub const fn in_use(&self) -> Option<Slot> {
        self.in_use
    }

    /// The slot that seals for receivers that open so much.
    #[must_use]
    pub fn seals(&self, opens: Opens) -> Option<Slot> {
        match (opens, self.next) {
            (Opens::Next, Some(Next(slot))) => slot,
            (Opens::Next, None) | (Opens::Present, _) => self.in_use,
        }
    }

    /// What [`Self::seal`] adds to a packet for receivers that open so much.
    #[must_use]
    pub fn overhead(&self, opens: Opens) -> Overhead {
        self.sealing(opens)
            .map_or(Overhead::NONE, Instance::overhead)
    }

    /// Appends to `out` the datagram of the packet that `parts` make together, for receivers that open so much; see
    /// [`Instance::seal`].
    pub fn seal(&self, opens: Opens, iv: &[u8; IV_LEN], parts: &[&[u8]], out: &mut BytesMut) {
        match self.sealing(opens) {
            Some(instance) => instance.seal(iv, parts, out),
            None => {
                for part in parts {
                    out.extend_from_slice(part);
                }
            }
        }
    }

    /// The packet in `datagram`, by the key in use first, then by the other one.
    ///
    /// # Errors
    ///
    /// When clear traffic is refused: why the last key that was tried did not open it.
    pub fn open<'a>(
        &self,
        datagram: &'a [u8],
        scratch: &'a mut Vec<u8>,
    ) -> Result<Opened<'a>, OpenError> {
        match self.open_into(datagram, scratch) {
            Ok((slot, place)) => Ok(Opened::Authentic(slot, place.bytes(datagram, scratch))),
            Err(error) => match self.clear_traffic {
                ClearTraffic::Allowed => Ok(Opened::Clear(datagram)),
                ClearTraffic::Refused => Err(error),
            },
        }
    }

    fn open_into(
        &self,
        datagram: &[u8],
        scratch: &mut Vec<u8>,
    ) -> Result<(Slot, Place), OpenError> {
        let mut error = OpenError::NoKey;
        for (slot, instance) in self.opening() {
            match instance.open_into(datagram, scratch) {
                // Suites of one key share its HMAC (D-58): the other suite's packet passes it and comes out as noise, and
                // C takes it for a packet and loses it. Who has one key only leaves the judgement to the parser.
                Ok(place) if self.has_both() && !is_packet(place.bytes(datagram, scratch)) => {
                    error = OpenError::NoPacket;
                }
                Ok(place) => return Ok((slot, place)),
                Err(refused) => error = refused,
            }
        }
        Err(error)
    }

    fn sealing(&self, opens: Opens) -> Option<&Instance> {
        self.seals(opens)
            .and_then(|slot| self.slots[slot.index()].as_ref())
    }

    /// The keys in the order of `libknet/crypto.c:crypto_authenticate_and_decrypt` (v1.x).
    fn opening(&self) -> impl Iterator<Item = (Slot, &Instance)> {
        let order = match self.in_use {
            None | Some(Slot::One) => [Slot::One, Slot::Two],
            Some(Slot::Two) => [Slot::Two, Slot::One],
        };
        order
            .into_iter()
            .filter_map(|slot| Some((slot, self.slots[slot.index()].as_ref()?)))
    }

    fn has_both(&self) -> bool {
        self.slots.iter().all(Option::is_some)
    }
}

impl Default for Crypto {
    fn default() -> Self {
        Self::new()
    }
}

/// An opened datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened<'a> {
    /// The key in this slot vouches for this packet.
    Authentic(Slot, &'a [u8]),
    /// Nobody vouches for it, and clear traffic is allowed.
    Clear(&'a [u8]),
}

/// One of the two places for a key; knet's configurations 1 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Configuration 1.
    One,
    /// Configuration 2.
    Two,
}

impl Slot {
    /// The place that a new key goes to while this one is in use.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::One => Self::Two,
            Self::Two => Self::One,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::One => 0,
            Self::Two => 1,
        }
    }

    const fn number(self) -> usize {
        self.index() + 1
    }
}

/// What becomes of packets that no key opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClearTraffic {
    /// They are taken as they are: for the time in which a ring turns crypto on or off.
    #[default]
    Allowed,
    /// They are dropped unread.
    Refused,
}

/// Why a slot stayed as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotError {
    /// The key that seals cannot be replaced.
    InUse(Slot),
    /// An empty slot cannot seal.
    Empty(Slot),
}

impl fmt::Display for SlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(slot) => write!(f, "crypto config {} is in use", slot.number()),
            Self::Empty(slot) => write!(f, "crypto config {} is not set", slot.number()),
        }
    }
}

impl core::error::Error for SlotError {}

/// Whether an authentic packet begins as one of knet 1.x: version, then a type of `libknet/onwire.h` (v1.x).
fn is_packet(packet: &[u8]) -> bool {
    matches!(packet, [1, 0x00 | 0x81..=0x84, ..])
}
