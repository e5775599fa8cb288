//! The log in PostgreSQL.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use bartizan::event_stream::conformance::{self, Meanwhile};
use bartizan::event_stream::{
    EventId, EventStore, NewEvent, Position, PostgresStore, Read, Selector,
};
use futures::StreamExt;
use server::Postgres;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor};
use tokio::time::timeout;

use super::{Checked, event, until, until_read};
use crate::{DEADLINE, SILENCE};

/// A server, and as many empty logs on it as are asked for.
struct Logs {
    server: Postgres,
    pool: PgPool,
    made: AtomicU32,
}

impl Logs {
    async fn start() -> Self {
        let server = Postgres::start();
        let pool = pool(&server);
        Self {
            server,
            pool,
            made: AtomicU32::new(0),
        }
    }

    fn name(&self) -> String {
        format!("log_{}", self.made.fetch_add(1, Ordering::Relaxed))
    }

    async fn fresh(&self) -> PostgresStore {
        let store = PostgresStore::new(self.pool.clone());
        let store = store.table(&self.name()).unwrap();
        store.migrate().await.unwrap();
        store
    }

    /// The log that was made last, as another process sees it.
    async fn reopen(&self) -> PostgresStore {
        let last = self.made.load(Ordering::Relaxed) - 1;
        let store = PostgresStore::new(pool(&self.server));
        let store = store.table(&format!("log_{last}")).unwrap();
        store.migrate().await.unwrap();
        store
    }

    async fn run(&self, statement: &str) -> sqlx::Result<()> {
        let statement = AssertSqlSafe(statement.to_owned());
        self.pool.execute(sqlx::raw_sql(statement)).await?;
        Ok(())
    }
}

/// Few connections: what a page holds between two reads would be missed at once.
pub(super) fn pool(server: &Postgres) -> PgPool {
    let options = PgPoolOptions::new().max_connections(3);
    options.connect_lazy(&server.url()).unwrap()
}

async fn append(store: &PostgresStore, event: NewEvent) {
    let id = store.append(event).await.unwrap();
    until_read(store, id).await;
}

#[tokio::test]
async fn a_client_gets_ten_thousand_events_through_a_hub_that_keeps_one() -> Checked {
    let logs = Logs::start().await;
    let fresh = async || logs.fresh().await.notify(true);
    let append = async |store: &PostgresStore, event| {
        store.append(event).await.unwrap();
    };
    conformance::check_delivery(fresh, append, 10_000).await
}

#[tokio::test]
async fn it_keeps_the_contract() -> Checked {
    let logs = Logs::start().await;
    let fresh = async || logs.fresh().await;
    conformance::check(fresh, append).await?;
    let trim = async |store: &PostgresStore, id| {
        store.trim(id).await.unwrap();
    };
    conformance::check_trim(fresh, append, trim).await?;
    conformance::check_reopen(fresh, append, async |_| logs.reopen().await).await
}

#[tokio::test]
async fn what_is_committed_out_of_order_is_not_skipped() -> Checked {
    let logs = Logs::start().await;
    let fresh = async || logs.fresh().await;
    let overlap = async |store: &PostgresStore, first, second, meanwhile: Meanwhile<'_>| {
        let mut tx = logs.pool.begin().await.unwrap();
        store.append_in(&mut tx, first).await.unwrap();
        store.append(second).await.unwrap();
        meanwhile.await;
        tx.commit().await.unwrap();
    };
    conformance::check_commit_order(fresh, append, overlap).await
}

#[tokio::test]
async fn an_event_is_rolled_back_with_the_transaction_and_with_the_savepoint_it_was_written_in() {
    let logs = Logs::start().await;
    let store = logs.fresh().await;
    let start = store.bounds().await.unwrap().head();
    let mut tx = logs.pool.begin().await.unwrap();
    store.append_in(&mut tx, event("kept")).await.unwrap();
    tx.execute("SAVEPOINT before").await.unwrap();
    store.append_in(&mut tx, event("undone")).await.unwrap();
    tx.execute("ROLLBACK TO before").await.unwrap();
    store.append_in(&mut tx, event("kept too")).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = logs.pool.begin().await.unwrap();
    store.append_in(&mut tx, event("undone")).await.unwrap();
    tx.rollback().await.unwrap();
    append(&store, event("last")).await;

    let read = store.read_after(start, &Selector::everything(), 9).await;
    let Ok(Read::Page(page)) = read else {
        panic!("{read:?}");
    };
    let data: Vec<_> = page
        .events()
        .iter()
        .map(|event| event.content().data())
        .collect();
    assert_eq!(data, ["kept", "kept too", "last"]);
}

