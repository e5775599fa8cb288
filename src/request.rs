//! What every endpoint asks of a request: its query, the media type it prefers, its method.
#![allow(dead_code, reason = "each room can be built alone and uses its part")]

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, HeaderMap};
use http::{HeaderValue, Method, Response, StatusCode, Uri};

use crate::problem::Problem;

/// The decoded pairs of the query, in order. Malformed escapes decode to U+FFFD: nothing fails.
pub(crate) fn query(uri: &Uri) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
}

/// Which of `offers` the request prefers; `None` when it accepts none of them.
///
/// An absent `Accept` accepts the first. The more specific range wins for each offer, `q=0` refuses
/// it, and among equal weights the earlier offer is taken ([RFC 9110, 12.5.1]).
///
/// [RFC 9110, 12.5.1]: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1
pub(crate) fn preferred<const N: usize>(headers: &HeaderMap, offers: &[&str; N]) -> Option<usize> {
    let Some(first) = headers.get(ACCEPT).map(HeaderValue::as_bytes) else {
        return (N > 0).then_some(0);
    };
    if headers.len() > headers.keys_len() {
        // Some header comes in several lines; perhaps this one.
        heaviest(headers, offers)
    } else if first == b"*/*" {
        (N > 0).then_some(0)
    } else if let Some(index) = offers.iter().position(|offer| offer.as_bytes() == first) {
        Some(index)
    } else if is_one_type(first) {
        let is_it = |offer: &&str| first.eq_ignore_ascii_case(offer.as_bytes());
        offers.iter().position(is_it)
    } else {
        heaviest(headers, offers)
    }
}

/// Neither a list nor a wildcard, and without parameters: there is nothing to weigh. Most programs
/// send that, or `*/*`.
fn is_one_type(range: &[u8]) -> bool {
    !range
        .iter()
        .any(|byte| matches!(byte, b',' | b';' | b'*' | b' ' | b'\t'))
}

/// The same for whatever a client may send.
fn heaviest<const N: usize>(headers: &HeaderMap, offers: &[&str; N]) -> Option<usize> {
    // How specific the best range for each offer is, and what weight it gives.
    let mut found: [Option<(u8, u16)>; N] = [None; N];
    for range in headers
        .get_all(ACCEPT)
        .iter()
        .filter(|value| value.to_str().is_ok())
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .take(MAX_RANGES)
    {
        let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        for (offer, found) in offers.iter().zip(&mut found) {
            let specificity = specificity(name, offer.as_bytes());
            if specificity > found.map_or(0, |(known, _)| known) {
                *found = Some((specificity, weight(parts.clone())));
            }
        }
    }
    let mut best: Option<(u16, usize)> = None;
    for (index, found) in found.into_iter().enumerate() {
        let weight = found.map_or(0, |(_, weight)| weight);
        if weight > best.map_or(0, |(weight, _)| weight) {
            best = Some((weight, index));
        }
    }
    best.map(|(_, index)| index)
}

/// How closely a media range names `offer`; 0 when it does not.
fn specificity(range: &[u8], offer: &[u8]) -> u8 {
    let kind = |offer: &[u8]| offer.split(|byte| *byte == b'/').next().map(<[u8]>::len);
    match range {
        b"*/*" => 1,
        [range @ .., b'/', b'*'] if kind(offer) == Some(range.len()) => {
            2 * u8::from(range.eq_ignore_ascii_case(&offer[..range.len()]))
        }
        range => 3 * u8::from(range.eq_ignore_ascii_case(offer)),
    }
}

/// The weight, in thousandths, among the parameters of a media range.
fn weight<'a>(mut parameters: impl Iterator<Item = &'a [u8]>) -> u16 {
    parameters
        .find_map(|part| part.strip_prefix(b"q=").or(part.strip_prefix(b"Q=")))
        .and_then(|weight| std::str::from_utf8(weight).ok())
        .map_or(1000, thousandths)
}

/// `0.5` is 500. What is not a weight counts as full, so that a sloppy client is served.
fn thousandths(text: &str) -> u16 {
    match text.parse::<f32>() {
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0).round() as u16,
        _ => 1000,
    }
}

/// How an endpoint that offers GET alone answers a method.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Read {
    /// Answer with head and body.
    Get,
    /// Answer with the head that GET would have, and no body.
    Head,
    /// Say what is allowed: 204 to OPTIONS.
    Options,
    /// 405 with `Allow`.
    Refused,
}

impl Read {
    /// What to do with `method`.
    pub(crate) fn of(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::OPTIONS => Self::Options,
            _ => Self::Refused,
        }
    }
}

