//! The configuration map for clients (corosync `include/corosync/ipc_cmap.h`, v3.1.7).

use super::{Body, Done, Handle, RequestHeader, ResponseHeader, UNKNOWN_ID};
use crate::aligned::{get_bytes, get_i32, get_u8, put_i32, put_u8};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::names::Name;

/// Track flag and event: a key goes (`CMAP_TRACK_DELETE`).
pub const TRACK_DELETE: i32 = 1;
/// Track flag and event: a key changes (`CMAP_TRACK_MODIFY`).
pub const TRACK_MODIFY: i32 = 2;
/// Track flag and event: a key comes (`CMAP_TRACK_ADD`).
pub const TRACK_ADD: i32 = 4;
/// Track flag: every key that starts with the name (`CMAP_TRACK_PREFIX`).
pub const TRACK_PREFIX: i32 = 8;

/// [`Request::SetCurrentMap`]: the configuration map.
pub const MAP_DEFAULT: i32 = 0;
/// [`Request::SetCurrentMap`]: statistics.
pub const MAP_STATS: i32 = 1;

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// 0: create or change a key.
    Set {
        /// The key.
        key: Name<'a>,
        /// The value's type as in [`crate::value::ValueType`].
        value_type: u8,
        /// The value.
        value: &'a [u8],
    },
    /// 1: delete a key.
    Delete {
        /// The key.
        key: Name<'a>,
    },
    /// 2: a key's value.
    Get {
        /// The key.
        key: Name<'a>,
        /// Bytes that the client has room for; 0 asks only for type and length. Nothing limits it.
        capacity: u64,
    },
    /// 3: add to a key that holds an integer.
    AdjustInt {
        /// The key.
        key: Name<'a>,
        /// What to add.
        step: i32,
    },
    /// 4: iterate over keys.
    IterInit {
        /// How they start; [`Name::get`] gives none for all keys.
        prefix: Name<'a>,
    },
    /// 5: the next one.
    IterNext {
        /// The iteration.
        handle: u64,
    },
    /// 6: enough.
    IterFinalize {
        /// The iteration.
        handle: u64,
    },
    /// 7: tell about changes.
    TrackAdd {
        /// Key or prefix; [`Name::get`] gives none for all keys.
        key: Name<'a>,
        /// A set of the track flags.
        flags: i32,
        /// What the client calls the tracker.
        instance: u64,
    },
    /// 8: tell no more.
    TrackDelete {
        /// What the daemon calls the tracker.
        handle: u64,
    },
    /// 9: use another map.
    SetCurrentMap {
        /// Which.
        map: i32,
    },
}

impl Request<'_> {
    /// Bytes in front of the value of [`Request::Set`].
    pub const SET_HEAD: usize = 296;

    /// Number of the request.
    #[must_use]
    pub const fn id(&self) -> i32 {
        match self {
            Self::Set { .. } => 0,
            Self::Delete { .. } => 1,
            Self::Get { .. } => 2,
            Self::AdjustInt { .. } => 3,
            Self::IterInit { .. } => 4,
            Self::IterNext { .. } => 5,
            Self::IterFinalize { .. } => 6,
            Self::TrackAdd { .. } => 7,
            Self::TrackDelete { .. } => 8,
            Self::SetCurrentMap { .. } => 9,
        }
    }

    const fn size(&self) -> usize {
        match self {
            Self::Set { value, .. } => Self::SET_HEAD + value.len(),
            Self::Delete { .. } | Self::IterInit { .. } => 280,
            Self::Get { .. } | Self::AdjustInt { .. } => 288,
            Self::IterNext { .. }
            | Self::IterFinalize { .. }
            | Self::TrackDelete { .. }
            | Self::SetCurrentMap { .. } => 24,
            Self::TrackAdd { .. } => 296,
        }
    }
}

