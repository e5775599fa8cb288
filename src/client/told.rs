//! What a source finds wrong with its deployment, each said once.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use http::HeaderMap;

use super::forwarded;
use crate::trace::emit;

/// One source's findings, shared by its clones.
#[derive(Debug)]
pub(super) struct Told {
    no_peer: Once,
    untrusted: Once,
    /// Requests in which unexpected forwarding headers are still looked for.
    looks: AtomicI32,
    trusts_all: Once,
}

impl Told {
    pub(super) const fn new() -> Self {
        Self {
            no_peer: Once::new(),
            untrusted: Once::new(),
            looks: AtomicI32::new(LOOKS),
            trusts_all: Once::new(),
        }
    }

    /// The extension that should hold the peer's address is missing, or holds none.
    pub(super) fn no_peer(&self, extension: &'static str) {
        if self.no_peer.first() {
            emit!(
                warn,
                { extension = extension },
                "no peer address: the request has no such extension, or it holds no address, so all \
                 clients look the same; in axum serve with \
                 `into_make_service_with_connect_info::<SocketAddr>()`, in hyper wrap each \
                 connection's service in `PeerAddr::layer(addr)`"
            );
        }
    }

    /// The peer is not trusted: does it speak for others all the same?
    ///
    /// Behind a proxy that was forgotten every request does, so the first ones are enough to tell,
    /// and later requests are spared the look-ups.
    pub(super) fn untrusted(&self, headers: &HeaderMap) {
        if self.looks.load(Ordering::Relaxed) <= 0 {
            return;
        }
        self.looks.fetch_sub(1, Ordering::Relaxed);
        if forwarded::is_present(headers) && self.untrusted.first() {
            emit!(
                warn,
                {},
                "a peer that is not trusted sent `X-Forwarded-For` or `Forwarded`, which was \
                 ignored; if that peer is your proxy, name its network in `TrustedProxies::cidrs` \
                 and pass it to `ClientSource::behind`, or all clients share the proxy's address"
            );
        }
    }

    /// Every address of a family is a trusted proxy.
    pub(super) fn trusts_all(&self) {
        if self.trusts_all.first() {
            emit!(
                warn,
                {},
                "every address is a trusted proxy (`0.0.0.0/0` or `::/0`), so each client chooses \
                 its own address; name the networks that your proxies connect from instead"
            );
        }
    }
}

/// Says yes once.
#[derive(Debug)]
struct Once(AtomicBool);

impl Once {
    const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Whether this is the first time; a plain load ever after.
    fn first(&self) -> bool {
        !self.0.load(Ordering::Relaxed) && !self.0.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
impl Told {
    /// Which of the findings were made: no peer, an untrusted one, trust in everything.
    pub(super) fn findings(&self) -> [bool; 3] {
        [&self.no_peer, &self.untrusted, &self.trusts_all]
            .map(|once| once.0.load(Ordering::Relaxed))
    }
}

/// A proxy that was forgotten shows in the very first request.
const LOOKS: i32 = 1024;
