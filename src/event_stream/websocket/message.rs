//! A stream's blocks as the messages of a socket. Pure.

use std::borrow::Cow;
use std::vec;

use bytes::Bytes;
use serde::Serialize;

use crate::event_stream::encode::DEFAULT_TYPE;
use crate::event_stream::encode::block::{Block, blocks};

/// What goes over the socket next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Piece {
    /// A part of a message.
    Text {
        part: Bytes,
        first: bool,
        last: bool,
    },
    /// A question whether the client is still there.
    Ping,
}

/// The messages of one frame of a stream that have not been sent yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    said: vec::IntoIter<Said>,
    /// The rest of a message of which a part was taken.
    rest: Option<Bytes>,
}

#[derive(Debug)]
enum Said {
    Message(String),
    Ping,
}

impl Outbox {
    /// Takes a frame of a stream; the one before it has been sent.
    pub(super) fn put(&mut self, frame: &[u8]) {
        debug_assert!(self.said.len() == 0 && self.rest.is_none());
        let mut said = Vec::new();
        // Frames are made of strings.
        for block in blocks(std::str::from_utf8(frame).unwrap_or_default()) {
            // A block that neither fires nor sets anything is there to keep the connection alive.
            let beat = block.data.is_none() && block.retry.is_none();
            said.extend(message(block).map(Said::Message));
            said.extend(beat.then_some(Said::Ping));
        }
        self.said = said.into_iter();
    }

    /// The next piece. Large messages come in parts, so that no more than one of these lies in a
    /// buffer, and pings of the client are answered between them.
    pub(super) fn next(&mut self) -> Option<Piece> {
        let first = self.rest.is_none();
        let mut rest = match self.rest.take() {
            Some(rest) => rest,
            None => match self.said.next()? {
                Said::Message(text) => text.into(),
                Said::Ping => return Some(Piece::Ping),
            },
        };
        let part = rest.split_to(rest.len().min(LARGEST_PART));
        let last = rest.is_empty();
        self.rest = (!last).then_some(rest);
        Some(Piece::Text { part, first, last })
    }
}

/// One block as JSON; `None` for a comment.
fn message(block: Block<'_>) -> Option<String> {
    let message = Message {
        id: block.id,
        kind: block
            .data
            .as_ref()
            .map(|_| block.kind.unwrap_or(DEFAULT_TYPE)),
        data: block.data,
        retry: block.retry.and_then(|retry| retry.parse().ok()),
    };
    if message.id.is_none() && message.data.is_none() && message.retry.is_none() {
        return None;
    }
    // Strings and numbers always serialise.
    serde_json::to_string(&message).ok()
}

#[derive(Serialize)]
struct Message<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u64>,
}

/// Bytes of a message that are handed over at once.
pub(super) const LARGEST_PART: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::event_stream::encode::{
        Encoded, caught_up, comment, cursor, farewell, opening, reset,
    };
    use crate::event_stream::event::{Event, NewEvent};
    use crate::event_stream::id::{Epoch, EventId, Position};

    fn id(position: u64) -> EventId {
        EventId::new(Epoch::new(0xe), Position::from(position))
    }

    /// What is sent for a frame: messages put together, pings as `null`.
    fn sent(frame: &[u8]) -> Vec<Value> {
        let (mut outbox, mut sent, mut open) = (Outbox::default(), Vec::new(), Vec::new());
        outbox.put(frame);
        while let Some(piece) = outbox.next() {
            match piece {
                Piece::Ping => {
                    assert!(open.is_empty(), "a ping of ours is between two messages");
                    sent.push(Value::Null);
                }
                Piece::Text { part, first, last } => {
                    assert_eq!(first, open.is_empty());
                    assert!(part.len() <= LARGEST_PART && !part.is_empty());
                    open.extend_from_slice(&part);
                    if last {
                        sent.push(serde_json::from_slice(&open).unwrap());
                        open.clear();
                    }
                }
            }
        }
        assert!(open.is_empty());
        sent
    }

    #[test]
    fn each_block_is_one_message_with_the_members_that_it_has() {
        let second = Duration::from_secs(1);
        let event = Event::new(id(2), NewEvent::text("message", "a\r\nb").unwrap());
        let both = [Encoded::from(event).into_bytes(), caught_up(id(3))].concat();
        for (frame, expected) in [
            (&*opening(second), vec![json!({"retry": 1000})]),
            (&*comment(), vec![Value::Null]),
            (&*cursor(id(1)), vec![json!({"id": "e.1"}), Value::Null]),
            (
                &*both,
                vec![
                    json!({"id": "e.2", "type": "message", "data": "a\nb"}),
                    json!({"id": "e.3", "type": "caught-up", "data": "{}"}),
                ],
            ),
            (
                &*farewell(Some(id(4)), second),
                vec![json!({"id": "e.4", "retry": 1000})],
            ),
            (&*farewell(None, second), vec![json!({"retry": 1000})]),
        ] {
            assert_eq!(sent(frame), expected);
        }
        let told = &sent(&reset("epoch", id(9)))[0];
        assert_eq!(
            (&told["id"], &told["type"]),
            (&json!("e.9"), &json!("reset"))
        );
        let data: Value = serde_json::from_str(told["data"].as_str().unwrap()).unwrap();
        assert_eq!(data, json!({"reason": "epoch", "head": "e.9"}));
    }

    proptest! {
        #[test]
        fn data_arrives_as_a_stream_would_carry_it_in_parts_of_bounded_size(
            data in "[a\u{e9}\u{1f980}\r\n\0\"\\\\ ]{0,40}", copies in 1..600_usize,
        ) {
            let data = data.repeat(copies);
            let event = Event::new(id(1), NewEvent::text("x: y", &*data).unwrap());
            let normal = data.replace("\r\n", "\n").replace('\r', "\n");
            let expected = json!({"id": "e.1", "type": "x: y", "data": normal});
            prop_assert_eq!(sent(&Encoded::from(event).into_bytes()), [expected]);
        }
    }
}
