//! What a source finds wrong with its deployment, each said once.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use http::HeaderMap;

use super::forwarded;
use crate::trace::{Counter, emit};

/// One source's findings, shared by its clones.
#[derive(Debug)]
pub(super) struct Told {
    no_peer: Once,
    untrusted: Once,
    /// How many more requests are looked at without exception.
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
            found("no_peer");
            emit!(
                warn,
                { extension = extension },
                "no peer address: the request has no such extension, or it holds no address, so all \
                 clients look the same; in axum serve with \
                 `into_make_service_with_connect_info::<SocketAddr>()`, in tonic read \
                 `TcpConnectInfo`, in hyper wrap each connection's service in `PeerAddr::layer(addr)`"
            );
        }
    }

    /// The peer is not trusted: does it speak for others all the same?
    pub(super) fn untrusted(&self, headers: &HeaderMap) {
        if self.untrusted.said() || !self.looks() {
            return;
        }
        if forwarded::is_present(headers) && self.untrusted.first() {
            found("untrusted");
            emit!(
                warn,
                {},
                "a peer that is not trusted sent `X-Forwarded-For` or `Forwarded`, which was \
                 ignored; if that peer is your proxy, name its network in `TrustedProxies::cidrs` \
                 and pass it to `ClientSource::behind`, or all clients share the proxy's address"
            );
        }
    }

    /// Whether to look for such headers in this request: in the first ones, since behind a proxy
    /// that was forgotten every request has them, and then now and again, since the first ones may
    /// all be an orchestrator's probes. The others are spared the look-ups.
    fn looks(&self) -> bool {
        if self.looks.load(Ordering::Relaxed) > 0 {
            self.looks.fetch_sub(1, Ordering::Relaxed);
            return true;
        }
        let passed = PASSED.get().wrapping_add(1) % EVERY;
        PASSED.set(passed);
        passed == 0
    }

    /// Every address of a family is a trusted proxy.
    pub(super) fn trusts_all(&self) {
        if self.trusts_all.first() {
            found("trusts_all");
            emit!(
                warn,
                {},
                "every address is a trusted proxy (`0.0.0.0/0` or `::/0`), so each client chooses \
                 its own address; name the networks that your proxies connect from instead"
            );
        }
    }
}

fn found(finding: &'static str) {
    Counter::new("bartizan_client_findings_total", &[("finding", finding)]).add(1);
}

/// Says yes once.
#[derive(Debug)]
struct Once(AtomicBool);

impl Once {
    const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    fn said(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether this is the first time; a plain load ever after.
    fn first(&self) -> bool {
        !self.said() && !self.0.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
impl Told {
    /// Which of the findings were made: no peer, an untrusted one, trust in everything.
    pub(super) fn findings(&self) -> [bool; 3] {
        [&self.no_peer, &self.untrusted, &self.trusts_all].map(Once::said)
    }
}

thread_local! {
    /// Requests of this thread that were not looked at, over all sources: no line is shared.
    static PASSED: Cell<u32> = const { Cell::new(0) };
}

/// Requests of a source that are all looked at.
const LOOKS: i32 = 1024;

/// Of later ones each so many; a prime, so that sources that take turns are all looked at.
const EVERY: u32 = 61;
