//! Buffers that a CPG client shares with us to multicast from (`lib/cpg.c:cpg_zcb_alloc`, v3.1.7).
//!
//! The client names a file of its own and from then on sends only the address that we put into it. C maps the file
//! and takes the client's address for a pointer of its own. Here the address is a number that is looked up, and
//! the file is read with `pread`: however the client changes or cuts it meanwhile, the worst is a short read.

use core::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use ferrosync_wire::Reader;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::handshake::Credentials;

/// The buffers of one connection.
#[derive(Debug, Default)]
pub(super) struct ZeroCopyBuffers {
    buffers: Vec<Buffer>,
    allocated: u64,
}

#[derive(Debug)]
struct Buffer {
    address: u64,
    size: u64,
    file: File,
}

/// Why a buffer cannot be used. Nothing changed, except that an unusable file of the client's may be gone.
#[derive(Debug)]
pub enum ZeroCopyError {
    /// There is no such connection, or its client is gone.
    Gone,
    /// The client holds as many buffers as it may, 64.
    TooMany,
    /// The size is not one that a buffer can have.
    BadSize(u64),
    /// The path does not name a zero copy file of this client's.
    BadPath,
    /// The client has no buffer at this address.
    BadAddress(u64),
    /// The message in the buffer claims more bytes than the buffer or a message may have.
    BadLength(u32),
    /// The file cannot be opened or read; the client may have cut it.
    Io(io::Error),
}

