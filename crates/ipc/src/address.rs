//! Names of listening sockets.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::UnixAddr;

/// Where services listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Abstract names, which belong to the network namespace; the default.
    Abstract,
    /// Sockets in this directory.
    Directory(PathBuf),
}

impl Addresses {
    /// What every libqb program of this machine uses: abstract names unless the administrator asked for files
    /// (libqb `ipc_socket.c:use_filesystem_sockets`, v2.0.6).
    #[must_use]
    pub fn of_this_machine() -> Self {
        if Path::new(FORCE_FILESYSTEM_SOCKETS).exists() {
            Self::Directory(PathBuf::from(SOCKET_DIR))
        } else {
            Self::Abstract
        }
    }

    /// The address of the service `name`.
    pub(crate) fn of_service(&self, name: &str) -> io::Result<UnixAddr> {
        match self {
            Self::Abstract => abstract_address(name.as_bytes()),
            Self::Directory(dir) => Ok(UnixAddr::new(&dir.join(name))?),
        }
    }

    /// The file behind the address of the service `name`, if there is one.
    pub(crate) fn file_of_service(&self, name: &str) -> Option<PathBuf> {
        match self {
            Self::Abstract => None,
            Self::Directory(dir) => Some(dir.join(name)),
        }
    }
}

/// The address of a datagram socket of [`crate::Kind::Socket`]: an abstract name even when services listen in
/// the file system (libqb `ipc_socket.c:set_sock_addr`: names that begin with `/` are always abstract).
pub(crate) fn datagram_address(path: &Path) -> io::Result<UnixAddr> {
    abstract_address(path.as_os_str().as_bytes())
}

/// libqb binds and connects with the whole `sockaddr_un`, so the zeros behind the name are part of it
/// (`util_int.h: QB_SUN_LEN`).
fn abstract_address(name: &[u8]) -> io::Result<UnixAddr> {
    let mut padded = [0; ABSTRACT_NAME_LEN];
    // One zero must remain: C's snprintf puts it there and cuts the name.
    if name.len() >= ABSTRACT_NAME_LEN {
        return Err(Errno::ENAMETOOLONG.into());
    }
    padded[..name.len()].copy_from_slice(name);
    Ok(UnixAddr::new_abstract(&padded)?)
}

const FORCE_FILESYSTEM_SOCKETS: &str = "/etc/libqb/force-filesystem-sockets";
/// Debian's and Fedora's choice when libqb is configured.
const SOCKET_DIR: &str = "/run";
/// `sun_path` without its leading zero.
const ABSTRACT_NAME_LEN: usize = 107;

#[cfg(test)]
mod tests {
    use nix::sys::socket::SockaddrLike as _;

    use super::*;

    #[test]
    fn abstract_names_use_the_whole_structure() {
        let address = Addresses::Abstract.of_service("cpg").unwrap();
        assert_eq!(address.len(), 110);
        let name = address.as_abstract().unwrap();
        assert_eq!(&name[..3], b"cpg");
        assert!(name[3..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn names_that_do_not_fit_are_errors() {
        assert!(abstract_address(&[b'x'; 106]).is_ok());
        assert!(abstract_address(&[b'x'; 107]).is_err());
    }
}
