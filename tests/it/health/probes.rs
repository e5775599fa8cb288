//! What may be a probe, and which configurations cannot be built.

use std::future::ready;
use std::sync::mpsc;

use bartizan::health::{Beat, Dependency, Observation, Probe, ProbeError, Reason, probe};

use super::*;

/// A host's own type.
struct Replica {
    lag: f64,
}

impl Probe for Replica {
    async fn check(&self) -> Result<Observation, ProbeError> {
        if self.lag < 0.0 {
            Err(std::io::Error::from(std::io::ErrorKind::TimedOut))?;
        }
        Ok(Observation::new()
            .value(self.lag, "s")
            .measurement("replicationLag"))
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_says_what_happened_is_a_probe() {
    async fn named() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Err("no such host is known".into())
    }
    let health = run(builder()
        .dependency(Dependency::local("unit", || async {}))
        .dependency(Dependency::local("observation", || {
            ready(Observation::new().warn("look"))
        }))
        .dependency(Dependency::local("string", || {
            ready(Err::<(), _>(String::from("x")))
        }))
        .dependency(Dependency::local("boxed", named))
        .dependency(Dependency::local("reasoned", || {
            ready(Err::<(), _>(
                ProbeError::new(Reason::PoolExhausted).public("all 5 are busy"),
            ))
        }))
        .dependency(Dependency::local("typed", Replica { lag: 31.0 }).warn_above(30.0))
        .dependency(Dependency::local("failed", Replica { lag: -1.0 })))
    .await;
    for (name, status, reason) in [
        ("unit", "pass", Value::Null),
        ("observation", "warn", "degraded".into()),
        ("string", "fail", "failed".into()),
        ("boxed", "fail", "dns".into()),
        ("reasoned", "warn", "pool_exhausted".into()),
        ("typed", "warn", "limit".into()),
        ("failed", "fail", "timeout".into()),
    ] {
        let seen = dependency(&health, name).await;
        assert_eq!(
            (&seen["status"], &seen["reason"]),
            (&status.into(), &reason),
            "{name}"
        );
    }
    assert_eq!(
        dependency(&health, "reasoned").await["output"],
        "all 5 are busy"
    );
    assert_eq!(dependency(&health, "typed").await["observedValue"], 31.0);
    assert!(
        inspect(&health, "/health")
            .await
            .1
            .contains("typed:replicationLag")
    );
}

#[tokio::test]
async fn a_blocking_probe_that_hangs_holds_one_thread() {
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let entered = Switch::default();
    let function = {
        let entered = entered.clone();
        move || {
            entered.set(entered.get() + 1);
            let _ = held.lock().unwrap().recv();
        }
    };
    let blocking = probe::blocking(function);
    let cancelled = tokio::time::timeout(millis(1), blocking.check()).await;
    assert!(cancelled.is_err(), "dropped at its deadline");
    for _ in 0..3 {
        assert_eq!(
            blocking.check().await.unwrap_err().reason(),
            Reason::Timeout
        );
    }
    drop(release);
    while blocking.check().await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(entered.get(), 2, "the one that hung, and the one after it");
}

#[tokio::test]
async fn a_blocking_probe_that_panics_says_so() {
    let blocking = probe::blocking(|| -> () { panic!("on purpose") });
    for _ in 0..2 {
        assert_eq!(blocking.check().await.unwrap_err().reason(), Reason::Panic);
    }
}

#[test]
fn a_configuration_that_cannot_work_cannot_be_built() {
    let fine = || Dependency::local("a", || ready(()));
    let fails = |builder: HealthBuilder| builder.build().unwrap_err().to_string();
    let with = |dependency: Dependency| fails(builder().dependency(dependency));
    assert!(with(fine().depends_on(["a"])).contains("a -> a"));
    assert!(with(fine().depends_on(["b"])).contains("a -> b"));
    assert!(fails(builder().dependency(fine()).dependency(fine())).contains("two dependencies"));
    assert!(with(fine().interval(Duration::ZERO)).contains("interval of dependency \"a\""));
    assert!(with(fine().soft_deadline(secs(11))).contains("deadlines"));
    assert!(with(fine().fall(0)).contains("fall"));
    assert!(with(fine().warn_above(f64::NAN)).contains("fail_above"));
    assert!(with(fine().warn_above(2.0).fail_above(1.0)).contains("fail_above"));
    assert!(with(fine().fail_below(2.0).warn_below(1.0)).contains("fail_below"));
    assert!(fails(builder().concurrency(0)).contains("concurrency"));
    assert!(fails(builder().jitter_percent(51)).contains("jitter"));
    assert!(fails(builder().max_age(secs(1))).contains("max_age"));
    assert!(fails(Health::builder("", "1")).contains("service name"));
    let many = |n: usize| {
        let nodes = (0..n).map(|i| Dependency::local(format!("d{i}"), || ready(())));
        nodes.fold(builder(), HealthBuilder::dependency)
    };
    let beat = Beat::new("a", secs(2));
    assert!(fails(builder().beat(&beat)).contains("longest silence of beat \"a\""));
    let beat = Beat::new("a", secs(5));
    assert!(fails(many(1024).beat(&beat)).contains("more than 1024"));
    assert!(many(1023).beat(&beat).build().is_ok());
    assert!(fails(builder().dependency(fine()).beat(&beat)).contains("two dependencies"));
}
