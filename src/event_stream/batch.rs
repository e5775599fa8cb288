//! What a long-poll answers: the blocks of a stream, gathered into one JSON document.

use serde::{Deserialize, Serialize};

use super::encode::{DEFAULT_TYPE, blocks};
use super::id::EventId;

/// What a stream said so far.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Batch {
    events: Vec<Message>,
    /// Where the client stands: what it has seen, and nothing that it was not sent.
    cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<Reset>,
    /// Bytes of the stream that were taken in.
    #[serde(skip)]
    bytes: usize,
}

/// An event. Its data is the text that a stream would carry.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
struct Message {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: String,
}

/// What the client wanted to resume from is gone. It comes before the events.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Reset {
    reason: String,
    head: String,
}

impl Batch {
    /// Nothing yet, for a client that stands at `cursor`.
    pub(super) fn after(cursor: Option<EventId>) -> Self {
        Self {
            events: Vec::new(),
            cursor: cursor.map(|id| id.to_string()),
            reset: None,
            bytes: 0,
        }
    }

    /// Takes in a frame of a stream.
    pub(super) fn take_in(&mut self, frame: &[u8]) {
        self.bytes += frame.len();
        // Frames are made of strings.
        for block in blocks(std::str::from_utf8(frame).unwrap_or_default()) {
            if let Some(id) = block.id {
                self.cursor = Some(id.to_owned());
            }
            let Some(data) = block.data else { continue };
            match block.kind.unwrap_or(DEFAULT_TYPE) {
                "caught-up" => {}
                "reset" => {
                    // Whoever loads the state anew has no use for what came before.
                    self.events.clear();
                    self.reset = serde_json::from_str(&data).ok();
                }
                kind => self.events.push(Message {
                    id: block.id.unwrap_or_default().to_owned(),
                    kind: kind.to_owned(),
                    data: data.into_owned(),
                }),
            }
        }
    }

    /// Whether there is anything to tell.
    pub(super) fn has_news(&self) -> bool {
        !self.events.is_empty() || self.reset.is_some()
    }

    /// Whether the rest has to wait for the next request.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= LARGEST_BATCH
    }

    /// Whether it is known where the client stands.
    pub(super) fn is_settled(&self) -> bool {
        self.cursor.is_some()
    }

    /// Why the client has to load its state anew.
    pub(super) fn reset(&self) -> Option<&str> {
        self.reset.as_ref().map(|reset| &*reset.reason)
    }

    /// The document.
    pub(super) fn to_json(&self) -> Vec<u8> {
        // Strings always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A batch ends with the frame that reaches this, so that a client far behind costs no more.
const LARGEST_BATCH: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::encode::{Encoded, caught_up, comment, cursor, farewell, opening, reset};
    use super::super::event::{Event, NewEvent};
    use super::super::id::{Epoch, Position};
    use super::*;
    use std::time::Duration;

    fn id(position: u64) -> EventId {
        EventId::new(Epoch::new(0xe), Position::from(position))
    }

    fn frame(position: u64, kind: &str, data: &str) -> Vec<u8> {
        let event = Event::new(id(position), NewEvent::text(kind, data).unwrap());
        Encoded::from(event).into_bytes().to_vec()
    }

    fn document(batch: &Batch) -> serde_json::Value {
        serde_json::from_slice(&batch.to_json()).unwrap()
    }

    #[test]
    fn events_of_several_frames_are_listed_and_the_cursor_is_where_the_stream_stands() {
        let mut batch = Batch::after(None);
        assert!(!batch.is_settled());
        batch.take_in(&opening(Duration::from_secs(3)));
        batch.take_in(&comment());
        batch.take_in(&cursor(id(1)));
        assert!(batch.is_settled() && !batch.has_news());
        assert_eq!(document(&batch), json!({"events": [], "cursor": "e.1"}));
        batch.take_in(&[frame(2, "message", " a\r\nb\r"), frame(3, "x: y", "")].concat());
        batch.take_in(&caught_up(id(5)));
        assert!(batch.has_news());
        let events = json!([
            {"id": "e.2", "type": "message", "data": " a\nb\n"},
            {"id": "e.3", "type": "x: y", "data": ""},
        ]);
        assert_eq!(document(&batch), json!({"events": events, "cursor": "e.5"}));
        batch.take_in(&farewell(Some(id(6)), Duration::from_secs(1)));
        assert_eq!(document(&batch)["cursor"], "e.6");
    }

    #[test]
    fn a_reset_is_news_and_comes_before_the_events() {
        let mut batch = Batch::after(Some(id(1)));
        batch.take_in(&frame(2, "a", "of the former log"));
        batch.take_in(&reset("epoch", id(9)));
        batch.take_in(&frame(10, "a", "after"));
        assert_eq!(batch.reset(), Some("epoch"));
        let expected = json!({
            "events": [{"id": "e.10", "type": "a", "data": "after"}],
            "cursor": "e.10",
            "reset": {"reason": "epoch", "head": "e.9"},
        });
        assert_eq!(document(&batch), expected);
    }

    #[test]
    fn a_client_far_behind_gets_one_bounded_batch_after_the_other() {
        let mut batch = Batch::after(None);
        let large = frame(1, "a", &"x".repeat(16 * 1024));
        let mut frames = 0;
        while !batch.is_full() {
            batch.take_in(&large);
            frames += 1;
        }
        assert_eq!(frames, 16);
    }
}
