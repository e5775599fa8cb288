//! The routes: methods, dialects, viewers, queries.

use std::future::ready;

use bartizan::health::Dependency;
use http::{HeaderValue, Method, header};
use tower::Service;

use super::*;

/// `database` down and shared, `disk` down and local, `cache` well, `ledger` blocked by `database`.
async fn troubled() -> Health {
    let down = || ready(Err::<(), _>(refused()));
    run(builder()
        .dependency(Dependency::shared("database", down))
        .dependency(Dependency::local("disk", down))
        .dependency(Dependency::local("cache", || ready(())))
        .dependency(Dependency::local("ledger", || ready(())).depends_on(["database"])))
    .await
}

#[tokio::test(start_paused = true)]
async fn text_is_what_kubernetes_writes() {
    let health = troubled().await;
    let lines = "[!]database failed: refused\n[-]disk failed: refused\n[+]cache ok\n\
                 [!]ledger failed: blocked\n";
    let failed = format!("{lines}readyz check failed: refused\n");
    assert_eq!(inspect(&health, "/readyz").await, (503, failed.clone()));
    assert_eq!(inspect(&health, "/readyz?verbose").await, (503, failed));
    assert_eq!(
        inspect(&health, "/readyz?exclude=disk").await,
        (200, "ok".into())
    );
    let (code, excluded) = inspect(&health, "/readyz?verbose=1&exclude=cache&exclude=disk").await;
    assert_eq!(code, 200);
    assert!(excluded.contains("[+]disk excluded: ok\n"));
    assert!(excluded.ends_with("readyz check passed\n"));
    for query in [
        "exclude=nobody",
        "exclude=cache",
        "exclude=",
        "exclude=disk2",
        "x=disk",
    ] {
        assert_eq!(
            inspect(&health, &format!("/readyz?{query}")).await.0,
            503,
            "{query}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_public_sees_no_names_whatever_it_asks_for() {
    let health = troubled().await;
    let failed = (503, "readyz check failed: refused\n".to_owned());
    for query in ["", "?verbose", "?verbose&exclude=cache"] {
        assert_eq!(
            get(&health, &format!("/readyz{query}")).await,
            failed,
            "{query}"
        );
    }
    let brief = (503, r#"{"status":"fail","reasons":["refused"]}"#.to_owned());
    for path in ["/health", "/api/status", "/health/database"] {
        assert_eq!(get(&health, path).await, brief, "{path}");
    }
    assert_eq!(get(&health, "/startupz?verbose").await, (200, "ok".into()));
}

#[tokio::test(start_paused = true)]
async fn each_dependency_has_a_page_and_nothing_else_does() {
    let health = troubled().await;
    for (name, code, status) in [("database", 503, "fail"), ("cache", 200, "pass")] {
        let (seen, body) = inspect(&health, &format!("/health/{name}")).await;
        let document: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((seen, &document["status"]), (code, &Value::from(status)));
        assert_eq!(document["checks"].as_object().unwrap().len(), 1);
    }
    for path in ["/health/nobody", "/health/", "/", "/livez/", "/health/a/b"] {
        assert_eq!(inspect(&health, path).await.0, 404, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_dialect_follows_accept_and_an_odd_accept_is_no_outage() {
    let health = troubled().await;
    for (accept, media_type) in [
        ("*/*", "application/health+json"),
        ("application/health+json", "application/health+json"),
        ("application/json", "application/json"),
        ("text/plain, text/*;q=0.9", "text/plain; charset=utf-8"),
        ("text/plain, text/*, */*", "application/health+json"),
        ("image/png", "application/health+json"),
        (";;q=x,,", "application/health+json"),
    ] {
        let request = Request::get("/health").header("accept", accept);
        let response = call(health.service(), request.body(()).unwrap()).await;
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["content-type"], media_type, "{accept}");
        assert!(response.headers().contains_key(header::VARY));
    }
}

#[tokio::test(start_paused = true)]
async fn methods_that_read_work_and_others_are_told_so() {
    let health = troubled().await;
    let paths = Health::PATHS.map(|path| path.replace("{name}", "disk"));
    for path in paths
        .into_iter()
        .chain(["/health/nobody".into(), "/nowhere".into()])
    {
        let ask = |method: Method| {
            let request = Request::builder()
                .method(method)
                .uri(&path)
                .body(())
                .unwrap();
            call(health.service(), request)
        };
        let (got, head) = (ask(Method::GET).await, ask(Method::HEAD).await);
        assert_eq!(got.status(), head.status(), "{path}");
        assert!(head.body().is_empty());
        let length: usize = head.headers()["content-length"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(length, got.body().len());
        for name in ["content-type", "cache-control"] {
            assert_eq!(got.headers()[name], head.headers()[name]);
        }
        assert_eq!(got.headers()["cache-control"], "no-store");
        let retry = got
            .headers()
            .get("retry-after")
            .map(|value| value.to_str().unwrap());
        assert_eq!(retry, (got.status() == 503).then_some("2"));
        assert_eq!(ask(Method::OPTIONS).await.status(), 204);
        let refused = ask(Method::POST).await;
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["allow"]),
            (405, &HeaderValue::from_static("GET, HEAD, OPTIONS"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_predicate_that_panics_admits_nobody() {
    let panicking = || Health::builder("orders", "1").details_for(|_| panic!("on purpose"));
    let runs = Runs::default();
    let well = runs.of(|| ready(()));
    let down = runs.of(|| ready(Err::<(), _>(refused())));
    for (dependency, page) in [
        (
            Dependency::local("disk", well),
            (200, r#"{"status":"pass"}"#),
        ),
        (
            Dependency::local("disk", down),
            (503, r#"{"status":"fail","reasons":["refused"]}"#),
        ),
    ] {
        let health = run(panicking().dependency(dependency)).await;
        for path in ["/health", "/health/disk", "/api/status"] {
            let (code, body) = inspect(&health, path).await;
            assert_eq!((code, &*body), page, "{path}");
        }
    }
    assert_eq!(runs.begun(), 2);
}

/// Whoever it keeps waiting waits alone: it holds no lock, and the driver does not know of it.
#[tokio::test(start_paused = true)]
async fn a_predicate_that_is_slow_holds_up_its_own_request_alone() {
    let (entered, inside) = std::sync::mpsc::channel();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let slow = Health::builder("orders", "1").details_for(move |parts| {
        if parts.headers.contains_key("x-slow") {
            entered.send(()).unwrap();
            let _ = held.lock().unwrap().recv();
        }
        true
    });
    let runs = Runs::default();
    let health = run(slow.dependency(Dependency::local("disk", runs.of(|| ready(()))))).await;
    let request = Request::get("/readyz").header("x-slow", "1");
    let request = request.body(()).unwrap();
    let mut service = health.service();
    let waits = std::thread::spawn(move || service.call(request).into_inner().unwrap().status());
    inside.recv().unwrap();
    pass(secs(20)).await;
    assert_eq!(get(&health, "/readyz").await.0, 200);
    assert!((4..=5).contains(&runs.begun()), "{}", runs.begun());
    drop(release);
    assert_eq!(waits.join().unwrap(), 200);
}

#[tokio::test(start_paused = true)]
async fn without_a_predicate_nobody_sees_details_and_answers_vary_by_accept_alone() {
    let health = run(Health::builder("orders", "1")).await;
    assert_eq!(
        inspect(&health, "/api/status").await,
        (200, r#"{"status":"pass"}"#.into())
    );
    let vary = |path: &str| {
        let request = Request::get(path).body(()).unwrap();
        let response = call(health.service(), request);
        async move { response.await.headers().get("vary").cloned() }
    };
    assert_eq!(vary("/health").await.unwrap(), "accept");
    assert_eq!(vary("/readyz").await, None);
}

#[tokio::test(start_paused = true)]
async fn single_pages_answer_on_any_path() {
    let health = troubled().await;
    for (service, code, body) in [
        (health.live(), 200, "ok"),
        (health.ready(), 503, "readyz check failed: refused\n"),
        (health.startup(), 200, "ok"),
        (
            health.report(),
            503,
            r#"{"status":"fail","reasons":["refused"]}"#,
        ),
        (
            health.status(),
            503,
            r#"{"status":"fail","reasons":["refused"]}"#,
        ),
    ] {
        let request = Request::get("/internal/anything").body(()).unwrap();
        assert_eq!(text(call(service, request).await), (code, body.to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_document_counts_uptime_and_measures_latency() {
    let probe = || tokio::time::sleep(millis(120));
    let health = run(builder().dependency(Dependency::local("disk", probe))).await;
    pass(secs(90)).await;
    let (_, body) = inspect(&health, "/api/status").await;
    let document: Value = serde_json::from_str(&body).unwrap();
    for (member, value) in [
        ("service", "orders"),
        ("version", "1.4.2"),
        ("release", "1.4.2+3f9c2ab"),
    ] {
        assert_eq!(document[member], value);
    }
    let uptime = document["uptimeSeconds"].as_f64().unwrap();
    assert!((88.0..=90.0).contains(&uptime), "{uptime}");
    let latency = document["dependencies"][0]["latencyMs"].as_f64().unwrap();
    assert!((120.0..125.0).contains(&latency), "{latency}");
}

#[tokio::test(start_paused = true)]
async fn any_of_many_can_be_excluded() {
    let mut many = builder();
    for index in 0..1_024 {
        let fails = index == 70 || index == 1_023;
        let probe = move || ready(if fails { Err(refused()) } else { Ok(()) });
        many = many.dependency(Dependency::local(format!("d{index}"), probe));
    }
    let health = run(many).await;
    health.started().await;
    assert_eq!(get(&health, "/readyz").await.0, 503);
    assert_eq!(get(&health, "/readyz?exclude=d70").await.0, 503);
    assert_eq!(
        get(&health, "/readyz?exclude=d1023&exclude=d70").await.0,
        200
    );
}

/// A service that answers from bytes and two headers that it was born with.
fn fixed(request: Request<()>) -> Response<Bytes> {
    drop(request.into_parts());
    let mut response = Response::new(Bytes::from_static(b"ok"));
    let headers = response.headers_mut();
    headers.insert(
        "content-type",
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    response
}

#[tokio::test(start_paused = true)]
async fn a_request_allocates_no_more_than_a_fixed_answer() {
    let health = troubled().await;
    let service = health.service();
    let allocations = |path: &'static str, answer: &mut dyn FnMut(Request<()>)| {
        let request = Request::get(path).header("accept", "*/*").body(()).unwrap();
        let mut request = Some(request);
        allocation_counter::measure(|| answer(request.take().unwrap())).count_total
    };
    let floor = allocations("/livez", &mut |request| drop(fixed(request)));
    assert!(floor > 0);
    for path in [
        "/livez",
        "/readyz?verbose&exclude=disk",
        "/startupz",
        "/health",
        "/health/disk",
        "/api/status",
    ] {
        let mut service = service.clone();
        let counted = allocations(path, &mut |request| {
            drop(service.call(request).into_inner());
        });
        assert!(
            counted <= floor,
            "{path}: {counted}, a fixed answer {floor}"
        );
    }
}