impl fmt::Display for ZeroCopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the connection is gone"),
            Self::TooMany => write!(f, "the connection has {BUFFERS_MAX} buffers already"),
            Self::BadSize(size) => write!(f, "a buffer cannot have {size} bytes"),
            Self::BadPath => f.write_str("the path is not a zero copy file of the client"),
            Self::BadAddress(address) => write!(f, "no buffer is at {address:#x}"),
            Self::BadLength(len) => write!(f, "a message of {len} bytes is not in the buffer"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ZeroCopyError {}

impl From<io::Error> for ZeroCopyError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl ZeroCopyBuffers {
    /// Takes over the client's file: its name is removed, its address written into it and returned.
    pub(super) fn alloc(
        &mut self,
        client: Credentials,
        shm_dir: &Path,
        path: &Path,
        size: u64,
    ) -> Result<u64, ZeroCopyError> {
        if self.buffers.len() >= BUFFERS_MAX {
            return Err(ZeroCopyError::TooMany);
        }
        if !(HEADERS_LEN..=BUFFER_SIZE_MAX).contains(&size) {
            return Err(ZeroCopyError::BadSize(size));
        }
        let file = open_client_file(client, shm_dir, path)?;
        if file.metadata()?.len() < size {
            return Err(ZeroCopyError::BadSize(size));
        }
        self.allocated += 1;
        // Looks like an address of a page, never repeats within a connection, and is none of ours.
        let address = self.allocated << PAGE_SHIFT;
        file.write_all_at(&address.to_le_bytes(), ADDRESS_OFFSET)?;
        self.buffers.push(Buffer {
            address,
            size,
            file,
        });
        Ok(address)
    }

    /// Appends the request in the buffer at `address`: its header of 40 bytes and as many bytes as it claims.
    pub(super) fn read(&self, address: u64, into: &mut Vec<u8>) -> Result<(), ZeroCopyError> {
        let buffer = self.buffers.iter().find(|buffer| buffer.address == address);
        let buffer = buffer.ok_or(ZeroCopyError::BadAddress(address))?;
        let mut header = [0; MCAST_HEADER_LEN];
        buffer.file.read_exact_at(&mut header, MCAST_OFFSET)?;
        let claimed = message_len(&header);
        let fits = u64::from(claimed) <= buffer.size - HEADERS_LEN && claimed <= MESSAGE_LEN_MAX;
        if !fits {
            return Err(ZeroCopyError::BadLength(claimed));
        }
        into.extend_from_slice(&header);
        let start = into.len();
        into.resize(start + claimed as usize, 0);
        let data = buffer.file.read_exact_at(&mut into[start..], HEADERS_LEN);
        if let Err(error) = data {
            into.truncate(start - MCAST_HEADER_LEN);
            return Err(error.into());
        }
        Ok(())
    }

    /// Forgets the buffer at `address`.
    pub(super) fn free(&mut self, address: u64) -> Result<(), ZeroCopyError> {
        let at = self.buffers.iter().position(|b| b.address == address);
        let at = at.ok_or(ZeroCopyError::BadAddress(address))?;
        self.buffers.swap_remove(at);
        Ok(())
    }
}

/// Opens a file that a client without rights names to a daemon with all rights: it must lie directly in a directory
/// that libcpg uses, have its name, be an ordinary file with this one name, and belong to the client.
fn open_client_file(
    client: Credentials,
    shm_dir: &Path,
    path: &Path,
) -> Result<File, ZeroCopyError> {
    let dir = path.parent().ok_or(ZeroCopyError::BadPath)?;
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name
        .filter(|name| name.starts_with(FILE_PREFIX))
        .ok_or(ZeroCopyError::BadPath)?;
    if dir != shm_dir && !FALLBACK_DIRS.iter().any(|known| dir == Path::new(known)) {
        return Err(ZeroCopyError::BadPath);
    }
    let dir_flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let dir = open(dir, dir_flags, Mode::empty()).map_err(io::Error::from)?;
    // Without O_NONBLOCK a named pipe would hang us.
    let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = openat(dir.as_fd(), name, flags, Mode::empty()).map_err(io::Error::from)?;
    let file = File::from(file);
    let about = file.metadata()?;
    if !about.is_file() || about.uid() != client.uid || about.nlink() != 1 {
        return Err(ZeroCopyError::BadPath);
    }
    // The client leaves this to us (`exec/cpg.c:memory_map`, v3.1.7).
    let _gone_already = unlinkat(dir.as_fd(), name, UnlinkatFlags::NoRemoveDir);
    Ok(file)
}

fn message_len(header: &[u8; MCAST_HEADER_LEN]) -> u32 {
    let mut r = Reader::new(&header[MSGLEN_OFFSET..]);
    r.u32("msglen")
        .expect("the header reaches beyond the field")
}

/// Buffers of one connection; each holds a descriptor.
const BUFFERS_MAX: usize = 64;
/// The largest buffer; messages are bounded by [`MESSAGE_LEN_MAX`].
const BUFFER_SIZE_MAX: u64 = 16 << 20;
/// The longest message that libcpg sends (`ipc_cpg.h: IPC_REQUEST_SIZE`).
const MESSAGE_LEN_MAX: u32 = 1 << 20;
/// `struct coroipcs_zc_header` (`ipc_cpg.h`): the size, and at 8 the address.
const ADDRESS_OFFSET: u64 = 8;
/// `struct req_lib_cpg_mcast` follows it.
const MCAST_OFFSET: u64 = 16;
const MCAST_HEADER_LEN: usize = 40;
const MSGLEN_OFFSET: usize = 32;
/// Where the message begins.
const HEADERS_LEN: u64 = MCAST_OFFSET + MCAST_HEADER_LEN as u64;
const FILE_PREFIX: &str = "corosync_zerocopy-";
/// Where libcpg goes when it cannot write to `/dev/shm`.
const FALLBACK_DIRS: [&str; 2] = ["/var/run", "/run"];
const PAGE_SHIFT: u32 = 12;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::{Gid, Uid, mkfifo};

    use super::*;

    fn me() -> Credentials {
        Credentials {
            pid: 1,
            uid: Uid::current().as_raw(),
            gid: Gid::current().as_raw(),
        }
    }

    fn client_file(dir: &Path, name: &str, message: &[u8], claimed: u32) -> std::path::PathBuf {
        let mut bytes = vec![0; 56];
        bytes[16 + 32..16 + 36].copy_from_slice(&claimed.to_le_bytes());
        bytes.extend_from_slice(message);
        let path = dir.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn a_message_is_read_from_the_clients_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = client_file(dir.path(), "corosync_zerocopy-abcdef", b"hello", 5);
        let client_view = File::open(&path).unwrap();
        let mut buffers = ZeroCopyBuffers::default();
        let address = buffers.alloc(me(), dir.path(), &path, 61).unwrap();
        assert!(!path.exists(), "the name is ours to remove");
        let mut told = [0; 8];
        client_view.read_exact_at(&mut told, 8).unwrap();
        assert_eq!(u64::from_le_bytes(told), address);

        let mut out = vec![9];
        buffers.read(address, &mut out).unwrap();
        assert_eq!(out.len(), 1 + 40 + 5);
        assert_eq!(&out[41..], b"hello");
        let elsewhere = buffers.read(address + 16, &mut out);
        assert!(matches!(elsewhere, Err(ZeroCopyError::BadAddress(_))));

        buffers.free(address).unwrap();
        let freed = buffers.read(address, &mut out);
        assert!(matches!(freed, Err(ZeroCopyError::BadAddress(_))));
    }

    #[test]
    fn lengths_are_bounded_by_the_buffer() {
        let dir = tempfile::tempdir().unwrap();
        for (claimed, ok) in [(5, true), (6, false), (u32::MAX, false)] {
            let path = client_file(dir.path(), "corosync_zerocopy-abcdef", b"hello", claimed);
            let mut buffers = ZeroCopyBuffers::default();
            let address = buffers.alloc(me(), dir.path(), &path, 61).unwrap();
            let mut out = Vec::new();
            assert_eq!(buffers.read(address, &mut out).is_ok(), ok, "{claimed}");
            assert_eq!(out.is_empty(), !ok);
        }
    }

    #[test]
    fn a_file_that_is_cut_gives_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = client_file(dir.path(), "corosync_zerocopy-abcdef", b"hello", 5);
        let client_view = File::options().write(true).open(&path).unwrap();
        let mut buffers = ZeroCopyBuffers::default();
        let address = buffers.alloc(me(), dir.path(), &path, 61).unwrap();
        let mut out = Vec::new();
        for len in [60, 50, 0] {
            client_view.set_len(len).unwrap();
            let read = buffers.read(address, &mut out);
            assert!(matches!(read, Err(ZeroCopyError::Io(_))), "{len}");
            assert!(out.is_empty());
        }
    }

    #[test]
    fn only_files_of_the_client_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let good = client_file(dir.path(), "corosync_zerocopy-good", b"x", 1);
        let named = client_file(dir.path(), "other-name", b"x", 1);
        let far = client_file(elsewhere.path(), "corosync_zerocopy-far", b"x", 1);
        let link = dir.path().join("corosync_zerocopy-link");
        symlink(&named, &link).unwrap();
        let hard = dir.path().join("corosync_zerocopy-hard");
        std::fs::hard_link(&named, &hard).unwrap();
        let pipe = dir.path().join("corosync_zerocopy-pipe");
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        let folder = dir.path().join("corosync_zerocopy-dir");
        std::fs::create_dir(&folder).unwrap();
        let up = dir.path().join("corosync_zerocopy-dir/../other-name");

        let mut buffers = ZeroCopyBuffers::default();
        for path in [&named, &far, &link, &hard, &pipe, &folder, &up] {
            let result = buffers.alloc(me(), dir.path(), path, 57);
            assert!(result.is_err(), "{}", path.display());
        }
        let stranger = Credentials {
            uid: me().uid + 1,
            ..me()
        };
        assert!(buffers.alloc(stranger, dir.path(), &good, 57).is_err());
        assert!(named.exists() && far.exists() && good.exists());
        for size in [0, 55, 58, u64::MAX] {
            let path = client_file(dir.path(), "corosync_zerocopy-size", b"x", 1);
            let result = buffers.alloc(me(), dir.path(), &path, size);
            assert!(matches!(result, Err(ZeroCopyError::BadSize(_))), "{size}");
        }
        assert!(buffers.alloc(me(), dir.path(), &good, 57).is_ok());
    }

    #[test]
    fn buffers_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut buffers = ZeroCopyBuffers::default();
        let mut alloc = || {
            let path = client_file(dir.path(), "corosync_zerocopy-abcdef", b"", 0);
            buffers.alloc(me(), dir.path(), &path, 56)
        };
        for _ in 0..BUFFERS_MAX {
            alloc().unwrap();
        }
        assert!(matches!(alloc(), Err(ZeroCopyError::TooMany)));
    }
}
