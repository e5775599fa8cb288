//! Response fields: `RateLimit-Policy`, `RateLimit`, and the older `X-RateLimit-*`.
//!
//! The values are written by hand into buffers on the stack, so that each costs one allocation, that
//! of the value itself. See draft-ietf-httpapi-ratelimit-headers.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::decision::{Outcome, Verdict};
use super::digest::Partition;
use super::quota::Quota;

/// When clients are told about their quotas.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Headers {
    /// On every response: the default.
    #[default]
    Always,
    /// On refusals, and where any window has at most this many per cent left.
    NearLimit(u8),
    /// On refusals.
    RejectedOnly,
    /// Never. A refusal still has its `Retry-After`.
    Off,
}

impl Headers {
    /// Whether a response to a request with these verdicts has the fields.
    pub(super) fn apply<'v>(
        self,
        allowed: bool,
        mut verdicts: impl Iterator<Item = &'v Verdict>,
    ) -> bool {
        match self {
            Self::Always => true,
            Self::NearLimit(percent) => {
                !allowed
                    || verdicts.any(|verdict| {
                        let left = u128::from(verdict.remaining()) * 100;
                        left <= u128::from(verdict.limit()) * u128::from(percent)
                    })
            }
            Self::RejectedOnly => !allowed,
            Self::Off => false,
        }
    }
}

