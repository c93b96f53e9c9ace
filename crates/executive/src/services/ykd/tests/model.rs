//! A network that falls apart and comes together, with messages that some have and others do not.
//!
//! Within a component everybody gets the same messages in the same order, but not at the same time; a change of the
//! membership ends that, and what was not delivered by then never is.

use std::collections::{BTreeMap, BTreeSet};

use ferrosync_wire::linear::{Content, Formed, Memory, Session, State};
use ferrosync_wire::{NodeId, RingId, RingSeq, exec};
use proptest::prelude::*;

use super::super::Effect;
use super::super::corosync::Corosync;
use super::super::linear::Linear;
use crate::core::Quorate;

/// A rule under test.
trait Rule {
    type Message: Clone;

    fn start(me: NodeId, kept: Option<Memory>) -> Self;
    fn changed(
        &mut self,
        ring: RingId,
        members: &[NodeId],
        listed: BTreeSet<NodeId>,
    ) -> Vec<Effect<Self::Message>>;
    fn deliver(&mut self, from: NodeId, message: Self::Message) -> Vec<Effect<Self::Message>>;
}

impl Rule for Linear {
    type Message = ferrosync_wire::linear::Message;

    fn start(me: NodeId, kept: Option<Memory>) -> Self {
        Self::new(me, kept)
    }

    fn changed(
        &mut self,
        ring: RingId,
        members: &[NodeId],
        listed: BTreeSet<NodeId>,
    ) -> Vec<Effect<Self::Message>> {
        self.changed(ring, members, listed)
    }

    fn deliver(&mut self, from: NodeId, message: Self::Message) -> Vec<Effect<Self::Message>> {
        self.deliver(from, message)
    }
}

impl Rule for Corosync {
    type Message = exec::ykd::Message;

    fn start(me: NodeId, _kept: Option<Memory>) -> Self {
        Self::new(me)
    }

    fn changed(
        &mut self,
        _ring: RingId,
        members: &[NodeId],
        _listed: BTreeSet<NodeId>,
    ) -> Vec<Effect<Self::Message>> {
        self.changed(members)
    }

    fn deliver(&mut self, from: NodeId, message: Self::Message) -> Vec<Effect<Self::Message>> {
        self.deliver(from, message)
    }
}

/// One thing that happens. A node that is not listed yet is left alone.
#[derive(Clone, Debug)]
enum Event {
    /// The components of which nodes are from now on, by node.
    Split(Vec<u8>),
    /// A node gets some of the messages that wait for it.
    Deliver(u32, u8),
    /// Everybody gets everything, until nothing is said any more.
    Settle,
    /// A process ends.
    Stop(u32),
    /// A process ends, unless it has, and starts with what is on its disk.
    Restart(u32),
    /// The same, and nothing is on its disk any more.
    LoseDisk(u32),
    /// So many more nodes are in the nodelists of all. They do not run yet.
    Grow(u32),
}

struct World<R: Rule> {
    nodes: BTreeMap<NodeId, Machine<R>>,
    /// The first of them are in the nodelists.
    listed: u32,
    /// By component, what was said on its ring.
    said: BTreeMap<u8, Vec<(NodeId, R::Message)>>,
    rings: u64,
}

struct Machine<R> {
    /// `None` while it does not run.
    rule: Option<R>,
    disk: Option<Memory>,
    component: u8,
    /// How many messages of the component's it got.
    got: usize,
    quorate: Quorate,
}

impl<R: Rule> World<R> {
    /// All nodes, of which the first run on one ring and are listed.
    fn new(count: u32, listed: u32) -> Self {
        let machine = |id: u32| Machine {
            rule: (id <= listed).then(|| R::start(NodeId(id), None)),
            disk: None,
            component: 0,
            got: 0,
            quorate: Quorate::No,
        };
        let mut world = Self {
            nodes: (1..=count).map(|id| (NodeId(id), machine(id))).collect(),
            listed,
            said: BTreeMap::new(),
            rings: 0,
        };
        world.form_rings(|_| true);
        world
    }