/// As `DELETE`s by a schedule of the host, or by hand.
#[tokio::test]
async fn rows_that_anybody_deletes_are_missed_by_nobody_silently() -> Checked {
    let logs = Logs::start().await;
    let fresh = async || logs.fresh().await;
    let trim = async |store: &PostgresStore, id: EventId| {
        let (tx, row) = (id.position().get() >> 64, id.position().get() as u64);
        let table = format!("log_{}", logs.made.load(Ordering::Relaxed) - 1);
        let delete = format!("DELETE FROM {table} WHERE (tx, id) <= ({tx}, {row})");
        logs.run(&delete).await.unwrap();
        assert_eq!(store.prune().await.unwrap(), 0);
    };
    conformance::check_trim(fresh, append, trim).await?;

    let store = logs.fresh().await;
    let table = format!("log_{}", logs.made.load(Ordering::Relaxed) - 1);
    let mut older = logs.pool.begin().await.unwrap();
    store.append_in(&mut older, event("older")).await.unwrap();
    store.append(event("newer")).await.unwrap();
    let delete = format!("DELETE FROM {table}");
    let refused = logs.run(&delete).await.unwrap_err();
    assert!(refused.to_string().contains("older than it"), "{refused}");
    older.commit().await.unwrap();
    Ok(())
}

#[tokio::test]
async fn what_is_beyond_the_bounds_is_pruned_and_positions_stay() {
    let logs = Logs::start().await;
    let store = logs.fresh().await.keep_events(1500);
    let table = format!("log_{}", logs.made.load(Ordering::Relaxed) - 1);
    let many = format!(
        "INSERT INTO {table} (type, data) SELECT 'x', n::text FROM generate_series(1, 4000) n"
    );
    logs.run(&many).await.unwrap();
    until_read(&store, store.append(event("4001")).await.unwrap()).await;
    let before = newest(&store).await;
    assert_eq!(store.prune().await.unwrap(), 2501);
    assert_eq!(store.prune().await.unwrap(), 0);
    assert_eq!(newest(&store).await, before);
    let bounds = store.bounds().await.unwrap();
    let read = store
        .read_after(bounds.floor(), &Selector::everything(), 9999)
        .await;
    let Ok(Read::Page(page)) = read else {
        panic!("{read:?}");
    };
    assert_eq!(page.events().len(), 1500);

    let young = store.clone().keep_for(std::time::Duration::from_secs(3600));
    assert_eq!(young.prune().await.unwrap(), 0);
    let age = format!("UPDATE {table} SET at = at - interval '2 hours' WHERE data::int <= 3000");
    logs.run(&age).await.unwrap();
    assert_eq!(young.prune().await.unwrap(), 499);
    let none = store.clone().keep_events(0);
    assert_eq!(none.prune().await.unwrap(), 1001);
    let bounds = store.bounds().await.unwrap();
    assert_eq!((bounds.floor(), bounds.head()), (before, before));
}

async fn newest(store: &PostgresStore) -> EventId {
    store.bounds().await.unwrap().head()
}

#[tokio::test]
async fn a_log_that_was_emptied_or_whose_owner_says_so_has_a_new_epoch() -> Checked {
    let logs = Logs::start().await;
    let fresh = async || logs.fresh().await;
    let truncate = async |store: PostgresStore| {
        let table = format!("log_{}", logs.made.load(Ordering::Relaxed) - 1);
        logs.run(&format!("TRUNCATE {table}")).await.unwrap();
        store
    };
    conformance::check_loss(fresh, append, truncate).await?;
    let renew = async |store: PostgresStore| {
        store.new_epoch().await.unwrap();
        store
    };
    conformance::check_loss(fresh, append, renew).await
}

/// The transaction numbers of the dump are ahead of the new server's.
#[tokio::test]
async fn a_dump_that_is_restored_elsewhere_has_a_new_epoch_and_its_events() -> Checked {
    let old = Logs::start().await;
    let new = Logs::start().await;
    // What the old server has used up.
    for _ in 0..300 {
        old.run("SELECT pg_current_xact_id()").await.unwrap();
    }
    let fresh = async || old.fresh().await;
    let restored = async |_: PostgresStore| {
        let log = old.made.load(Ordering::Relaxed) - 1;
        let dump = old.server.run("pg_dump", &["--schema=public"]);
        new.server.psql("DROP SCHEMA public CASCADE");
        new.server.psql(&dump);
        let store = PostgresStore::new(new.pool.clone());
        store.table(&format!("log_{log}")).unwrap()
    };
    let kept = async |store| {
        let store = restored(store).await;
        let page = store
            .find_recent(&Selector::everything(), 99)
            .await
            .unwrap();
        assert_eq!(page.events().len(), 5);
        store
    };
    conformance::check_loss(fresh, append, kept).await
}

