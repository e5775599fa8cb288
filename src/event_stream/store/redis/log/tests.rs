//! A store without a server.

use std::sync::atomic::{AtomicU64, Ordering};

use redis::{Cmd, Pipeline, RedisFuture, Value};

use super::*;

/// A server with much to prune, to which others append three entries between two questions: nearly
/// for ever. It counts the questions.
#[derive(Clone)]
struct Growing(Arc<AtomicU64>);

impl ConnectionLike for Growing {
    fn req_packed_command<'a>(&'a mut self, _: &'a Cmd) -> RedisFuture<'a, Value> {
        let pruned = match self.0.fetch_add(1, Ordering::Relaxed) {
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
    let store = RedisStore::new(Growing(Arc::default()));
    assert_eq!(store.prune().await.unwrap(), 8 * PRUNED + 3);
}
