//! What a script answers, and what it says of the log. Pure.

use redis::{ErrorKind, RedisError};

use crate::event_stream::event::{Event, NewEvent};
use crate::event_stream::id::{Epoch, EventId, Position};
use crate::event_stream::store::Bounds;

/// An entry of the stream: its id, and its fields and their values in turn.
pub(super) type Entry = (String, Vec<Vec<u8>>);

/// As the script says it: of the group, of the stream, whether the place that was looked for
/// stands, and the entries.
pub(super) type Reply = (
    (String, String, i64),
    (u64, u64, String, String, String, String),
    u64,
    Vec<Entry>,
);

/// The epoch in the name of a group.
pub(super) fn epoch(group: &str) -> Result<Epoch, RedisError> {
    let number = group.strip_prefix(PREFIX);
    let number = number.and_then(|hex| u64::from_str_radix(hex, 16).ok());
    number.map(Epoch::new).ok_or_else(unexpected)
}

/// The epoch as it stands in the name of a group.
pub(super) fn name(epoch: Epoch) -> String {
    format!("{:016x}", epoch.get())
}

/// The position of a stream's id, `milliseconds-number`.
pub(super) fn position(id: &str) -> Result<Position, RedisError> {
    let (ms, number) = id.split_once('-').ok_or_else(unexpected)?;
    let part = |digits: &str| digits.parse::<u64>().map_err(|_| unexpected());
    Ok(Position::new(
        u128::from(part(ms)?) << 64 | u128::from(part(number)?),
    ))
}

/// A position as a stream's id.
pub(super) fn id(position: Position) -> String {
    let (ms, number) = (position.get() >> 64, position.get() & u128::from(u64::MAX));
    format!("{ms}-{number}")
}

/// Between which positions the log can be read.
///
/// What was trimmed by this store's scripts is known exactly. What somebody else removed is known
/// by its number alone, so everything before the first entry counts as removed; and what was
/// deleted by name, up to the newest such.
pub(super) fn bounds(
    (group, floor, known): &(String, String, i64),
    (length, added, deleted, generated, first, last): &(u64, u64, String, String, String, String),
) -> Result<Bounds, RedisError> {
    let removed = added.saturating_sub(*length);
    let trimmed = if removed == 0 {
        Position::START
    } else if u64::try_from(*known) == Ok(removed) {
        position(floor)?
    } else if *length == 0 {
        position(generated)?
    } else {
        Position::new(position(first)?.get().saturating_sub(1))
    };
    let floor = trimmed.max(position(deleted)?);
    Ok(Bounds::new(epoch(group)?, floor, position(last)?))
}

/// The event in an entry; `None` for what somebody else has put into the stream.
pub(super) fn event(id: EventId, values: &[Vec<u8>]) -> Option<Event> {
    let field = |name: &str| {
        let mut pairs = values.chunks_exact(2);
        let pair = pairs.find(|pair| pair[0] == name.as_bytes())?;
        Some(String::from_utf8(pair[1].clone()))
    };
    let text = |name| field(name).transpose();
    let content = || {
        let mut content = NewEvent::text(text("type").ok()??, text("data").ok()??).ok()?;
        if let Some(user) = text("user").ok()? {
            content = content.for_user(user);
        }
        if let Some(topic) = text("topic").ok()? {
            content = content.topic(topic);
        }
        Some(content)
    };
    content().map(|content| Event::new(id, content))
}

fn unexpected() -> RedisError {
    RedisError::from((
        ErrorKind::UnexpectedReturnType,
        "the stream is not the log of a RedisStore",
    ))
}

const PREFIX: &str = "bartizan:";

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(known: i64, length: u64, added: u64, deleted: &str) -> (u128, u128) {
        let group = (
            format!("bartizan:{}", name(Epoch::new(7))),
            "2-0".to_owned(),
            known,
        );
        let (first, last) = match length {
            0 => ("0-0", "0-0"),
            _ => ("5-3", "9-1"),
        };
        let text = str::to_owned;
        let stream = (
            length,
            added,
            text(deleted),
            text("9-1"),
            text(first),
            text(last),
        );
        let bounds = bounds(&group, &stream).unwrap();
        assert_eq!(bounds.epoch(), Epoch::new(7));
        let ends = [bounds.floor(), bounds.head()];
        let [floor, head] = ends.map(|end| end.position().get());
        (floor, head)
    }

    fn at(ms: u128, number: u128) -> u128 {
        ms << 64 | number
    }

    #[test]
    fn the_floor_is_what_was_trimmed_and_what_is_not_known_is_taken_to_be_gone() {
        assert_eq!(seen(-1, 3, 3, "0-0"), (0, at(9, 1)));
        assert_eq!(seen(2, 3, 5, "0-0"), (at(2, 0), at(9, 1)));
        // Somebody else has trimmed.
        assert_eq!(seen(2, 3, 6, "0-0"), (at(5, 2), at(9, 1)));
        assert_eq!(seen(2, 0, 6, "0-0"), (at(9, 1), at(9, 1)));
        // Somebody has deleted one in the middle.
        assert_eq!(seen(2, 3, 6, "7-0"), (at(7, 0), at(9, 1)));
        // All of it was trimmed by ourselves.
        assert_eq!(seen(6, 0, 6, "0-0"), (at(2, 0), at(2, 0)));
    }

    #[test]
    fn ids_of_the_stream_are_positions_in_the_same_order() {
        for text in [
            "0-0",
            "1700000000000-0",
            "18446744073709551615-18446744073709551615",
        ] {
            assert_eq!(id(position(text).unwrap()), text);
        }
        assert!(position("5-18446744073709551615").unwrap() < position("6-0").unwrap());
        for text in ["", "5", "5-", "-5", "a-0", "5-0-0"] {
            assert!(position(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_event_is_left_out() {
        let id = EventId::new(Epoch::new(1), Position::new(1));
        let entry = |fields: &[&[u8]]| {
            let values: Vec<_> = fields.iter().map(|value| value.to_vec()).collect();
            event(id, &values)
        };
        let whole = entry(&[b"type", b"a", b"data", b"", b"user", b"u", b"topic", b"t"]).unwrap();
        assert_eq!(whole.content().user(), Some("u"));
        assert_eq!(whole.content().topic_name(), Some("t"));
        assert!(entry(&[b"type", b"a"]).is_none());
        assert!(entry(&[b"type", b"a,b", b"data", b""]).is_none());
        assert!(entry(&[b"type", b"a", b"data", b"\xff"]).is_none());
        assert!(entry(&[b"type", b"a", b"data", b"", b"user", b"\xff"]).is_none());
    }
}
