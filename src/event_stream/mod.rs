//! A log with many readers: Server-Sent Events, WebSockets and long-poll, with nothing lost.
//!
//! The host's repository is the log ([`EventStore`]); or [`MemoryStore`], a table in the host's own
//! PostgreSQL (`PostgresStore`, feature `postgres`), a Redis stream (`RedisStore`, feature `redis`).
//! An [`EventHub`] reads it once for the whole process, and an [`EventStream`] answers each
//! request with the events that its sender may see. What a stream does:
//!
//! 1. A request is a GET; HEAD and OPTIONS are answered, other methods get 405. `?type=a,b`,
//!    `?topic=` and `?user=` limit the stream to what they name, exactly; garbage in them, or more than
//!    64 names in one, is a 400.
//! 2. [`Authorize`] decides what the sender may see: public events, somebody's private ones, for how
//!    long. Without it streams show public events only. Asking for more than that is a 403.
//!    `?user=` leaves public events out.
//! 3. `Last-Event-ID`, or `?last_event_id=` for a first connection, resumes after what the client
//!    has seen; `?recent=N` starts with the newest `N` events it may see, oldest first, at most
//!    1,000; otherwise a stream starts with what happens from now on. After the past comes
//!    `event: caught-up`.
//! 4. What the client wants to resume from may be gone: trimmed, from a log that was lost, or not an
//!    id at all. It is told by `event: reset`, whose data is `{"reason": .., "head": ..}` and whose
//!    id is where the stream goes on: load the state anew. `reason` is `unreadable`, `epoch`,
//!    `trimmed` or `unknown`. The header `event-stream-reset` says it as well, unless the store takes
//!    more than a second to answer whether it still has what follows the client's cursor: then the
//!    head goes out without it, as it does where the past is gone only once the stream is open.
//! 5. Every 15 s the client hears where it stands, in a block that fires no event: a client of rare
//!    events does not fall off the log while it is connected.
//! 6. A client that reads slowly is served from the store once it falls behind the hub's copy of the
//!    newest events: nothing is queued for it, and nothing is dropped.
//! 7. Streams end after 12 to 15 minutes, when their grant expires, when [`EventHub::revoke`] names their
//!    user, and when the process [drains](EventHub::drain). Clients reconnect by themselves, and
//!    resume.
//! 8. A browser's `EventSource` gives up for good on any status but 200. So when there are too many
//!    streams, [in all](EventHubBuilder::max_connections) (16,384) or
//!    [from one address](EventHubBuilder::max_per_address), it gets one that says when to come back and
//!    ends; others get a 503. So it is while the process drains, while nobody polls the [`Tailer`], and
//!    for whoever was revoked while [`Authorize`] was being asked about them. 204 is for those who should
//!    never come back: [`Denied::for_good`], and a stream that made room for
//!    [a newer one of its user](EventHubBuilder::max_per_user), which `event: superseded` says.
//! 9. A request that prefers `Accept: application/json` is a long-poll, for clients to whom no stream
//!    gets through: the same events, rights, limits and ids, and `?last_event_id=` says where the
//!    client stands. The answer comes with the first events or after `?wait=` seconds (25; 55 at
//!    most), and is `{"events":[{"id":..,"type":..,"data":..}],"cursor":".."}`: 200 also with no
//!    events. `cursor` is the next `last_event_id`. A member `"reset":{"reason":..,"head":..}`, with
//!    the header, says what `event: reset` says, before the events. About 256 KiB come at a time. An
//!    id from a stream goes on in a long-poll and the other way round; `?wait=0` tells a new client
//!    at once where the log ends.
//!
//! 10. With the feature `websocket` and [`EventStream::websockets`] the same URL answers a WebSocket
//!     handshake, again with the same events, rights, limits and ids; see [`WebSockets`].
//!
//! [`respond()`] is for a stream of events that is nobody's log.
//!
//! # Deployment
//!
//! - Poll the [`Tailer`]: without it no stream opens.
//! - Responses carry `Cache-Control: no-cache, no-transform` and `X-Accel-Buffering: no`. A proxy
//!   that buffers all the same, or a compression layer that does not leave out
//!   `text/event-stream`, keeps events back.
//! - Browsers open six connections to a host over HTTP/1.1, all tabs together: serve HTTP/2.
//! - A client that stops reading costs what the server and the kernel buffer for its socket before the
//!   stream notices: hyper some 250 KiB, Linux as much as it lets the send buffer of a socket grow
//!   (4 MB). hyper's `max_buf_size` and a fixed `SO_SNDBUF` on the listener, or `TCP_NOTSENT_LOWAT`,
//!   bound it to some 150 KiB; and where it was served from the store, 128 KiB that were read for it,
//!   and one event more. The [write stall](EventHubBuilder::write_stall) and the maximum age end
//!   such a stream, of which its socket hears with the next bytes that it takes; one that never takes
//!   any is closed by `TCP_USER_TIMEOUT` alone.
//! - Across origins use tower-http's `CorsLayer`; allow `last-event-id` and expose
//!   `event-stream-reset`.
//! - An `EventSource` cannot send headers: authorise it by cookie.
//!
//! # Metrics
//!
//! With the feature `metrics`; [`EventHub::stats`] tells the same without it. Labels are among those
//! named here, never users or topics.
//!
//! | name | what | label |
//! |---|---|---|
//! | `bartizan_event_stream_connections` | gauge: streams that are open | |
//! | `bartizan_event_stream_waiting` | gauge: streams for which events of the ring wait | |
//! | `bartizan_event_stream_replaying` | gauge: streams that are served from the store | |
//! | `bartizan_event_stream_lag_events` | gauge: events that wait for the stream farthest behind | |
//! | `bartizan_event_stream_lag_seconds` | gauge: how long the oldest of these has waited | |
//! | `bartizan_event_stream_store_silent_seconds` | gauge: how long ago the store last answered the tailer | |
//! | `bartizan_event_stream_opened_total` | streams that were opened | |
//! | `bartizan_event_stream_turned_away_total` | requests that got no stream | `reason`: `full`, `address`, `draining`, `stale`, `revoked` |
//! | `bartizan_event_stream_ended_total` | streams that the hub ended | `reason`: `age` (its own, its grant's, or a recheck that did not answer), `drain`, `revoked`, `stale`, `stalled`, `superseded` |
//! | `bartizan_event_stream_events_total` | events that the tailer read | |
//! | `bartizan_event_stream_wakes_total` | wakes that events caused | |
//! | `bartizan_event_stream_demotions_total` | readers that fell behind the ring | |
//! | `bartizan_event_stream_hand_overs_total` | readers that went over from the store to the ring | |
//! | `bartizan_event_stream_resets_total` | clients that had to load their state anew | |
//! | `bartizan_event_stream_store_reads_total` | reads of the store | `reader`: `tailer`, `stream` |
//! | `bartizan_event_stream_store_failures_total` | reads that failed | `reader`: `tailer`, `stream` |
//!
//! # Logs
//!
//! With the feature `tracing`, under the target `bartizan`. At `warn`: a [`Tailer`] that nobody polls, or
//! that has ended before a drain; a log that cannot be read (once, until it can), or pruned (about once a
//! minute); one that was trimmed or replaced under its reader, or restored or rolled back; the first entry
//! that is no event (`event`, its id); a `transaction` of PostgreSQL that has held events back for 10 s. At
//! `info`, that the log can be read again, and that such a transaction has ended. At `debug`, the texts of
//! errors, drains, and WebSockets that were refused for their origin or not handed over.
//!
//! # In an OpenAPI document
//!
//! OpenAPI cannot describe what flows in a stream, but it can name the forms, the parameters and every refusal: the
//! guide [`contract`](crate::guide::contract#the-event-stream) has them, and
//! [an example](crate::guide::contract#with-utoipa).
//!
//! # Example
//!
//! ```
//! use bartizan::event_stream::{EventHub, EventStream, Grant, MemoryStore, NewEvent};
//! use http::Request;
//! use http_body_util::BodyExt;
//! use tower::ServiceExt;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let store = MemoryStore::new();
//! let (hub, tailer) = EventHub::builder(store.clone()).build();
//! tokio::spawn(tailer);
//! tokio::task::yield_now().await;
//!
//! // A real host looks at a session here.
//! let events = EventStream::new(hub).authorize(|_: &http::request::Parts| Ok(Grant::user("u1")));
//! store.append(NewEvent::text("order.created", "for somebody else")?.for_user("u2"))?;
//! let id = store.append(NewEvent::text("order.created", "yours")?.for_user("u1"))?;
//!
//! let request = Request::get("/events?recent=10").body(())?;
//! let mut body = events.oneshot(request).await?.into_body();
//! let mut text = String::new();
//! while !text.contains("caught-up") {
//!     let frame = body.frame().await.ok_or("ended")??;
//!     text.push_str(std::str::from_utf8(frame.data_ref().ok_or("no data")?)?);
//! }
//! assert!(text.contains(&format!("id: {id}\nevent: order.created\ndata: yours\n\n")));
//! assert!(!text.contains("somebody else"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The wire format is [WHATWG HTML, 9.2](https://html.spec.whatwg.org/multipage/server-sent-events.html).

pub use self::authorize::{Authorize, Denied, Grant, Verdict};
pub use self::body::EventBody;
pub use self::encode::Encoded;
pub use self::event::{Event, EventError, EventErrorKind, NewEvent};
pub use self::future::ResponseFuture;
pub use self::hub::{EventHub, EventHubBuilder, HubStats, Tailer};
pub use self::id::{Epoch, EventId, InvalidEventId, Position};
pub use self::respond::{StreamBody, respond};
pub use self::selector::Selector;
pub use self::service::EventStream;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use self::store::PostgresStore;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use self::store::RedisStore;
#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub use self::store::conformance;
pub use self::store::{Bounds, EventStore, MemoryStore, Page, Read};
#[cfg(feature = "websocket")]
#[cfg_attr(docsrs, doc(cfg(feature = "websocket")))]
pub use self::websocket::{WebSocketConnection, WebSockets};

mod authorize;
mod batch;
mod body;
mod encode;
mod event;
mod future;
mod head;
mod hub;
mod id;
mod long_poll;
mod request;
mod respond;
mod selector;
mod service;
mod store;
mod upgrade;
#[cfg(feature = "websocket")]
mod websocket;
