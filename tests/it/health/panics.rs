//! Code of the host that panics, wherever it can.

use std::fmt;
use std::future::{pending, ready};

use bartizan::health::Dependency;

use super::*;

/// Panics when dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

/// Panics when read.
#[derive(Debug)]
struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("in display");
    }
}

impl std::error::Error for Unreadable {}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_one_dependency_and_harms_no_other() {
    let runs: [Runs; 6] = Default::default();
    let [call, first, later, dropped, error, well] = &runs;
    let in_call = || -> std::future::Ready<()> { panic!("in call") };
    let in_first_poll =
        || std::future::poll_fn(|_| -> std::task::Poll<()> { panic!("in the first poll") });
    let in_later_poll = || async {
        tokio::task::yield_now().await;
        std::panic::panic_any(Bomb);
        #[allow(unreachable_code, reason = "gives the future its output")]
        ()
    };
    let in_drop = || async {
        let _bomb = Bomb;
        pending::<()>().await;
    };
    let unreadable = || ready(Err::<(), _>(Unreadable));
    let health = run(builder()
        .dependency(Dependency::local("call", call.of(in_call)))
        .dependency(Dependency::local("first", first.of(in_first_poll)))
        .dependency(Dependency::local("later", later.of(in_later_poll)))
        .dependency(Dependency::local("drop", dropped.of(in_drop)).hard_deadline(secs(1)))
        .dependency(Dependency::local("error", error.of(unreadable)))
        .dependency(Dependency::local("well", well.of(|| ready(())))))
    .await;
    pass(secs(21)).await;
    for name in ["call", "first", "later", "error"] {
        assert_eq!(dependency(&health, name).await["reason"], "panic", "{name}");
    }
    // Dropped at its deadline: it is a panic once it has been dropped, and a timeout until then.
    let reason = dependency(&health, "drop").await["reason"].clone();
    assert!(reason == "panic" || reason == "timeout", "{reason}");
    assert_eq!(get(&health, "/health/well").await.0, 200);
    for (name, runs, begun) in [
        ("call", call, 11),
        ("first", first, 11),
        ("later", later, 11),
        ("drop", dropped, 8),
        ("error", error, 11),
        ("well", well, 5),
    ] {
        assert_eq!(runs.begun(), begun, "{name}: every 2 s, 5 s if it is well");
    }
}

/// One that panics in its very first run is a first result: it holds up no start.
#[tokio::test(start_paused = true)]
async fn a_service_whose_probes_all_panic_has_started() {
    let runs = Runs::default();
    let panics = runs.of(|| -> std::future::Ready<()> { panic!("on purpose") });
    let health = run(builder().dependency(Dependency::shared("a", panics))).await;
    assert_eq!(get(&health, "/startupz").await.0, 200);
    let page = r#"{"status":"warn","reasons":["panic"]}"#;
    assert_eq!(get(&health, "/health").await, (200, page.into()));
    assert_eq!(runs.begun(), 1);
}

/// More than one: a second panic while the first unwinds would end the process.
#[tokio::test(start_paused = true)]
async fn a_driver_that_is_dropped_survives_every_destructor() {
    let hangs = || async {
        let _bomb = Bomb;
        pending::<()>().await;
    };
    let (health, mut driver) = builder()
        .dependency(Dependency::local("a", hangs))
        .dependency(Dependency::local("b", hangs))
        .build()
        .unwrap();
    assert!(futures::poll!(&mut driver).is_pending());
    drop(driver);
    assert!(health.current().is_stale());
}
