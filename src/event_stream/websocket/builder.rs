//! How sockets are set up: who drives them, and whose pages may open them.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use hyper::upgrade::OnUpgrade;

use super::connection::WebSocketConnection;
use super::handshake::Handshake;
use super::origin::{self, Origin};
use crate::client::ClientSource;
use crate::config::ConfigError;
use crate::event_stream::service::EventStream;
use crate::event_stream::upgrade::{Switch, Upgrade};
use crate::problem::Problem;
use crate::trace::emit;

impl EventStream {
    /// Answers a WebSocket handshake with a socket over which the same events go. Without this a
    /// handshake is a request like any other, and gets a stream. Needs the feature `websocket`.
    pub fn websockets(self, websockets: WebSockets) -> Self {
        self.upgrade(websockets)
    }
}

/// How an [`EventStream`] serves WebSockets: who drives them, and whose pages may open them.
///
/// What a client sees:
///
/// 1. The URL and its query are those of a stream. Browsers cannot set headers here, so a client
///    resumes with `?last_event_id=`. Refusals come as for other requests, before the upgrade: 400
///    and 426 for a handshake that is broken or of another version, 401, 403, 409, 503; and 501 where
///    the server hands no connections over.
/// 2. Every message is text, a JSON object. `{"id":..,"type":..,"data":..}` is an event, `data` being
///    the text that a stream would carry. `caught-up` and `reset` come as events, as they do there.
///    `{"id":..}` tells where the client stands. `{"retry":..}`, also beside an id, tells after how
///    many milliseconds to come back if the connection breaks. The last `id` of any message is where
///    to resume, here or in a stream or a long-poll. Further members and objects without `type` are
///    to be ignored: there may be more of them one day.
/// 3. A ping goes out with every keep-alive. A client that shows no sign of life for two of them, or
///    takes nothing of what it is sent, is cut off. Browsers answer pings by themselves.
/// 4. The server closes with 1001 at the maximum age and when the process drains, with 1008 when the
///    stream is revoked or superseded, and with 1013 when nothing feeds the hub any more. The message
///    before it says where and when to go on, but who was closed with 1008 should not. 1002, 1007 and
///    1009 are for frames that are not allowed, text that is not UTF-8, and messages over 4 KiB. What
///    a client says otherwise is ignored.
///
/// And a host:
///
/// - A handshake with an `Origin` is refused with 403 unless that is the origin of this service, by
///   `Host` (or the target's authority) and the scheme that [`client`](Self::client) knows, or is
///   [allowed](Self::allow_origin). Browsers send cookies with handshakes to any site, and always
///   say the page's origin; a client that says none is no browser, and is let through to
///   [`Authorize`](super::super::Authorize).
/// - For one connection at most one frame of the stream waits, made into messages: about 16 KiB, or
///   one event; and 64 KiB lie ready to be written. The rest stays where it is: a client that falls
///   behind is served from the store.
/// - The server has to be hyper, serving HTTP/1.1 with upgrades: `axum::serve` does, hyper-util's
///   `auto::Builder` with `serve_connection_with_upgrades`, and hyper's `http1::Builder` with
///   `with_upgrades`. Browsers open a connection of HTTP/1.1 for a WebSocket; the CONNECT of
///   RFC 8441 over HTTP/2 is answered with 405.
/// - A server that shuts down gracefully does not wait for connections that it has handed over: after
///   [`EventHub::drain`](super::super::EventHub::drain) await
///   [`EventHub::closed`](super::super::EventHub::closed), for some seconds at most.
/// - No subprotocol and no extension is agreed on; a browser fails when its page asks for one.
///
/// # Example
///
/// ```
/// use bartizan::client::{ClientSource, TrustedProxies};
/// use bartizan::event_stream::{EventHub, EventStream, MemoryStore, WebSockets};
///
/// let client = ClientSource::peer().behind(TrustedProxies::cidrs(["10.0.0.0/8"])?);
/// let (hub, tailer) = EventHub::builder(MemoryStore::new()).build();
/// let websockets = WebSockets::driven_by(tokio::spawn)
///     .client(&client)
///     .allow_origin("https://app.example.com")?;
/// let events = EventStream::new(hub).websockets(websockets);
/// # drop((events, tailer));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct WebSockets {
    drive: Arc<dyn Fn(WebSocketConnection) + Send + Sync>,
    client: ClientSource,
    allowed: Vec<Origin>,
}

impl WebSockets {
    /// Sockets that `drive` polls to their end: `tokio::spawn`, or a closure that hands them to a
    /// pool, a tracker or a runtime of their own. Nothing is spawned otherwise.
    ///
    /// It is called once for each socket, just before the handshake is answered, and must not
    /// block. What it returns is dropped, so a task has to go on by itself, as tokio's do.
    pub fn driven_by<R>(drive: impl Fn(WebSocketConnection) -> R + Send + Sync + 'static) -> Self {
        Self {
            drive: Arc::new(move |connection| drop(drive(connection))),
            client: ClientSource::peer(),
            allowed: Vec::new(),
        }
    }

    /// How the scheme of a handshake is known, which is a part of the origin of this service: plain
    /// http unless this says otherwise. Behind a proxy or with TLS browsers are refused without it.
    pub fn client(mut self, client: &ClientSource) -> Self {
        self.client = client.clone();
        self
    }

    /// Lets pages of `origin` open sockets too, with their visitors' cookies: `https://example.com`,
    /// with a port where it is not the scheme's own. May be repeated.
    ///
    /// # Errors
    ///
    /// When it is not an origin: a scheme, a host, and nothing behind it.
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, ConfigError> {
        let parsed = Origin::parse(origin).ok_or_else(|| {
            let fix =
                "use a scheme and a host, as in `https://example.com` or `http://localhost:8080`";
            ConfigError::new("allowed origin", origin, fix)
        })?;
        self.allowed.push(parsed);
        Ok(self)
    }
}

impl Upgrade for WebSockets {
    fn read(&self, request: &mut Parts) -> Option<Result<Switch, Response<Bytes>>> {
        let handshake = match Handshake::read(request)? {
            Ok(handshake) => handshake,
            Err(fault) => return Some(Err(fault.answer())),
        };
        let scheme = self.client.scheme_of(&request.extensions, &request.headers);
        if !origin::is_welcome(&request.headers, &request.uri, scheme, &self.allowed) {
            emit!(
                debug,
                { scheme = format_args!("{scheme:?}") },
                "a page of another origin was refused a WebSocket"
            );
            return Some(Err(stranger()));
        }
        let Some(upgrade) = request.extensions.remove::<OnUpgrade>() else {
            return Some(Err(no_upgrades()));
        };
        let drive = Arc::clone(&self.drive);
        Some(Ok(Box::new(move |body| {
            drive(WebSocketConnection::new(upgrade, body));
            handshake.answer()
        })))
    }
}

/// A page of another site.
fn stranger() -> Response<Bytes> {
    let detail = "the page's origin is neither that of this service, as the service sees its scheme \
                  and host, nor one that it allows";
    Problem::new(StatusCode::FORBIDDEN)
        .detail(detail)
        .member("reason", "origin")
        .into_response()
}

/// The server never hands a connection over: it is not hyper, or serves without upgrades.
fn no_upgrades() -> Response<Bytes> {
    Problem::new(StatusCode::NOT_IMPLEMENTED)
        .detail("the server in front of this service hands no connections over")
        .into_response()
}

impl fmt::Debug for WebSockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSockets")
            .field("client", &self.client)
            .field("allowed", &self.allowed)
            .finish_non_exhaustive()
    }
}
