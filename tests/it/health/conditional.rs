//! `/api/status` for clients that ask whether anything changed, and for nobody else.

use std::future::ready;

use bartizan::health::Dependency;

use super::*;

/// Asks with a tag, as a viewer of details if `viewer` says so.
async fn ask(health: &Health, method: &str, tag: &str, viewer: &str) -> Response<Bytes> {
    let request = Request::builder()
        .method(method)
        .uri("/api/status")
        .header("if-none-match", tag)
        .header(viewer, "me");
    call(health.service(), request.body(()).unwrap()).await
}

fn tag(response: &Response<Bytes>) -> String {
    let tag = response.headers()["etag"].to_str().unwrap();
    assert!(tag.starts_with("W/\""), "measurements move: {tag}");
    tag.to_owned()
}

#[tokio::test(start_paused = true)]
async fn who_has_the_state_is_told_so_until_it_changes() {
    let (runs, switch) = (Runs::default(), Switch::default());
    let database = Dependency::shared("database", runs.of(switch.refused_at_one()));
    let health = run(builder().dependency(database)).await;
    let first = ask(&health, "GET", "\"another\"", "x-operator").await;
    assert_eq!(first.status(), 200);
    let known = tag(&first);

    pass(secs(31)).await;
    for method in ["GET", "HEAD"] {
        let answer = ask(&health, method, &known, "x-operator").await;
        assert_eq!((answer.status().as_u16(), answer.body().len()), (304, 0));
        assert_eq!(answer.headers()["etag"], known);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(answer.headers()["vary"], "*");
        assert!(!answer.headers().contains_key("content-type"));
    }
    assert_eq!(runs.begun(), 7);

    switch.set(1);
    pass(secs(10)).await;
    let changed = ask(&health, "GET", &known, "x-operator").await;
    assert_eq!(changed.status(), 200);
    assert_ne!(tag(&changed), known);
    let document: Value = serde_json::from_slice(changed.body()).unwrap();
    assert_eq!(document["status"], "warn");
}

/// What fails is told whatever the client has: a 304 in place of a 503 would be a success.
#[tokio::test(start_paused = true)]
async fn a_failure_has_no_tag_and_is_never_not_modified() {
    let down = Dependency::local("disk", || ready(Err::<(), _>(refused())));
    let health = run(builder().dependency(down)).await;
    for viewer in ["nobody", "x-operator"] {
        let answer = ask(&health, "GET", "*", viewer).await;
        assert_eq!(answer.status(), 503);
        assert!(!answer.headers().contains_key("etag"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_tag_is_of_one_viewer_and_of_one_process() {
    let service = || run(builder().dependency(Dependency::local("cache", || ready(()))));
    let (one, other) = (service().await, service().await);
    let of = async |health: &Health, viewer: &str| tag(&ask(health, "GET", "\"\"", viewer).await);
    let (public, details) = (of(&one, "nobody").await, of(&one, "x-operator").await);
    assert_ne!(public, details);
    assert_ne!(public, of(&other, "nobody").await, "a restart is a change");
    let answer = ask(&one, "GET", &details, "nobody").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.body(), r#"{"status":"pass"}"#);
}

/// Load balancers want their 200.
#[tokio::test(start_paused = true)]
async fn no_other_page_has_a_tag_or_heeds_one() {
    let health = run(builder().dependency(Dependency::local("cache", || ready(())))).await;
    for path in ["/livez", "/readyz", "/startupz", "/health", "/health/cache"] {
        let request = Request::get(path).header("if-none-match", "*");
        let answer = call(health.service(), request.body(()).unwrap()).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert!(!answer.headers().contains_key("etag"), "{path}");
        assert!(!answer.body().is_empty(), "{path}");
    }
}
