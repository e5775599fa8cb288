//! What a refused request gets: as a document, as an `EventSource`, as a gRPC call, as a host likes.

use super::*;
use bartizan::rate_limit::{Cause, Check, Decision, Headers, Rejection, Verdict};
use http::StatusCode;

#[tokio::test]
async fn a_refusal_is_a_problem_that_names_what_was_violated() {
    let mut host = Host::new([minutely("api", 2).and("daily", Quota::per_day(1000))]);
    assert_eq!(host.passing(2, || get("/")).await, 2);
    host.clock.advance(Duration::from_millis(500));
    let response = host.send(get("/secret?token=1")).await;
    assert_eq!(response.status(), 429);
    assert_eq!(
        header(&response, "content-type"),
        Some("application/problem+json")
    );
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    assert_eq!(
        header(&response, "retry-after"),
        Some("30"),
        "29.5 s, rounded up"
    );
    assert_eq!(
        header(&response, "ratelimit-policy"),
        Some(r#""api";q=2;w=60, "daily";q=1000;w=86400"#)
    );
    assert_eq!(
        header(&response, "ratelimit"),
        Some(r#""api";r=0;t=30, "daily";r=998;t=86"#)
    );
    assert_eq!(
        text(response).await,
        r#"{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Request cannot be satisfied as assigned quota has been exceeded","status":429,"violated-policies":["api"]}"#
    );
}

#[tokio::test]
async fn retry_after_is_never_zero_and_whoever_heeds_it_passes() {
    let mut host =
        Host::new([Policy::new("api", Quota::per_second(1000).burst(1)).by(key::constant())]);
    assert_eq!(host.status(get("/")).await, 200);
    let response = host.send(get("/")).await;
    assert_eq!(
        header(&response, "retry-after"),
        Some("1"),
        "of a wait of 1 ms"
    );
    host.clock.advance(SECOND);
    assert_eq!(host.status(get("/")).await, 200);
}

#[tokio::test]
async fn the_longest_of_several_waits_is_told() {
    let mut host = Host::new([
        minutely("minute", 1),
        Policy::new("hour", Quota::per_hour(1)).by(key::constant()),
    ]);
    assert_eq!(host.status(get("/")).await, 200);
    let response = host.send(get("/")).await;
    assert_eq!(header(&response, "retry-after"), Some("3600"));
    assert!(
        text(response)
            .await
            .ends_with(r#""violated-policies":["minute","hour"]}"#)
    );
}

#[tokio::test]
async fn a_request_that_can_never_pass_is_not_told_to_wait() {
    let mut host = Host::new([minutely("api", 5).cost_for(|_| 6)]);
    let response = host.send(get("/")).await;
    assert_eq!(response.status(), 413);
    assert_eq!(header(&response, "retry-after"), None);
    assert!(
        text(response)
            .await
            .contains("the request costs more than the quota ever holds")
    );
    assert_eq!(
        host.layer.peek("api", &get("/")).unwrap().verdicts()[0].remaining(),
        5
    );
}

#[tokio::test]
async fn a_browsers_event_source_is_told_when_to_come_back_and_not_ended() {
    let mut host = Host::new([minutely("api", 1)]);
    assert_eq!(host.status(get("/events")).await, 200);
    let stream = |accept| with(get("/events"), "accept", accept);
    let response = host.send(stream("text/event-stream")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), Some("text/event-stream"));
    let body = text(response).await;
    let retry: u64 = body
        .strip_prefix("retry: ")
        .unwrap()
        .trim_end()
        .parse()
        .unwrap();
    assert!((60_000..=90_000).contains(&retry), "{retry}");
    for accept in ["text/event-stream, */*", "*/*"] {
        assert_eq!(host.status(stream(accept)).await, 429, "{accept}");
    }
    assert_eq!(host.service.get_ref().calls, 1);
}

#[tokio::test]
async fn an_event_source_that_can_never_pass_is_told_so() {
    let mut host = Host::new([minutely("api", 1).cost_for(|_| 2)]);
    assert_eq!(
        host.status(with(get("/"), "accept", "text/event-stream"))
            .await,
        204
    );
}

#[tokio::test]
async fn sparing_event_sources_can_be_turned_off() {
    let mut host = Host::of(
        RateLimitLayer::builder()
            .policy(minutely("api", 1))
            .event_source(false),
    );
    let stream = || with(get("/"), "accept", "text/event-stream");
    assert_eq!(host.passing(2, stream).await, 1);
}

#[tokio::test]
async fn a_grpc_call_gets_a_status_in_trailers_alone() {
    let mut host = Host::new([minutely("api", 1)]);
    let call = || {
        with(
            post("/pkg.Service/Method"),
            "content-type",
            "application/grpc",
        )
    };
    assert_eq!(host.status(call()).await, 200);
    let response = host.send(call()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), Some("application/grpc"));
    assert_eq!(header(&response, "grpc-status"), Some("8"));
    assert_eq!(header(&response, "grpc-retry-pushback-ms"), Some("60000"));
    assert!(header(&response, "grpc-status-details-bin").is_some());
    assert_eq!(header(&response, "retry-after"), None);
    assert!(http_body::Body::is_end_stream(response.body()));
}

#[tokio::test]
async fn a_host_answers_in_its_own_way() {
    let teapot = |rejection: &Rejection<'_>| {
        assert_eq!(rejection.cause(), Cause::Exceeded);
        assert_eq!(rejection.violated(), ["api"]);
        assert_eq!(rejection.retry_after(), Some(60 * SECOND));
        assert_eq!(rejection.method(), http::Method::GET);
        assert!(rejection.request_headers().is_empty());
        let mut response = Response::new(Bytes::from_static(b"short and stout"));
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response
    };
    let mut host = Host::of(
        RateLimitLayer::builder()
            .policy(minutely("api", 1))
            .reject(teapot),
    );
    assert_eq!(host.status(get("/")).await, 200);
    let response = host.send(get("/")).await;
    assert_eq!(response.status(), 418);
    assert_eq!(header(&response, "retry-after"), Some("60"));
    assert_eq!(header(&response, "ratelimit"), Some(r#""api";r=0;t=60"#));
    assert_eq!(text(response).await, "short and stout");
}

/// RFC 9110, 8.6: a 204 has no length, and of a 304 only the page's own would be right.
#[tokio::test]
async fn a_hosts_answer_without_content_gets_no_length() {
    for (status, body, length) in [
        (StatusCode::NO_CONTENT, "", None),
        (StatusCode::NOT_MODIFIED, "", None),
        (StatusCode::TOO_MANY_REQUESTS, "", Some("0")),
        (StatusCode::TOO_MANY_REQUESTS, "no", Some("2")),
    ] {
        let builder = RateLimitLayer::builder().policy(minutely("api", 1));
        let mut host = Host::of(builder.reject(move |_: &Rejection<'_>| {
            let mut response = Response::new(Bytes::from_static(body.as_bytes()));
            *response.status_mut() = status;
            response
        }));
        assert_eq!(host.status(get("/")).await, 200);
        let response = host.send(Request::head("/").body(()).unwrap()).await;
        assert_eq!(response.status(), status);
        assert_eq!(header(&response, "content-length"), length, "{status}");
        assert_eq!(text(response).await, "");
    }
}

#[tokio::test]
async fn without_fields_a_refusal_still_says_when_to_come_back() {
    let mut host = Host::of(
        RateLimitLayer::builder()
            .policy(minutely("api", 1))
            .headers(Headers::Off),
    );
    assert_eq!(header(&host.send(get("/")).await, "ratelimit"), None);
    let response = host.send(get("/")).await;
    assert_eq!(header(&response, "ratelimit"), None);
    assert_eq!(header(&response, "retry-after"), Some("60"));
}

/// A store that cannot be reached, and refuses meanwhile.
fn unreachable(checks: &[Check<'_>], _: &Clock) -> Decision {
    let wait = Duration::from_millis(1500);
    let cells = checks.iter().map(|check| check.quota().cells());
    Decision::new(checks, cells.map(|cells| Verdict::unavailable(cells, wait)))
}

#[tokio::test]
async fn an_outage_that_refuses_is_told_from_a_quota_that_is_used_up() {
    let layer = RateLimitLayer::builder()
        .policy(minutely("api", 5))
        .store(unreachable)
        .build()
        .unwrap();
    let ask = async |request: Request<()>| {
        let service = layer.layer(Origin::default());
        service.oneshot(request).await.unwrap()
    };
    let response = ask(get("/")).await;
    assert_eq!(response.status(), 503);
    assert_eq!(header(&response, "retry-after"), Some("2"));
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    assert_eq!(
        text(response).await,
        r#"{"type":"https://iana.org/assignments/http-problem-types#temporary-reduced-capacity","title":"Request cannot be satisfied due to temporary server capacity constraints","status":503,"violated-policies":["api"]}"#
    );

    let stream = Request::get("/").header("accept", "text/event-stream");
    let response = ask(stream.body(()).unwrap()).await;
    assert_eq!(response.status(), 200);
    assert!(text(response).await.starts_with("retry: "));

    let call = Request::post("/").header("content-type", "application/grpc");
    let response = ask(call.body(()).unwrap()).await;
    assert_eq!(header(&response, "grpc-status"), Some("14"));
    assert_eq!(header(&response, "grpc-retry-pushback-ms"), Some("1500"));
}