/// 405 with the methods that would have worked, e.g. `GET, HEAD`.
pub(crate) fn method_not_allowed(allow: &'static str) -> Response<Bytes> {
    let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED).into_response();
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// The answer to OPTIONS: 204 with the methods that work.
pub(crate) fn options(allow: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// Ranges of an `Accept` header that are looked at; browsers send fewer than ten.
const MAX_RANGES: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accept(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, value.parse().unwrap());
        headers
    }

    #[test]
    fn the_heavier_the_more_specific_and_the_earlier_win() {
        let offers = ["application/json", "text/plain"];
        for (value, expected) in [
            ("*/*", Some(0)),
            ("text/plain, text/*, */*", Some(0)),
            ("text/plain, */*;q=0.5", Some(1)),
            ("text/*;q=0.9, application/json;q=0.8", Some(1)),
            ("application/json;q=0, */*", Some(1)),
            ("image/png", None),
            ("APPLICATION/JSON", Some(0)),
            ("application/json;q=bogus", Some(0)),
            (";;;,,,", None),
        ] {
            assert_eq!(preferred(&accept(value), &offers), expected, "{value}");
        }
        assert_eq!(preferred(&HeaderMap::new(), &offers), Some(0));
    }

    #[test]
    fn lines_are_joined_and_only_so_many_ranges_are_read() {
        let offers = ["text/plain"];
        let mut lines = accept("image/png");
        lines.append(ACCEPT, "text/plain".parse().unwrap());
        assert_eq!(preferred(&lines, &offers), Some(0));
        let many = |n: usize| accept(&format!("{}text/plain", "a/b,".repeat(n)));
        assert_eq!(preferred(&many(MAX_RANGES - 1), &offers), Some(0));
        assert_eq!(preferred(&many(MAX_RANGES), &offers), None);
        assert_eq!(preferred(&HeaderMap::new(), &[]), None);
        assert_eq!(preferred(&accept("*/*"), &[]), None);
    }

    #[test]
    fn weights_that_are_none_count_as_full() {
        for (weight, expected) in [
            ("0", 0),
            ("0.001", 1),
            ("0.5", 500),
            ("1", 1000),
            ("1.000", 1000),
            ("", 1000),
            ("-1", 1000),
            ("2", 1000),
            ("NaN", 1000),
            ("inf", 1000),
            ("0,5", 1000),
        ] {
            assert_eq!(thousandths(weight), expected, "{weight}");
        }
    }

    const OFFERS: [&str; 3] = ["application/json", "text/plain", "text/html"];

    proptest! {
        #[test]
        fn what_is_preferred_weighs_the_most_and_stands_first(
            ranges in proptest::collection::vec((0..6_usize, 0..=1000_u16), 0..8),
        ) {
            const RANGES: [&str; 6] =
                ["application/json", "text/plain", "text/html", "text/*", "application/*", "*/*"];
            // For each range the first weight counts; for each offer, its most specific range.
            let weight = |range| ranges.iter().find(|known| known.0 == range).map(|known| known.1);
            let of = |offer: usize| {
                let wide = if offer == 0 { 4 } else { 3 };
                weight(offer).or(weight(wide)).or(weight(5)).unwrap_or(0)
            };
            let most = (0..3).map(of).max().unwrap_or(0);
            let expected = (0..3).find(|offer| most > 0 && of(*offer) == most);
            let list = ranges.iter().map(|(range, weight)| {
                format!("{};q={}.{:03}", RANGES[*range], weight / 1000, weight % 1000)
            });
            let list = list.collect::<Vec<_>>().join(", ");
            prop_assert_eq!(preferred(&accept(&list), &OFFERS), expected, "{}", list);
        }

        #[test]
        fn garbage_is_read_without_a_panic(bytes: Vec<u8>) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                headers.insert(ACCEPT, value);
            }
            prop_assert!(preferred(&headers, &OFFERS).is_none_or(|index| index < OFFERS.len()));
        }

        #[test]
        fn what_is_seen_at_a_glance_is_what_weighing_finds(
            range in prop_oneof![
                prop::sample::select(vec![
                    "*/*", "text/*", "text/plain", "TEXT/PLAIN", "text/html", "image/png", " text/plain", "text/plain\t", "*", "",
                ]).prop_map(str::to_owned),
                "[a-z/*,; =q.0-9]{0,12}",
            ],
        ) {
            let headers = accept(&range);
            prop_assert_eq!(preferred(&headers, &OFFERS), heaviest(&headers, &OFFERS), "{}", range);
        }
    }

    #[test]
    fn queries_decode_in_order_and_garbage_does_not_fail() {
        let uri: Uri = "/x?type=a%2Cb&type=c+d&%ff=%zz&=&k".parse().unwrap();
        let pairs: Vec<_> = query(&uri).collect();
        assert_eq!(pairs[0], ("type".into(), "a,b".into()));
        assert_eq!(pairs[1], ("type".into(), "c d".into()));
        assert_eq!(pairs[2], ("\u{fffd}".into(), "%zz".into()));
        assert_eq!(query(&Uri::from_static("/x")).count(), 0);
    }

    #[test]
    fn a_refused_method_is_told_which_ones_work() {
        assert_eq!(Read::of(&Method::POST), Read::Refused);
        let response = method_not_allowed("GET, HEAD");
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()[ALLOW], "GET, HEAD");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        let options = options("GET, HEAD");
        assert_eq!(
            (options.status(), options.body().len()),
            (StatusCode::NO_CONTENT, 0)
        );
        assert_eq!(options.headers()[ALLOW], "GET, HEAD");
        for (method, read) in [
            (Method::GET, Read::Get),
            (Method::HEAD, Read::Head),
            (Method::OPTIONS, Read::Options),
        ] {
            assert_eq!(Read::of(&method), read);
        }
    }
}
