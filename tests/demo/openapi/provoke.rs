//! Makes demos answer in every way they have.

use std::io::Read;
use std::net::TcpListener;
use std::process::Stdio;
use std::thread::scope;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::Record;
use crate::http::{Call, Slow};
use crate::server::{Demo, Process, command, wait_for};

const READS: &[&str] = &["GET", "HEAD"];
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Each trouble has a demo of its own, and all run at once.
pub(super) fn everything(document: &Value, record: &Record) {
    scope(|threads| {
        threads.spawn(|| ordinary(document, record));
        threads.spawn(|| slow_bodies(document, record));
        threads.spawn(|| over_the_limit(document, record));
        threads.spawn(|| locked(record));
        threads.spawn(|| many_readers(record));
        threads.spawn(|| broken(record));
        threads.spawn(|| drained(record));
    });
}

/// The paths of the document, with something for their parameters.
fn paths(document: &Value) -> Vec<String> {
    let paths = document["paths"].as_object().unwrap();
    let known = paths
        .keys()
        .map(|path| path.replace("{name}", "database"))
        .collect::<Vec<_>>();
    assert!(known.iter().all(|path| !path.contains('{')));
    known
}

fn call(demo: &Demo, method: &'static str, path: &str) -> Call {
    Call::new(demo.address(), method, path)
}

fn ordinary(document: &Value, record: &Record) {
    let demo = Demo::with(&[
        "--reads-per-second",
        "100000",
        "--writes-per-second",
        "100000",
        "--streams-per-user",
        "1",
    ]);
    let mut all = paths(document);
    all.extend(["/nowhere", "/health/nothing", "/health/a/b", "/livez/"].map(str::to_owned));
    for path in &all {
        for method in METHODS {
            record.send(call(&demo, method, path));
            record.send(call(&demo, method, path).body(vec![b' '; (64 << 10) + 1]));
            let broken = call(&demo, method, path).header("transfer-encoding", "chunked");
            record.send(broken.raw_body(b"zz\r\n\r\n".to_vec()));
        }
    }
    sessions_and_bodies(&demo, record);
    for path in ["/", "/api/status"] {
        for method in READS {
            // Health may change between the two calls.
            wait_for("a 304", || {
                let first = record.send(call(&demo, method, path));
                let tag = first.header("etag").unwrap();
                let again = call(&demo, method, path).header("if-none-match", tag);
                (record.send(again).status == 304).then_some(())
            });
        }
    }
    for path in [
        "/health",
        "/health/database",
        "/api/status",
        "/livez",
        "/readyz?verbose",
    ] {
        for form in [
            "text/plain",
            "application/json",
            "application/health+json",
            "image/png",
        ] {
            record.send(demo.get(path).header("accept", form));
        }
    }
    for (kind, body) in [
        ("application/csp-report", "{}"),
        ("application/reports+json", "[]"),
        ("text/plain", "?"),
    ] {
        record.send(
            demo.post("/csp-reports")
                .header("content-type", kind)
                .body(body),
        );
    }
    events(&demo, record);
    // Heads that cannot be read.
    record.send(call(&demo, "GET", "no path"));
    let long = call(&demo, "GET", "*").header("long", "x".repeat(64 << 10));
    record.send(long);
    let many = (0..200).fold(call(&demo, "GET", "*"), |call, _| call.header("many", "x"));
    record.send(many);
}

fn sessions_and_bodies(demo: &Demo, record: &Record) {
    let cookie = demo.session("u1");
    for (path, good) in [
        ("/api/session", json!({"user": "u1"})),
        ("/api/transactions", json!({"amount": 1.5, "memo": "x"})),
        ("/api/announcements", json!({"text": "x"})),
        ("/api/demo/lock", json!({"seconds": 0.01})),
    ] {
        let post = || demo.post(path).header("cookie", &cookie);
        record.send(post().json(&good));
        record.send(post());
        record.send(post().body(good.to_string()));
        record.send(post().json(&json!({})));
        record.send(post().header("content-type", "application/json").body("{"));
    }
    for query in ["", "?limit=1", "?limit=x", "?other=x"] {
        for method in READS {
            let call = call(demo, method, &format!("/api/transactions{query}"));
            record.send(call.header("cookie", &cookie));
        }
    }
    record.send(demo.get("/api/transactions").header("cookie", "session=x"));
    record.send(demo.get("/api/demo/headers"));
}