    fn count(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap()
    }

    fn apply(&mut self, event: &Event) {
        let count = self.count();
        let node = |number: u32| NodeId(number % count + 1);
        match event {
            Event::Split(components) => self.split(components),
            Event::Deliver(id, count) => {
                for _ in 0..*count {
                    self.deliver_one(node(*id));
                }
            }
            Event::Settle => self.settle(),
            Event::Stop(id) => {
                let machine = self.nodes.get_mut(&node(*id)).unwrap();
                (machine.rule, machine.quorate) = (None, Quorate::No);
                let component = machine.component;
                self.form_rings(|c| c == component);
            }
            Event::Restart(id) => self.start(node(*id)),
            Event::LoseDisk(id) => {
                self.nodes.get_mut(&node(*id)).unwrap().disk = None;
                self.start(node(*id));
            }
            Event::Grow(more) => self.listed = count.min(self.listed + more),
        }
    }

    fn start(&mut self, id: NodeId) {
        if id.0 <= self.listed {
            let machine = self.nodes.get_mut(&id).unwrap();
            machine.rule = Some(R::start(id, machine.disk.clone()));
            let component = machine.component;
            self.form_rings(|c| c == component);
        }
    }

    fn split(&mut self, components: &[u8]) {
        let before: BTreeMap<NodeId, u8> = self
            .nodes
            .iter()
            .map(|(id, m)| (*id, m.component))
            .collect();
        for (machine, component) in self.nodes.values_mut().zip(components) {
            machine.component = component % 3;
        }
        let groups = |of: &dyn Fn(NodeId) -> u8| {
            let mut groups: BTreeMap<u8, Vec<NodeId>> = BTreeMap::new();
            for id in before.keys() {
                groups.entry(of(*id)).or_default().push(*id);
            }
            groups.into_values().collect::<BTreeSet<_>>()
        };
        // A component keeps its ring only where its number and its members stay: simpler, and more changes.
        let old = groups(&|id| before[&id]);
        let new = groups(&|id| self.nodes[&id].component);
        let stays = |id: NodeId, nodes: &BTreeMap<NodeId, Machine<R>>| {
            nodes[&id].component == before[&id]
                && old.intersection(&new).any(|group| group.contains(&id))
        };
        let changed: BTreeSet<u8> = self
            .nodes
            .iter()
            .filter(|(id, _)| !stays(**id, &self.nodes))
            .map(|(_, machine)| machine.component)
            .collect();
        self.form_rings(|component| changed.contains(&component));
    }

    fn form_rings(&mut self, changed: impl Fn(u8) -> bool) {
        let listed: BTreeSet<NodeId> = (1..=self.listed).map(NodeId).collect();
        let mut components: BTreeMap<u8, Vec<NodeId>> = BTreeMap::new();
        for (id, machine) in &self.nodes {
            if machine.rule.is_some() && changed(machine.component) {
                components.entry(machine.component).or_default().push(*id);
            }
        }
        for (component, members) in components {
            self.said.insert(component, Vec::new());
            self.rings += 1;
            let ring = RingId {
                rep: members[0],
                seq: RingSeq(self.rings),
            };
            for id in &members {
                let machine = self.nodes.get_mut(id).unwrap();
                machine.got = 0;
                let rule = machine.rule.as_mut().unwrap();
                let effects = rule.changed(ring, &members, listed.clone());
                self.carry_out(*id, effects);
            }
        }
    }

    /// Whether there was one.
    fn deliver_one(&mut self, id: NodeId) -> bool {
        let machine = self.nodes.get_mut(&id).unwrap();
        let Some(rule) = &mut machine.rule else {
            return false;
        };
        let Some((from, message)) = self.said[&machine.component].get(machine.got).cloned() else {
            return false;
        };
        machine.got += 1;
        let effects = rule.deliver(from, message);
        self.carry_out(id, effects);
        true
    }

    fn settle(&mut self) {
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        while ids.iter().any(|id| self.deliver_one(*id)) {}
    }

