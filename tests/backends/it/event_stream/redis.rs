//! The log in Redis.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ::redis::Client;
use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use bartizan::event_stream::conformance::{self, Meanwhile};
use bartizan::event_stream::{EventId, EventStore, NewEvent, Read, RedisStore, Selector};
use futures::StreamExt;
use server::{Redis, RedisCluster};
use tokio::time::timeout;

use super::{Checked, event, until};
use crate::{DEADLINE, SILENCE};

pub(super) type Store = RedisStore<ConnectionManager>;

/// A server, and as many empty logs on it as are asked for.
struct Logs {
    server: Redis,
    connection: ConnectionManager,
    made: AtomicU32,
}

impl Logs {
    async fn start() -> Self {
        let server = Redis::start();
        let connection = manage(&server).await;
        let made = AtomicU32::new(0);
        Self {
            server,
            connection,
            made,
        }
    }

    async fn fresh(&self) -> Store {
        self.made.fetch_add(1, Ordering::Relaxed);
        RedisStore::new(self.connection.clone()).key(self.key())
    }

    /// The log that was made last.
    fn key(&self) -> String {
        format!("log:{}", self.made.load(Ordering::Relaxed))
    }

    fn run(&self, words: &[&str]) {
        let _: ::redis::Value = self.server.command(words).unwrap();
    }
}

pub(super) async fn manage(server: &Redis) -> ConnectionManager {
    // Back soon after a restart, and not impatient on a busy machine.
    let quick = ConnectionManagerConfig::new()
        .set_max_delay(Duration::from_millis(200))
        .set_response_timeout(Some(DEADLINE));
    let client = Client::open(server.url()).unwrap();
    client
        .get_connection_manager_with_config(quick)
        .await
        .unwrap()
}

async fn append(store: &Store, event: NewEvent) {
    store.append(event).await.unwrap();
}

#[tokio::test]
async fn a_client_gets_ten_thousand_events_through_a_hub_that_keeps_one() -> Checked {
    let logs = Logs::start().await;
    let client = || Client::open(logs.server.url()).unwrap();
    let fresh = async || logs.fresh().await.wait_at(client());
    let append = async |store: &Store, event| {
        store.append(event).await.unwrap();
    };
    conformance::check_delivery(fresh, append, 10_000).await
}

#[tokio::test]
async fn it_keeps_the_contract() -> Checked {
    let logs = Logs::start().await;
    let fresh = async || logs.fresh().await;
    conformance::check(fresh, append).await?;
    let trim = async |store: &Store, id| {
        store.trim(id).await.unwrap();
    };
    conformance::check_trim(fresh, append, trim).await?;
    let reopen = async |_: Store| {
        let connection = manage(&logs.server).await;
        RedisStore::new(connection).key(logs.key())
    };
    conformance::check_reopen(fresh, append, reopen).await?;
    // One command after the other: the second begins when the first is in.
    let overlap = async |store: &Store, first, second, meanwhile: Meanwhile<'_>| {
        append(store, first).await;
        meanwhile.await;
        append(store, second).await;
    };
    conformance::check_commit_order(fresh, append, overlap).await
}

#[tokio::test]
async fn a_flush_and_a_deleted_key_and_an_owner_who_says_so_start_a_new_epoch() -> Checked {
    let logs = Logs::start().await;
    let fresh = async || logs.fresh().await;
    let flush = async |store: Store| {
        logs.run(&["FLUSHALL"]);
        store
    };
    conformance::check_loss(fresh, append, flush).await?;
    let delete = async |store: Store| {
        logs.run(&["DEL", &logs.key()]);
        store
    };
    conformance::check_loss(fresh, append, delete).await?;
    let renew = async |store: Store| {
        store.new_epoch().await.unwrap();
        store
    };
    conformance::check_loss(fresh, append, renew).await
}

