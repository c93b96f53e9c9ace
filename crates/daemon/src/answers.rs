//! What only the machine can do for a service: mapping clients' buffers, opening log files anew, reading files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, io};

use ferrosync_executive::config::{self, Fixed, SourceFile};
use ferrosync_executive::log::Priority;
use ferrosync_executive::output::{HostAnswer, HostRequest, Reread};
use ferrosync_ipc::ZeroCopyError;
use ferrosync_wire::ipc::CsError;

use crate::host::OsHost;
use crate::start::read_config;
use crate::{figures, machine, secrets};

/// Carries out one wish; what came of it, if somebody waits. A message read from a buffer lies in `buffer`.
pub(crate) fn carry_out<'b>(
    host: &mut OsHost,
    request: HostRequest,
    buffer: &'b mut Vec<u8>,
) -> Option<HostAnswer<'b>> {
    match request {
        HostRequest::ZeroCopyAlloc { conn, path, size } => {
            let path = Path::new(OsStr::from_bytes(&path));
            let result = host.ipc.zero_copy_alloc(conn, path, size);
            Some(HostAnswer::ZeroCopyMapped {
                conn,
                result: result.map_err(|e| status(&e)),
            })
        }
        HostRequest::ZeroCopyFree { conn, address, .. } => {
            let result = host.ipc.zero_copy_free(conn, address);
            Some(HostAnswer::ZeroCopyFreed {
                conn,
                result: result.map_err(|e| status(&e)),
            })
        }
        HostRequest::ZeroCopyExecute { conn, address } => {
            buffer.clear();
            let result = host.ipc.zero_copy_read(conn, address, buffer);
            let request = match result {
                Ok(()) => Ok(&buffer[..]),
                Err(e) => Err(status(&e)),
            };
            Some(HostAnswer::ZeroCopyRead { conn, request })
        }
        HostRequest::ReopenLogs { conn } => {
            let result = reopen_logs(host);
            Some(HostAnswer::LogsReopened { conn, result })
        }
        HostRequest::ReadKey => Some(read_key(&host.config_path)),
        HostRequest::ReadConfig { fixed } => Some(HostAnswer::ConfigRead {
            result: reread(&host.config_path, &fixed),
        }),
        HostRequest::SetLinks(links) => {
            for text in host.sockets.set_links(&links) {
                host.say(Priority::Error, text);
            }
            None
        }
        HostRequest::SetLogging(config) => {
            host.set_logging(*config);
            None
        }
        HostRequest::DumpFlightData => {
            host.dump_recorder();
            None
        }
        HostRequest::Measure(figure) => Some(HostAnswer::Measured(figures::measure(figure))),
        HostRequest::Watchdog(request) => match host.dog.carry_out(&request) {
            Ok(answer) => answer.map(HostAnswer::Watchdog),
            Err(e) => {
                host.say(
                    Priority::Error,
                    format!("Cannot write to the watchdog: {e}"),
                );
                None
            }
        },
        HostRequest::Date(pause) => Some(HostAnswer::Dated {
            pause,
            at_ms: milliseconds_since_1970(),
        }),
        HostRequest::Machine(end) => {
            // Why, has been said.
            host.log.stop_writer();
            let text = machine::take_down(end);
            host.say(Priority::Critical, text);
            None
        }
    }
}

fn reopen_logs(host: &mut OsHost) -> Result<(), CsError> {
    let Err(failed) = host.log.reopen() else {
        return Ok(());
    };
    let text = format!(
        "Unable to reopen log file {}: {}",
        failed.file, failed.error
    );
    host.say(Priority::Warning, text);
    let kind = failed.error.kind();
    Err(if kind == io::ErrorKind::PermissionDenied {
        CsError::Access
    } else if kind == io::ErrorKind::NotFound {
        CsError::NotExist
    } else {
        CsError::Library
    })
}

fn milliseconds_since_1970() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(time.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

fn reread(path: &Path, fixed: &Fixed) -> Result<Box<Reread>, String> {
    let config = read_config(path, fixed)?;
    let key = secrets::gather(&config)?.key;
    Ok(Box::new(Reread { config, key }))
}

/// What the files say of the key, where they say something sensible.
fn read_key(path: &Path) -> HostAnswer<'static> {
    let read = || {
        let bytes = fs::read(path).ok()?;
        let crypto = config::crypto_of(SourceFile {
            name: &path.to_string_lossy(),
            bytes: &bytes,
        })?;
        let key = secrets::key(&crypto).ok()?;
        Some((crypto, key))
    };
    HostAnswer::KeyRead { key: read() }
}

/// What a client is told.
fn status(error: &ZeroCopyError) -> CsError {
    match error {
        ZeroCopyError::Gone | ZeroCopyError::Io(_) => CsError::Library,
        ZeroCopyError::TooMany => CsError::NoMemory,
        ZeroCopyError::BadSize(_) | ZeroCopyError::BadPath | ZeroCopyError::BadAddress(_) => {
            CsError::InvalidParam
        }
        ZeroCopyError::BadLength(_) => CsError::TooBig,
    }
}
