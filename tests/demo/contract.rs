//! Every route answers as the contract says, with security headers on all of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::http::Answer;
use crate::server::Demo;

/// What no response may lack.
#[track_caller]
fn assert_guarded(answer: &Answer) {
    for name in [
        "content-security-policy",
        "x-content-type-options",
        "referrer-policy",
        "cross-origin-opener-policy",
    ] {
        assert!(answer.header(name).is_some(), "no {name}: {answer:?}");
    }
    assert_eq!(answer.header("server"), None);
}

#[test]
fn sessions_and_transactions() {
    let demo = Demo::start();
    let opened = demo
        .post("/api/session")
        .json(&json!({"user": "u1"}))
        .send();
    assert_eq!((opened.status, opened.text()), (204, ""));
    assert_guarded(&opened);
    let cookie = opened.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with("session=") && cookie.ends_with("; HttpOnly; SameSite=Lax; Path=/"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap();

    let body = json!({"amount": 12.5, "memo": "coffee"});
    let denied = demo.post("/api/transactions").json(&body).send();
    denied.problem(401);
    assert_guarded(&denied);

    let created = demo
        .post("/api/transactions")
        .header("cookie", cookie)
        .json(&body)
        .send();
    assert_eq!(created.status, 201);
    assert_guarded(&created);
    let row = created.json();
    assert_eq!(
        (&row["id"], &row["user"], &row["amount"], &row["memo"]),
        (&json!(1), &json!("u1"), &json!(12.5), &json!("coffee"))
    );
    assert!(
        row["at"]
            .as_str()
            .is_some_and(|at| at.len() == 24 && at.ends_with('Z'))
    );
    assert_eq!(row.as_object().unwrap().len(), 5);

    let bare = demo.pay(cookie, -1e300);
    assert_eq!(bare["memo"], Value::Null);
    demo.pay(&demo.session("u2"), 1.0);

    let listed = demo
        .get("/api/transactions?limit=10")
        .header("cookie", cookie)
        .send();
    assert_eq!(
        listed.json(),
        json!([bare, row]),
        "the caller's own, newest first"
    );
    assert_guarded(&listed);
    let one = demo
        .get("/api/transactions?limit=1")
        .header("cookie", cookie)
        .send();
    assert_eq!(one.json(), json!([bare]));
    demo.get("/api/transactions").send().problem(401);
    demo.get("/api/transactions")
        .header("cookie", "session=u1.x")
        .send()
        .problem(401);
}

#[test]
fn the_page_has_a_nonce_of_its_own_and_no_outside_resource() {
    let demo = Demo::start();
    let nonce = || {
        let page = demo.get("/").send();
        assert_eq!(page.status, 200);
        assert_guarded(&page);
        assert!(
            page.header("content-type")
                .unwrap()
                .starts_with("text/html")
        );
        let policy = page.header("content-security-policy").unwrap();
        let (_, nonce) = policy.split_once("'nonce-").expect("a nonce");
        let nonce = nonce.split('\'').next().unwrap().to_owned();
        assert_eq!(
            page.text().matches(&format!("nonce=\"{nonce}\"")).count(),
            2
        );
        nonce
    };
    assert_ne!(nonce(), nonce());
    // The cached page keeps the policy of its own nonce.
    let page = demo.get("/").send();
    let tag = page.header("etag").unwrap();
    assert_eq!(page.header("cache-control"), Some("private, no-cache"));
    let same = demo.get("/").header("if-none-match", tag).send();
    assert_eq!((same.status, same.text()), (304, ""));
    assert_eq!(same.header("content-security-policy"), None);
    assert_eq!(same.header("x-frame-options"), Some("DENY"));
    let other = demo.get("/").header("cookie", demo.session("u1"));
    let other = other.header("if-none-match", tag).send();
    assert_eq!(other.status, 200);
    let head = crate::http::Call::new(demo.address(), "HEAD", "/").send();
    assert_eq!(head.status, 200);
    assert_guarded(&head);
}

#[test]
fn what_is_not_there_or_not_that_way_is_a_problem_document() {
    let demo = Demo::start();
    let missing = demo.get("/nowhere").send();
    missing.problem(404);
    assert_guarded(&missing);
    let wrong = crate::http::Call::new(demo.address(), "PUT", "/api/transactions").send();
    wrong.problem(405);
    assert_guarded(&wrong);
    let allow: BTreeSet<_> = wrong
        .header("allow")
        .unwrap()
        .split(',')
        .map(str::trim)
        .collect();
    assert_eq!(allow, BTreeSet::from(["GET", "HEAD", "POST"]));
}

#[test]
fn health_answers_on_every_path() {
    let demo = Demo::start();
    for path in [
        "/livez",
        "/readyz",
        "/startupz",
        "/health",
        "/health/database",
        "/health/ledger",
        "/health/disk",
        "/api/status",
    ] {
        let answer = demo.get(path).send();
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_guarded(&answer);
        assert!(
            answer.header("ratelimit").is_none(),
            "{path} is not limited"
        );
    }
    demo.get("/health/nothing").send().problem(404);
    let status = demo.get("/api/status").send().json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["uptimeSeconds"].is_number());
    let named = |one: &Value| one["name"].as_str().unwrap().to_owned();
    let names: Vec<_> = status["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .map(named)
        .collect();
    assert_eq!(names, ["database", "ledger", "disk"]);
    for one in status["dependencies"].as_array().unwrap() {
        assert!(one["latencyMs"].is_number(), "{one}");
    }
}

#[test]
fn reports_of_violations_are_taken_whatever_they_say() {
    let demo = Demo::start();
    for (kind, body) in [
        (
            "application/csp-report",
            r#"{"csp-report":{"document-uri":"http://x/","violated-directive":"script-src"}}"#,
        ),
        ("application/reports+json", "[]"),
        ("application/csp-report", "no JSON"),
    ] {
        let answer = demo
            .post("/csp-reports")
            .header("content-type", kind)
            .body(body)
            .send();
        assert_eq!(answer.status, 204, "{kind} {body}: {answer:?}");
        assert_guarded(&answer);
        assert!(answer.header("ratelimit").is_none(), "not limited");
    }
}

#[test]
fn the_page_can_tell_what_is_weak_and_what_was_reported() {
    let demo = Demo::start();
    let told = || demo.get("/api/demo/headers").send().json();
    assert_eq!(told(), json!({"findings": [], "reports": []}));
    let report = json!({"csp-report": {
        "document-uri": "http://127.0.0.1/?secret",
        "effective-directive": "script-src-elem",
        "blocked-uri": "inline",
    }});
    let posted = demo
        .post("/csp-reports")
        .header("content-type", "application/csp-report")
        .body(report.to_string());
    assert_eq!(posted.send().status, 204);
    let expected = json!([{
        "directive": "script-src-elem",
        "blocked": "inline",
        "document": "http://127.0.0.1/",
    }]);
    assert_eq!(told()["reports"], expected);
}

#[test]
fn the_contract_has_every_path_and_its_references_lead_somewhere() {
    let demo = Demo::start();
    let answer = demo.get("/openapi.json").send();
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_guarded(&answer);
    assert!(answer.header("ratelimit").is_none(), "not limited");
    let api = answer.json();
    let paths: BTreeSet<_> = api["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        paths,
        BTreeSet::from([
            "/",
            "/icon.svg",
            "/openapi.json",
            "/csp-reports",
            "/api/session",
            "/api/transactions",
            "/api/announcements",
            "/api/demo/headers",
            "/api/demo/lock",
            "/api/events",
            "/livez",
            "/readyz",
            "/startupz",
            "/health",
            "/health/{name}",
            "/api/status",
        ])
    );
    let operations = api["paths"].as_object().unwrap().values();
    let ids: Vec<_> = operations
        .flat_map(|item| item.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids.iter().collect::<BTreeSet<_>>().len(),
        ids.len(),
        "{ids:?}"
    );
    let mut references = 0;
    each_reference(&api, &mut |reference| {
        references += 1;
        let pointer = reference.strip_prefix('#').expect("inside the document");
        assert!(api.pointer(pointer).is_some(), "{reference} leads nowhere");
    });
    assert!(references > 50);
}

fn each_reference(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| match value {
            Value::String(reference) if key == "$ref" => found(reference),
            value => each_reference(value, found),
        }),
        Value::Array(list) => list.iter().for_each(|value| each_reference(value, found)),
        _ => {}
    }
}
