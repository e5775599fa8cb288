//! The answer: an address and a scheme.

use std::net::IpAddr;

/// The client of one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Client {
    pub(super) ip: Option<IpAddr>,
    pub(super) scheme: Scheme,
}

impl Client {
    /// The client's address, IPv4-mapped IPv6 unmapped; `None` when the source found none.
    ///
    /// To count clients, count [buckets](super::Ipv6Prefix::bucket) of addresses.
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// The scheme the client used.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }
}

/// The scheme a client used.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Scheme {
    /// Plain HTTP, or nobody trusted said otherwise.
    Http,
    /// TLS, terminated here or by a trusted proxy.
    Https,
}

impl Scheme {
    /// The scheme that a proxy named, in any case; a WebSocket's is that of its handshake.
    pub(super) fn from_bytes(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"https") || name.eq_ignore_ascii_case(b"wss") {
            Some(Self::Https)
        } else if name.eq_ignore_ascii_case(b"http") || name.eq_ignore_ascii_case(b"ws") {
            Some(Self::Http)
        } else {
            None
        }
    }
}
