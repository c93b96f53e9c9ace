//! The codecs: what is read comes back when it is written again.

use ferrosync_wire::totem::{self, Message};
use ferrosync_wire::{Decode, Encode, Reader, exec, ipc};

/// Expects that what the bytes mean, if anything, is the same after it was written and read again.
macro_rules! survives {
    ($type:ty, $data:expr) => {
        if let Ok(message) = <$type>::decode(&mut Reader::new($data)) {
            let again = message.to_vec();
            let reread = <$type>::decode(&mut Reader::new(&again));
            assert_eq!(reread.as_ref(), Ok(&message));
        }
    };
}

/// Frames of the ring protocol: a frame that parses is, without what trails it, what its contents encode to.
pub fn wire_totem(data: &[u8]) {
    let Ok((header, message)) = Message::parse(data) else {
        return;
    };
    let again = match &message {
        Message::OrfToken(token) => totem::frame(header, token),
        Message::Mcast(mcast, payload) => [&totem::frame(header, mcast), *payload].concat(),
        Message::MergeDetect(m) => totem::frame(header, m),
        Message::Join(join) => totem::frame(header, join),
        Message::CommitToken(token) => totem::frame(header, token),
        Message::TokenHoldCancel(m) => totem::frame(header, m),
    };
    assert!(data.starts_with(&again), "{message:?}");
    if matches!(message, Message::Mcast(..)) {
        assert_eq!(data.len(), again.len(), "a payload is the rest");
    }
}

/// Messages between services, and of synchronisation.
pub fn wire_exec(data: &[u8]) {
    survives!(exec::Header, data);
    survives!(exec::cpg::Message<'_>, data);
    survives!(exec::cmap::Message<'_>, data);
    survives!(exec::cfg::Message<'_>, data);
    survives!(exec::pload::Message<'_>, data);
    survives!(exec::votequorum::Message<'_>, data);
    survives!(exec::sync::Message, data);
    survives!(exec::ykd::Message, data);
    survives!(ferrosync_wire::linear::Message, data);
}

/// Requests of clients, of all services.
pub fn wire_ipc_request(data: &[u8]) {
    survives!(ipc::RequestHeader, data);
    survives!(ipc::cpg::Request<'_>, data);
    survives!(ipc::cpg::ZeroCopy, data);
    survives!(ipc::cmap::Request<'_>, data);
    survives!(ipc::cfg::Request<'_>, data);
    survives!(ipc::quorum::Request, data);
    survives!(ipc::votequorum::Request<'_>, data);
}

/// Answers and events of all services, as a client of a hostile daemon reads them.
pub fn wire_ipc_response(data: &[u8]) {
    survives!(ipc::ResponseHeader, data);
    cpg(data);
    cmap(data);
    cfg(data);
    quorum(data);
}

fn cpg(data: &[u8]) {
    use ipc::cpg::{
        Event, Finalized, IterEnded, IterItem, IterStarted, Joined, Left, LocalNode, Membership,
        PartSent, Sent,
    };
    survives!(Event<'_>, data);
    survives!(ipc::Answer<Joined>, data);
    survives!(ipc::Answer<Left>, data);
    survives!(ipc::Answer<Sent>, data);
    survives!(ipc::Answer<LocalNode>, data);
    survives!(ipc::Answer<IterStarted>, data);
    survives!(ipc::Answer<IterItem>, data);
    survives!(ipc::Answer<IterEnded>, data);
    survives!(ipc::Answer<Finalized>, data);
    survives!(ipc::Answer<PartSent>, data);
    survives!(ipc::Answer<Membership>, data);
}

fn cmap(data: &[u8]) {
    use ipc::cmap::{Got, IterItem, MapChosen, Notify, TrackAdded};
    survives!(Notify<'_>, data);
    survives!(ipc::Answer<Got<'_>>, data);
    survives!(ipc::Answer<IterItem<'_>>, data);
    survives!(ipc::Answer<TrackAdded>, data);
    survives!(ipc::Answer<MapChosen>, data);
}

fn cfg(data: &[u8]) {
    use ipc::cfg::{NodeAddrs, NodeStatus, RingStatus, TestShutdown};
    survives!(TestShutdown, data);
    survives!(ipc::Answer<RingStatus<'_>>, data);
    survives!(ipc::Answer<NodeAddrs>, data);
    survives!(ipc::Answer<NodeStatus<'_>>, data);
}

fn quorum(data: &[u8]) {
    survives!(ipc::quorum::Event, data);
    survives!(ipc::Answer<ipc::quorum::Quorate>, data);
    survives!(ipc::votequorum::Event, data);
    survives!(ipc::Answer<ipc::votequorum::Info<'_>>, data);
    survives!(ipc::Answer<ipc::votequorum::Status>, data);
}
