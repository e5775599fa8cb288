//! The same service in hyper, axum and tonic, and `respond`.

use std::convert::Infallible;
use std::io;

use bartizan::event_stream::{Event, EventId, EventStream, NewEvent, respond};
use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceExt};

use super::{event, public, settle};

/// Reads a stream up to the first event, as any server would.
async fn first<S, B, R>(service: S, body: B) -> String
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    R: Body<Data = Bytes>,
{
    let request = Request::get("/events?recent=1").body(body).unwrap();
    let Ok(response) = service.oneshot(request).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = Box::pin(response.into_body());
    let mut text = Vec::new();
    while !text.ends_with(b"data: hello\n\n") {
        let frame = body.frame().await.expect("it goes on");
        let Ok(frame) = frame else {
            panic!("a stream does not fail");
        };
        text.extend_from_slice(frame.data_ref().unwrap());
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_service_serves_hyper_axum_and_tonic_bodies() {
    let (store, _hub, events) = public().await;
    store.append(event("a", "hello")).unwrap();
    settle().await;
    let plain = first::<EventStream, _, _>(events.clone(), Full::new(Bytes::from("x"))).await;
    assert!(plain.starts_with(":\nretry: "));
    first::<EventStream, _, _>(events.clone(), tonic::body::Body::empty()).await;
    let router: axum::Router = axum::Router::new().route_service("/events", events);
    first(router, axum::body::Body::empty()).await;
}

#[tokio::test]
async fn any_stream_of_events_is_a_response() {
    let id: EventId = "e.5".parse().unwrap();
    let events = [
        Event::new(id, event("progress", "50 %")),
        Event::new(id, event("done", "")),
    ];
    let response = respond(stream::iter(events.map(Ok::<_, Infallible>)));
    assert_eq!(
        response.headers()["cache-control"],
        "no-cache, no-transform"
    );
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(
        body,
        ":\n\nid: e.5\nevent: progress\ndata: 50 %\n\nid: e.5\nevent: done\ndata: \n\n"
    );
}

#[tokio::test]
async fn an_error_of_the_stream_breaks_the_response_off() {
    let events: [Result<NewEvent, io::Error>; 2] =
        [Ok(event("a", "1")), Err(io::Error::other("the job died"))];
    let mut body = respond(stream::iter(events)).into_body();
    assert!(body.frame().await.unwrap().is_ok(), "the head's comment");
    assert!(body.frame().await.unwrap().is_ok(), "the event");
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the job died");
}
