//! What the handle, the driver and the endpoints share: the report, and the pages rendered from it.

use std::collections::HashMap;
use std::convert::identity;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use tokio::sync::watch;

use super::graph::Mask;
use super::latest::Latest;
use super::meters::Meters;
use super::panic::caught;
use super::render::Viewer;
use super::report::Report;
use super::route::{HEALTH_JSON, Head, Heads, Route};
use super::snapshot::{Document, Gate, Page, Snapshot};
use super::tag;
use super::transitions::{self, Transitions};
use crate::clock::{Clock, Deadline, Forward};
use crate::problem::Problem;
use crate::rand;
use crate::request::{self, Read};
use crate::trace::emit;

/// The state of one service.
pub(super) struct Shared {
    pub(super) clock: Clock,
    /// In the tags of `/api/status`, lest they name the state of another process.
    process: u64,
    max_age: Duration,
    heads: Heads,
    pub(super) meters: Meters,
    /// Dependencies first, then live checks.
    names: HashMap<String, usize>,
    dependencies: usize,
    viewers: Option<Box<ViewerFn>>,
    snapshot: Latest,
    /// Served in place of a snapshot that nobody has renewed.
    stale: Snapshot,
    stale_told: AtomicBool,
    /// Taken by whoever changes something; never by a request.
    control: Mutex<Control>,
    changes: watch::Sender<Arc<Report>>,
}

/// The host's decision who sees details.
pub(super) type ViewerFn = dyn Fn(&Parts) -> bool + Send + Sync;

/// What a request is answered with: a finished page under a finished head.
#[derive(Clone, Copy)]
struct Found<'a> {
    page: &'a Page,
    head: &'a HeaderMap,
    /// Of the state that the page shows, if that may be asked about.
    tag: Option<&'a HeaderValue>,
}

impl Found<'_> {
    /// Whether the client has it already.
    fn is_known(&self, asked: Asked<'_>) -> bool {
        self.tag
            .is_some_and(|tag| tag::is_known(asked.headers, tag))
    }

    #[inline]
    fn to_response<B>(self, body: impl FnOnce(Bytes) -> B) -> Response<B> {
        let bytes = self.page.body.clone();
        let head = self.head.clone();
        let mut response = Response::new(body(bytes));
        *response.status_mut() = self.page.code;
        let empty = std::mem::replace(response.headers_mut(), head);
        // It owns nothing, and to drop it takes as long as to look a header up.
        std::mem::forget(empty);
        response
    }
}

/// What of a request has a say in its answer.
#[derive(Clone, Copy)]
struct Asked<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
}

struct Control {
    report: Arc<Report>,
    fresh_until: Deadline,
    uptime: Forward,
}

impl Shared {
    pub(super) fn new(
        clock: Clock,
        mut report: Report,
        max_age: Duration,
        retry_after: u64,
        viewers: Option<Box<ViewerFn>>,
    ) -> Self {
        let fresh_until = clock.deadline(max_age);
        let mut uptime = Forward::default();
        uptime.passed(clock.now());
        let heads = Heads::new(retry_after, viewers.is_some());
        let process = u64::from_ne_bytes(rand::bytes());
        report.time = clock.wall();
        let mut stale = report.clone();
        stale.expire();
        let dependencies = report.checks.iter().map(|check| check.name());
        let names = dependencies.chain(report.alive.iter().map(|check| &*check.name));
        let names = (names.enumerate())
            .map(|(index, name)| (name.to_owned(), index))
            .collect();
        let report = Arc::new(report);
        Self {
            clock,
            process,
            max_age,
            meters: Meters::new(&report),
            names,
            dependencies: report.checks.len(),
            viewers,
            snapshot: Latest::new(Snapshot::render(
                &report,
                fresh_until,
                &heads,
                process,
                None,
            )),
            stale: Snapshot::render(&stale, fresh_until, &heads, process, None),
            heads,
            stale_told: AtomicBool::new(false),
            changes: watch::Sender::new(Arc::clone(&report)),
            control: Mutex::new(Control {
                report,
                fresh_until,
                uptime,
            }),
        }
    }

