//! Every page of one report, rendered ahead of all requests.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::graph::Mask;
use super::render::text::{self, Line};
use super::render::{Viewer, json};
use super::report::{Check, Report};
use super::route::Heads;
use super::{Reason, Status, tag};
use crate::clock::Deadline;

/// What a request may choose from.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// After this instant nobody has confirmed that it is still true.
    pub(super) fresh_until: Deadline,
    pub(super) live: Gate,
    pub(super) ready: Gate,
    pub(super) startup: Gate,
    pub(super) report: Document,
    pub(super) status: [State; 2],
    /// One per dependency, as declared.
    pub(super) each: Vec<Arc<Document>>,
}

impl Snapshot {
    /// Renders `report`; what is the same as `before` is taken from there.
    pub(super) fn render(
        report: &Report,
        fresh_until: Deadline,
        heads: &Heads,
        process: u64,
        before: Option<(&Report, &Self)>,
    ) -> Self {
        let each = |(index, check): (usize, &Check)| match before {
            Some((report, pages)) if report.checks[index] == *check => {
                Arc::clone(&pages.each[index])
            }
            _ => Arc::new(Document::of(check)),
        };
        let code = code(report.status());
        Self {
            fresh_until,
            live: live(report),
            ready: ready(report),
            startup: startup(report),
            report: Document {
                json: Viewer::ALL.map(|viewer| Page::new(code, json::health(report, viewer))),
                text: Viewer::ALL.map(|viewer| Page::new(code, text::report(report, viewer))),
            },
            status: Viewer::ALL.map(|viewer| {
                let tag = tag::of(process, report.generation, viewer);
                let head = || (tag.clone(), heads.tagged(tag));
                State {
                    page: Page::new(code, json::status(report, viewer)),
                    tagged: (code == StatusCode::OK).then(head),
                }
            }),
            each: report.checks.iter().enumerate().map(each).collect(),
        }
    }
}

/// A status code and a body.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) code: StatusCode,
    pub(super) body: Bytes,
}

impl Page {
    fn new(code: StatusCode, body: impl Into<Bytes>) -> Self {
        Self {
            code,
            body: body.into(),
        }
    }

    fn passes(body: impl Into<Bytes>) -> Self {
        Self::new(StatusCode::OK, body)
    }

    fn fails(body: impl Into<Bytes>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, body)
    }
}

/// The status document. Only what is well has a tag: a 503 is never a 304 ([RFC 9110, 13.2.1]).
///
/// [RFC 9110, 13.2.1]: https://www.rfc-editor.org/rfc/rfc9110#section-13.2.1
#[derive(Debug)]
pub(super) struct State {
    pub(super) page: Page,
    pub(super) tagged: Option<(HeaderValue, HeaderMap)>,
}

/// One document in its dialects, for each viewer.
#[derive(Debug)]
pub(super) struct Document {
    json: [Page; 2],
    text: [Page; 2],
}

impl Document {
    fn of(check: &Check) -> Self {
        let code = code(check.status());
        Self {
            json: Viewer::ALL.map(|viewer| Page::new(code, json::check(check, viewer))),
            text: Viewer::ALL.map(|viewer| Page::new(code, text::check(check, viewer))),
        }
    }

    pub(super) fn page(&self, viewer: Viewer, as_text: bool) -> &Page {
        let pages = if as_text { &self.text } else { &self.json };
        &pages[viewer as usize]
    }
}

/// A page that passes or fails as a whole, and from which single checks may be excluded.
#[derive(Debug)]
pub(super) struct Gate {
    passes: bool,
    /// The checks that make it fail. When all of them are excluded it passes, unless something
    /// other than a check makes it fail.
    failing: Mask,
    excludable: bool,
    ok: Page,
    /// What everyone sees of a failure without details.
    brief: Page,
    verbose: Page,
    excluded: Page,
}