fn events(demo: &Demo, record: &Record) {
    let cookie = demo.session("u1");
    let get = |query: &str| demo.get(&format!("/api/events{query}"));
    let poll = |query: &str| get(query).header("accept", "application/json");
    for query in [
        "?wait=0",
        "?wait=0&recent=5",
        "?wait=0&last_event_id=x",
        "?wait=x",
        "?user=u2",
    ] {
        record.send(poll(query).header("cookie", &cookie));
    }
    record.send(call(demo, "HEAD", "/api/events").header("accept", "application/json"));
    record.send(get("?recent=x"));
    record.send(get("").header("last-event-id", "x"));

    // A newer stream takes the place of the first, which must not come back.
    let stream = || {
        get("")
            .header("cookie", &cookie)
            .header("accept", "text/event-stream")
    };
    let (_, mut first) = record.open(stream());
    let (_, second) = record.open(stream());
    let mut told = String::new();
    first.read_to_string(&mut told).unwrap();
    drop(second);
    let id = told
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("id: "));
    let id = id.unwrap_or_else(|| panic!("superseded, and under which id: {told}"));
    record.send(stream().header("last-event-id", id));
    let other = get("").header("cookie", &cookie);
    record.send(other.header("accept", "*/*").header("last-event-id", id));

    let socket = |version: &str, query: &str| {
        get(query)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", version)
    };
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    record.send(socket("8", "").header("sec-websocket-key", key));
    record.send(socket("13", "").header("sec-websocket-key", "short"));
    let foreign = socket("13", "").header("origin", "http://evil.example");
    record.send(foreign.header("sec-websocket-key", key));
    for query in ["?recent=9", "?last_event_id=x"] {
        let (answer, frames) = record.open(socket("13", query).header("sec-websocket-key", key));
        assert_eq!(answer.status, 101, "{answer:?}");
        let message = first_message(frames);
        record.messages.lock().unwrap().push(message);
    }
}

/// The first text of a server that does not fragment.
fn first_message(mut frames: impl Read) -> Value {
    let mut head = [0; 2];
    frames.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 0x81, "a text, whole");
    let length = match head[1] {
        126 => {
            frames.read_exact(&mut head).unwrap();
            u16::from_be_bytes(head)
        }
        short => short.into(),
    };
    let mut text = vec![0; length.into()];
    frames.read_exact(&mut text).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Bodies that never end, all at once: each takes the ten seconds that it is given.
fn slow_bodies(document: &Value, record: &Record) {
    let demo = Demo::start();
    let stalls = |method: &'static str, path: &str| {
        let call = call(&demo, method, path).header("content-length", "9");
        record.send(call.raw_body(b"{".to_vec()));
    };
    scope(|threads| {
        for path in paths(document) {
            threads.spawn(move || stalls("POST", &path));
        }
        threads.spawn(|| stalls("GET", "/"));
        threads.spawn(|| stalls("PUT", "/nowhere"));
    });
}

fn over_the_limit(document: &Value, record: &Record) {
    let demo = Demo::with(&["--reads-per-second", "1", "--writes-per-second", "1"]);
    let refused = |method: &'static str, path: &str| {
        let met = (0..200).any(|_| record.send(call(&demo, method, path)).status == 429);
        assert!(met, "{method} {path} has no limit");
    };
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["responses"]["429"].is_object() {
                refused(if method == "get" { "GET" } else { "POST" }, path);
            }
        }
    }
    refused("GET", "/nowhere");
    refused("POST", "/");
    // The handshake of a WebSocket, and a browser's EventSource, are reads.
    let events = || {
        demo.get("/api/events")
            .header("accept", "text/event-stream")
    };
    for _ in 0..20 {
        record.send(events());
    }
    record.send(call(&demo, "HEAD", "/"));
    for path in ["/livez", "/api/status", "/openapi.json"] {
        record.send(demo.get(path));
    }
}

