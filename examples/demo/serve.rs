//! The accept loop: plain hyper, so that each connection's limits and its end are in our hands.

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::Router;
use bartizan::client::PeerAddr;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tower::Layer;

/// Serves `app` until `stop`, and then until the connections have finished what they are at, or
/// `patience` is over.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = ()>,
    patience: Duration,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        // What a stalled reader of an event stream can make us hold, and the longest head.
        .max_buf_size(BUFFER);
    builder.http2().timer(TokioTimer::new());

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
        if !ready(&stream) {
            continue;
        }
        let service = PeerAddr::layer(peer).layer(app.clone());
        let connection = builder
            .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service))
            .into_owned();
        let connection = open.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(patience, open.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("connections were cut off");
    }
}

/// Events are small writes: they must not wait for an acknowledgement of the last one.
fn ready(stream: &TcpStream) -> bool {
    stream.set_nodelay(true).is_ok()
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

/// Time to send the head of a request, and to keep a connection open without one.
const HEADER_TIME: Duration = Duration::from_secs(30);

const BUFFER: usize = 64 * 1024;
