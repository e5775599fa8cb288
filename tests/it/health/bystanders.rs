//! What one probe, one reader or one setting does to everything beside it: nothing.

use std::future::ready;
use std::sync::{Mutex, mpsc};

use bartizan::health::Dependency;

use super::lifecycle::ByHand;
use super::*;
use crate::logs::logged;

/// It holds up the driver, and with it the other probes; requests read what is there, and stop
/// believing it in time.
#[tokio::test(start_paused = true)]
async fn a_probe_that_blocks_its_thread_stalls_no_request_and_is_not_believed_for_ever() {
    let (release, held) = mpsc::channel::<()>();
    let (entered, inside) = mpsc::channel();
    let held = Mutex::new(held);
    let runs = Runs::default();
    let begun = runs.clone();
    let probe = runs.of(move || {
        if begun.begun() == 2 {
            entered.send(()).unwrap();
            let _ = held.lock().unwrap().recv();
        }
        ready(())
    });
    let (health, driver) = builder()
        .dependency(Dependency::local("a", probe))
        .build()
        .unwrap();
    let mut driver = ByHand(Box::pin(driver));
    driver.poll();
    assert_eq!(get(&health, "/readyz").await.0, 200);
    tokio::time::advance(secs(6)).await;

    // On a thread of its own, in the same paused time.
    let runtime = tokio::runtime::Handle::current();
    let stuck = std::thread::spawn(move || {
        let _runtime = runtime.enter();
        driver.poll();
    });
    inside.recv().unwrap();
    assert_eq!(get(&health, "/readyz").await.0, 200);
    tokio::time::advance(secs(16)).await;
    assert_eq!(
        get(&health, "/readyz").await,
        (503, "readyz check failed: stale\n".into())
    );
    assert_eq!(get(&health, "/livez").await.0, 200);
    assert_eq!(runs.begun(), 2);
    drop(release);
    stuck.join().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_panics_or_never_reads_holds_nobody_up() {
    let switch = Switch::default();
    let runs = Runs::default();
    let probe = runs.of(switch.refused_at_one());
    let health = run(builder().dependency(Dependency::local("a", probe))).await;
    let _never_read = health.subscribe();
    let mut panics = health.subscribe();
    panics.current();
    let panics = tokio::spawn(async move {
        panics.changed().await;
        panic!("on purpose");
    });
    let mut reads = health.subscribe();
    reads.current();
    for (to, ready) in [(1, false), (0, true)] {
        switch.set(to);
        assert_eq!(reads.changed().await.unwrap().is_ready(), ready);
    }
    assert!(panics.await.unwrap_err().is_panic());
    let begun = runs.begun();
    pass(secs(20)).await;
    assert_eq!(runs.begun(), begun + 4, "every 5 s");
}

#[tokio::test(start_paused = true)]
async fn what_is_slow_for_long_is_logged_once() {
    let runs = Runs::default();
    let lines = logged(async {
        let slow = runs.of(|| tokio::time::sleep(millis(800)));
        let _health = run(builder().dependency(Dependency::local("slow", slow))).await;
        pass(secs(120)).await;
    })
    .await;
    let told = lines
        .iter()
        .filter(|line| line.contains("dependency degraded"));
    assert_eq!(told.count(), 1, "{lines:?}");
    assert_eq!(runs.begun(), 21);
}

/// A success begins the count anew: failures that are days apart are not a fall.
#[tokio::test(start_paused = true)]
async fn failures_count_in_a_row_and_not_in_all() {
    let runs = Runs::default();
    let count = Switch::default();
    let probe = runs.of(move || {
        count.set(count.get() + 1);
        // The first result counts at once, so it is a success.
        ready(if count.get() % 3 == 1 {
            Ok(())
        } else {
            Err(refused())
        })
    });
    let health = run(builder().dependency(Dependency::local("a", probe).fall(3))).await;
    let generation = health.current().generation();
    pass(secs(300)).await;
    assert_eq!(runs.begun(), 100, "three in 9 s");
    assert_eq!(health.current().generation(), generation);
}

#[tokio::test(start_paused = true)]
async fn a_page_of_which_everything_is_excluded_passes() {
    let down = || ready(Err::<(), _>(refused()));
    let health = run(builder()
        .dependency(Dependency::local("a", down))
        .dependency(Dependency::local("b", down)))
    .await;
    assert_eq!(get(&health, "/readyz?exclude=a").await.0, 503);
    assert_eq!(
        get(&health, "/readyz?exclude=b&exclude=a").await,
        (200, "ok".into())
    );
}

/// The kubelet reads no more of a body than 10 KiB.
#[tokio::test(start_paused = true)]
async fn what_the_public_gets_of_a_probe_route_is_small_however_much_is_down() {
    let mut many = builder();
    for index in 0..1_024 {
        let name = format!("{index:04}{}", "x".repeat(60));
        many = many.dependency(Dependency::local(name, || ready(Err::<(), _>(refused()))));
    }
    let health = run(many).await;
    health.started().await;
    for path in ["/livez", "/readyz", "/startupz", "/health", "/api/status"] {
        let (_, body) = get(&health, &format!("{path}?verbose")).await;
        assert!(body.len() < 1024, "{path}: {}", body.len());
    }
    assert_eq!(get(&health, "/readyz").await.0, 503);
}

#[tokio::test(start_paused = true)]
async fn every_path_is_answered_alike_to_ten_thousand_clients_at_once() {
    let runs = Runs::default();
    let probe = runs.of(|| tokio::time::sleep(millis(300)));
    let health = run(builder().dependency(Dependency::local("a", probe))).await;
    for (path, code) in [
        ("/livez", 200),
        ("/readyz", 503),
        ("/startupz", 503),
        ("/health", 503),
    ] {
        let first = get(&health, path).await;
        assert_eq!(first.0, code, "{path}");
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..10_000 {
            let (health, path) = (health.clone(), format!("{path}?x={client}"));
            clients.spawn(async move { get(&health, &path).await });
        }
        while let Some(answer) = clients.join_next().await {
            assert_eq!(answer.unwrap(), first, "{path}");
        }
    }
    assert_eq!(runs.begun(), 1);
}
