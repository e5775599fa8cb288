//! Waiting for a server that answers when the test says so, or never; time is paused.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::join_all;
use metrics::{KeyName, Metadata, SharedString, Unit};
use redis::aio::ConnectionLike;
use redis::{Arg, Cmd, Pipeline, RedisFuture, Value};
use tokio::sync::Semaphore;
use tokio::time::{advance, sleep};

use super::*;

/// A server of one endless bucket, which answers one question for each permit.
#[derive(Clone)]
struct Gated {
    asked: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

impl Gated {
    fn new() -> Self {
        Self {
            asked: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn store(&self, outage: Outage) -> RedisStore<Self> {
        RedisStore::builder(self.clone(), secret(), outage)
            .build()
            .unwrap()
    }
}

impl ConnectionLike for Gated {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let number = |index| match command.args_iter().nth(index) {
            Some(Arg::Simple(digits)) => String::from_utf8_lossy(digits).parse::<i64>().unwrap(),
            _ => panic!("a script has arguments"),
        };
        // EVALSHA hash 1 key, then the cells, those for others, and those in advance.
        let (further, ahead) = (number(5), number(6));
        Box::pin(async move {
            self.gate.acquire().await.unwrap().forget();
            let now = 1_800_000_000_000_000;
            let answer = [1, further, ahead, now, now + 1];
            Ok(Value::Array(answer.map(Value::Int).to_vec()))
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

const LIMIT: Duration = Duration::from_millis(50);

/// A millisecond more than the limit, as timers may be late by that.
const OVER: Duration = Duration::from_millis(51);

#[tokio::test(start_paused = true)]
async fn no_check_takes_longer_than_the_deadline() {
    let server = Gated::new();
    let store = server.store(Outage::Allow);
    let clock = Clock::new();
    for n in 0..10 {
        let began = clock.now();
        // Some share a question that is never answered, and come at different times.
        let requests = (0..20).map(|request| {
            let store = &store;
            async move {
                sleep(Duration::from_millis(request * 2)).await;
                let clock = Clock::new();
                let began = clock.now();
                assert!(passes(store, api(n * 10 + request % 3, daily(5))).await);
                clock.now().since(began)
            }
        });
        for took in join_all(requests).await {
            assert!(took <= OVER, "{took:?}");
        }
        assert!(clock.now().since(began) <= OVER + Duration::from_millis(40));
    }
    assert!(!store.is_reachable());
}

#[tokio::test(start_paused = true)]
async fn one_question_is_under_way_for_a_key_and_the_next_is_for_all_who_wait() {
    let server = Gated::new();
    let store = server.store(Outage::Deny);
    let mut all = Box::pin(join_all(
        (0..100).map(|_| passes(&store, api(1, daily(500)))),
    ));
    assert!(all.as_mut().now_or_never().is_none());
    assert_eq!(server.asked(), 1);
    server.gate.add_permits(2);
    assert!(all.await.iter().all(|passed| *passed));
    assert_eq!(server.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_while_it_asks_keeps_nobody_waiting() {
    let server = Gated::new();
    let store = server.store(Outage::Deny);
    let request = || Box::pin(passes(&store, api(1, daily(500))));
    let (mut first, mut second, mut third) = (request(), request(), request());
    for request in [&mut first, &mut second, &mut third] {
        assert!(request.as_mut().now_or_never().is_none());
    }
    assert_eq!(server.asked(), 1);
    drop(first);
    assert!(second.as_mut().now_or_never().is_none());
    assert_eq!(server.asked(), 2, "the next one asks");
    // One who waits may go, too.
    drop(third);
    server.gate.add_permits(2);
    assert!(second.await);
    assert!(request().await);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_polls_any_more_keeps_nobody_waiting() {
    let server = Gated::new();
    let store = server.store(Outage::Deny);
    let mut forgotten = Box::pin(passes(&store, api(1, daily(500))));
    assert!(forgotten.as_mut().now_or_never().is_none());
    advance(LIMIT).await;
    let mut next = Box::pin(passes(&store, api(1, daily(500))));
    assert!(next.as_mut().now_or_never().is_none());
    assert_eq!(
        server.asked(),
        2,
        "it does not wait for what takes too long"
    );
    server.gate.add_permits(1);
    // The permit goes to whoever came first, and both are asked the same.
    server.gate.add_permits(1);
    assert!(next.await);
    drop(forgotten);
    assert!(store.is_reachable());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_leads_nowhere_is_made_anew_at_every_third_trial() {
    let (lost, found) = (Gated::new(), Gated::new());
    found.gate.add_permits(1);
    let made = Arc::new(AtomicUsize::new(0));
    let connect = {
        let (lost, found, made) = (lost.clone(), found.clone(), Arc::clone(&made));
        move || match made.fetch_add(1, Ordering::SeqCst) {
            0 => Err((redis::ErrorKind::InvalidClientConfig, "not now").into()),
            1 => Ok(lost.clone()),
            _ => Ok(found.clone()),
        }
    };
    let builder = RedisStore::builder(lost.clone(), secret(), Outage::Allow);
    let store = builder.reconnect(connect).build().unwrap();
    for key in 0..5 {
        assert!(passes(&store, api(key, daily(5))).await);
    }
    assert!(!store.is_reachable());
    while !store.is_reachable() {
        assert!(passes(&store, api(6, daily(5))).await);
        advance(Duration::from_millis(100)).await;
    }
    assert_eq!(made.load(Ordering::SeqCst), 3);
    assert_eq!((lost.asked(), found.asked()), (5 + 9, 1));
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_is_dropped_does_not_keep_the_circuit_open() {
    let server = Gated::new();
    let store = server.store(Outage::Allow);
    let mut key = 0;
    while store.is_reachable() {
        key += 1;
        assert!(passes(&store, api(key, daily(5))).await);
    }
    assert_eq!(key, 5);
    let asked = server.asked();
    for key in 100..200 {
        assert!(passes(&store, api(key, daily(5))).await);
    }
    assert_eq!(server.asked(), asked, "nobody asks while it is open");

    advance(Duration::from_millis(1200)).await;
    let mut trial = Box::pin(passes(&store, api(6, daily(5))));
    assert!(trial.as_mut().now_or_never().is_none());
    assert!(
        passes(&store, api(7, daily(5))).await,
        "one tries, and the others go on"
    );
    assert_eq!(server.asked(), asked + 1);
    drop(trial);
    server.gate.add_permits(2);
    assert!(passes(&store, api(8, daily(5))).await);
    assert!(store.is_reachable());
}

/// Keeps the names of counters and gauges with their values.
#[derive(Default)]
struct Recorder(Mutex<Vec<(String, Arc<AtomicU64>)>>);

impl Recorder {
    fn value(&self, key: &metrics::Key) -> Arc<AtomicU64> {
        let value = Arc::default();
        let mut all = self.0.lock().unwrap();
        all.push((key.to_string(), Arc::clone(&value)));
        value
    }

    fn values(&self) -> Vec<(String, u64)> {
        let all = self.0.lock().unwrap();
        let value = |(name, value): &(String, Arc<AtomicU64>)| {
            let name = name.trim_start_matches("Key(").trim_end_matches(')');
            (name.to_owned(), value.load(Ordering::SeqCst))
        };
        all.iter().map(value).collect()
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &metrics::Key, _: &Metadata<'_>) -> metrics::Counter {
        metrics::Counter::from_arc(self.value(key))
    }

    fn register_gauge(&self, key: &metrics::Key, _: &Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::from_arc(self.value(key))
    }

    fn register_histogram(&self, _: &metrics::Key, _: &Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

#[tokio::test(start_paused = true)]
async fn trips_and_outages_are_counted_under_the_documented_names() {
    let server = Gated::new();
    let recorder = Recorder::default();
    let store = metrics::with_local_recorder(&recorder, || server.store(Outage::Allow));
    server.gate.add_permits(2);
    for key in 0..8 {
        assert!(passes(&store, api(key, daily(5))).await);
    }
    assert!(
        passes(&store, api(0, daily(5)).cost(6))
            .now_or_never()
            .is_some_and(|passed| !passed)
    );
    let one = 1_f64.to_bits();
    let mut counted = recorder.values();
    counted.sort();
    let expected = [
        (
            "bartizan_backend_circuit_open, [backend = rate_limit_redis]",
            one,
        ),
        (
            "bartizan_backend_circuit_opened_total, [backend = rate_limit_redis]",
            1,
        ),
        ("bartizan_rate_limit_redis_known_total", 1),
        ("bartizan_rate_limit_redis_outage_total", 6),
        (
            "bartizan_rate_limit_redis_trips_total, [outcome = answered]",
            2,
        ),
        (
            "bartizan_rate_limit_redis_trips_total, [outcome = failed]",
            0,
        ),
        ("bartizan_rate_limit_redis_trips_total, [outcome = late]", 5),
    ];
    assert_eq!(
        counted,
        expected.map(|(name, value)| (name.to_owned(), value))
    );
}

#[tokio::test(start_paused = true)]
async fn policies_are_asked_about_together() {
    let server = Gated::new();
    let store = server.store(Outage::Deny);
    let checks = [
        Check::new("api", "api", 1, daily(5)),
        Check::new("tenant", "tenant", 2, daily(5)),
        Check::new("ip", "ip", 3, daily(5)),
    ];
    let mut request = Box::pin(ask(&store, &checks));
    assert!(request.as_mut().now_or_never().is_none());
    assert_eq!(server.asked(), 3, "before any of them is answered");
    server.gate.add_permits(3);
    assert!(request.await.is_allowed());
}