/// As after a fail-over to a replica that lagged: the epoch and the older entries are there, and
/// newer ones come at once, with higher ids.
#[tokio::test]
async fn a_log_that_was_rolled_back_under_a_reader_has_a_new_epoch() -> Checked {
    let mut logs = Logs::start().await;
    logs.run(&["CONFIG", "SET", "appendonly", "no"]);
    let logs = std::cell::RefCell::new(&mut logs);
    #[expect(clippy::await_holding_refcell_ref, reason = "one at a time")]
    let fresh = async || {
        let store = logs.borrow().fresh().await;
        append(&store, event("before")).await;
        // What is on the disk is from now.
        logs.borrow().run(&["CONFIG", "SET", "appendonly", "yes"]);
        until(|| async {
            let state: String = logs
                .borrow()
                .server
                .command(&["INFO", "persistence"])
                .unwrap();
            state.contains("aof_rewrite_in_progress:0").then_some(())
        })
        .await
        .unwrap();
        logs.borrow().run(&["CONFIG", "SET", "appendonly", "no"]);
        store
    };
    let lose = async |store: Store| {
        let mut logs = logs.borrow_mut();
        logs.server.kill();
        logs.server.restart();
        store
    };
    let append = async |store: &Store, event: NewEvent| {
        let appended = until(|| async { store.append(event.clone()).await.ok() });
        appended.await.unwrap();
    };
    conformance::check_loss(fresh, append, lose).await
}

/// Whoever has read what was lost knows it by that, also in a process that knows nothing.
#[tokio::test]
async fn a_cursor_at_an_entry_that_was_lost_is_gone_for_a_process_that_has_never_read_it() {
    let logs = Logs::start().await;
    let store = logs.fresh().await;
    append(&store, event("kept")).await;
    let kept = store.bounds().await.unwrap().head();
    let dumped: Vec<u8> = logs.server.command(&["DUMP", &logs.key()]).unwrap();
    append(&store, event("lost")).await;
    let lost = store.bounds().await.unwrap().head();
    let restore = ::redis::cmd("RESTORE")
        .arg(logs.key())
        .arg(0)
        .arg(dumped)
        .arg("REPLACE")
        .to_owned();
    restore
        .query_async::<()>(&mut logs.connection.clone())
        .await
        .unwrap();

    let other = RedisStore::new(logs.connection.clone()).key(logs.key());
    // No fail-over takes less than the millisecond in which an id would be given again.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let later = other.append(event("later")).await.unwrap();
    let everything = Selector::everything();
    let read = other.read_after(lost, &everything, 9).await.unwrap();
    assert!(matches!(read, Read::Gone(_)), "{lost}, {later}: {read:?}");
    let read = other.read_after(kept, &everything, 9).await.unwrap();
    assert!(matches!(read, Read::Page(_)), "{kept}, {later}: {read:?}");
}

#[tokio::test]
async fn entries_that_anybody_removes_are_missed_by_nobody_silently() -> Checked {
    let logs = Logs::start().await;
    let store = logs.fresh().await;
    let ids = async |store: &Store| {
        let mut ids: Vec<EventId> = Vec::new();
        for n in 0..6 {
            ids.push(store.append(event(&n.to_string())).await.unwrap());
        }
        ids
    };
    let is_gone = async |store: &Store, id| {
        let read = store.read_after(id, &Selector::everything(), 9).await;
        matches!(read.unwrap(), Read::Gone(_))
    };
    let trimmed = ids(&store).await;
    logs.run(&["XTRIM", &logs.key(), "MAXLEN", "=", "2"]);
    assert!(is_gone(&store, trimmed[1]).await && !is_gone(&store, trimmed[4]).await);
    // After that the store's own trims are exact again.
    store.trim(trimmed[4]).await.unwrap();
    assert!(is_gone(&store, trimmed[3]).await && !is_gone(&store, trimmed[4]).await);
    logs.run(&["XTRIM", &logs.key(), "MAXLEN", "=", "0"]);
    assert!(is_gone(&store, trimmed[4]).await && !is_gone(&store, trimmed[5]).await);

    let store = logs.fresh().await;
    let deleted = ids(&store).await;
    let middle = deleted[3].position().get();
    let middle = format!("{}-{}", middle >> 64, middle as u64);
    logs.run(&["XDEL", &logs.key(), &middle]);
    assert!(is_gone(&store, deleted[2]).await && !is_gone(&store, deleted[4]).await);
    Ok(())
}

