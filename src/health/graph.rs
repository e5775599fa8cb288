//! Which dependency rests on which, and who is to blame.
//!
//! A dependency whose parent is down is `blocked`: whatever it would say now says nothing about
//! itself. The root causes are those that are down by themselves. Everything is in the order of
//! declaration, so that two replicas and two requests never disagree.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::ConfigError;

/// A checked graph: names are good and unique, parents exist, and there is no cycle.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    names: Vec<Arc<str>>,
    parents: Vec<Vec<usize>>,
    parent_names: Vec<Arc<[Arc<str>]>>,
    ancestors: Vec<Mask>,
    /// Parents before children, and otherwise as declared.
    order: Vec<usize>,
}

impl Graph {
    /// Builds the graph of `nodes`: each a name and the names it depends on.
    pub(super) fn new(nodes: &[(String, Vec<String>)]) -> Result<Self, ConfigError> {
        let names = unique_names(nodes.iter().map(|(name, _)| name.as_str()))?;
        let mut parents = Vec::with_capacity(nodes.len());
        for (name, depends_on) in nodes {
            let mut indices = Vec::with_capacity(depends_on.len());
            for parent in depends_on {
                let index = *names.get(parent.as_str()).ok_or_else(|| {
                    ConfigError::new(
                        "depends_on",
                        format!("{name} -> {parent}"),
                        format!(
                            "no dependency is named {parent:?}: declare it or correct the name"
                        ),
                    )
                })?;
                if !indices.contains(&index) {
                    indices.push(index);
                }
            }
            parents.push(indices);
        }
        let order = topological(&parents).map_err(|cycle| {
            let path: Vec<_> = cycle.iter().map(|i| nodes[*i].0.as_str()).collect();
            ConfigError::new(
                "depends_on",
                path.join(" -> "),
                "this goes in a circle: remove one of its edges",
            )
        })?;
        let mut ancestors = vec![Mask::default(); nodes.len()];
        for &index in &order {
            for &parent in &parents[index] {
                let mut above = ancestors[parent];
                above.insert(parent);
                ancestors[index].join(&above);
            }
        }
        let names: Vec<Arc<str>> = nodes.iter().map(|(name, _)| name.as_str().into()).collect();
        let name = |parent: &usize| Arc::clone(&names[*parent]);
        let parent_names = parents.iter().map(|of| of.iter().map(name).collect());
        Ok(Self {
            parent_names: parent_names.collect(),
            names,
            parents,
            ancestors,
            order,
        })
    }

    pub(super) fn name(&self, index: usize) -> &Arc<str> {
        &self.names[index]
    }

    pub(super) fn parents(&self, index: usize) -> &[usize] {
        &self.parents[index]
    }

    /// The names of [`parents`](Self::parents).
    pub(super) fn parent_names(&self, index: usize) -> &Arc<[Arc<str>]> {
        &self.parent_names[index]
    }

    /// Everything that `index` rests on, directly or not.
    pub(super) fn ancestors(&self, index: usize) -> &Mask {
        &self.ancestors[index]
    }

    /// Every index, parents before children.
    pub(super) fn order(&self) -> &[usize] {
        &self.order
    }

    /// Which dependencies are blocked, given which are down by themselves.
    pub(super) fn blocked(&self, down: impl Fn(usize) -> bool) -> Mask {
        let mut blocked = Mask::default();
        for &index in &self.order {
            let is_down = |parent: &usize| blocked.contains(*parent) || down(*parent);
            if self.parents[index].iter().any(is_down) {
                blocked.insert(index);
            }
        }
        blocked
    }
}

/// A set of indices, for as many names as one service may have.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Mask([u64; MAX_NAMES / 64]);

impl Mask {
    pub(super) fn insert(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }

    pub(super) fn contains(&self, index: usize) -> bool {
        self.0[index / 64] & (1 << (index % 64)) != 0
    }

    pub(super) fn is_subset(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(other.0)
            .all(|(mine, theirs)| mine & !theirs == 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.is_subset(&Self::default())
    }

    fn join(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine |= theirs;
        }
    }
}

/// The index of each name, or why one of them, or their number, will not do.
pub(super) fn unique_names<'a>(
    names: impl IntoIterator<Item = &'a str>,
) -> Result<HashMap<&'a str, usize>, ConfigError> {
    let mut known = HashMap::new();
    for (index, name) in names.into_iter().enumerate() {
        if index == MAX_NAMES {
            return Err(ConfigError::new(
                "dependencies",
                format!("more than {MAX_NAMES}"),
                "group some of them, or of the live checks, in one: no reader takes in so many",
            ));
        }
        let fits = (1..=MAX_NAME_LEN).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !fits {
            return Err(ConfigError::new(
                "dependency name",
                name.chars().take(MAX_NAME_LEN).collect::<String>(),
                format!(
                    "use 1 to {MAX_NAME_LEN} letters, digits, '.', '_' or '-': names are part of paths and keys"
                ),
            ));
        }
        if known.insert(name, index).is_some() {
            return Err(ConfigError::new(
                "dependency name",
                name,
                "two dependencies or live checks have this name: give each its own",
            ));
        }
    }
    Ok(known)
}

/// Parents before children; or a cycle, its first node repeated at the end.
fn topological(parents: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut children = vec![Vec::new(); parents.len()];
    let mut missing: Vec<usize> = parents.iter().map(Vec::len).collect();
    for (index, parents) in parents.iter().enumerate() {
        for &parent in parents {
            children[parent].push(index);
        }
    }
    let mut ready: std::collections::BTreeSet<usize> =
        (0..parents.len()).filter(|i| missing[*i] == 0).collect();
    let mut order = Vec::with_capacity(parents.len());
    while let Some(index) = ready.pop_first() {
        order.push(index);
        for &child in &children[index] {
            missing[child] -= 1;
            if missing[child] == 0 {
                ready.insert(child);
            }
        }
    }
    match (0..parents.len()).find(|index| missing[*index] > 0) {
        None => Ok(order),
        Some(start) => Err(cycle_above(start, parents, &missing)),
    }
}

/// Walks up from `start` among the nodes that never became ready: each has such a parent, so the
/// walk must come back to where it has been.
fn cycle_above(start: usize, parents: &[Vec<usize>], missing: &[usize]) -> Vec<usize> {
    let mut path = vec![start];
    let mut at = start;
    while let Some(&next) = parents[at].iter().find(|parent| missing[**parent] > 0) {
        if let Some(first) = path.iter().position(|seen| *seen == next) {
            path.drain(..first);
            path.push(next);
            return path;
        }
        path.push(next);
        at = next;
    }
    path
}

/// Dependencies and live checks of one service.
pub(super) const MAX_NAMES: usize = 1024;

const MAX_NAME_LEN: usize = 64;

#[cfg(test)]
mod tests;
