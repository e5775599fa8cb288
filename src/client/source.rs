//! Where a host says how its clients are known.

use std::any::type_name;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{Extensions, HeaderMap, Request};

use super::identity::{Client, Scheme};
use super::peer::PeerAddr;
use super::proxies::TrustedProxies;
use super::told::Told;

/// Where the peer's address comes from, and whom to believe about the client behind it.
///
/// Clones are cheap and share what was already said about a wrong deployment. The
/// [module](super) explains the rules and has the examples.
#[derive(Clone)]
pub struct ClientSource {
    peer: Arc<PeerFn>,
    extension: &'static str,
    https: bool,
    proxies: Option<TrustedProxies>,
    told: Arc<Told>,
}

type PeerFn = dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync;

impl ClientSource {
    /// The crate's own [`PeerAddr`] extension.
    #[must_use]
    pub fn peer() -> Self {
        Self::from_extension(|peer: &PeerAddr| peer.ip())
    }

    /// Any request extension: name its type in the closure.
    ///
    /// The closure returns an address or an `Option` of one. On a Unix socket, whose peers have no
    /// address, return the loopback address to make them [trusted proxies](TrustedProxies).
    ///
    /// Behind a NAT64 with a prefix of one's own, return the IPv4 addresses that it has translated, or
    /// all its clients are [one](super::Ipv6Prefix::bucket):
    ///
    /// ```
    /// use std::net::{IpAddr, Ipv4Addr};
    /// use bartizan::client::{ClientSource, PeerAddr};
    /// use http::Request;
    ///
    /// let source = ClientSource::from_extension(|peer: &PeerAddr| match peer.ip() {
    ///     IpAddr::V6(v6) if v6.segments()[..6] == [0x2001, 0xdb8, 0x64, 0, 0, 0] => {
    ///         Ipv4Addr::from_bits(v6.to_bits() as u32).into()
    ///     }
    ///     ip => ip,
    /// });
    ///
    /// let request = Request::builder()
    ///     .extension(PeerAddr::new("[2001:db8:64::192.0.2.1]:4711".parse()?))
    ///     .body(())?;
    /// assert_eq!(source.identify(&request).ip(), Some([192, 0, 2, 1].into()));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn from_extension<T, I>(address: impl Fn(&T) -> I + Send + Sync + 'static) -> Self
    where
        T: Send + Sync + 'static,
        I: Into<Option<IpAddr>>,
    {
        Self {
            peer: Arc::new(move |extensions| extensions.get::<T>().and_then(|t| address(t).into())),
            extension: type_name::<T>(),
            https: false,
            proxies: None,
            told: Arc::new(Told::new()),
        }
    }

    /// Says that this listener terminates TLS itself: every request came over https, unless a
    /// trusted proxy says that its client used http.
    #[must_use]
    pub fn over_tls(mut self) -> Self {
        self.https = true;
        self
    }

    /// Believes these proxies about the clients behind them; a second call replaces the first.
    #[must_use]
    pub fn behind(mut self, proxies: TrustedProxies) -> Self {
        self.told = Arc::new(Told::new());
        if proxies.contains_everything() {
            self.told.trusts_all();
        }
        self.proxies = Some(proxies);
        self
    }

    /// Who sent `request`, and over which scheme. Garbage never fails and never widens trust.
    ///
    /// Nothing is allocated, and the work is bounded whatever the headers hold.
    pub fn identify<B>(&self, request: &Request<B>) -> Client {
        self.client(request.extensions(), request.headers())
    }

    /// The scheme alone, for those who need no address: where no proxy is believed the peer makes no
    /// difference, so its absence is no fault.
    pub fn scheme<B>(&self, request: &Request<B>) -> Scheme {
        self.scheme_of(request.extensions(), request.headers())
    }

    /// The scheme, from the parts of a request whose body is elsewhere.
    pub(crate) fn scheme_of(&self, extensions: &Extensions, headers: &HeaderMap) -> Scheme {
        if self.proxies.is_some() {
            return self.client(extensions, headers).scheme();
        }
        self.told.untrusted(headers);
        self.own_scheme()
    }

    /// Whether a request's `Host` is what its client wrote: proxies may put in their own name for us.
    #[allow(dead_code, reason = "each room can be built alone and uses its part")]
    pub(crate) const fn is_direct(&self) -> bool {
        self.proxies.is_none()
    }

    /// The same, from the parts of a request that matter.
    #[inline]
    pub(crate) fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> Client {
        let own = self.own_scheme();
        let Some(peer) = (self.peer)(extensions) else {
            self.told.no_peer(self.extension);
            return Client {
                ip: None,
                scheme: own,
            };
        };
        let peer = peer.to_canonical();
        let seen = self
            .proxies
            .as_ref()
            .and_then(|proxies| proxies.see(peer, headers));
        let Some(seen) = seen else {
            self.told.untrusted(headers);
            return Client {
                ip: Some(peer),
                scheme: own,
            };
        };
        Client {
            ip: Some(seen.ip),
            scheme: seen.scheme.unwrap_or(own),
        }
    }

    const fn own_scheme(&self) -> Scheme {
        if self.https {
            Scheme::Https
        } else {
            Scheme::Http
        }
    }

    #[cfg(test)]
    pub(super) fn findings(&self) -> [bool; 3] {
        self.told.findings()
    }
}

impl fmt::Debug for ClientSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSource")
            .field("extension", &self.extension)
            .field("over_tls", &self.https)
            .field("behind", &self.proxies)
            .finish_non_exhaustive()
    }
}