/// Nothing in the database tells; that this process has read more does.
#[tokio::test]
async fn a_disk_that_was_set_back_under_a_reader_has_a_new_epoch() -> Checked {
    let logs = std::cell::RefCell::new(Logs::start().await);
    #[expect(clippy::await_holding_refcell_ref, reason = "one at a time")]
    let fresh = async || {
        let store = logs.borrow().fresh().await;
        // What the backup holds.
        append(&store, event("before")).await;
        let mut logs = logs.borrow_mut();
        logs.server.kill();
        logs.server.save();
        logs.server.restart();
        store
    };
    let set_back = async |store: PostgresStore| {
        let mut logs = logs.borrow_mut();
        logs.server.kill();
        logs.server.set_back();
        logs.server.restart();
        store
    };
    let append = async |store: &PostgresStore, event: NewEvent| {
        // The pool finds out which of its connections are of the former server.
        let appended = until(|| async { store.append(event.clone()).await.ok() });
        until_read(store, appended.await.unwrap()).await;
    };
    conformance::check_loss(fresh, append, set_back).await
}

#[tokio::test]
async fn processes_that_start_at_once_make_one_log_and_wait_for_nobody_once_it_is_there() {
    let logs = Logs::start().await;
    let stores: Vec<_> = (0..8)
        .map(|_| PostgresStore::new(pool(&logs.server)))
        .collect();
    let migrated = stores.iter().map(|store| {
        let store = store.clone();
        tokio::spawn(async move {
            store.migrate().await.unwrap();
            store.bounds().await.unwrap().epoch()
        })
    });
    let mut epochs = Vec::new();
    for migrated in migrated.collect::<Vec<_>>() {
        epochs.push(migrated.await.unwrap());
    }
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "{epochs:?}");

    let mut writer = logs.pool.begin().await.unwrap();
    stores[0]
        .append_in(&mut writer, event("still open"))
        .await
        .unwrap();
    stores[1].migrate().await.unwrap();
    writer.rollback().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_an_event_is_refused_by_the_table() {
    let logs = Logs::start().await;
    let _ = logs.fresh().await;
    for (kind, fits) in [
        ("''", false),
        ("'a,b'", false),
        ("E'a\\nb'", false),
        ("U&'a\\0085b'", false),
        ("'reset'", false),
        ("'caught-up'", false),
        ("'superseded'", false),
        ("repeat('x', 129)", false),
        ("repeat('x', 128)", true),
        ("'bestellung.größe'", true),
    ] {
        let insert = format!("INSERT INTO log_0 (type, data) VALUES ({kind}, '')");
        assert_eq!(logs.run(&insert).await.is_ok(), fits, "{kind}");
    }
}

/// A hub takes fewer of the newest than it has asked for to be all that there is, and shows nobody what is older.
#[tokio::test]
async fn what_is_no_event_takes_the_place_of_none_among_the_newest() {
    let logs = Logs::start().await;
    let store = logs.fresh().await;
    // As in a table that was made before this type was refused.
    logs.run("ALTER TABLE log_0 DROP CONSTRAINT log_0_type_check2")
        .await
        .unwrap();
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(store.append(event(&n.to_string())).await.unwrap());
        logs.run("INSERT INTO log_0 (type, data) VALUES ('reset', '')")
            .await
            .unwrap();
    }
    until_read(&store, ids[3]).await;
    for limit in 0..10 {
        let page = store.find_recent(&Selector::everything(), limit).await;
        let found: Vec<_> = page.unwrap().events().iter().map(|it| it.id()).collect();
        assert_eq!(found, ids[4 - limit.min(4)..], "the newest {limit}");
    }
}

