//! Quorum state for clients, whichever provider decides it (corosync `exec/vsf_quorum.c`, v3.1.7).

use ferrosync_wire::ipc::{CsError, ResponseHeader};
use ferrosync_wire::{ConnId, ServiceId};

use crate::config::Config;
use crate::service::{Ctx, Library, Needs, Service, ServiceInfo, TakesPart};

/// The service.
#[derive(Debug)]
pub struct Quorum;

impl Quorum {
    /// From the configuration.
    #[must_use]
    pub fn new(_config: &Config) -> Self {
        Self
    }
}

impl Service for Quorum {
    fn info(&self) -> &'static ServiceInfo {
        &INFO
    }

    fn lib_request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, _message: &[u8]) {
        cx.respond_bytes(conn, &ResponseHeader::refusal(CsError::NotSupported));
    }
}

static INFO: ServiceInfo = ServiceInfo {
    id: ServiceId::QUORUM,
    name: "quorum",
    title: "corosync cluster quorum service v0.1",
    priority: 1,
    library: Library::Yes,
    sync: TakesPart::Yes,
    requests: REQUESTS,
    exec_functions: 0,
};

const REQUESTS: &[Needs] = &[];
