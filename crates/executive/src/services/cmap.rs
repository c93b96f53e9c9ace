//! The configuration map for clients (corosync `exec/cmap.c`, v3.1.7).

use ferrosync_wire::ipc::{CsError, ResponseHeader};
use ferrosync_wire::{ConnId, ServiceId};

use crate::config::Config;
use crate::service::{Ctx, Library, Needs, Service, ServiceInfo, TakesPart};

/// The service.
#[derive(Debug)]
pub struct Cmap;

impl Cmap {
    /// From the configuration.
    #[must_use]
    pub fn new(_config: &Config) -> Self {
        Self
    }
}

impl Service for Cmap {
    fn info(&self) -> &'static ServiceInfo {
        &INFO
    }

    fn lib_request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, _message: &[u8]) {
        cx.respond_bytes(conn, &ResponseHeader::refusal(CsError::NotSupported));
    }
}

static INFO: ServiceInfo = ServiceInfo {
    id: ServiceId::CMAP,
    name: "cmap",
    title: "corosync configuration map access",
    priority: 1,
    library: Library::Yes,
    sync: TakesPart::Yes,
    requests: REQUESTS,
    exec_functions: 1,
};

const REQUESTS: &[Needs] = &[];
