//! A hundred thousand clients that lie at random: none of them is believed.

use ::rand::rngs::StdRng;
use ::rand::{RngExt, SeedableRng};
use http::HeaderMap;
use http::header::HeaderValue;

use super::*;

/// What a client puts in front of the entry that the first proxy writes about it.
fn hostile(rng: &mut StdRng) -> Vec<HeaderValue> {
    const FRAGMENTS: [&[u8]; 30] = [
        b"1.1.1.1",
        b"10.0.0.9",
        b"fd00::1",
        b"[fd00::1]:80",
        b"2001:db8::66",
        b"::ffff:10.0.0.9",
        b"for=1.1.1.1",
        b"for=10.0.0.9",
        b"For=\"[fd00::1]\"",
        b"proto=https",
        b"host=\"",
        b"\"",
        b"\\",
        b"\\\"",
        b",",
        b", ",
        b",,",
        b";",
        b"=",
        b" ",
        b"\t",
        b"unknown",
        b"_x",
        b":80",
        b"%eth0",
        b"[",
        b"]",
        b"\xff\xfe",
        b"https",
        b"10.0.0.9, 10.0.0.9, 10.0.0.9",
    ];
    let mut line = || {
        let mut bytes = Vec::new();
        for _ in 0..rng.random_range(0..14) {
            bytes.extend_from_slice(FRAGMENTS[rng.random_range(0..FRAGMENTS.len())]);
        }
        if rng.random_range(0..50) == 0 {
            bytes.resize(rng.random_range(500..2000), b'1');
        }
        HeaderValue::from_bytes(&bytes).unwrap()
    };
    let lines: Vec<_> = (0..3).map(|_| line()).collect();
    lines[..rng.random_range(1..=3)].to_vec()
}

/// Appends `entry` as proxies do: to the last line, or as a line of its own.
fn append(lines: &[HeaderValue], entry: &str, rng: &mut StdRng) -> Vec<HeaderValue> {
    let mut lines = lines.to_vec();
    match lines.pop() {
        Some(last) if rng.random() => {
            let joined = [last.as_bytes(), b", ", entry.as_bytes()].concat();
            lines.push(HeaderValue::from_bytes(&joined).unwrap());
        }
        last => {
            lines.extend(last);
            lines.push(entry.parse().unwrap());
        }
    }
    lines
}

#[test]
fn no_header_string_panics_or_yields_an_address_of_the_clients_choice() {
    const CLIENT: &str = "198.51.100.7";
    let mut rng = StdRng::seed_from_u64(7239);
    let mut met = [0_u32; 6];
    let (chain, element, one, nobody) =
        (x_forwarded(), rfc7239(), cloudflare(), ClientSource::peer());
    for _ in 0..100_000 {
        let lies = hostile(&mut rng);
        let inner = rng.random_range(0..3);
        let with = |form: fn(&str) -> String, rng: &mut StdRng| {
            let mut lines = append(&lies, &form(CLIENT), rng);
            for _ in 0..inner {
                lines = append(&lines, &form("10.0.0.9"), rng);
            }
            lines
        };
        let x_forwarded_for = with(str::to_owned, &mut rng);
        let forwarded = with(|ip| format!("for={ip};proto=http"), &mut rng);

        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, lines: &[HeaderValue]| {
            for line in lines {
                headers.append(name, line.clone());
            }
        };
        put("x-forwarded-for", &x_forwarded_for);
        put("forwarded", &forwarded);
        put("cf-connecting-ip", &lies);
        put("cf-connecting-ip", &[HeaderValue::from_static(CLIENT)]);

        let mut through = request(PROXY, &[]);
        *through.headers_mut() = headers;
        assert_eq!(
            chain.identify(&through).ip(),
            Some(ip(CLIENT)),
            "{through:?}"
        );
        let client = element.identify(&through);
        assert_eq!(client.ip(), Some(ip(CLIENT)), "{through:?}");
        assert_eq!(client.scheme(), Scheme::Http, "{through:?}");
        assert_eq!(one.identify(&through).ip(), Some(ip(PROXY)), "{through:?}");

        let mut direct = through;
        let stranger = PeerAddr::new((ip(STRANGER), 1).into());
        direct.extensions_mut().insert(stranger);
        for source in [&chain, &element, &one, &nobody] {
            let client = source.identify(&direct);
            assert_eq!(
                (client.ip(), client.scheme()),
                (Some(ip(STRANGER)), Scheme::Http)
            );
        }

        // The lies alone, as if a trusted hop had written them: the walk goes as deep as it can.
        let mut alone = request(PROXY, &[]);
        for line in &lies {
            alone.headers_mut().append("x-forwarded-for", line.clone());
            alone.headers_mut().append("forwarded", line.clone());
        }
        let [found, other] = [&chain, &element].map(|s| s.identify(&alone).ip().unwrap());
        assert_eq!(found, model(&lies), "{lies:?}");

        let last = lies[lies.len() - 1].as_bytes();
        let quotes = last.iter().filter(|byte| **byte == b'"').count();
        met[0] += u32::from(quotes % 2 == 1);
        met[1] += u32::from(last.contains(&b'\\'));
        met[2] += u32::from(last.len() > 512);
        met[3] += u32::from(found == ip("1.1.1.1"));
        met[4] += u32::from(found == ip("fd00::1"));
        met[5] += u32::from(other == ip("1.1.1.1"));
    }
    // unbalanced quotes, escapes, too long, lies believed when a trusted hop tells them
    assert!(met.iter().all(|times| *times > 500), "{met:?}");
}

/// The rule for `X-Forwarded-For` in its plainest form: join, split, walk.
fn model(lines: &[HeaderValue]) -> IpAddr {
    let lines: Vec<_> = lines.iter().map(HeaderValue::as_bytes).collect();
    let joined = lines.join(&b',');
    let mut entries: Vec<_> = joined.split(|byte| *byte == b',').collect();
    entries.reverse();
    let mut found = ip(PROXY);
    for entry in entries.into_iter().take(16) {
        match node::address(entry) {
            Some(next) if entry.len() <= 512 && proxies().contains(found) => found = next,
            _ => break,
        }
    }
    found
}

#[test]
fn no_host_that_a_proxy_escapes_into_its_element_yields_an_address_of_the_clients_choice() {
    let (source, mut rng) = (rfc7239(), StdRng::seed_from_u64(9110));
    let mut met = [0_u32; 2];
    for _ in 0..20_000 {
        let host = hostile(&mut rng).swap_remove(0);
        let mut line = b"for=1.1.1.1, for=198.51.100.7;host=\"".to_vec();
        for byte in host.as_bytes() {
            if matches!(byte, b'"' | b'\\') {
                line.push(b'\\');
            }
            line.push(*byte);
        }
        line.extend_from_slice(b"\";proto=http");
        let mut through = request(PROXY, &[]);
        let line = HeaderValue::from_bytes(&line).unwrap();
        through.headers_mut().insert("forwarded", line);
        let client = source.identify(&through);
        let found = client.ip().unwrap();
        assert!(
            [ip("198.51.100.7"), ip(PROXY)].contains(&found),
            "{through:?}"
        );
        assert_eq!(client.scheme(), Scheme::Http, "{through:?}");
        met[usize::from(found == ip(PROXY))] += 1;
    }
    assert!(met.iter().all(|times| *times > 1000), "{met:?}");
}
