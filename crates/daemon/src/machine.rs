//! What a node does to its machine: the watchdog, and taking it down.

use std::io;
use std::path::Path;

use ferrosync_executive::output::{MachineEnd, WatchdogAnswer, WatchdogRequest};
use ferrosync_ipc::watchdog::Watchdog;
use nix::sys::reboot::{RebootMode, reboot};

/// The watchdog, if one is open.
#[derive(Debug, Default)]
pub(crate) struct Dog(Option<Watchdog>);

impl Dog {
    /// Carries out one wish; what came of it, if somebody waits.
    ///
    /// # Errors
    /// A device that did not hear.
    pub(crate) fn carry_out(
        &mut self,
        request: &WatchdogRequest,
    ) -> io::Result<Option<WatchdogAnswer>> {
        match request {
            WatchdogRequest::Open { device } => Ok(Some(self.open(Path::new(device)))),
            WatchdogRequest::SetTimeout(seconds) => {
                let dog = self.0.as_ref();
                let timeout_s = dog.and_then(|dog| {
                    let set = dog.set_timeout(*seconds).or_else(|_| dog.timeout());
                    set.ok()
                });
                Ok(Some(WatchdogAnswer::TimeoutSet { timeout_s }))
            }
            WatchdogRequest::Tickle => {
                let tickled = self.0.as_mut().map_or(Ok(()), Watchdog::tickle);
                tickled.map(|()| None)
            }
            WatchdogRequest::Close => {
                let closed = self.0.take().map_or(Ok(()), Watchdog::disarm);
                closed.map(|()| None)
            }
        }
    }

    fn open(&mut self, device: &Path) -> WatchdogAnswer {
        match Watchdog::open(device) {
            Ok(dog) => {
                let timeout_s = dog.timeout().ok();
                self.0 = Some(dog);
                WatchdogAnswer::Opened { timeout_s }
            }
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
                ) =>
            {
                WatchdogAnswer::Missing
            }
            Err(e) => WatchdogAnswer::Refused(e.to_string()),
        }
    }
}

/// Takes the machine down without waiting for anybody (corosync `wd.c:wd_resource_failed`, v3.1.7): who asks for this
/// does not trust the machine any more. Returns only when it cannot; says why.
pub(crate) fn take_down(end: MachineEnd) -> String {
    let mode = match end {
        MachineEnd::Reboot => RebootMode::RB_AUTOBOOT,
        MachineEnd::PowerOff => RebootMode::RB_POWER_OFF,
    };
    match reboot(mode) {
        Ok(never) => match never {},
        Err(e) => format!("Cannot take the machine down: {}", e.desc()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_opened_tickled_and_put_to_sleep() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("dog");
        let device = path.display().to_string();
        let mut dog = Dog::default();
        let mut wish = |request| dog.carry_out(&request).expect("it hears");
        let open = || WatchdogRequest::Open {
            device: device.clone(),
        };
        assert_eq!(wish(open()), Some(WatchdogAnswer::Missing));
        assert_eq!(wish(WatchdogRequest::Tickle), None);
        std::fs::write(&path, "").expect("a file");
        let timeout_s = None;
        assert_eq!(wish(open()), Some(WatchdogAnswer::Opened { timeout_s }));
        let set = wish(WatchdogRequest::SetTimeout(10));
        assert_eq!(set, Some(WatchdogAnswer::TimeoutSet { timeout_s }));
        assert_eq!(wish(WatchdogRequest::Tickle), None);
        assert_eq!(wish(WatchdogRequest::Close), None);
        assert_eq!(wish(WatchdogRequest::Tickle), None);
        assert_eq!(std::fs::read(&path).expect("it is there"), b"\0V");
    }

    #[test]
    fn a_directory_is_no_device() {
        let dir = tempfile::tempdir().expect("a directory");
        let device = dir.path().display().to_string();
        let answer = Dog::default().carry_out(&WatchdogRequest::Open { device });
        assert!(matches!(answer, Ok(Some(WatchdogAnswer::Refused(_)))));
    }
}
