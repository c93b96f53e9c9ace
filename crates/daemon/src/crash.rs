//! The end of a daemon with a bug: said in the log, with the flight recorder saved.
//!
//! C does this in a handler of SIGSEGV and SIGABRT (`main.c:sigsegv_handler`, v3.1.7). What ends the process without
//! unwinding leaves the recorder's file behind, which the next daemon saves (`docs/deviations.md`, D-97).

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Mutex, PoisonError};

use ferrosync_executive::log::Priority;

use crate::host::OsHost;

/// Calls `run`; if it panics, where and why.
///
/// # Errors
/// It panicked. What it worked on may be half done and is good for last words only.
pub(crate) fn catch<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    let standard = take_hook();
    set_hook(Box::new(move |info| {
        *LAST.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
        standard(info);
    }));
    let result = catch_unwind(AssertUnwindSafe(run));
    // Dropping it brings the standard one back.
    drop(take_hook());
    result.map_err(|_| {
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *last)
    })
}

/// Says what happened, saves the flight recorder and ends as C does, with SIGABRT.
pub(crate) fn end(host: &mut OsHost, text: &str) -> ! {
    for line in text.lines() {
        host.say(Priority::Emergency, line);
    }
    host.log.stop_writer();
    host.dump_recorder();
    host.log.stop_recorder();
    std::process::abort()
}

/// What the last panic said.
static LAST: Mutex<String> = Mutex::new(String::new());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_place() {
        assert_eq!(catch(|| 5), Ok(5));
        let told = catch(|| -> () { panic!("out of {}", "cheese") });
        let told = told.expect_err("it panics");
        assert!(
            told.contains("crash.rs:") && told.contains("out of cheese"),
            "{told}"
        );
    }
}
