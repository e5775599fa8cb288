//! The four guards, and why each layer stands where it stands.

use axum::Router;
use axum::http::Method;
use axum::http::request::Parts;
use bartizan::client::ClientSource;
use bartizan::event_stream::{Denied, Grant};
use bartizan::health::Health;
use bartizan::rate_limit::{Policy, Quota, RateLimitLayer, Route, key};
use bartizan::security_headers::{SecurityHeaders, SecurityHeadersLayer};
use tower::ServiceBuilder;

use crate::Failure;
use crate::args::Args;
use crate::limits;
use crate::session::Sessions;

/// Puts the guards around the API.
pub(crate) fn around(
    api: Router,
    args: &Args,
    clients: &ClientSource,
    health: &Health,
) -> Result<Router, Failure> {
    // Every GET and every POST counts, whether or not there is such a page: looking for one is what
    // scanners do. What programs fetch once, and what browsers send unasked, does not.
    let limits = RateLimitLayer::builder()
        .policy(
            Policy::new(
                "reads",
                Quota::per_second(args.reads_per_second.get().into()),
            )
            .on(Route::method(Method::GET))
            .by(key::client_ip(clients))
            .skip(|request| request.path() == "/openapi.json"),
        )
        .policy(
            Policy::new(
                "writes",
                Quota::per_second(args.writes_per_second.get().into()),
            )
            .on(Route::method(Method::POST))
            .by(key::client_ip(clients))
            .skip(|request| request.path() == "/csp-reports"),
        )
        // On top of its share of the writes: each of these stops all writers for a while.
        .policy(
            Policy::new("locks", Quota::per_minute(30))
                .on(Route::post("/api/demo/lock"))
                .by(key::client_ip(clients)),
        );
    // Innermost: what they let through is work.
    let api = limits::around(api, limits, args)?;

    let headers = SecurityHeadersLayer::new(headers())?.client(clients);

    Ok(api.layer(
        ServiceBuilder::new()
            // Outermost, so that the refusals of the layers below carry the headers, too.
            .layer(headers)
            // Before the limits: a probe that is refused would take a healthy instance out.
            .layer(health.layer()),
    ))
}

/// The page's script and style carry the nonce. What a browser had to block, it reports to us.
pub(crate) fn headers() -> SecurityHeaders {
    SecurityHeaders::web_nonce().reports_to("/csp-reports")
}

/// Who may see which events: whoever has a session, their own besides the public ones.
pub(crate) fn own_events(
    sessions: Sessions,
) -> impl Fn(&Parts) -> Result<Grant, Denied> + Send + Sync + 'static {
    move |request: &Parts| {
        let user = sessions.user(&request.headers);
        Ok(user.map_or_else(Grant::public, Grant::user))
    }
}
