//! Interfaces and addresses of this process's network namespace, over rtnetlink.

use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, anyhow, bail};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage,
};
use netlink_packet_route::link::{
    InfoBridge, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily as SocketFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind,
    recv, send, socket,
};

use crate::args::LinkState;

/// A socket to the kernel's routing tables.
pub(super) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

/// Longest answer that is looked at: an acknowledgement repeats the request.
const ANSWER_MAX: usize = 16 * 1024;
/// Most answers to a question that has many: each holds dozens of addresses.
const ANSWERS_MAX: usize = 1_000;

impl Netlink {
    /// Opens a socket of the namespace that the process is in now.
    pub(super) fn open() -> Result<Self> {
        let socket = socket(
            SocketFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )
        .context("no netlink socket")?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0)).context("no netlink address")?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// A bridge that floods multicast: without a querier a snooping bridge may forget a group that is in use.
    pub(super) fn add_bridge(&mut self, name: &str) -> Result<()> {
        let mut link = LinkMessage::default();
        link.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Bridge),
                LinkInfo::Data(InfoData::Bridge(vec![
                    InfoBridge::ForwardDelay(0),
                    InfoBridge::MulticastSnooping(false),
                ])),
            ]),
        ];
        self.ask(
            RouteNetlinkMessage::NewLink(link),
            NLM_F_CREATE | NLM_F_EXCL,
        )
        .with_context(|| format!("cannot make bridge {name} (kernel module `bridge`)"))
    }

    /// A cable: `name` here, `peer` in the network namespace of process `pid`; packets of up to `mtu` bytes, or what
    /// the kernel thinks fit.
    pub(super) fn add_cable(
        &mut self,
        name: &str,
        peer: &str,
        pid: u32,
        mtu: Option<u32>,
    ) -> Result<()> {
        let mut far = LinkMessage::default();
        far.attributes = vec![
            LinkAttribute::IfName(peer.to_owned()),
            LinkAttribute::NetNsPid(pid),
        ];
        far.attributes.extend(mtu.map(LinkAttribute::Mtu));
        let mut link = LinkMessage::default();
        link.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Veth),
                LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(far))),
            ]),
        ];
        link.attributes.extend(mtu.map(LinkAttribute::Mtu));
        self.ask(
            RouteNetlinkMessage::NewLink(link),
            NLM_F_CREATE | NLM_F_EXCL,
        )
        .with_context(|| format!("cannot make cable {name} (kernel module `veth`)"))
    }

    /// Brings an interface up or takes it down.
    pub(super) fn set_state(&mut self, name: &str, state: LinkState) -> Result<()> {
        let mut link = named(name)?;
        link.header.change_mask = LinkFlags::Up;
        link.header.flags = match state {
            LinkState::Up => LinkFlags::Up,
            LinkState::Down => LinkFlags::empty(),
        };
        self.ask(RouteNetlinkMessage::SetLink(link), 0)
            .with_context(|| format!("cannot switch {name}"))
    }

    /// Sets the longest packet, in bytes, that an interface sends or takes.
    pub(super) fn set_mtu(&mut self, name: &str, mtu: u32) -> Result<()> {
        let mut link = named(name)?;
        link.attributes = vec![LinkAttribute::Mtu(mtu)];
        self.ask(RouteNetlinkMessage::SetLink(link), 0)
            .with_context(|| format!("cannot set the MTU of {name}"))
    }

    /// Makes an interface send the packets of a bundle (segmentation offload) one by one.
    pub(super) fn unbundle(&mut self, name: &str) -> Result<()> {
        let mut link = named(name)?;
        link.attributes = vec![LinkAttribute::GsoMaxSegs(1)];
        self.ask(RouteNetlinkMessage::SetLink(link), 0)
            .with_context(|| format!("cannot have {name} take bundles apart"))
    }

    /// Plugs a port into a bridge, taking it out of the one it was in.
    pub(super) fn set_bridge(&mut self, port: &str, bridge: &str) -> Result<()> {
        let mut link = named(port)?;
        link.attributes = vec![LinkAttribute::Controller(index_of(bridge)?)];
        self.ask(RouteNetlinkMessage::SetLink(link), 0)
            .with_context(|| format!("cannot plug {port} into {bridge}"))
    }

    /// Removes an interface.
    pub(super) fn delete(&mut self, name: &str) -> Result<()> {
        let link = named(name)?;
        self.ask(RouteNetlinkMessage::DelLink(link), 0)
            .with_context(|| format!("cannot remove {name}"))
    }

    /// Gives an interface an address, usable at once: nobody else can have it, so IPv6 need not look for
    /// duplicates.
    pub(super) fn add_address(&mut self, name: &str, address: IpAddr, prefix: u8) -> Result<()> {
        let mut message = AddressMessage::default();
        message.header.index = index_of(name)?;
        message.header.prefix_len = prefix;
        message.attributes = vec![
            AddressAttribute::Local(address),
            AddressAttribute::Address(address),
        ];
        match address {
            IpAddr::V4(_) => message.header.family = AddressFamily::Inet,
            IpAddr::V6(_) => {
                message.header.family = AddressFamily::Inet6;
                message.header.flags = AddressHeaderFlags::Nodad;
                message
                    .attributes
                    .push(AddressAttribute::Flags(AddressFlags::Nodad));
            }
        }
        self.ask(
            RouteNetlinkMessage::NewAddress(message),
            NLM_F_CREATE | NLM_F_EXCL,
        )
        .with_context(|| format!("cannot give {name} the address {address}"))
    }

    /// Takes all addresses from an interface.
    pub(super) fn remove_addresses(&mut self, name: &str) -> Result<()> {
        let index = index_of(name)?;
        for address in self.addresses()? {
            if address.header.index == index {
                self.ask(RouteNetlinkMessage::DelAddress(address), 0)
                    .with_context(|| format!("cannot take an address from {name}"))?;
            }
        }
        Ok(())
    }

    /// The addresses of all interfaces.
    fn addresses(&mut self) -> Result<Vec<AddressMessage>> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        self.send(request, NLM_F_DUMP)?;
        let mut addresses = Vec::new();
        let mut bytes = vec![0; ANSWER_MAX];
        for _ in 0..ANSWERS_MAX {
            let len = recv(self.socket.as_raw_fd(), &mut bytes, MsgFlags::empty())?;
            let mut rest = &bytes[..len];
            while !rest.is_empty() {
                let message = parse(rest)?;
                if matches!(message.payload, NetlinkPayload::Done(_)) {
                    return Ok(addresses);
                }
                let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(address)) =
                    message.payload
                else {
                    bail!("the kernel answered {:?}", message.payload);
                };
                addresses.push(address);
                // Messages begin at multiples of four bytes (netlink(7)).
                let len = usize::try_from(message.header.length)?.next_multiple_of(4);
                rest = rest.get(len..).unwrap_or_default();
            }
        }
        bail!("the kernel has no end of addresses")
    }

    fn send(&mut self, request: RouteNetlinkMessage, flags: u16) -> Result<()> {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        send(self.socket.as_raw_fd(), &bytes, MsgFlags::empty())?;
        Ok(())
    }

    /// Sends a request and waits for its acknowledgement.
    fn ask(&mut self, request: RouteNetlinkMessage, flags: u16) -> Result<()> {
        self.send(request, NLM_F_ACK | flags)?;
        let mut answer = vec![0; ANSWER_MAX];
        let len = recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        let answer = parse(&answer[..len])?;
        let NetlinkPayload::Error(outcome) = answer.payload else {
            bail!("the kernel answered {:?}", answer.payload);
        };
        match outcome.code {
            // An acknowledgement is an error message without an error.
            None => Ok(()),
            Some(_) => Err(outcome.to_io().into()),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<NetlinkMessage<RouteNetlinkMessage>> {
    NetlinkMessage::deserialize(bytes)
        .map_err(|error| anyhow!("the kernel's answer cannot be read: {error}"))
}

fn named(name: &str) -> Result<LinkMessage> {
    let mut link = LinkMessage::default();
    link.header.index = index_of(name)?;
    Ok(link)
}

fn index_of(name: &str) -> Result<u32> {
    if_nametoindex(name).with_context(|| format!("no interface {name}"))
}
