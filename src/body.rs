//! The one body type that a layer of this crate may introduce.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of a response that came from the inner service or was made by a layer itself.
    ///
    /// Data, error and trailers of the inner body pass through as they are. A layer's own answer is
    /// one frame of at most a few hundred bytes; an empty one ends at once, which HTTP/2 needs to
    /// send a trailers-only gRPC status in a single HEADERS frame.
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B> {
        Inner { #[pin] body: B },
        Local { bytes: Bytes },
    }
}

impl<B> ResponseBody<B> {
    /// Passes the inner service's body through.
    pub fn inner(body: B) -> Self {
        Self {
            kind: Kind::Inner { body },
        }
    }

    /// Sends `bytes` as the whole body.
    pub fn local(bytes: impl Into<Bytes>) -> Self {
        Self {
            kind: Kind::Local {
                bytes: bytes.into(),
            },
        }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body,
    B::Data: From<Bytes>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Inner { body } => body.poll_frame(cx),
            KindProjection::Local { bytes } if bytes.is_empty() => Poll::Ready(None),
            KindProjection::Local { bytes } => {
                let frame = Frame::data(std::mem::take(bytes).into());
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Local { bytes } => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Local { bytes } => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

/// The inner body of a service that has no inner service. It cannot be made, so the body of such a
/// service is always its own: `ResponseBody<NoBody>`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum NoBody {}

impl Body for NoBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match *self {}
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Inner { .. } => "ResponseBody::inner",
            Kind::Local { .. } => "ResponseBody::local",
        })
    }
}

impl<B: Default> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::inner(B::default())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    #[tokio::test]
    async fn a_local_body_is_one_frame_of_known_size_and_then_nothing() {
        let mut body = ResponseBody::<Full<Bytes>>::local("no");
        assert_eq!(body.size_hint().exact(), Some(2));
        assert!(!body.is_end_stream());
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "no");
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none() && body.frame().await.is_none());
    }

    #[tokio::test]
    async fn an_empty_local_body_has_ended() {
        let mut body = ResponseBody::<Full<Bytes>>::local("");
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_service_without_an_inner_one_has_a_body_too() {
        let body = ResponseBody::<NoBody>::local("ok");
        assert_eq!(body.collect().await.unwrap().to_bytes(), "ok");
    }

    #[tokio::test]
    async fn trailers_of_the_inner_body_pass_through() {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let inner =
            Full::new(Bytes::from("x")).with_trailers(std::future::ready(Some(Ok(trailers))));
        let collected = ResponseBody::inner(inner).collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(collected.to_bytes(), "x");
    }

    #[tokio::test]
    async fn size_end_and_error_of_the_inner_body_are_its_own() {
        let full = ResponseBody::inner(Full::new(Bytes::from("xyz")));
        assert_eq!(full.size_hint().exact(), Some(3));
        assert!(!full.is_end_stream());
        assert!(ResponseBody::<Full<Bytes>>::default().is_end_stream());
        let frames = [Ok(Frame::data(Bytes::from("x"))), Err("reset")];
        let broken = StreamBody::new(futures::stream::iter(frames));
        let mut body = ResponseBody::inner(broken);
        assert_eq!(body.size_hint().exact(), None);
        assert!(body.frame().await.unwrap().is_ok());
        assert_eq!(body.frame().await.unwrap().unwrap_err(), "reset");
    }
}
