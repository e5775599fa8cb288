//! The nonce: the same everywhere in one response, and nowhere else.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use bartizan::client::ClientSource;
use bartizan::security_headers::*;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, Service, ServiceBuilder};
use tracing::Level;

use super::{Answer, call, over_https, values};

fn nonce(request: &Request<()>) -> Nonce {
    request.extensions().get::<CspNonce>().unwrap().get()
}

/// A handler that puts its nonce into a header, where tests find it.
fn page(request: Request<()>) -> Answer {
    let mut response = Response::new(Full::from("<script>"));
    let value = HeaderValue::from_str(nonce(&request).as_str()).unwrap();
    response.headers_mut().insert("x-nonce", value);
    response
}

fn policy() -> SecurityHeaders {
    let nonce = [Source::Nonce];
    SecurityHeaders::web_nonce().csp_report_only(|csp| csp.set(Directive::StyleSrc, nonce))
}

#[test]
fn handler_policy_and_reported_policy_have_the_same_nonce() {
    let response = over_https(policy(), page);
    let headers = response.headers();
    let nonce = headers["x-nonce"].to_str().unwrap();
    assert_eq!(nonce.len(), 24);
    assert_eq!(
        headers["content-security-policy"],
        format!(
            "default-src 'none'; \
             script-src 'nonce-{nonce}' 'strict-dynamic' https: 'unsafe-inline'; \
             style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; font-src 'self'; \
             connect-src 'self'; manifest-src 'self'; media-src 'self'; worker-src 'self'; \
             form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'; upgrade-insecure-requests"
        )
    );
    let reported = &headers["content-security-policy-report-only"];
    assert_eq!(*reported, format!("style-src 'nonce-{nonce}'"));
    assert!(reported.is_sensitive() && headers["content-security-policy"].is_sensitive());
    let debug = format!("{:?}", headers["content-security-policy"]);
    assert!(!debug.contains(nonce), "{debug}");
    let again = over_https(policy(), page);
    assert_ne!(again.headers()["x-nonce"], *nonce);
}

#[test]
fn an_unread_nonce_is_not_sent_and_the_policy_is_no_weaker() {
    let response = over_https(policy(), super::ok);
    let csp = response.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(!csp.contains("nonce-"), "{csp}");
    assert!(
        csp.contains("script-src 'strict-dynamic' https:; style-src 'self';"),
        "{csp}"
    );
    let reported = &response.headers()["content-security-policy-report-only"];
    assert_eq!(reported, "style-src 'none'");
    assert!(!response.headers().contains_key("cache-control"));
}

#[test]
fn a_response_with_a_nonce_is_private() {
    for (theirs, expected) in [
        (None, vec!["private"]),
        (Some("max-age=60"), vec!["max-age=60", "private"]),
        (
            Some("public, max-age=60"),
            vec!["public, max-age=60", "private"],
        ),
        (
            Some("private=\"set-cookie\""),
            vec!["private=\"set-cookie\"", "private"],
        ),
        (Some("no-cache, Private"), vec!["no-cache, Private"]),
        (Some("no-store"), vec!["no-store"]),
    ] {
        let response = over_https(policy(), |request| {
            let mut response = page(request);
            if let Some(theirs) = theirs {
                let value = HeaderValue::from_static(theirs);
                response.headers_mut().insert("cache-control", value);
            }
            response
        });
        assert_eq!(values(response.headers(), "cache-control"), expected);
    }
}

#[test]
fn a_304_leaves_the_cached_pages_policy_alone() {
    for read in [true, false] {
        let response = over_https(policy().cache_control("no-cache"), |request| {
            if read {
                let _ = nonce(&request);
            }
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        });
        let headers = response.headers();
        assert!(!headers.contains_key("content-security-policy"));
        assert!(!headers.contains_key("content-security-policy-report-only"));
        assert!(!headers.contains_key("cache-control"));
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert!(headers.contains_key("strict-transport-security"));
    }
    // A policy without a nonce is the same as the cached one, and stays.
    let response = over_https(SecurityHeaders::web(), |_| {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    });
    assert!(response.headers().contains_key("content-security-policy"));
}

