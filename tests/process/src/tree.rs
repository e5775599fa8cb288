//! The processes that one process has started, read from `/proc`.

use std::collections::HashSet;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// One line of `/proc/PID/stat`, as far as it matters here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Entry {
    pid: u32,
    state: char,
    parent: u32,
    group: u32,
}

/// Every living process that belongs to `root`: itself, those in its process group, and the
/// descendants of either, wherever they went. Zombies do not count as living.
#[must_use]
pub fn members(root: u32) -> Vec<u32> {
    entries_of(root).iter().map(|entry| entry.pid).collect()
}

/// Whether all of them are stopped, and there are any.
#[must_use]
pub fn is_stopped(root: u32) -> bool {
    let entries = entries_of(root);
    !entries.is_empty() && entries.iter().all(|entry| entry.state == 'T')
}

/// Whether the process exists and is no zombie.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    entries().iter().any(|entry| entry.pid == pid)
}

/// Sends `signal` to every member of the tree, the root first.
pub(crate) fn send(root: u32, signal: Signal) {
    send_to(&members(root), signal);
}

pub(crate) fn send_to(pids: &[u32], signal: Signal) {
    for &pid in pids {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        // One that has gone meanwhile needs no signal any more.
        let _ = pid.map(|pid| kill_process(pid, signal));
    }
}

fn entries_of(root: u32) -> Vec<Entry> {
    belonging_to(root, entries())
}

fn belonging_to(root: u32, mut rest: Vec<Entry>) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut pids = HashSet::from([root]);
    loop {
        let (more, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|entry| {
            entry.pid == root || entry.group == root || pids.contains(&entry.parent)
        });
        if more.is_empty() {
            found.sort_by_key(|entry: &Entry| entry.pid != root);
            return found;
        }
        pids.extend(more.iter().map(|entry| entry.pid));
        found.extend(more);
        rest = others;
    }
}

/// All processes of this machine that are no zombies.
fn entries() -> Vec<Entry> {
    let directories = fs::read_dir("/proc").into_iter().flatten().flatten();
    directories
        .filter_map(|directory| fs::read_to_string(directory.path().join("stat")).ok())
        .filter_map(|line| parse(&line))
        .filter(|entry| entry.state != 'Z')
        .collect()
}

/// `PID (NAME) STATE PARENT GROUP ..`, where the name may hold anything, also parentheses.
fn parse(line: &str) -> Option<Entry> {
    let (pid, rest) = line.split_once(' ')?;
    let mut fields = rest.rsplit_once(')')?.1.split_ascii_whitespace();
    Some(Entry {
        pid: pid.parse().ok()?,
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pid: u32, parent: u32, group: u32) -> Entry {
        Entry {
            pid,
            state: 'S',
            parent,
            group,
        }
    }

    #[test]
    fn a_name_may_hold_spaces_and_parentheses() {
        let parsed = parse("42 (a) b (c)) S 7 40 40 0 -1").unwrap();
        assert_eq!(parsed, entry(42, 7, 40));
    }

    #[test]
    fn garbage_is_no_process() {
        assert_eq!(parse(""), None);
        assert_eq!(parse("42 (name"), None);
        assert_eq!(parse("42 (name) S x y"), None);
    }

    #[test]
    fn descendants_belong_also_in_another_group_and_orphans_in_the_same() {
        let rest = vec![
            entry(1, 0, 1),
            entry(30, 20, 30), // a grandchild, in a group of its own
            entry(20, 10, 20), // a child, in a group of its own
            entry(11, 1, 10),  // an orphan in the root's group
            entry(12, 11, 12), // and its child
            entry(10, 1, 10),  // the root
            entry(99, 1, 99),
        ];
        let found: Vec<_> = belonging_to(10, rest).iter().map(|one| one.pid).collect();
        assert_eq!(found[0], 10, "the root comes first: it starts no more then");
        let found = HashSet::from_iter(found);
        assert_eq!(found, HashSet::from([10, 11, 12, 20, 30]));
    }
}
