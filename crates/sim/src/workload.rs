//! What client processes do: come, join, send, leave, die.

use ferrosync_executive::output::FlowControl;
use ferrosync_wire::names::GroupName;
use ferrosync_wire::{ConnId, NodeId};

use crate::cluster::{Cluster, Event, Trouble};
use crate::host::Act;
use crate::process::{Body, Pace, Process, Stage};

impl Cluster {
    /// Some process of some machine does something.
    pub(crate) fn next_action(&mut self) {
        if self.trouble == Trouble::Off {
            return;
        }
        let next = self.around(self.options.workload.interval);
        self.schedule(self.now + next, Event::NextAction);
        let count = self.machines.len() as u64;
        let i = usize::try_from(self.rng.below(count)).expect("below the number of machines");
        if self.machines[i].node.is_none() || self.machines[i].paused_until.is_some() {
            return;
        }
        let conns: Vec<ConnId> = self.machines[i]
            .surroundings
            .processes
            .keys()
            .copied()
            .collect();
        let room = conns.len() < self.options.workload.processes;
        if room && (conns.is_empty() || self.rng.percent(20)) {
            self.spawn(i);
            return;
        }
        let choice = usize::try_from(self.rng.below(conns.len() as u64)).unwrap_or(0);
        if let Some(conn) = conns.get(choice) {
            self.act_as(i, *conn);
        }
    }

    /// A new process connects.
    pub(crate) fn spawn(&mut self, i: usize) -> ConnId {
        let conn = ConnId(self.next_conn);
        let pid = self.next_pid;
        self.next_conn += 1;
        self.next_pid += 1;
        let group = self.rng.below(self.options.workload.groups);
        let pace = if self.rng.percent(self.options.workload.slow_percent) {
            Pace::Slow
        } else {
            Pace::Prompt
        };
        let process = Process::new(conn, pid, group_name(group), pace);
        let machine = &mut self.machines[i];
        machine.surroundings.processes.insert(conn, process);
        self.act(i, Act::Connect(conn));
        conn
    }

    /// Every process reads what it has, the slow ones too.
    pub(crate) fn read_all(&mut self) {
        for i in 0..self.machines.len() {
            let processes = &mut self.machines[i].surroundings.processes;
            let conns: Vec<ConnId> = processes.keys().copied().collect();
            for process in processes.values_mut() {
                process.pace = Pace::Prompt;
            }
            for conn in conns {
                self.act(i, Act::Read(conn));
            }
        }
    }

    fn act_as(&mut self, i: usize, conn: ConnId) {
        let dice = self.rng.below(100);
        let node = self.machines[i].surroundings.me;
        let Some(process) = self.machines[i].surroundings.processes.get_mut(&conn) else {
            return;
        };
        if process.has_unread() && process.pace == Pace::Slow && dice < 20 {
            return self.act(i, Act::Read(conn));
        }
        match process.stage {
            Stage::Connecting | Stage::Joining | Stage::Leaving => {}
            Stage::Connected => {
                process.join();
                self.act(i, Act::Submit(conn));
            }
            Stage::Joined if dice < 2 => {
                process.leave();
                self.act(i, Act::Submit(conn));
            }
            Stage::Joined if dice < 4 => self.act(i, Act::Close(conn)),
            Stage::Joined => self.burst(i, conn, node),
            Stage::Left => self.act(i, Act::Close(conn)),
        }
    }

    fn burst(&mut self, i: usize, conn: ConnId, node: NodeId) {
        let count = 1 + self.rng.below(self.options.workload.burst);
        for _ in 0..count {
            let size = self.size();
            let Some(process) = self.machines[i].surroundings.processes.get_mut(&conn) else {
                return;
            };
            // libcpg answers TRY_AGAIN by itself while the daemon holds the process back.
            let held_back = process.flow != FlowControl::Off || process.waiting.len() > WAITING_MAX;
            if held_back {
                return;
            }
            process.mcast(node, size);
        }
        self.act(i, Act::Submit(conn));
    }

    fn size(&mut self) -> usize {
        let workload = &self.options.workload;
        let (huge, large) = (workload.huge_percent, workload.large_percent);
        let size = if self.rng.percent(huge) {
            return Body::MAX;
        } else if self.rng.percent(large) {
            500 + self.rng.below(20_000)
        } else {
            24 + self.rng.below(200)
        };
        usize::try_from(size).unwrap_or(Body::HEAD)
    }
}

/// The name of a group of the workload.
pub(crate) fn group_name(number: u64) -> GroupName {
    GroupName::new(format!("group{number}").as_bytes()).expect("a short name")
}

/// Requests that a process keeps waiting at most.
const WAITING_MAX: usize = 32;