/// The values of one response's fields.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) policy: Option<HeaderValue>,
    pub(super) limit: Option<HeaderValue>,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`, where a host asked for them.
    pub(super) legacy: Option<Box<[HeaderValue; 3]>>,
}

impl Fields {
    /// Adds the fields, once: a list continues the one that an inner layer or the handler sent, and an
    /// older field that is there stays.
    pub(super) fn write(&mut self, headers: &mut HeaderMap) {
        if let Some(policy) = self.policy.take() {
            headers.append(RATE_LIMIT_POLICY, policy);
        }
        if let Some(limit) = self.limit.take() {
            headers.append(RATE_LIMIT, limit);
        }
        if let Some(legacy) = self.legacy.take() {
            for (name, value) in LEGACY.into_iter().zip(*legacy) {
                headers.entry(name).or_insert(value);
            }
        }
    }
}

/// What the `RateLimit-Policy` list tells of a window.
pub(super) struct Announced<'w> {
    pub(super) name: &'w str,
    pub(super) quota: Quota,
    /// What a cell is, where that is no request.
    pub(super) unit: Option<&'w str>,
    /// Which bucket it is, where that is told.
    pub(super) partition: Option<Partition>,
}

/// The `RateLimit-Policy` list of some windows.
pub(super) fn policy<'w>(windows: impl Iterator<Item = Announced<'w>>) -> Option<HeaderValue> {
    let mut list = List::default();
    for window in windows {
        list.item(window.name);
        list.param(";q=", window.quota.cells());
        list.param(";w=", window.quota.window_seconds());
        if let Some(unit) = window.unit {
            list.text(";qu=", unit);
        }
        list.partition(window.partition);
    }
    list.value()
}

/// The `RateLimit` list of the windows `(name, verdict, partition)`.
pub(super) fn limit<'w>(
    windows: impl Iterator<Item = (&'w str, &'w Verdict, Option<Partition>)>,
) -> Option<HeaderValue> {
    let mut list = List::default();
    for (name, verdict, partition) in windows {
        list.item(name);
        list.param(";r=", verdict.remaining());
        let until = match verdict.outcome() {
            Outcome::Refused(wait) | Outcome::Unavailable(wait) => wait,
            _ => verdict.next(),
        };
        if !until.is_zero() {
            list.param(";t=", seconds(until));
        }
        list.partition(partition);
    }
    list.value()
}

/// The older fields, of the window that has the smallest part of its cells left. The reset is the
/// number of seconds until that window is full.
pub(super) fn legacy<'v>(
    verdicts: impl Iterator<Item = &'v Verdict>,
) -> Option<Box<[HeaderValue; 3]>> {
    let part = |verdict: &&Verdict| {
        (u128::from(verdict.remaining()) << 64) / u128::from(verdict.limit().max(1))
    };
    let verdict = verdicts.min_by_key(part)?;
    let values = [
        verdict.limit(),
        verdict.remaining(),
        seconds(verdict.full()),
    ];
    Some(Box::new(values.map(number)))
}

/// An integer as a value of its own; `HeaderValue::from` would allocate twice.
pub(super) fn number(value: u64) -> HeaderValue {
    let mut list = List::default();
    list.number(value);
    list.value().unwrap_or_else(|| value.into())
}

/// A duration in whole seconds, rounded up: whoever waits that long has waited enough.
pub(super) fn seconds(duration: Duration) -> u64 {
    let whole = duration.as_secs();
    if duration.subsec_nanos() > 0 {
        whole.saturating_add(1)
    } else {
        whole
    }
}

/// A structured field (RFC 9651): a list of strings with integer parameters.
#[derive(Default)]
struct List(SmallVec<[u8; 256]>);

impl List {
    /// Starts an item.
    fn item(&mut self, name: &str) {
        let separator = if self.0.is_empty() { "" } else { ", " };
        self.text(separator, name);
    }

    /// A string. It holds nothing that would have to be escaped.
    fn text(&mut self, before: &str, text: &str) {
        self.0.extend_from_slice(before.as_bytes());
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
    }

    /// A byte sequence, if there is one.
    fn partition(&mut self, partition: Option<Partition>) {
        if let Some(bytes) = partition {
            let mut text = [0; 12];
            // Nine bytes are exactly twelve characters, without padding.
            if STANDARD.encode_slice(bytes, &mut text).is_ok() {
                self.0.extend_from_slice(b";pk=:");
                self.0.extend_from_slice(&text);
                self.0.push(b':');
            }
        }
    }

    fn param(&mut self, name: &str, value: u64) {
        self.0.extend_from_slice(name.as_bytes());
        self.number(value);
    }

    fn number(&mut self, value: u64) {
        let mut value = value.min(MAX_INTEGER);
        let mut digits = [0; 15];
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.0.extend_from_slice(&digits[start..]);
    }

    /// The value; none if the list is empty, which a structured field does not send.
    fn value(&self) -> Option<HeaderValue> {
        if self.0.is_empty() {
            return None;
        }
        HeaderValue::from_bytes(&self.0).ok()
    }
}

/// The largest integer of a structured field: 15 digits.
const MAX_INTEGER: u64 = 999_999_999_999_999;

const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const LEGACY: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: Option<HeaderValue>) -> String {
        value.unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn the_lists_are_those_of_the_draft() {
        let window = |name, quota, unit| Announced {
            name,
            quota,
            unit,
            partition: None,
        };
        let windows = [
            window("burst", Quota::per_minute(100), None),
            window("daily", Quota::per_day(1000), Some("content-bytes")),
        ];
        assert_eq!(
            text(policy(windows.into_iter())),
            r#""burst";q=100;w=60, "daily";q=1000;w=86400;qu="content-bytes""#
        );
        let half = Duration::from_millis(500);
        let burst = Verdict::passed(100, 73).resets(half, half);
        let daily = Verdict::refused(1000, 0, Duration::from_millis(86_001));
        let full = Verdict::passed(9, 9);
        let partition = Some(*b"nine byte");
        let verdicts = [
            ("burst", &burst, None),
            ("daily", &daily, partition),
            ("full", &full, None),
        ];
        assert_eq!(
            text(limit(verdicts.into_iter())),
            r#""burst";r=73;t=1, "daily";r=0;t=87;pk=:bmluZSBieXRl:, "full";r=9"#
        );
    }

    #[test]
    fn an_empty_list_is_not_sent_and_integers_have_15_digits_at_most() {
        assert_eq!(policy([].into_iter()), None);
        let much = Verdict::passed(u64::MAX, u64::MAX);
        assert_eq!(
            text(limit([("a", &much, None)].into_iter())),
            r#""a";r=999999999999999"#
        );
    }

    #[test]
    fn waits_round_up() {
        for (millis, expected) in [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2)] {
            assert_eq!(seconds(Duration::from_millis(millis)), expected);
        }
        assert_eq!(seconds(Duration::MAX), u64::MAX);
    }

    #[test]
    fn near_the_limit_is_a_share_of_any_window() {
        let (many, few) = (Verdict::passed(100, 50), Verdict::passed(10, 1));
        let near = Headers::NearLimit(10);
        assert!(near.apply(true, [many, few].iter()));
        assert!(!near.apply(true, [many].iter()));
        assert!(near.apply(false, [many].iter()));
        assert!(!Headers::RejectedOnly.apply(true, [few].iter()));
        assert!(!Headers::Off.apply(false, [few].iter()));
    }

    #[test]
    fn the_older_fields_tell_of_the_window_that_is_closest_to_its_limit() {
        let wait = Duration::from_millis(2500);
        let (many, few) = (
            Verdict::passed(9, 5),
            Verdict::passed(100, 50).resets(wait, wait),
        );
        let values = legacy([many, few].iter()).unwrap();
        assert_eq!(values.map(|value| text(Some(value))), ["100", "50", "3"]);
    }
}
