//! The encoder against a parser that was written from the specification and shares nothing with it.

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;
use crate::event_stream::id::{Epoch, Position};

/// What one block did to a client.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Heard {
    /// The last event id after this block.
    pub(crate) id: String,
    /// Type and data, when an event was fired.
    pub(crate) fired: Option<(String, String)>,
    /// The reconnection time, when the block set one.
    pub(crate) retry: Option<u64>,
}

/// A client's parser, step by step as the specification has it: one entry for each blank line that
/// changed anything.
pub(crate) fn parse(stream: &str) -> Vec<Heard> {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let mut heard = Vec::new();
    let (mut id, mut kind, mut data, mut retry) = (String::new(), String::new(), None, None);
    let mut chars = stream.chars().peekable();
    let mut line = String::new();
    while let Some(c) = chars.next() {
        if c != '\r' && c != '\n' {
            line.push(c);
            continue;
        }
        if c == '\r' {
            chars.next_if_eq(&'\n');
        }
        if line.is_empty() {
            let name = std::mem::take(&mut kind);
            let fired = data.take().map(|mut text: String| {
                text.pop();
                let name = if name.is_empty() {
                    "message".to_owned()
                } else {
                    name
                };
                (name, text)
            });
            let id = String::clone(&id);
            let retry = retry.take();
            heard.push(Heard { id, fired, retry });
            continue;
        }
        let taken = std::mem::take(&mut line);
        let (name, value) = taken.split_once(':').unwrap_or((&taken, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => kind = value.to_owned(),
            "data" => {
                let buffer = data.get_or_insert_with(String::new);
                buffer.push_str(value);
                buffer.push('\n');
            }
            "id" if !value.contains('\0') => id = value.to_owned(),
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => retry = value.parse().ok(),
            _ => {}
        }
    }
    heard
}

fn heard(event: &NewEvent) -> Vec<Heard> {
    let bytes = Encoded::from(event).into_bytes();
    parse(std::str::from_utf8(&bytes).unwrap())
}

fn id(position: u64) -> EventId {
    EventId::new(Epoch::new(0xe), Position::from(position))
}

#[test]
fn no_row_of_the_injection_matrix_gets_through() {
    for (data, expected) in [
        ("a\r\nb", "a\nb"),
        ("a\revent: evil", "a\nevent: evil"),
        ("a\nid: 9\n\ndata: evil", "a\nid: 9\n\ndata: evil"),
        ("a\n", "a\n"),
        ("a\r", "a\n"),
        ("a\r\r\n\nb", "a\n\n\nb"),
        ("", ""),
        ("\n", "\n"),
        (" led by a space", " led by a space"),
        ("\u{feff}bom", "\u{feff}bom"),
        ("nul\0byte", "nul\0byte"),
        (": comment", ": comment"),
        ("retry: 1", "retry: 1"),
        ("line\u{2028}separator\u{85}", "line\u{2028}separator\u{85}"),
    ] {
        let event = NewEvent::text("kind", data).unwrap();
        let fired = Some(("kind".to_owned(), expected.to_owned()));
        let one = Heard {
            fired,
            ..Heard::default()
        };
        assert_eq!(heard(&event), [one], "{data:?}");
    }
}

#[test]
fn an_event_in_a_log_carries_its_id_and_the_default_type_is_not_repeated() {
    let event = Event::new(id(7), NewEvent::text("message", "hi").unwrap());
    assert_eq!(Encoded::from(event).into_bytes(), "id: e.7\ndata: hi\n\n");
}

#[test]
fn what_the_stream_itself_says_reads_back() {
    let retry = Duration::from_millis(3210);
    let mut stream = Vec::new();
    for block in [
        opening(retry),
        cursor(id(4)),
        comment(),
        caught_up(id(5)),
        reset("trimmed", id(9)),
        farewell(Some(id(9)), retry),
        farewell(None, retry),
        superseded(Some(id(9)), retry),
        superseded(None, retry),
    ] {
        stream.extend_from_slice(&block);
    }
    let heard = parse(std::str::from_utf8(&stream).unwrap());
    let ids: Vec<_> = heard.iter().map(|block| &*block.id).collect();
    let last = ["e.9-superseded", "superseded"];
    assert_eq!(
        ids,
        [&["", "e.4", "e.4", "e.5", "e.9", "e.9", "e.9"][..], &last].concat()
    );
    for id in last {
        assert!(is_superseded(id.as_bytes()));
    }
    for id in ["", "e.9", "unsuperseded", "e.9-superseded-"] {
        assert!(!is_superseded(id.as_bytes()), "{id}");
    }
    let retries: Vec<_> = heard.iter().map(|block| block.retry).collect();
    let some = Some(3210);
    assert_eq!(
        retries,
        [some, None, None, None, None, some, some, some, some]
    );
    let fired = |at: usize| heard[at].fired.clone().unwrap_or_default();
    assert_eq!(fired(3), ("caught-up".into(), "{}".into()));
    assert_eq!(fired(4).0, "reset");
    let data: serde_json::Value = serde_json::from_str(&fired(4).1).unwrap();
    assert_eq!(
        data,
        serde_json::json!({"reason": "trimmed", "head": "e.9"})
    );
    let told = r#"{"cursor":"e.9"}"#;
    assert_eq!(fired(7), ("superseded".into(), told.into()));
    assert_eq!(fired(8).1, r#"{"cursor":null}"#);
    assert_eq!(
        heard.iter().filter(|block| block.fired.is_some()).count(),
        4
    );
}

/// Text in which line ends, separators and the names of fields are likely.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = [
        "\r",
        "\n",
        "\r\n",
        "data:",
        "id: 1",
        "event: evil",
        "retry: 1",
        ":",
        "\0",
        "\u{feff}",
        " ",
        "a",
        "\u{2028}",
        "\u{85}",
        "é",
        "\u{1f980}",
        "{}",
    ];
    let piece = prop::sample::select(pieces.to_vec());
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

#[test]
fn whatever_is_sent_is_heard_once_with_its_line_ends_normalised() {
    let mut broken_lines = 0;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..2000 {
        let kind = prop_oneof![Just(" order: created ".to_owned()), hostile()];
        let (kind, data) = (kind, hostile()).new_tree(&mut runner).unwrap().current();
        let Ok(event) = NewEvent::text(&*kind, &*data) else {
            assert!(kind.is_empty() || kind.chars().any(char::is_control) || kind.len() > 128);
            continue;
        };
        broken_lines += usize::from(data.contains('\r'));
        let normal = data.replace("\r\n", "\n").replace('\r', "\n");
        let event = Event::new(id(3), event);
        let bytes = Encoded::from(&event).into_bytes();
        assert!(!bytes.contains(&b'\r'));
        let one = Heard {
            id: "e.3".to_owned(),
            fired: Some((kind.clone(), normal)),
            retry: None,
        };
        // Between two others, so that nothing can leak into a neighbour.
        let stream = [&*cursor(id(2)), &*bytes, &*comment()].concat();
        let heard = parse(std::str::from_utf8(&stream).unwrap());
        assert_eq!(heard.len(), 3, "{data:?}");
        assert_eq!(heard[1], one);
        assert_eq!(heard[2].fired, None);
    }
    assert!(
        broken_lines > 100,
        "the hard case was met {broken_lines} times"
    );
}
