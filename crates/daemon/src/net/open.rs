//! Opening and binding sockets as corosync does (`totemudp.c:totemudp_build_sockets_ip`,
//! `totemudpu.c:totemudpu_build_sockets_ip`, v3.1.7).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::Duration;

use ferrosync_executive::config::{KnetConfig, KnetLink, McastGroup, UdpConfig, UdpuConfig};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr, RcvBufForce, SndBufForce};
use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use socket2::{Domain, Protocol, Socket, Type};

use super::links::{Link, Links};
use super::plain::Plain;

type Failed = (&'static str, io::Error);

pub(super) fn udpu(config: &UdpuConfig) -> Result<Plain, Failed> {
    let addr = SocketAddr::new(config.bind, config.port);
    let socket = bound(addr, Reuse::No).map_err(|e| ("the UDP socket", e))?;
    Plain::new(socket, None).map_err(|e| ("the UDP socket", e))
}

pub(super) fn udp(config: &UdpConfig) -> Result<Plain, Failed> {
    let unicast = SocketAddr::new(config.bind, config.port);
    let unicast = bound(unicast, Reuse::Yes).map_err(|e| ("the token socket", e))?;
    let receive = multicast_receiver(config).map_err(|e| ("the multicast receive socket", e))?;
    let send = multicast_sender(config).map_err(|e| ("the multicast send socket", e))?;
    Plain::new(unicast, Some((receive, send))).map_err(|e| ("the UDP sockets", e))
}

/// A socket for each link of this node (`libknet/transport_udp.c:udp_transport_link_set_config`, v1.25).
pub(super) fn knet(config: &KnetConfig) -> Result<Links, Failed> {
    let links: io::Result<Vec<Link>> = config.links.iter().map(link).collect();
    links.map(Links::new).map_err(|e| ("a link's socket", e))
}

/// Bound even before an interface has the address; packets are never fragmented on their way, as path MTUs could not be
/// found otherwise; what the network reports about them is kept for us (`libknet/transport_common.c`, v1.25).
pub(super) fn link(link: &KnetLink) -> io::Result<Link> {
    let socket = new_socket(link.local)?;
    match link.local {
        IpAddr::V4(_) => {
            socket.set_freebind_v4(true)?;
            socket.set_tos_v4(LOW_DELAY)?;
            sockopt::set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::PROBE)?;
            setsockopt(&socket, Ipv4RecvErr, &true)?;
        }
        IpAddr::V6(_) => {
            socket.set_freebind_v6(true)?;
            sockopt::set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::PROBE)?;
            setsockopt(&socket, Ipv6RecvErr, &true)?;
        }
    }
    // Beyond the system's limit where this process may.
    let _limited = setsockopt(&socket, RcvBufForce, &LINK_BUFFER);
    let _limited = setsockopt(&socket, SndBufForce, &LINK_BUFFER);
    socket.bind(&SocketAddr::new(link.local, link.port).into())?;
    Link::new(link.id, link.local, socket.into())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reuse {
    Yes,
    No,
}

fn bound(addr: SocketAddr, reuse: Reuse) -> io::Result<OwnedFd> {
    let socket = new_socket(addr.ip())?;
    if reuse == Reuse::Yes {
        socket.set_reuse_address(true)?;
    }
    bind_patiently(&socket, addr)?;
    Ok(socket.into())
}

/// An address that an interface is only about to get is waited for, as in C.
fn bind_patiently(socket: &Socket, addr: SocketAddr) -> io::Result<()> {
    let mut result = socket.bind(&addr.into());
    for attempt in 1..=BIND_RETRIES {
        match &result {
            Err(e) if e.kind() == io::ErrorKind::AddrNotAvailable => {
                sleep(BIND_RETRY_STEP * attempt);
                result = socket.bind(&addr.into());
            }
            Ok(()) | Err(_) => break,
        }
    }
    result
}

/// A member of the group for as long as the device is there (`docs/deviations.md`, D-105).
fn multicast_receiver(config: &UdpConfig) -> io::Result<OwnedFd> {
    let group = group_ip(config);
    let socket = new_socket(group)?;
    socket.set_reuse_address(true)?;
    match (group, config.bind) {
        (IpAddr::V4(group), IpAddr::V4(local)) if group.is_multicast() => {
            socket.join_multicast_v4(&group, &local)?;
        }
        (IpAddr::V6(group), local) => socket.join_multicast_v6(&group, interface_of(local)?)?,
        (IpAddr::V4(_), _) => socket.set_broadcast(true)?,
    }
    socket.bind(&SocketAddr::new(group, config.port).into())?;
    Ok(socket.into())
}

fn multicast_sender(config: &UdpConfig) -> io::Result<OwnedFd> {
    let socket = new_socket(config.bind)?;
    socket.set_reuse_address(true)?;
    match (group_ip(config), config.bind) {
        (IpAddr::V4(group), IpAddr::V4(local)) if group.is_multicast() => {
            socket.set_multicast_loop_v4(false)?;
            socket.set_multicast_ttl_v4(u32::from(config.ttl))?;
            socket.set_multicast_if_v4(&local)?;
        }
        (IpAddr::V6(_), local) => {
            socket.set_multicast_loop_v6(false)?;
            socket.set_multicast_hops_v6(u32::from(config.ttl))?;
            socket.set_multicast_if_v6(interface_of(local)?)?;
        }
        (IpAddr::V4(_), _) => socket.set_broadcast(true)?,
    }
    socket.bind(&SocketAddr::new(config.bind, config.port - 1).into())?;
    Ok(socket.into())
}

fn group_ip(config: &UdpConfig) -> IpAddr {
    match config.group {
        McastGroup::Multicast(ip) => ip,
        McastGroup::Broadcast => IpAddr::V4(Ipv4Addr::BROADCAST),
    }
}

fn new_socket(ip: IpAddr) -> io::Result<Socket> {
    let domain = match ip {
        IpAddr::V4(_) => Domain::IPV4,
        IpAddr::V6(_) => Domain::IPV6,
    };
    let socket = Socket::new(
        domain,
        Type::DGRAM.nonblocking().cloexec(),
        Some(Protocol::UDP),
    )?;
    if ip.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Room for a whole window of everybody's messages. More than the system allows is cut, not refused.
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    // Needs a privilege above 6, and C uses 6; without it packets are only less favoured.
    let _unprivileged = socket.set_priority(INTERACTIVE_PRIORITY);
    Ok(socket)
}

/// The index of the interface that has an address.
fn interface_of(local: IpAddr) -> io::Result<u32> {
    let IpAddr::V6(local) = local else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let has = |address: &nix::sys::socket::SockaddrStorage| {
        let ip: Option<Ipv6Addr> = address.as_sockaddr_in6().map(|a| a.ip());
        ip == Some(local)
    };
    let interface = getifaddrs()?
        .find(|i| i.address.as_ref().is_some_and(has))
        .ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok(nix::net::if_::if_nametoindex(
        interface.interface_name.as_str(),
    )?)
}

const SOCKET_BUFFER: usize = 4 << 20;
/// `KNET_RING_RCVBUFF`.
const LINK_BUFFER: usize = 8 << 20;
/// `IPTOS_LOWDELAY`.
const LOW_DELAY: u32 = 0x10;
/// `TC_PRIO_INTERACTIVE`.
const INTERACTIVE_PRIORITY: u32 = 6;
const BIND_RETRIES: u32 = 10;
const BIND_RETRY_STEP: Duration = Duration::from_millis(100);
