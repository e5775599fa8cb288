//! What a request asks of the stream: a pure reading of its query, its `Accept` and its
//! `Last-Event-ID`.

use std::borrow::Cow;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, Uri};

use crate::request::{preferred, query};

use super::authorize::Filter;
use super::encode::is_superseded;
use super::event::is_name;
use super::head::JSON;
use super::id::EventId;
use super::selector::Names;

/// A request, read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Asked {
    pub(super) filter: Filter,
    pub(super) start: Start,
    pub(super) form: Form,
}

/// In what form the events go out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// As they happen.
    Stream,
    /// The first of them in one document, or none after this long.
    LongPoll(Duration),
}

/// Where a stream begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Start {
    /// With what happens from now on.
    Head,
    /// With the newest events that the client may see, this many at most.
    Recent(u16),
    /// After what the client has seen.
    After(EventId),
    /// The client says it has seen something, and it is not clear what.
    Unreadable,
}

/// Why a request is answered without asking anybody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    Parameter(BadParameter),
    /// The client's stream made room for a newer one, and it has come back by itself.
    Superseded,
}

/// The parameter that makes no sense, with what would.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct BadParameter {
    pub(super) name: &'static str,
    pub(super) fix: &'static str,
}

impl Asked {
    /// Reads the head of a request.
    ///
    /// The header wins over the query: a browser that reconnects sends both, the header with where
    /// it stands by now. Parameters that mean nothing here are left to the host.
    pub(super) fn read(request: &Parts) -> Result<Self, Refusal> {
        let filter = filter(&request.uri)?;
        let recent = recent(&request.uri)?;
        let start = match last_event_id(&request.headers, &request.uri) {
            Some(id) => after(&id)?,
            None if recent > 0 => Start::Recent(recent),
            None => Start::Head,
        };
        let form = form(&request.headers, &request.uri)?;
        Ok(Self {
            filter,
            start,
            form,
        })
    }
}

impl Start {
    /// Where the client stands, if it said so.
    pub(super) fn cursor(self) -> Option<EventId> {
        match self {
            Self::After(id) => Some(id),
            Self::Head | Self::Recent(_) | Self::Unreadable => None,
        }
    }
}

/// Whoever does not prefer JSON gets a stream, as does who likes both as much.
fn form(headers: &HeaderMap, uri: &Uri) -> Result<Form, BadParameter> {
    if preferred(headers, &["text/event-stream", JSON]) != Some(1) {
        return Ok(Form::Stream);
    }
    let wait = number(uri, "wait", MOST_WAIT, "a number of seconds from 0 to 55")?;
    let seconds = wait.unwrap_or(DEFAULT_WAIT);
    Ok(Form::LongPoll(Duration::from_secs(seconds.into())))
}

/// An empty id is what a browser has before the first event: as good as none.
fn last_event_id<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<Cow<'a, [u8]>> {
    match headers.get("last-event-id") {
        Some(value) if !value.is_empty() => Some(Cow::Borrowed(value.as_bytes())),
        _ => query(uri)
            .find(|(name, value)| name == "last_event_id" && !value.is_empty())
            .map(|(_, value)| Cow::Owned(value.into_owned().into_bytes())),
    }
}

fn after(id: &[u8]) -> Result<Start, Refusal> {
    if is_superseded(id) {
        return Err(Refusal::Superseded);
    }
    let id = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok());
    Ok(id.map_or(Start::Unreadable, Start::After))
}

impl From<BadParameter> for Refusal {
    fn from(bad: BadParameter) -> Self {
        Self::Parameter(bad)
    }
}

fn filter(uri: &Uri) -> Result<Filter, BadParameter> {
    Ok(Filter {
        types: names(uri, "type")?,
        topics: names(uri, "topic")?,
        users: names(uri, "user")?,
    })
}