    fn carry_out(&mut self, id: NodeId, effects: Vec<Effect<R::Message>>) {
        let machine = self.nodes.get_mut(&id).unwrap();
        for effect in effects {
            match effect {
                Effect::Keep(memory) => machine.disk = Some(memory),
                Effect::Send(message) => {
                    let said = self.said.get_mut(&machine.component).unwrap();
                    said.push((id, message));
                }
                Effect::Decide(quorate) => machine.quorate = quorate,
                Effect::Log(..) => {}
            }
        }
    }

    /// The components in which somebody acts.
    fn primaries(&self) -> BTreeSet<u8> {
        let acting = self.nodes.values().filter(|m| m.quorate == Quorate::Yes);
        acting.map(|machine| machine.component).collect()
    }

    /// Of how many different components the disks know under one number, at most. Once nobody remembers it, a number
    /// may be given again.
    fn namesakes(&self) -> usize {
        let mut known: BTreeMap<u64, BTreeSet<&[NodeId]>> = BTreeMap::new();
        for memory in self.nodes.values().filter_map(|m| m.disk.as_ref()) {
            let formed = memory.formed.iter().map(|formed| &formed.session);
            for session in formed.chain([&memory.last_primary]) {
                let members = known.entry(session.number).or_default();
                members.insert(&session.members);
            }
        }
        known.values().map(BTreeSet::len).max().unwrap_or(0)
    }

    /// Everybody is listed, runs and hears everybody.
    fn heal(&mut self) {
        let count = self.count();
        self.apply(&Event::Grow(count));
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            if self.nodes[&id].rule.is_none() {
                self.start(id);
            }
        }
        self.apply(&Event::Split(vec![0; self.nodes.len()]));
        self.settle();
    }

    /// How many nodes act.
    fn acting(&self) -> usize {
        let acting = self.nodes.values().filter(|m| m.quorate == Quorate::Yes);
        acting.count()
    }
}

fn events(nodes: usize) -> impl Strategy<Value = Vec<Event>> {
    let split = prop::collection::vec(any::<u8>(), nodes);
    let event = prop_oneof![
        6 => split.prop_map(Event::Split),
        8 => (any::<u32>(), 1_u8..12).prop_map(|(id, count)| Event::Deliver(id, count)),
        5 => Just(Event::Settle),
        1 => any::<u32>().prop_map(Event::Stop),
        3 => any::<u32>().prop_map(Event::Restart),
        2 => any::<u32>().prop_map(Event::LoseDisk),
        1 => (1_u32..4).prop_map(Event::Grow),
    ];
    prop::collection::vec(event, 1..60)
}

