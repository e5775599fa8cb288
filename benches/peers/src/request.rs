//! What all contestants are given, and how a response is got out of them.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::extract::ConnectInfo;
use bartizan::client::ClientSource;
use http::{Request, Response};
use tower::Service;

/// A request as a server hands it on: the client's address in the extensions, some usual headers.
pub fn request(path: &'static str) -> Request<Body> {
    request_from(path, Ipv4Addr::new(192, 0, 2, 1).into())
}

/// The same from this address.
pub fn request_from(path: &'static str, client: IpAddr) -> Request<Body> {
    let peer = SocketAddr::new(client, 50_000);
    Request::get(path)
        .header("host", "example.org")
        .header("accept", "text/html")
        .header("user-agent", "peers")
        .extension(ConnectInfo(peer))
        .body(Body::empty())
        .expect("a valid request")
}

/// Finds that address.
pub fn client() -> ClientSource {
    ClientSource::from_extension(|peer: &ConnectInfo<SocketAddr>| peer.0.ip())
}

/// Calls a service whose answer is there at once.
pub fn call<S, B>(service: &mut S, request: Request<Body>) -> Response<B>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let mut context = Context::from_waker(Waker::noop());
    let ready = service.poll_ready(&mut context);
    assert!(ready.is_ready(), "nothing here makes anyone wait");
    let future = pin!(service.call(request));
    match future.poll(&mut context) {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => unreachable!("nothing here makes anyone wait"),
    }
}

/// The service below the layers: a short answer, and nothing else.
pub fn handler() -> tower::util::ServiceFn<fn(Request<Body>) -> Answer> {
    tower::service_fn(|_| std::future::ready(Ok(Response::new(Body::empty()))))
}

pub type Answer = std::future::Ready<Result<Response<Body>, Infallible>>;

/// For what wants timers, and no sockets.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without I/O")
}
