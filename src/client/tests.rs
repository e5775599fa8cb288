//! The walk as a host sees it: through `identify`, against every way to lie to it.

use std::net::IpAddr;

use http::Request;
use http::header::HeaderName;

use super::*;

mod random;
mod setup;

const PROXY: &str = "10.0.0.1";
const STRANGER: &str = "203.0.113.1";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn proxies() -> TrustedProxies {
    TrustedProxies::cidrs(["10.0.0.0/8", "fd00::/8"]).unwrap()
}

fn x_forwarded() -> ClientSource {
    ClientSource::peer().behind(proxies())
}

fn rfc7239() -> ClientSource {
    ClientSource::peer().behind(proxies().forwarded())
}

fn cloudflare() -> ClientSource {
    let proxies = proxies().single_header("CF-Connecting-IP").unwrap();
    ClientSource::peer().behind(proxies)
}

fn request(peer: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::new(());
    let peer = PeerAddr::new((ip(peer), 4711).into());
    request.extensions_mut().insert(peer);
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    request
}

#[track_caller]
fn seen(source: &ClientSource, peer: &str, headers: &[(&str, &str)]) -> (String, Scheme) {
    let client = source.identify(&request(peer, headers));
    (client.ip().unwrap().to_string(), client.scheme())
}

#[track_caller]
fn assert_chain(chain: &str, expected: &str) {
    let headers = [("x-forwarded-for", chain)];
    let (found, _) = seen(&x_forwarded(), PROXY, &headers);
    assert_eq!(found, expected, "{chain}");
}

#[track_caller]
fn assert_element(value: &str, expected: &str, scheme: Scheme) {
    let found = seen(&rfc7239(), PROXY, &[("forwarded", value)]);
    assert_eq!(found, (expected.to_owned(), scheme), "{value}");
}

#[test]
fn an_untrusted_peer_is_the_client_whatever_it_says() {
    let lies = [
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=1.1.1.1;proto=https"),
        ("cf-connecting-ip", "1.1.1.1"),
    ];
    for source in [ClientSource::peer(), x_forwarded(), rfc7239(), cloudflare()] {
        let expected = (STRANGER.to_owned(), Scheme::Http);
        assert_eq!(seen(&source, STRANGER, &lies), expected);
    }
}

#[test]
fn the_walk_stops_at_the_first_untrusted_hop_from_the_right() {
    assert_chain("1.1.1.1, 198.51.100.7, 10.0.0.9", "198.51.100.7");
    assert_chain("198.51.100.7", "198.51.100.7");
    assert_chain("1.1.1.1,198.51.100.7,fd00::1, 10.0.0.9", "198.51.100.7");
    assert_chain("10.0.0.7, 198.51.100.7", "198.51.100.7");
}

#[test]
fn a_chain_of_trusted_hops_ends_at_the_last_one_reached() {
    assert_chain("10.0.0.7, 10.0.0.8, 10.0.0.9", "10.0.0.7");
    assert_eq!(seen(&x_forwarded(), PROXY, &[]).0, PROXY);
}

#[test]
fn several_lines_are_one_list_in_their_order() {
    let lines = [
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "198.51.100.7, 10.0.0.8"),
        ("x-forwarded-for", "10.0.0.9"),
    ];
    assert_eq!(seen(&x_forwarded(), PROXY, &lines).0, "198.51.100.7");
    let lines = [
        ("forwarded", "for=1.1.1.1"),
        ("forwarded", "for=198.51.100.7, for=10.0.0.8"),
        ("forwarded", "for=10.0.0.9"),
    ];
    assert_eq!(seen(&rfc7239(), PROXY, &lines).0, "198.51.100.7");
}

#[test]
fn what_cannot_be_read_stops_the_walk_at_the_last_good_address() {
    for garbage in [
        "garbage",
        "unknown",
        "_hidden",
        "",
        "  ",
        "1.2.3.4.5",
        "1.2.3.4;",
    ] {
        assert_chain(&format!("1.1.1.1, {garbage}"), PROXY);
        assert_chain(&format!("1.1.1.1, {garbage}, 10.0.0.9"), "10.0.0.9");
        assert_chain(
            &format!("{garbage}, 198.51.100.7, 10.0.0.9"),
            "198.51.100.7",
        );
    }
}