#[tokio::test]
async fn a_log_stays_within_its_bounds_by_appending_alone() {
    let logs = Logs::start().await;
    let store = logs.fresh().await.keep_events(100);
    for n in 0..1000 {
        append(&store, event(&n.to_string())).await;
    }
    let length: u64 = logs.server.command(&["XLEN", &logs.key()]).unwrap();
    assert!((100..100 + 128).contains(&length), "{length}");
    store.prune().await.unwrap();
    let length: u64 = logs.server.command(&["XLEN", &logs.key()]).unwrap();
    assert_eq!(length, 100);
    let bounds = store.bounds().await.unwrap();
    let read = store
        .read_after(bounds.floor(), &Selector::everything(), 999)
        .await;
    assert!(matches!(read, Ok(Read::Page(page)) if page.events().len() == 100));

    let young = store.clone().keep_for(Duration::from_secs(1));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(young.prune().await.unwrap(), 100);
    assert_eq!(young.bounds().await.unwrap().head(), bounds.head());
}

#[tokio::test]
async fn what_others_append_is_read_and_what_is_no_event_is_left_out() {
    let logs = Logs::start().await;
    let store = logs.fresh().await;
    let key = logs.key();
    logs.run(&["XADD", &key, "*", "type", "a", "data", "before any reader"]);
    logs.run(&["XADD", &key, "*", "temperature", "21"]);
    logs.run(&[
        "XADD", &key, "*", "user", "u1", "data", "x", "type", "b", "topic", "t", "more", "!",
    ]);
    let page = store.find_recent(&Selector::everything(), 9).await.unwrap();
    let found: Vec<_> = page
        .events()
        .iter()
        .map(|event| event.content().kind())
        .collect();
    assert_eq!(found, ["a", "b"]);
    assert_eq!(page.events()[1].content().user(), Some("u1"));
    assert!(store.bounds().await.unwrap().floor().position() < page.events()[0].id().position());
}

#[tokio::test]
async fn a_replica_and_a_full_server_refuse_and_reading_goes_on_where_it_can() {
    let logs = Logs::start().await;
    let store = logs.fresh().await;
    append(&store, event("one")).await;
    logs.run(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(store.append(event("no room")).await.is_err());
    assert_eq!(
        store
            .find_recent(&Selector::everything(), 9)
            .await
            .unwrap()
            .events()
            .len(),
        1
    );
    logs.run(&["CONFIG", "SET", "maxmemory", "0"]);

    let primary = Redis::start();
    logs.run(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    assert!(store.bounds().await.is_err());
    assert!(store.append(event("to a replica")).await.is_err());
}

#[tokio::test]
async fn it_works_on_a_cluster() -> Checked {
    let cluster = RedisCluster::start();
    let client = ::redis::cluster::ClusterClient::new(cluster.urls()).unwrap();
    let connection = client.get_async_connection().await.unwrap();
    let made = AtomicU32::new(0);
    let fresh = async || {
        let key = format!("log:{}", made.fetch_add(1, Ordering::Relaxed));
        RedisStore::new(connection.clone()).key(key)
    };
    let append = async |store: &RedisStore<_>, event| {
        store.append(event).await.unwrap();
    };
    conformance::check(fresh, append).await
}

#[tokio::test]
async fn whoever_waits_hears_of_an_append_and_of_what_came_while_the_server_was_away() {
    let mut server = Redis::start();
    let client = Client::open(server.url()).unwrap();
    let store = RedisStore::new(manage(&server).await).wait_at(client);
    let mut hints = Box::pin(store.hints());
    let mut other = Box::pin(store.hints());
    timeout(DEADLINE, hints.next()).await.unwrap().unwrap();

    let quiet = timeout(SILENCE, hints.next()).await;
    assert!(quiet.is_err(), "nothing has happened");
    append(&store, event("news")).await;
    timeout(DEADLINE, hints.next()).await.unwrap().unwrap();
    // One reader waits, whoever asks.
    assert!(timeout(SILENCE, other.next()).await.is_err());

    server.kill();
    server.restart();
    timeout(DEADLINE, hints.next()).await.unwrap().unwrap();
    drop(hints);
    timeout(DEADLINE, other.next()).await.unwrap().unwrap();

    // A log that is lost meanwhile begins anew, by a clock that may be behind.
    let mut connection = manage(&server).await;
    let key = "bartizan:events";
    for words in [
        &["DEL", key][..],
        &["XADD", key, "5-1", "type", "x", "data", ""],
    ] {
        let mut command = ::redis::Cmd::new();
        command.arg(words);
        command.query_async::<()>(&mut connection).await.unwrap();
    }
    timeout(DEADLINE, other.next()).await.unwrap().unwrap();
}
