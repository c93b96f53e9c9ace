//! What the network reports about datagrams that were sent (`libknet/transport_udp.c:read_errs_from_sock`, v1.25).

use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};

use super::recv;

/// One report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// Datagrams of more bytes, IP header included, do not fit.
    TooBig(u16),
    /// Nobody is there, or no way leads there.
    Unreachable(SocketAddr),
    /// Something that nobody acts on.
    Other,
}

/// The oldest report; `None` when there is none.
pub(super) fn read(fd: BorrowedFd<'_>, local: IpAddr) -> Option<Report> {
    let mut control = match local {
        IpAddr::V4(_) => nix::cmsg_space!(nix::libc::sock_extended_err, nix::libc::sockaddr_in),
        IpAddr::V6(_) => nix::cmsg_space!(nix::libc::sock_extended_err, nix::libc::sockaddr_in6),
    };
    // The beginning of the datagram in question, which does not matter.
    let mut datagram = [0; 16];
    let mut parts = [IoSliceMut::new(&mut datagram)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let fd = fd.as_raw_fd();
    let message = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), flags).ok()?;
    let to = message.address.as_ref().and_then(recv::address);
    let told = message.cmsgs().ok().and_then(|mut messages| {
        messages.find_map(|message| {
            if let ControlMessageOwned::Ipv4RecvErr(error, _)
            | ControlMessageOwned::Ipv6RecvErr(error, _) = message
            {
                Some(error)
            } else {
                None
            }
        })
    });
    Some(told.map_or(Report::Other, |error| judge(&error, to)))
}

fn judge(error: &nix::libc::sock_extended_err, to: Option<SocketAddr>) -> Report {
    let errno = i32::try_from(error.ee_errno).map_or(Errno::UnknownErrno, Errno::from_raw);
    let of_the_net = matches!(error.ee_origin, SO_EE_ORIGIN_ICMP | SO_EE_ORIGIN_ICMP6);
    match (errno, to) {
        (Errno::EMSGSIZE, _) => u16::try_from(error.ee_info).map_or(Report::Other, Report::TooBig),
        (
            Errno::ECONNREFUSED
            | Errno::ECONNABORTED
            | Errno::ENONET
            | Errno::ENETUNREACH
            | Errno::EHOSTUNREACH
            | Errno::EHOSTDOWN
            | Errno::ENETDOWN,
            Some(to),
        ) if of_the_net => Report::Unreachable(to),
        _ => Report::Other,
    }
}

const SO_EE_ORIGIN_ICMP: u8 = 2;
const SO_EE_ORIGIN_ICMP6: u8 = 3;
