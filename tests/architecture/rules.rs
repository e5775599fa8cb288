//! The rules: which file may name which, and what belongs in which file.

use std::collections::HashMap;
use std::fmt;

use crate::source::{Reference, Source};

/// A room is a folder of `src` and a feature.
pub(crate) const ROOMS: [&str; 4] = ["event_stream", "health", "rate_limit", "security_headers"];

/// What every room stands on.
pub(crate) const SHARED: [&str; 12] = [
    "backend", "body", "client", "clock", "coarse", "config", "load", "problem", "rand", "request",
    "shed", "trace",
];

/// Documentation, and nothing else.
const GUIDE: &str = "guide";

/// Files, or folders of files, that decide and do nothing else.
pub(crate) const PURE: [&str; 32] = [
    "addresses",
    "batch",
    "breaker",
    "csp",
    "decision",
    "encode",
    "few",
    "forwarded",
    "frame",
    "gcra",
    "graph",
    "handshake",
    "id",
    "index",
    "known",
    "message",
    "node",
    "origin",
    "plan",
    "prefix",
    "quota",
    "replay",
    "reply",
    "ring",
    "selector",
    "shard",
    "slot",
    "sql",
    "table",
    "track",
    "wheel",
    "witness",
];

/// What a pure file must not name: the crates that wait, wake and serve.
const IMPURE: [&str; 10] = [
    "axum",
    "futures",
    "http_body",
    "http_body_util",
    "hyper",
    "hyper_util",
    "tokio",
    "tower",
    "tower_layer",
    "tower_service",
];

/// The storeys of a room, top first; a file that is not listed is below all of them.
const HEIGHTS: [(&str, u8); 3] = [("layer", 3), ("service", 2), ("future", 1)];

/// What a host holds in its hands: it gives out layers, and layers carry it, so it has no height.
/// A pure file stands below it all the same.
const FACADES: [&str; 2] = ["builder", "handle"];

/// Leaves behind a feature of their own, named by their parent alone.
const BACKENDS: [&str; 3] = ["governor", "postgres", "redis"];

const MAX_LINES: usize = 450;

/// A broken rule: where, and why it is one.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Violation {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) reason: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.reason)
    }
}

