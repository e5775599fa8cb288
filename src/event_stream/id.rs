//! Where an event stands in its log, and how that looks on the wire.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::rand;

/// Which log a position belongs to.
///
/// Positions of one epoch can be compared; those of two epochs cannot. A store changes its epoch
/// when a position that was read may come to mean something else: the log was lost, restored from a
/// backup, or flushed. It does *not* change when a process restarts over a log that survived.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Epoch(u64);

impl Epoch {
    /// An epoch that the store keeps beside its log.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// A new epoch, which collides with an earlier one with probability 2^-64.
    #[must_use]
    pub fn random() -> Self {
        Self(u64::from_le_bytes(rand::bytes()))
    }

    /// The number to keep beside the log.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A place in a log: totally ordered, opaque, with holes.
///
/// 128 bits hold what stores order by: a sequence number, a transaction and a row, a millisecond and
/// a counter.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Position(u128);

impl Position {
    /// Before every event: a reader that stands here has seen nothing.
    pub const START: Self = Self(0);

    /// The position of a store whose numbers are `value`. Events stand at 1 or later.
    #[must_use]
    pub const fn new(value: u128) -> Self {
        Self(value)
    }

    /// The number behind the position.
    #[must_use]
    pub const fn get(self) -> u128 {
        self.0
    }
}

impl From<u64> for Position {
    fn from(value: u64) -> Self {
        Self(value.into())
    }
}

/// The id of an event, and the cursor of a reader who has seen everything up to it.
///
/// On the wire it is `<epoch>.<position>`: hexadecimal, a dot, decimal; at most 56 bytes, all of
/// which a browser sends in `Last-Event-ID` without asking for a CORS preflight. Each id has exactly
/// one spelling.
///
/// ```
/// use bartizan::event_stream::{Epoch, EventId, Position};
///
/// let id = EventId::new(Epoch::new(0xbeef), Position::new(42));
/// assert_eq!(id.to_string(), "beef.42");
/// assert_eq!("beef.42".parse(), Ok(id));
/// assert!("beef.042".parse::<EventId>().is_err());
/// ```
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct EventId {
    epoch: Epoch,
    /// The upper and the lower half of the position: a `u128` asks for an alignment that makes three
    /// words take four.
    position: [u64; 2],
}

impl EventId {
    /// The place `position` of the log `epoch`.
    #[must_use]
    pub const fn new(epoch: Epoch, position: Position) -> Self {
        let Position(number) = position;
        #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
        let position = [(number >> 64) as u64, number as u64];
        Self { epoch, position }
    }

    /// The log.
    #[must_use]
    pub const fn epoch(self) -> Epoch {
        self.epoch
    }

    /// The place in it.
    #[must_use]
    pub const fn position(self) -> Position {
        let [upper, lower] = self.position;
        Position((upper as u128) << 64 | lower as u128)
    }

    /// The later of `self` and `position` in the same log.
    pub(super) fn at_least(self, position: Position) -> Self {
        Self::new(self.epoch, self.position().max(position))
    }
}

impl EventId {
    /// Appends it as it is on the wire: what [`Display`](fmt::Display) writes, without its machinery,
    /// which would be half of what it takes to encode an event.
    pub(super) fn append_to(self, out: &mut String) {
        let [0, position] = self.position else {
            // Writing to a `String` does not fail.
            let _ = write!(out, "{self}");
            return;
        };
        let mut text = [0; 16 + 1 + 20];
        let mut first = digits::<10>(&mut text, position);
        first -= 1;
        text[first] = b'.';
        first = digits::<16>(&mut text[..first], self.epoch.0);
        out.push_str(std::str::from_utf8(&text[first..]).expect("digits and a dot"));
    }
}

/// Writes `number` to the end of `text`, and answers where it begins.
fn digits<const BASE: u64>(text: &mut [u8], mut number: u64) -> usize {
    let mut first = text.len();
    loop {
        first -= 1;
        #[expect(clippy::cast_possible_truncation, reason = "a digit")]
        let digit = (number % BASE) as usize;
        text[first] = b"0123456789abcdef"[digit];
        number /= BASE;
        if number == 0 {
            return first;
        }
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventId")
            .field("epoch", &self.epoch)
            .field("position", &self.position())
            .finish()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}", self.epoch.0, self.position().0)
    }
}

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        let (epoch, position) = text.split_once('.').ok_or(InvalidEventId)?;
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if !is_number(epoch, 16, hex) || !is_number(position, 39, |b| b.is_ascii_digit()) {
            return Err(InvalidEventId);
        }
        Ok(Self::new(
            Epoch(u64::from_str_radix(epoch, 16).map_err(|_| InvalidEventId)?),
            Position(position.parse().map_err(|_| InvalidEventId)?),
        ))
    }
}

/// Digits of one base without leading zeros, so that an id has one spelling.
fn is_number(text: &str, longest: usize, digit: impl Fn(u8) -> bool) -> bool {
    (1..=longest).contains(&text.len())
        && (text == "0" || !text.starts_with('0'))
        && text.bytes().all(digit)
}

/// Text that is not the id of an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct InvalidEventId;

impl fmt::Display for InvalidEventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event id is `<epoch>.<position>`, as it came from this stream")
    }
}

impl Error for InvalidEventId {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;

    #[test]
    fn the_longest_id_is_short_enough_for_a_request_without_preflight() {
        let id = EventId::new(Epoch::new(u64::MAX), Position::new(u128::MAX));
        let text = id.to_string();
        assert!(text.len() <= 64, "{text}");
        assert_eq!(text.parse(), Ok(id));
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in [
            "",
            ".",
            "1",
            "1.",
            ".1",
            "1.2.3",
            "01.2",
            "1.02",
            "+1.2",
            "1.+2",
            "-1.2",
            "A.1",
            "g.1",
            " 1.2",
            "1.2 ",
            "1.2\n",
            "1.340282366920938463463374607431768211456",
            "1.é",
            "é.1",
            "10000000000000000.1",
        ] {
            assert_eq!(text.parse::<EventId>(), Err(InvalidEventId), "{text:?}");
        }
    }

    #[test]
    fn ten_thousand_garbled_ids_are_refused_or_are_spelled_that_way() {
        let pieces = [
            "0",
            "1",
            "9",
            "a",
            "f",
            ".",
            ".",
            "-",
            "+",
            " ",
            "g",
            "\u{e9}",
            "340282366",
        ];
        let garbled = prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..6);
        let mut runner = TestRunner::deterministic();
        let mut parsed = 0;
        for _ in 0..10_000 {
            let text = garbled.new_tree(&mut runner).unwrap().current().concat();
            if let Ok(id) = text.parse::<EventId>() {
                assert_eq!(id.to_string(), text);
                parsed += 1;
            }
        }
        assert!(parsed > 30, "{parsed}");
    }

    proptest! {
        #[test]
        fn every_id_survives_the_wire(epoch: u64, position: u128) {
            let id = EventId::new(Epoch::new(epoch), Position::new(position));
            let text = id.to_string();
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'));
            prop_assert_eq!(text.parse(), Ok(id));
            // Most positions of a log are small, and are written another way.
            let small = EventId::new(Epoch::new(epoch), Position::new(position >> 64));
            for id in [id, small] {
                let mut written = String::from("id: ");
                id.append_to(&mut written);
                prop_assert_eq!(written, format!("id: {id}"));
            }
        }
    }
}
