//! The load generator (corosync `exec/pload.c`, v3.1.7).

use ferrosync_wire::ipc::{CsError, ResponseHeader};
use ferrosync_wire::{ConnId, ServiceId};

use crate::service::{Ctx, Library, Needs, Service, ServiceInfo, TakesPart};

/// The service.
#[derive(Debug)]
pub struct Pload;

impl Pload {
    /// The service, idle.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Service for Pload {
    fn info(&self) -> &'static ServiceInfo {
        &INFO
    }

    fn lib_request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, _message: &[u8]) {
        cx.respond_bytes(conn, &ResponseHeader::refusal(CsError::NotSupported));
    }
}

static INFO: ServiceInfo = ServiceInfo {
    id: ServiceId::PLOAD,
    name: "pload",
    title: "corosync profile loading service",
    priority: 1,
    library: Library::No,
    sync: TakesPart::No,
    requests: REQUESTS,
    exec_functions: 2,
};

const REQUESTS: &[Needs] = &[];
