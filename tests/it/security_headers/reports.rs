//! The collector: what browsers post, and what attackers do.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use bartizan::client::{ClientSource, PeerAddr};
use bartizan::clock::Clock;
use bartizan::rate_limit::{Policy, Quota, RateLimitLayer, key};
use bartizan::security_headers::*;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, ServiceExt};

fn collector() -> (ReportCollector, MemorySink, Clock) {
    let (latest, clock) = (MemorySink::new(1000), Clock::manual());
    let collector = ReportCollector::new(latest.clone()).clock(clock.clone());
    (collector, latest, clock)
}

async fn send<B>(
    collector: &ReportCollector,
    method: Method,
    kind: &str,
    body: B,
) -> Response<Bytes>
where
    B: Body,
{
    let request = Request::builder()
        .method(method)
        .uri("/csp-reports")
        .header("content-type", kind)
        .body(body)
        .unwrap();
    let response = collector.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

async fn post(collector: &ReportCollector, kind: &str, body: impl Into<Bytes>) {
    let body = Full::new(body.into());
    let response = send(collector, Method::POST, kind, body).await;
    assert_eq!(response.status(), 204);
    assert!(response.body().is_empty());
}

const CSP: &str = "application/csp-report";
const BATCH: &str = "application/reports+json";

/// A batch of `count` different reports.
fn batch(count: usize, prefix: &str) -> String {
    let one = |n| {
        format!(
            r#"{{"type":"csp-violation","url":"https://a.example/{prefix}{n}",
                "body":{{"blockedURL":"inline","effectiveDirective":"script-src-elem"}}}}"#
        )
    };
    format!("[{}]", (0..count).map(one).collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn both_media_types_reach_the_sink() {
    let (collector, latest, _) = collector();
    let body = r#"{"csp-report":{"document-uri":"https://a.example/x?token=s","blocked-uri":"eval",
        "violated-directive":"script-src 'self'"}}"#;
    post(&collector, "application/csp-report; charset=utf-8", body).await;
    post(&collector, BATCH, batch(2, "page?secret=")).await;
    let reports = latest.reports();
    let documents: Vec<_> = reports.iter().map(Report::document).collect();
    // The two of the batch differ in their query alone, and count as one.
    assert_eq!(documents, ["https://a.example/x", "https://a.example/page"]);
    assert_eq!(reports[0].directive(), "script-src");
    assert_eq!(reports[1].directive(), "script-src-elem");
    assert!(!format!("{reports:?}").contains("secret"));
}

#[tokio::test]
async fn whatever_is_posted_the_answer_is_the_same() {
    let (collector, latest, _) = collector();
    for (kind, body) in [
        (CSP, ""),
        (CSP, "{"),
        (CSP, "\u{0}\r\n[2026] forged line"),
        (BATCH, "{}"),
        (BATCH, "[[[[[["),
        ("text/plain", "[]"),
        ("application/json", "[]"),
        ("", ""),
    ] {
        post(&collector, kind, body).await;
    }
    post(&collector, CSP, vec![0xff; 100]).await;
    let request = Request::post("/").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(
        collector.clone().oneshot(request).await.unwrap().status(),
        204
    );
    assert!(latest.reports().is_empty());
}

/// No browser compresses a report, and what unpacks to gigabytes is never unpacked.
#[tokio::test]
async fn what_is_compressed_is_not_unpacked() {
    let (collector, latest, _) = collector();
    let packed: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0xab, 0x56, 0, 0];
    let request = Request::post("/csp-reports")
        .header("content-type", CSP)
        .header("content-encoding", "gzip")
        .body(Full::new(Bytes::from_static(packed)))
        .unwrap();
    let response = collector.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 204);
    assert!(latest.reports().is_empty());
}

#[tokio::test]
async fn fields_of_the_wrong_type_or_size_are_left_out_or_cut() {
    let (collector, latest, _) = collector();
    let long = "x".repeat(60_000);
    let body = format!(
        r#"{{"csp-report":{{"document-uri":["https://a.example"],"blocked-uri":{{"a":1}},
            "violated-directive":7,"effective-directive":"{long}","source-file":null,
            "line-number":1e999,"column-number":-1,"script-sample":"{{{{","disposition":[]}}}}"#
    );
    assert!(
        serde_json::from_str::<serde_json::Value>(&body).is_err(),
        "1e999 is no number"
    );
    post(&collector, CSP, body.clone()).await;
    assert!(latest.reports().is_empty());
    post(&collector, CSP, body.replace("1e999", "1e99")).await;
    let reports = latest.reports();
    let [report] = &reports[..] else {
        panic!("{reports:?}")
    };
    assert_eq!((report.document(), report.blocked()), ("", ""));
    assert_eq!((report.line(), report.column()), (None, None));
    assert_eq!(report.directive().len(), 1_024);
    assert_eq!(report.disposition(), Disposition::Enforce);
}

