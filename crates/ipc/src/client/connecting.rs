//! The client's half of the handshake.

use std::io::IoSliceMut;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixCredentials, connect as connect_socket,
    recvmsg, send, setsockopt, socket,
};

use super::shm::ShmChannels;
use super::socket::SocketChannels;
use super::{Channels, Client, ClientError, Deadline, State};
use crate::address::Addresses;
use crate::credentials;
use crate::handshake::{Accepted, ConnectRequest, ConnectResponse, Credentials, Kind};

pub(super) fn connect(
    addresses: &Addresses,
    name: &str,
    max_msg_size: u32,
    deadline: Deadline,
) -> Result<Client, ClientError> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect_socket(socket.as_raw_fd(), &addresses.of_service(name)?)?;
    let stream = UnixStream::from(socket);
    setsockopt(&stream, PassCred, &true)?;
    let request = ConnectRequest { max_msg_size }.encode();
    let sent = send(stream.as_raw_fd(), &request, MsgFlags::MSG_NOSIGNAL)?;
    if sent != request.len() {
        return Err(ClientError::NotConnected);
    }
    let (response, server) = read_response(&stream, deadline)?;
    setsockopt(&stream, PassCred, &false)?;
    let accepted = match ConnectResponse::parse(&response)? {
        ConnectResponse::Accepted(accepted) => accepted,
        ConnectResponse::Refused(errno) => return Err(ClientError::Refused(errno)),
    };
    Ok(Client {
        channels: open_channels(&accepted)?,
        stream,
        server,
        max_msg_size: accepted.max_msg_size,
        state: State::Usable,
    })
}

fn open_channels(accepted: &Accepted) -> Result<Channels, ClientError> {
    match accepted.kind {
        Kind::Shm => Ok(Channels::Shm(Box::new(ShmChannels::open(accepted)?))),
        Kind::Socket => Ok(Channels::Socket(SocketChannels::open(accepted)?)),
    }
}

fn read_response(
    stream: &UnixStream,
    deadline: Deadline,
) -> Result<(Vec<u8>, Credentials), ClientError> {
    let mut response = vec![0; ConnectResponse::LEN];
    let mut server = None;
    let mut have = 0;
    while have < response.len() {
        deadline.wait_for([(stream.as_fd(), PollFlags::POLLIN)])?;
        let mut space = cmsg_space!(UnixCredentials);
        let mut iov = [IoSliceMut::new(&mut response[have..])];
        let flags = MsgFlags::MSG_DONTWAIT;
        let message = match recvmsg::<()>(stream.as_raw_fd(), &mut iov, Some(&mut space), flags) {
            Ok(message) if message.bytes == 0 => return Err(ClientError::NotConnected),
            Ok(message) => message,
            Err(Errno::EAGAIN | Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        server = server.or_else(|| credentials::sender(&message));
        have += message.bytes;
    }
    Ok((response, server.ok_or(ClientError::NotConnected)?))
}
