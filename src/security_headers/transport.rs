//! How a request came in, as far as headers depend on it.

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request};

use crate::client::{ClientSource, Scheme};

/// Which of the prepared variants a response gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Transport {
    Http,
    /// To a host that has a name, as far as is known: a proxy may tell us another than it was told.
    Https,
    /// To an address, or to this machine. Browsers heed no `Strict-Transport-Security` of the former
    /// ([RFC 6797, 8.1.1]); of the latter they do, which would take plain http from everything else
    /// that is developed there.
    ///
    /// [RFC 6797, 8.1.1]: https://www.rfc-editor.org/rfc/rfc6797#section-8.1.1
    HttpsUnnamed,
}

impl Transport {
    pub(super) fn of<B>(request: &Request<B>, client: &ClientSource) -> Self {
        match client.scheme(request) {
            Scheme::Http => Self::Http,
            Scheme::Https if client.is_direct() => Self::direct(request),
            Scheme::Https => Self::Https,
        }
    }

    fn direct<B>(request: &Request<B>) -> Self {
        let authority = request
            .uri()
            .authority()
            .map(|name| name.as_str().as_bytes());
        match authority.or_else(|| host(request.headers())) {
            Some(authority) if !has_name(authority) => Self::HttpsUnnamed,
            _ => Self::Https,
        }
    }
}

/// The header `Host`: as a rule the first of a request ([RFC 9110, 7.2]), where no look-up is needed.
///
/// [RFC 9110, 7.2]: https://www.rfc-editor.org/rfc/rfc9110#section-7.2
fn host(headers: &HeaderMap) -> Option<&[u8]> {
    let host = match headers.iter().next() {
        Some((name, host)) if *name == HOST => Some(host),
        _ => headers.get(HOST),
    };
    host.map(HeaderValue::as_bytes)
}

/// Whether an authority, `host[:port]`, names its host.
fn has_name(authority: &[u8]) -> bool {
    // As most names end: with a letter, and not the last one of `localhost`.
    let last = authority.last().map_or(b']', u8::to_ascii_lowercase);
    if last.is_ascii_alphabetic() && last != b't' {
        return true;
    }
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let colon = authority.iter().rposition(|byte| !is_digit(byte));
    let host = match colon {
        Some(colon) if authority[colon] == b':' => &authority[..colon],
        _ => authority,
    };
    let host = host.strip_suffix(b".").unwrap_or(host);
    let last = host.rsplit(|byte| *byte == b'.').next().unwrap_or(host);
    // The last label tells: that of an IPv4 address is a number, and so it is of no name; an IPv6
    // address stands in brackets.
    !(last.ends_with(b"]") || last.iter().all(is_digit) || last.eq_ignore_ascii_case(b"localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::TrustedProxies;

    #[test]
    fn addresses_and_this_machine_are_no_names() {
        for authority in [
            "127.0.0.1",
            "127.0.0.1:3000",
            "192.0.2.1.",
            "[::1]",
            "[2001:db8::1]:8443",
            "localhost",
            "LocalHost:3000",
            "localhost.",
            "app.localhost:443",
            "",
            ":443",
        ] {
            assert!(!has_name(authority.as_bytes()), "{authority}");
        }
        for authority in [
            "a.example",
            "a.example:8443",
            "a.example.:443",
            "localhost.example",
            "intranet",
            "10.0.0.1.example",
            "a.test",
            "localhos",
            "xn--bcher-kva.example",
            "a1",
        ] {
            assert!(has_name(authority.as_bytes()), "{authority}");
        }
    }

    #[test]
    fn the_authority_of_the_request_tells_before_its_header() {
        let of = |uri: &str, host: Option<&str>, client: &ClientSource| {
            let [first, later] = [true, false].map(|first| {
                let mut request = Request::builder().uri(uri);
                if !first {
                    request = request.header("accept", "text/html");
                }
                if let Some(host) = host {
                    request = request.header(HOST, host);
                }
                Transport::of(&request.body(()).unwrap(), client)
            });
            assert_eq!(first, later);
            first
        };
        let https = &ClientSource::peer().over_tls();
        assert_eq!(of("/", Some("127.0.0.1"), https), Transport::HttpsUnnamed);
        assert_eq!(of("/", Some("a.example"), https), Transport::Https);
        assert_eq!(of("/", None, https), Transport::Https);
        let uri = "https://a.example:8443/";
        assert_eq!(of(uri, Some("127.0.0.1"), https), Transport::Https);
        let uri = "https://[::1]:8443/";
        assert_eq!(of(uri, Some("a.example"), https), Transport::HttpsUnnamed);
        assert_eq!(of(uri, None, &ClientSource::peer()), Transport::Http);
        // What a proxy calls us says nothing of what the browser does.
        let behind = https
            .clone()
            .behind(TrustedProxies::cidrs(["10.0.0.0/8"]).unwrap());
        assert_eq!(of("/", Some("127.0.0.1"), &behind), Transport::Https);
    }
}
