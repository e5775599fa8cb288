//! How many streams each client address holds open. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::client::Ipv6Prefix;

/// Whom a stream is counted under: one IPv4 address, one IPv6 network, or all whose address is
/// unknown, so that hiding it escapes nothing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(in crate::event_stream) struct Address(Option<IpAddr>);

impl Address {
    pub(in crate::event_stream) fn of(ip: Option<IpAddr>) -> Self {
        Self(ip.map(|ip| Ipv6Prefix::default().bucket(ip)))
    }
}

/// Open streams by address, none for those who have none.
#[derive(Debug)]
pub(super) struct Addresses {
    most: usize,
    open: HashMap<Address, usize>,
}

impl Addresses {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            open: HashMap::default(),
        }
    }

    /// Counts one more stream, or answers that there are enough.
    pub(super) fn take(&mut self, address: Address) -> bool {
        let open = self.open.get(&address).copied().unwrap_or(0);
        let free = open < self.most;
        if free {
            self.open.insert(address, open + 1);
        }
        free
    }

    /// Counts one less.
    pub(super) fn give(&mut self, address: Address) {
        if let Some(open) = self.open.get_mut(&address) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_counts_as_one_and_nothing_is_kept_of_those_who_left() {
        let mut addresses = Addresses::new(2);
        let at = |ip: &str| Address::of(Some(ip.parse().unwrap()));
        assert!(addresses.take(at("2001:db8::1")) && addresses.take(at("2001:db8::2")));
        assert!(!addresses.take(at("2001:db8::3")));
        assert!(addresses.take(at("2001:db8:0:1::3")) && addresses.take(at("192.0.2.1")));
        let nobody = Address::of(None);
        assert!(addresses.take(nobody) && addresses.take(nobody) && !addresses.take(nobody));
        addresses.give(at("2001:db8::9"));
        assert!(addresses.take(at("2001:db8::3")));
        for address in ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::3", "192.0.2.1"] {
            addresses.give(at(address));
        }
        addresses.give(nobody);
        addresses.give(nobody);
        assert!(addresses.open.is_empty());
        assert!(!Addresses::new(0).take(nobody));
    }
}
