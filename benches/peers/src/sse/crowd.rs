//! The clients: each counts the events that it gets.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

/// Clients that are connected, and what they have heard.
pub struct Crowd {
    runtime: tokio::runtime::Runtime,
    local: LocalSet,
    heard: Rc<Heard>,
}

#[derive(Default)]
struct Heard {
    connected: Cell<usize>,
    events: Cell<usize>,
    expected: Cell<usize>,
    /// When, in seconds from some moment.
    arrivals: RefCell<Vec<f64>>,
    since: Cell<Option<Instant>>,
    enough: Notify,
}

/// When events arrived, in seconds since they were asked for, in order.
pub struct Arrivals(Vec<f64>);

impl Arrivals {
    pub fn last(&self) -> f64 {
        self.0.last().copied().unwrap_or_default()
    }

    pub fn p99(&self) -> f64 {
        self.0[self.0.len() * 99 / 100]
    }
}

impl Crowd {
    /// Connects `count` clients, each as a user of its own.
    pub fn connect(port: u16, count: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let crowd = Self {
            runtime,
            local: LocalSet::new(),
            heard: Rc::default(),
        };
        crowd.block_on(async {
            // A few at a time: a listener's queue is short.
            for first in (0..count).step_by(100) {
                let last = count.min(first + 100);
                let mut sockets = Vec::new();
                for _ in first..last {
                    sockets.push(TcpStream::connect(("127.0.0.1", port)).await);
                }
                // Over a network a request comes a round trip after its connection. Without it, how much a
                // server keeps depends on which of the two its thread sees first.
                sleep(ROUND_TRIP).await;
                for (user, socket) in (first..last).zip(sockets) {
                    let socket = socket.expect("a server");
                    spawn_local(listen(socket, user, Rc::clone(&crowd.heard)));
                }
                while crowd.heard.connected.get() < last {
                    crowd.heard.enough.notified().await;
                }
            }
        });
        crowd
    }

    /// Calls `publish`, and waits until `events` more have arrived in all.
    pub fn hear(&self, events: usize, publish: impl FnOnce()) -> Arrivals {
        let heard = &self.heard;
        heard.expected.set(heard.events.get() + events);
        heard.arrivals.borrow_mut().clear();
        heard.since.set(Some(Instant::now()));
        self.block_on(async {
            publish();
            while heard.events.get() < heard.expected.get() {
                heard.enough.notified().await;
            }
        });
        Arrivals(heard.arrivals.take())
    }

    fn block_on(&self, done: impl Future<Output = ()>) {
        let done = async { timeout(PATIENCE, done).await };
        let done = self.local.block_on(&self.runtime, done);
        done.expect("a server that answers");
    }
}

async fn listen(mut socket: TcpStream, user: usize, heard: Rc<Heard>) {
    let request = format!(
        "GET /events?caller={user} HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n"
    );
    socket
        .write_all(request.as_bytes())
        .await
        .expect("a server");
    let mut buffer = vec![0; 2048];
    let mut length = socket.read(&mut buffer).await.expect("a head");
    assert!(
        buffer.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&buffer[..length])
    );
    heard.connected.set(heard.connected.get() + 1);
    heard.enough.notify_one();
    // Small while it is idle, as the memory of a crowd counts too.
    while length > 0 {
        let events = buffer[..length]
            .iter()
            .filter(|byte| **byte == b'#')
            .count();
        if events > 0 {
            heard.events.set(heard.events.get() + events);
            if let Some(since) = heard.since.get() {
                let mut arrivals = heard.arrivals.borrow_mut();
                arrivals.push(since.elapsed().as_secs_f64());
            }
            if heard.events.get() >= heard.expected.get() {
                heard.enough.notify_one();
            }
        }
        length = socket.read(&mut buffer).await.unwrap_or(0);
    }
}

/// Between connecting and asking.
const ROUND_TRIP: Duration = Duration::from_millis(20);

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
