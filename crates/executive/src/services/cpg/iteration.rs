//! Iterations over groups and processes: each is a copy of the process list as it was when it began.

use std::collections::BTreeMap;

use ferrosync_wire::ipc::CsError;
use ferrosync_wire::ipc::cpg::{IterItem, IterScope};
use ferrosync_wire::{GroupName, NodeId};

use super::groups::Groups;

/// The iterations of one connection.
///
/// In C handles are known daemon-wide, so that one client can end another's iteration; here each connection has
/// its own (`docs/deviations.md`, D-40).
#[derive(Debug, Default)]
pub(super) struct Iterations {
    open: BTreeMap<u64, Iteration>,
    started: u64,
    /// Items in all of them.
    items: usize,
}

#[derive(Debug)]
struct Iteration {
    items: Vec<IterItem>,
    next: usize,
}

impl Iterations {
    /// Most iterations of one connection at a time.
    pub(super) const OPEN_MAX: usize = 64;
    /// Most items in all iterations of one connection: twice all that there can be.
    pub(super) const ITEMS_MAX: usize = 2 * Groups::PROCESSES_MAX;

    /// Begins one and returns its handle.
    ///
    /// # Errors
    ///
    /// [`CsError::NoMemory`], C's word for it, when the connection has too many already.
    pub(super) fn start(&mut self, groups: &Groups, scope: &IterScope) -> Result<u64, CsError> {
        if self.open.len() >= Self::OPEN_MAX {
            return Err(CsError::NoMemory);
        }
        let items = snapshot(groups, scope);
        if self.items + items.len() > Self::ITEMS_MAX {
            return Err(CsError::NoMemory);
        }
        self.items += items.len();
        self.started += 1;
        let iteration = Iteration { items, next: 0 };
        self.open.insert(self.started, iteration);
        Ok(self.started)
    }

    /// The next item. After the end an iteration begins anew, as C's does.
    ///
    /// # Errors
    ///
    /// [`CsError::NoSections`] at the end, [`CsError::Library`] when there is no such iteration.
    pub(super) fn next(&mut self, handle: u64) -> Result<IterItem, CsError> {
        let iteration = self.open.get_mut(&handle).ok_or(CsError::Library)?;
        let item = iteration.items.get(iteration.next).cloned();
        iteration.next = item.as_ref().map_or(0, |_| iteration.next + 1);
        item.ok_or(CsError::NoSections)
    }

    /// Ends one.
    ///
    /// # Errors
    ///
    /// [`CsError::Library`] when there is no such iteration.
    pub(super) fn end(&mut self, handle: u64) -> Result<(), CsError> {
        let iteration = self.open.remove(&handle).ok_or(CsError::Library)?;
        self.items -= iteration.items.len();
        Ok(())
    }

    /// Ends all.
    pub(super) fn clear(&mut self) {
        self.open.clear();
        self.items = 0;
    }
}

/// The items in C's order: groups in the reverse order of their first processes in the process list; of a group,
/// first the first process, then the others backwards (corosync
/// `cpg.c:message_handler_req_lib_cpg_iteration_initialize`, v3.1.7, puts each behind the first of its group).
fn snapshot(groups: &Groups, scope: &IterScope) -> Vec<IterItem> {
    let mut found: Vec<Vec<IterItem>> = Vec::new();
    let mut index: BTreeMap<&GroupName, usize> = BTreeMap::new();
    for (node, pid, name) in groups.processes() {
        let (nodeid, pid) = match scope {
            IterScope::Names if index.contains_key(name) => continue,
            IterScope::Names => (NodeId(0), 0),
            IterScope::Group(group) if group != name => continue,
            IterScope::Group(_) | IterScope::All => (node, pid),
        };
        let at = *index.entry(name).or_insert(found.len());
        if at == found.len() {
            found.push(Vec::new());
        }
        let group = name.clone();
        found[at].push(IterItem { group, nodeid, pid });
    }
    for group in &mut found {
        group[1..].reverse();
    }
    found.into_iter().rev().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> GroupName {
        GroupName::new(text.as_bytes()).unwrap()
    }

    fn groups() -> Groups {
        let mut groups = Groups::default();
        let list = [("a", 1), ("b", 2), ("a", 3), ("a", 4), ("b", 5)];
        for (group, pid) in list {
            groups.join(&name(group), NodeId(1), pid, 10);
        }
        groups
    }

    fn walk(iterations: &mut Iterations, handle: u64) -> Vec<(String, u32, u32)> {
        let mut seen = Vec::new();
        loop {
            match iterations.next(handle) {
                Ok(item) => seen.push((item.group.to_string(), item.nodeid.0, item.pid)),
                Err(error) => {
                    assert_eq!(error, CsError::NoSections);
                    return seen;
                }
            }
        }
    }

    #[test]
    fn items_come_in_the_order_of_c() {
        let groups = groups();
        let mut iterations = Iterations::default();
        let item = |g: &str, n, p| (g.to_owned(), n, p);
        let all = iterations.start(&groups, &IterScope::All).unwrap();
        let expected = [("b", 2), ("b", 5), ("a", 1), ("a", 4), ("a", 3)];
        let expected = expected.map(|(g, p)| item(g, 1, p));
        assert_eq!(walk(&mut iterations, all), expected);
        assert_eq!(walk(&mut iterations, all), expected, "begins anew");
        let names = iterations.start(&groups, &IterScope::Names).unwrap();
        assert_eq!(
            walk(&mut iterations, names),
            [item("b", 0, 0), item("a", 0, 0)]
        );
        let scope = IterScope::Group(name("b"));
        let one = iterations.start(&groups, &scope).unwrap();
        assert_eq!(
            walk(&mut iterations, one),
            [item("b", 1, 2), item("b", 1, 5)]
        );
        let scope = IterScope::Group(name("c"));
        let none = iterations.start(&groups, &scope).unwrap();
        assert_eq!(walk(&mut iterations, none), []);
    }

    #[test]
    fn an_iteration_does_not_see_later_changes() {
        let mut groups = groups();
        let mut iterations = Iterations::default();
        let handle = iterations.start(&groups, &IterScope::All).unwrap();
        groups.leave(&name("a"), NodeId(1), 1);
        assert_eq!(walk(&mut iterations, handle).len(), 5);
    }

    #[test]
    fn handles_are_checked_and_bounded() {
        let groups = groups();
        let mut iterations = Iterations::default();
        assert_eq!(iterations.next(1), Err(CsError::Library));
        for _ in 0..Iterations::OPEN_MAX {
            iterations.start(&groups, &IterScope::All).unwrap();
        }
        let full = iterations.start(&groups, &IterScope::All);
        assert_eq!(full, Err(CsError::NoMemory));
        assert_eq!(iterations.end(3), Ok(()));
        assert_eq!(iterations.end(3), Err(CsError::Library));
        iterations.items = Iterations::ITEMS_MAX - 4;
        let full = iterations.start(&groups, &IterScope::All);
        assert_eq!(full, Err(CsError::NoMemory), "five items are one too many");
        assert_eq!(iterations.end(4), Ok(()));
        assert!(iterations.start(&groups, &IterScope::All).is_ok());
    }
}
