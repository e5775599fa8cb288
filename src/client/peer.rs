//! The address of the connection's other end, put into the request's extensions.

use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

/// The address of the peer that opened the connection.
///
/// Plain hyper knows it only where it accepts: wrap each connection's service in
/// [`PeerAddr::layer`]. Frameworks have an extension of their own, for which
/// [`ClientSource::from_extension`](super::ClientSource::from_extension) is meant.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PeerAddr(SocketAddr);

impl PeerAddr {
    /// Wraps an address.
    #[must_use]
    pub const fn new(addr: SocketAddr) -> Self {
        Self(addr)
    }

    /// The layer that puts `addr` into the extensions of every request of one connection.
    pub const fn layer(addr: SocketAddr) -> PeerAddrLayer {
        PeerAddrLayer { addr: Self(addr) }
    }

    /// The peer's IP address.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        self.0.ip()
    }

    /// The peer's socket address.
    #[must_use]
    pub const fn socket_addr(&self) -> SocketAddr {
        self.0
    }
}

/// The layer of [`PeerAddr::layer`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a layer does nothing until it is applied"]
pub struct PeerAddrLayer {
    addr: PeerAddr,
}

impl<S> Layer<S> for PeerAddrLayer {
    type Service = AddPeerAddr<S>;

    fn layer(&self, inner: S) -> AddPeerAddr<S> {
        AddPeerAddr {
            inner,
            addr: self.addr,
        }
    }
}

/// The service of [`PeerAddr::layer`].
#[derive(Clone, Copy, Debug)]
pub struct AddPeerAddr<S> {
    inner: S,
    addr: PeerAddr,
}

impl<S, B> Service<Request<B>> for AddPeerAddr<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.addr);
        self.inner.call(request)
    }
}
