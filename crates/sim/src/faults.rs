//! What goes wrong now and then, and how it is over.

use ferrosync_wire::{Duration, Instant, LinkId, RingSeq};

use crate::cluster::{Cluster, Event, Trouble};
use crate::host::{Act, StoreBehaviour};
use crate::options::FaultKind;

/// Something that will be over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// These directions carry nothing.
    Cut(Vec<(usize, usize)>),
    /// This direction loses much.
    Loss(usize, usize),
    /// This link of this machine is unplugged.
    Unplugged(usize, LinkId),
    /// This machine's process ends at its next store, if it comes to that.
    Store(usize),
}

impl Cluster {
    /// Something goes wrong, by the weights of this world.
    pub(crate) fn next_fault(&mut self) {
        if self.trouble == Trouble::Off {
            return;
        }
        let next = self.around(self.options.faults.interval);
        self.schedule(self.now + next, Event::NextFault);
        let total: u64 = self.options.faults.weights.values().sum();
        let mut choice = self.rng.below(total);
        let mut chosen = None;
        for (kind, weight) in &self.options.faults.weights {
            if choice < *weight {
                chosen = Some(*kind);
                break;
            }
            choice -= weight;
        }
        if let Some(kind) = chosen {
            let duration = self.around(self.options.faults.duration);
            self.strike(kind, duration);
        }
    }

    fn strike(&mut self, kind: FaultKind, duration: Duration) {
        let until = self.now + duration;
        let (a, b) = self.two_machines();
        match kind {
            FaultKind::OneWayCut => self.cut(vec![(a, b)], until),
            FaultKind::Partition => {
                let sides: Vec<u64> = self.machines.iter().map(|_| 0).collect();
                let sides: Vec<u64> = sides.iter().map(|_| self.rng.below(2)).collect();
                self.cut(between(&sides), until);
            }
            FaultKind::Clog => {
                self.note(format!("{} to {} clogs until {until}", a + 1, b + 1));
                self.network.clog(a, b, until);
            }
            FaultKind::Loss => {
                let ppm = 50_000 + self.rng.below(500_000);
                self.note(format!(
                    "{} to {} loses {ppm} ppm until {until}",
                    a + 1,
                    b + 1
                ));
                self.network.lose(a, b, ppm);
                self.schedule(until, Event::FaultOver(Fault::Loss(a, b)));
            }
            FaultKind::Pause => self.pause(a, until),
            FaultKind::Crash => {
                self.kill(a);
                self.schedule(until, Event::Boot(a));
            }
            FaultKind::CrashAndForget => {
                self.kill(a);
                self.machines[a].surroundings.stored = RingSeq(0);
                self.note(format!("{} forgets its ring seq", a + 1));
                self.schedule(until, Event::Boot(a));
            }
            FaultKind::CrashAtStore => {
                self.machines[a].surroundings.store = if self.rng.percent(50) {
                    StoreBehaviour::CrashesBefore
                } else {
                    StoreBehaviour::CrashesAfter
                };
                self.schedule(until, Event::FaultOver(Fault::Store(a)));
            }
            FaultKind::LinkDown => {
                let links = u64::from(self.options.transport.links());
                let link = LinkId(u8::try_from(self.rng.below(links)).unwrap_or(0));
                self.note(format!(
                    "link {} of {} is down until {until}",
                    link.0,
                    a + 1
                ));
                self.network.unplug(a, link);
                self.schedule(until, Event::FaultOver(Fault::Unplugged(a, link)));
            }
            FaultKind::Restart => {
                self.note(format!("{} is asked to stop", a + 1));
                self.act(a, Act::Shutdown);
            }
        }
    }

    /// Something is over.
    pub(crate) fn fault_over(&mut self, fault: &Fault) {
        match fault {
            Fault::Cut(links) => {
                for (from, to) in links {
                    self.network.mend(*from, *to);
                }
            }
            Fault::Loss(from, to) => self.network.lose(*from, *to, 0),
            Fault::Unplugged(machine, link) => self.network.plug(*machine, *link),
            Fault::Store(machine) => {
                self.machines[*machine].surroundings.store = StoreBehaviour::Works;
            }
        }
    }

    /// Cuts some directions until then.
    pub(crate) fn cut(&mut self, links: Vec<(usize, usize)>, until: Instant) {
        for (from, to) in &links {
            self.network.cut(*from, *to);
            self.note(format!("{} to {} is cut until {until}", from + 1, to + 1));
        }
        self.schedule(until, Event::FaultOver(Fault::Cut(links)));
    }

    /// Stops a machine's process until then.
    pub(crate) fn pause(&mut self, i: usize, until: Instant) {
        if self.machines[i].node.is_none() {
            return;
        }
        self.note(format!("{} is paused until {until}", i + 1));
        let machine = &mut self.machines[i];
        machine.paused_until = machine.paused_until.max(Some(until));
        machine.planned = None;
        self.plan(i);
    }

    /// Ends all trouble: links are mended, processes run.
    pub(crate) fn heal_all(&mut self) {
        self.note("the world is healed".to_owned());
        self.trouble = Trouble::Off;
        self.network.heal();
        for i in 0..self.machines.len() {
            let machine = &mut self.machines[i];
            machine.surroundings.store = StoreBehaviour::Works;
            if machine.paused_until.take().is_some() {
                machine.planned = None;
                self.plan(i);
            }
        }
        self.boot_all();
    }

    pub(crate) fn note(&mut self, text: String) {
        self.watch.report.line(self.now, || text);
    }

    /// A time between half and one and a half of `mean`.
    pub(crate) fn around(&mut self, mean: Duration) -> Duration {
        let nanos = u64::try_from(mean.as_nanos()).unwrap_or(u64::MAX / 2);
        mean / 2 + Duration::from_nanos(self.rng.below(nanos))
    }

    fn two_machines(&mut self) -> (usize, usize) {
        let count = self.machines.len() as u64;
        let a = self.rng.below(count);
        let b = (a + 1 + self.rng.below(count - 1)) % count;
        let index = |n| usize::try_from(n).expect("below the number of machines");
        (index(a), index(b))
    }
}

/// All directions between machines of different sides.
pub(crate) fn between(sides: &[u64]) -> Vec<(usize, usize)> {
    let count = sides.len();
    (0..count)
        .flat_map(|a| (0..count).map(move |b| (a, b)))
        .filter(|(a, b)| sides[*a] != sides[*b])
        .collect()
}
