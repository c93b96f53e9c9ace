//! What clients ask of votequorum (corosync `votequorum.c:message_handler_req_lib_votequorum_*`, v3.1.7).

use ferrosync_wire::exec::votequorum::{Message, NodeFlags, Reconfigure};
use ferrosync_wire::ipc::votequorum::{Info, InfoFlags, Request, Status};
use ferrosync_wire::ipc::{Answer, CsError};
use ferrosync_wire::{ConnId, NodeId};

use super::Votequorum;
use super::decide::{Policy, View, need_if};
use super::model::DEVICE;
use super::nodes::Node;
use super::trackers::{node_list_event, quorum_event, wants_state};
use crate::core::Quorate;
use crate::service::Ctx;

impl Votequorum {
    /// Answers a request, or sees to it that it will be answered.
    pub(super) fn request(&mut self, cx: &mut Ctx<'_>, conn: ConnId, request: &Request<'_>) {
        let status = match *request {
            Request::GetInfo { nodeid } => {
                return cx.respond(conn, &Answer(self.info_of(nodeid)));
            }
            Request::DeviceRegister { name } => return self.register_device(cx, conn, name),
            Request::SetExpected { votes } => self.set_expected(cx, votes),
            Request::SetVotes { votes, nodeid } => self.set_votes(cx, nodeid, votes),
            Request::TrackStart { context, flags } => self.track_start(cx, conn, context, flags),
            Request::TrackStop => self.trackers.stop(conn),
            Request::DeviceUnregister { name } => self.unregister_device(cx, name),
            Request::DeviceUpdate { old, new } => self.rename_device(cx, old, new),
            Request::DevicePoll {
                name,
                cast_vote,
                ring,
            } => self.poll_device(cx, name, cast_vote, ring),
            Request::DeviceMasterWins { name, allow } => self.let_device_win(cx, name, allow),
        };
        cx.respond(conn, &Answer::<Status>::from(status));
    }

    fn info_of(&self, nodeid: NodeId) -> Result<Info<'_>, CsError> {
        let view = &self.model.view;
        let id = if nodeid == DEVICE {
            view.nodes.me()
        } else {
            nodeid
        };
        let node = view.nodes.get(id).ok_or(CsError::NotExist)?;
        let present = || view.nodes.present();
        let votes = present().fold(0, |sum: u32, n| sum.saturating_add(n.votes));
        let casts = node.flags.contains(NodeFlags::QDEVICE_CAST_VOTE);
        let device_votes = if casts { view.device.votes } else { 0 };
        Ok(Info {
            nodeid: node.id,
            state: node.presence.state(),
            votes: node.votes,
            expected_votes: node.expected,
            highest_expected: present().map(|n| n.expected).max().unwrap_or(0),
            total_votes: votes.saturating_add(device_votes),
            quorum: view.quorum,
            flags: info_flags(view, &self.model.policy, node),
            device_votes: view.device.votes,
            device_name: self.device.name(),
        })
    }

    /// Fewer votes than there are make no sense, and nobody may take away the quorum in this way.
    fn set_expected(&mut self, cx: &mut Ctx<'_>, votes: u32) -> Result<(), CsError> {
        let view = &self.model.view;
        let need = need_if(view, &self.model.policy, Some(votes));
        let loses = view.quorate == Quorate::Yes && need.quorum > need.votes;
        if votes < need.votes || loses || need.quorum > QUORUM_MAX {
            return Err(CsError::InvalidParam);
        }
        let me = view.nodes.me();
        send_change(cx, Reconfigure::EXPECTED_VOTES, me, votes)?;
        // Only what was sent counts (D-43). Clients see the new number at once, the decision follows when the message comes back.
        if votes > 0 {
            self.model.view.nodes.expect(votes);
        }
        Ok(())
    }

    fn set_votes(&mut self, cx: &mut Ctx<'_>, id: NodeId, votes: u32) -> Result<(), CsError> {
        let mut view = self.model.view.clone();
        if id == DEVICE {
            view.device.votes = votes;
        } else {
            let node = view.nodes.get_mut(id).ok_or(CsError::NameNotFound)?;
            node.votes = votes;
        }
        let need = need_if(&view, &self.model.policy, None);
        if need.quorum < need.votes / 2 || need.quorum > need.votes || need.quorum > QUORUM_MAX {
            return Err(CsError::InvalidParam);
        }
        send_change(cx, Reconfigure::NODE_VOTES, id, votes)?;
        self.model.view = view;
        Ok(())
    }

    /// The state goes out first, also to a client that is refused because it listens already.
    fn track_start(
        &mut self,
        cx: &mut Ctx<'_>,
        conn: ConnId,
        context: u64,
        flags: u32,
    ) -> Result<(), CsError> {
        if wants_state(flags) {
            let view = &self.model.view;
            cx.event(conn, &node_list_event(view, self.ring, context));
            cx.event(conn, &quorum_event(view, context));
        }
        self.trackers.start(conn, context, flags)
    }
}

fn send_change(cx: &mut Ctx<'_>, param: u8, nodeid: NodeId, value: u32) -> Result<(), CsError> {
    let change = Reconfigure {
        nodeid,
        value,
        param,
    };
    cx.mcast(&Message::Reconfigure(change))
        .map_err(|_| CsError::NoResources)
}

fn info_flags(view: &View, policy: &Policy, node: &Node) -> InfoFlags {
    let has = |flag| node.flags.contains(flag);
    [
        (policy.two_node, InfoFlags::TWONODE),
        (view.quorate == Quorate::Yes, InfoFlags::QUORATE),
        (policy.wait_for_all.is_on(), InfoFlags::WAIT_FOR_ALL),
        (
            policy.last_man_standing.is_some(),
            InfoFlags::LAST_MAN_STANDING,
        ),
        (policy.tie_breaker.is_some(), InfoFlags::AUTO_TIE_BREAKER),
        (policy.allow_downscale, InfoFlags::ALLOW_DOWNSCALE),
        (
            has(NodeFlags::QDEVICE_REGISTERED),
            InfoFlags::QDEVICE_REGISTERED,
        ),
        (has(NodeFlags::QDEVICE_ALIVE), InfoFlags::QDEVICE_ALIVE),
        (
            has(NodeFlags::QDEVICE_CAST_VOTE),
            InfoFlags::QDEVICE_CAST_VOTE,
        ),
        (
            has(NodeFlags::QDEVICE_MASTER_WINS),
            InfoFlags::QDEVICE_MASTER_WINS,
        ),
    ]
    .into_iter()
    .filter(|(is_on, _)| *is_on)
    .fold(InfoFlags::default(), |all, (_, flag)| all.with(flag))
}

/// C keeps the quorum in 8 bits: what clients ask for must not make members that run it count differently.
const QUORUM_MAX: u32 = 255;