impl<'a> Decode<'a> for Request<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (header, mut body) = RequestHeader::open(r)?;
        let r = &mut body;
        Ok(match header.id {
            0 => {
                let key = Name::decode(r)?;
                let value_len = r.u64("value length")?;
                Self::Set {
                    key,
                    value_type: get_u8(r, "value type")?,
                    value: get_bytes(r, value_len, "value")?,
                }
            }
            1 => Self::Delete {
                key: Name::decode(r)?,
            },
            2 => Self::Get {
                key: Name::decode(r)?,
                capacity: r.u64("value length")?,
            },
            3 => Self::AdjustInt {
                key: Name::decode(r)?,
                step: r.i32("step")?,
            },
            4 => Self::IterInit {
                prefix: Name::decode(r)?,
            },
            5 => Self::IterNext {
                handle: r.u64("iteration handle")?,
            },
            6 => Self::IterFinalize {
                handle: r.u64("iteration handle")?,
            },
            7 => Self::TrackAdd {
                key: Name::decode(r)?,
                flags: get_i32(r, "track type")?,
                instance: r.u64("track instance")?,
            },
            8 => Self::TrackDelete {
                handle: r.u64("track handle")?,
            },
            9 => Self::SetCurrentMap { map: r.i32("map")? },
            _ => return Err(UNKNOWN_ID),
        })
    }
}

impl Encode for Request<'_> {
    fn encode(&self, w: &mut Writer<'_>) {
        RequestHeader::new(self.id(), self.size()).encode(w);
        match self {
            Self::Set {
                key,
                value_type,
                value,
            } => {
                key.encode(w);
                w.u64(value.len() as u64);
                put_u8(w, *value_type);
                w.bytes(value);
            }
            Self::Delete { key } | Self::IterInit { prefix: key } => key.encode(w),
            Self::Get { key, capacity } => {
                key.encode(w);
                w.u64(*capacity);
            }
            Self::AdjustInt { key, step } => {
                key.encode(w);
                put_i32(w, *step);
            }
            Self::IterNext { handle }
            | Self::IterFinalize { handle }
            | Self::TrackDelete { handle } => w.u64(*handle),
            Self::TrackAdd {
                key,
                flags,
                instance,
            } => {
                key.encode(w);
                put_i32(w, *flags);
                w.u64(*instance);
            }
            Self::SetCurrentMap { map } => put_i32(w, *map),
        }
    }
}

/// Answer to [`Request::Set`].
pub type SetDone = Done<0>;
/// Answer to [`Request::Delete`].
pub type Deleted = Done<1>;
/// Answer to [`Request::AdjustInt`].
pub type Adjusted = Done<3>;
/// Answer to [`Request::IterInit`].
pub type IterStarted = Handle<4>;
/// Answer to [`Request::IterFinalize`].
pub type IterEnded = Done<6>;
/// Answer to [`Request::TrackAdd`]: what the daemon calls the tracker.
pub type TrackAdded = Handle<7>;
/// Answer to [`Request::TrackDelete`]: what the client calls the tracker.
pub type TrackDeleted = Handle<8>;
/// Answer to [`Request::SetCurrentMap`].
pub type MapChosen = Done<10>;

/// Answer to [`Request::Get`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Got<'a> {
    /// The value's type.
    pub value_type: u8,
    /// The value's length.
    pub value_len: u64,
    /// The value, unless only its length was asked for.
    pub value: &'a [u8],
    /// Bytes behind the value: C fills up the client's buffer with zeros.
    pub padding: usize,
}

impl<'a> Got<'a> {
    /// Bytes in front of the value.
    pub const HEAD: usize = 40;

    /// The answer to a client that has room for `capacity` bytes, the value's length at least.
    #[must_use]
    pub const fn value(value_type: u8, value: &'a [u8], capacity: usize) -> Self {
        Self {
            value_type,
            value_len: value.len() as u64,
            value,
            padding: capacity.saturating_sub(value.len()),
        }
    }

    /// The answer to a client that asked only for type and length.
    #[must_use]
    pub const fn length(value_type: u8, value_len: usize) -> Self {
        Self {
            value_type,
            value_len: value_len as u64,
            value: &[],
            padding: 0,
        }
    }
}

