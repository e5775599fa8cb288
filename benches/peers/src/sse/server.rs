//! The servers: what each contestant would write.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::BufRead;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use axum::Router;
use bartizan::event_stream::{Denied, EventHub, EventStream, Grant, MemoryStore, NewEvent};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tower::{Service, service_fn};

use super::kind::Kind;
use super::{by_hand, nchan, recipe};

/// What the other process asks for, a line each.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// An event for one user.
    One(usize),
    /// So many events for all.
    All(usize),
}

impl Order {
    fn read(line: &str) -> Option<Self> {
        let (what, number) = line.split_once(' ')?;
        let number = number.parse().ok()?;
        match what {
            "one" => Some(Self::One(number)),
            "all" => Some(Self::All(number)),
            _ => None,
        }
    }
}

pub type Orders = mpsc::UnboundedReceiver<Order>;

/// Serves as `flag` says, until standard input ends.
pub fn run(flag: &str) {
    let kind = Kind::ALL.into_iter().find(|kind| kind.flag() == flag);
    match kind.expect("a contestant") {
        Kind::Nchan => nchan::relay("all $arg_caller", ordered()),
        Kind::NchanForAll => nchan::relay("all", ordered()),
        kind => serve(kind),
    }
}

/// What standard input orders, until it ends.
fn ordered() -> impl Iterator<Item = Order> {
    let lines = std::io::stdin().lock().lines();
    lines.map_while(|line| Order::read(&line.ok()?))
}

fn serve(kind: Kind) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address").port());
        let (send, orders) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for order in ordered() {
                // It fails only where nobody publishes.
                let _ = send.send(order);
            }
            std::process::exit(0);
        });
        match kind {
            Kind::Floor => floor(listener, orders).await,
            Kind::Broadcast => recipe::axum(listener, orders).await,
            Kind::Actix => recipe::actix(listener, orders).await,
            Kind::ByHand => by_hand::serve(listener, orders).await,
            Kind::Axum => {
                let app = Router::new().route_service("/events", hub(orders));
                axum::serve(listener, app).await.expect("it serves");
            }
            Kind::Hyper => bare(listener, hub(orders)).await,
            Kind::Silent => bare(listener, service_fn(silent)).await,
            Kind::Nchan | Kind::NchanForAll | Kind::BetterSse => {
                unreachable!("{kind:?} is a program of its own")
            }
        }
    });
}

/// A hundred bytes, one of which is what the crowd counts.
pub fn data() -> String {
    format!("#{}", "x".repeat(99))
}

fn hub(mut orders: Orders) -> EventStream {
    let store = MemoryStore::new();
    let (hub, tailer) = EventHub::builder(store.clone()).build();
    tokio::spawn(tailer);
    tokio::task::spawn_local(async move {
        let data = data();
        while let Some(order) = orders.recv().await {
            let event = NewEvent::text("tick", data.as_str()).expect("a type");
            let append = |event| store.append(event).expect("it is small");
            match order {
                Order::One(user) => {
                    append(event.for_user(user.to_string()));
                }
                Order::All(count) => (0..count).for_each(|_| {
                    append(event.clone());
                }),
            }
        }
    });
    // `?user=` would leave public events out, so this says who calls.
    EventStream::new(hub).authorize(|request: &http::request::Parts| {
        let query = request.uri.query().ok_or_else(Denied::unauthorized)?;
        let user = query
            .strip_prefix("caller=")
            .ok_or_else(Denied::unauthorized)?;
        Ok(Grant::user(user))
    })
}

/// Serves on hyper and nothing else.
pub async fn bare<S, B>(listener: TcpListener, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + 'static,
    S: Send,
    S::Future: Send,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    loop {
        let (socket, _) = listener.accept().await.expect("a connection");
        let _ = socket.set_nodelay(true);
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    }
}

fn silent(_: Request<Incoming>) -> Ready<Result<Response<Silent>, Infallible>> {
    ready(Ok(opened(Silent { opened: false })))
}

/// The head of a stream, as bartizan's is.
pub fn opened<B>(body: B) -> Response<B> {
    let response = Response::builder()
        .header("content-type", "text/event-stream")
        .header("cache-control", "no-cache, no-transform")
        .header("x-accel-buffering", "no");
    response.body(body).expect("valid fields")
}

struct Silent {
    opened: bool,
}

impl Body for Silent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match std::mem::replace(&mut self.opened, true) {
            false => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\n\n"))))),
            true => Poll::Pending,
        }
    }
}

async fn floor(listener: TcpListener, mut orders: Orders) {
    let open: Rc<RefCell<HashMap<usize, Rc<TcpStream>>>> = Rc::default();
    let accepted = Rc::clone(&open);
    tokio::task::spawn_local(async move {
        loop {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let _ = socket.set_nodelay(true);
            let open = Rc::clone(&accepted);
            tokio::task::spawn_local(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    socket.read_buf(&mut head).await.expect("a head");
                }
                let text = String::from_utf8_lossy(&head);
                let user = text
                    .split(['=', ' '])
                    .nth(2)
                    .and_then(|user| user.parse().ok());
                let answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n:\n\n";
                socket.write_all(answer).await.expect("it takes a head");
                open.borrow_mut()
                    .insert(user.expect("a user"), Rc::new(socket));
            });
        }
    });
    let mut id = 0;
    while let Some(order) = orders.recv().await {
        let (who, count): (Vec<_>, _) = match order {
            Order::One(user) => (open.borrow().get(&user).cloned().into_iter().collect(), 1),
            Order::All(count) => (open.borrow().values().cloned().collect(), count),
        };
        let mut bytes = String::new();
        for _ in 0..count {
            id += 1;
            bytes.push_str(&format!("id: {id}\nevent: tick\ndata: {}\n\n", data()));
        }
        for socket in who {
            write_all(&socket, bytes.as_bytes()).await;
        }
    }
}

async fn write_all(socket: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match socket.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(_) => socket.writable().await.expect("it is open"),
        }
    }
}