#[test]
fn nested_layers_share_one_nonce() {
    let tls = ClientSource::peer().over_tls();
    let inner = SecurityHeaders::none().csp(|csp| csp.set(Directive::ScriptSrc, [Source::Nonce]));
    let layer = ServiceBuilder::new()
        .layer(SecurityHeadersLayer::new(policy()).unwrap().client(&tls))
        .layer(SecurityHeadersLayer::new(inner).unwrap());
    let response = call(layer, Request::new(()), page);
    let headers = response.headers();
    let nonce = headers["x-nonce"].to_str().unwrap();
    let enforced = format!("script-src 'nonce-{nonce}'");
    assert_eq!(values(headers, "content-security-policy"), [enforced]);
    let reported = format!("style-src 'nonce-{nonce}'");
    assert_eq!(
        values(headers, "content-security-policy-report-only"),
        [reported]
    );
    assert_eq!(values(headers, "cache-control"), ["private"]);
}

#[test]
fn a_nonce_that_the_client_sends_is_not_honoured() {
    let layer = SecurityHeadersLayer::new(policy()).unwrap();
    let mut request = Request::new(());
    let chosen = HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAAAA");
    for name in ["x-csp-nonce", "x-turbo-nonce", "csp-nonce", "x-nonce"] {
        request.headers_mut().insert(name, chosen.clone());
    }
    let response = call(layer, request, page);
    assert_ne!(response.headers()["x-nonce"], chosen);
    let csp = response.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(!csp.contains(chosen.to_str().unwrap()), "{csp}");
}

#[test]
fn additions_keep_the_nonce() {
    let response = over_https(policy(), |request| {
        let mut response = page(request);
        let more = CspAppend::new(Directive::StyleSrcElem, ["https://a.example"]).unwrap();
        more.add_to(response.extensions_mut());
        response
    });
    let nonce = response.headers()["x-nonce"].to_str().unwrap();
    let csp = response.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    let added = format!("style-src-elem 'self' 'nonce-{nonce}' https://a.example");
    assert!(csp.contains(&added), "{csp}");
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_log_tells_a_nonce_even_where_a_host_logs_everything() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = crate::logs::on_this_thread(subscriber);
    let read = {
        let mut request = Request::new(());
        // So that this crate has something to say as well.
        let forwarded = HeaderValue::from_static("198.51.100.7");
        request.headers_mut().insert("x-forwarded-for", forwarded);
        let mut read = None;
        let layer = SecurityHeadersLayer::new(policy()).unwrap();
        let response = call(layer, request, |request| {
            tracing::trace!(?request, handle = ?request.extensions().get::<CspNonce>());
            let nonce = *read.insert(nonce(&request));
            tracing::trace!(?nonce, ?request);
            Response::default()
        });
        tracing::trace!(?response);
        read.unwrap()
    };
    drop(guard);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for told in [
        "bartizan",
        "handle=",
        "nonce=Nonce(..)",
        "content-security-policy",
    ] {
        assert!(log.contains(told), "{told}: {log}");
    }
    assert!(!log.contains(read.as_str()), "{log}");
}

#[test]
fn a_million_requests_on_several_threads_have_a_million_nonces() {
    let layer = SecurityHeadersLayer::new(policy()).unwrap();
    let draw = || {
        let mut drawn = Vec::with_capacity(MILLION / 4);
        let mut service = layer.layer(tower::service_fn(|request: Request<()>| {
            let text: [u8; 24] = nonce(&request).as_str().as_bytes().try_into().unwrap();
            drawn.push(text);
            std::future::pending::<Result<Response<()>, ()>>()
        }));
        for _ in 0..MILLION / 4 {
            drop(service.call(Request::new(())));
        }
        drop(service);
        drawn
    };
    let mut drawn = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(draw)).collect();
        let drawn = threads.into_iter().map(|thread| thread.join().unwrap());
        drawn.collect::<Vec<_>>().concat()
    });
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), MILLION);
}

const MILLION: usize = 1_000_000;