#[tokio::test]
async fn other_methods_are_told_and_a_preflight_is_answered() {
    let (collector, ..) = collector();
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
        let response = send(&collector, method, CSP, Full::<Bytes>::default()).await;
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "POST, OPTIONS");
    }
    let response = send(&collector, Method::OPTIONS, "", Full::<Bytes>::default()).await;
    assert_eq!(response.status(), 204);
    let headers = response.headers();
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert_eq!(headers["access-control-allow-methods"], "POST");
    assert_eq!(headers["access-control-allow-headers"], "content-type");
    let response = send(&collector, Method::POST, BATCH, Full::<Bytes>::default()).await;
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit_and_no_further() {
    let (collector, latest, _) = collector();
    let fits = batch(1, "a");
    let exact = collector.clone().body_limit(fits.len());
    post(&exact, BATCH, fits.clone()).await;
    assert_eq!(latest.reports().len(), 1);
    let short = collector.clone().body_limit(fits.len() - 1);
    post(&short, BATCH, batch(1, "b")).await;
    assert_eq!(latest.reports().len(), 1);

    // A body of unknown length that never ends is left after the limit.
    let (mut polled, kib) = (0, Bytes::from(vec![b' '; 1024]));
    let endless = futures::stream::poll_fn(|_| {
        polled += 1;
        let frame = Ok::<_, Infallible>(Frame::data(kib.clone()));
        std::task::Poll::Ready(Some(frame))
    });
    let response = send(
        &collector,
        Method::POST,
        BATCH,
        Box::pin(StreamBody::new(endless)),
    )
    .await;
    assert_eq!(response.status(), 204);
    assert_eq!(polled, 65);
}

#[tokio::test]
async fn a_body_that_breaks_off_counts_for_nothing() {
    let (collector, latest, _) = collector();
    let frames = [Ok(Frame::data(Bytes::from(batch(1, "a")))), Err("reset")];
    let body = StreamBody::new(futures::stream::iter(frames));
    let response = send(&collector, Method::POST, BATCH, body).await;
    assert_eq!(response.status(), 204);
    assert!(latest.reports().is_empty());
}

#[tokio::test]
async fn one_request_counts_for_twenty_reports() {
    let (collector, latest, _) = collector();
    post(&collector, BATCH, batch(200, "a")).await;
    assert_eq!(latest.reports().len(), 20);
    post(&collector.reports_per_request(5), BATCH, batch(200, "b")).await;
    assert_eq!(latest.reports().len(), 25);
}

#[tokio::test]
async fn one_second_counts_for_fifty_reports_whoever_sends_them() {
    let (collector, latest, clock) = collector();
    for n in 0..10 {
        post(&collector.clone(), BATCH, batch(20, &format!("{n}-"))).await;
    }
    assert_eq!(latest.reports().len(), 50);
    // While the share is used up, a body is not even asked for.
    let unread = futures::stream::poll_fn(
        |_| -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            panic!("nobody reads this")
        },
    );
    let response = send(
        &collector,
        Method::POST,
        BATCH,
        Box::pin(StreamBody::new(unread)),
    )
    .await;
    assert_eq!(response.status(), 204);
    clock.advance(Duration::from_secs(1));
    post(&collector, BATCH, batch(20, "later")).await;
    assert_eq!(latest.reports().len(), 70);
}

#[tokio::test]
async fn a_repetition_is_passed_on_once_a_minute() {
    let (collector, latest, clock) = collector();
    for _ in 0..100 {
        post(&collector, BATCH, batch(1, "a")).await;
    }
    assert_eq!(latest.reports().len(), 1);
    clock.advance(Duration::from_secs(60));
    post(&collector, BATCH, batch(1, "a")).await;
    assert_eq!(latest.reports().len(), 2);
}

#[tokio::test]
async fn what_an_extension_did_is_not_the_sites_fault() {
    let (collector, latest, _) = collector();
    for body in [
        r#"{"csp-report":{"blocked-uri":"moz-extension","document-uri":"https://a.example/"}}"#,
        r#"{"csp-report":{"blocked-uri":"chrome-extension://id/x.js"}}"#,
        r#"{"csp-report":{"blocked-uri":"inline","source-file":"safari-web-extension://x"}}"#,
    ] {
        post(&collector, CSP, body).await;
    }
    assert!(latest.reports().is_empty());
}

