//! What a metrics recorder is told, and under which names.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use bartizan::health::Dependency;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};

use super::*;

/// Everything that was registered: name and labels to the value's cell.
#[derive(Default)]
struct Recorder(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Recorder {
    fn cell(&self, key: &Key) -> Arc<AtomicU64> {
        let labels = key.labels().map(|label| {
            assert_eq!(label.key(), "dependency");
            format!("{{{}}}", label.value())
        });
        let name = format!("{}{}", key.name(), labels.collect::<String>());
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }

    fn read(&self, name: &str) -> u64 {
        self.0.lock().unwrap()[name].load(Ordering::SeqCst)
    }

    fn gauge(&self, name: &str) -> f64 {
        f64::from_bits(self.read(name))
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        unreachable!("there is none")
    }
}

#[tokio::test(start_paused = true)]
async fn states_runs_and_transitions_are_counted_under_the_documented_names() {
    let (runs, switch) = (Runs::default(), Switch::default());
    let builder = builder()
        .dependency(Dependency::local(
            "database",
            runs.of(switch.refused_at_one()),
        ))
        .dependency(Dependency::local("ledger", || ready(())).depends_on(["database"]))
        .dependency(Dependency::shared("slow", || {
            tokio::time::sleep(millis(1_500))
        }));
    let recorder = Recorder::default();
    let (health, driver) = metrics::with_local_recorder(&recorder, || builder.build()).unwrap();
    assert_eq!(recorder.gauge("bartizan_health_ready"), 0.0);
    let driver = tokio::spawn(driver);
    pass(secs(10)).await;
    assert_eq!(recorder.gauge("bartizan_health_ready"), 1.0);
    let status =
        |name: &str| recorder.gauge(&format!("bartizan_health_dependency_status{{{name}}}"));
    assert_eq!(
        [status("database"), status("ledger"), status("slow")],
        [0.0, 0.0, 2.0]
    );
    let counted =
        |what: &str, name: &str| recorder.read(&format!("bartizan_health_{what}_total{{{name}}}"));
    assert_eq!(counted("probe_failures", "database"), 0);
    assert!(counted("probe_failures", "slow") > 1, "late is a failure");
    assert_eq!(
        recorder.gauge("bartizan_health_probe_duration_seconds{slow}"),
        1.5
    );

    switch.set(1);
    pass(secs(10)).await;
    assert_eq!(recorder.gauge("bartizan_health_ready"), 0.0);
    assert_eq!([status("database"), status("ledger")], [2.0, 3.0]);
    assert_eq!(counted("probe_runs", "database"), runs.begun() as u64);
    switch.set(0);
    pass(secs(10)).await;
    assert_eq!([status("database"), status("ledger")], [0.0, 0.0]);
    assert_eq!(counted("transitions", "database"), 3, "up, down, up");

    // A driver that is gone counts no more, and leaves nothing that says all is well.
    let ticks = recorder.read("bartizan_health_driver_ticks_total");
    assert!((29..=31).contains(&ticks), "{ticks}");
    driver.abort();
    pass(secs(10)).await;
    assert_eq!(recorder.read("bartizan_health_driver_ticks_total"), ticks);
    assert_eq!(recorder.gauge("bartizan_health_ready"), 0.0);
    assert_eq!(status("database"), 2.0);

    drop(health);
    let named = include_str!("../../../src/health/mod.rs");
    let mut names: Vec<_> = recorder.0.lock().unwrap().keys().cloned().collect();
    names.iter_mut().for_each(|name| {
        name.truncate(name.find('{').unwrap_or(name.len()));
    });
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 7);
    for name in &names {
        assert!(
            named.contains(&format!("| `{name}` |")),
            "{name} is not documented"
        );
    }
    assert_eq!(named.matches("| `bartizan_health_").count(), names.len());
}

/// A scrape reads cells: it cannot run a probe, however often it comes.
#[tokio::test(start_paused = true)]
async fn a_scrape_runs_nothing() {
    let runs = Runs::default();
    let recorder = Recorder::default();
    let built = builder().dependency(Dependency::local("disk", runs.of(|| ready(()))));
    let (_health, driver) = metrics::with_local_recorder(&recorder, || built.build()).unwrap();
    tokio::spawn(driver);
    settle().await;
    for _ in 0..10_000 {
        recorder.read("bartizan_health_probe_runs_total{disk}");
    }
    assert_eq!(runs.begun(), 1);
}
