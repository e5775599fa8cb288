//! The one reader that waits for the stream: on a connection of its own, which it blocks.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use futures::future::{Either, select};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult, Value};
use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};

use super::reply::Entry;
use crate::rand;
use crate::trace::emit;

/// Whom to wait at; the lock is held by the one who does.
pub(super) type Door = Arc<Mutex<Client>>;

/// Says when the stream has something new, and whenever that may have been missed: a connection
/// that breaks is made again, with growing pauses, and so is one when the store has `replaced` its
/// own: it may lead to a server that was the primary. While one waits, others wait for their turn.
pub(super) fn hints(
    door: Option<Door>,
    key: Arc<str>,
    replaced: Arc<watch::Sender<()>>,
) -> impl Stream<Item = ()> + Send + use<> {
    async_stream::stream! {
        let Some(door) = door else {
            pending::<()>().await;
            return;
        };
        let client = door.lock().await;
        let mut failures = 0;
        loop {
            let mut replaced = replaced.subscribe();
            match Waiting::begin(&client, &key).await {
                Ok(mut waiting) => {
                    failures = 0;
                    yield ();
                    while let Either::Left((Ok(news), _)) =
                        select(pin!(waiting.wait()), pin!(replaced.changed())).await
                    {
                        if news {
                            yield ();
                        }
                    }
                }
                Err(error) => {
                    emit!(debug, { error = error }, "waiting for events failed: polling meanwhile");
                    failures = (failures + 1).min(6);
                }
            }
            sleep(rand::jitter(PAUSE * (1 << failures), 20)).await;
        }
    }
}

struct Waiting<'a> {
    connection: MultiplexedConnection,
    key: &'a str,
    last: String,
}

impl<'a> Waiting<'a> {
    async fn begin(client: &Client, key: &'a str) -> RedisResult<Self> {
        let patient = AsyncConnectionConfig::new().set_response_timeout(None);
        let connected = client.get_multiplexed_async_connection_with_config(&patient);
        let mut waiting = Self {
            connection: connected.await?,
            key,
            last: String::new(),
        };
        waiting.go_to_end().await?;
        Ok(waiting)
    }

    /// Whether there was something new; an error when the connection is of no more use.
    async fn wait(&mut self) -> RedisResult<bool> {
        let mut read = redis::cmd("XREAD");
        read.arg("BLOCK").arg(BLOCK.as_millis() as u64);
        read.arg(&["COUNT", "1", "STREAMS", self.key, &self.last]);
        let answer = read.query_async::<Value>(&mut self.connection);
        let answer = timeout(BLOCK + GRACE, answer).await;
        let answer = answer.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        let before = std::mem::take(&mut self.last);
        self.go_to_end().await?;
        // Also where nothing came: a log that was lost begins anew, and its ids may be smaller.
        Ok(answer != Value::Nil || self.last != before)
    }

    /// A burst is one hint: the next wait begins at its end.
    async fn go_to_end(&mut self) -> RedisResult<()> {
        let mut newest = redis::cmd("XREVRANGE");
        newest.arg(&[self.key, "+", "-", "COUNT", "1"]);
        let newest = newest.query_async::<Vec<Entry>>(&mut self.connection);
        let newest = timeout(GRACE, newest).await;
        let newest = newest.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        self.last = newest
            .into_iter()
            .next()
            .map_or_else(|| "0-0".to_owned(), |entry| entry.0);
        Ok(())
    }
}

/// How long the server lets the connection wait; it finds out then that nobody is there any more.
const BLOCK: Duration = Duration::from_secs(5);

/// How much longer an answer may take.
const GRACE: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(100);
