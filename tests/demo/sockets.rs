//! The live stream over a WebSocket: the same events, for pages of this origin alone.

use std::net::TcpStream;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::{IntoClientRequest, client};
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::handshake::HandshakeError;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocket};

use crate::server::{DEADLINE, Demo, wait_for};

struct Socket(WebSocket<TcpStream>);

impl Socket {
    /// Opens one, or answers with the status of the refusal.
    fn open(demo: &Demo, query: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let stream = TcpStream::connect(demo.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let url = format!("ws://{}/api/events{query}", demo.address());
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match client(request, stream) {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(HandshakeError::Failure(Error::Http(answer))) => Err(answer.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    /// The next event, but for `caught-up`, and for what the demo says of its own health, which may
    /// suffer on a busy machine.
    fn next(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.0.read().expect("a message") {
                let message: Value = serde_json::from_str(&text).unwrap();
                let kind = message["type"].as_str();
                if kind.is_some_and(|kind| !["caught-up", "health.changed"].contains(&kind)) {
                    return message;
                }
            }
        }
    }

    fn next_data(&mut self) -> Value {
        serde_json::from_str(self.next()["data"].as_str().unwrap()).unwrap()
    }

    /// The code that it is closed with.
    fn closed(mut self) -> u16 {
        loop {
            if let Message::Close(close) = self.0.read().expect("a message") {
                // The answer goes out with the next read.
                let _ = self.0.flush();
                return close.expect("a reason").code.into();
            }
        }
    }
}

#[test]
fn a_socket_carries_the_same_events_and_resumes_after_a_crash() {
    let mut demo = Demo::start();
    let (one, two) = (demo.session("u1"), demo.session("u2"));
    let mut socket = Socket::open(&demo, "", &[("cookie", &one)]).unwrap();
    demo.pay(&two, 2.0);
    let row = demo.pay(&one, 1.0);
    let seen = socket.next();
    assert_eq!(seen["type"], "transaction.created");
    assert_eq!(
        serde_json::from_str::<Value>(seen["data"].as_str().unwrap()).unwrap(),
        row
    );
    demo.pay(&one, 3.0);
    demo.kill_and_restart();
    demo.pay(&one, 4.0);
    let query = format!("?last_event_id={}", seen["id"].as_str().unwrap());
    let mut resumed = Socket::open(&demo, &query, &[("cookie", &one)]).unwrap();
    assert_eq!(resumed.next_data()["amount"], 3.0);
    assert_eq!(resumed.next_data()["amount"], 4.0);
    assert_eq!(
        Socket::open(&demo, "?user=u2", &[("cookie", &one)]).err(),
        Some(403)
    );
}

#[test]
fn a_page_of_another_origin_gets_no_socket_and_a_trusted_proxy_tells_the_scheme() {
    let direct = Demo::start();
    let behind = Demo::with(&["--trusted-proxy", "127.0.0.0/8"]);
    let opened = |demo: &Demo, origin: &str, forwarded: &str| {
        let headers = [("origin", origin), ("x-forwarded-proto", forwarded)];
        Socket::open(demo, "", &headers).map(drop)
    };
    for demo in [&direct, &behind] {
        let own = demo.address();
        assert_eq!(opened(demo, &format!("http://{own}"), "http"), Ok(()));
        for other in [
            "http://evil.example",
            "null",
            &format!("http://{own}.evil.example"),
        ] {
            assert_eq!(opened(demo, other, "http"), Err(403), "{other}");
        }
    }
    // Whoever is no proxy of ours may claim what it likes.
    let (https, http) = (
        format!("https://{}", direct.address()),
        format!("http://{}", direct.address()),
    );
    assert_eq!(opened(&direct, &https, "https"), Err(403));
    assert_eq!(opened(&direct, &http, "https"), Ok(()));
    let (https, http) = (
        format!("https://{}", behind.address()),
        format!("http://{}", behind.address()),
    );
    assert_eq!(opened(&behind, &https, "https"), Ok(()));
    assert_eq!(opened(&behind, &http, "https"), Err(403));
}

#[test]
fn a_shutdown_closes_sockets_and_waits_for_their_goodbyes() {
    let mut demo = Demo::start();
    let cookie = demo.session("u1");
    let mut sockets: Vec<_> = (0..20)
        .map(|_| Socket::open(&demo, "", &[("cookie", &cookie)]).unwrap())
        .collect();
    let row = demo.pay(&cookie, 1.0);
    for socket in &mut sockets {
        assert_eq!(socket.next_data(), row);
    }
    demo.terminate();
    for socket in sockets {
        assert_eq!(socket.closed(), 1001);
    }
    let status = wait_for("the end", || demo.exited());
    assert_eq!(status.code(), Some(0), "{}", demo.told());
}

#[test]
fn who_says_too_much_is_told_so_before_the_connection_goes() {
    let demo = Demo::start();
    let mut socket = Socket::open(&demo, "", &[]).unwrap();
    // More than what lies between here and there takes: what is not read there would reset it.
    let _ = socket.0.send(Message::binary(vec![0; 16 << 20]));
    assert_eq!(socket.closed(), 1009);
}

#[test]
fn a_handshake_counts_as_a_read() {
    let demo = Demo::with(&["--reads-per-second", "3"]);
    let refused = (0..50).find_map(|_| Socket::open(&demo, "", &[]).err());
    assert_eq!(refused, Some(429));
}

#[test]
fn a_long_poll_answers_with_what_happened_and_where_to_go_on() {
    let demo = Demo::start();
    let cookie = demo.session("u1");
    let poll = |query: &str| {
        let call = demo.get(&format!("/api/events{query}"));
        let call = call.header("accept", "application/json");
        let answer = call.header("cookie", &cookie).send();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let start = poll("?wait=0");
    assert_eq!(start["events"], json!([]));
    let row = demo.pay(&cookie, 1.0);
    let cursor = start["cursor"].as_str().unwrap();
    let next = poll(&format!("?type=transaction.created&last_event_id={cursor}"));
    let event = &next["events"][0];
    assert_eq!(event["type"], "transaction.created");
    assert_eq!(
        serde_json::from_str::<Value>(event["data"].as_str().unwrap()).unwrap(),
        row
    );
    assert_eq!(next["cursor"], event["id"]);
}
