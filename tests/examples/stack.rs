//! What the hyper and the axum example both promise.

use futures::StreamExt;
use http::Method;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::Error;

use crate::call::{DEADLINE, get, header, read_until, send};
use crate::example::Example;

/// More than any example lets through at once.
const MANY: usize = 500;

pub(crate) async fn every_answer_carries_the_security_headers(example: &Example) {
    for (path, status) in [
        ("/", 200),
        ("/nowhere", 404),
        ("/livez", 200),
        ("/health", 200),
    ] {
        let response = get(example, path).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(
            header(&response, "x-content-type-options"),
            "nosniff",
            "{path}"
        );
        assert!(
            header(&response, "content-security-policy").contains("frame-ancestors"),
            "{path}"
        );
    }
}

pub(crate) async fn a_burst_is_turned_away_but_not_the_probes(example: &Example) {
    let first = get(example, "/").await;
    assert_eq!(first.status(), 200);
    assert!(header(&first, "ratelimit").contains(";r="));

    let mut rejected = None;
    for _ in 0..MANY {
        let response = get(example, "/").await;
        if response.status() == 429 {
            rejected = Some(response);
            break;
        }
        assert_eq!(response.status(), 200);
    }
    let rejected = rejected.expect("a burst is turned away in the end");
    assert_eq!(
        header(&rejected, "content-type"),
        "application/problem+json"
    );
    assert_eq!(header(&rejected, "x-content-type-options"), "nosniff");
    let wait: u64 = header(&rejected, "retry-after").parse().unwrap();
    assert!(wait >= 1);

    for path in ["/livez", "/readyz", "/startupz", "/health", "/api/status"] {
        assert_eq!(get(example, path).await.status(), 200, "{path}");
    }
}

pub(crate) async fn a_stream_carries_what_is_posted(example: &Example) {
    let mut stream = get(example, "/events").await;
    assert_eq!(stream.status(), 200);
    assert_eq!(header(&stream, "content-type"), "text/event-stream");
    assert_eq!(header(&stream, "x-content-type-options"), "nosniff");
    // The first block is there before there is any event.
    read_until(&mut stream, "\n\n").await;

    let posted = send(example, Method::POST, "/orders").await;
    assert_eq!(posted.status(), 201);
    let block = read_until(&mut stream, "event: order.created\n").await;
    assert!(block.contains("id: "), "{block}");
}

pub(crate) async fn a_socket_carries_what_is_posted_to_pages_of_this_site(example: &Example) {
    let host = example.url.strip_prefix("http://").unwrap();
    let open = async |origin: &str| {
        let mut request = format!("ws://{host}/events").into_client_request().unwrap();
        request
            .headers_mut()
            .insert("origin", origin.parse().unwrap());
        let connection = TcpStream::connect(host).await.unwrap();
        client_async(request, connection).await
    };
    let (mut socket, _) = open(&example.url).await.unwrap();
    // The first message is there before there is any event.
    assert!(timeout(DEADLINE, socket.next()).await.unwrap().is_some());
    let posted = send(example, Method::POST, "/orders").await;
    assert_eq!(posted.status(), 201);
    let told = async {
        loop {
            let message = socket.next().await.unwrap().unwrap().into_text().unwrap();
            if message.contains(r#""type":"order.created""#) {
                return message;
            }
        }
    };
    let message = timeout(DEADLINE, told).await.unwrap();
    assert!(message.starts_with(r#"{"id":""#), "{message}");
    match open("http://elsewhere.example").await {
        Err(Error::Http(answer)) => assert_eq!(answer.status(), 403),
        other => panic!("{other:?}"),
    }
}