/// The names in a parameter that may be repeated and may hold several, separated by commas.
fn names(uri: &Uri, parameter: &'static str) -> Result<Names, BadParameter> {
    let bad = |fix| BadParameter {
        name: parameter,
        fix,
    };
    let mut found: Vec<String> = Vec::new();
    for (_, value) in query(uri).filter(|(name, _)| name == parameter) {
        for name in value.split(',') {
            // A malformed escape decodes to U+FFFD: no name that anybody meant.
            if !is_name(name) || name.contains('\u{fffd}') {
                return Err(bad(
                    "names of 1 to 128 bytes without control characters, separated by commas",
                ));
            }
            if found.len() == MOST_NAMES {
                return Err(bad("at most 64 names"));
            }
            found.push(name.to_owned());
        }
    }
    Ok(match found.is_empty() {
        true => Names::ANY,
        false => Names::only(found),
    })
}

fn recent(uri: &Uri) -> Result<u16, BadParameter> {
    let recent = number(uri, "recent", MOST_RECENT, "a number from 0 to 1000")?;
    Ok(recent.unwrap_or(0))
}

/// The number that a parameter says; a larger one than `most` means `most`.
fn number(
    uri: &Uri,
    name: &'static str,
    most: u16,
    fix: &'static str,
) -> Result<Option<u16>, BadParameter> {
    let Some((_, value)) = query(uri).find(|(known, _)| known == name) else {
        return Ok(None);
    };
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BadParameter { name, fix });
    }
    // Digits that do not fit are simply a large number.
    Ok(Some(value.parse().map_or(most, |n: u16| n.min(most))))
}

/// Events that `?recent=` gives at most; a larger number means this one.
pub(super) const MOST_RECENT: u16 = 1000;

/// Seconds that a long-poll waits at most, below the minute after which many proxies cut a
/// connection that is silent, and when it does not say, below the shortest such time, 30 s.
const MOST_WAIT: u16 = 55;
const DEFAULT_WAIT: u16 = 25;

