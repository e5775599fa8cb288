//! The event log in Redis, which several demos share.

use std::fmt;

use bartizan::event_stream::{NewEvent, RedisStore};
use redis::Client;
use redis::aio::ConnectionManager;

use super::Error;
use crate::fleet;

pub(crate) type Store = RedisStore<ConnectionManager>;

/// The log, and the key of the sessions beside it.
#[derive(Clone)]
pub(super) struct Shared {
    log: Store,
    session_key: [u8; 32],
}

impl Shared {
    pub(super) async fn connect(client: Client) -> Result<Self, Error> {
        let mut connection = client.get_connection_manager().await?;
        // The first to come leaves its key for all.
        let key: [u8; 32] = rand::random();
        let mut keep = redis::cmd("SET");
        keep.arg(SESSION_KEY).arg(&key[..]).arg("NX");
        keep.query_async::<()>(&mut connection).await?;
        let mut kept = redis::cmd("GET");
        kept.arg(SESSION_KEY);
        let kept: Vec<u8> = kept.query_async(&mut connection).await?;
        let door = client.clone();
        let log = RedisStore::new(connection)
            .reconnect(move || fleet::connect(&client))
            .wait_at(door);
        Ok(Self {
            log,
            session_key: kept.try_into().unwrap_or(key),
        })
    }

    pub(super) fn log(&self) -> &Store {
        &self.log
    }

    pub(super) const fn session_key(&self) -> &[u8; 32] {
        &self.session_key
    }

    pub(super) async fn append(&self, event: NewEvent) -> Result<(), Error> {
        self.log.append(event).await?;
        Ok(())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

const SESSION_KEY: &str = "bartizan-demo:session-key";
