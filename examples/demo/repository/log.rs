//! The log that the hub reads, wherever it is.

use bartizan::event_stream::{Bounds, EventId, EventStore, Page, Read, Selector};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};

use super::{Error, sqlite};

/// One of the logs.
#[derive(Clone, Debug)]
pub(crate) enum Log {
    Sqlite(sqlite::Repository),
    #[cfg(feature = "postgres")]
    Postgres(bartizan::event_stream::PostgresStore),
    #[cfg(feature = "redis")]
    Redis(super::redis::Store),
}

impl EventStore for Log {
    type Error = Error;

    async fn bounds(&self) -> Result<Bounds, Error> {
        Ok(match self {
            Self::Sqlite(log) => log.bounds().await?,
            #[cfg(feature = "postgres")]
            Self::Postgres(log) => log.bounds().await?,
            #[cfg(feature = "redis")]
            Self::Redis(log) => log.bounds().await?,
        })
    }

    async fn read_after(
        &self,
        cursor: EventId,
        selector: &Selector,
        limit: usize,
    ) -> Result<Read, Error> {
        Ok(match self {
            Self::Sqlite(log) => log.read_after(cursor, selector, limit).await?,
            #[cfg(feature = "postgres")]
            Self::Postgres(log) => log.read_after(cursor, selector, limit).await?,
            #[cfg(feature = "redis")]
            Self::Redis(log) => log.read_after(cursor, selector, limit).await?,
        })
    }

    async fn find_recent(&self, selector: &Selector, limit: usize) -> Result<Page, Error> {
        Ok(match self {
            Self::Sqlite(log) => log.find_recent(selector, limit).await?,
            #[cfg(feature = "postgres")]
            Self::Postgres(log) => log.find_recent(selector, limit).await?,
            #[cfg(feature = "redis")]
            Self::Redis(log) => log.find_recent(selector, limit).await?,
        })
    }

    fn hints(&self) -> impl Stream<Item = ()> + Send {
        let hints: BoxStream<'_, ()> = match self {
            Self::Sqlite(log) => log.hints().boxed(),
            #[cfg(feature = "postgres")]
            Self::Postgres(log) => log.hints().boxed(),
            #[cfg(feature = "redis")]
            Self::Redis(log) => log.hints().boxed(),
        };
        hints
    }
}