/// Somebody else holds the write lock.
fn locked(record: &Record) {
    let demo = Demo::start();
    let cookie = demo.session("u1");
    let other = Connection::open(demo.database()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    scope(|threads| {
        threads.spawn(|| while_it_starts(&demo, record));
        for (path, body) in [
            ("/api/transactions", json!({"amount": 1})),
            ("/api/announcements", json!({"text": "x"})),
            ("/api/demo/lock", json!({"seconds": 1})),
        ] {
            let call = demo.post(path).header("cookie", &cookie).json(&body);
            threads.spawn(|| record.send(call));
        }
    });
    wait_for("not ready", || {
        (demo.get("/readyz").send().status == 503).then_some(())
    });
    for path in [
        "/readyz",
        "/readyz?verbose",
        "/livez",
        "/health/database",
        "/health/ledger",
        "/api/status",
        "/health",
    ] {
        for form in ["text/plain", "application/json", "application/health+json"] {
            for method in READS {
                record.send(call(&demo, method, path).header("accept", form));
            }
        }
    }
    let reads = demo.get("/api/transactions").header("cookie", &cookie);
    record.send(reads);
}

/// A second demo over the locked data: it has started once its first probe has given up.
fn while_it_starts(demo: &Demo, record: &Record) {
    let data = demo.database();
    let data = data.parent().unwrap();
    wait_for("a start to be seen", || {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let starting = command()
            .args(["--listen", &address.to_string(), "--data-dir"])
            .arg(data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let starting = Process(starting);
        wait_for("it listens", || std::net::TcpStream::connect(address).ok());
        let answer = record.send(Call::new(address, "GET", "/startupz"));
        record.send(Call::new(address, "GET", "/api/events?wait=0"));
        drop(starting);
        (answer.status == 503).then_some(())
    });
}

/// A read that takes for ever, and one that waits behind it in vain.
fn many_readers(record: &Record) {
    let demo = Demo::start();
    let cookie = demo.session("u1");
    let other = Connection::open(demo.database()).unwrap();
    other.busy_timeout(Duration::from_secs(5)).unwrap();
    let endless = "
        DROP TABLE transactions;
        CREATE VIEW transactions AS
        WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)
        SELECT id, 'nobody' || id AS user, 0.0 AS amount, NULL AS memo, '' AS at FROM n;";
    other.execute_batch(endless).unwrap();
    let read = || demo.get("/api/transactions").header("cookie", &cookie);
    // Whichever of the two comes first is never answered.
    let mut reads = vec![read().begin_slowly(), read().begin_slowly()];
    reads.iter_mut().for_each(Slow::end);
    let second = wait_for("an answer", || reads.iter().position(Slow::is_answered));
    let answer = reads.remove(second).finish();
    answer.problem(503);
    record.keep(&read(), &answer, true);
}

/// The tables are gone, and then the file.
fn broken(record: &Record) {
    let demo = Demo::start();
    let cookie = demo.session("u1");
    let other = Connection::open(demo.database()).unwrap();
    other.busy_timeout(Duration::from_secs(5)).unwrap();
    other
        .execute_batch("DROP TABLE transactions; DROP TABLE events;")
        .unwrap();
    let post = |path: &str, body: Value| {
        let call = demo.post(path).header("cookie", &cookie);
        record.send(call.json(&body)).problem(500);
    };
    post("/api/transactions", json!({"amount": 1}));
    post("/api/announcements", json!({"text": "x"}));
    let read = demo.get("/api/transactions").header("cookie", &cookie);
    record.send(read).problem(500);
    std::fs::remove_file(demo.database()).unwrap();
    std::fs::create_dir(demo.database()).unwrap();
    post("/api/demo/lock", json!({"seconds": 1}));
}

/// A request whose head ends when the demo is about to end.
fn drained(record: &Record) {
    let demo = Demo::start();
    let late = |accept: &str| {
        let call = demo.get("/api/events").header("accept", accept);
        let pending = call.clone().begin_slowly();
        (call, pending)
    };
    let late = ["*/*", "application/json", "text/event-stream"].map(late);
    // Connections are taken in turn, so those are by now.
    record.send(demo.get("/livez"));
    demo.terminate();
    wait_for("nobody listens", || {
        std::net::TcpStream::connect(demo.address())
            .is_err()
            .then_some(())
    });
    for (call, mut pending) in late {
        pending.end();
        let answer = pending.finish();
        record.keep(&call, &answer, true);
    }
}