/// Everything that is wrong with a crate made of these files.
pub(crate) fn violations(sources: &[Source]) -> Vec<Violation> {
    let tree = Tree::new(sources);
    let mut found = Vec::new();
    for source in sources {
        let mut report = |line, reason: String| {
            found.push(Violation {
                path: source.path.clone(),
                line,
                reason,
            });
        };
        shape(source, &mut report);
        for reference in &source.references {
            let line = reference.line;
            match tree.resolve(reference) {
                Target::Outside(crate_name) => outside(source, reference, &crate_name, |reason| {
                    report(line, reason);
                }),
                Target::Inside(module) => inside(source, reference, &module, |reason| {
                    report(line, reason);
                }),
            }
            if let [.., kind, "now"] = segments(reference)[..] {
                let reads = matches!(kind, "Instant" | "SystemTime") && !reference.in_test;
                if reads && source.path != "src/clock.rs" {
                    report(line, format!("`{kind}::now`: only clock.rs reads time"));
                }
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Rules on a file by itself.
fn shape(source: &Source, report: &mut impl FnMut(usize, String)) {
    let first = &source.first_line;
    let is_readme = source.module.is_empty() && first.starts_with("#![doc");
    if !first.starts_with("//!") && !is_readme {
        report(1, "a file starts with `//!`: what it is for".into());
    }
    if source.lines > MAX_LINES {
        let lines = source.lines;
        report(
            lines,
            format!("{lines} lines, and {MAX_LINES} are the most: split the file"),
        );
    }
    if let Some(line) = source.after_tests {
        report(line, "tests come last in a file".into());
    }
    let may_ask = source.module.is_empty()
        || source.path == "src/trace.rs"
        || ROOMS.contains(&source.top()) && (source.is_mod() || BACKENDS.contains(&source.name()));
    if !may_ask {
        for line in &source.feature_cfgs {
            let reason = "a feature is asked for in lib.rs, trace.rs, a room's mod.rs or a backend";
            report(*line, reason.into());
        }
    }
    if source.top() == GUIDE {
        for reference in &source.references {
            let reason = "a guide documents, and names nothing of any crate";
            report(reference.line, reason.into());
        }
    } else if let Some(top) = source.module.first() {
        if !ROOMS.contains(&top.as_str()) && !SHARED.contains(&top.as_str()) {
            let reason = "neither a room nor shared: add it to the table in tests/architecture";
            report(1, format!("`{top}` is {reason}"));
        }
    }
}

/// Rules on what a file names of other crates.
fn outside(source: &Source, reference: &Reference, name: &str, report: impl FnOnce(String)) {
    if source.is_pure() && !reference.in_test && IMPURE.contains(&name) {
        report(format!(
            "a pure file names `{name}`: it decides, others wait and serve"
        ));
    }
}

/// Rules on what a file names of this crate.
fn inside(source: &Source, reference: &Reference, target: &[String], report: impl FnOnce(String)) {
    let (from, to) = (source.top(), target.first().map_or("", String::as_str));
    let name = target.last().map_or("", String::as_str);
    let own_room = ROOMS.contains(&from) && from == to;
    if from.is_empty() {
    } else if to.is_empty() {
        report("lib.rs is the map, and nothing imports from it".into());
    } else if SHARED.contains(&from) && ROOMS.contains(&to) {
        report(format!("shared `{from}` imports the room `{to}`"));
    } else if ROOMS.contains(&from) && ROOMS.contains(&to) && from != to {
        report(format!("the room `{from}` imports the room `{to}`"));
    } else if !own_room || source.is_mod() || reference.in_test {
    } else if BACKENDS.contains(&name) && !source.module.starts_with(target) {
        report(format!(
            "the backend `{name}` is named by its parent's mod.rs alone"
        ));
    } else if source.is_pure() && FACADES.contains(&name) {
        report(format!(
            "a pure file imports `{name}`, which stands above it"
        ));
    } else if height(source.name()) < height(name) && !FACADES.contains(&source.name()) {
        let from = source.name();
        report(format!("`{from}` imports `{name}`, which stands above it"));
    }
}

fn height(name: &str) -> u8 {
    let known = HEIGHTS.iter().find(|(known, _)| *known == name);
    known.map_or(0, |(_, height)| *height)
}

fn segments(reference: &Reference) -> Vec<&str> {
    reference.segments.iter().map(String::as_str).collect()
}

impl Source {
    /// The room or the shared module; empty for `lib.rs`.
    fn top(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }

    /// The last segment of its module.
    fn name(&self) -> &str {
        self.module.last().map_or("", String::as_str)
    }

    fn is_mod(&self) -> bool {
        self.path.ends_with("/mod.rs")
    }

    pub(crate) fn is_pure(&self) -> bool {
        self.module.iter().any(|part| PURE.contains(&part.as_str()))
    }
}

/// Where a path leads.
enum Target {
    /// To another crate, or to a name that is local to the file.
    Outside(String),
    /// To the file that holds this module.
    Inside(Vec<String>),
}

/// The modules of the crate, and what they re-export.
struct Tree<'a> {
    modules: HashMap<&'a [String], &'a Source>,
}

impl<'a> Tree<'a> {
    fn new(sources: &'a [Source]) -> Self {
        Self {
            modules: sources
                .iter()
                .map(|source| (&source.module[..], source))
                .collect(),
        }
    }

    fn resolve(&self, reference: &Reference) -> Target {
        match self.absolute(reference) {
            Some(path) => Target::Inside(self.home(path, 0)),
            None => Target::Outside(reference.segments[0].clone()),
        }
    }

    /// The path from the crate's root; `None` for one that does not lead into the crate.
    fn absolute(&self, reference: &Reference) -> Option<Vec<String>> {
        let mut base = reference.module.clone();
        let mut rest = &reference.segments[..];
        match rest[0].as_str() {
            "crate" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            child => {
                base.push(child.to_owned());
                self.modules.get(&base[..])?;
                rest = &rest[1..];
            }
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// The module that `path` lies in: through re-exports, to the file where the item is written.
    fn home(&self, path: Vec<String>, depth: usize) -> Vec<String> {
        let known = (0..=path.len())
            .rev()
            .find(|n| self.modules.contains_key(&path[..*n]));
        let (module, rest) = path.split_at(known.unwrap_or(0));
        let reexport = rest.first().and_then(|item| {
            let source = self.modules.get(module).filter(|source| source.is_mod())?;
            let here = |r: &&Reference| r.name == *item && r.module == module && !r.in_test;
            source.references.iter().find(here)
        });
        match reexport.and_then(|reference| self.absolute(reference)) {
            Some(next) if depth < 8 && source_of(&next) != source_of(&path) => {
                self.home(next, depth + 1)
            }
            _ => module.to_vec(),
        }
    }
}

/// All but the item's own name.
fn source_of(path: &[String]) -> &[String] {
    &path[..path.len().saturating_sub(1)]
}
