//! A stream of events that is nobody's log.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan::clock::Clock;
use bartizan::event_stream::{NewEvent, respond};
use futures::Stream;
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::event;

/// Events as they come through a channel, and what became of the stream.
struct Job {
    events: mpsc::Receiver<io::Result<NewEvent>>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    polls: AtomicUsize,
    drops: AtomicUsize,
}

impl Stream for Job {
    type Item = io::Result<NewEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.seen.polls.fetch_add(1, Ordering::Relaxed);
        self.events.poll_recv(cx)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.seen.drops.fetch_add(1, Ordering::Relaxed);
    }
}

fn job() -> (mpsc::Sender<io::Result<NewEvent>>, Job, Arc<Seen>) {
    let (send, events) = mpsc::channel(16);
    let seen = Arc::new(Seen::default());
    let job = Job {
        events,
        seen: Arc::clone(&seen),
    };
    (send, job, seen)
}

async fn text<B>(body: &mut B) -> String
where
    B: http_body::Body<Data = bytes::Bytes, Error = io::Error> + Unpin,
{
    let frame = body.frame().await.unwrap().unwrap();
    String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_kept_alive_and_silence_counts_from_the_last_event() {
    let (send, job, _seen) = job();
    let response = respond(job);
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let mut body = Box::pin(response.into_body());
    assert_eq!(text(&mut body).await, ":\n\n", "at once");
    let clock = Clock::new();
    for _ in 0..3 {
        let before = clock.now();
        assert_eq!(text(&mut body).await, ":\n\n");
        assert_eq!(clock.now().since(before).as_secs(), 15);
    }
    tokio::spawn(async move {
        for n in 0..2 {
            sleep(Duration::from_secs(10)).await;
            send.send(Ok(event("a", &n.to_string()))).await.unwrap();
        }
        sleep(Duration::from_secs(16)).await;
    });
    assert_eq!(text(&mut body).await, "event: a\ndata: 0\n\n");
    assert_eq!(text(&mut body).await, "event: a\ndata: 1\n\n");
    let before = clock.now();
    assert_eq!(text(&mut body).await, ":\n\n");
    assert_eq!(clock.now().since(before).as_secs(), 15);
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_end_ends_it_and_an_error_breaks_it_off_and_neither_is_polled_again() {
    for fails in [false, true] {
        let (send, job, seen) = job();
        let mut body = Box::pin(respond(job).into_body());
        send.send(Ok(event("a", "1"))).await.unwrap();
        if fails {
            send.send(Err(io::Error::other("the model is gone")))
                .await
                .unwrap();
        }
        drop(send);
        text(&mut body).await;
        assert_eq!(text(&mut body).await, "event: a\ndata: 1\n\n");
        match body.frame().await {
            Some(broken) => assert!(fails && broken.is_err()),
            None => assert!(!fails),
        }
        let polls = seen.polls.load(Ordering::Relaxed);
        for _ in 0..3 {
            assert!(body.frame().await.is_none());
        }
        assert!(http_body::Body::is_end_stream(&body));
        assert_eq!(seen.polls.load(Ordering::Relaxed), polls);
    }
}

#[tokio::test(start_paused = true)]
async fn it_takes_no_more_than_is_read_of_it_and_is_dropped_when_the_client_leaves() {
    let (send, job, seen) = job();
    let mut body = Box::pin(respond(job).into_body());
    text(&mut body).await;
    for n in 0..16 {
        send.send(Ok(event("a", &n.to_string()))).await.unwrap();
    }
    assert!(
        send.try_send(Ok(event("a", "no room"))).is_err(),
        "back-pressure"
    );
    text(&mut body).await;
    assert_eq!(seen.polls.load(Ordering::Relaxed), 1);
    // In the middle of a wait.
    while tokio::time::timeout(Duration::from_secs(1), text(&mut body))
        .await
        .is_ok()
    {}
    drop(body);
    assert_eq!(seen.drops.load(Ordering::Relaxed), 1);
    assert!(send.is_closed());
}
