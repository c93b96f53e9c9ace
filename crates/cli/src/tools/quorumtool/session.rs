//! The connections of a run.

use std::time::Duration;

use ferrosync_client::cfg::Cfg;
use ferrosync_client::cmap::Cmap;
use ferrosync_client::quorum::{Event, Model, Provider, Quorum, Track};
use ferrosync_client::votequorum::{Event as VoteEvent, Votequorum};
use ferrosync_client::{CsError, NodeId, RingSeq, Value};

use crate::tools::{Output, Stop, options};

/// What the tool talks to.
pub(super) struct Session {
    pub(super) cmap: Cmap,
    pub(super) quorum: Quorum,
    pub(super) cfg: Cfg,
    /// None where something else decides about quorum, or nobody.
    pub(super) votequorum: Option<Votequorum>,
    /// This node; 0 without votequorum.
    pub(super) local: NodeId,
}

/// Quorum and who shares it.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) quorate: bool,
    pub(super) ring_seq: RingSeq,
    pub(super) members: Vec<NodeId>,
}

impl Session {
    pub(super) fn open(output: &mut Output<'_>) -> Result<Self, Stop> {
        let options = options();
        let Ok(cmap) = Cmap::connect(&options) else {
            return output.fail("Cannot initialize CMAP service");
        };
        let Ok(quorum) = Quorum::connect(Model::V0, &options) else {
            return output.fail("Cannot initialize QUORUM service");
        };
        let Ok(cfg) = Cfg::connect(&options) else {
            return output.fail("Cannot initialise CFG service");
        };
        let mut session = Self {
            cmap,
            quorum,
            cfg,
            votequorum: None,
            local: NodeId(0),
        };
        if session.provider().as_deref() == Some(VOTEQUORUM) {
            let Ok(votequorum) = Votequorum::connect(&options) else {
                return output.fail("Cannot initialise VOTEQUORUM service");
            };
            session.votequorum = Some(votequorum);
            let Ok(Value::U32(local)) = session.cmap.get("runtime.votequorum.this_node_id") else {
                return output.fail("Unable to retrieve this_node_id");
            };
            session.local = NodeId(local);
        }
        Ok(session)
    }

    /// Who decides about quorum, by its name in the configuration.
    pub(super) fn provider(&mut self) -> Option<String> {
        if self.quorum.provider() == Provider::None {
            return None;
        }
        let name = self.cmap.get("quorum.provider").ok()?;
        name.as_str().map(str::to_owned)
    }

    /// Begins to track quorum.
    pub(super) fn track(&mut self, what: Track, output: &mut Output<'_>) -> Result<(), Stop> {
        self.quorum.track(what).or_else(|error| {
            let error = error.code();
            output.fail(format_args!(
                "Unable to start quorum status tracking: {error}"
            ))
        })
    }

    /// Begins to track votes. Where nobody decides about quorum, C asks a connection that it does not have.
    pub(super) fn track_votes(&mut self, what: Track, output: &mut Output<'_>) -> Result<(), Stop> {
        let provider = self.provider();
        let result = match (&mut self.votequorum, provider) {
            (Some(votequorum), _) => votequorum.track(what).map_err(|error| error.code()),
            (None, Some(_)) => Ok(()),
            (None, None) => Err(CsError::BadHandle),
        };
        result.or_else(|error| {
            output.fail(format_args!(
                "Unable to start votequorum status tracking: {error}"
            ))
        })
    }

    /// The next view.
    pub(super) fn view(
        &mut self,
        patience: Duration,
        output: &mut Output<'_>,
    ) -> Result<View, Stop> {
        let error = loop {
            match self.quorum.dispatch(patience) {
                Ok(Some(Event::V0 {
                    quorate,
                    ring_seq,
                    members,
                })) => {
                    return Ok(View {
                        quorate,
                        ring_seq,
                        members,
                    });
                }
                // Of another model, which this connection is not.
                Ok(Some(Event::Quorum { .. } | Event::Nodes { .. })) => {}
                Ok(None) => break CsError::Timeout,
                Err(error) => break error.code(),
            }
        };
        output.fail(format_args!("Unable to dispatch quorum status: {error}"))
    }

    /// The node that leads the ring of the next list of nodes that votequorum tells; none without votequorum.
    pub(super) fn ring_leader(
        &mut self,
        patience: Duration,
        output: &mut Output<'_>,
    ) -> Result<Option<NodeId>, Stop> {
        let Some(votequorum) = &mut self.votequorum else {
            return Ok(None);
        };
        let error = loop {
            match votequorum.dispatch(patience) {
                Ok(Some(VoteEvent::Nodes { ring, .. })) => return Ok(Some(ring.rep)),
                Ok(Some(VoteEvent::Quorum { .. } | VoteEvent::ExpectedVotes(_))) => {}
                Ok(None) => break CsError::Timeout,
                Err(error) => break error.code(),
            }
        };
        output.fail(format_args!(
            "Unable to dispatch votequorum status: {error}"
        ))
    }
}

/// What the configuration calls votequorum.
const VOTEQUORUM: &str = "corosync_votequorum";