#[test]
fn ports_brackets_and_quotes_are_read_in_a_chain() {
    assert_chain("198.51.100.7:443, 10.0.0.9:80", "198.51.100.7");
    assert_chain("[2001:db8::1]:80, [fd00::1]", "2001:db8::1");
    assert_chain(r#""198.51.100.7", "10.0.0.9""#, "198.51.100.7");
}

#[test]
fn mapped_addresses_are_the_ipv4_addresses_they_are() {
    assert_chain("1.1.1.1, 198.51.100.7, ::ffff:10.0.0.9", "198.51.100.7");
    assert_chain("::ffff:198.51.100.7", "198.51.100.7");
    let chain = [("x-forwarded-for", "198.51.100.7")];
    assert_eq!(
        seen(&x_forwarded(), "::ffff:10.0.0.1", &chain).0,
        "198.51.100.7"
    );
    assert_eq!(seen(&x_forwarded(), "::ffff:1.2.3.4", &chain).0, "1.2.3.4");
}

#[test]
fn at_most_sixteen_hops_are_followed() {
    let hops = |n: usize| format!("198.51.100.7{}", ", 10.0.0.9".repeat(n));
    assert_chain(&hops(15), "198.51.100.7");
    assert_chain(&hops(16), "10.0.0.9");
    assert_chain(&hops(5000), "10.0.0.9");
    assert_element(
        &format!("for=198.51.100.7{}", ",for=10.0.0.9".repeat(16)),
        "10.0.0.9",
        Scheme::Http,
    );
}

#[test]
fn an_entry_that_is_too_long_stops_the_walk() {
    let padded = |blanks: usize| format!("1.1.1.1,{}198.51.100.7,10.0.0.9", " ".repeat(blanks));
    assert_chain(&padded(500), "198.51.100.7");
    assert_chain(&padded(501), "10.0.0.9");
    assert_chain(&format!("{},10.0.0.9", "1".repeat(60_000)), "10.0.0.9");
    let long = format!("for=198.51.100.7;host=\"{}\"", "a".repeat(490));
    assert_element(&long, PROXY, Scheme::Http);
    let long = " ".repeat(600) + "198.51.100.7";
    assert_eq!(
        seen(&cloudflare(), PROXY, &[("cf-connecting-ip", &long)]).0,
        PROXY
    );
}

#[test]
fn elements_of_forwarded_are_read_in_all_their_forms() {
    use Scheme::{Http, Https};
    for (value, expected, scheme) in [
        ("for=198.51.100.7", "198.51.100.7", Http),
        (
            "For=198.51.100.7;PROTO=HTTPS;by=10.0.0.1",
            "198.51.100.7",
            Https,
        ),
        (
            r#"for="[2001:db8:cafe::17]:4711""#,
            "2001:db8:cafe::17",
            Http,
        ),
        (
            r#"for="198.51.100.7:80"; proto="https""#,
            "198.51.100.7",
            Https,
        ),
        (
            r#"host="a,b;for=1.1.1.1";for=198.51.100.7"#,
            "198.51.100.7",
            Http,
        ),
        (
            "for=1.1.1.1, for=198.51.100.7;;, for=10.0.0.9",
            "198.51.100.7",
            Http,
        ),
        (
            "for=198.51.100.7;proto=https, for=10.0.0.9;proto=http",
            "198.51.100.7",
            Https,
        ),
        (
            "for=198.51.100.7, for=10.0.0.9;proto=https",
            "198.51.100.7",
            Https,
        ),
        ("proto=https, for=198.51.100.7", "198.51.100.7", Http),
        // the address is hidden, the scheme is not
        ("for=unknown;proto=https", PROXY, Https),
        ("for=_hidden", PROXY, Http),
        ("proto=https", PROXY, Https),
    ] {
        assert_element(value, expected, scheme);
    }
}

#[test]
fn malformed_elements_of_forwarded_vouch_for_nobody() {
    for value in [
        "",
        "198.51.100.7",
        "for",
        "for=",
        "for =1.1.1.1",
        "for=1.1.1.1;for=2.2.2.2",
        "for=1.1.1.1;proto=http;proto=https",
        "for=\"1.1.1.1",
        "for=1.1.1.1\"",
        "for=1\".\"1.1.1",
        "for=1.1.1.1;host=\"\\\"\"",
        "for=1.1.1.1;host=\"a\\b\"",
        "for=1.1.1.1;oops",
        "for=1.1.1.1;\"x=y",
    ] {
        assert_element(value, PROXY, Scheme::Http);
        assert_element(&format!("{value}, for=10.0.0.9"), "10.0.0.9", Scheme::Http);
    }
}

#[test]
fn a_client_cannot_swallow_the_proxys_element_with_quotes() {
    for prefix in [
        "for=\"",
        "for=\"1.1.1.1, for=2.2.2.2",
        "\"\\",
        ",,,\"",
        "a=\"b\\\"",
    ] {
        let value = format!("{prefix}, for=198.51.100.7;proto=https");
        assert_element(&value, "198.51.100.7", Scheme::Https);
    }
    // A proxy that escapes a hostile Host into its element is not split at the client's commas.
    assert_element(
        r#"for=198.51.100.7;host="a\", for=1.1.1.1, for=\"x""#,
        PROXY,
        Scheme::Http,
    );
    assert_element(
        r#"for=198.51.100.7;host="a\", for=1.1.1.1;host=\"x""#,
        PROXY,
        Scheme::Http,
    );
}

#[test]
fn only_the_configured_header_is_read() {
    let all = [
        ("x-forwarded-for", "198.51.100.1"),
        ("forwarded", "for=198.51.100.2;proto=https"),
        ("cf-connecting-ip", "198.51.100.3"),
    ];
    assert_eq!(
        seen(&x_forwarded(), PROXY, &all),
        ("198.51.100.1".into(), Scheme::Http)
    );
    assert_eq!(
        seen(&rfc7239(), PROXY, &all),
        ("198.51.100.2".into(), Scheme::Https)
    );
    assert_eq!(
        seen(&cloudflare(), PROXY, &all),
        ("198.51.100.3".into(), Scheme::Http)
    );
    let foreign = [("x-forwarded-proto", "https")];
    assert_eq!(seen(&rfc7239(), PROXY, &foreign).1, Scheme::Http);
}

#[test]
fn a_single_header_is_one_address_or_nothing() {
    let one = |value| seen(&cloudflare(), PROXY, &[("cf-connecting-ip", value)]).0;
    assert_eq!(one("198.51.100.7"), "198.51.100.7");
    assert_eq!(one("2001:db8::1"), "2001:db8::1");
    assert_eq!(one("10.0.0.9"), "10.0.0.9");
    for refused in ["1.1.1.1, 198.51.100.7", "unknown", "", "x"] {
        assert_eq!(one(refused), PROXY, "{refused}");
    }
    let twice = [
        ("cf-connecting-ip", "198.51.100.7"),
        ("cf-connecting-ip", "198.51.100.7"),
    ];
    assert_eq!(seen(&cloudflare(), PROXY, &twice).0, PROXY);
    let https = [
        ("cf-connecting-ip", "198.51.100.7"),
        ("x-forwarded-proto", "https"),
    ];
    assert_eq!(seen(&cloudflare(), PROXY, &https).1, Scheme::Https);
}

#[test]
fn the_scheme_is_that_of_the_clients_own_hop() {
    use Scheme::{Http, Https};
    for (chain, protos, expected) in [
        // one value, in any case, with the forms that proxies are known to send
        ("198.51.100.7", "https", Https),
        ("198.51.100.7", "HTTPS", Https),
        ("198.51.100.7", " \"https\" ", Https),
        ("198.51.100.7", "wss", Https),
        ("198.51.100.7", "http", Http),
        ("198.51.100.7", "gopher", Http),
        ("198.51.100.7", "", Http),
        // as many values as hops: the client's own
        ("198.51.100.7, 10.0.0.9", "https, http", Https),
        ("198.51.100.7, 10.0.0.9", "http,https", Http),
        // some hop replaced the list: the outermost that is known
        ("198.51.100.7, 10.0.0.9, 10.0.0.8", "https,http", Https),
        // a client wrote the rest of it
        ("198.51.100.7", "https, http", Http),
        ("1.1.1.1, 198.51.100.7", "https, http", Http),
        ("198.51.100.7, 10.0.0.9", "https, http, http", Http),
        // an address that cannot be read does not move the scheme further left
        ("198.51.100.7, unknown", "https, http", Http),
        ("198.51.100.7, unknown", "http, https", Https),
    ] {
        let headers = [("x-forwarded-for", chain), ("x-forwarded-proto", protos)];
        assert_eq!(
            seen(&x_forwarded(), PROXY, &headers).1,
            expected,
            "{chain} {protos}"
        );
    }
    let alone = [("x-forwarded-proto", "HTTPS, http")];
    assert_eq!(seen(&x_forwarded(), PROXY, &alone), (PROXY.into(), Https));
    let lines = [
        ("x-forwarded-for", "198.51.100.7, 10.0.0.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-proto", "http"),
    ];
    assert_eq!(seen(&x_forwarded(), PROXY, &lines).1, Https);
}

#[test]
fn a_tls_listener_says_https_until_a_trusted_proxy_says_otherwise() {
    let source = x_forwarded().over_tls();
    let http = [("x-forwarded-proto", "http")];
    assert_eq!(seen(&source, STRANGER, &http).1, Scheme::Https);
    assert_eq!(seen(&source, PROXY, &[]).1, Scheme::Https);
    assert_eq!(seen(&source, PROXY, &http).1, Scheme::Http);
    let no_peer = source.identify(&Request::new(()));
    assert_eq!((no_peer.ip(), no_peer.scheme()), (None, Scheme::Https));
}