    /// Changes the report and renders every page anew. What the driver says is `fresh`; the host's
    /// own switches confirm nothing.
    pub(super) fn update(&self, fresh: bool, change: impl FnOnce(&mut Report)) {
        let mut control = self.control();
        let before = Arc::clone(&control.report);
        let mut report = (*before).clone();
        change(&mut report);
        report.uptime = control.uptime.passed(self.clock.now());
        report.time = self.clock.wall();
        report.date_changes(&before);
        let moved = !report.is_same_state(&before);
        report.generation += u64::from(moved);
        if fresh {
            control.fresh_until = self.clock.deadline(self.max_age);
            self.stale_told.store(false, Ordering::Relaxed);
        }
        let report = Arc::new(report);
        control.report = Arc::clone(&report);
        let pages = self.snapshot.load();
        let before_it = Some((&*before, &*pages));
        let (heads, process) = (&self.heads, self.process);
        let snapshot = Snapshot::render(&report, control.fresh_until, heads, process, before_it);
        drop(pages);
        self.snapshot.replace(snapshot);
        if moved {
            // Under the lock, so that nobody sees transitions out of order: it sets gauges and wakes.
            self.meters.moved(&before, &report);
            self.changes.send_replace(Arc::clone(&report));
        }
        drop(control);
        if moved {
            transitions::log(&before, &report);
        }
    }

    /// Nobody probes any more, and whoever stopped says so in the log: this does not.
    pub(super) fn stop(&self) {
        self.stale_told.store(true, Ordering::Relaxed);
        self.update(false, Report::expire);
    }

    pub(super) fn current(&self) -> Arc<Report> {
        Arc::clone(&self.control().report)
    }

    pub(super) fn subscribe(&self) -> Transitions {
        Transitions::new(self.changes.subscribe())
    }

    /// What `path` asks for.
    pub(super) fn route(&self, path: &str) -> Option<Route> {
        Route::of(path, |name| {
            let index = self.names.get(name).copied();
            index.filter(|index| *index < self.dependencies)
        })
    }

    /// Whether the host tells viewers apart: only its closure needs a request in parts, and taking
    /// one apart moves all of it.
    #[inline]
    pub(super) fn has_viewers(&self) -> bool {
        self.viewers.is_some()
    }

    /// The answer to anybody: a choice among finished pages. `body` and `finish` make of it what the
    /// caller returns, where it is returned: to move a response costs as much as to read a clock.
    #[inline]
    pub(super) fn answer<A, B, T>(
        &self,
        route: Route,
        request: &Request<A>,
        body: impl FnOnce(Bytes) -> B,
        finish: impl FnOnce(Response<B>) -> T,
    ) -> T {
        let asked = Asked {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
        };
        self.respond(route, asked, Viewer::Public, body, finish)
    }

    /// The same, where it depends on who asks.
    #[inline]
    pub(super) fn answer_viewer<B, T>(
        &self,
        route: Route,
        parts: &Parts,
        body: impl FnOnce(Bytes) -> B,
        finish: impl FnOnce(Response<B>) -> T,
    ) -> T {
        let admits = self.viewers.as_ref();
        // One that panics has not said that this viewer may.
        let viewer = match admits.and_then(|admits| caught(|| admits(parts))) {
            Some(true) => Viewer::Details,
            Some(false) | None => Viewer::Public,
        };
        let asked = Asked {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
        };
        self.respond(route, asked, viewer, body, finish)
    }

    #[inline]
    fn respond<B, T>(
        &self,
        route: Route,
        asked: Asked<'_>,
        viewer: Viewer,
        body: impl FnOnce(Bytes) -> B,
        finish: impl FnOnce(Response<B>) -> T,
    ) -> T {
        let snapshot = self.snapshot.load();
        match self.find(&snapshot, route, asked, viewer) {
            Some(found) if *asked.method == Method::GET && !found.is_known(asked) => {
                finish(found.to_response(body))
            }
            found => finish(other(found, asked).map(body)),
        }
    }