/// Whoever asks for little must not pay for all: each selector wants the smallest part of a log.
#[tokio::test]
async fn each_way_to_select_has_its_index() {
    let logs = Logs::start().await;
    // One connection, which tells what it has fetched.
    let one = PgPoolOptions::new().max_connections(1);
    let one = one.connect_lazy(&logs.server.url()).unwrap();
    let store = PostgresStore::new(one.clone()).table("log_0").unwrap();
    store.migrate().await.unwrap();
    logs.run(
        "INSERT INTO log_0 (type, data, for_user, topic)
         SELECT 'common', '', CASE WHEN n % 2 = 0 THEN 'crowd' END, 'all'
         FROM generate_series(1, 20000) n;
         INSERT INTO log_0 (type, data, for_user, topic)
         VALUES ('rare', 'public', NULL, 'few'), ('rare', 'private', 'u1', NULL);
         ANALYZE log_0;",
    )
    .await
    .unwrap();
    let start = EventId::new(newest(&store).await.epoch(), Position::START);
    let public = Selector::public();
    for (selector, at_most) in [
        (public.clone().only_types(["rare"]), 100),
        (public.clone().only_topics(["few"]), 100),
        (public.clone().only_users(["u1"]).only_types(["rare"]), 100),
        (public.clone().only_users(["u1"]), 500),
        (Selector::everything(), 500),
        // Which shows that the count sees what is fetched.
        (Selector::everything().only_types(["rare"]), 100_000),
    ] {
        let before = fetched(&one).await;
        for _ in 0..8 {
            // Often enough for a plan that the server keeps.
            let page = store.find_recent(&selector, 10).await.unwrap();
            let read = store.read_after(start, &selector, 10).await.unwrap();
            assert!(!page.events().is_empty());
            assert!(matches!(read, Read::Page(page) if !page.events().is_empty()));
        }
        let each = (fetched(&one).await - before) / 16;
        assert!(each < at_most, "{each} rows for {selector:?}");
        assert!(each > at_most / 100, "{each} rows for {selector:?}");
    }
}

/// Rows of the log that were fetched by any plan, so far.
async fn fetched(one: &PgPool) -> i64 {
    one.execute("SELECT pg_stat_force_next_flush()")
        .await
        .unwrap();
    let sum = "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0)
        FROM pg_stat_user_tables WHERE relname = 'log_0'";
    sqlx::query_scalar(sum).fetch_one(one).await.unwrap()
}

#[tokio::test]
async fn whoever_listens_hears_of_a_commit_and_of_what_came_while_the_server_was_away() {
    let mut server = Postgres::start();
    let pool = pool(&server);
    let store = PostgresStore::new(pool.clone()).notify(true);
    store.migrate().await.unwrap();
    let mut hints = Box::pin(store.hints());
    let mut heard = async || timeout(DEADLINE, hints.next()).await.unwrap().unwrap();
    heard().await;

    let mut tx = pool.begin().await.unwrap();
    store.append_in(&mut tx, event("news")).await.unwrap();
    tx.commit().await.unwrap();
    heard().await;
    // The listener's connection is none of the pool's, however many that has opened meanwhile.
    let clients = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
    let clients: i64 = sqlx::query_scalar(clients).fetch_one(&pool).await.unwrap();
    assert_eq!(clients, i64::from(pool.size()) + 1);

    server.kill();
    server.restart();
    heard().await;
    let appended = until(|| async { store.append(event("more news")).await.ok() });
    appended.await.unwrap();
    heard().await;
    assert!(
        timeout(SILENCE, hints.next()).await.is_err(),
        "nothing has happened"
    );
}

#[tokio::test]
async fn whoever_listens_past_a_pooler_does_so_by_options_of_their_own() {
    let server = Postgres::start();
    let pool = pool(&server);
    let direct: PgConnectOptions = server.url().parse().unwrap();
    let direct = direct.application_name("past the pooler");
    let store = PostgresStore::new(pool.clone())
        .notify(true)
        .listen_by(direct);
    store.migrate().await.unwrap();
    let mut hints = Box::pin(store.hints());
    let mut heard = async || timeout(DEADLINE, hints.next()).await.unwrap().unwrap();
    heard().await;
    let listening = "SELECT application_name FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
    let listening: Vec<String> = sqlx::query_scalar(listening)
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(listening, ["past the pooler"]);
    store.append(event("news")).await.unwrap();
    heard().await;
}

