//! Clocks that jump, stop and step back: only rendered timestamps change.

use std::time::SystemTime;

use bartizan::clock::Clock;
use bartizan::health::{Dependency, Reason};

use super::*;

/// A service on a clock of its own, watched second by second.
struct Watched {
    clock: Clock,
    health: Health,
    runs: Runs,
    switch: Switch,
}

impl Watched {
    async fn start() -> Self {
        let (clock, runs, switch) = (Clock::manual(), Runs::default(), Switch::default());
        let database = Dependency::local("database", runs.of(switch.refused_at_one()));
        let builder = builder().clock(clock.clone()).dependency(database);
        Self {
            health: run(builder).await,
            clock,
            runs,
            switch,
        }
    }

    /// Lets time pass on both clocks: the service's, and that of the runtime it sleeps in.
    async fn pass(&self, time: Duration) {
        const STEP: Duration = Duration::from_millis(100);
        for _ in 0..time.as_millis() / STEP.as_millis() {
            self.clock.advance(STEP);
            pass(STEP).await;
        }
    }

    /// Everything that a reader or a probe could notice, timestamps aside; and the timestamps.
    async fn seen(&self) -> (Value, Vec<Value>) {
        let (code, body) = inspect(&self.health, "/api/status").await;
        let mut document: Value = serde_json::from_str(&body).unwrap();
        let mut times = vec![document.as_object_mut().unwrap().remove("time")];
        let database = document["dependencies"][0].as_object_mut().unwrap();
        times.push(database.remove("time"));
        times.push(database.remove("since"));
        let all = serde_json::json!({
            "code": code, "document": document, "runs": self.runs.begun(),
            "ready": get(&self.health, "/readyz").await.0,
            "generation": self.health.current().generation(),
        });
        (all, times.into_iter().flatten().collect())
    }
}

/// A minute with a failure and a recovery in it, during which the wall is set by `set`.
async fn minute(set: impl Fn(u64, &Clock)) -> (Vec<Value>, Vec<Value>) {
    let service = Watched::start().await;
    let (mut noticed, mut times) = (Vec::new(), Vec::new());
    for second in 0..60 {
        match second {
            20 => service.switch.set(1),
            40 => service.switch.set(0),
            _ => {}
        }
        set(second, &service.clock);
        service.pass(secs(1)).await;
        let (all, dated) = service.seen().await;
        noticed.push(all);
        times.extend(dated);
    }
    (noticed, times)
}

#[tokio::test(start_paused = true)]
async fn a_wall_that_jumps_moves_timestamps_and_nothing_else() {
    const DAY: Duration = Duration::from_secs(86_400);
    let (expected, dated) = minute(|_, _| {}).await;
    assert!(
        expected.iter().any(|seen| seen["ready"] == 503),
        "it failed, too"
    );
    let runs = expected[59]["runs"].as_u64().unwrap();
    assert!((12..40).contains(&runs), "{runs}");

    let (seen, jumped) = minute(|second, clock| match second % 10 {
        3 => clock.set_wall(clock.wall() + DAY),
        6 => clock.set_wall(clock.wall() - 2 * DAY),
        9 => clock.set_wall(clock.wall() + DAY),
        _ => {}
    })
    .await;
    assert_eq!(seen, expected);
    assert_eq!(jumped.len(), dated.len());
    assert_ne!(jumped, dated);

    // Before RFC 3339 begins and after it ends there is no timestamp, and still a document.
    for year in [1900, 12_000] {
        let (seen, times) = minute(|_, clock| clock.set_wall(january(year))).await;
        assert_eq!(seen, expected, "{year}");
        // What happened before the first jump keeps its date.
        assert!(times.len() < dated.len() / 4, "{year}: {times:?}");
    }
}

fn january(year: u64) -> SystemTime {
    let years = Duration::from_secs(31_556_952);
    match year.checked_sub(1970) {
        Some(after) => SystemTime::UNIX_EPOCH + years * u32::try_from(after).unwrap(),
        None => SystemTime::UNIX_EPOCH - years * u32::try_from(1970 - year).unwrap(),
    }
}

/// As no monotonic clock should, and some do.
#[tokio::test(start_paused = true)]
async fn a_clock_that_steps_back_stops_no_probe_and_no_uptime() {
    let steady = Watched::start().await;
    let stepping = Watched::start().await;
    for second in 0..60 {
        if second % 7 == 3 {
            stepping.clock.rewind(secs(3600));
        }
        for service in [&steady, &stepping] {
            service.switch.set(usize::from((20..40).contains(&second)));
            service.pass(secs(1)).await;
        }
        let ((expected, _), (seen, _)) = (steady.seen().await, stepping.seen().await);
        let ready = |seen: &Value| seen["ready"].clone();
        let reasons = |seen: &Value| seen["document"]["reasons"].clone();
        if !matches!(second, 20..30 | 40..50) {
            assert_eq!(ready(&seen), ready(&expected), "{second}");
            assert_eq!(reasons(&seen), reasons(&expected), "{second}");
        }
    }
    let uptime = |seen: Value| seen["document"]["uptimeSeconds"].as_f64().unwrap();
    let (kept, lost) = (
        uptime(steady.seen().await.0),
        uptime(stepping.seen().await.0),
    );
    assert!((59.0..=60.0).contains(&kept), "{kept}");
    // A step loses what had passed since the last look, and never more.
    assert!((50.0..=60.0).contains(&lost), "{lost}");
    let (expected, runs) = (steady.runs.begun(), stepping.runs.begun());
    assert!(
        expected.abs_diff(runs) <= 2,
        "{runs} runs, {expected} on a steady clock"
    );
}

/// The machine sleeps: nothing runs, and the clock has gone on when it wakes.
#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_asks_each_dependency_once_and_at_once() {
    let service = Watched::start().await;
    service.pass(secs(12)).await;
    assert_eq!(service.runs.begun(), 3);
    service.clock.advance(secs(3600));
    let (code, body) = get(&service.health, "/readyz").await;
    assert_eq!((code, &*body), (503, "readyz check failed: stale\n"));
    assert_eq!(get(&service.health, "/livez").await.0, 200);
    service.pass(secs(1)).await;
    assert_eq!(service.runs.begun(), 4, "no burst of missed runs");
    assert_eq!(get(&service.health, "/readyz").await.0, 200);
    assert_eq!(service.health.current().reasons(), [] as [Reason; 0]);
}
