//! What happens to the status when what it watches breaks, and how many probes that takes.

use std::future::{pending, ready};

use bartizan::clock::Clock;
use bartizan::health::{Dependency, Reason};

use super::*;

/// 0 passes, 1 is refused, 2 hangs.
fn switched(switch: &Switch) -> impl Fn() -> futures_switch::Fut + Send + Sync + 'static + use<> {
    let switch = switch.clone();
    move || futures_switch::run(switch.get())
}

/// A nameable future for `switched`.
mod futures_switch {
    use std::future::Future;
    use std::pin::Pin;

    pub(super) type Fut = Pin<Box<dyn Future<Output = Result<(), std::io::Error>> + Send>>;

    pub(super) fn run(mode: usize) -> Fut {
        match mode {
            0 => Box::pin(super::ready(Ok(()))),
            1 => Box::pin(super::ready(Err(super::refused()))),
            _ => Box::pin(super::pending()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_the_defaults_a_hang_is_known_within_nine_seconds() {
    let clock = Clock::new();
    let mut longest = Duration::ZERO;
    for _ in 0..50 {
        let switch = Switch::default();
        let database = Dependency::local("database", switched(&switch));
        let health = run(builder().jitter_percent(10).dependency(database)).await;
        let mut transitions = health.subscribe();
        transitions.current();
        // Right after a run that went well: the worst moment.
        switch.set(2);
        let began = clock.now();
        assert!(!transitions.changed().await.unwrap().is_ready());
        longest = longest.max(clock.now().since(began));
    }
    assert!((secs(8)..=secs(9)).contains(&longest), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hang_holds_one_run_and_leaves_liveness_alone() {
    let (runs, switch) = (Runs::default(), Switch::default());
    let database = Dependency::local("database", runs.of(switched(&switch)));
    let health = run(builder().dependency(database)).await;
    assert_eq!(get(&health, "/readyz").await, (200, "ok".into()));

    switch.set(2);
    pass(secs(9)).await;
    let (code, body) = get(&health, "/readyz").await;
    assert_eq!((code, &*body), (503, "readyz check failed: timeout\n"));
    assert_eq!(get(&health, "/livez").await.0, 200);
    assert_eq!((runs.begun(), runs.most_in_flight()), (2, 1));

    pass(secs(60)).await;
    assert_eq!(
        runs.most_in_flight(),
        1,
        "the hard deadline frees the next run"
    );
    assert_eq!(runs.begun(), 7, "each 10 s long, and 2 s between them");

    switch.set(0);
    pass(secs(17)).await;
    assert_eq!(get(&health, "/readyz").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_told_by_its_code_alone() {
    let (runs, switch) = (Runs::default(), Switch::default());
    switch.set(1);
    let database = Dependency::local("database", runs.of(switched(&switch)));
    let health = run(builder().dependency(database)).await;
    let (code, body) = get(&health, "/health").await;
    assert_eq!(
        (code, &*body),
        (503, r#"{"status":"fail","reasons":["refused"]}"#)
    );
    assert_eq!(runs.begun(), 1);
    pass(millis(2_100)).await;
    assert_eq!(runs.begun(), 2, "sooner while it fails");
}

#[tokio::test(start_paused = true)]
async fn flapping_below_the_threshold_changes_nothing() {
    let (runs, count) = (Runs::default(), Switch::default());
    let flapping = {
        let count = count.clone();
        move || {
            count.set(count.get() + 1);
            ready(if count.get() % 2 == 0 {
                Err(refused())
            } else {
                Ok(())
            })
        }
    };
    let health = run(builder().dependency(Dependency::local("flapping", runs.of(flapping)))).await;
    let mut transitions = health.subscribe();
    let generation = transitions.current().generation();
    pass(secs(300)).await;
    assert_eq!(runs.begun(), 86, "two in 7 s");
    assert_eq!(transitions.current().generation(), generation);
    assert_eq!(get(&health, "/readyz").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn slow_is_a_warning_and_a_plain_200() {
    let runs = Runs::default();
    let slow = runs.of(|| tokio::time::sleep(millis(800)));
    let health = run(builder().dependency(Dependency::local("slow", slow))).await;
    pass(millis(900)).await;
    assert_eq!(get(&health, "/readyz").await, (200, "ok".into()));
    assert_eq!(
        get(&health, "/health").await,
        (200, r#"{"status":"warn","reasons":["slow"]}"#.into())
    );
    let slow = dependency(&health, "slow").await;
    assert_eq!(
        (&slow["status"], &slow["reason"]),
        (&"warn".into(), &"slow".into())
    );
    assert!(slow["latencyMs"].as_f64().unwrap() >= 800.0);
    assert_eq!(runs.begun(), 1);
    pass(secs(58)).await;
    assert_eq!(
        runs.begun(),
        11,
        "every 5.8 s: slow is no reason to ask more often"
    );
}

#[tokio::test(start_paused = true)]
async fn what_answers_after_its_soft_deadline_every_time_is_not_well() {
    let runs = Runs::default();
    let late = runs.of(|| tokio::time::sleep(millis(1_500)));
    let health = run(builder().dependency(Dependency::local("late", late))).await;
    pass(secs(60)).await;
    assert_eq!(get(&health, "/health/late").await.0, 503);
    assert_eq!((runs.begun(), runs.most_in_flight()), (18, 1));
}

#[tokio::test(start_paused = true)]
async fn a_child_of_a_failed_parent_is_blocked_and_comes_back_with_it() {
    let (parent, child, switch) = (Runs::default(), Runs::default(), Switch::default());
    let health = run(builder()
        .dependency(
            Dependency::local("ledger", child.of(|| ready(())))
                .depends_on(["database"])
                .interval(secs(3600)),
        )
        .dependency(Dependency::shared("database", parent.of(switched(&switch)))))
    .await;
    assert_eq!((parent.begun(), child.begun()), (1, 1));

    switch.set(1);
    pass(millis(7_100)).await;
    let at_failure = child.begun();
    let report = health.current();
    assert!(report.root_causes().eq(["database"]));
    let ledger = report
        .dependencies()
        .find(|one| one.name() == "ledger")
        .unwrap();
    assert_eq!(ledger.reason(), Some(Reason::Blocked));
    assert!(ledger.blocked_by().eq(["database"]));
    assert_eq!(
        get(&health, "/readyz").await.0,
        200,
        "shared: never worse than its root"
    );
    assert_eq!(get(&health, "/health/ledger").await.0, 503);

    pass(secs(60)).await;
    assert_eq!(child.begun(), at_failure, "not probed while blocked");

    switch.set(0);
    let before = parent.begun();
    while parent.begun() < before + 2 {
        pass(millis(100)).await;
    }
    assert_eq!(
        child.begun(),
        at_failure + 1,
        "probed in the moment its parent recovers"
    );
    assert_eq!(
        get(&health, "/health").await,
        (200, r#"{"status":"pass"}"#.into())
    );
}

#[tokio::test(start_paused = true)]
async fn all_shared_down_is_200_and_one_local_down_is_503() {
    let runs = Runs::default();
    let failing = || runs.of(|| ready(Err::<(), _>(refused())));
    let down = |name: &str| Dependency::shared(name, failing());
    let health = run(builder().dependency(down("a")).dependency(down("b"))).await;
    assert_eq!(get(&health, "/readyz").await.0, 200);
    assert_eq!(
        get(&health, "/health").await,
        (200, r#"{"status":"warn","reasons":["refused"]}"#.into())
    );
    assert!(health.current().root_causes().eq(["a", "b"]));
    assert_eq!(get(&health, "/livez").await.0, 200);
    assert_eq!(runs.begun(), 2);

    let local = Dependency::local("c", failing());
    let health = run(builder().dependency(down("a")).dependency(local)).await;
    assert_eq!(get(&health, "/readyz").await.0, 503);
    assert_eq!(get(&health, "/livez").await.0, 200);
    assert_eq!(runs.begun(), 2 + 2);
}

/// `d` rests on `b` and `c`, those on `a` and `e`: both of the lowest are down.
#[tokio::test(start_paused = true)]
async fn two_roots_of_a_diamond_are_each_named_once_and_in_order() {
    let (roots, above) = (Runs::default(), Runs::default());
    let down = |name: &str| Dependency::local(name, roots.of(|| ready(Err::<(), _>(refused()))));
    let up = |name: &str| Dependency::local(name, above.of(|| ready(())));
    let health = run(builder()
        .dependency(up("d").depends_on(["b", "c"]))
        .dependency(down("e"))
        .dependency(up("b").depends_on(["a", "e"]))
        .dependency(up("c").depends_on(["a"]))
        .dependency(down("a")))
    .await;
    for _ in 0..10 {
        let report = health.current();
        assert!(report.root_causes().eq(["e", "a"]), "as declared");
        let blocked_by = |name: &str| {
            let one = report.dependencies().find(|one| one.name() == name);
            one.unwrap().blocked_by().collect::<Vec<_>>().join(",")
        };
        assert_eq!(
            [blocked_by("d"), blocked_by("b"), blocked_by("c")],
            ["b,c", "a,e", "a"]
        );
        pass(secs(2)).await;
    }
    assert_eq!((roots.begun(), above.begun()), (2 * 11, 0));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_probes_keep_to_the_cap_and_boot_in_bounded_time() {
    let runs = Runs::default();
    let mut builder = builder().concurrency(16);
    for index in 0..1_000 {
        let probe = runs.of(|| tokio::time::sleep(millis(100)));
        builder =
            builder.dependency(Dependency::local(format!("d{index}"), probe).interval(secs(60)));
    }
    let (health, driver) = builder.build().unwrap();
    tokio::spawn(driver);
    pass(millis(6_400)).await;
    assert_eq!(runs.most_in_flight(), 16);
    assert_eq!(runs.begun(), 1_000);
    assert_eq!(get(&health, "/readyz").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn error_text_of_any_kind_reaches_nobody() {
    let secret = "postgres://admin:hunter2@db.internal:5432 \u{1b}[31m\r\n</script>".repeat(20_000);
    let failing = move || ready(Err::<(), _>(secret.clone()));
    let health = run(builder().dependency(Dependency::local("database", failing))).await;
    for path in Health::PATHS.map(|path| path.replace("{name}", "database")) {
        for (_, body) in [get(&health, &path).await, inspect(&health, &path).await] {
            assert!(
                !body.contains("hunter2") && !body.contains("internal"),
                "{path}"
            );
            assert!(body.len() < 10 * 1024, "kubelet reads no more");
        }
    }
}

/// Both feel the same fault, each in its own time: the child, which is asked as often as its parent
/// and often just before it, must never be announced as a failure of its own.
#[tokio::test(start_paused = true)]
async fn a_child_is_never_blamed_before_its_parent() {
    let mut felt_first = 0;
    for round in 0..60 {
        let (switch, order) = (
            Switch::default(),
            Arc::new(std::sync::Mutex::new(Vec::new())),
        );
        let probe = |name: &'static str| {
            let (probe, order) = (switched(&switch), order.clone());
            let switch = switch.clone();
            move || {
                if switch.get() == 1 {
                    order.lock().unwrap().push(name);
                }
                probe()
            }
        };
        let health = run(builder()
            .jitter_percent(50)
            .dependency(Dependency::shared("ledger", probe("ledger")).depends_on(["database"]))
            .dependency(Dependency::shared("database", probe("database"))))
        .await;
        let mut transitions = health.subscribe();
        transitions.current();
        pass(millis(5_000 + 83 * round)).await;
        switch.set(1);
        let report = transitions.changed().await.unwrap();
        felt_first += usize::from(order.lock().unwrap()[0] == "ledger");
        let ledger = report.dependencies().next().unwrap();
        assert_eq!(ledger.reason(), Some(Reason::Blocked));
        assert!(report.root_causes().eq(["database"]));
    }
    assert!(felt_first > 5, "the child was first in {felt_first} of 60");
}
