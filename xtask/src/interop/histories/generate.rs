//! Histories from numbers: the same number makes the same history, everywhere and always.

use super::history::{History, Step};

/// The history of a number.
pub(super) fn generate(number: u64) -> History {
    let mut luck = Luck(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed);
    let (votes, settings) = cluster(&mut luck);
    let mut world = World {
        nodes: vec![Node::default(); votes.len()],
        sides: (1..=votes.len()).map(|id| vec![id]).collect(),
        traits: Traits::of(&settings),
        total: votes.iter().sum(),
        steps: Vec::new(),
        votes_changed: false,
    };
    world.votes_changed = world.traits.shrinks;
    world.gather(&mut luck);
    let wanted = world.steps.len() + STEPS_MIN + luck.below(STEPS_MORE);
    for _ in 0..ATTEMPTS_MAX {
        if world.steps.len() < wanted {
            world.happen(&mut luck);
        }
    }
    History {
        number,
        votes,
        settings,
        steps: world.steps,
    }
}

/// SplitMix64.
struct Luck(u64);

impl Luck {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("64 bits");
        usize::try_from(self.next() % bound).expect("less than the bound")
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Votes and settings.
fn cluster(luck: &mut Luck) -> (Vec<u32>, Vec<String>) {
    let kind = luck.pick(&KINDS);
    let count = if kind == Kind::TwoNode {
        2
    } else {
        luck.pick(&[2, 3, 3, 4, 4, 5])
    };
    // Nothing but a majority takes uneven votes well.
    let uneven = match kind {
        Kind::Majority | Kind::WaitForAll => luck.one_in(2),
        Kind::TwoNode | Kind::LastMan => false,
        Kind::TieBreaker | Kind::Downscale | Kind::Tracking | Kind::Device => luck.one_in(4),
    };
    let votes: Vec<u32> = (0..count)
        .map(|_| {
            if uneven {
                luck.pick(&[0, 1, 1, 2, 3])
            } else {
                1
            }
        })
        .collect();
    let mut settings: Vec<String> = Vec::new();
    let mut set = |key: &str, value: &str| {
        let setting = format!("{key}={value}");
        if !settings.contains(&setting) {
            settings.push(setting);
        }
    };
    match kind {
        Kind::Majority => {
            if luck.one_in(3) {
                set("expected_votes", luck.pick(&["2", "3", "5", "6"]));
            }
        }
        Kind::TwoNode => {
            set("two_node", "1");
            if luck.one_in(2) {
                set("wait_for_all", "0");
            }
        }
        Kind::WaitForAll => set("wait_for_all", "1"),
        Kind::TieBreaker => tie_breaker(luck, &mut set),
        Kind::LastMan => {
            set("last_man_standing", "1");
            set("last_man_standing_window", WINDOW_MS);
            if luck.one_in(2) {
                set("wait_for_all", "1");
                if luck.one_in(2) {
                    tie_breaker(luck, &mut set);
                }
            }
        }
        Kind::Downscale => set("allow_downscale", "1"),
        Kind::Tracking => set("expected_votes_tracking", "1"),
        Kind::Device => device(luck, uneven, &mut set),
    }
    if matches!(kind, Kind::Tracking | Kind::Downscale) && luck.one_in(4) {
        set("wait_for_all", "1");
    }
    (votes, settings)
}

fn tie_breaker(luck: &mut Luck, set: &mut impl FnMut(&str, &str)) {
    set("auto_tie_breaker", "1");
    match luck.below(4) {
        0 => {}
        1 => set("auto_tie_breaker_node", "highest"),
        2 => set("auto_tie_breaker_node", "2_1"),
        _ => set("auto_tie_breaker_node", "3_2_4"),
    }
    if luck.one_in(2) {
        set("wait_for_all", "1");
    }
}

fn device(luck: &mut Luck, uneven: bool, set: &mut impl FnMut(&str, &str)) {
    set("device.model", "net");
    set("device.timeout", "600000");
    if uneven || luck.one_in(2) {
        set("device.votes", luck.pick(&["1", "1", "2"]));
    }
    // Devices that vote for a ring as it forms, or that come too late each time.
    set(
        "device.sync_timeout",
        luck.pick(&[PATIENT_MS, PATIENT_MS, "1500"]),
    );
    if luck.one_in(4) {
        set("wait_for_all", "1");
    }
}

/// What a cluster is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Majority,
    TwoNode,
    WaitForAll,
    TieBreaker,
    LastMan,
    Downscale,
    Tracking,
    Device,
}

const KINDS: [Kind; 11] = [
    Kind::Majority,
    Kind::TwoNode,
    Kind::WaitForAll,
    Kind::TieBreaker,
    Kind::TieBreaker,
    Kind::LastMan,
    Kind::LastMan,
    Kind::Downscale,
    Kind::Tracking,
    Kind::Device,
    Kind::Device,
];

