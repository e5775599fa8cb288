//! How a hop writes an address: ports, brackets, quotes and zones, or nothing that is one.

use std::net::{IpAddr, Ipv6Addr};
use std::str::{FromStr, from_utf8};

/// The address in one entry of a forwarding header, unmapped; `None` for `unknown`, for an
/// `_obfuscated` name and for garbage, which vouch for nobody.
///
/// Read are `198.51.100.7`, `2001:db8::1` and `[2001:db8::1]`, the first and the last also with a
/// port, all of them within quotes, IPv6 also with a zone. Port and zone are checked and dropped.
pub(super) fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = from_utf8(unquote(entry.trim_ascii())?).ok()?;
    let ip = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']')?;
            if !after.is_empty() && !is_port(after.strip_prefix(':')?) {
                return None;
            }
            ipv6(inside)?.into()
        }
        None => match text.split_once(':') {
            None => IpAddr::V4(text.parse().ok()?),
            Some((before, port)) if is_port(port) && before.contains('.') => {
                IpAddr::V4(before.parse().ok()?)
            }
            // A bare IPv6 address cannot have a port: the two could not be told apart.
            Some(_) => ipv6(text)?.into(),
        },
    };
    Some(ip.to_canonical())
}

/// What stands between quotes, or `value` as it is; `None` if quotes are anywhere else.
pub(super) fn unquote(value: &[u8]) -> Option<&[u8]> {
    let inside = match value {
        [b'"', inside @ .., b'"'] => inside,
        _ => value,
    };
    (!inside.contains(&b'"')).then_some(inside)
}

/// An IPv6 address, perhaps with a zone (`fe80::1%eth0`, RFC 4007), which names an interface of the
/// hop and nobody's identity.
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    let address = match text.split_once('%') {
        Some((_, "")) => return None,
        Some((address, _)) => address,
        None => text,
    };
    Ipv6Addr::from_str(address).ok()
}

/// A port, or the obfuscated one that RFC 7239, 6 allows.
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        }
        None => text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_way_to_write_an_address_is_read() {
        for (entry, expected) in [
            ("198.51.100.7", "198.51.100.7"),
            (" \t198.51.100.7 ", "198.51.100.7"),
            ("198.51.100.7:443", "198.51.100.7"),
            ("198.51.100.7:_hidden", "198.51.100.7"),
            (r#""198.51.100.7:443""#, "198.51.100.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:DB8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            (r#""[2001:db8:cafe::17]:4711""#, "2001:db8:cafe::17"),
            ("[2001:db8::1]:_port", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0]:80", "fe80::1"),
            ("2001:db8::1.2.3.4", "2001:db8::102:304"),
        ] {
            assert_eq!(
                address(entry.as_bytes()),
                Some(expected.parse().unwrap()),
                "{entry}"
            );
        }
    }

    #[test]
    fn the_three_ways_to_write_a_mapped_address_are_one_client() {
        for entry in [
            "::ffff:1.2.3.4",
            "::ffff:102:304",
            "[::ffff:1.2.3.4]:1",
            "1.2.3.4",
        ] {
            assert_eq!(
                address(entry.as_bytes()),
                Some([1, 2, 3, 4].into()),
                "{entry}"
            );
        }
    }

    #[test]
    fn what_is_not_exactly_an_address_is_none() {
        for entry in [
            "",
            " ",
            "unknown",
            "UNKNOWN",
            "_hidden",
            "example.com",
            "198.51.100",
            "198.51.100.256",
            "198.51.100.07",
            "0x7f.1",
            "1.2.3.4:",
            "1.2.3.4:65536",
            "1.2.3.4:+80",
            "1.2.3.4:8a",
            "1.2.3.4:_",
            "1.2.3.4 5.6.7.8",
            "1.2.3.4/8",
            "[1.2.3.4]",
            "[1.2.3.4]:80",
            "[::1",
            "::1]",
            "[::1]80",
            "[::1]:",
            "[::1]:x",
            "[]",
            "[[::1]]",
            "fe80::1%",
            "1.2.3.4%eth0",
            "2001:db8::1::2",
            "\"1.2.3.4",
            "1.2.3.4\"",
            "\"",
            "\"\"",
            "\"\"1.2.3.4\"\"",
            "' 1.2.3.4'",
            "\u{ff11}.2.3.4",
        ] {
            assert_eq!(address(entry.as_bytes()), None, "{entry:?}");
        }
        assert_eq!(address(b"1.2.3.4\xff"), None);
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back(ip: IpAddr, port: u16, quoted: bool) {
            let plain = ip.to_string();
            let with_port = std::net::SocketAddr::new(ip, port).to_string();
            for text in [plain, with_port] {
                let text = if quoted { format!("\"{text}\"") } else { text };
                prop_assert_eq!(address(text.as_bytes()), Some(ip.to_canonical()));
            }
        }
    }
}