#[tokio::test]
async fn a_sink_in_memory_keeps_the_latest() {
    let latest = MemorySink::new(3);
    let collector = ReportCollector::new(latest.clone());
    post(&collector, BATCH, batch(5, "a")).await;
    let documents: Vec<_> = latest
        .reports()
        .iter()
        .map(|r| r.document().to_owned())
        .collect();
    let expected = [2, 3, 4].map(|n| format!("https://a.example/a{n}"));
    assert_eq!(documents, expected);
}

#[tokio::test]
async fn axum_mounts_it_as_a_service() {
    let latest = MemorySink::new(10);
    let app: Router = Router::new()
        .route_service("/csp-reports", ReportCollector::new(latest.clone()))
        .layer(SecurityHeadersLayer::new(SecurityHeaders::api()).unwrap());
    let request = Request::post("/csp-reports")
        .header("content-type", BATCH)
        .body(axum::body::Body::from(batch(1, "a")))
        .unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 204);
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(latest.reports().len(), 1);
}

#[test]
fn the_sinks_at_hand_conform_and_one_that_trusts_its_texts_does_not() {
    let latest = MemorySink::new(10);
    report_sink_conformance(&latest);
    assert_eq!(latest.reports().len(), 10);
    report_sink_conformance(&|report: Report| drop(report));
    let trusting = |report: Report| assert!(report.document().starts_with("https://"));
    let caught = std::panic::catch_unwind(|| report_sink_conformance(&trusting));
    assert!(caught.is_err());
}

#[tokio::test]
async fn a_report_cannot_forge_a_log_line_whatever_its_fields_say() {
    let (collector, latest, _) = collector();
    let evil = r"a\r\nSet-Cookie: x\u001b[31m\u202e\u0000";
    let csp = format!(
        r#"{{"csp-report": {{"document-uri": "https://a.example/{evil}", "violated-directive": "{evil}",
            "blocked-uri": "{evil}", "source-file": "{evil}", "script-sample": "{evil}",
            "not-of-the-standard": [1, {{"deep": "{evil}"}}]}}}}"#
    );
    post(&collector, "application/csp-report; charset=utf-8", csp).await;
    let body = format!(
        r#"{{"documentURL": "{evil}", "blockedURL": "https://{evil}", "effectiveDirective": "{evil}",
            "sourceFile": "{evil}", "sample": "{evil}"}}"#
    );
    let batch = format!(r#"[{{"type": "{evil}", "url": "{evil}", "body": {body}, "more": {{}}}}]"#);
    post(&collector, "application/reports+json;charset=utf-8", batch).await;

    let reports = latest.reports();
    assert_eq!(reports.len(), 2);
    for report in &reports {
        for text in [
            report.kind(),
            report.document(),
            report.blocked(),
            report.directive(),
            report.source_file(),
            report.sample(),
        ] {
            assert!(!text.is_empty(), "{report:?}");
            let unfit = |char: char| char.is_control() || char == '\u{202e}';
            assert!(!text.contains(unfit), "{text:?}");
        }
    }
}

#[tokio::test]
async fn a_limit_for_each_client_is_a_layer_around_it() {
    let (collector, latest, _) = collector();
    let clients = ClientSource::peer();
    let one = Policy::new("reports", Quota::per_minute(2)).by(key::client_ip(&clients));
    let limits = RateLimitLayer::builder().policy(one).build().unwrap();
    let service = limits.layer(collector);
    let send = async |client: u8, name: &str| {
        let mut request = Request::post("/csp-reports")
            .header("content-type", BATCH)
            .body(Full::<Bytes>::from(batch(1, name)))
            .unwrap();
        let peer = PeerAddr::new(([192, 0, 2, client], 4711).into());
        request.extensions_mut().insert(peer);
        service.clone().oneshot(request).await.unwrap().status()
    };
    for (client, name, status) in [
        (1, "a", 204),
        (1, "b", 204),
        (1, "c", 429),
        (2, "d", 204),
        (1, "e", 429),
    ] {
        assert_eq!(send(client, name).await, status, "{name}");
    }
    assert_eq!(latest.reports().len(), 3);
}

#[tokio::test]
async fn what_a_browser_sends_on_its_own_from_another_site_is_taken() {
    let (collector, latest, _) = collector();
    let request = Request::post("/csp-reports")
        .header("content-type", BATCH)
        .header("origin", "null")
        .header("sec-fetch-site", "cross-site")
        .header("sec-fetch-mode", "cors")
        .header("sec-fetch-dest", "report")
        .body(Full::<Bytes>::from(batch(1, "a")))
        .unwrap();
    let response = collector.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 204);
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    assert_eq!(latest.reports().len(), 1);
}
