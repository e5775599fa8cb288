//! What a host writes, what is refused, and what a source finds wrong with its deployment.

use std::io;
use std::sync::{Arc, Mutex};

use super::*;

#[test]
fn the_scheme_alone_needs_no_peer_unless_a_proxy_tells_it() {
    let nobody = Request::new(());
    let source = ClientSource::peer().over_tls();
    assert_eq!(source.scheme(&nobody), Scheme::Https);
    assert_eq!(source.findings(), [false, false, false]);

    let https = [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "198.51.100.7"),
    ];
    let source = x_forwarded();
    assert_eq!(source.scheme(&request(PROXY, &https)), Scheme::Https);
    assert_eq!(source.scheme(&request(STRANGER, &https)), Scheme::Http);
    assert_eq!(source.scheme(&nobody), Scheme::Http);
    assert_eq!(source.findings(), [true, true, false]);

    let forgotten = ClientSource::peer();
    assert_eq!(forgotten.scheme(&request(PROXY, &https)), Scheme::Http);
    assert_eq!(forgotten.findings(), [false, true, false]);
}

#[test]
fn networks_are_strings_addresses_or_anything_that_prints_as_one() {
    let mixed =
        TrustedProxies::cidrs(["10.0.0.0/8", " 192.0.2.17 ", "::ffff:172.16.0.0/108"]).unwrap();
    for inside in ["10.9.9.9", "192.0.2.17", "172.16.5.5", "::ffff:10.0.0.1"] {
        assert!(mixed.contains(ip(inside)), "{inside}");
    }
    for outside in ["11.0.0.0", "192.0.2.18", "172.32.0.0", "::1"] {
        assert!(!mixed.contains(ip(outside)), "{outside}");
    }
    let typed = TrustedProxies::cidrs([ip("fd00::1")]).unwrap();
    assert!(typed.contains(ip("fd00::1")));
    let typed = TrustedProxies::cidrs(["fd00::/8".parse::<ipnet::IpNet>().unwrap()]).unwrap();
    assert!(typed.contains(ip("fd12::1")));
    let nobody = TrustedProxies::cidrs::<[&str; 0]>([]).unwrap();
    assert!(!nobody.contains(ip("127.0.0.1")));
}

#[test]
fn what_is_no_network_or_no_header_is_refused_by_name() {
    for wrong in [
        "",
        "10.0.0.0/33",
        "10.0.0.0/80",
        "fd00::/129",
        "proxy.internal",
        "10.0.0.0/-1",
    ] {
        let error = TrustedProxies::cidrs([wrong]).unwrap_err();
        assert_eq!((error.field(), error.value()), ("trusted proxies", wrong));
    }
    for wrong in ["", "a b", "X-Forwarded-For", "Forwarded"] {
        let error = proxies().single_header(wrong).unwrap_err();
        assert_eq!((error.field(), error.value()), ("client header", wrong));
    }
}

#[test]
fn a_missing_peer_is_found_once_and_trusts_no_header() {
    let source = x_forwarded();
    let mut bare = request(PROXY, &[("x-forwarded-for", "1.1.1.1")]);
    bare.extensions_mut().clear();
    assert_eq!(source.findings(), [false, false, false]);
    assert_eq!(source.identify(&bare).ip(), None);
    assert_eq!(source.clone().findings(), [true, false, false]);
    let none = ClientSource::from_extension(|_: &PeerAddr| None);
    assert_eq!(none.identify(&request(PROXY, &[])).ip(), None);
    assert_eq!(none.findings(), [true, false, false]);
}

#[test]
fn forwarding_headers_from_a_stranger_are_found_and_from_a_proxy_are_not() {
    for source in [ClientSource::peer(), x_forwarded(), rfc7239()] {
        for header in [("x-forwarded-for", "x"), ("forwarded", "x")] {
            let source = source.clone().behind(proxies());
            seen(&source, STRANGER, &[("x-forwarded-proto", "https")]);
            seen(&source, PROXY, &[header]);
            assert_eq!(source.findings(), [false, false, false]);
            seen(&source, STRANGER, &[header]);
            assert_eq!(source.findings(), [false, true, false]);
        }
    }
}

#[test]
fn a_forgotten_proxy_is_found_after_any_number_of_probes_also_when_sources_take_turns() {
    let sources = [ClientSource::peer(), x_forwarded(), rfc7239(), cloudflare()];
    let probe = request(STRANGER, &[]);
    for source in sources.iter().cycle().take(20_000) {
        source.identify(&probe);
    }
    let forwarded = request(STRANGER, &[("x-forwarded-for", "198.51.100.7")]);
    for source in sources.iter().cycle().take(1000) {
        source.identify(&forwarded);
    }
    for source in &sources {
        assert_eq!(source.findings(), [false, true, false]);
    }
}

#[test]
fn trust_in_a_whole_address_family_is_found_when_the_source_is_built() {
    let trusting = |networks: &[&str]| {
        let source = ClientSource::peer().behind(TrustedProxies::cidrs(networks).unwrap());
        source.findings()
    };
    assert_eq!(trusting(&["0.0.0.0/0"]), [false, false, true]);
    assert_eq!(trusting(&["10.0.0.0/8", "::/0"]), [false, false, true]);
    assert_eq!(
        trusting(&["0.0.0.0/1", "128.0.0.0/1"]),
        [false, false, true]
    );
    assert_eq!(trusting(&["::ffff:0:0/96"]), [false, false, true]);
    assert_eq!(trusting(&["10.0.0.0/8"]), [false, false, false]);
}

#[test]
fn each_finding_is_logged_once_with_its_fix_and_without_an_address() {
    // With one subscriber in the process, another test's thread, to which nobody listens, would decide for
    // all that nobody does.
    let _another = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let source = ClientSource::peer().behind(TrustedProxies::cidrs(["0.0.0.0/0"]).unwrap());
        for _ in 0..10 {
            source.clone().identify(&Request::new(()));
            seen(&source, "2001:db8::1", &[("x-forwarded-for", "1.1.1.1")]);
        }
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    if !cfg!(feature = "tracing") {
        return assert_eq!(text, "");
    }
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].contains("`0.0.0.0/0`"), "{text}");
    assert!(lines[1].contains("client::peer::PeerAddr"), "{text}");
    assert!(lines[1].contains("into_make_service_with_connect_info"));
    assert!(lines[1].contains("PeerAddr::layer(addr)"), "{text}");
    assert!(lines[2].contains("TrustedProxies::cidrs"), "{text}");
    assert!(lines.iter().all(|line| line.contains(" WARN bartizan: ")));
    assert!(!text.contains("2001:db8::1") && !text.contains("1.1.1.1"));
}

/// What a log subscriber wrote.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
