//! The least that events on bare hyper take, written by hand: a place for frames in each body, which whoever
//! publishes fills and then wakes.
//!
//! It has no log to resume from, no bound on what waits, no rights, and nobody leaves.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tower::service_fn;

use super::server::{Order, Orders, bare, data, opened};

/// What waits for one client, and who is to be woken for it.
struct Seat(Mutex<(VecDeque<Bytes>, Option<Waker>)>);

/// In their order, in which their memory lies as well.
type Seats = Arc<Mutex<BTreeMap<usize, Arc<Seat>>>>;

pub async fn serve(listener: TcpListener, orders: Orders) {
    let seats = Seats::default();
    tokio::task::spawn_local(publish(orders, Arc::clone(&seats)));
    let answer = move |request: Request<Incoming>| {
        let caller = request
            .uri()
            .query()
            .and_then(|it| it.strip_prefix("caller="));
        let caller = caller.and_then(|user| user.parse().ok()).expect("a user");
        let first = VecDeque::from([Bytes::from_static(b":\n\n")]);
        let seat = Arc::new(Seat(Mutex::new((first, None))));
        seats
            .lock()
            .expect("no panic")
            .insert(caller, Arc::clone(&seat));
        ready(Ok::<_, Infallible>(opened(Stream(seat))))
    };
    bare(listener, service_fn(answer)).await;
}

async fn publish(mut orders: Orders, seats: Seats) {
    let (mut id, data) = (0, data());
    while let Some(order) = orders.recv().await {
        let seats = seats.lock().expect("no panic");
        let (to, count): (Vec<_>, _) = match order {
            Order::One(user) => (seats.get(&user).cloned().into_iter().collect(), 1),
            Order::All(count) => (seats.values().cloned().collect(), count),
        };
        drop(seats);
        let mut events = String::new();
        for _ in 0..count {
            id += 1;
            events.push_str(&format!("id: {id}\nevent: tick\ndata: {data}\n\n"));
        }
        let frame = Bytes::from(events);
        for seat in to {
            let mut seat = seat.0.lock().expect("no panic");
            seat.0.push_back(frame.clone());
            if let Some(waker) = seat.1.take() {
                waker.wake();
            }
        }
    }
}

struct Stream(Arc<Seat>);

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut seat = self.0.0.lock().expect("no panic");
        if let Some(frame) = seat.0.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
        seat.1 = Some(context.waker().clone());
        Poll::Pending
    }
}
