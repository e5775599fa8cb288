//! Plain text, as Kubernetes writes it.
//!
//! ```text
//! [+]cache ok
//! [!]database failed: refused
//! [!]ledger failed: blocked
//! [-]disk failed: limit
//! readyz check failed: refused, limit
//! ```
//!
//! `[-]` is what makes the page fail; `[!]` is what someone should look at, and does not.
//!
//! No page is longer than [`MAX_PAGE`]: of more lines than that, those that are well go first, and the
//! last of the others after them.

use std::fmt::Write as _;

use super::Viewer;
use crate::health::report::{Check, Report};
use crate::health::{Reason, Status};

/// The terse answer of everything that is well.
pub(in crate::health) const OK: &str = "ok";

/// One line of a probe page: a dependency or a live check.
#[derive(Clone, Copy, Debug)]
pub(in crate::health) struct Line<'a> {
    pub(in crate::health) name: &'a str,
    pub(in crate::health) status: Status,
    pub(in crate::health) reason: Option<Reason>,
    /// It fails the page, unless it is excluded.
    pub(in crate::health) fails: bool,
}

impl<'a> Line<'a> {
    /// A dependency as readiness sees it.
    pub(in crate::health) fn of(check: &'a Check, fails: bool) -> Self {
        Self {
            name: check.name(),
            status: check.status(),
            reason: check.reason(),
            fails,
        }
    }
}

/// The verbose page of the probe route `name`.
///
/// With `excluded`, those that would fail the page are shown as left out, and it passes.
pub(in crate::health) fn verbose(
    name: &str,
    lines: &[Line<'_>],
    reasons: &[Reason],
    passes: bool,
    excluded: bool,
) -> String {
    let told = |line: &Line<'_>| {
        let code = line.reason.map_or("failed", Reason::as_str);
        let text = match line.status {
            _ if excluded && line.fails => format!("[+]{} excluded: ok\n", line.name),
            Status::Pass => format!("[+]{} ok\n", line.name),
            Status::Warn => format!("[!]{} warn: {code}\n", line.name),
            Status::Fail if line.fails => format!("[-]{} failed: {code}\n", line.name),
            Status::Fail => format!("[!]{} failed: {code}\n", line.name),
        };
        let is_well = line.status == Status::Pass || excluded && line.fails;
        (is_well, text)
    };
    let last = match passes || excluded {
        true => format!("{name} check passed\n"),
        false => failed(name, reasons),
    };
    let lines: Vec<_> = lines.iter().map(told).collect();
    let mut page = bounded(&lines, MAX_PAGE - last.len());
    page.push_str(&last);
    page
}

/// As many lines as fit, each with whether it tells of something that is well, and how many did not.
fn bounded(lines: &[(bool, String)], room: usize) -> String {
    if lines.iter().map(|(_, line)| line.len()).sum::<usize>() <= room {
        return lines.iter().map(|(_, line)| line.as_str()).collect();
    }
    let (mut page, mut left_out) = (String::new(), 0);
    for (is_well, line) in lines {
        if *is_well || page.len() + line.len() + MAX_LEFT_OUT > room {
            left_out += 1;
        } else {
            page.push_str(line);
        }
    }
    // Writing into a string cannot fail.
    let _ = writeln!(page, "and {left_out} more");
    page
}

/// What a kubelet reads of a body.
const MAX_PAGE: usize = 10 * 1024;

/// The length of the line that says how many lines are left out, at most.
const MAX_LEFT_OUT: usize = 32;

/// How many of those that block a dependency its line names.
const MAX_NAMED: usize = 16;

/// The last line of a failing page, and all that the public sees of it.
pub(in crate::health) fn failed(name: &str, reasons: &[Reason]) -> String {
    let codes: Vec<_> = reasons.iter().map(|reason| reason.as_str()).collect();
    match codes.as_slice() {
        [] => format!("{name} check failed\n"),
        codes => format!("{name} check failed: {}\n", codes.join(", ")),
    }
}

/// `/health` as text.
pub(in crate::health) fn report(report: &Report, viewer: Viewer) -> String {
    let mut page = status_line(report.status(), &report.reasons());
    if viewer == Viewer::Details {
        let line = |check: &Check| (check.status == Status::Pass, check_line(check));
        let lines: Vec<_> = report.checks.iter().map(line).collect();
        page.push_str(&bounded(&lines, MAX_PAGE - page.len()));
    }
    page
}

/// `/health/{name}` as text.
pub(in crate::health) fn check(check: &Check, viewer: Viewer) -> String {
    match viewer {
        Viewer::Public => status_line(check.status, check.reason.as_slice()),
        Viewer::Details => check_line(check),
    }
}

fn status_line(status: Status, reasons: &[Reason]) -> String {
    let codes: Vec<_> = reasons.iter().map(|reason| reason.as_str()).collect();
    match codes.as_slice() {
        [] => format!("{status}\n"),
        codes => format!("{status}: {}\n", codes.join(", ")),
    }
}

fn check_line(check: &Check) -> String {
    let mut line = format!("{} {}", check.name, check.status);
    if let Some(reason) = check.reason {
        let _ = write!(line, ": {reason}");
    }
    let blocked_by = &check.blocked_by;
    if !blocked_by.is_empty() {
        let (named, others) = blocked_by.split_at(blocked_by.len().min(MAX_NAMED));
        let _ = write!(line, " by {}", named.join(", "));
        if !others.is_empty() {
            let _ = write!(line, " and {} more", others.len());
        }
    }
    line.push('\n');
    line
}
