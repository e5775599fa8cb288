//! `LISTEN`, over a connection of its own.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::time::sleep;

use crate::rand;
use crate::trace::emit;

/// Says when somebody has notified `channel`, and whenever that may have been missed: a connection
/// that breaks is made again, with growing pauses.
pub(super) fn hints(
    options: Option<(Arc<PgConnectOptions>, String)>,
) -> impl Stream<Item = ()> + Send + use<> {
    async_stream::stream! {
        let Some((options, channel)) = options else {
            pending::<()>().await;
            return;
        };
        let mut failures = 0;
        loop {
            match listen(&options, &channel).await {
                Ok(mut listener) => {
                    failures = 0;
                    yield ();
                    while let Ok(Some(_)) = listener.try_recv().await {
                        // A storm is one hint.
                        while listener.next_buffered().is_some() {}
                        yield ();
                    }
                }
                Err(error) => {
                    emit!(debug, { error = error }, "listening for events failed: polling meanwhile");
                    failures = (failures + 1).min(6);
                }
            }
            sleep(rand::jitter(PAUSE * (1 << failures), 20)).await;
        }
    }
}

/// The host's pool keeps all of its connections: this one is beside it.
async fn listen(options: &PgConnectOptions, channel: &str) -> sqlx::Result<PgListener> {
    let one = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with(options.clone());
    let mut listener = PgListener::connect_with(&one).await?;
    listener.eager_reconnect(false);
    listener.listen(channel).await?;
    Ok(listener)
}

const PAUSE: Duration = Duration::from_millis(100);
