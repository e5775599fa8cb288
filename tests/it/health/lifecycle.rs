//! From before the first result to after the last: start-up, drain, maintenance, a driver that is gone.

use std::future::{pending, ready};

use bartizan::clock::Clock;
use bartizan::health::{Beat, Dependency, Reason, Status};

use super::*;
use crate::logs::logged;

#[tokio::test(start_paused = true)]
async fn before_the_first_results_it_is_live_and_neither_ready_nor_started() {
    let runs = Runs::default();
    let probe = runs.of(|| tokio::time::sleep(millis(300)));
    let (health, driver) = builder()
        .dependency(Dependency::shared("a", probe))
        .build()
        .unwrap();
    for polled in [false, true] {
        assert_eq!(get(&health, "/livez").await, (200, "ok".into()));
        assert_eq!(get(&health, "/startupz").await.0, 503, "polled: {polled}");
        assert_eq!(
            get(&health, "/readyz").await,
            (503, "readyz check failed: pending\n".into())
        );
        assert_eq!(get(&health, "/health").await.0, 503);
        if polled {
            break;
        }
    }
    tokio::spawn(driver);
    settle().await;
    assert_eq!(get(&health, "/readyz").await.0, 503);
    let report = health.started().await;
    assert_eq!(report.status(), Status::Pass);
    assert_eq!(get(&health, "/startupz").await, (200, "ok".into()));
    assert_eq!(get(&health, "/readyz").await, (200, "ok".into()));
    assert_eq!(runs.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_requests_before_the_first_result_run_one_probe() {
    let runs = Runs::default();
    let probe = runs.of(|| tokio::time::sleep(millis(300)));
    let health = run(builder().dependency(Dependency::local("a", probe))).await;
    let first = get(&health, "/health").await;
    for request in 0..10_000 {
        assert_eq!(get(&health, &format!("/health?x={request}")).await, first);
    }
    assert_eq!(runs.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_aborted_clients_and_a_flood_of_heads_run_none() {
    let runs = Runs::default();
    let health = run(builder().dependency(Dependency::local("a", runs.of(|| ready(()))))).await;
    let generation = health.current().generation();
    for _ in 0..1_000 {
        drop(
            health
                .service()
                .oneshot(Request::get("/health").body(()).unwrap()),
        );
        let head = Request::head("/readyz").body(()).unwrap();
        let response = health.service().oneshot(head).await.unwrap();
        drop(response);
    }
    assert_eq!(runs.begun(), 1);
    assert_eq!(health.current().generation(), generation);
}

#[tokio::test(start_paused = true)]
async fn without_dependencies_it_is_well_once_driven() {
    let (health, driver) = builder().build().unwrap();
    assert_eq!(get(&health, "/readyz").await.0, 503);
    tokio::spawn(driver);
    settle().await;
    assert_eq!(get(&health, "/readyz").await.0, 200);
    assert_eq!(get(&health, "/startupz").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn draining_is_for_good_and_leaves_liveness_alone() {
    let (runs, switch) = (Runs::default(), Switch::default());
    let probe = runs.of(switch.refused_at_one());
    let health = run(builder().dependency(Dependency::local("a", probe))).await;
    health.drain();
    health.drain();
    health.set_maintenance(true);
    health.set_maintenance(false);
    switch.set(1);
    pass(secs(20)).await;
    switch.set(0);
    pass(secs(20)).await;
    assert_eq!(
        get(&health, "/readyz").await,
        (503, "readyz check failed: draining\n".into())
    );
    assert_eq!(
        get(&health, "/readyz?exclude=a").await.0,
        503,
        "not a check, so not excluded"
    );
    assert_eq!(get(&health, "/health").await.0, 503);
    assert_eq!(get(&health, "/livez").await.0, 200);
    assert_eq!(get(&health, "/startupz").await.0, 200);
    assert_eq!(runs.begun(), 14, "it goes on being watched");
}

#[tokio::test(start_paused = true)]
async fn draining_before_the_driver_runs_holds_too() {
    let (health, driver) = builder().build().unwrap();
    health.drain();
    tokio::spawn(driver);
    settle().await;
    assert_eq!(
        get(&health, "/readyz").await,
        (503, "readyz check failed: draining\n".into())
    );
}

#[tokio::test(start_paused = true)]
async fn maintenance_is_on_and_off_at_once() {
    let runs = Runs::default();
    let service = || builder().dependency(Dependency::local("a", runs.of(|| ready(()))));
    let health = run(service()).await;
    health.set_maintenance(true);
    assert_eq!(
        get(&health, "/readyz").await,
        (503, "readyz check failed: maintenance\n".into())
    );
    assert_eq!(get(&health, "/livez").await.0, 200);
    assert!(health.current().is_in_maintenance());
    assert_eq!(runs.begun(), 1);
    let restarted = run(service()).await;
    assert!(!restarted.current().is_in_maintenance(), "nobody stored it");
    health.set_maintenance(false);
    assert_eq!(get(&health, "/readyz").await.0, 200);
    assert_eq!(runs.begun(), 2);
}

/// The runtime that drove it is gone, and another one serves.
#[test]
fn a_driver_whose_runtime_is_gone_is_stale_for_those_who_are_left() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
    };
    let runs = Runs::default();
    let (health, driver) = builder()
        .dependency(Dependency::local("a", runs.of(|| ready(()))))
        .build()
        .unwrap();
    let driving = runtime();
    driving.spawn(driver);
    driving.block_on(health.started());
    let serving = runtime();
    assert_eq!(serving.block_on(get(&health, "/readyz")).0, 200);
    drop(driving);
    assert_eq!(
        serving.block_on(get(&health, "/readyz")),
        (503, "readyz check failed: stale\n".into())
    );
    assert_eq!(serving.block_on(get(&health, "/livez")).0, 200);
    assert_eq!(runs.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_driver_is_stale_at_once() {
    let (health, driver) = builder().build().unwrap();
    let driver = tokio::spawn(driver);
    settle().await;
    assert_eq!(get(&health, "/readyz").await.0, 200);
    driver.abort();
    settle().await;
    assert_eq!(
        get(&health, "/readyz").await,
        (503, "readyz check failed: stale\n".into())
    );
    assert_eq!(
        get(&health, "/health").await.1,
        r#"{"status":"fail","reasons":["stale"]}"#
    );
    assert_eq!(get(&health, "/livez").await.0, 200);
    assert_eq!(get(&health, "/startupz").await.0, 200);
    assert!(health.current().is_stale());
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_never_polled_is_stale_after_the_maximum_age() {
    let (health, _driver) = builder().build().unwrap();
    pass(secs(14)).await;
    assert_eq!(
        get(&health, "/readyz").await,
        (503, "readyz check failed: pending\n".into())
    );
    pass(secs(2)).await;
    assert_eq!(
        get(&health, "/readyz").await,
        (503, "readyz check failed: stale\n".into())
    );
    assert_eq!(get(&health, "/livez").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_driver_that_is_gone() {
    let never = Dependency::local("a", pending::<()>);
    let (health, driver) = builder().dependency(never).build().unwrap();
    let waiting = tokio::spawn({
        let health = health.clone();
        async move { health.started().await }
    });
    settle().await;
    drop(driver);
    assert!(waiting.await.unwrap().is_stale());
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_gone_is_logged_once() {
    for dropped in [true, false] {
        let lines = logged(async {
            let probe = Dependency::local("a", || ready(()));
            let (health, driver) = builder().dependency(probe).build().unwrap();
            let kept = if dropped { None } else { Some(driver) };
            for _ in 0..40 {
                pass(secs(1)).await;
                get(&health, "/readyz").await;
            }
            drop(health);
            drop(kept);
        })
        .await;
        let errors = lines.iter().filter(|line| line.contains("ERROR"));
        assert_eq!(errors.count(), 1, "dropped: {dropped}: {lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn transitions_are_logged_once_and_without_the_errors_text() {
    let switch = Switch::default();
    let probe = {
        let switch = switch.clone();
        move || {
            ready(if switch.get() == 1 {
                Err("hunter2@db.internal")
            } else {
                Ok(())
            })
        }
    };
    let lines = logged(async {
        let health = run(builder().dependency(Dependency::local("a", probe))).await;
        switch.set(1);
        pass(secs(120)).await;
        switch.set(0);
        pass(secs(20)).await;
        health.drain();
    })
    .await;
    let count = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
    assert_eq!(
        (count("dependency failed"), count("dependency recovered")),
        (1, 1)
    );
    assert_eq!(count("hunter2"), 0);
}

/// A driver that stands still for an hour, as on a machine that was suspended.
#[tokio::test(start_paused = true)]
async fn after_a_long_pause_everything_is_probed_once_and_at_once() {
    let runs = Runs::default();
    let probe = Dependency::local("a", runs.of(|| ready(())));
    let (health, driver) = builder().dependency(probe).build().unwrap();
    let mut driver = ByHand(Box::pin(driver));
    driver.poll();
    assert_eq!(get(&health, "/readyz").await.0, 200);
    tokio::time::advance(secs(3600)).await;
    assert_eq!(
        get(&health, "/readyz").await,
        (503, "readyz check failed: stale\n".into())
    );
    driver.poll();
    assert_eq!(runs.begun(), 2, "no burst of missed runs");
    assert_eq!(get(&health, "/readyz").await.0, 200);
}

/// A future that is polled by hand.
pub(super) struct ByHand<F>(pub(super) std::pin::Pin<Box<F>>);

impl<F: Future<Output = ()>> ByHand<F> {
    pub(super) fn poll(&mut self) {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(self.0.as_mut().poll(&mut cx).is_pending());
    }
}

#[tokio::test(start_paused = true)]
async fn the_driver_ends_when_nobody_can_read_any_more() {
    let (health, driver) = builder().build().unwrap();
    let service = health.service();
    let driver = tokio::spawn(driver);
    pass(secs(5)).await;
    drop(health);
    pass(secs(5)).await;
    assert!(!driver.is_finished(), "a service still reads");
    drop(service);
    pass(secs(2)).await;
    assert!(driver.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_beat_that_stops_ends_liveness_and_nothing_else() {
    let beat = Beat::new("consumer", secs(10));
    let health = run(builder().beat(&beat)).await;
    for _ in 0..30 {
        beat.tick();
        pass(secs(5)).await;
        assert_eq!(get(&health, "/livez").await.0, 200);
    }
    pass(secs(12)).await;
    assert_eq!(inspect(&health, "/livez").await.0, 503);
    assert_eq!(inspect(&health, "/livez?exclude=consumer").await.0, 200);
    assert_eq!(get(&health, "/readyz").await.0, 200);
    beat.tick();
    pass(secs(2)).await;
    assert_eq!(get(&health, "/livez").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn transitions_arrive_once_each_and_a_slow_reader_sees_the_newest() {
    let switch = Switch::default();
    let probe = switch.refused_at_one();
    let health = run(builder().dependency(Dependency::local("a", probe))).await;
    let mut transitions = health.subscribe();
    let before = transitions.current().generation();
    switch.set(1);
    let failed = transitions.changed().await.unwrap();
    assert_eq!(failed.reasons(), [Reason::Refused]);
    assert_eq!(failed.generation(), before + 1);
    pass(secs(60)).await;
    switch.set(0);
    let recovered = transitions.changed().await.unwrap();
    assert_eq!(
        (recovered.status(), recovered.generation()),
        (Status::Pass, before + 2)
    );
    health.set_maintenance(true);
    health.set_maintenance(false);
    health.drain();
    let newest = transitions.changed().await.unwrap();
    assert!(newest.is_draining());
    assert_eq!(
        newest.generation(),
        before + 5,
        "the gap tells what was missed"
    );
}

/// What is shown before anything is known is dated as well: not 1970.
#[tokio::test(start_paused = true)]
async fn what_is_said_before_the_first_result_and_without_a_driver_is_dated() {
    let clock = Clock::manual();
    let (health, _driver) = builder().clock(clock.clone()).build().unwrap();
    let fresh = inspect(&health, "/api/status").await;
    clock.advance(secs(3600));
    let stale = inspect(&health, "/api/status").await;
    for ((code, body), reason) in [(fresh, "pending"), (stale, "stale")] {
        let document: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((code, &document["reasons"][0]), (503, &reason.into()));
        assert_eq!(document["time"], "2026-01-01T00:00:00Z");
    }
}
