//! The routes that are no handlers of ours: what the guards answer, and the page.
//!
//! The functions carry annotations and are never called.
#![expect(dead_code, reason = "read by the derive of the contract")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::problem::ProblemDocument;

#[utoipa::path(
    get, path = "/", tag = "page",
    params(("If-None-Match" = Option<String>, Header, description = "The ETag of a page that is at hand")),
    responses(
        (status = 200, description = "The page", content_type = "text/html", body = String, headers(("ETag" = String, description = "All of the page but its nonce"))),
        (status = 304, description = "The page that is at hand, with the policy that it came with", headers(("ETag" = String, description = "As it was"))),
    ),
)]
/// The page, with a strict content security policy and a nonce of its own.
fn page() {}

#[utoipa::path(
    get, path = "/icon.svg", tag = "page",
    responses((status = 200, description = "The page's icon", content_type = "image/svg+xml", body = String)),
)]
/// The page's icon.
fn icon() {}

#[utoipa::path(
    get, path = "/openapi.json", operation_id = "contract", tag = "contract",
    responses((status = 200, description = "This document", content_type = "application/json")),
)]
/// This document. Not rate limited.
fn this() {}

#[utoipa::path(
    get, path = "/api/events", tag = "events",
    params(
        ("type" = Option<String>, Query, description = "Only events of these types, separated by commas"),
        ("recent" = Option<u32>, Query, maximum = 1000, description = "Begin with the newest N that the caller may see, oldest first"),
        ("user" = Option<String>, Query, description = "Only this user's; it has to be the caller"),
        ("last_event_id" = Option<String>, Query, description = "As the header, for a first connection"),
        ("wait" = Option<u32>, Query, maximum = 55, description = "Of a long-poll: seconds to wait for events, 25 unless it says otherwise"),
        ("Last-Event-ID" = Option<String>, Header, description = "Go on after this event. What cannot be resumed is told by the event `reset`"),
        ("Upgrade" = Option<String>, Header, description = "`websocket`, with the rest of the handshake of RFC 6455, for a WebSocket"),
    ),
    responses(
        (status = 101, description = "A WebSocket. Each text message is one JSON object like `SocketMessage`. It closes with 1001 where a stream would end for the client to come back, \
          and with 1008 where the client should not",
          headers(("Sec-WebSocket-Accept" = String, description = "As RFC 6455 has it"), ("Event-Stream-Reset" = String, description = "Why the log cannot go on from the given id"))),
        (status = 200, description = "Public events and the caller's own: `transaction.created`, `announcement`, `health.changed`; `reset` where the log cannot go on from the given id, `caught-up` once the past is told, \
          `superseded` where `--streams-per-user` makes room for a newer stream. \
          Over the limit, a browser's EventSource is asked to come back instead of being refused. \
          A request that prefers JSON is a long-poll: the first events, or none once `wait` is over; `cursor` is the next `last_event_id`.",
          content((String = "text/event-stream"), (LongPoll = "application/json")),
          headers(("Event-Stream-Reset" = String, description = "Why the log cannot go on from the given id"))),
        (status = 204, description = "To a browser's EventSource that comes back after `superseded`: it should not"),
        (status = 400, description = "A parameter, or a WebSocket handshake, cannot be read", content_type = "application/problem+json", body = ProblemDocument),
        (status = 409, description = "To any other client that comes back with the id of `superseded`", content_type = "application/problem+json", body = ProblemDocument),
        (status = 403, description = "Another user's events, or a WebSocket for a page of another origin", content_type = "application/problem+json", body = ProblemDocument),
        (status = 426, description = "Another version of WebSocket than 13", content_type = "application/problem+json", body = ProblemDocument,
          headers(("Sec-WebSocket-Version" = String, description = "13"))),
        (status = 503, description = "The event log cannot be followed just now, or this instance is about to end", content_type = "application/problem+json", body = ProblemDocument,
          headers(("Retry-After" = u64, description = "Seconds to wait"))),
    ),
    security((), ("session" = [])),
)]
/// Streams events as Server-Sent Events, over a WebSocket, or one answer at a time. The ids are the
/// same, so a client may go from one to another.
fn events() {}

/// The answer to a long-poll.
#[derive(Serialize, ToSchema)]
struct LongPoll {
    events: Vec<LongPollEvent>,
    /// The next `last_event_id`.
    cursor: String,
    /// The log cannot go on from the id that was given: load the state anew, then take the events.
    reset: Option<Reset>,
}

#[derive(Serialize, ToSchema)]
struct LongPollEvent {
    id: String,
    /// `transaction.created`, for one.
    r#type: String,
    /// The text that a stream would carry; here, JSON.
    data: String,
}

#[derive(Serialize, ToSchema)]
struct Reset {
    /// `epoch`, `trimmed`, `unknown` or `unreadable`.
    reason: String,
    /// Where the log ends.
    head: String,
}

/// A message over a WebSocket. One without a type fires nothing: it says where the client stands, and
/// when to come back.
#[derive(Serialize, ToSchema)]
pub(super) struct SocketMessage {
    /// The next `last_event_id`.
    id: Option<String>,
    /// Together with `data`, an event.
    r#type: Option<String>,
    data: Option<String>,
    /// After how many milliseconds to come back if the connection breaks.
    retry: Option<u64>,
}

