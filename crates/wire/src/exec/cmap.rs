//! The configuration map on the ring (corosync `exec/cmap.c`, v3.1.7).

use super::{Header, UNKNOWN_FUNCTION};
use crate::aligned::{get_bytes, get_u8, put_u8};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ids::ServiceId;
use crate::names::Name;

/// Most keys in one message (`MAX_REQ_EXEC_CMAP_MCAST_ITEMS`).
pub const ITEMS_MAX: usize = 32;

/// Keys of the sending node; the service's only message. It is sent with `totem.config_version` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Why it was sent; C ignores a message with a reason that it does not know.
    pub reason: u8,
    /// The keys, at most [`ITEMS_MAX`]; what goes beyond is not written.
    pub items: Vec<Item<'a>>,
}

impl Message<'_> {
    /// `reason`: the service synchronises.
    pub const SYNC: u8 = 0;
    /// `reason`: the configuration's version changed.
    pub const NEW_CONFIG_VERSION: u8 = 1;
    /// Bytes in front of the items.
    pub const HEAD: usize = 48;

    fn items(&self) -> &[Item<'_>] {
        &self.items[..self.items.len().min(ITEMS_MAX)]
    }
}

impl<'a> Decode<'a> for Message<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let header = Header::expect(r, ServiceId::CMAP)?;
        if header.function != 0 {
            return Err(UNKNOWN_FUNCTION);
        }
        let reason = get_u8(r, "reason")?;
        let count = get_u8(r, "item count")?;
        r.skip(16, "reserved")?;
        if usize::from(count) > ITEMS_MAX {
            return Err(DecodeError::TooMany {
                what: "item count",
                count: count.into(),
                max: 32,
            });
        }
        let items = (0..count)
            .map(|_| Item::decode(r))
            .collect::<Result<_, _>>()?;
        Ok(Self { reason, items })
    }
}

impl Encode for Message<'_> {
    fn encode(&self, w: &mut Writer<'_>) {
        let items = self.items();
        let size = items.iter().map(Item::len).sum::<usize>();
        Header::new(ServiceId::CMAP, 0, Self::HEAD + size).encode(w);
        put_u8(w, self.reason);
        put_u8(w, u8::try_from(items.len()).expect("ITEMS_MAX fits a byte"));
        w.zeros(16);
        for item in items {
            item.encode(w);
        }
    }
}

/// One key (`req_exec_cmap_mcast_item`), padded to 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The key.
    pub key: Name<'a>,
    /// The value's type as in [`crate::value::ValueType`]; 0 when the key does not exist.
    pub value_type: u8,
    /// The value.
    pub value: &'a [u8],
}

impl Item<'_> {
    /// Bytes in front of the value.
    pub const HEAD: usize = 280;

    const fn padding(&self) -> usize {
        self.value.len().next_multiple_of(8) - self.value.len()
    }

    const fn len(&self) -> usize {
        Self::HEAD + self.value.len() + self.padding()
    }
}

impl<'a> Decode<'a> for Item<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let key = Name::decode(r)?;
        let value_type = get_u8(r, "value type")?;
        let value_len = r.u64("value length")?;
        let item = Self {
            key,
            value_type,
            value: get_bytes(r, value_len, "value")?,
        };
        r.skip(item.padding(), "value")?;
        Ok(item)
    }
}

impl Encode for Item<'_> {
    fn encode(&self, w: &mut Writer<'_>) {
        self.key.encode(w);
        put_u8(w, self.value_type);
        w.u64(self.value.len() as u64);
        w.bytes(self.value);
        w.zeros(self.padding());
    }
}
