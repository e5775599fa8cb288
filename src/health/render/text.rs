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
    let mut page = String::new();
    for line in lines {
        let code = line.reason.map_or("failed", Reason::as_str);
        // Writing into a string cannot fail.
        let _ = match line.status {
            _ if excluded && line.fails => writeln!(page, "[+]{} excluded: ok", line.name),
            Status::Pass => writeln!(page, "[+]{} ok", line.name),
            Status::Warn => writeln!(page, "[!]{} warn: {code}", line.name),
            Status::Fail if line.fails => writeln!(page, "[-]{} failed: {code}", line.name),
            Status::Fail => writeln!(page, "[!]{} failed: {code}", line.name),
        };
    }
    if passes || excluded {
        let _ = writeln!(page, "{name} check passed");
    } else {
        page.push_str(&failed(name, reasons));
    }
    page
}

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
        for check in &report.checks {
            page.push_str(&check_line(check));
        }
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
    if !check.blocked_by.is_empty() {
        let _ = write!(line, " by {}", check.blocked_by.join(", "));
    }
    line.push('\n');
    line
}
