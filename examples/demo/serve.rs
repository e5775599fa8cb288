//! The accept loop: plain hyper, so that each connection's limits and its end are in our hands.

use std::future::{Future, pending};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bartizan::client::PeerAddr;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;
use tower::ServiceBuilder;

/// Serves `app` until `stop`, and then until the connections have finished what they are at, or
/// `patience` is over. A connection is closed if for `silence` it has no head of a request, or takes
/// nothing of an answer.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = ()>,
    silence: Duration,
    patience: Duration,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(silence)
        // What a stalled reader of an event stream can make us hold, and the longest head.
        .max_buf_size(BUFFER);
    // Who answers pings may stay, as with a stream; who is gone without a word may not.
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(silence);

    let open = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    after_failed_accept(&error).await;
                    continue;
                }
            },
        };
        if ready(&stream, silence).is_err() {
            continue;
        }
        let asked = Arc::new(Notify::new());
        let ask = Arc::clone(&asked);
        let service = ServiceBuilder::new()
            .map_request(move |request| {
                ask.notify_one();
                request
            })
            .layer(PeerAddr::layer(peer))
            .service(app.clone());
        let connection = builder
            .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service))
            .into_owned();
        let connection = open.watch(connection);
        // hyper counts from when it knows the version of HTTP, and HTTP/2 not at all.
        let unasked = async move {
            if timeout(silence, asked.notified()).await.is_ok() {
                pending().await
            }
        };
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "connection");
                },
                () = unasked => tracing::debug!("a connection without a request"),
            }
        });
    }
    drop(listener);
    if timeout(patience, open.shutdown()).await.is_err() {
        tracing::warn!("connections were cut off");
    }
}

/// Events are small writes: they must not wait for an acknowledgement of the last one. And who takes
/// nothing of what it is sent is not waited for: of that only the kernel knows.
fn ready(stream: &TcpStream, silence: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    {
        let millis = u32::try_from(silence.as_millis()).unwrap_or(u32::MAX);
        rustix::net::sockopt::set_tcp_user_timeout(stream, millis)?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = silence;
    Ok(())
}

/// A connection that was gone before we took it is none of our business; a lack of file descriptors
/// is, and passes.
async fn after_failed_accept(error: &io::Error) {
    if !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    ) {
        tracing::warn!(%error, "accept");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

const BUFFER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::body::{Body, Bytes};
    use axum::routing::get;
    use futures::channel::mpsc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn who_asks_for_nothing_is_cut_off_and_who_has_asked_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (body, frames) = mpsc::unbounded::<Result<Bytes, io::Error>>();
        let stream = Body::from_stream(frames);
        let stream = Arc::new(Mutex::new(Some(stream)));
        let once = move || {
            let body = stream.lock().unwrap().take();
            async { body.unwrap_or_default() }
        };
        let app = Router::new().route("/", get(once));
        let short = Duration::from_millis(100);
        tokio::spawn(serve(listener, app, pending(), short, short));
        let connect = async |said: &[u8]| {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(said).await.unwrap();
            socket
        };

        let mut asked = connect(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let head = asked.read_u8().await.unwrap();
        assert_eq!(head, b'H');
        for said in [
            &b""[..],
            b"P",
            b"GET / HTTP/1.1\r\nhost: a\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n",
            // HTTP/2 with nothing but its settings, and with a head that does not end.
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\0\0\0\0\x01\x82",
        ] {
            let mut silent = connect(said).await;
            let mut rest = Vec::new();
            let closed = silent.read_to_end(&mut rest);
            let closed = timeout(Duration::from_secs(120), closed).await;
            assert!(closed.is_ok(), "{said:?} is held open");
        }
        // It has waited for longer than any of them.
        body.unbounded_send(Ok(Bytes::from_static(b"still there")))
            .unwrap();
        drop(body);
        let mut rest = Vec::new();
        while !rest.ends_with(b"0\r\n\r\n") {
            assert_ne!(asked.read_buf(&mut rest).await.unwrap(), 0, "cut off");
        }
        assert!(rest.windows(11).any(|text| text == b"still there"));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn who_takes_nothing_of_an_answer_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (held, mut dropped) = mpsc::channel::<()>(1);
        let endless = move || {
            let held = held.clone();
            let zeros = futures::stream::repeat_with(move || {
                let _ = &held;
                Ok::<_, io::Error>(Bytes::from_static(&[0; 64 * 1024]))
            });
            async { Body::from_stream(zeros) }
        };
        let app = Router::new().route("/", get(endless));
        let (stop, stopped) = futures::channel::oneshot::channel::<()>();
        let stopped = async { stopped.await.unwrap_or_default() };
        let short = Duration::from_millis(100);
        let long = Duration::from_secs(120);
        tokio::spawn(serve(listener, app, stopped, short, long));
        let mut deaf = TcpStream::connect(address).await.unwrap();
        let head = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        deaf.write_all(head).await.unwrap();
        assert_eq!(deaf.read_u8().await.unwrap(), b'H');
        // From now on what holds the sender is the answer alone.
        drop(stop);
        let cut_off = timeout(long, futures::StreamExt::next(&mut dropped)).await;
        assert!(cut_off.is_ok(), "its answer is held for ever");
        drop(deaf);
    }
}
