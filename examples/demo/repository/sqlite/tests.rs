//! The log keeps the contract of `EventStore`, and a transaction and its event are one.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use bartizan::event_stream::{EventId, EventStore, NewEvent, Read, Selector, conformance};

use super::events::{EVENTS_KEPT, append};
use super::{FILE, Repository};

/// Directories for one test's repositories, removed on drop.
struct Directories {
    root: PathBuf,
    made: AtomicU32,
}

impl Directories {
    fn new(test: &str) -> Self {
        let name = format!("bartizan-demo-repository-{}-{test}", std::process::id());
        Self {
            root: std::env::temp_dir().join(name),
            made: AtomicU32::new(0),
        }
    }

    fn fresh(&self) -> Repository {
        let dir = self
            .root
            .join(self.made.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::create_dir_all(&dir).unwrap();
        Repository::open(&dir).unwrap()
    }
}

impl Drop for Directories {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

async fn append_one(store: &Repository, event: NewEvent) {
    store.write(move |db| append(db, &event)).await.unwrap();
}

async fn trim(store: &Repository, id: EventId) {
    let position = i64::try_from(id.position().get()).unwrap();
    let trimmed =
        store.write(move |db| db.execute("DELETE FROM events WHERE position <= ?1", [position]));
    trimmed.await.unwrap();
}

#[tokio::test]
async fn the_log_keeps_the_contract() -> Result<(), conformance::Violation> {
    let directories = Directories::new("contract");
    let fresh = async || directories.fresh();
    let reopen = async |store: Repository| Repository::open(store.path.parent().unwrap()).unwrap();
    conformance::check(fresh, append_one).await?;
    conformance::check_delivery(fresh, append_one, 500).await?;
    conformance::check_trim(fresh, append_one, trim).await?;
    conformance::check_reopen(fresh, append_one, reopen).await?;
    // Two writers queue for the lock: the second begins when the first has committed.
    let overlap =
        async |store: &Repository, first, second, meanwhile: conformance::Meanwhile<'_>| {
            append_one(store, first).await;
            meanwhile.await;
            append_one(store, second).await;
        };
    conformance::check_commit_order(fresh, append_one, overlap).await?;
    let lose = async |store: Repository| {
        let directory = store.path.parent().unwrap().to_owned();
        drop(store);
        for file in std::fs::read_dir(&directory).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
        Repository::open(&directory).unwrap()
    };
    conformance::check_loss(fresh, append_one, lose).await
}

#[tokio::test]
async fn a_transaction_whose_event_cannot_be_written_is_not_written() {
    let directories = Directories::new("atomic");
    let store = directories.fresh();
    let db = rusqlite::Connection::open(store.path.parent().unwrap().join(FILE)).unwrap();
    db.execute_batch("ALTER TABLE events RENAME TO hidden")
        .unwrap();
    assert!(store.record("u1".to_owned(), 1.0, None).await.is_err());
    db.execute_batch("ALTER TABLE hidden RENAME TO events")
        .unwrap();
    assert_eq!(store.newest("u1".to_owned(), 10).await.unwrap(), []);
    store.record("u1".to_owned(), 2.0, None).await.unwrap();
    assert_eq!(
        store.newest("u1".to_owned(), 10).await.unwrap()[0].amount,
        2.0
    );
}

#[tokio::test]
async fn the_log_is_bounded_and_says_what_it_has_forgotten() {
    let directories = Directories::new("bounded");
    let store = directories.fresh();
    let first = store.bounds().await.unwrap().head();
    append_one(&store, NewEvent::text("x", "old").unwrap()).await;
    let newer = "UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'events'";
    store
        .write(move |db| db.execute(newer, [EVENTS_KEPT]))
        .await
        .unwrap();
    append_one(&store, NewEvent::text("x", "new").unwrap()).await;
    let gone = store.read_after(first, &Selector::everything(), 10).await;
    assert!(matches!(gone, Ok(Read::Gone(_))), "{gone:?}");
    let kept = store
        .find_recent(&Selector::everything(), 10)
        .await
        .unwrap();
    assert_eq!(kept.events().len(), 1);
}
