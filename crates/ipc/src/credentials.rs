//! Who sent a message, as the kernel attached it.

use nix::sys::socket::{ControlMessageOwned, RecvMsg};

use crate::handshake::Credentials;

/// The sender's credentials, when the receiving socket asks for them.
pub(crate) fn sender<S>(message: &RecvMsg<'_, '_, S>) -> Option<Credentials> {
    let mut controls = message.cmsgs().ok()?;
    controls.find_map(|control| {
        let ControlMessageOwned::ScmCredentials(sender) = control else {
            return None;
        };
        Some(Credentials {
            pid: u32::try_from(sender.pid()).unwrap_or(0),
            uid: sender.uid(),
            gid: sender.gid(),
        })
    })
}