/// What of the settings matters to what can happen.
struct Traits {
    waits: bool,
    device: bool,
    /// Devices vote while a ring forms.
    patient: bool,
    /// Expected votes sink when nodes go.
    shrinks: bool,
    /// A node that starts again knows what it had tracked; corosync has forgotten it (D-100).
    tracks: bool,
}

impl Traits {
    fn of(settings: &[String]) -> Self {
        let has = |text: &str| settings.iter().any(|setting| setting == text);
        Self {
            waits: has("wait_for_all=1") || has("two_node=1"),
            device: has("device.model=net"),
            patient: has(&format!("device.sync_timeout={PATIENT_MS}")),
            shrinks: has("allow_downscale=1") || has("last_man_standing=1"),
            tracks: has("allow_downscale=1") || has("expected_votes_tracking=1"),
        }
    }
}

#[derive(Clone, Default)]
struct Node {
    runs: bool,
    has_run: bool,
    registered: bool,
    alive: bool,
}

/// The cluster as far as one can know without playing the history.
struct World {
    /// Node 1 first.
    nodes: Vec<Node>,
    /// Which nodes hear each other, whether they run or not.
    sides: Vec<Vec<usize>>,
    traits: Traits,
    total: u32,
    steps: Vec<Step>,
    /// Votes are no longer what is written: corosync would undo that where nobody is to be waited for (D-45).
    votes_changed: bool,
}

impl World {
    /// Most nodes start and find each other.
    fn gather(&mut self, luck: &mut Luck) {
        let late = luck.one_in(4).then(|| luck.below(self.nodes.len()) + 1);
        let first: Vec<usize> = (1..=self.nodes.len())
            .filter(|id| Some(*id) != late)
            .collect();
        for id in &first {
            self.boot(*id);
        }
        for id in first.iter().skip(1) {
            self.merge(first[0], *id, luck);
        }
        if self.traits.device {
            for id in first {
                self.register(id, luck);
            }
        }
    }

    fn happen(&mut self, luck: &mut Luck) {
        match luck.below(12) {
            0 | 1 => self.stop("kill", luck),
            2 => self.stop("leave", luck),
            3 | 4 => self.boot_one(luck),
            5 | 6 => self.split(luck),
            7 | 8 => {
                let (a, b) = (luck.below(self.sides.len()), luck.below(self.sides.len()));
                let (a, b) = (self.sides[a][0], self.sides[b][0]);
                self.merge(a, b, luck);
            }
            9 => self.expect(luck),
            10 => self.votes(luck),
            _ if self.traits.device => self.device(luck),
            _ if self.traits.waits => {
                if let Some(id) = self.one_that_runs(luck)
                    && !self.votes_changed
                {
                    self.step(format!("cancel {id}"));
                }
            }
            _ => self.expect(luck),
        }
    }

    fn step(&mut self, what: String) {
        self.steps.push(Step {
            what,
            outcome: Vec::new(),
        });
    }

    fn node(&mut self, id: usize) -> &mut Node {
        &mut self.nodes[id - 1]
    }

    fn running(&self, side: &[usize]) -> Vec<usize> {
        let runs = |id: &usize| self.nodes[*id - 1].runs;
        side.iter().copied().filter(runs).collect()
    }

    fn one_that_runs(&self, luck: &mut Luck) -> Option<usize> {
        let all: Vec<usize> = (1..=self.nodes.len()).collect();
        let running = self.running(&all);
        (!running.is_empty()).then(|| luck.pick(&running))
    }

    fn side_of(&self, id: usize) -> usize {
        let at = self.sides.iter().position(|side| side.contains(&id));
        at.expect("every node is on a side")
    }

    fn boot_one(&mut self, luck: &mut Luck) {
        let may = |node: &Node| !(node.runs || self.traits.tracks && node.has_run);
        let off: Vec<usize> = (1..=self.nodes.len())
            .filter(|id| may(&self.nodes[*id - 1]))
            .collect();
        if off.is_empty() {
            return;
        }
        let id = luck.pick(&off);
        self.boot(id);
        let with = luck.below(self.sides.len());
        self.merge(self.sides[with][0], id, luck);
        if self.traits.device && luck.one_in(2) {
            self.register(id, luck);
        }
    }

    /// A node starts alone.
    fn boot(&mut self, id: usize) {
        let at = self.side_of(id);
        self.sides[at].retain(|other| *other != id);
        self.sides.retain(|side| !side.is_empty());
        self.sides.push(vec![id]);
        *self.node(id) = Node {
            runs: true,
            has_run: true,
            ..Node::default()
        };
        self.step(format!("boot {id}"));
    }

    fn stop(&mut self, verb: &str, luck: &mut Luck) {
        let Some(id) = self.one_that_runs(luck) else {
            return;
        };
        self.node(id).runs = false;
        let side = self.sides[self.side_of(id)].clone();
        let casting = self.rings_form(&[side], luck);
        self.step(format!("{verb} {id}{casting}"));
    }

