//! One policy, keyed by the client's address.

use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use axum_governor::extractor::PeerIp;
use axum_governor::nz;
use bartizan::rate_limit::{Headers, Policy, Quota, RateLimitLayer, key};
use http::header::HeaderValue;
use http::{Request, StatusCode};
use tower::Layer;
use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;

use crate::by_hand::{ByHand, Cells};
use crate::harness::Contest;
use crate::request::{client, handler, request, runtime};

/// Every request passes, and is not told what is left.
pub fn allowed() -> Contest {
    let governor = GovernorConfigBuilder::default()
        .period(Duration::from_nanos(1))
        .burst_size(u32::MAX)
        .finish()
        .expect("neither is zero");
    // It knows no clients, makes them wait rather than turns them away, and wants a runtime for that.
    let runtime = runtime();
    let _inside = runtime.enter();
    let tower = tower::limit::RateLimitLayer::new(MANY, Duration::from_secs(1));
    let ours = ours(Quota::per_second(MANY), Headers::Off);
    Contest::new("rate limit, allowed, no fields", page, StatusCode::OK)
        .floor("the bare service", handler())
        .with("by hand, with no choices", by_hand(()).layer(handler()))
        .with("tower, one limit for everybody", tower.layer(handler()))
        .with(
            "tower_governor",
            GovernorLayer::new(governor).layer(handler()),
        )
        .with("bartizan", ours.layer(handler()))
}

/// Every request passes and is told what is left.
pub fn allowed_with_headers() -> Contest {
    let governor = GovernorConfigBuilder::default()
        .period(Duration::from_nanos(1))
        .burst_size(u32::MAX)
        .use_headers()
        .finish()
        .expect("neither is zero");
    let ours = ours(Quota::per_second(MANY), Headers::Always);
    // As if made at run time: bytes that are shared.
    let policy =
        HeaderValue::from_bytes(b"\"peers\";q=1000000000;w=1").expect("visible characters");
    let by_hand = by_hand(policy);
    Contest::new("rate limit, allowed, with fields", page, StatusCode::OK)
        .floor("the bare service", handler())
        .with("by hand, with no choices", by_hand.layer(handler()))
        .with(
            "tower_governor",
            GovernorLayer::new(governor).layer(handler()),
        )
        .with(
            "axum-governor",
            axum_governor(axum_governor::Quota::requests_per_second(nz!(u32::MAX)))
                .layer(handler()),
        )
        .with("bartizan", ours.layer(handler()))
}

/// Every request is turned away.
pub fn rejected() -> Contest {
    let governor = GovernorConfigBuilder::default()
        .period(Duration::from_secs(3_600))
        .burst_size(1)
        .finish()
        .expect("neither is zero");
    let ours = ours(Quota::per_hour(1), Headers::Always);
    Contest::new("rate limit, rejected", page, StatusCode::TOO_MANY_REQUESTS)
        .floor("the bare service", handler())
        .with(
            "tower_governor",
            GovernorLayer::new(governor).layer(handler()),
        )
        .with(
            "axum-governor",
            axum_governor(axum_governor::Quota::requests_per_hour(nz!(1u32))).layer(handler()),
        )
        .with("bartizan", ours.layer(handler()))
}

/// More than anyone asks for.
const MANY: u64 = 1_000_000_000;

/// As its guide has it: with fields, which it always sends.
fn axum_governor(quota: axum_governor::Quota) -> axum_governor::GovernorLayer<IpAddr> {
    let config = axum_governor::GovernorConfigBuilder::default()
        .with_extractor(PeerIp::default())
        .expect_connect_info()
        .quota_default(quota)
        .finish();
    axum_governor::GovernorLayer::new(config.expect("a quota and whose it is"))
}

fn by_hand<T>(tell: T) -> ByHand<T> {
    ByHand::new(Cells::new(1 << 16, 1, MANY), tell)
}

fn ours(quota: Quota, headers: Headers) -> RateLimitLayer {
    RateLimitLayer::builder()
        .policy(Policy::new("peers", quota).by(key::client_ip(&client())))
        .headers(headers)
        .build()
        .expect("a valid policy")
}

fn page() -> Request<Body> {
    request("/")
}
