//! The same events over a WebSocket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bartizan::client::ClientSource;
use bartizan::event_stream::{
    Denied, EventHub, EventStream, Grant, MemoryStore, NewEvent, WebSocketConnection, WebSockets,
};
use http::Request;
use http::request::Parts;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::protocol::Message;
use tower::ServiceExt;

use super::reader::{Answer, Reader, ask, read};
use super::socket::{Heard, Socket, answer_to, raw, serve, serve_with, with_sockets};
use super::{event, feed, public, settle};

pub(super) const HANDSHAKE: [(&str, &str); 5] = [
    ("host", "test"),
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// A handshake with some headers more or instead.
async fn shake(events: &EventStream, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let mut all = HANDSHAKE.to_vec();
    all.retain(|(name, _)| headers.iter().all(|(other, _)| name != other));
    all.extend(headers.iter().filter(|(_, value)| !value.is_empty()));
    ask(events, uri, &all).await
}

async fn problem(answer: Answer) -> (u16, Value) {
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let (status, text) = read(answer).await;
    (status, serde_json::from_str(&text).unwrap())
}

#[tokio::test(start_paused = true)]
async fn events_come_as_messages_and_what_the_stream_itself_says_does_too() {
    let (store, hub, events) = public().await;
    let events = with_sockets(events);
    let mut socket = Socket::open(&events, "").await;
    let retry = socket.json().await;
    assert!(retry["retry"].as_u64().unwrap() > 1000, "{retry}");
    let head = hub.head().unwrap().to_string();
    assert_eq!(socket.json().await, json!({ "id": head }));
    assert_eq!(hub.stats().connections, 1);

    let one = store.append(event("a", "one\r\ntwo")).unwrap().to_string();
    let two = store.append(event("message", "")).unwrap().to_string();
    let expected = json!({"id": one, "type": "a", "data": "one\ntwo"});
    assert_eq!(socket.event().await, expected);
    let expected = json!({"id": two, "type": "message", "data": ""});
    assert_eq!(socket.event().await, expected);

    let mut resumed = Socket::open(&events, &format!("?last_event_id={one}")).await;
    assert_eq!(resumed.event().await, expected);
    let caught_up = json!({"id": two, "type": "caught-up", "data": "{}"});
    assert_eq!(resumed.event().await, caught_up);

    let mut lost = Socket::open(&events, "?last_event_id=garbage").await;
    let reset = lost.event().await;
    assert_eq!(
        (&reset["id"], &reset["type"]),
        (&json!(two), &json!("reset"))
    );
    let data: Value = serde_json::from_str(reset["data"].as_str().unwrap()).unwrap();
    assert_eq!(data, json!({"reason": "unreadable", "head": two}));

    drop((socket, resumed, lost));
    settle().await;
    assert_eq!(hub.stats().connections, 0);
}

/// Events of a hub with all that its streams obey: filters, users, a ring that is too small.
fn mixed(n: usize) -> NewEvent {
    let kind = if n % 3 == 0 { "b" } else { "a" };
    let new = event(kind, &format!("{n}\r\n\"{}\"", "x".repeat(n % 50)));
    match n % 7 {
        1 => new.for_user("u1"),
        2 => new.for_user("u2"),
        3 => new.topic("t"),
        _ => new,
    }
}

pub(super) fn own(_: &Parts) -> Result<Grant, Denied> {
    Ok(Grant::user("u1"))
}

fn triple(message: &Value) -> (String, String, String) {
    let text = |member: &str| message[member].as_str().unwrap().to_owned();
    (text("id"), text("type"), text("data"))
}

#[tokio::test(start_paused = true)]
async fn stream_socket_and_long_poll_tell_the_same_events_with_the_same_ids_and_text() {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store.clone()).ring(16, 1 << 20));
    settle().await;
    let events = with_sockets(EventStream::new(hub).authorize(own));
    let start = store.append(event("a", "first")).unwrap().to_string();
    for n in 0..300 {
        store.append(mixed(n)).unwrap();
    }
    settle().await;
    for filter in ["", "&type=a", "&topic=t", "&user=u1", "&type=b&user=u1"] {
        let uri = format!("?last_event_id={start}{filter}");
        let mut socket = Socket::open(&events, &uri).await;
        let mut over_socket = Vec::new();
        loop {
            let message = socket.event().await;
            if message["type"] == "caught-up" {
                break;
            }
            over_socket.push(triple(&message));
        }
        let mut reader = Reader::open(&events, &format!("/{uri}")).await;
        let mut over_stream = Vec::new();
        loop {
            let block = reader.event().await;
            if block.is("caught-up") {
                break;
            }
            let kind = block.event.unwrap_or_else(|| "message".to_owned());
            over_stream.push((reader.id.clone(), kind, block.data.unwrap()));
        }
        let (mut over_poll, mut cursor) = (Vec::new(), start.clone());
        loop {
            let uri = format!("/?wait=0&last_event_id={cursor}{filter}");
            let answer = ask(&events, &uri, &[("accept", "application/json")]).await;
            let document: Value = serde_json::from_str(&read(answer).await.1).unwrap();
            let found = document["events"].as_array().unwrap();
            if found.is_empty() {
                break;
            }
            over_poll.extend(found.iter().map(triple));
            document["cursor"].as_str().unwrap().clone_into(&mut cursor);
        }
        assert!(over_stream.len() >= 10, "{filter}: {}", over_stream.len());
        assert_eq!(over_socket, over_stream, "{filter}");
        assert_eq!(over_poll, over_stream, "{filter}");
        assert!(!over_stream.iter().any(|(_, _, data)| data == "2\n\"xx\""));
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_of_another_origin_is_refused_before_anything_is_asked_or_opened() {
    let (_store, hub, _) = public().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let (driven, questions) = (Arc::clone(&asked), Arc::clone(&asked));
    let websockets = |scheme: ClientSource| {
        let driven = Arc::clone(&driven);
        WebSockets::driven_by(move |connection: WebSocketConnection| {
            driven.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(connection)
        })
        .client(&scheme)
        .allow_origin("https://app.example")
        .unwrap()
    };
    let stream = EventStream::new(hub.clone()).authorize(move |_: &Parts| {
        questions.fetch_add(1, Ordering::Relaxed);
        Ok(Grant::user("u1"))
    });
    let plain = stream.clone().websockets(websockets(ClientSource::peer()));
    let tls = stream.websockets(websockets(ClientSource::peer().over_tls()));
    for origin in [
        "http://evil.example",
        "http://test.evil.example",
        "http://test:81",
        "null",
        "https://app.example.evil.example",
    ] {
        for events in [&plain, &tls] {
            let (status, problem) = problem(shake(events, "/", &[("origin", origin)]).await).await;
            assert_eq!((status, &problem["reason"]), (403, &json!("origin")));
            assert!(!problem.to_string().contains(origin), "{problem}");
        }
    }
    let crossed = [(&plain, "https://test"), (&tls, "http://test")];
    for (events, origin) in crossed {
        let answer = shake(events, "/", &[("origin", origin)]).await;
        assert_eq!(answer.status(), 403, "{origin}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert_eq!((hub.stats().opened, hub.stats().turned_away), (0, 0));

    // No server of connections is in between here, so what is let through stops at that.
    let let_through = [
        (&plain, "http://test"),
        (&tls, "https://test"),
        (&plain, "https://app.example"),
        (&plain, ""),
    ];
    for (events, origin) in let_through {
        let (status, _) = problem(shake(events, "/", &[("origin", origin)]).await).await;
        assert_eq!(status, 501, "{origin}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_handshake_is_told_what_is_wrong_and_other_requests_get_what_they_got() {
    let (_store, hub, plain) = public().await;
    let events = with_sockets(plain.clone());
    for (name, value, status) in [
        ("connection", "", 400),
        ("sec-websocket-key", "", 400),
        ("sec-websocket-key", "c2hvcnQ=", 400),
        ("sec-websocket-version", "", 426),
        ("sec-websocket-version", "8", 426),
    ] {
        let answer = shake(&events, "/", &[(name, value)]).await;
        let offered = answer.headers().get("sec-websocket-version").cloned();
        assert_eq!(offered.is_some_and(|it| it == "13"), status == 426);
        let (found, problem) = problem(answer).await;
        assert_eq!(found, status, "{problem}");
        assert!(problem["detail"].is_string());
    }
    assert_eq!(hub.stats().turned_away, 0);
    // What else a client offers is not taken up, and so it is not named.
    let mut connection = serve(&events, 4096);
    let mut head = "GET / HTTP/1.1\r\n".to_owned();
    for (name, value) in HANDSHAKE.iter().chain(&[
        ("sec-websocket-extensions", "permessage-deflate"),
        ("sec-websocket-protocol", "chat, superchat"),
    ]) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(b"\r\n").await.unwrap();
    let mut answer = vec![0; 2048];
    let read = connection.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    assert!(!answer.contains("extensions") && !answer.contains("protocol:"));
    for (events, upgrade) in [(&plain, "websocket"), (&events, "h2c"), (&events, "")] {
        let answer = shake(events, "/", &[("upgrade", upgrade)]).await;
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
    }
    let connect = Request::builder().method("CONNECT").uri("test:80").body(());
    let answer = events.oneshot(connect.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 405);
}

#[tokio::test(start_paused = true)]
async fn rights_parameters_and_limits_are_those_of_a_stream() {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store.clone()).max_connections(1));
    settle().await;
    let events =
        EventStream::new(hub.clone()).authorize(|request: &Parts| match request.uri.path() {
            "/out" => Err(Denied::unauthorized()),
            _ => Ok(Grant::user("u1")),
        });
    let events = with_sockets(events);
    let refused = |query: &'static str| {
        let events = events.clone();
        async move {
            let mut connection = serve(&events, 4096);
            let mut head = format!("GET {query} HTTP/1.1\r\n");
            for (name, value) in HANDSHAKE {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("\r\n");
            connection.write_all(head.as_bytes()).await.unwrap();
            let mut answer = vec![0; 2048];
            let read = connection.read(&mut answer).await.unwrap();
            String::from_utf8_lossy(&answer[..read]).into_owned()
        }
    };
    for (query, status) in [("/?user=u2", 403), ("/?recent=x", 400), ("/out", 401)] {
        let answer = refused(query).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
    store.append(event("a", "other's").for_user("u2")).unwrap();
    store.append(event("a", "own").for_user("u1")).unwrap();
    settle().await;
    let mut socket = Socket::open(&events, "?recent=5").await;
    assert_eq!(socket.event().await["data"], "own");
    let answer = refused("/").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("retry-after: "), "{answer}");
    socket.say(Message::Close(None)).await;
    socket.end().await;
    settle().await;
    Socket::open(&events, "").await;
}

#[tokio::test(start_paused = true)]
async fn the_close_code_says_why_and_the_last_message_where_to_go_on() {
    let make = || async {
        let store = MemoryStore::new();
        let builder = EventHub::builder(store).max_age(Duration::from_secs(60));
        let (hub, tailer) = builder.build();
        let tailer = tokio::spawn(tailer);
        settle().await;
        let events = with_sockets(EventStream::new(hub.clone()).authorize(own));
        let mut socket = Socket::open(&events, "").await;
        socket.json().await;
        (hub, tailer, socket)
    };
    let told = |(last, close): (Option<Value>, Heard), socket: &Socket| {
        let last = last.unwrap();
        assert!(last["retry"].as_u64().is_some(), "{last}");
        assert_eq!(last["id"], *socket.cursor);
        assert!(!socket.cursor.is_empty());
        match close {
            Heard::Close(code, reason) => (code, reason),
            other => panic!("{other:?}"),
        }
    };

    let (hub, _tailer, mut socket) = make().await;
    hub.drain();
    assert_eq!(told(socket.end().await, &socket), (1001, "drain".into()));
    assert_eq!(socket.heard().await, Heard::End);
    settle().await;
    assert_eq!(hub.stats().connections, 0);

    let (_hub, _tailer, mut socket) = make().await;
    assert_eq!(told(socket.end().await, &socket), (1001, "age".into()));

    let (hub, _tailer, mut socket) = make().await;
    assert_eq!(hub.revoke("u1"), 1);
    assert_eq!(told(socket.end().await, &socket), (1008, "revoked".into()));

    let (_hub, _tailer, mut socket) = make().await;
    socket.say(Message::Close(None)).await;
    assert_eq!(socket.end().await.1, Heard::Close(1005, String::new()));

    let (_hub, tailer, mut socket) = make().await;
    tailer.abort();
    assert_eq!(told(socket.end().await, &socket), (1013, "stale".into()));
}

#[tokio::test(start_paused = true)]
async fn what_a_client_may_not_send_is_told_and_ends_it() {
    let (_store, hub, events) = public().await;
    let events = with_sockets(events);
    let masked = |head: &[u8], payload: &[u8]| [head, &[0; 4], payload].concat();
    for (bytes, code) in [
        // Not masked; a reserved bit; a reserved opcode; a continuation of nothing.
        (b"\x81\x02hi".to_vec(), 1002),
        (masked(b"\xc1\x82", b"hi"), 1002),
        (masked(b"\x83\x82", b"hi"), 1002),
        (masked(b"\x80\x82", b"hi"), 1002),
        // A ping that is too long, and one in parts.
        (masked(b"\x89\xfe\x00\x7e", &[0; 126]), 1002),
        (masked(b"\x09\x80", b""), 1002),
        // Not UTF-8.
        (masked(b"\x81\x81", b"\xff"), 1007),
        // Too large: as announced, and in parts.
        (masked(b"\x82\xfe\x10\x01", &[0; 4097]), 1009),
        (
            masked(b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", b""),
            1009,
        ),
        (
            [
                masked(b"\x02\xfe\x10\x00", &[0; 4096]),
                masked(b"\x80\x81", b"x"),
            ]
            .concat(),
            1009,
        ),
        // A new message in the middle of another, and a character that its parts leave incomplete.
        (
            [masked(b"\x01\x81", b"a"), masked(b"\x81\x81", b"b")].concat(),
            1002,
        ),
        (
            [masked(b"\x01\x81", b"\xc3"), masked(b"\x80\x80", b"")].concat(),
            1007,
        ),
        // A good-bye of half a code, with codes that are not for the wire, and in words that are no text.
        (masked(b"\x88\x81", b"\x03"), 1002),
        (masked(b"\x88\x82", &999_u16.to_be_bytes()), 1002),
        (masked(b"\x88\x82", &1005_u16.to_be_bytes()), 1002),
        (masked(b"\x88\x82", &1006_u16.to_be_bytes()), 1002),
        (masked(b"\x88\x83", b"\x03\xe8\xff"), 1007),
        // One with a code, which the answer repeats.
        (masked(b"\x88\x82", &1000_u16.to_be_bytes()), 1000),
        (masked(b"\x88\x82", &4999_u16.to_be_bytes()), 4999),
    ] {
        match answer_to(&events, &bytes).await {
            Heard::Close(found, _) => assert_eq!(found, code, "{bytes:x?}"),
            other => panic!("{other:?} to {bytes:x?}"),
        }
        settle().await;
        assert_eq!(hub.stats().connections, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn chatter_is_ignored_and_pings_are_answered() {
    let (store, _hub, events) = public().await;
    let mut socket = Socket::open(&with_sockets(events), "").await;
    for _ in 0..1000 {
        socket.say(Message::text("hello")).await;
        socket.say(Message::binary(vec![0; 4096])).await;
        socket.say(Message::Pong(Vec::new().into())).await;
    }
    store.append(event("a", "heard")).unwrap();
    assert_eq!(socket.event().await["data"], "heard");
    // A ping between the parts of a message, of which one is empty and one ends within a character.
    let mut connection = raw(serve(&with_sockets(public().await.2), 64 * 1024)).await;
    for part in [
        &b"\x01\x81\0\0\0\0\xc3"[..],
        b"\x00\x80\0\0\0\0",
        b"\x89\x82\0\0\0\0hi",
        b"\x80\x81\0\0\0\0\xa9",
    ] {
        connection.write_all(part).await.unwrap();
    }
    let mut heard = Vec::new();
    while !heard.ends_with(b"\x8a\x02hi") {
        heard.push(connection.read_u8().await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_there_stays_and_one_that_is_not_is_given_up() {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store.clone()));
    settle().await;
    let events = with_sockets(EventStream::new(hub.clone()));
    let mut alive = Socket::open(&events, "").await;
    // It has the connection open and neither reads nor writes.
    let dead = raw(serve(&events, 64 * 1024)).await;
    let mut pings = 0;
    for second in 0..300 {
        sleep(Duration::from_secs(1)).await;
        while let Ok(heard) = tokio::time::timeout(Duration::from_millis(1), alive.heard()).await {
            pings += usize::from(heard == Heard::Ping);
            assert_ne!(heard, Heard::End);
        }
        let expected = match second {
            0..29 => 2,
            32.. => 1,
            _ => continue,
        };
        assert_eq!(hub.stats().connections, expected, "after {second} s");
    }
    assert!((19..=22).contains(&pings), "{pings}");
    drop(dead);
}

#[tokio::test(start_paused = true)]
async fn one_that_shows_signs_of_life_and_takes_nothing_is_given_up_too() {
    let (store, hub, events) = public().await;
    let mut deaf = raw(serve(&with_sockets(events), 1024)).await;
    store.append(event("a", &"x".repeat(5000))).unwrap();
    settle().await;
    let mut seconds = 0;
    while hub.stats().connections > 0 {
        deaf.write_all(b"\x8a\x80\0\0\0\0").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        seconds += 1;
        assert!(seconds < 40);
    }
    assert!(seconds >= 29, "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_gets_everything_and_meanwhile_nothing_piles_up() {
    const EVENTS: usize = 2000;
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store.clone()).ring(64, 1 << 20));
    settle().await;
    let events = with_sockets(EventStream::new(hub.clone()));
    let mut socket = Socket::over(serve(&events, 1024), "").await;
    socket.json().await;
    socket.json().await;
    for n in 0..EVENTS {
        store
            .append(event("a", &format!("{n} {}", "x".repeat(500))))
            .unwrap();
        if n % 50 == 0 {
            settle().await;
        }
    }
    // It has fallen off the ring, so what it has not read is in the store and nowhere else.
    let expected = |n: usize| format!("{n} {}", "x".repeat(500));
    for n in 0..EVENTS {
        if n % 400 == 0 {
            sleep(Duration::from_secs(20)).await;
        }
        let message = socket.event().await;
        assert_eq!(message["data"], expected(n), "{n}");
    }
    assert!(hub.stats().demotions > 0, "{:?}", hub.stats());
    store.append(event("a", "live")).unwrap();
    assert_eq!(socket.event().await["data"], "live");
}

#[tokio::test(start_paused = true)]
async fn a_large_event_comes_whole_and_between_its_parts_the_client_is_heard() {
    let (store, _hub, events) = public().await;
    let mut socket = Socket::open(&with_sockets(events), "").await;
    socket.json().await;
    let large = "\u{1f980}\n".repeat(100_000);
    store.append(event("a", &large)).unwrap();
    store.append(event("a", "small")).unwrap();
    assert_eq!(socket.event().await["data"], *large);
    assert_eq!(socket.event().await["data"], "small");
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_is_dropped_or_never_handed_over_frees_its_place() {
    let (_store, hub, events) = public().await;
    let kept = Arc::new(std::sync::Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let events = events.websockets(WebSockets::driven_by(move |connection| {
        keep.lock().unwrap().push(connection);
    }));
    let connection = raw(serve(&events, 4096)).await;
    assert_eq!(hub.stats().connections, 1);
    kept.lock().unwrap().clear();
    assert_eq!(hub.stats().connections, 0);
    drop(connection);

    // A server that does not serve with upgrades answers 101 and hands nothing over.
    let (mut client, server) = tokio::io::duplex(4096);
    let service = hyper_util::service::TowerToHyperService::new(with_sockets(public().await.2));
    let io = hyper_util::rt::TokioIo::new(server);
    tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
    let mut head = "GET / HTTP/1.1\r\n".to_owned();
    for (name, value) in HANDSHAKE {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(20), client.read_to_end(&mut all)).await;
    assert!(ended.is_ok(), "the connection ends");
}

#[tokio::test(start_paused = true)]
async fn a_socket_makes_room_for_a_newer_stream_of_its_user_and_says_so() {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store).max_per_user(1));
    settle().await;
    let events = with_sockets(EventStream::new(hub.clone()).authorize(own));
    let mut first = Socket::open(&events, "").await;
    first.json().await;
    let mut second = Socket::open(&events, "").await;
    let (last, close) = first.end().await;
    assert_eq!(last.unwrap()["type"], "superseded");
    assert_eq!(close, Heard::Close(1008, "superseded".into()));
    assert_eq!(first.heard().await, Heard::End);
    settle().await;
    assert!(second.json().await["retry"].is_number());
    assert_eq!(hub.stats().connections, 1);
}

#[tokio::test(start_paused = true)]
async fn a_keep_alive_of_never_is_one() {
    let store = MemoryStore::new();
    let hub = feed(EventHub::builder(store.clone()).keep_alive(Duration::MAX));
    settle().await;
    let mut socket = Socket::open(&with_sockets(EventStream::new(hub)), "").await;
    sleep(Duration::from_secs(60)).await;
    store.append(event("a", "still there")).unwrap();
    assert_eq!(socket.event().await["data"], "still there");
}

#[tokio::test(start_paused = true)]
async fn in_axum_it_is_a_service_like_any_other() {
    let (store, _hub, events) = public().await;
    store.append(event("a", "hello")).unwrap();
    settle().await;
    let router: axum::Router = axum::Router::new().route_service("/", with_sockets(events));
    let mut socket = Socket::over(serve_with(router, 4096), "?recent=1").await;
    assert_eq!(socket.event().await["data"], "hello");
}
