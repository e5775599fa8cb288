//! The application's own pool, which a probe must neither exhaust nor wait for.

use std::future::ready;
use std::sync::mpsc;

use bartizan::health::{Dependency, Observation, Reason, probe};

use super::lifecycle::ByHand;
use super::*;

#[tokio::test(start_paused = true)]
async fn an_exhausted_pool_is_a_warning_and_nobody_queues_for_it() {
    let runs = Runs::default();
    let acquire = || async {
        tokio::time::sleep(millis(400)).await;
        Err::<(), _>("pool timed out while waiting for an open connection")
    };
    let health = run(builder().dependency(Dependency::local("database", runs.of(acquire)))).await;
    pass(secs(60)).await;
    let warned = r#"{"status":"warn","reasons":["pool_exhausted"]}"#;
    assert_eq!(get(&health, "/health").await, (200, warned.into()));
    assert_eq!((runs.begun(), runs.most_in_flight()), (12, 1));
}

/// As the guide to probes writes it: read from the pool's counters.
#[tokio::test(start_paused = true)]
async fn a_pool_that_is_nearly_full_warns_and_is_not_asked_for_a_connection() {
    let (runs, idle) = (Runs::default(), Switch::default());
    idle.set(10);
    let saturation = {
        let idle = idle.clone();
        runs.of(move || {
            let busy = 100.0 * (1.0 - idle.get() as f64 / 10.0);
            ready(
                Observation::new()
                    .value(busy, "percent")
                    .measurement("utilization"),
            )
        })
    };
    let pool = Dependency::local("pool", saturation).warn_above(80.0);
    let health = run(builder().dependency(pool)).await;
    for (left, seconds, page) in [
        (2, 11, r#"{"status":"pass"}"#),
        (1, 11, r#"{"status":"warn","reasons":["limit"]}"#),
        (0, 11, r#"{"status":"warn","reasons":["limit"]}"#),
        (5, 11, r#"{"status":"pass"}"#),
    ] {
        idle.set(left);
        pass(secs(seconds)).await;
        assert_eq!(get(&health, "/health").await, (200, page.into()), "{left}");
        assert_eq!(get(&health, "/readyz").await.0, 200, "busy is not broken");
    }
    let seen = dependency(&health, "pool").await;
    assert_eq!(seen["observedValue"], 50.0);
    assert_eq!(runs.begun(), 9, "every 5 s, also while it warns");
}

/// Through the driver, whose hard deadline drops the future but cannot stop the thread.
#[tokio::test(start_paused = true)]
async fn a_blocking_probe_that_hangs_fails_and_is_not_run_again_beside_itself() {
    let (release, held) = mpsc::channel::<()>();
    let (entered, inside) = mpsc::channel();
    let held = std::sync::Mutex::new(held);
    let function = move || {
        entered.send(()).unwrap();
        let _ = held.lock().unwrap().recv();
    };
    let (health, driver) = builder()
        .dependency(Dependency::local("files", probe::blocking(function)))
        .build()
        .unwrap();
    let mut driver = ByHand(Box::pin(driver));
    driver.poll();
    inside.recv().unwrap();
    for _ in 0..60 {
        tokio::time::advance(secs(1)).await;
        driver.poll();
        assert_eq!(get(&health, "/livez").await.0, 200);
    }
    assert!(inside.try_recv().is_err(), "a second thread hangs");
    let report = health.current();
    assert_eq!(report.reasons(), [Reason::Timeout]);
    assert_eq!(get(&health, "/readyz").await.0, 503);
    // The runs after the one that hangs are answered at once, without a thread.
    let files = dependency(&health, "files").await;
    assert_eq!(files["latencyMs"], 0.0, "{files}");

    drop(release);
    while !health.current().is_ready() {
        tokio::time::advance(secs(1)).await;
        driver.poll();
        std::thread::yield_now();
    }
    assert!(inside.try_recv().is_ok());
}
