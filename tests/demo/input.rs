//! What no client should send: refused with a 4xx, or ignored where the contract says so, and never
//! the server's fault.

use serde_json::json;

use crate::events::Events;
use crate::http::Call;
use crate::server::Demo;

#[test]
fn bodies_that_cannot_be_read_are_refused() {
    let demo = Demo::start();
    let cookie = demo.session("u1");
    let json = |path: &str, body: &[u8]| {
        let call = demo.post(path).header("cookie", &cookie);
        call.header("content-type", "application/json")
            .body(body)
            .send()
    };
    for body in [
        &b"{"[..],
        b"\xff\xfe",
        b"{\"amount\":1e999}",
        b"{\"amount\":NaN}",
        b"nul",
        b"{\"amount\":1}}",
    ] {
        json("/api/transactions", body).problem(400);
    }
    let deep = format!("{{\"x\":{}", "[".repeat(30_000));
    json("/api/transactions", deep.as_bytes()).problem(400);
    for body in [
        &b"{}"[..],
        b"[]",
        b"null",
        b"{\"amount\":\"1\"}",
        b"{\"amount\":1,\"memo\":7}",
        b"{\"amount\":null}",
        b"{\"amount\":1,\"amount\":2}",
        b"[1.5,\"members in their order\"]",
        b"{\"amount\":1,\"memo\":\"\\u0000\"}",
    ] {
        json("/api/transactions", body).problem(422);
    }
    let long = json!({"amount": 1, "memo": "x".repeat(1025)}).to_string();
    json("/api/transactions", long.as_bytes()).problem(422);
    let fits = json!({"amount": 1, "memo": "x".repeat(1024)}).to_string();
    assert_eq!(json("/api/transactions", fits.as_bytes()).status, 201);
    for seconds in ["0", "-1", "31", "1e300"] {
        json(
            "/api/demo/lock",
            format!("{{\"seconds\":{seconds}}}").as_bytes(),
        )
        .problem(422);
    }
    json("/api/session", b"{\"user\":\"\"}").problem(422);
    json("/api/session", b"{\"user\":\"a\\u0000b\"}").problem(422);
    json("/api/session", b"[\"u1\"]").problem(422);
    let plain = demo
        .post("/api/announcements")
        .header("content-type", "text/plain");
    plain.body("{\"text\":\"\"}").send().problem(415);
    demo.post("/api/announcements").send().problem(415);
}

#[test]
fn bodies_over_64_kib_are_refused_on_every_route_however_they_are_sent() {
    let demo = Demo::start();
    let cookie = demo.session("u1");
    for path in [
        "/api/session",
        "/api/transactions",
        "/api/announcements",
        "/api/demo/lock",
        "/csp-reports",
        "/nowhere",
    ] {
        for size in [64 * 1024 + 1, 3 << 20] {
            let call = demo
                .post(path)
                .header("cookie", &cookie)
                .header("content-type", "application/json");
            call.body(vec![b' '; size]).send().problem(413);
        }
    }
    let mut chunks = b"10001\r\n".to_vec();
    chunks.resize(7 + 0x10001, b' ');
    chunks.extend_from_slice(b"\r\n0\r\n\r\n");
    let (answer, _) = Call::new(demo.address(), "POST", "/api/session")
        .header("content-type", "application/json")
        .header("transfer-encoding", "chunked")
        .raw_body(chunks)
        .begin();
    assert_eq!(answer.status, 413);

    let most = json!({"text": "x".repeat(60 * 1024)});
    assert_eq!(
        demo.post("/api/announcements").json(&most).send().status,
        201
    );
}

#[test]
fn queries_that_cannot_be_read_are_refused_or_mean_nothing() {
    let demo = Demo::start();
    let cookie = demo.session("u1");
    let get = |path: &str| demo.get(path).header("cookie", &cookie);
    for limit in ["-1", "x", "99999999999", "1&limit=2", "%ff", ""] {
        get(&format!("/api/transactions?limit={limit}"))
            .send()
            .problem(400);
    }
    assert_eq!(get("/api/transactions?limit=4000000000").send().status, 200);
    assert_eq!(get("/api/transactions?%ff=%zz&&=").send().status, 200);
    for query in [
        "recent=x",
        "recent=-1",
        "recent=1e3",
        "type=%00",
        "type=a%0Ab",
    ] {
        let (answer, _) = get(&format!("/api/events?{query}")).begin();
        assert!((400..500).contains(&answer.status), "{query}: {answer:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{query}"
        );
    }
    for user in ["u2", "%00", "%ff", "u1,u2", "%F0%9F%A6%80"] {
        let (answer, _) = get(&format!("/api/events?user={user}")).begin();
        assert!((400..=403).contains(&answer.status), "{user}: {answer:?}");
    }
    get("/api/events?user=u2").send().problem(403);
    demo.get("/api/events?user=u1").send().problem(403);
}

#[test]
fn a_cursor_that_cannot_be_read_is_told_in_the_stream() {
    let demo = Demo::start();
    let long = "9".repeat(3000);
    for id in [
        "x",
        "0.1",
        "ffff.7",
        "-1",
        "1.1.1",
        "\u{1f980}",
        "1.99999999999999999999999999999999999999",
        &long,
    ] {
        let call = demo.get("/api/events").header("last-event-id", id);
        let mut events = Events::open(call);
        let reset = events.next();
        assert_eq!(reset.kind, "reset", "{id}");
        // Its id is one that can be resumed from: a client cannot loop.
        let mut resumed = Events::open(demo.get("/api/events").header("last-event-id", &reset.id));
        let said = demo
            .post("/api/announcements")
            .json(&json!({"text": id}))
            .send();
        assert_eq!(said.status, 201);
        assert_eq!(resumed.next().kind, "announcement", "{id}");
    }
}

#[test]
fn garbage_in_forwarding_and_other_headers_changes_nothing() {
    let demo = Demo::with(&[
        "--trusted-proxy",
        "127.0.0.1/32",
        "--reads-per-second",
        "100000",
    ]);
    let hops = "1.1.1.1, ".repeat(2000);
    for value in [
        &b"garbage"[..],
        b",,,,",
        b"[::1",
        b"\"\xff\"",
        b"1.2.3.4:99999",
        b"unknown",
        hops.as_bytes(),
    ] {
        for name in [
            "x-forwarded-for",
            "x-forwarded-proto",
            "forwarded",
            "cookie",
            "accept",
            "last-event-id",
        ] {
            let answer = demo.get("/nowhere").header(name, value).send();
            assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
        }
    }
    assert_eq!(demo.get("/livez").send().status, 200);
}
