//! How much of a packet is left for a message: arithmetic of kronosnet (libknet/onwire.c, onwire.h, kronosnet 1.x).
//!
//! Sizes are in bytes. *On-wire* sizes include the IP header, *datagram* sizes are what a UDP socket takes, *link MTU*
//! and *data MTU* are the payload of a data packet.

use ferrosync_wire::knet::{HEADER_LEN, LONGEST_HEADER};

use crate::crypto::Overhead;

/// Version of the internet protocol below a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// On-wire size that a search for the path MTU tries first (KNET_PMTUD_SIZE_V4).
pub const ON_WIRE_MAX: usize = 65_535;

impl Overhead {
    /// Payload that fits a datagram of `len` bytes; 0 when none does (calc_max_data_outlen).
    ///
    /// A cipher fills up even a packet that is a whole number of blocks, so one byte less than that is used.
    #[must_use]
    pub const fn payload_len(self, len: usize) -> usize {
        let mut packet = len.saturating_sub(self.salt_len + self.hash_len);
        if let Some(rest) = packet.checked_rem(self.block_len) {
            packet = packet.saturating_sub(rest + 1);
        }
        packet.saturating_sub(LONGEST_HEADER)
    }

    /// Payload that any network carries (calc_min_mtu): the smallest MTU of IPv4 with the headers of
    /// IPv6 and SCTP.
    #[must_use]
    pub const fn smallest_data_mtu(self) -> usize {
        self.payload_len(SMALLEST_V4 - IP_V6 - SCTP)
    }
}

impl Family {
    /// Bytes of IP and UDP headers.
    #[must_use]
    pub const fn overhead(self) -> usize {
        match self {
            Self::V4 => IP_V4 + UDP,
            Self::V6 => IP_V6 + UDP,
        }
    }

    /// Bytes in front of and behind the payload, as C reports them for a link (threads_pmtud.c:_handle_check_pmtud).
    #[must_use]
    pub const fn link_overhead(self, crypto: Overhead) -> usize {
        self.overhead() + LONGEST_HEADER + crypto.hash_len + crypto.salt_len
    }

    /// MTU of a link with an on-wire size of `on_wire`; 0 when nothing fits.
    #[must_use]
    pub const fn link_mtu(self, on_wire: usize, crypto: Overhead) -> usize {
        crypto.payload_len(on_wire.saturating_sub(self.overhead()))
    }

    /// MTU of a link nobody has measured (links.c:knet_link_set_config).
    #[must_use]
    pub const fn initial_link_mtu(self, crypto: Overhead) -> usize {
        let smallest = match self {
            Self::V4 => SMALLEST_V4,
            Self::V6 => SMALLEST_V6,
        };
        self.link_mtu(smallest, crypto)
    }

    /// On-wire size of a probe about `on_wire` bytes: the same or, for the sake of whole blocks, a little less.
    ///
    /// `None` when not even a probe's header fits.
    #[must_use]
    pub const fn probe_size(self, on_wire: usize, crypto: Overhead) -> Option<usize> {
        let payload = self.link_mtu(on_wire, crypto);
        let size = crypto.sealed_len(payload + LONGEST_HEADER) + self.overhead();
        if size > on_wire || size <= self.overhead() + HEADER_LEN {
            return None;
        }
        Some(size)
    }
}

const IP_V4: usize = 20;
const IP_V6: usize = 40;
const UDP: usize = 8;
const SCTP: usize = 28;
const SMALLEST_V4: usize = 576;
const SMALLEST_V6: usize = 1280;

#[cfg(test)]
mod tests {
    use super::*;

    const AES_SHA256: Overhead = Overhead {
        block_len: 16,
        hash_len: 32,
        salt_len: 16,
    };
    const SHA1: Overhead = Overhead {
        block_len: 0,
        hash_len: 20,
        salt_len: 0,
    };

    #[test]
    fn figures_are_those_of_c() {
        let none = Overhead::NONE;
        assert_eq!(Family::V4.link_mtu(1500, none), 1446);
        assert_eq!(Family::V6.link_mtu(1500, none), 1426);
        assert_eq!(Family::V4.link_mtu(9000, none), 8946);
        assert_eq!(Family::V4.initial_link_mtu(none), 522);
        assert_eq!(Family::V6.initial_link_mtu(none), 1206);
        assert_eq!(none.smallest_data_mtu(), 482);
        assert_eq!(Family::V4.link_overhead(none), 54);
        // 1500 - 28 - 16 - 32 = 1424 = 89 * 16, less one, less the header.
        assert_eq!(Family::V4.link_mtu(1500, AES_SHA256), 1397);
        assert_eq!(Family::V4.link_overhead(AES_SHA256), 102);
        assert_eq!(Family::V4.link_mtu(1500, SHA1), 1426);
    }

    #[test]
    fn what_fits_a_datagram_fills_it_without_exceeding_it() {
        for crypto in [Overhead::NONE, SHA1, AES_SHA256] {
            for len in 200..2_000 {
                let payload = crypto.payload_len(len);
                let full = crypto.sealed_len(payload + LONGEST_HEADER);
                assert!(full <= len, "{crypto:?} {len}: {full}");
                let waste = len - full;
                assert!(
                    waste <= crypto.block_len,
                    "{crypto:?} {len}: {waste} wasted"
                );
                let more = crypto.sealed_len(payload + LONGEST_HEADER + 1);
                assert!(more > full, "{crypto:?} {len}");
            }
        }
    }

    #[test]
    fn sizes_that_hold_nothing_give_nothing() {
        for crypto in [Overhead::NONE, SHA1, AES_SHA256] {
            for family in [Family::V4, Family::V6] {
                for on_wire in 0..family.overhead() {
                    assert_eq!(family.link_mtu(on_wire, crypto), 0);
                    assert_eq!(family.probe_size(on_wire, crypto), None);
                }
            }
        }
    }

    #[test]
    fn a_probe_is_as_long_as_it_says_or_a_block_shorter() {
        assert_eq!(Family::V4.probe_size(1500, Overhead::NONE), Some(1500));
        assert_eq!(Family::V4.probe_size(1500, AES_SHA256), Some(1500));
        assert_eq!(Family::V4.probe_size(1499, AES_SHA256), Some(1484));
        assert_eq!(Family::V4.probe_size(54, Overhead::NONE), Some(54));
        assert_eq!(Family::V4.probe_size(53, Overhead::NONE), None);
    }
}
