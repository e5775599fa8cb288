//! Faults put into the scripts on their way to the server: the checks of the real ones find them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use redis::aio::ConnectionLike;
use redis::{Arg, Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, ServerErrorKind, Value};

use super::buckets::{expires_in_time, refusals_write_nothing};
use super::*;

/// Sends every script as text, with one line of it changed.
#[derive(Clone)]
struct Planted {
    connection: ConnectionManager,
    right: &'static str,
    wrong: &'static str,
    planted: Arc<AtomicBool>,
}

impl ConnectionLike for Planted {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let mut changed = Cmd::new();
            for argument in command.args_iter() {
                let Arg::Simple(argument) = argument else {
                    panic!("these commands have no cursor");
                };
                if argument == b"EVALSHA" {
                    let kind = ErrorKind::Server(ServerErrorKind::NoScript);
                    return Err(RedisError::from((kind, "send the text")));
                }
                let text = String::from_utf8_lossy(argument);
                if text.contains(self.right) {
                    self.planted.store(true, Ordering::Relaxed);
                }
                changed.arg(text.replace(self.right, self.wrong));
            }
            self.connection.send_packed_command(&changed).await
        })
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

impl Planted {
    fn store(&self) -> RedisStore<Self> {
        let builder = RedisStore::builder(self.clone(), secret(), Outage::Deny);
        builder.deadline(PATIENT).build().unwrap()
    }
}

/// Whether `check` fails over a store whose script has `wrong` in place of `right`; and passes if the
/// script is sent in the same way as it is.
async fn finds<F: Future<Output = ()>>(
    server: &Redis,
    right: &'static str,
    wrong: &'static str,
    check: impl Fn(Planted) -> F,
) -> bool {
    let mut outcomes = Vec::new();
    for wrong in [right, wrong] {
        server.command::<()>(&["FLUSHALL"]).unwrap();
        let client = redis::Client::open(server.url()).unwrap();
        let planted = Planted {
            connection: ConnectionManager::new(client).await.unwrap(),
            right,
            wrong,
            planted: Arc::default(),
        };
        let met = Arc::clone(&planted.planted);
        let outcome = AssertUnwindSafe(check(planted)).catch_unwind().await;
        assert!(met.load(Ordering::Relaxed), "no line like {right:?}");
        outcomes.push(outcome.is_err());
    }
    assert!(!outcomes[0], "the script as it is passes");
    outcomes[1]
}

#[tokio::test]
async fn a_script_that_writes_on_a_refusal_is_found() {
    let server = Redis::start();
    let check = |planted: Planted| {
        let server = &server;
        async move { refusals_write_nothing(server, || planted.store()).await }
    };
    let right = "if enough and cells + further + advance ~= 0 or late then";
    let wrong = "if not enough then times[1] = times[1] + 1 end if true then";
    assert!(finds(&server, right, wrong, check).await);
}

#[tokio::test]
async fn a_script_that_lets_keys_expire_early_is_found() {
    let server = Redis::start();
    let check = |planted: Planted| {
        let server = &server;
        async move {
            for _ in 0..20 {
                expires_in_time(server, &planted.store()).await;
            }
        }
    };
    assert!(finds(&server, "- now) / 1000) + 1", "- now) / 1000)", check).await);
}

#[tokio::test]
async fn a_script_that_takes_from_one_window_alone_is_found() {
    let server = Redis::start();
    let check = |planted: Planted| async move {
        let checks = [
            Check::new("api", "api", 1, daily(5)),
            Check::new("api", "small", 1, daily(3)),
        ];
        for _ in 0..10 {
            // One that knows nothing, or it would refuse by itself.
            ask(&planted.store(), &checks).await;
        }
        let peeked = planted.store().peek(&checks).await;
        assert_eq!(peeked.verdicts()[1].remaining(), 0);
        assert_eq!(peeked.verdicts()[0].remaining(), 2);
    };
    let right = "enough = enough and (left >= 0 or cells <= 0)";
    let wrong = "enough = i > 1 and enough or left >= 0";
    assert!(finds(&server, right, wrong, check).await);
}
