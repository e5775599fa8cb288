//! A client of the WebSocket form, over a real hyper server and a connection in memory.
#![expect(clippy::unwrap_used, reason = "a helper that fails, fails its test")]

use std::convert::Infallible;
use std::error::Error;

use bartizan::event_stream::{EventStream, WebSockets};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};
use tokio_tungstenite::{WebSocketStream, client_async};
use tower::Service;

/// What came over a socket.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Heard {
    Json(Value),
    Ping,
    /// The code, and the reason.
    Close(u16, String),
    /// The connection is gone.
    End,
}

pub(super) struct Socket {
    inner: WebSocketStream<DuplexStream>,
    /// Where the client stands.
    pub(super) cursor: String,
}

/// Serves the stream with sockets, one connection, and gives its other end. Each direction holds
/// `size` bytes.
pub(super) fn serve(events: &EventStream, size: usize) -> DuplexStream {
    serve_with(events.clone(), size)
}

/// The same for a whole application.
pub(super) fn serve_with<S, B>(service: S, size: usize) -> DuplexStream
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let (client, server) = duplex(size);
    let service = TowerToHyperService::new(service);
    let connection = http1::Builder::new()
        .serve_connection(TokioIo::new(server), service)
        .with_upgrades();
    tokio::spawn(connection);
    client
}

pub(super) fn with_sockets(events: EventStream) -> EventStream {
    events.websockets(WebSockets::driven_by(tokio::spawn))
}

impl Socket {
    pub(super) async fn open(events: &EventStream, query: &str) -> Self {
        Self::over(serve(events, 64 * 1024), query).await
    }

    pub(super) async fn over(connection: DuplexStream, query: &str) -> Self {
        let request = format!("ws://test/{query}").into_client_request().unwrap();
        let (inner, answer) = client_async(request, connection).await.unwrap();
        assert_eq!(answer.status(), 101);
        let cursor = String::new();
        Self { inner, cursor }
    }

    /// What comes next.
    pub(super) async fn heard(&mut self) -> Heard {
        match self.inner.next().await {
            Some(Ok(Message::Text(text))) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                if let Some(id) = message["id"].as_str() {
                    id.clone_into(&mut self.cursor);
                }
                Heard::Json(message)
            }
            Some(Ok(Message::Ping(_))) => Heard::Ping,
            Some(Ok(Message::Close(close))) => match close {
                Some(close) => Heard::Close(close.code.into(), close.reason.to_string()),
                None => Heard::Close(1005, String::new()),
            },
            Some(Ok(other)) => panic!("{other:?}"),
            Some(Err(_)) | None => Heard::End,
        }
    }

    /// The next message that is not a ping.
    pub(super) async fn json(&mut self) -> Value {
        loop {
            match self.heard().await {
                Heard::Json(message) => return message,
                Heard::Ping => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next event.
    pub(super) async fn event(&mut self) -> Value {
        loop {
            let message = self.json().await;
            if message["type"].is_string() {
                return message;
            }
        }
    }

    /// Everything up to the end, and how that was told.
    pub(super) async fn end(&mut self) -> (Option<Value>, Heard) {
        let mut last = None;
        loop {
            match self.heard().await {
                Heard::Json(message) => last = Some(message),
                Heard::Ping => {}
                end => return (last, end),
            }
        }
    }

    pub(super) async fn say(&mut self, message: Message) {
        self.inner.send(message).await.unwrap();
    }
}

/// A handshake by hand, for clients that no library would be.
pub(super) async fn raw(mut connection: DuplexStream) -> DuplexStream {
    let handshake = "GET /?recent=1 HTTP/1.1\r\nhost: test\r\nupgrade: websocket\r\n\
                     connection: upgrade\r\nsec-websocket-version: 13\r\n\
                     sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    connection.write_all(handshake.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    connection
}

/// Sends bytes that are no good, and says how that was answered.
pub(super) async fn answer_to(events: &EventStream, bytes: &[u8]) -> Heard {
    let mut connection = raw(serve(events, 64 * 1024)).await;
    connection.write_all(bytes).await.unwrap();
    let inner = WebSocketStream::from_raw_socket(connection, Role::Client, None).await;
    let cursor = String::new();
    Socket { inner, cursor }.end().await.1
}
