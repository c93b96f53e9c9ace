//! The voting quorum provider (corosync `exec/votequorum.c`, v3.1.7).

use ferrosync_wire::ipc::{CsError, ResponseHeader};
use ferrosync_wire::{ConnId, ServiceId};

use crate::config::Config;
use crate::service::{Ctx, Library, Needs, Service, ServiceInfo, TakesPart};

/// The service.
#[derive(Debug)]
pub struct Votequorum;

impl Votequorum {
    /// The provider, where the configuration names it.
    #[must_use]
    pub fn from_config(config: &Config) -> Option<Self> {
        config.quorum.votequorum.as_ref().map(|_| Self)
    }
}

impl Service for Votequorum {
    fn info(&self) -> &'static ServiceInfo {
        &INFO
    }

    fn lib_request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, _message: &[u8]) {
        cx.respond_bytes(conn, &ResponseHeader::refusal(CsError::NotSupported));
    }
}

static INFO: ServiceInfo = ServiceInfo {
    id: ServiceId::VOTEQUORUM,
    name: "votequorum",
    title: "corosync vote quorum service v1.0",
    priority: 2,
    library: Library::Yes,
    sync: TakesPart::Yes,
    requests: REQUESTS,
    exec_functions: 4,
};

const REQUESTS: &[Needs] = &[];
