//! A store without a server.

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};

use redis::{Cmd, Pipeline, RedisFuture, Value};

use super::*;

#[derive(Clone)]
enum Line {
    /// It leads nowhere.
    Dead,
    /// A server with much to prune, to which others append three entries between two questions: nearly
    /// for ever. It counts the questions.
    Growing(Arc<AtomicU64>),
}

impl ConnectionLike for Line {
    fn req_packed_command<'a>(&'a mut self, _: &'a Cmd) -> RedisFuture<'a, Value> {
        let Self::Growing(asked) = self else {
            return Box::pin(pending());
        };
        let pruned = match asked.fetch_add(1, Ordering::Relaxed) {
            0..8 => PRUNED.cast_signed(),
            8..10_000 => 3,
            _ => 0,
        };
        Box::pin(async move { Ok(Value::Int(pruned)) })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        _: &'a Pipeline,
        _: usize,
        _: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        unreachable!("the store sends no pipelines")
    }

    fn get_db(&self) -> i64 {
        0
    }
}

#[tokio::test]
async fn pruning_ends_although_others_append_without_end() {
    let store = RedisStore::new(Line::Growing(Arc::default()));
    assert_eq!(store.prune().await.unwrap(), 8 * PRUNED + 3);
}

#[tokio::test(start_paused = true)]
async fn a_clone_has_the_connection_that_took_the_place_of_one_that_leads_nowhere() {
    let made = Arc::new(AtomicU64::new(0));
    let connect = {
        let made = Arc::clone(&made);
        move || match made.fetch_add(1, Ordering::Relaxed) {
            0 => Err((redis::ErrorKind::InvalidClientConfig, "not now").into()),
            1 => Ok(Line::Dead),
            _ => Ok(Line::Growing(Arc::new(AtomicU64::new(10_000)))),
        }
    };
    let before = RedisStore::new(Line::Dead);
    let store = before.clone().reconnect(connect);
    // Each call waits as long as it may, and every second one finds that all have since the last.
    for made_before in [0, 0, 1, 1, 2, 2] {
        assert_eq!(made.load(Ordering::Relaxed), made_before);
        assert!(store.prune().await.is_err());
    }
    assert_eq!(made.load(Ordering::Relaxed), 3);
    for store in [store, before] {
        assert_eq!(store.prune().await.unwrap(), 0);
    }
}
