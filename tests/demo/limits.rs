//! A burst over the quota, and what is said about it.

use std::time::Duration;

use serde_json::json;

use crate::http::{Answer, Call};
use crate::server::Demo;

/// Calls until it is refused, which it is before `most`.
fn exhaust(most: usize, call: impl Fn() -> Call) -> Answer {
    let refused = (0..most)
        .map(|_| call().send())
        .find(|answer| answer.status == 429);
    refused.expect("a burst over the quota is refused")
}

#[track_caller]
fn assert_told(refused: &Answer, limit: &str, quota: u32) -> Duration {
    refused.problem(429);
    let policy = refused.header("ratelimit-policy").unwrap();
    assert!(
        policy.contains(&format!("\"{limit}\";q={quota};w=1")),
        "{policy}"
    );
    let left = refused.header("ratelimit").unwrap();
    assert!(left.contains(&format!("\"{limit}\";r=0")), "{left}");
    assert!(refused.header("content-security-policy").is_some());
    let wait = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    Duration::from_secs(wait)
}

#[test]
fn writes_over_the_quota_are_refused_and_pass_after_the_wait_they_are_told() {
    let demo = Demo::with(&["--writes-per-second", "5"]);
    let announce = || {
        demo.post("/api/announcements")
            .json(&json!({"text": "hello"}))
    };
    let first = announce().send();
    assert_eq!(first.status, 201);
    assert!(
        first
            .header("ratelimit")
            .unwrap()
            .contains("\"writes\";r=4"),
        "{first:?}"
    );
    let refused = exhaust(100, announce);
    let wait = assert_told(&refused, "writes", 5);

    // Reads, health and the browser's reports go on meanwhile.
    assert_eq!(demo.get("/").send().status, 200);
    assert_eq!(demo.get("/health").send().status, 200);
    assert_eq!(
        demo.post("/csp-reports")
            .header("content-type", "application/csp-report")
            .body("{}")
            .send()
            .status,
        204
    );

    std::thread::sleep(wait);
    assert_eq!(announce().send().status, 201);
}

#[test]
fn reads_over_the_quota_are_refused_but_an_event_source_is_asked_to_come_back() {
    let demo = Demo::with(&["--reads-per-second", "3"]);
    let read = || demo.get("/api/transactions");
    let events = || {
        demo.get("/api/events")
            .header("accept", "text/event-stream")
    };
    let refused = exhaust(100, read);
    let wait = assert_told(&refused, "reads", 3);
    exhaust(100, || demo.get("/nowhere"));
    exhaust(100, || Call::new(demo.address(), "HEAD", "/"));

    // A browser gives up for good on a 429, so it gets a stream that ends.
    let shed = (0..100).find_map(|_| {
        exhaust(100, read);
        let (answer, mut body) = events().begin();
        answer.header("content-length").is_some().then(|| {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut body, &mut text).unwrap();
            (answer, text)
        })
    });
    let (answer, text) = shed.expect("turned away within so many tries");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/event-stream"))
    );
    let retry: u64 = text
        .trim()
        .strip_prefix("retry: ")
        .unwrap()
        .parse()
        .unwrap();
    assert!(retry >= 1000, "{retry}");

    std::thread::sleep(wait);
    assert_ne!(read().send().status, 429);
    assert_eq!(demo.get("/openapi.json").send().status, 200);
}

#[test]
fn what_a_client_claims_to_be_counts_only_from_a_trusted_proxy() {
    let from = |demo: &Demo, client: &str| {
        let call = demo
            .post("/api/announcements")
            .header("x-forwarded-for", client);
        call.json(&json!({"text": ""})).send().status
    };
    let plain = Demo::with(&["--writes-per-second", "2"]);
    let passed = (0..20)
        .filter(|n| from(&plain, &format!("198.51.100.{n}")) == 201)
        .count();
    assert!(passed < 20, "an untrusted header buys no quota");

    let behind = Demo::with(&["--writes-per-second", "2", "--trusted-proxy", "127.0.0.0/8"]);
    let passed = (0..20)
        .filter(|n| from(&behind, &format!("198.51.100.{n}")) == 201)
        .count();
    assert_eq!(passed, 20, "each client has a quota of its own");
    let one = (0..20)
        .filter(|_| from(&behind, "1.1.1.1, 203.0.113.7") == 201)
        .count();
    assert!(one < 20, "and one client has one");

    // The scheme is believed from the same proxies only.
    let open = |demo: &Demo| {
        let call = demo
            .post("/api/session")
            .header("x-forwarded-proto", "https");
        let call = call
            .header("x-forwarded-for", "192.0.2.44")
            .json(&json!({"user": "u1"}));
        let answer = call.send();
        let secure = answer.header("set-cookie").unwrap().contains("; Secure");
        (secure, answer.header("strict-transport-security").is_some())
    };
    assert_eq!(open(&behind), (true, true));
    let plain = Demo::start();
    assert_eq!(open(&plain), (false, false));
}