    /// The page of `route`; `None` where there is none.
    fn find<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        route: Route,
        asked: Asked<'_>,
        viewer: Viewer,
    ) -> Option<Found<'a>> {
        let current = if snapshot.fresh_until.has_passed(&self.clock) {
            self.tell_stale();
            &self.stale
        } else {
            snapshot
        };
        let gate = |gate: &'a Gate| {
            let page = match asked.uri.query() {
                None => gate.plain(viewer),
                Some(_) => {
                    let (excluded, verbose) = self.selection(asked.uri);
                    gate.page(viewer, &excluded, verbose)
                }
            };
            (page, Head::Probe)
        };
        let document = |document: &'a Document| {
            let head = dialect(asked.headers);
            (document.page(viewer, matches!(head, Head::Text)), head)
        };
        let (page, head) = match route {
            Route::Live => gate(&current.live),
            Route::Ready => gate(&current.ready),
            // That it has started does not grow old.
            Route::Startup => gate(&snapshot.startup),
            Route::Report => document(&current.report),
            Route::One(index) => document(&current.each[index]),
            Route::Status => {
                let state = &current.status[viewer as usize];
                if let Some((tag, head)) = &state.tagged {
                    let (page, tag) = (&state.page, Some(tag));
                    return Some(Found { page, head, tag });
                }
                (&state.page, Head::Status)
            }
            Route::Unknown => return None,
        };
        Some(Found {
            page,
            head: self.heads.get(head, page.code),
            tag: None,
        })
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        // Nothing that is done under the lock leaves it half done.
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `?exclude=name`, repeatable, and `?verbose`. Unknown names and parameters change nothing.
    fn selection(&self, uri: &Uri) -> (Mask, bool) {
        let (mut excluded, mut verbose) = (Mask::default(), false);
        for (key, value) in request::query(uri) {
            match &*key {
                "verbose" => verbose = true,
                "exclude" => {
                    if let Some(index) = self.names.get(&*value) {
                        excluded.insert(*index);
                    }
                }
                _ => {}
            }
        }
        (excluded, verbose)
    }

    #[cold]
    fn tell_stale(&self) {
        if !self.stale_told.swap(true, Ordering::Relaxed) {
            let seconds = self.max_age.as_secs();
            emit!(
                error,
                { max_age_seconds = seconds },
                "health is stale: its driver is not being polled"
            );
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Every answer but a page to GET.
#[cold]
fn other(found: Option<Found<'_>>, asked: Asked<'_>) -> Response<Bytes> {
    let read = Read::of(asked.method);
    match (read, found) {
        (Read::Options, _) => request::options(ALLOW),
        (Read::Refused, _) => request::method_not_allowed(ALLOW),
        (_, Some(found)) if found.is_known(asked) => not_modified(found.head),
        (Read::Head, Some(found)) => without_body(found.to_response(identity)),
        (Read::Get, Some(found)) => found.to_response(identity),
        (Read::Head, None) => without_body(Problem::new(StatusCode::NOT_FOUND).into_response()),
        (Read::Get, None) => Problem::new(StatusCode::NOT_FOUND).into_response(),
    }
}

/// The head that `GET` would have, which tells the length of the body that is left out.
fn without_body(mut response: Response<Bytes>) -> Response<Bytes> {
    let body = std::mem::take(response.body_mut());
    let length = body.len().into();
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

/// What a client that has it already is told, with the head that 200 would have had.
fn not_modified(head: &HeaderMap) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.headers_mut() = head.clone();
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

/// The dialect of a health document. A client that accepts none of them gets the first: a probe's
/// odd `Accept` must not look like an outage.
fn dialect(headers: &HeaderMap) -> Head {
    const OFFERS: [(&str, Head); 3] = [
        (HEALTH_JSON, Head::HealthJson),
        ("application/json", Head::Json),
        ("text/plain", Head::Text),
    ];
    let preferred = request::preferred(headers, &OFFERS.map(|(media_type, _)| media_type));
    OFFERS[preferred.unwrap_or(0)].1
}

const ALLOW: &str = "GET, HEAD, OPTIONS";