const MOST_NAMES: usize = 64;

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;

    use super::*;

    fn read(uri: &str, header: Option<&[u8]>) -> Result<Asked, Refusal> {
        let (mut parts, ()) = Request::get(uri).body(()).unwrap().into_parts();
        if let Some(header) = header {
            let value = HeaderValue::from_bytes(header).unwrap();
            parts.headers.insert("last-event-id", value);
        }
        Asked::read(&parts)
    }

    fn parameter<T: std::fmt::Debug>(read: Result<T, Refusal>) -> &'static str {
        match read.unwrap_err() {
            Refusal::Parameter(bad) => bad.name,
            Refusal::Superseded => "superseded",
        }
    }

    fn start(uri: &str, header: Option<&[u8]>) -> Start {
        read(uri, header).unwrap().start
    }

    #[test]
    fn the_header_wins_over_the_query_and_both_over_recent() {
        let at = |text: &str| Start::After(text.parse().unwrap());
        assert_eq!(start("/", None), Start::Head);
        assert_eq!(start("/", Some(b"")), Start::Head);
        assert_eq!(start("/?recent=0", None), Start::Head);
        assert_eq!(start("/?recent=7", None), Start::Recent(7));
        assert_eq!(start("/?recent=99999999999", None), Start::Recent(1000));
        assert_eq!(start("/?last_event_id=a.1&recent=7", None), at("a.1"));
        assert_eq!(start("/?last_event_id=a.1", Some(b"a.2")), at("a.2"));
        assert_eq!(
            start("/?last_event_id=a.1", Some(b"\xff")),
            Start::Unreadable
        );
        assert_eq!(start("/?last_event_id=1%2C2", None), Start::Unreadable);
    }

    #[test]
    fn a_superseded_client_is_known_by_its_id_however_it_sends_it() {
        for (uri, header) in [
            ("/", Some(&b"a.1-superseded"[..])),
            ("/?last_event_id=a.1", Some(b"superseded")),
            ("/?last_event_id=a.1-superseded", None),
        ] {
            assert_eq!(read(uri, header), Err(Refusal::Superseded), "{uri}");
        }
    }

    #[test]
    fn lists_are_sorted_and_repeated_parameters_add_up() {
        let asked = read("/?type=b,a&type=c&x=%zz", None).unwrap();
        assert_eq!(asked.filter.types, Names::only(["a", "b", "c"]));
        assert_eq!(asked.filter.users, Names::ANY);
    }

    #[test]
    fn json_is_for_those_who_prefer_it_and_wait_is_theirs_alone() {
        let form = |accept: Option<&'static str>, uri: &str| {
            let (mut parts, ()) = Request::get(uri).body(()).unwrap().into_parts();
            if let Some(accept) = accept {
                let accept = HeaderValue::from_static(accept);
                parts.headers.insert("accept", accept);
            }
            Asked::read(&parts).map(|asked| asked.form)
        };
        let poll = |seconds| Ok(Form::LongPoll(Duration::from_secs(seconds)));
        let json = Some("application/json");
        assert_eq!(form(json, "/"), poll(25));
        assert_eq!(form(json, "/?wait=0"), poll(0));
        assert_eq!(form(json, "/?wait=7"), poll(7));
        assert_eq!(form(json, "/?wait=56"), poll(55));
        assert_eq!(form(json, "/?wait=99999999999999999999"), poll(55));
        for uri in ["/?wait=", "/?wait=-1", "/?wait=1.5", "/?wait=long"] {
            assert_eq!(parameter(form(json, uri)), "wait", "{uri}");
            assert_eq!(form(Some("text/event-stream"), uri), Ok(Form::Stream));
        }
        for accept in ["*/*", "text/html", "text/event-stream, application/json"] {
            assert_eq!(form(Some(accept), "/"), Ok(Form::Stream), "{accept}");
        }
        assert_eq!(form(None, "/"), Ok(Form::Stream));
        let rather = Some("text/event-stream;q=0.1, application/json");
        assert_eq!(form(rather, "/"), poll(25));
    }

    #[test]
    fn garbage_is_named_with_what_would_work() {
        let long = format!("/?topic={}", "x".repeat(129));
        let many = format!("/?user={}", vec!["u"; 65].join(","));
        for (uri, name) in [
            ("/?type=", "type"),
            ("/?type=a,,b", "type"),
            ("/?type=%0a", "type"),
            ("/?user=%ff", "user"),
            ("/?recent=-1", "recent"),
            ("/?recent=", "recent"),
            ("/?recent=ten", "recent"),
            (&*long, "topic"),
            (&*many, "user"),
        ] {
            assert_eq!(parameter(read(uri, None)), name, "{uri}");
        }
    }

    #[test]
    fn ten_thousand_garbled_requests_are_read_or_refused() {
        let pieces = [
            "type",
            "user",
            "topic",
            "recent",
            "last_event_id",
            "x",
            "=",
            "=",
            "&",
            ",",
            "%",
            "%0a",
            "%ff",
            "%2C",
            "1",
            "a",
            "a.1",
            "0",
            ".",
            "+",
            "-",
            ";",
            "%00",
            "99999999999999999999",
        ];
        let (mut refused, mut unreadable, mut read_well) = (0, 0, 0);
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let query = prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..12);
        let bytes = [
            "a", "f0", ".", "1", "99", " ", "-", ":", "\u{e9}", "\u{7e}", "0",
        ];
        let header = prop::collection::vec(prop::sample::select(bytes.to_vec()), 0..6);
        for _ in 0..10_000 {
            let query = query.new_tree(&mut runner).unwrap().current().concat();
            let header = header.new_tree(&mut runner).unwrap().current().concat();
            match read(&format!("/?{query}"), Some(header.as_bytes())) {
                Err(_) => refused += 1,
                Ok(asked) if asked.start == Start::Unreadable => unreadable += 1,
                Ok(_) => read_well += 1,
            }
        }
        assert!(refused > 100 && unreadable > 100 && read_well > 0);
    }
}
