//! Who calls, and over what.

use std::any::type_name;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{Extensions, Request};

pub use self::peer::{AddPeerAddr, PeerAddr, PeerAddrLayer};

mod peer;

/// Where the peer's address comes from, and whom to believe about the client behind it.
#[derive(Clone)]
pub struct ClientSource {
    peer: Arc<PeerFn>,
    peer_name: &'static str,
    https: bool,
}

type PeerFn = dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync;

impl ClientSource {
    /// The crate's own [`PeerAddr`] extension.
    #[must_use]
    pub fn peer() -> Self {
        Self::from_extension(|peer: &PeerAddr| peer.ip())
    }

    /// Any request extension: name its type in the closure.
    pub fn from_extension<T, I>(address: impl Fn(&T) -> I + Send + Sync + 'static) -> Self
    where
        T: Send + Sync + 'static,
        I: Into<Option<IpAddr>>,
    {
        Self {
            peer: Arc::new(move |extensions| extensions.get::<T>().and_then(|t| address(t).into())),
            peer_name: type_name::<T>(),
            https: false,
        }
    }

    /// Says that this listener terminates TLS itself: every request came over https.
    #[must_use]
    pub fn over_tls(mut self) -> Self {
        self.https = true;
        self
    }

    /// Who sent `request`, and over which scheme. Garbage never fails and never widens trust.
    pub fn identify<B>(&self, request: &Request<B>) -> Client {
        Client {
            ip: (self.peer)(request.extensions()),
            scheme: if self.https {
                Scheme::Https
            } else {
                Scheme::Http
            },
        }
    }
}

impl fmt::Debug for ClientSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSource")
            .field("peer", &self.peer_name)
            .finish_non_exhaustive()
    }
}

/// The client of one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Client {
    ip: Option<IpAddr>,
    scheme: Scheme,
}

impl Client {
    /// The client's address, IPv4-mapped IPv6 unmapped; `None` when the source found none.
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
