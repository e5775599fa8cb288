//! The least that counting requests by address takes, written by hand, with a digest that nobody outside can
//! steer, a clock that only goes forward, and a key and its time that move together.
//!
//! It knows one quota and nothing else: no routes, no second policy, no proxies, no IPv6 prefixes. Two keys
//! that meet in a cell push each other out, which no limiter could afford.

use std::convert::Infallible;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::io::{Cursor, Write};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use portable_atomic::AtomicU128;
use tower::{Layer, Service};

/// A time for each key: when its bucket will be full again.
pub struct Cells {
    lines: Box<[Line]>,
    hash: RandomState,
    started: Instant,
    /// In nanoseconds.
    interval: u64,
    window: u64,
}

/// The key and its time, in a cache line of their own, as a set of bartizan's is.
#[derive(Default)]
#[repr(align(64))]
struct Line(AtomicU128);

impl Cells {
    /// As many lines as `keys` keys, a power of two, have in bartizan's table.
    pub fn new(keys: usize, interval: u64, burst: u64) -> Self {
        Self {
            lines: (0..keys / 4).map(|_| Line::default()).collect(),
            hash: RandomState::new(),
            started: Instant::now(),
            interval,
            window: interval * burst,
        }
    }

    /// Takes a cell from a client's bucket; the nanoseconds' worth that is left, if there was one.
    pub fn take(&self, client: &IpAddr) -> Option<u64> {
        let key = self.hash.hash_one(client);
        let cell = &self.lines[key as usize & (self.lines.len() - 1)].0;
        loop {
            let seen = cell.load(SeqCst);
            let now = self.started.elapsed().as_nanos() as u64;
            let own = (seen >> 64) as u64 == key;
            let full = if own { now.max(seen as u64) } else { now } + self.interval;
            let room = (now + self.window).checked_sub(full)?;
            let next = u128::from(key) << 64 | u128::from(full);
            if cell.compare_exchange(seen, next, SeqCst, SeqCst).is_ok() {
                return Some(room);
            }
        }
    }
}

/// What a client is told of its bucket.
pub trait Tell: Clone {
    type Told: Unpin;

    fn told(&self, cells: u64) -> Self::Told;
    fn write(told: &mut Self::Told, headers: &mut HeaderMap);
}

/// Nothing.
impl Tell for () {
    type Told = ();

    fn told(&self, _: u64) {}
    fn write((): &mut (), _: &mut HeaderMap) {}
}

/// This policy, and how many cells are left.
impl Tell for HeaderValue {
    type Told = Option<(HeaderValue, u64)>;

    fn told(&self, cells: u64) -> Self::Told {
        Some((self.clone(), cells))
    }

    fn write(told: &mut Self::Told, headers: &mut HeaderMap) {
        let (policy, cells) = told.take().expect("a response is written once");
        let mut text = Cursor::new([0; 64]);
        write!(text, "\"peers\";r={cells};t=1").expect("there is room");
        let (end, text) = (text.position() as usize, text.into_inner());
        let limit = HeaderValue::from_bytes(&text[..end]).expect("visible characters");
        headers.append(HeaderName::from_static("ratelimit-policy"), policy);
        headers.append(HeaderName::from_static("ratelimit"), limit);
    }
}

/// A layer over them.
#[derive(Clone)]
pub struct ByHand<T> {
    cells: Arc<Cells>,
    tell: T,
}

impl<T> ByHand<T> {
    pub fn new(cells: Cells, tell: T) -> Self {
        let cells = Arc::new(cells);
        Self { cells, tell }
    }
}

impl<S, T: Clone> Layer<S> for ByHand<T> {
    type Service = Counted<S, T>;

    fn layer(&self, inner: S) -> Counted<S, T> {
        let by = self.clone();
        Counted { inner, by }
    }
}

#[derive(Clone)]
pub struct Counted<S, T> {
    inner: S,
    by: ByHand<T>,
}

/// The inner service's body, or that of a refusal.
pub enum Either<B> {
    Inner(B),
    #[expect(dead_code, reason = "nobody reads it; it takes its place all the same")]
    Refused(Box<Bytes>),
}

impl<S, T, A, B> Service<Request<A>> for Counted<S, T>
where
    S: Service<Request<A>, Response = Response<B>, Error = Infallible>,
    S::Future: Unpin,
    T: Tell,
{
    type Response = Response<Either<B>>;
    type Error = Infallible;
    type Future = Answered<S::Future, T>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let ByHand { cells, tell } = &self.by;
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        match peer.and_then(|peer| cells.take(&peer.0.ip())) {
            Some(room) => Answered::Passed {
                told: tell.told(room / cells.interval),
                future: self.inner.call(request),
            },
            None => Answered::Refused,
        }
    }
}

pub enum Answered<F, T: Tell> {
    Passed { future: F, told: T::Told },
    Refused,
}

impl<F, T, B> Future for Answered<F, T>
where
    F: Future<Output = Result<Response<B>, Infallible>> + Unpin,
    T: Tell,
{
    type Output = Result<Response<Either<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self::Passed { future, told } = self.get_mut() else {
            let mut refusal = Response::new(Either::Refused(Box::default()));
            *refusal.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            return Poll::Ready(Ok(refusal));
        };
        Pin::new(future).poll(context).map_ok(|mut response| {
            T::write(told, response.headers_mut());
            response.map(Either::Inner)
        })
    }
}
