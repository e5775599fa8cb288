//! What is published, and what it is once it stands in a log.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::id::EventId;

/// An event that has no place in a log yet: what a store's `append` takes.
///
/// Its type is what a browser listens for (`addEventListener("order.created", ..)`) and what
/// `?type=` selects. Its data is text. Without [`for_user`](Self::for_user) everyone may see it.
///
/// ```
/// use bartizan::event_stream::NewEvent;
///
/// let event = NewEvent::json("order.created", &[1, 2])?.for_user("u1").topic("orders");
/// assert_eq!(event.data(), "[1,2]");
/// assert!(NewEvent::text("order\nid: 9", "").is_err());
/// # Ok::<(), bartizan::event_stream::EventError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "an event reaches nobody until it is appended to a store"]
pub struct NewEvent {
    kind: Arc<str>,
    data: Arc<str>,
    user: Option<Arc<str>>,
    topic: Option<Arc<str>>,
}

impl NewEvent {
    /// An event of type `kind` whose data is `data`, which may be empty or hold any characters.
    ///
    /// # Errors
    ///
    /// When `kind` is empty, longer than 128 bytes, holds a control character (a line end in it
    /// would let its author forge fields of the stream) or a comma (`?type=` could not name it), or
    /// is `reset`, `caught-up` or `superseded`, which the stream itself says.
    pub fn text(kind: impl Into<Arc<str>>, data: impl Into<Arc<str>>) -> Result<Self, EventError> {
        let kind = kind.into();
        if !is_name(&kind) || RESERVED.contains(&&*kind) {
            return Err(EventError::new(EventErrorKind::Type));
        }
        Ok(Self {
            kind,
            data: data.into(),
            user: None,
            topic: None,
        })
    }

    /// An event of type `kind` whose data is `value` as JSON.
    ///
    /// # Errors
    ///
    /// As [`text`](Self::text), and when `value` does not serialise.
    pub fn json<T>(kind: impl Into<Arc<str>>, value: &T) -> Result<Self, EventError>
    where
        T: Serialize + ?Sized,
    {
        let data = serde_json::to_string(value).map_err(|source| EventError {
            kind: EventErrorKind::Json,
            source: Some(source),
        })?;
        Self::text(kind, data)
    }

    /// Makes it private: only streams that may see the events of `user` get it.
    pub fn for_user(mut self, user: impl Into<Arc<str>>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Puts it under a topic, which `?topic=` selects.
    pub fn topic(mut self, topic: impl Into<Arc<str>>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// The type.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The data.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// Whose private event it is; `None` for a public one.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The topic it is under.
    #[must_use]
    pub fn topic_name(&self) -> Option<&str> {
        self.topic.as_deref()
    }

    /// Bytes that keeping it takes, about.
    pub(super) fn weight(&self) -> usize {
        let names = self.kind.len() + self.user().map_or(0, str::len);
        self.data.len() + names + self.topic_name().map_or(0, str::len) + OVERHEAD
    }

    /// What decides who gets it.
    pub(super) fn into_address(self) -> Address {
        Address {
            kind: self.kind,
            user: self.user,
            topic: self.topic,
        }
    }
}

/// An event in a log: what it says, and where it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    id: EventId,
    content: NewEvent,
}

impl Event {
    /// `content`, standing at `id`.
    #[must_use]
    pub fn new(id: EventId, content: NewEvent) -> Self {
        Self { id, content }
    }

    /// Where it stands.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.id
    }

    /// What it says.
    pub fn content(&self) -> &NewEvent {
        &self.content
    }

    pub(super) fn into_content(self) -> NewEvent {
        self.content
    }
}

/// What decides who gets an event: the ring keeps this beside the encoded bytes.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) kind: Arc<str>,
    pub(super) user: Option<Arc<str>>,
    pub(super) topic: Option<Arc<str>>,
}

/// Why an event could not be made or appended.
#[derive(Debug)]
pub struct EventError {
    kind: EventErrorKind,
    source: Option<serde_json::Error>,
}

impl EventError {
    pub(super) fn new(kind: EventErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// What was wrong.
    #[must_use]
    pub fn kind(&self) -> EventErrorKind {
        self.kind
    }
}

/// What was wrong with an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EventErrorKind {
    /// The type cannot be one.
    Type,
    /// The value does not serialise as JSON.
    Json,
    /// It is larger than all that the store may keep.
    TooLarge,
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            EventErrorKind::Type => {
                "an event's type is 1 to 128 bytes without control characters or commas, \
                 and none of `reset`, `caught-up`, `superseded`"
            }
            EventErrorKind::Json => "the event's data does not serialise as JSON",
            EventErrorKind::TooLarge => "the event is larger than the store's bound in bytes",
        })
    }
}

impl Error for EventError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

/// Whether `text` can be the type of an event, or be asked for.
pub(super) fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len()) && !text.chars().any(|c| c.is_control() || c == ',')
}

/// Types that the stream itself says.
const RESERVED: [&str; 3] = ["reset", "caught-up", "superseded"];

const LONGEST_NAME: usize = 128;

/// What an event costs beside its text: reference counts, pointers, its place in a queue.
const OVERHEAD: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_could_forge_the_stream_is_refused_when_the_event_is_built() {
        for kind in [
            "",
            "a\nid: 9",
            "a\rb",
            "a\0b",
            "a,b",
            "reset",
            "caught-up",
            "superseded",
            "a\u{85}b",
        ] {
            let error = NewEvent::text(kind, "").unwrap_err();
            assert_eq!(error.kind(), EventErrorKind::Type, "{kind:?}");
        }
        assert!(NewEvent::text("x".repeat(129), "").is_err());
        assert!(NewEvent::text("message", "\0\r\n\u{feff}").is_ok());
    }

    #[test]
    fn a_value_that_does_not_serialise_keeps_its_cause() {
        let value = std::collections::HashMap::from([((1, 2), 3)]);
        let error = NewEvent::json("x", &value).unwrap_err();
        assert_eq!(error.kind(), EventErrorKind::Json);
        assert!(error.source().is_some());
    }
}
