//! Whose pages may open a socket here. Pure.
//!
//! A browser lets any page open a WebSocket to any site, with that site's cookies, and leaves it to
//! the server to look at `Origin` ([RFC 6455, 10.2]). Without that look every page on the web could
//! read a visitor's private events.
//!
//! [RFC 6455, 10.2]: https://www.rfc-editor.org/rfc/rfc6455#section-10.2

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Uri};

use super::handshake::only;
use crate::client::Scheme;

/// A scheme, a host and a port that is not the scheme's own, in lower case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Origin(Box<str>);

impl Origin {
    /// Reads an origin: `scheme://host` or `scheme://host:port`, and nothing after it. `null`, which
    /// pages without an origin of their own send, is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let letter = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
        let known = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        if !letter || !scheme.chars().all(known) {
            return None;
        }
        Self::new(&scheme.to_ascii_lowercase(), authority)
    }

    /// The origin of pages that were loaded over `scheme` from what `Host` names.
    fn of_host(scheme: Scheme, host: &str) -> Option<Self> {
        let scheme = match scheme {
            Scheme::Https => "https",
            Scheme::Http => "http",
        };
        Self::new(scheme, host)
    }

    fn new(scheme: &str, authority: &str) -> Option<Self> {
        let authority = authority.to_ascii_lowercase();
        // The colons of an IPv6 address stand within brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (&*authority, None),
        };
        let bare = host.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
        let known = |c: char| c.is_ascii_alphanumeric() || "-._~%".contains(c);
        let is_host = match bare {
            Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(known),
        };
        let port = match port {
            None => None,
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse::<u16>().ok(),
            Some(_) => return None,
        };
        if !is_host || (authority.len() > host.len() && port.is_none()) {
            return None;
        }
        let origin = match (scheme, port) {
            (_, None) | ("http", Some(80)) | ("https", Some(443)) => format!("{scheme}://{host}"),
            (_, Some(port)) => format!("{scheme}://{host}:{port}"),
        };
        Some(Self(origin.into()))
    }
}

/// Whether a handshake comes from a page of this site, from an allowed one, or from no page at all.
///
/// A browser always sends `Origin` with a handshake, so one without it does not come from a page.
pub(super) fn is_welcome(
    headers: &HeaderMap,
    uri: &Uri,
    scheme: Scheme,
    allowed: &[Origin],
) -> bool {
    if !headers.contains_key(ORIGIN) {
        return true;
    }
    let Some(origin) = only(headers, &ORIGIN).and_then(Origin::parse) else {
        return false;
    };
    // The authority of an absolute target counts, not `Host` (RFC 9112, 3.2.2).
    let host = uri.authority().map(http::uri::Authority::as_str);
    let own = host
        .or_else(|| only(headers, &HOST))
        .and_then(|host| Origin::of_host(scheme, host));
    own.as_ref() == Some(&origin) || allowed.contains(&origin)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = list.iter().map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, value.parse::<http::HeaderValue>().unwrap())
        });
        let mut map = HeaderMap::new();
        pairs.for_each(|(name, value)| {
            map.append(name, value);
        });
        map
    }

    fn welcome(origin: &str, host: &str, scheme: Scheme) -> bool {
        let allowed = [Origin::parse("https://app.example").unwrap()];
        let headers = headers(&[("origin", origin), ("host", host)]);
        is_welcome(&headers, &Uri::from_static("/"), scheme, &allowed)
    }

    #[test]
    fn scheme_host_and_port_must_be_those_of_the_service() {
        use Scheme::{Http, Https};
        for (origin, host, scheme) in [
            ("http://a.example", "a.example", Http),
            ("http://a.example:80", "a.example", Http),
            ("http://a.example", "A.example:80", Http),
            ("https://a.example", "a.example:443", Https),
            ("https://a.example:8443", "a.example:8443", Https),
            ("http://[::1]:3000", "[::1]:3000", Http),
            ("http://[::1]", "[::1]", Http),
            ("http://127.0.0.1:3000", "127.0.0.1:3000", Http),
            ("https://app.example", "a.example", Http),
            ("HTTPS://App.Example:443", "a.example", Http),
        ] {
            assert!(welcome(origin, host, scheme), "{origin} at {host}");
        }
        for (origin, host, scheme) in [
            ("http://evil.example", "a.example", Http),
            ("https://a.example", "a.example", Http),
            ("http://a.example", "a.example", Https),
            ("http://a.example:8080", "a.example", Http),
            ("http://a.example", "a.example:8080", Http),
            ("http://a.example.evil.example", "a.example", Http),
            ("http://xa.example", "a.example", Http),
            ("http://a.example", "sub.a.example", Http),
            ("http://app.example", "a.example", Http),
            ("null", "null", Http),
            ("null", "a.example", Http),
            ("", "a.example", Http),
            ("http://", "", Http),
            ("http://a.example/", "a.example", Http),
            ("http://u@a.example", "u@a.example", Http),
            ("http://a.example:", "a.example:", Http),
            ("http://a.example:+80", "a.example", Http),
            ("http://a.example:99999", "a.example:99999", Http),
            ("http://a.example\\", "a.example\\", Http),
            ("file://", "a.example", Http),
        ] {
            assert!(!welcome(origin, host, scheme), "{origin} at {host}");
        }
    }

    #[test]
    fn who_sends_no_origin_is_no_page_and_who_sends_two_is_refused() {
        let root = Uri::from_static("/");
        let host = ("host", "a.example");
        let own = ("origin", "http://a.example");
        let welcome = |list: &[_], uri: &Uri| is_welcome(&headers(list), uri, Scheme::Http, &[]);
        assert!(welcome(&[host], &root));
        assert!(welcome(&[host, own], &root));
        assert!(!welcome(&[host, own, own], &root));
        assert!(!welcome(
            &[host, ("origin", "http://a.example, http://a.example")],
            &root
        ));
        assert!(
            !welcome(&[own], &root),
            "without a host nothing is the same"
        );
        assert!(!welcome(&[host, host, own], &root));
        let absolute = Uri::from_static("http://b.example/");
        assert!(!welcome(&[host, own], &absolute));
        assert!(welcome(&[host, ("origin", "http://b.example")], &absolute));
    }

    #[test]
    fn ten_thousand_garbled_origins_are_none_or_have_one_spelling() {
        let pieces = [
            "http",
            "https",
            "HTTP",
            "ws",
            "null",
            ":",
            "://",
            "/",
            "a",
            "A.example",
            ".",
            "[",
            "]",
            "::1",
            "80",
            "443",
            "65536",
            "@",
            "?",
            "#",
            "%",
            " ",
            "\u{e9}",
            "-",
        ];
        let garbled = prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..7);
        let mut runner = TestRunner::deterministic();
        let mut parsed = 0;
        for _ in 0..10_000 {
            let text = garbled.new_tree(&mut runner).unwrap().current().concat();
            if let Some(origin) = Origin::parse(&text) {
                assert_eq!(Origin::parse(&origin.0).as_ref(), Some(&origin), "{text}");
                assert!(origin.0.len() <= text.len());
                parsed += 1;
            }
        }
        assert!(parsed > 30, "{parsed}");
    }
}