impl Gate {
    /// `own` is true when the instance itself (draining, maintenance, stale) fails the page.
    fn new(name: &str, lines: &[(usize, Line<'_>)], own: bool, reasons: &[Reason]) -> Self {
        let mut failing = Mask::default();
        for (index, _) in lines.iter().filter(|(_, line)| line.fails) {
            failing.insert(*index);
        }
        let passes = !own && failing.is_empty();
        let lines: Vec<_> = lines.iter().map(|(_, line)| *line).collect();
        let verbose = text::verbose(name, &lines, reasons, passes, false);
        Self {
            passes,
            failing,
            excludable: !own,
            ok: Page::passes(text::OK),
            brief: Page::fails(text::failed(name, reasons)),
            verbose: if passes {
                Page::passes(verbose)
            } else {
                Page::fails(verbose)
            },
            excluded: Page::passes(text::verbose(name, &lines, reasons, passes, true)),
        }
    }

    /// The page for a request that asks for nothing in particular.
    pub(super) fn plain(&self, viewer: Viewer) -> &Page {
        match viewer {
            _ if self.passes => &self.ok,
            Viewer::Public => &self.brief,
            // A failure is always told in full to those who may know.
            Viewer::Details => &self.verbose,
        }
    }

    /// The page for a request that excludes checks, or wants every line.
    pub(super) fn page(&self, viewer: Viewer, excluded: &Mask, verbose: bool) -> &Page {
        let verbose = verbose && viewer == Viewer::Details;
        if self.passes {
            if verbose { &self.verbose } else { &self.ok }
        } else if self.excludable && self.failing.is_subset(excluded) {
            if verbose { &self.excluded } else { &self.ok }
        } else {
            self.plain(viewer)
        }
    }
}

fn ready(report: &Report) -> Gate {
    let lines: Vec<_> = (report.checks.iter().enumerate())
        .map(|(index, check)| {
            let pending = !report.started && check.is_pending();
            let fails = pending || check.weight() == Status::Fail;
            (index, Line::of(check, fails))
        })
        .collect();
    let unstarted = !report.started && lines.iter().all(|(_, line)| !line.fails);
    let own = report.stale || report.draining || report.maintenance || unstarted;
    Gate::new("readyz", &lines, own, &report.reasons())
}

fn startup(report: &Report) -> Gate {
    let lines: Vec<_> = (report.checks.iter().enumerate())
        .map(|(index, check)| {
            let fails = !report.started && check.is_pending();
            let line = Line {
                name: check.name(),
                status: if fails { Status::Fail } else { Status::Pass },
                reason: check.reason(),
                fails,
            };
            (index, line)
        })
        .collect();
    let unstarted = !report.started && lines.iter().all(|(_, line)| !line.fails);
    Gate::new("startupz", &lines, unstarted, &[Reason::Pending])
}

fn live(report: &Report) -> Gate {
    let first = report.checks.len();
    let lines: Vec<_> = (report.alive.iter().enumerate())
        .map(|(index, check)| {
            let passes = check.passes || report.stale;
            let line = Line {
                name: &check.name,
                status: if passes { Status::Pass } else { Status::Fail },
                reason: None,
                fails: !passes,
            };
            (first + index, line)
        })
        .collect();
    Gate::new("livez", &lines, false, &[])
}

/// Never 500, and never anything but a plain 200 for a warning: load balancers know two codes.
fn code(status: Status) -> StatusCode {
    match status {
        Status::Fail => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::health::report::Scope;
    use crate::health::report::tests::report;

    /// What each second costs: the pages of single dependencies are rendered only when they change.
    #[test]
    fn rendering_a_thousand_takes_a_few_allocations_for_each() {
        let checks = vec![(Scope::Shared, Status::Fail, Some(Reason::Refused)); 1_000];
        let report = report(&checks);
        let (heads, fresh_until) = (
            Heads::new(2, true),
            Clock::manual().deadline(Duration::ZERO),
        );
        let render = |before| Snapshot::render(&report, fresh_until, &heads, 1, before);
        let first = render(None);
        let allocations = |before| {
            let counted = allocation_counter::measure(|| drop(render(before)));
            counted.count_total / checks.len() as u64
        };
        let (anew, again) = (allocations(None), allocations(Some((&report, &first))));
        assert!(again <= 12 && anew <= 32, "{again}, {anew} anew");
        assert!(again + 5 <= anew, "{again}, {anew} anew: nothing is kept");
    }
}
