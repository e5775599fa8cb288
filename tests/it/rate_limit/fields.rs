//! The response fields of requests that pass.

use super::*;
use bartizan::rate_limit::{Headers, Report};
use tower::service_fn;

#[tokio::test]
async fn a_response_tells_what_is_left_and_when_there_is_more() {
    let mut host = Host::new([minutely("api", 60)]);
    let response = host.send(get("/")).await;
    assert_eq!(
        header(&response, "ratelimit-policy"),
        Some(r#""api";q=60;w=60"#)
    );
    assert_eq!(header(&response, "ratelimit"), Some(r#""api";r=59;t=1"#));
    assert_eq!(header(&response, "retry-after"), None);
    assert_eq!(header(&response, "x-ratelimit-limit"), None);
}

#[tokio::test]
async fn fields_are_sent_when_a_host_wants_them() {
    for (headers, expected) in [
        (Headers::Always, [true, true, true, true]),
        (Headers::NearLimit(40), [false, true, true, true]),
        (Headers::RejectedOnly, [false, false, false, true]),
        (Headers::Off, [false; 4]),
    ] {
        let mut host = Host::of(
            RateLimitLayer::builder()
                .policy(minutely("a", 3))
                .headers(headers),
        );
        for expected in expected {
            let response = host.send(get("/")).await;
            assert_eq!(
                header(&response, "ratelimit").is_some(),
                expected,
                "{headers:?}"
            );
            assert_eq!(header(&response, "ratelimit-policy").is_some(), expected);
        }
    }
}

#[tokio::test]
async fn the_older_fields_are_there_on_request() {
    let mut host = Host::of(
        RateLimitLayer::builder()
            .policy(minutely("few", 6))
            .policy(minutely("many", 600))
            .legacy_headers(true),
    );
    let response = host.send(get("/")).await;
    assert_eq!(header(&response, "x-ratelimit-limit"), Some("6"));
    assert_eq!(header(&response, "x-ratelimit-remaining"), Some("5"));
    assert_eq!(header(&response, "x-ratelimit-reset"), Some("10"));
}

#[tokio::test]
async fn the_lists_of_nested_layers_and_a_handlers_own_fields_are_kept() {
    let inner = RateLimitLayer::builder()
        .policy(minutely("inner", 5))
        .build()
        .unwrap();
    let outer = RateLimitLayer::builder()
        .policy(minutely("outer", 9))
        .legacy_headers(true)
        .build()
        .unwrap();
    let handler = service_fn(|_: Request<()>| async {
        let response = Response::builder()
            .header("retry-after", "7")
            .header("x-ratelimit-limit", "mine")
            .body(Full::<Bytes>::from("ok"));
        Ok::<_, Infallible>(response.unwrap())
    });
    let response = outer
        .layer(inner.layer(handler))
        .oneshot(get("/"))
        .await
        .unwrap();
    let all = |name| -> Vec<_> { response.headers().get_all(name).iter().collect() };
    assert_eq!(
        all("ratelimit"),
        [r#""inner";r=4;t=12"#, r#""outer";r=8;t=7"#]
    );
    assert_eq!(
        all("ratelimit-policy"),
        [r#""inner";q=5;w=60"#, r#""outer";q=9;w=60"#]
    );
    assert_eq!(all("retry-after"), ["7"]);
    assert_eq!(all("x-ratelimit-limit"), ["mine"]);
}

#[tokio::test]
async fn a_response_that_switches_protocols_or_opens_a_tunnel_stays_as_it_is() {
    let layer = RateLimitLayer::builder()
        .policy(minutely("api", 5))
        .build()
        .unwrap();
    let upgrade = service_fn(|_: Request<()>| async {
        let response = Response::builder()
            .status(101)
            .body(Full::<Bytes>::default());
        Ok::<_, Infallible>(response.unwrap())
    });
    let response = layer
        .clone()
        .layer(upgrade)
        .oneshot(get("/ws"))
        .await
        .unwrap();
    assert!(response.headers().is_empty());
    let tunnel = service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let connect = Request::connect("example.com:443").body(()).unwrap();
    let response = layer.layer(tunnel).oneshot(connect).await.unwrap();
    assert!(response.headers().is_empty());
}

#[tokio::test]
async fn handlers_and_outer_layers_can_see_the_decision() {
    let layer = RateLimitLayer::builder()
        .policy(minutely("api", 5))
        .expose_decision(true)
        .build()
        .unwrap();
    let handler = service_fn(|request: Request<()>| async move {
        let report = request.extensions().get::<Report>().unwrap();
        let left = report.window("api").unwrap().remaining();
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(left.to_string())))
    });
    let response = layer.layer(handler).oneshot(get("/")).await.unwrap();
    let report = response.extensions().get::<Report>().unwrap();
    assert_eq!(report.windows().count(), 1);
    assert!(report.window("other").is_none());
    assert_eq!(text(response).await, "4");
}
