//! Who calls, and over what: one answer for the limiter, for HSTS and for cookies.
//!
//! [`ClientSource`] is configured once and asked once per request:
//!
//! 1. The address of the connection's other end, the *peer*, comes from a request extension: the
//!    crate's own [`PeerAddr`], or any other by closure. No framework is a dependency for it.
//! 2. Nothing is trusted by default: with no [`TrustedProxies`] the peer *is* the client, whatever
//!    its headers say.
//! 3. Behind proxies, the chain of addresses is read from the right, the end that the nearest proxy
//!    wrote. Each trusted hop vouches for the one entry left of it, and the walk stops at the first
//!    address that is not trusted: that is the client. What lies further left, a client may have
//!    written itself, so it is not even looked at.
//! 4. Whatever cannot be read stops the walk where it is: the answer is then the address of a
//!    trusted proxy, never one that an unknown party chose. If every hop is trusted, the last one
//!    reached is the client. At most 16 hops are read, and at most 512 bytes of each.
//! 5. The scheme is that of the client's own hop, and is believed from the same proxies only.
//! 6. IPv4 addresses in IPv6 clothing (`::ffff:198.51.100.7`) are unmapped before anything else.
//!
//! A source that cannot do its work says so, once, in a warning (feature `tracing`) with the fix, and
//! in the counter `bartizan_client_findings_total` (feature `metrics`) under a `finding`: `no_peer`, when
//! the peer's address is missing; `untrusted`, when a forwarding header comes from a peer that is not
//! trusted; and `trusts_all`, when the trusted networks are the whole internet.
//!
//! # Deployment
//!
//! Trust exactly the networks that your proxies connect from, and see to it that nobody else in
//! those networks can reach the service: whoever connects from there may claim any address. The
//! outermost proxy has to append to the chain, or replace it; a proxy that passes it on unchanged
//! lets clients write it.
//!
//! A client with IPv6 commands at least a whole /64: count per [`Ipv6Prefix`], not per address. It also
//! [takes out](Ipv6Prefix::bucket) the IPv4 address of whom NAT64, 6to4 or Teredo brings.
//!
//! # Examples
//!
//! Under axum, the peer's address is the extension that `into_make_service_with_connect_info`
//! inserts; tonic's is `TcpConnectInfo`, or `TlsConnectInfo<TcpConnectInfo>` where it terminates TLS. The
//! closure names the type:
//!
//! ```
//! use std::net::SocketAddr;
//! use axum::extract::ConnectInfo;
//! use bartizan::client::ClientSource;
//! use http::Request;
//!
//! let source = ClientSource::from_extension(|peer: &ConnectInfo<SocketAddr>| peer.0.ip());
//!
//! let mut request = Request::new(());
//! request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([198, 51, 100, 7], 4711))));
//! assert_eq!(source.identify(&request).ip(), Some([198, 51, 100, 7].into()));
//! ```
//!
//! In plain hyper, the layer [`PeerAddr::layer`] puts the address into each connection's requests:
//!
//! ```
//! use std::convert::Infallible;
//! use std::net::SocketAddr;
//! use bartizan::client::{ClientSource, PeerAddr, Scheme};
//! use http::Request;
//! use tower::{Layer, Service, service_fn};
//!
//! let source = ClientSource::peer().over_tls();
//! let greet = service_fn(move |request: Request<()>| {
//!     let client = source.identify(&request);
//!     async move { Ok::<_, Infallible>(client) }
//! });
//!
//! // in the accept loop, with the address that `accept` returned
//! let address = SocketAddr::from(([198, 51, 100, 7], 4711));
//! let mut connection = PeerAddr::layer(address).layer(greet);
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let client = connection.call(Request::new(())).await?;
//! assert_eq!(client.ip(), Some(address.ip()));
//! assert_eq!(client.scheme(), Scheme::Https);
//! # Ok::<_, Infallible>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! Behind a proxy that terminates TLS:
//!
//! ```
//! use bartizan::client::{ClientSource, PeerAddr, Scheme, TrustedProxies};
//! use http::Request;
//!
//! let source = ClientSource::peer().behind(TrustedProxies::cidrs(["10.0.0.0/8", "fd00::/8"])?);
//!
//! let request = Request::builder()
//!     .extension(PeerAddr::new("10.0.0.1:55000".parse()?))
//!     .header("x-forwarded-for", "1.1.1.1, 198.51.100.7, 10.0.0.9")
//!     .header("x-forwarded-proto", "https")
//!     .body(())?;
//! let client = source.identify(&request);
//! assert_eq!(client.ip(), Some("198.51.100.7".parse()?)); // `1.1.1.1` is what the client claimed
//! assert_eq!(client.scheme(), Scheme::Https);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

pub use self::identity::{Client, Scheme};
pub use self::peer::{AddPeerAddr, PeerAddr, PeerAddrLayer};
pub use self::prefix::Ipv6Prefix;
pub use self::proxies::TrustedProxies;
pub use self::source::ClientSource;

mod forwarded;
mod identity;
mod node;
mod peer;
mod prefix;
mod proxies;
mod source;
mod told;

#[cfg(test)]
mod tests;
