//! The synchronisation of services (corosync `exec/sync.c`, v3.1.7).
//!
//! These messages travel to the group `sync` instead of the services' group, and their ids name no service.

use super::{Header, UNKNOWN_FUNCTION};
use crate::aligned::{get_array, get_u32, len32, put_u32};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::ids::{RingId, ServiceId};

/// Most services in one message.
pub const SERVICES_MAX: usize = 128;

/// One message of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// 0: the sender is done with a service.
    Barrier {
        /// The ring that synchronises.
        ring: RingId,
    },
    /// 1: which services the sender has.
    ServiceBuild {
        /// The ring that synchronises.
        ring: RingId,
        /// The services, at most [`SERVICES_MAX`]; what goes beyond is not written. C has an `int` each.
        services: Vec<u32>,
    },
}

impl Message {
    const fn function(&self) -> u16 {
        match self {
            Self::Barrier { .. } => 0,
            Self::ServiceBuild { .. } => 1,
        }
    }

    const fn size(&self) -> usize {
        match self {
            Self::Barrier { .. } => 32,
            Self::ServiceBuild { .. } => 552,
        }
    }
}

impl Decode<'_> for Message {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let header = Header::expect(r, ServiceId(0))?;
        let ring = RingId::decode(r)?;
        match header.function {
            0 => Ok(Self::Barrier { ring }),
            1 => {
                r.skip(4, "ring id")?;
                Ok(Self::ServiceBuild {
                    ring,
                    services: get_services(r)?,
                })
            }
            _ => Err(UNKNOWN_FUNCTION),
        }
    }
}

fn get_services(r: &mut Reader<'_>) -> Result<Vec<u32>, DecodeError> {
    let count = get_u32(r, "service count")?;
    if count > len32(SERVICES_MAX) {
        return Err(DecodeError::TooMany {
            what: "service count",
            count,
            max: len32(SERVICES_MAX),
        });
    }
    let list = get_array(r, len32(SERVICES_MAX), 4, "service list")?;
    Ok(list
        .chunks_exact(4)
        .take(count as usize)
        .map(|id| u32::from_le_bytes([id[0], id[1], id[2], id[3]]))
        .collect())
}

impl Encode for Message {
    fn encode(&self, w: &mut Writer<'_>) {
        Header::new(ServiceId(0), self.function(), self.size()).encode(w);
        match self {
            Self::Barrier { ring } => {
                ring.encode(w);
                w.zeros(4);
            }
            Self::ServiceBuild { ring, services } => {
                let services = &services[..services.len().min(SERVICES_MAX)];
                ring.encode(w);
                w.zeros(4);
                put_u32(w, len32(services.len()));
                for service in services {
                    w.u32(*service);
                }
                w.zeros(4 * (SERVICES_MAX - services.len()));
            }
        }
    }
}
