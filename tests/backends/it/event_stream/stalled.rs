//! Event streams over a real hyper server on loopback, to a client that stops reading.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan::event_stream::{EventHub, EventHubBuilder, EventStream, MemoryStore, NewEvent};
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use crate::DEADLINE;

/// What was taken of the stream, and by whom; and whether the kernel takes no more.
#[derive(Clone, Default)]
struct Taken(Arc<[AtomicU64; 2]>, Arc<AtomicBool>);

impl Taken {
    /// Bytes that hyper has taken of the body.
    fn of_body(&self) -> u64 {
        self.0[0].load(Ordering::Relaxed)
    }

    /// Bytes that the kernel has taken of hyper, head included.
    fn by_kernel(&self) -> u64 {
        self.0[1].load(Ordering::Relaxed)
    }

    /// Whether the kernel took nothing when it was asked last.
    fn is_refused(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }
}

/// A socket that counts what is written to it.
struct Counted(TcpStream, Taken);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.0).poll_write(cx, bytes);
        self.count(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.0).poll_write_vectored(cx, parts);
        self.count(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Counted {
    fn count(&self, written: &Poll<io::Result<usize>>) {
        self.1.1.store(written.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(written)) = written {
            self.1.0[1].fetch_add(*written as u64, Ordering::Relaxed);
        }
    }
}

/// What a host can set.
#[derive(Clone, Copy)]
struct Caps {
    hyper: Option<usize>,
    kernel: Option<u32>,
}

/// A server of one hub.
struct Server {
    store: MemoryStore,
    hub: EventHub,
    address: std::net::SocketAddr,
    taken: Taken,
    small_window: bool,
}

impl Server {
    async fn start(
        caps: Caps,
        change: impl FnOnce(EventHubBuilder<MemoryStore>) -> EventHubBuilder<MemoryStore>,
    ) -> Self {
        let store = MemoryStore::bounded(1 << 20, 256 << 20);
        let (hub, tailer) = change(EventHub::builder(store.clone())).build();
        tokio::spawn(tailer);
        while hub.head().is_none() {
            tokio::task::yield_now().await;
        }
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = caps.kernel {
            socket.set_send_buffer_size(bytes).unwrap();
        }
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(8).unwrap();
        let address = listener.local_addr().unwrap();
        let (events, taken) = (EventStream::new(hub.clone()), Taken::default());
        let counts = taken.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let of_body = counts.clone();
                let events = ServiceExt::<Request<Incoming>>::boxed_clone(events.clone());
                let service = events.map_response(move |response| {
                    let of_body = of_body.clone();
                    response.map(|body| {
                        body.map_frame(move |frame: http_body::Frame<Bytes>| {
                            let length = frame.data_ref().map_or(0, Bytes::len);
                            of_body.0[0].fetch_add(length as u64, Ordering::Relaxed);
                            frame
                        })
                    })
                });
                let mut connections = http1::Builder::new();
                if let Some(bytes) = caps.hyper {
                    connections.max_buf_size(bytes);
                }
                let io = TokioIo::new(Counted(socket, counts.clone()));
                tokio::spawn(connections.serve_connection(io, TowerToHyperService::new(service)));
            }
        });
        Self {
            store,
            hub,
            address,
            taken,
            small_window: caps.kernel.is_some(),
        }
    }

    /// Opens a stream that resumes after `id`, and reads its head.
    async fn connect(&self, id: Option<&str>) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        if self.small_window {
            socket.set_recv_buffer_size(32 << 10).unwrap();
        }
        let socket = socket.connect(self.address).await.unwrap();
        let mut client = Client {
            socket,
            text: String::new(),
            id: String::new(),
        };
        // Without chunks in between.
        let resume = id.map_or(String::new(), |id| format!("last-event-id: {id}\r\n"));
        let request = format!("GET / HTTP/1.0\r\n{resume}\r\n");
        client.socket.write_all(request.as_bytes()).await.unwrap();
        let head = client.block("\r\n\r\n").await.expect("a head");
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        client
    }

    /// Publishes `count` events of a kibibyte that are numbered from `first` on, and waits until
    /// the hub has read them.
    async fn publish(&self, first: usize, count: usize) {
        let mut last = None;
        for n in first..first + count {
            let event = NewEvent::text("a", format!("{n:01024}")).unwrap();
            last = Some(self.store.append(event).unwrap());
            if n % 64 == 0 {
                // Not in the way of those who read.
                tokio::task::yield_now().await;
            }
        }
        while self.hub.head() != last {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the kernel takes no more of the stream, and nothing has changed about that for a while.
    async fn stalled(&self) {
        let (mut before, mut still) = (0, 0);
        while still < 30 {
            sleep(Duration::from_millis(10)).await;
            let now = self.taken.of_body() + self.taken.by_kernel();
            still = if now == before && self.taken.is_refused() {
                still + 1
            } else {
                0
            };
            before = now;
        }
    }
}

struct Client {
    socket: TcpStream,
    text: String,
    id: String,
}

impl Client {
    /// What comes before the next `end`, or `None` at the end of the stream.
    async fn block(&mut self, end: &str) -> Option<String> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            if let Some(at) = self.text.find(end) {
                let block = self.text[..at].to_owned();
                self.text.drain(..at + end.len());
                return Some(block);
            }
            let read = timeout(DEADLINE, self.socket.read(&mut buffer)).await;
            match read.expect("something comes").unwrap() {
                0 => return None,
                read => self
                    .text
                    .push_str(std::str::from_utf8(&buffer[..read]).unwrap()),
            }
        }
    }

    /// The number of the next event, or `None` at the end of the stream.
    async fn event(&mut self) -> Option<usize> {
        loop {
            let block = self.block("\n\n").await?;
            let mut number = None;
            for line in block.lines() {
                match line.split_once(": ") {
                    Some(("id", id)) => self.id = id.to_owned(),
                    Some(("event", kind)) => assert!(["a", "caught-up"].contains(&kind), "{kind}"),
                    Some(("data", "{}")) => {}
                    Some(("data", data)) => number = data.parse().ok(),
                    _ => {}
                }
            }
            if number.is_some() {
                return number;
            }
        }
    }
}

