//! A request, a handler below the layers, and a call that is answered at once.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bartizan::client::PeerAddr;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::Full;
use tower::Service;
use tower::util::ServiceFn;

/// A request as a server hands it on: the client's address in the extensions, some usual headers.
#[must_use]
pub fn request(path: &str) -> Request<()> {
    let peer = std::net::SocketAddr::from(([192, 0, 2, 1], 50_000));
    Request::get(path)
        .header("host", "example.org")
        .header("accept", "text/html")
        .header("x-api-key", "b9be6d1d-1a0d-4a37-9e1c-0f6f52d2bd6c")
        .extension(PeerAddr::new(peer))
        .body(())
        .expect("a valid request")
}

/// What is below the layers.
pub type Handler = ServiceFn<fn(Request<()>) -> Ready<Result<Response<Full<Bytes>>, Infallible>>>;

/// A handler that answers with nothing.
#[must_use]
pub fn empty() -> Handler {
    tower::service_fn(|_| ready(Ok(Response::default())))
}

/// A handler that answers with a page, and with the two headers that most pages have.
#[must_use]
pub fn page() -> Handler {
    tower::service_fn(|_| {
        let mut response = Response::new(Full::new(Bytes::from_static(b"<p>hello")));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("8"));
        ready(Ok(response))
    })
}

/// Calls a service whose answer is there at once.
///
/// # Panics
///
/// If it is not.
pub fn call<S, R>(service: &mut S, request: Request<()>) -> R
where
    S: Service<Request<()>, Response = R, Error = Infallible>,
{
    let mut context = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_ready(), "nothing waits");
    match pin!(service.call(request)).poll(&mut context) {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => panic!("nothing waits"),
    }
}
