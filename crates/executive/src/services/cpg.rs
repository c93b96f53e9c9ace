//! Closed process groups (corosync `exec/cpg.c`, v3.1.7).

use ferrosync_wire::ipc::{CsError, ResponseHeader};
use ferrosync_wire::{ConnId, ServiceId};

use crate::config::Config;
use crate::service::{Ctx, Library, Needs, Service, ServiceInfo, TakesPart};

/// The service.
#[derive(Debug)]
pub struct Cpg;

impl Cpg {
    /// From the configuration.
    #[must_use]
    pub fn new(_config: &Config) -> Self {
        Self
    }
}

impl Service for Cpg {
    fn info(&self) -> &'static ServiceInfo {
        &INFO
    }

    fn lib_request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, _message: &[u8]) {
        cx.respond_bytes(conn, &ResponseHeader::refusal(CsError::NotSupported));
    }
}

static INFO: ServiceInfo = ServiceInfo {
    id: ServiceId::CPG,
    name: "cpg",
    title: "corosync cluster closed process group service v1.01",
    priority: 1,
    library: Library::Yes,
    sync: TakesPart::Yes,
    requests: REQUESTS,
    exec_functions: 7,
};

const REQUESTS: &[Needs] = &[];