#[tokio::test]
async fn a_read_gives_up_on_a_server_that_stands_still_and_leaves_the_pool_whole() {
    let mut server = Postgres::start();
    let pool = pool(&server);
    let store = PostgresStore::new(pool.clone()).patience(SILENCE);
    store.migrate().await.unwrap();
    store.append(event("one")).await.unwrap();
    server.pause();
    for _ in 0..5 {
        assert!(store.bounds().await.is_err());
    }
    server.resume();
    let recovered = until(|| async { store.bounds().await.ok() });
    recovered.await.unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(timeout(DEADLINE, pool.acquire()).await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn events_that_wait_for_an_older_transaction_are_told() {
    let logs = Logs::start().await;
    let store = logs.fresh().await;
    let waits = async |wanted: bool| {
        let told = until(|| async {
            store.bounds().await.unwrap();
            (store.held_back().is_some() == wanted).then_some(())
        });
        told.await
            .expect("what waits is told, and what waits no more");
    };
    append(&store, event("read")).await;
    waits(false).await;
    // It writes elsewhere, or not at all yet: it has its number.
    let mut idle = logs.pool.begin().await.unwrap();
    idle.execute("SELECT pg_current_xact_id()").await.unwrap();
    store.bounds().await.unwrap();
    assert_eq!(store.held_back(), None, "nothing waits");
    store.append(event("waits")).await.unwrap();
    waits(true).await;
    idle.rollback().await.unwrap();
    waits(false).await;
}

/// Whoever holds the log's row, as one who deletes by hand in a transaction that goes on, held the tailer
/// for as long.
#[tokio::test]
async fn a_new_epoch_that_has_to_wait_is_given_up_and_tried_again() {
    let logs = Logs::start().await;
    let store = logs.fresh().await.patience(SILENCE);
    let mut holder = logs.pool.begin().await.unwrap();
    holder
        .execute("SELECT FROM log_0_log FOR UPDATE")
        .await
        .unwrap();
    let renewed = timeout(DEADLINE, store.new_epoch()).await;
    assert!(renewed.unwrap().is_err());
    holder.rollback().await.unwrap();
    let renewed = until(|| async { store.new_epoch().await.ok() });
    renewed.await.unwrap();
}

/// A standby may lag, and what it becomes may lack what clients have seen.
#[tokio::test]
async fn a_standby_is_not_believed_and_once_it_is_promoted_the_epoch_is_a_new_one() {
    let mut logs = Logs::start().await;
    let store = logs.fresh().await;
    append(&store, event("one")).await;
    let before = newest(&store).await;
    logs.server.kill();
    let signal = logs.server.directory().join("data/standby.signal");
    fs::write(&signal, "").unwrap();
    // The server runs as somebody else, and wants to write it.
    fs::set_permissions(&signal, fs::Permissions::from_mode(0o666)).unwrap();
    logs.server.restart();
    let refused = until(|| async {
        let refused = store.bounds().await.expect_err("it is a standby");
        refused
            .to_string()
            .contains("recovery is in progress")
            .then_some(())
    });
    refused.await.unwrap();

    logs.run("SELECT pg_promote()").await.unwrap();
    let gone = store.read_after(before, &Selector::everything(), 9).await;
    assert!(matches!(gone, Ok(Read::Gone(_))), "{gone:?}");
    // What it has is still to be had.
    let page = store.find_recent(&Selector::everything(), 9).await.unwrap();
    assert_eq!(page.events().len(), 1);
    assert_ne!(page.next().epoch(), before.epoch());
}

#[tokio::test]
async fn a_role_with_the_documented_rights_reads_appends_prunes_and_renews() {
    let logs = Logs::start().await;
    let _ = logs.fresh().await;
    logs.run(
        "CREATE ROLE app LOGIN;
         GRANT SELECT, INSERT, UPDATE, DELETE ON log_0 TO app;
         GRANT SELECT, UPDATE ON log_0_log TO app;
         CREATE ROLE writer LOGIN;
         GRANT INSERT ON log_0 TO writer;",
    )
    .await
    .unwrap();
    let options = PgConnectOptions::from_str(&logs.server.url()).unwrap();
    let pool = |role| PgPoolOptions::new().connect_lazy_with(options.clone().username(role));
    let store = PostgresStore::new(pool("app")).table("log_0").unwrap();
    append(&store, event("one")).await;
    let elsewhere = "INSERT INTO log_0 (type, data) VALUES ('x', 'two')";
    pool("writer").execute(elsewhere).await.unwrap();
    let seen = until(|| async {
        let page = store.find_recent(&Selector::everything(), 9).await.unwrap();
        (page.events().len() == 2).then_some(())
    });
    seen.await.unwrap();
    assert_eq!(store.clone().keep_events(1).prune().await.unwrap(), 1);
    store.new_epoch().await.unwrap();
}
