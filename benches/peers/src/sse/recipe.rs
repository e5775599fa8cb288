//! The usual recipe: a broadcast channel, and a filter for each connection, on two servers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use actix_web_lab::sse;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use axum::routing::get;
use futures::{Stream, StreamExt};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::broadcast;

use super::server::{Order, Orders, data};

#[derive(Clone)]
struct Tick {
    id: u64,
    user: Option<usize>,
    data: Arc<str>,
}

type Ticks = broadcast::Sender<Tick>;

#[derive(Deserialize)]
struct Who {
    caller: usize,
}

/// Sends what is ordered.
fn publish(mut orders: Orders) -> Ticks {
    let (send, _) = broadcast::channel(16_384);
    let ticks = send.clone();
    tokio::spawn(async move {
        let mut id = 0_u64;
        let data: Arc<str> = data().into();
        while let Some(order) = orders.recv().await {
            let (user, count) = match order {
                Order::One(user) => (Some(user), 1),
                Order::All(count) => (None, count),
            };
            for _ in 0..count {
                id += 1;
                let data = Arc::clone(&data);
                let _ = send.send(Tick { id, user, data });
            }
        }
    });
    ticks
}

/// What one user is to see.
fn listen(ticks: &Ticks, caller: usize) -> impl Stream<Item = Tick> + use<> {
    futures::stream::unfold(ticks.subscribe(), move |mut ticks| async move {
        loop {
            let tick = ticks.recv().await.ok()?;
            if tick.user.is_none_or(|user| user == caller) {
                return Some((tick, ticks));
            }
        }
    })
}

/// On `axum::serve`, with axum's own `Sse`.
pub async fn axum(listener: TcpListener, orders: Orders) {
    let app = Router::new()
        .route("/events", get(axum_ticks))
        .with_state(publish(orders));
    axum::serve(listener, app).await.expect("it serves");
}

async fn axum_ticks(
    Query(who): Query<Who>,
    State(ticks): State<Ticks>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = listen(&ticks, who.caller).map(|tick| {
        let event = Event::default().id(tick.id.to_string()).event("tick");
        Ok(event.data(&tick.data))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// On actix-web, with one worker, which is a thread of its own.
pub async fn actix(listener: TcpListener, orders: Orders) {
    let ticks = web::Data::new(publish(orders));
    let app = move || {
        App::new()
            .app_data(ticks.clone())
            .route("/events", web::get().to(actix_ticks))
    };
    let listener = listener.into_std().expect("a socket");
    let server = HttpServer::new(app).workers(1).listen(listener);
    let server = server.expect("a socket that listens").run();
    server.await.expect("it serves");
}

async fn actix_ticks(who: web::Query<Who>, ticks: web::Data<Ticks>) -> impl actix_web::Responder {
    let events = listen(&ticks, who.caller).map(|tick| {
        let data = sse::Data::new(&*tick.data).id(tick.id.to_string());
        sse::Event::Data(data.event("tick"))
    });
    sse::Sse::from_infallible_stream(events).with_keep_alive(KEEP_ALIVE)
}

/// As axum's default has it.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
