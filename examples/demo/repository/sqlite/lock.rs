//! Holding the write lock on purpose, to show what the rest makes of it.

use std::time::Duration;

use super::connection::Handle;
use super::{BUSY, Error, Repository};

impl Repository {
    /// Takes the write lock on a connection of its own and gives it back after `time`.
    ///
    /// Answers once the lock is held. The lock goes with the connection: it cannot outlive the
    /// process, or the returned future's background task.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when somebody else holds the lock for a second.
    pub(crate) async fn hold_write_lock(&self, time: Duration) -> Result<(), Error> {
        let connection = Handle::open(&self.path, BUSY)?;
        connection
            .run(|db| db.execute_batch("BEGIN EXCLUSIVE"))
            .await?;
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            drop(connection); // a connection that closes rolls back
        });
        Ok(())
    }
}