#[utoipa::path(
    post, path = "/csp-reports", tag = "reports",
    request_body(description = "Reports of a browser", content((Report = "application/csp-report"), (Vec<Report> = "application/reports+json"))),
    responses((status = 204, description = "Taken, or thrown away; a browser is told neither")),
)]
/// Takes the browser's reports of violations. Not rate limited per client; bounded as a whole.
fn reports() {}

/// A report; what is not known of it is ignored.
#[derive(Serialize, ToSchema)]
struct Report(BTreeMap<String, serde_json::Value>);

#[utoipa::path(
    get, path = "/livez", tag = "health", params(Verbosity),
    responses((status = 200, description = "Yes. The demo has no check of its own that could say no", content_type = "text/plain", body = String)),
)]
/// Is the process alive?
fn livez() {}

macro_rules! probe {
    ($name:ident, $path:literal, $summary:literal) => {
        #[utoipa::path(
            get, path = $path, tag = "health", summary = $summary, params(Verbosity),
            responses(
                (status = 200, description = "Yes", content_type = "text/plain", body = String),
                (status = 503, description = "No", content_type = "text/plain", body = String, headers(("Retry-After" = u64, description = "Seconds to wait"))),
            ),
        )]
        fn $name() {}
    };
}

probe!(readyz, "/readyz", "Can it serve?");
probe!(startupz, "/startupz", "Has it started?");

/// What a probe is to say, and of what.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Verbosity {
    /// List the checks.
    verbose: Option<String>,
    /// Leave out this check.
    exclude: Option<String>,
}

#[utoipa::path(
    get, path = "/health", tag = "health",
    responses(
        (status = 200, description = "Ready, perhaps with warnings", content((Health = "application/health+json"), (Health = "application/json"), (String = "text/plain"))),
        (status = 503, description = "Not ready", content((Health = "application/health+json"), (Health = "application/json"), (String = "text/plain")), headers(("Retry-After" = u64, description = "Seconds to wait"))),
    ),
)]
/// The health document (draft-inadarei-api-health-check-06), or a line of text for who prefers that.
fn health() {}

#[utoipa::path(
    get, path = "/health/{name}", operation_id = "healthOf", tag = "health",
    params(("name" = String, Path, description = "`database`, `ledger` or `disk`")),
    responses(
        (status = 200, description = "It works", content((Health = "application/health+json"), (Health = "application/json"), (String = "text/plain"))),
        (status = 404, description = "There is no such dependency", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "It fails, or is blocked", content((Health = "application/health+json"), (Health = "application/json"), (String = "text/plain")), headers(("Retry-After" = u64, description = "Seconds to wait"))),
    ),
)]
/// The health of one dependency.
fn health_of() {}

#[utoipa::path(
    get, path = "/api/status", tag = "health",
    params(("If-None-Match" = Option<String>, Header, description = "The ETag of a document that is at hand")),
    responses(
        (status = 200, description = "Ready, perhaps with warnings", content_type = "application/json", body = Status, headers(("ETag" = String, description = "Changes when health does"))),
        (status = 304, description = "Nothing has changed but times", headers(("ETag" = String, description = "As it was"))),
        (status = 503, description = "Not ready", content_type = "application/json", body = Status, headers(("Retry-After" = u64, description = "Seconds to wait"))),
    ),
)]
/// Service, version, uptime, and each dependency with its latency.
fn status() {}

/// As in draft-inadarei-api-health-check-06.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Health {
    /// `pass`, `warn` or `fail`.
    status: String,
    version: Option<String>,
    release_id: Option<String>,
    commit: Option<String>,
    service_id: Option<String>,
    /// Reason codes, such as `locked`.
    reasons: Option<Vec<String>>,
    /// The dependencies that the others wait for.
    root_causes: Option<Vec<String>>,
    /// `name:measurement` to a list of one.
    checks: BTreeMap<String, Vec<serde_json::Value>>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Status {
    /// `pass`, `warn` or `fail`.
    status: String,
    service: String,
    version: String,
    release: String,
    /// Where the build knew it.
    commit: Option<String>,
    uptime_seconds: f64,
    #[schema(format = DateTime)]
    time: String,
    reasons: Option<Vec<String>>,
    root_causes: Vec<String>,
    dependencies: Vec<DependencyStatus>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DependencyStatus {
    name: String,
    /// `local` or `shared`.
    scope: String,
    /// What it rests on.
    depends_on: Option<Vec<String>>,
    status: String,
    /// A reason code, where it is not well.
    reason: Option<String>,
    /// What it waits for.
    blocked_by: Option<Vec<String>>,
    latency_ms: Option<f64>,
    observed_value: Option<f64>,
    observed_unit: Option<String>,
    /// When it came into this state.
    #[schema(format = DateTime)]
    since: Option<String>,
    /// When it was last asked.
    #[schema(format = DateTime)]
    time: Option<String>,
}
