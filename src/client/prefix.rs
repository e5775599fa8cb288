//! How many addresses one client has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::ConfigError;

/// The length of the prefix that counts as one client in IPv6; /64 by default.
///
/// A client with IPv6 holds at least a whole /64, 2^64 addresses, and takes another of them for
/// every request if that gets it a fresh quota. Home and cloud customers often hold a /56 or a /48.
///
/// ```
/// use bartizan::client::Ipv6Prefix;
///
/// let prefix = Ipv6Prefix::default();
/// let one = prefix.bucket("2001:db8:1:2::a".parse()?);
/// let other = prefix.bucket("2001:db8:1:2:ffff::b".parse()?);
/// assert_eq!(one, other);
/// assert_eq!(one.to_string(), "2001:db8:1:2::");
/// # Ok::<_, std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ipv6Prefix(u8);

impl Ipv6Prefix {
    /// A prefix of `bits`, from 32 (a whole provider) to 128 (every address by itself).
    ///
    /// # Errors
    ///
    /// If `bits` is outside that range.
    pub fn new(bits: u8) -> Result<Self, ConfigError> {
        if (32..=128).contains(&bits) {
            Ok(Self(bits))
        } else {
            Err(ConfigError::new(
                "IPv6 prefix",
                bits.to_string(),
                "choose 32 to 128 bits; 64 is one network, 56 and 48 are common customers",
            ))
        }
    }

    /// The length in bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The address that stands for all of one client's: an IPv4 address is itself, an IPv6 address
    /// becomes the first one of its prefix.
    ///
    /// IPv4 in IPv6 is taken out before the mask: mapped (`::ffff:0:0/96`), else the whole IPv4
    /// internet would be one client on a dual-stack listener; translated (`64:ff9b::/96`, RFC 6052),
    /// else it would be behind a NAT64 that faces an IPv6-only service; 6to4 (`2002::/16`, RFC
    /// 3056), else whoever holds one IPv4 address would have the 65,536 networks that go with it; and
    /// Teredo (`2001::/32`, RFC 4380), else all who tunnel by one server would be one client.
    ///
    /// In `64:ff9b:1::/48` (RFC 8215), from which networks give prefixes to their own translators, each
    /// address is a client, for it stands for one of IPv4. A translator whose prefix is another hides
    /// its clients in one: [tell their addresses apart](super::ClientSource::from_extension) where the
    /// peer's is read.
    #[must_use]
    pub const fn bucket(self, ip: IpAddr) -> IpAddr {
        match ip.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(v4),
            IpAddr::V6(v6) => match v6.segments() {
                [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
                    IpAddr::V4(Ipv4Addr::from_bits((high as u32) << 16 | low as u32))
                }
                [0x2001, 0, .., high, low] => {
                    IpAddr::V4(Ipv4Addr::from_bits(!((high as u32) << 16 | low as u32)))
                }
                [0x64, 0xff9b, 1, ..] => IpAddr::V6(v6),
                _ => {
                    let mask = u128::MAX << (128 - self.0 as u32);
                    IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
                }
            },
        }
    }
}

impl Default for Ipv6Prefix {
    fn default() -> Self {
        Self(64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bucket(bits: u8, ip: &str) -> String {
        let prefix = Ipv6Prefix::new(bits).unwrap();
        prefix.bucket(ip.parse().unwrap()).to_string()
    }

    #[test]
    fn each_prefix_keeps_its_bits() {
        let ip = "2001:db8:1:2ff:ffff::1";
        assert_eq!(bucket(128, ip), ip);
        assert_eq!(bucket(64, ip), "2001:db8:1:2ff::");
        assert_eq!(bucket(56, ip), "2001:db8:1:200::");
        assert_eq!(bucket(48, ip), "2001:db8:1::");
        assert_eq!(bucket(32, ip), "2001:db8::");
    }

    #[test]
    fn ipv4_in_ipv6_is_one_client_per_ipv4_address() {
        for ip in [
            "1.2.3.4",
            "::ffff:1.2.3.4",
            "::ffff:102:304",
            "64:ff9b::1.2.3.4",
            "2002:102:304::1",
            "2002:102:304:ffff:1:2:3:4",
        ] {
            assert_eq!(bucket(64, ip), "1.2.3.4", "{ip}");
        }
        assert_eq!(bucket(64, "64:ff9b:0:0:1::1.2.3.4"), "64:ff9b::");
        assert_eq!(bucket(64, "2001:db8::1.2.3.4"), "2001:db8::");
    }

    #[test]
    fn behind_a_translator_of_ones_own_each_ipv4_address_is_a_client() {
        // RFC 8215's prefix, in the layouts of RFC 6052: with 96, 64 and 48 bits before the address.
        for [one, other] in [
            ["64:ff9b:1::192.0.2.1", "64:ff9b:1::192.0.2.2"],
            ["64:ff9b:1:fffe::192.0.2.1", "64:ff9b:1:ffff::192.0.2.1"],
            ["64:ff9b:1:1:c0:2:100:0", "64:ff9b:1:1:c0:2:200:0"],
            ["64:ff9b:1:c000:2:100::", "64:ff9b:1:c000:2:200::"],
        ] {
            assert_eq!(bucket(64, one), one.parse::<IpAddr>().unwrap().to_string());
            assert_ne!(bucket(32, one), bucket(32, other));
        }
        assert_eq!(bucket(64, "64:ff9b:2::192.0.2.1"), "64:ff9b:2::");
    }

    #[test]
    fn a_teredo_client_is_the_ipv4_address_it_tunnels_from() {
        // RFC 4380, 2.6: server 65.54.227.120, client 192.0.2.45, whose bits are flipped.
        let client = "2001:0:4136:e378:8000:63bf:3fff:fdd2";
        assert_eq!(bucket(64, client), "192.0.2.45");
        // By another server, and from another port.
        assert_eq!(bucket(64, "2001:0:102:304:0:1:3fff:fdd2"), "192.0.2.45");
        assert_eq!(bucket(64, "2001:1:4136:e378::1"), "2001:1:4136:e378::");
    }

    #[test]
    fn a_prefix_that_merges_providers_or_does_not_exist_is_refused() {
        for bits in [0, 31, 129, 255] {
            let error = Ipv6Prefix::new(bits).unwrap_err();
            assert_eq!(error.value(), bits.to_string());
        }
        assert_eq!(Ipv6Prefix::default().bits(), 64);
    }

    proptest! {
        #[test]
        fn two_addresses_share_a_bucket_exactly_when_they_share_the_prefix(
            a in any::<u128>().prop_filter("6to4", |a| a >> 112 != 0x2002),
            bits in 32u8..=128,
            flipped in 0u32..128,
        ) {
            let prefix = Ipv6Prefix::new(bits).unwrap();
            let b = a ^ (1 << (127 - flipped));
            let [first, second] = [a, b].map(|ip| prefix.bucket(Ipv6Addr::from_bits(ip).into()));
            prop_assert_eq!(first == second, flipped >= u32::from(bits));
            prop_assert_eq!(prefix.bucket(first), first);
        }
    }
}