/// 32 MiB, far more than any buffer on the way.
const EVENTS: usize = 32 << 10;

async fn bytes_taken_of_a_stalled_stream(caps: Caps) -> (u64, u64) {
    let server = Server::start(caps, |builder| builder.ring(256, 1 << 20)).await;
    let mut client = server.connect(None).await;
    while client.id.is_empty() {
        let block = client.block("\n\n").await.unwrap();
        client.id = block.strip_prefix("id: ").unwrap_or_default().to_owned();
    }
    server.publish(0, EVENTS).await;
    server.stalled().await;
    let (body, kernel) = (server.taken.of_body(), server.taken.by_kernel());
    let before = server.hub.stats().demotions;
    // Read again, it goes on where it stood.
    for n in 0..EVENTS {
        assert_eq!(client.event().await, Some(n));
    }
    server.publish(EVENTS, 1).await;
    assert_eq!(client.event().await, Some(EVENTS));
    let stats = server.hub.stats();
    // Until the socket is full, a busy machine may fall behind and come back more than once; after that
    // it fell behind at most once more, which it may have noticed when it was read again, and came back.
    let since = stats.demotions - before;
    assert!(stats.demotions >= 1 && since <= 1, "{before}, {stats:?}");
    let returned = (stats.hand_overs, stats.resets);
    assert_eq!(returned, (stats.demotions, 0), "{stats:?}");
    (body.saturating_sub(kernel), kernel)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_reading_costs_what_is_documented_and_loses_nothing() {
    let unset = Caps {
        hyper: None,
        kernel: None,
    };
    let (hyper, kernel) = bytes_taken_of_a_stalled_stream(unset).await;
    println!("as it comes: hyper holds {hyper} bytes, the kernel {kernel}");
    assert!(hyper <= 512 << 10, "hyper holds {hyper}");
    assert!(hyper + kernel <= 12 << 20, "the kernel holds {kernel}");

    let set = Caps {
        hyper: Some(16 << 10),
        kernel: Some(32 << 10),
    };
    let (hyper, kernel) = bytes_taken_of_a_stalled_stream(set).await;
    println!("with caps: hyper holds {hyper} bytes, the kernel {kernel}");
    assert!(hyper <= 64 << 10, "hyper holds {hyper}");
    assert!(hyper + kernel <= 512 << 10, "the kernel holds {kernel}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_ended_while_its_socket_took_nothing_says_so_when_it_takes_something() {
    let caps = Caps {
        hyper: Some(16 << 10),
        kernel: Some(32 << 10),
    };
    let server = Server::start(caps, |builder| {
        builder
            .ring(256, 1 << 20)
            .write_stall(Duration::from_secs(5))
            .keep_alive(Duration::from_secs(1))
    })
    .await;
    let mut client = server.connect(None).await;
    while client.id.is_empty() {
        let block = client.block("\n\n").await.unwrap();
        client.id = block.strip_prefix("id: ").unwrap_or_default().to_owned();
    }
    server.publish(0, EVENTS).await;
    let stalled = async {
        while server.hub.stats().stalled == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, stalled).await.expect("the wheel ends it");
    let mut next = 0;
    while let Some(n) = client.event().await {
        assert_eq!(n, next);
        next += 1;
    }
    assert!((1..EVENTS).contains(&next), "it ended with {next}");
    let id = std::mem::take(&mut client.id);
    let mut client = server.connect(Some(&id)).await;
    for n in next..EVENTS {
        assert_eq!(client.event().await, Some(n));
    }
}