impl<'a> Body<'a> for Got<'a> {
    const ID: i32 = 2;
    const FAILED_LEN: usize = Self::HEAD;

    fn body_len(&self) -> usize {
        Self::HEAD - ResponseHeader::LEN + self.value.len() + self.padding
    }

    fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let value_len = r.u64("value length")?;
        let value_type = get_u8(r, "value type")?;
        let value = if r.rest().is_empty() {
            &[]
        } else {
            get_bytes(r, value_len, "value")?
        };
        Ok(Self {
            value_type,
            value_len,
            value,
            padding: r.rest().len(),
        })
    }

    fn put(&self, w: &mut Writer<'_>) {
        w.u64(self.value_len);
        put_u8(w, self.value_type);
        w.bytes(self.value);
        w.zeros(self.padding);
    }
}

/// Answer to [`Request::IterNext`]; at the end, [`super::CsError::NoSections`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IterItem<'a> {
    /// The key.
    pub key: Name<'a>,
    /// Its value's length.
    pub value_len: u64,
    /// Its value's type.
    pub value_type: u8,
}

impl<'a> Body<'a> for IterItem<'a> {
    const ID: i32 = 5;
    const FAILED_LEN: usize = 304;

    fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            key: Name::decode(r)?,
            value_len: r.u64("value length")?,
            value_type: r.u8("value type")?,
        })
    }

    fn put(&self, w: &mut Writer<'_>) {
        self.key.encode(w);
        w.u64(self.value_len);
        put_u8(w, self.value_type);
    }
}

/// Event 9, the only one: a tracked key changed (`res_lib_cmap_notify_callback`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notify<'a> {
    /// What the client calls the tracker.
    pub instance: u64,
    /// The key.
    pub key: Name<'a>,
    /// [`TRACK_ADD`], [`TRACK_MODIFY`] or [`TRACK_DELETE`].
    pub event: i32,
    /// What the key holds now.
    pub new: NotifyValue<'a>,
    /// What it held before.
    pub old: NotifyValue<'a>,
}

/// A value in a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotifyValue<'a> {
    /// Its type; 0 where there is none.
    pub value_type: u8,
    /// The value.
    pub value: &'a [u8],
}

impl NotifyValue<'_> {
    /// No value.
    pub const NONE: Self = NotifyValue {
        value_type: 0,
        value: &[],
    };
}

impl Notify<'_> {
    /// The event's number.
    pub const ID: i32 = 9;
    /// Bytes in front of the values.
    pub const HEAD: usize = 336;
}

impl<'a> Decode<'a> for Notify<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (header, mut body) = ResponseHeader::open(r)?;
        if header.id != Self::ID {
            return Err(UNKNOWN_ID);
        }
        let r = &mut body;
        let instance = r.u64("track instance")?;
        let key = Name::decode(r)?;
        let event = get_i32(r, "event")?;
        let new_type = get_u8(r, "new type")?;
        let old_type = get_u8(r, "old type")?;
        let new_len = r.u64("new length")?;
        let old_len = r.u64("old length")?;
        Ok(Self {
            instance,
            key,
            event,
            new: NotifyValue {
                value_type: new_type,
                value: get_bytes(r, new_len, "new value")?,
            },
            old: NotifyValue {
                value_type: old_type,
                value: get_bytes(r, old_len, "old value")?,
            },
        })
    }
}

impl Encode for Notify<'_> {
    fn encode(&self, w: &mut Writer<'_>) {
        let size = Self::HEAD + self.new.value.len() + self.old.value.len();
        ResponseHeader::new(Self::ID, size, Ok(())).encode(w);
        w.u64(self.instance);
        self.key.encode(w);
        put_i32(w, self.event);
        put_u8(w, self.new.value_type);
        put_u8(w, self.old.value_type);
        w.u64(self.new.value.len() as u64);
        w.u64(self.old.value.len() as u64);
        w.bytes(self.new.value);
        w.bytes(self.old.value);
    }
}

#[cfg(test)]
mod tests;
