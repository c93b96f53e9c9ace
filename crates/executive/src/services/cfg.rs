//! Configuration and administration (corosync `exec/cfg.c`, v3.1.7).

use ferrosync_wire::ipc::{CsError, ResponseHeader};
use ferrosync_wire::{ConnId, ServiceId};

use crate::config::Config;
use crate::service::{Ctx, Library, Needs, Service, ServiceInfo, TakesPart};

/// The service.
#[derive(Debug)]
pub struct Cfg;

impl Cfg {
    /// From the configuration.
    #[must_use]
    pub fn new(_config: &Config) -> Self {
        Self
    }
}

impl Service for Cfg {
    fn info(&self) -> &'static ServiceInfo {
        &INFO
    }

    fn lib_request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, _message: &[u8]) {
        cx.respond_bytes(conn, &ResponseHeader::refusal(CsError::NotSupported));
    }
}

static INFO: ServiceInfo = ServiceInfo {
    id: ServiceId::CFG,
    name: "cfg",
    title: "corosync configuration service",
    priority: 1,
    library: Library::Yes,
    sync: TakesPart::No,
    requests: REQUESTS,
    exec_functions: 5,
};

const REQUESTS: &[Needs] = &[];
