//! The services of a node.

pub mod cfg;
pub mod cmap;
pub mod cpg;
pub mod mon;
pub mod pload;
pub mod quorum;
mod resource_state;
pub mod votequorum;
pub mod wd;
mod ykd;

use ferrosync_wire::ServiceId;

use crate::config::Config;
use crate::output::Kept;
use crate::service::{Library, Service, TakesPart};

/// All services of a node. A closed set: fields, not a registry.
#[derive(Debug)]
pub(crate) struct Services {
    cmap: cmap::Cmap,
    cfg: cfg::Cfg,
    cpg: cpg::Cpg,
    quorum: quorum::Quorum,
    pload: pload::Pload,
    mon: mon::Mon,
    wd: wd::Wd,
    /// Only where the configuration names it as provider.
    votequorum: Option<votequorum::Votequorum>,
}

impl Services {
    pub(crate) fn new(config: &Config, kept: &Kept) -> Self {
        Self {
            cmap: cmap::Cmap::new(config),
            cfg: cfg::Cfg::new(config),
            cpg: cpg::Cpg::new(config),
            quorum: quorum::Quorum::new(config, kept),
            pload: pload::Pload::new(),
            mon: mon::Mon::new(),
            wd: wd::Wd::new(),
            votequorum: votequorum::Votequorum::from_config(config, kept),
        }
    }

    pub(crate) fn get(&self, id: ServiceId) -> Option<&dyn Service> {
        match id {
            ServiceId::CMAP => Some(&self.cmap),
            ServiceId::CFG => Some(&self.cfg),
            ServiceId::CPG => Some(&self.cpg),
            ServiceId::QUORUM => Some(&self.quorum),
            ServiceId::PLOAD => Some(&self.pload),
            ServiceId::MON => Some(&self.mon),
            ServiceId::WD => Some(&self.wd),
            ServiceId::VOTEQUORUM => self.votequorum.as_ref().map(|v| v as &dyn Service),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, id: ServiceId) -> Option<&mut dyn Service> {
        match id {
            ServiceId::CMAP => Some(&mut self.cmap),
            ServiceId::CFG => Some(&mut self.cfg),
            ServiceId::CPG => Some(&mut self.cpg),
            ServiceId::QUORUM => Some(&mut self.quorum),
            ServiceId::PLOAD => Some(&mut self.pload),
            ServiceId::MON => Some(&mut self.mon),
            ServiceId::WD => Some(&mut self.wd),
            ServiceId::VOTEQUORUM => self.votequorum.as_mut().map(|v| v as &mut dyn Service),
            _ => None,
        }
    }

    /// All services, in the order in which corosync loads them (`service.c:default_services`, v3.1.7).
    pub(crate) fn ids(&self) -> impl Iterator<Item = ServiceId> + use<> {
        let votequorum = self.votequorum.is_some().then_some(ServiceId::VOTEQUORUM);
        LOAD_ORDER.into_iter().chain(votequorum)
    }

    /// Those that synchronise, in the order in which they do.
    pub(crate) fn synchronised(&self) -> impl Iterator<Item = u16> + '_ {
        self.ids()
            .filter(|id| {
                self.get(*id)
                    .is_some_and(|s| s.info().sync == TakesPart::Yes)
            })
            .map(|id| id.0)
    }

    /// Those that clients can connect to.
    pub(crate) fn listening(&self) -> impl Iterator<Item = (ServiceId, &'static str)> + '_ {
        self.ids().filter_map(|id| {
            let info = self.get(id)?.info();
            (info.library == Library::Yes).then_some((id, info.name))
        })
    }

    /// Order of stopping: highest priority first, equal ones by number.
    pub(crate) fn stop_order(&self) -> Vec<ServiceId> {
        let mut ids: Vec<ServiceId> = self.ids().collect();
        let priority = |id: &ServiceId| self.get(*id).map_or(0, |s| s.info().priority);
        ids.sort_by_key(|id| (core::cmp::Reverse(priority(id)), *id));
        ids
    }
}

const LOAD_ORDER: [ServiceId; 7] = [
    ServiceId::CMAP,
    ServiceId::CFG,
    ServiceId::CPG,
    ServiceId::PLOAD,
    ServiceId::MON,
    ServiceId::WD,
    ServiceId::QUORUM,
];
