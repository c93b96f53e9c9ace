//! Calls of a quorum device: a program that gives this node votes as long as it is alive.

use ferrosync_wire::RingId;
use ferrosync_wire::exec::votequorum::DEVICE_NAME;
use ferrosync_wire::ipc::votequorum::Request;

use super::{Error, Votequorum};

/// A quorum device as the daemon knows it by its name.
#[derive(Debug)]
pub struct Device<'a> {
    votequorum: &'a mut Votequorum,
    name: &'a str,
}

/// Whether a quorum device gives its votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    /// It does.
    Votes,
    /// It does not.
    Nothing,
}

/// Whether a partition without the device's votes is inquorate even if its nodes would suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterWins {
    /// It is.
    Yes,
    /// It is not.
    No,
}

impl<'a> Device<'a> {
    pub(super) const fn new(votequorum: &'a mut Votequorum, name: &'a str) -> Self {
        Self { votequorum, name }
    }

    /// Announces the device (`votequorum_qdevice_register`).
    ///
    /// # Errors
    /// [`Error::NoDevice`], [`Error::AlreadyThere`], [`Error::Invalid`] for a name of more than 254 bytes.
    pub fn register(&mut self) -> Result<(), Error> {
        let name = checked(self.name)?;
        self.votequorum.change(&Request::DeviceRegister { name })
    }

    /// Takes the device away (`votequorum_qdevice_unregister`).
    ///
    /// # Errors
    /// [`Error::NoDevice`], [`Error::NotFound`], [`Error::Invalid`] for the name of another device.
    pub fn unregister(&mut self) -> Result<(), Error> {
        let name = checked(self.name)?;
        self.votequorum.change(&Request::DeviceUnregister { name })
    }

    /// Gives the device another name (`votequorum_qdevice_update`).
    ///
    /// # Errors
    /// As [`Self::unregister`].
    pub fn rename(&mut self, new: &'a str) -> Result<(), Error> {
        let old = checked(self.name)?;
        let request = Request::DeviceUpdate {
            old,
            new: checked(new)?,
        };
        self.votequorum.change(&request)?;
        self.name = new;
        Ok(())
    }

    /// Tells that the device is alive, and votes on a ring (`votequorum_qdevice_poll`).
    ///
    /// # Errors
    /// As [`Self::unregister`], and [`Error::OldRing`].
    pub fn poll(&mut self, cast: Cast, ring: RingId) -> Result<(), Error> {
        self.votequorum.change(&Request::DevicePoll {
            name: checked(self.name)?,
            cast_vote: (cast == Cast::Votes).into(),
            ring,
        })
    }

    /// Chooses whether the device's votes decide alone (`votequorum_qdevice_master_wins`).
    ///
    /// # Errors
    /// As [`Self::unregister`].
    pub fn master_wins(&mut self, wins: MasterWins) -> Result<(), Error> {
        self.votequorum.change(&Request::DeviceMasterWins {
            name: checked(self.name)?,
            allow: (wins == MasterWins::Yes).into(),
        })
    }
}

fn checked(name: &str) -> Result<&[u8], Error> {
    if name.len() >= DEVICE_NAME || name.contains('\0') {
        return Err(Error::Invalid);
    }
    Ok(name.as_bytes())
}
