//! Events as the bytes of an event stream ([WHATWG HTML, 9.2.5]). Total: nothing here fails.
//!
//! Lines end in LF. A line end in data, be it CR, LF or CRLF, starts another `data:` line, so that
//! nothing in it can become a field. Empty data is sent, since an event without any is not
//! dispatched. A block without data moves the client's last event id and fires nothing, which is
//! what keep-alives are made of.
//!
//! [WHATWG HTML, 9.2.5]: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use memchr::memchr2;

use super::event::{Event, NewEvent};
use super::id::EventId;

pub(super) use self::block::blocks;

/// An event as it goes out: what [`respond`](fn@super::respond) sends.
///
/// ```
/// use bartizan::event_stream::{Encoded, NewEvent};
///
/// let encoded = Encoded::from(&NewEvent::text("note", "two\r\nlines")?);
/// assert_eq!(encoded.into_bytes(), "event: note\ndata: two\ndata: lines\n\n");
/// # Ok::<(), bartizan::event_stream::EventError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Encoded(Bytes);

impl Encoded {
    /// The block, blank line included.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl From<&Event> for Encoded {
    fn from(event: &Event) -> Self {
        let mut text = String::new();
        event_into(&mut text, Some(event.id()), event.content());
        Self(text.into())
    }
}

impl From<Event> for Encoded {
    fn from(event: Event) -> Self {
        Self::from(&event)
    }
}

impl From<&NewEvent> for Encoded {
    fn from(event: &NewEvent) -> Self {
        let mut text = String::new();
        event_into(&mut text, None, event);
        Self(text.into())
    }
}

impl From<NewEvent> for Encoded {
    fn from(event: NewEvent) -> Self {
        Self::from(&event)
    }
}

/// Appends one event.
pub(super) fn event_into(out: &mut String, id: Option<EventId>, event: &NewEvent) {
    out.reserve(event.data().len() + event.kind().len() + 96);
    if let Some(id) = id {
        out.push_str("id: ");
        id.append_to(out);
        out.push('\n');
    }
    if event.kind() != DEFAULT_TYPE {
        out.push_str("event: ");
        out.push_str(event.kind());
        out.push('\n');
    }
    for line in lines(event.data()) {
        out.push_str("data: ");
        out.push_str(line);
        out.push('\n');
    }
    out.push('\n');
}

/// The first block of a stream: a comment, so that a proxy sees bytes and the client's `onopen`
/// fires, and when to come back if the stream breaks.
pub(super) fn opening(retry: Duration) -> Bytes {
    format!(":\nretry: {}\n\n", retry.as_millis()).into()
}

/// Moves the client's last event id and fires nothing: a keep-alive that carries the cursor.
pub(super) fn cursor(id: EventId) -> Bytes {
    let mut out = String::with_capacity(CURSOR);
    out.push_str("id: ");
    id.append_to(&mut out);
    out.push_str("\n\n");
    out.into()
}

/// A keep-alive for a stream that has no cursor yet.
pub(super) fn comment() -> Bytes {
    Bytes::from_static(b":\n\n")
}

/// Everything that was asked for from the past has been sent.
pub(super) fn caught_up(id: EventId) -> Bytes {
    format!("id: {id}\nevent: caught-up\ndata: {{}}\n\n").into()
}

/// What the client asked to resume from is gone: it has to load its state anew. The id is where
/// the stream goes on, so that a client that reconnects does not get the same answer again.
pub(super) fn reset(reason: &str, head: EventId) -> Bytes {
    format!("id: {head}\nevent: reset\ndata: {{\"reason\":\"{reason}\",\"head\":\"{head}\"}}\n\n")
        .into()
}

/// The last block of a stream that ends on purpose: where the client stands, and when to come back.
pub(super) fn farewell(id: Option<EventId>, retry: Duration) -> Bytes {
    let mut out = String::new();
    if let Some(id) = id {
        field(&mut out, "id", &id);
    }
    field(&mut out, "retry", &retry.as_millis());
    out.push('\n');
    out.into()
}

/// The last block of a stream whose place a newer one of the same user took. Its id is none that a
/// stream goes on from, so that a client which comes back by itself is known by it; the data says
/// where the client stands, for one that comes back on purpose.
pub(super) fn superseded(id: Option<EventId>, retry: Duration) -> Bytes {
    let retry = retry.as_millis();
    match id {
        Some(id) => format!(
            "id: {id}-{SUPERSEDED}\nevent: {SUPERSEDED}\ndata: {{\"cursor\":\"{id}\"}}\nretry: {retry}\n\n"
        ),
        None => format!(
            "id: {SUPERSEDED}\nevent: {SUPERSEDED}\ndata: {{\"cursor\":null}}\nretry: {retry}\n\n"
        ),
    }
    .into()
}

/// Whether a client comes back with the id that [`superseded`] gave it.
pub(super) fn is_superseded(id: &[u8]) -> bool {
    let id = id.strip_suffix(SUPERSEDED.as_bytes());
    id.is_some_and(|id| id.is_empty() || id.ends_with(b"-"))
}

fn field(out: &mut String, name: &str, value: &impl std::fmt::Display) {
    // Writing to a `String` does not fail.
    let _ = writeln!(out, "{name}: {value}");
}

/// The lines of `data`, whichever way they end: one more than there are line ends.
fn lines(data: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = memchr2(b'\r', b'\n', text.as_bytes()) else {
            return rest.take();
        };
        let (line, after) = text.split_at(end);
        rest = Some(after.strip_prefix("\r\n").unwrap_or(&after[1..]));
        Some(line)
    })
}

/// What moving the last event id takes in all but a few logs.
const CURSOR: usize = 32;

/// What a stream says whose place a newer one took.
const SUPERSEDED: &str = "superseded";

/// The type that a block without an `event` field has.
pub(super) const DEFAULT_TYPE: &str = "message";

pub(super) mod block;

#[cfg(test)]
pub(super) mod tests;