    /// A side falls into two.
    fn split(&mut self, luck: &mut Luck) {
        let at = luck.below(self.sides.len());
        if self.running(&self.sides[at]).len() < 2 {
            return;
        }
        let mut parts: [Vec<usize>; 2] = [Vec::new(), Vec::new()];
        for id in self.sides[at].clone() {
            parts[luck.below(2)].push(id);
        }
        if parts.iter().any(|part| self.running(part).is_empty()) {
            return;
        }
        self.sides.remove(at);
        self.sides.extend(parts.clone());
        self.net(&parts, luck);
    }

    /// The sides of two nodes become one. Only two at a time: which rings more would form on the way is chance.
    fn merge(&mut self, a: usize, b: usize, luck: &mut Luck) {
        let (a, b) = (self.side_of(a), self.side_of(b));
        if a == b {
            return;
        }
        let lives = |side: usize| !self.running(&self.sides[side]).is_empty();
        let both = lives(a) && lives(b);
        let mut merged = [self.sides[a].clone(), self.sides[b].clone()].concat();
        merged.sort_unstable();
        self.sides.remove(a.max(b));
        self.sides.remove(a.min(b));
        self.sides.push(merged.clone());
        let rings = if both { vec![merged] } else { Vec::new() };
        self.net(&rings, luck);
    }

    fn net(&mut self, new_rings: &[Vec<usize>], luck: &mut Luck) {
        let casting = self.rings_form(new_rings, luck);
        let sides: Vec<String> = self.sides.iter().map(|side| list(side)).collect();
        self.step(format!("net {}{casting}", sides.join("/")));
    }

    /// Rings of these sides form, and devices have their say or fall silent.
    fn rings_form(&mut self, sides: &[Vec<usize>], luck: &mut Luck) -> String {
        let mut casts = Vec::new();
        for id in sides.iter().flatten() {
            let node = &mut self.nodes[*id - 1];
            if !(node.runs && node.registered && node.alive) {
                continue;
            }
            if self.traits.patient {
                casts.push(format!("{id}={}", luck.below(2)));
            } else {
                node.alive = false;
            }
        }
        if casts.is_empty() {
            String::new()
        } else {
            format!(" cast {}", casts.join(","))
        }
    }

    fn expect(&mut self, luck: &mut Luck) {
        let bound = usize::try_from(self.total).expect("few votes") + 4;
        let votes = luck.below(bound);
        if let Some(id) = self.one_that_runs(luck) {
            self.votes_changed = true;
            self.step(format!("expect {id} {votes}"));
        }
    }

    fn votes(&mut self, luck: &mut Luck) {
        let of = luck.below(self.nodes.len() + 1) + 1;
        let votes = luck.below(4);
        if let Some(id) = self.one_that_runs(luck) {
            self.votes_changed = true;
            self.step(format!("votes {id} {of} {votes}"));
        }
    }

    fn register(&mut self, id: usize, luck: &mut Luck) {
        self.node(id).registered = true;
        self.step(format!("register {id}"));
        if luck.below(4) > 0 {
            self.node(id).alive = true;
            let vote = luck.below(2);
            self.step(format!("poll {id} {vote}"));
        }
    }

    fn device(&mut self, luck: &mut Luck) {
        let Some(id) = self.one_that_runs(luck) else {
            return;
        };
        match luck.below(5) {
            0 if self.node(id).registered => {
                *self.node(id) = Node {
                    registered: false,
                    alive: false,
                    ..self.node(id).clone()
                };
                self.step(format!("unregister {id}"));
            }
            1 => {
                let allow = luck.below(2);
                self.step(format!("wins {id} {allow}"));
            }
            2 | 3 if self.node(id).registered => {
                self.node(id).alive = true;
                let vote = luck.below(2);
                self.step(format!("poll {id} {vote}"));
            }
            _ => self.register(id, luck),
        }
    }
}

fn list(ids: &[usize]) -> String {
    let words: Vec<String> = ids.iter().map(usize::to_string).collect();
    words.join(",")
}

/// Steps after the start: these, and up to so many more.
const STEPS_MIN: usize = 4;
const STEPS_MORE: usize = 4;
/// What cannot happen, happens not; a cluster may even come to where nothing can.
const ATTEMPTS_MAX: usize = 50;
/// `last_man_standing_window`.
pub(super) const WINDOW_MS: &str = "2000";
/// `quorum.device.sync_timeout` where devices vote in time.
const PATIENT_MS: &str = "20000";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_makes_one_history() {
        assert_eq!(generate(5), generate(5));
        assert_ne!(generate(5).steps, generate(6).steps);
    }

    #[test]
    fn every_kind_of_step_happens() {
        let steps: Vec<String> = (0..200)
            .flat_map(|number| generate(number).steps)
            .map(|step| step.what)
            .collect();
        for verb in [
            "boot",
            "net",
            "kill",
            "leave",
            "expect",
            "votes",
            "cancel",
            "register",
            "unregister",
            "poll",
            "wins",
        ] {
            assert!(steps.iter().any(|step| step.starts_with(verb)), "{verb}");
        }
        assert!(steps.iter().any(|step| step.contains(" cast ")));
    }
}
