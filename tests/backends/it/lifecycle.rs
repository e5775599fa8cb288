//! Nothing is left behind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use bartizan_process::{Kind, Server, tree};
use server::{Postgres, Redis, RedisCluster};

/// The processes and the directory of a server.
fn traces<K: Kind>(server: &Server<K>) -> (Vec<u32>, PathBuf) {
    let members = server.process().members();
    assert!(!members.is_empty());
    (members, server.directory().path().to_owned())
}

fn assert_nothing_left((members, path): (Vec<u32>, PathBuf)) {
    for pid in members {
        assert!(!tree::is_alive(pid), "{pid} still runs");
    }
    assert!(!path.exists(), "{} is still there", path.display());
}

/// Moves a server into a closure that panics, and returns what there was of it.
fn lose<T>(server: T, look: impl FnOnce(&T)) {
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        look(&server);
        panic!("as a failing assertion would");
    }));
    assert!(panicked.is_err());
}

#[test]
fn a_panic_takes_redis_with_it() {
    let mut found = None;
    lose(Redis::start(), |server| found = Some(traces(server)));
    assert_nothing_left(found.unwrap());
}

#[test]
fn a_panic_takes_a_whole_cluster_with_it() {
    let mut found = Vec::new();
    let mut cluster = RedisCluster::start();
    for index in 0..3 {
        found.push(traces(cluster.node(index)));
    }
    lose(cluster, |_| {});
    assert_eq!(found.len(), 3);
    found.into_iter().for_each(assert_nothing_left);
}

#[test]
fn a_panic_takes_postgres_and_its_helpers_with_it() {
    let mut found = None;
    lose(Postgres::start(), |server| found = Some(traces(server)));
    let found = found.unwrap();
    assert!(found.0.len() > 1, "the server has helper processes");
    assert_nothing_left(found);
}

#[test]
fn a_paused_server_is_cleaned_up_like_any_other() {
    let mut server = Postgres::start();
    server.pause();
    let found = traces(&server);
    drop(server);
    assert_nothing_left(found);
}

#[test]
fn a_killed_server_is_cleaned_up_like_any_other() {
    let mut server = Postgres::start();
    let found = traces(&server);
    server.kill();
    drop(server);
    assert_nothing_left(found);
}