/// The first event after which two components act, if any.
fn split_brain<R: Rule>(nodes: u32, events: &[Event]) -> Option<usize> {
    let mut world = World::<R>::new(nodes, nodes);
    events.iter().position(|event| {
        world.apply(event);
        world.primaries().len() > 1
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn never_two_primary_components((nodes, listed, events) in (2_u32..8).prop_flat_map(|nodes| {
        (Just(nodes), 1..=nodes, events(nodes as usize))
    })) {
        let mut world = World::<Linear>::new(nodes, listed);
        for event in &events {
            world.apply(event);
            prop_assert!(world.primaries().len() <= 1, "after {event:?}");
            prop_assert!(world.namesakes() <= 1, "after {event:?}");
        }
        // Whatever came before and whatever was forgotten: all nodes together can always act.
        world.heal();
        prop_assert_eq!(world.acting(), nodes as usize);
    }
}

proptest! {
    /// A node on the ring may say anything.
    #[test]
    fn lies_do_no_harm(
        numbers in prop::collection::vec(prop_oneof![Just(0), Just(i32::MAX), any::<i32>()], 4),
        members in prop::collection::vec(0_u32..5, 0..32),
        attempts in 0_u32..4,
    ) {
        let members: Vec<NodeId> = members.into_iter().map(NodeId).collect();
        let session = |id| exec::ykd::Session { members: members.clone(), id };
        let state = exec::ykd::State {
            last_primary: session(numbers[0]),
            last_formed: vec![session(numbers[1]); 32],
            ambiguous: vec![session(numbers[2]); 32],
            session_id: numbers[3],
        };
        let mut corosync = Corosync::new(NodeId(1));
        corosync.changed(&[NodeId(1), NodeId(2)]);
        for id in [3, 2, 1] {
            let message = exec::ykd::Message::State(Box::new(state.clone()));
            corosync.deliver(NodeId(id), message);
        }
        let sorted: Vec<NodeId> = members.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let number = |i: usize| u64::from(numbers[i].cast_unsigned()) << 32 | u64::from(u32::MAX);
        let session = |i| Session { number: number(i), members: sorted.clone() };
        let memory = Memory {
            session: number(3),
            last_primary: session(0),
            ambiguous: vec![session(2); 300],
            formed: vec![Formed { session: session(1), with: sorted.clone() }; 300],
            since: number(2),
        };
        let listed = BTreeSet::from([NodeId(1), NodeId(2)]);
        let mut linear = Linear::new(NodeId(1), None);
        linear.changed(RingId::ZERO, &[NodeId(1), NodeId(2)], listed);
        let say = |content| ferrosync_wire::linear::Message { ring: RingId::ZERO, content };
        for (id, memory) in [(3, None), (2, Some(memory)), (1, None)] {
            let state = State { listed: sorted.clone(), memory };
            linear.deliver(NodeId(id), say(Content::State(state)));
        }
        for id in 0..attempts {
            corosync.deliver(NodeId(id), exec::ykd::Message::Attempt);
            linear.deliver(NodeId(id), say(Content::Attempt));
        }
    }
}

/// What makes dynamic voting worth its trouble: one of five nodes is enough when the others went one after the other.
#[test]
fn the_majority_of_the_last_ones_is_enough() {
    let mut world = World::<Linear>::new(5, 5);
    world.settle();
    for (components, acting) in [
        ([0, 0, 0, 1, 1], 0),
        ([0, 0, 2, 1, 1], 0),
        ([0, 2, 2, 1, 1], 0),
    ] {
        world.apply(&Event::Split(components.to_vec()));
        world.settle();
        assert_eq!(
            world.primaries(),
            BTreeSet::from([acting]),
            "{components:?}"
        );
    }
    // Node 1 alone now outweighs the other four.
    world.apply(&Event::Split(vec![0, 1, 1, 1, 1]));
    world.settle();
    assert_eq!(world.primaries(), BTreeSet::from([0]));
}

/// The model sees what is wrong with C's rule; it would see it in ours.
#[test]
fn both_halves_act_under_the_rule_of_c() {
    let halves = [Event::Settle, Event::Split(vec![0, 0, 1, 1]), Event::Settle];
    assert_eq!(split_brain::<Corosync>(4, &halves), Some(2));
    assert_eq!(split_brain::<Linear>(4, &halves), None);
    // Nodes that start apart know of nobody else.
    let apart = [Event::Split(vec![0, 0, 0, 1, 1]), Event::Settle];
    assert_eq!(split_brain::<Corosync>(5, &apart), Some(1));
    // Three of five formed a component, and forget it: with the other two they form another one.
    let mut forgotten = vec![
        Event::Settle,
        Event::Split(vec![0, 0, 0, 1, 1]),
        Event::Settle,
    ];
    forgotten.extend([Event::Restart(0), Event::Restart(1)]);
    forgotten.extend([Event::Split(vec![1, 1, 2, 1, 1]), Event::Settle]);
    assert_eq!(split_brain::<Linear>(5, &forgotten), None);
}

/// Four of seven tried, two of them formed it: the other two must not take the session for one that nobody formed.
/// Random schedules come here too rarely.
#[test]
fn what_some_may_have_formed_stays_ambiguous() {
    let mut half = World::<Linear>::new(7, 7);
    half.settle();
    half.apply(&Event::Split(vec![0, 0, 0, 0, 1, 1, 1]));
    while half
        .nodes
        .values()
        .filter(|m| m.quorate == Quorate::Yes)
        .count()
        < 2
    {
        for id in [1, 2] {
            half.deliver_one(NodeId(id));
        }
        if half.said[&0].len() < 8 {
            half.deliver_one(NodeId(3));
            half.deliver_one(NodeId(4));
        }
    }
    half.apply(&Event::Split(vec![0, 0, 1, 1, 1, 1, 1]));
    half.settle();
    assert_eq!(half.primaries(), BTreeSet::from([0]));
}

/// A world after these partitions, each settled.
fn after(nodes: u32, listed: u32, partitions: &[&[u8]]) -> World<Linear> {
    let mut world = World::<Linear>::new(nodes, listed);
    world.settle();
    for components in partitions {
        world.apply(&Event::Split(components.to_vec()));
        world.settle();
    }
    world
}

/// All of 1, 2, 3, then 1 and 2, then 1 alone. Node 2 forgets both, and node 3 knows of neither.
#[test]
fn a_reinstalled_node_makes_no_majority() {
    let mut world = after(3, 3, &[&[0, 0, 1], &[0, 1, 2]]);
    world.apply(&Event::LoseDisk(1));
    world.apply(&Event::Split(vec![0, 1, 1]));
    world.settle();
    assert_eq!(world.primaries(), BTreeSet::from([0]));
    // With the one that remembers it is back, and counts again: 2 and 3 are more than half of the three.
    world.heal();
    world.apply(&Event::Split(vec![0, 1, 1]));
    world.settle();
    assert_eq!(world.primaries(), BTreeSet::from([1]));
}

/// Three nodes more than half of five, none of which has ever been with the two that act.
#[test]
fn newcomers_form_nothing_among_themselves() {
    let mut world = after(5, 2, &[&[0, 0, 1, 1, 1]]);
    world.apply(&Event::Grow(3));
    for newcomer in [2, 3, 4] {
        world.apply(&Event::Restart(newcomer));
    }
    world.settle();
    assert_eq!(world.primaries(), BTreeSet::from([0]));
    // One that has been with them counts.
    world.apply(&Event::Split(vec![0, 0, 0, 1, 1]));
    world.settle();
    world.apply(&Event::Split(vec![1, 0, 0, 2, 2]));
    world.settle();
    assert_eq!(world.primaries(), BTreeSet::from([0]));
    world.heal();
    assert_eq!(world.acting(), 5);
}

/// The first component needs every node, once.
#[test]
fn a_majority_begins_nothing() {
    let mut world = World::<Linear>::new(5, 5);
    for components in [[0, 0, 0, 0, 1], [1, 0, 0, 0, 0]] {
        world.apply(&Event::Split(components.to_vec()));
        world.settle();
        assert_eq!(world.acting(), 0);
    }
    world.heal();
    world.apply(&Event::Split(vec![0, 0, 1, 1, 1]));
    world.settle();
    assert_eq!(world.primaries(), BTreeSet::from([1]));
}

/// Node 1 formed with 2 and 3 what these two only tried, and loses the disk that says so, as node 2 loses its own. Node 3
/// cannot take their silence for a no.
#[test]
fn who_forgot_is_no_witness() {
    let mut world = after(5, 5, &[]);
    world.apply(&Event::Split(vec![0, 0, 0, 1, 1]));
    while world.acting() == 0 {
        world.deliver_one(NodeId(1));
        if world.said[&0].len() < 6 {
            world.deliver_one(NodeId(2));
            world.deliver_one(NodeId(3));
        }
    }
    assert_eq!(world.acting(), 1);
    let tried = |world: &World<Linear>| {
        let disk = world.nodes[&NodeId(3)].disk.as_ref();
        disk.map(|memory| memory.ambiguous.len())
    };
    assert_eq!(tried(&world), Some(1));
    world.apply(&Event::LoseDisk(0));
    world.apply(&Event::LoseDisk(1));
    world.apply(&Event::Split(vec![0, 0, 0, 1, 0]));
    world.settle();
    assert_eq!((world.acting(), tried(&world)), (0, Some(1)));
    world.heal();
    assert_eq!(world.acting(), 5);
}

/// The same, and node 1 has a memory again, which does not go back that far.
#[test]
fn who_forgot_is_no_witness_of_what_was_before() {
    let mut world = after(5, 5, &[]);
    world.apply(&Event::Split(vec![0, 0, 0, 1, 1]));
    for id in [0, 1, 2] {
        world.apply(&Event::Deliver(id, 3));
    }
    world.apply(&Event::Deliver(0, 3));
    assert_eq!(world.acting(), 1);
    world.apply(&Event::LoseDisk(0));
    world.apply(&Event::Split(vec![0, 0, 0, 0, 1]));
    world.apply(&Event::Deliver(0, 4));
    let disk = |world: &World<Linear>, id| world.nodes[&NodeId(id)].disk.clone().unwrap();
    assert_eq!(disk(&world, 1).since, 3);
    world.apply(&Event::Split(vec![0, 0, 0, 1, 1]));
    world.settle();
    assert_eq!((world.acting(), disk(&world, 3).ambiguous.len()), (0, 1));
    world.heal();
    assert_eq!(world.acting(), 5);
}

/// Node 5 of nine tried the component of 1 to 5, forgot it, and tried one of 2 to 9 as the first thing that it remembers.
/// With 6 to 9 that is more than half of both the nine and the eight, but it cannot vouch for the nine: 1, 2 and 3 go on from
/// the five.
#[test]
fn a_memory_does_not_count_for_what_was_before_it() {
    let mut world = after(9, 9, &[]);
    world.apply(&Event::Split(vec![0, 0, 0, 0, 0, 1, 1, 1, 1]));
    for id in 0..5 {
        world.apply(&Event::Deliver(id, 5));
    }
    world.apply(&Event::Deliver(0, 5));
    assert_eq!(world.acting(), 1);
    world.apply(&Event::LoseDisk(4));
    world.apply(&Event::Split(vec![1, 0, 0, 0, 0, 0, 0, 0, 0]));
    for id in 4..9 {
        world.apply(&Event::Deliver(id, 8));
        let disk = world.nodes[&NodeId(id + 1)].disk.as_ref().unwrap();
        assert_eq!(disk.ambiguous.len(), 1);
    }
    world.apply(&Event::Split(vec![1, 1, 1, 2, 0, 0, 0, 0, 0]));
    world.settle();
    assert_eq!((world.primaries(), world.acting()), ([1].into(), 3));
    world.heal();
    assert_eq!(world.acting(), 9);
}

/// Two nodes were about to take three newcomers along when one of these died for good.
#[test]
fn a_newcomer_that_tried_counts_for_what_it_tried() {
    let mut world = after(5, 2, &[&[0, 0, 1, 1, 1]]);
    world.apply(&Event::Grow(3));
    for newcomer in [2, 3, 4] {
        world.apply(&Event::Restart(newcomer));
    }
    world.apply(&Event::Split(vec![0; 5]));
    while world.said[&0].len() < 10 {
        for id in 1..=5 {
            world.deliver_one(NodeId(id));
        }
    }
    assert_eq!(world.acting(), 0);
    world.apply(&Event::Split(vec![0, 0, 0, 0, 1]));
    world.settle();
    assert_eq!(world.acting(), 4);
}

/// A majority of the last component lost its disks. Those that did not go on where all nodes are.
#[test]
fn all_nodes_together_need_no_majority_of_memories() {
    let mut world = after(5, 5, &[&[0, 0, 0, 1, 1]]);
    world.apply(&Event::LoseDisk(1));
    world.apply(&Event::LoseDisk(2));
    world.apply(&Event::Split(vec![0, 0, 0, 0, 1]));
    world.settle();
    assert_eq!(world.acting(), 0);
    world.heal();
    assert_eq!(world.acting(), 5);
}
