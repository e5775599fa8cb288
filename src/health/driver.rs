//! The driver: one future that runs every probe and renders what came of it.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Sleep, sleep, timeout};

use super::Reason;
use super::beat::LiveCheck;
use super::dependency::Dependency;
use super::panic::{caught, discard};
use super::plan::{Plan, Timing};
use super::probe::contract::ErasedProbe;
use super::probe::outcome::{Limits, Outcome};
use super::shared::Shared;
use crate::clock::{Clock, Forward, Instant};
use crate::trace::emit;

/// Runs the probes: give it to the runtime (`tokio::spawn(driver)`), once.
///
/// It ends when every handle, layer and service of its [`Health`](super::Health) is gone. If it is
/// dropped before, readiness is 503 (`stale`) from then on; if it is never polled, or no longer, the
/// same happens when the builder's maximum age has passed. Either is logged once.
///
/// All probes run inside this one future: a probe that blocks its thread holds up the others, and
/// shows as `stale`. Wrap it in [`probe::blocking`](super::probe::blocking()).
///
/// # Panics
///
/// Polling it panics outside of a tokio runtime whose timers are enabled.
#[must_use = "nothing is probed until the driver is spawned: tokio::spawn(driver)"]
pub struct Driver {
    shared: Arc<Shared>,
    plan: Plan,
    jobs: Vec<Job>,
    alive: Vec<LiveCheck>,
    runs: FuturesUnordered<BoxFuture<'static, (usize, Outcome)>>,
    /// Made on the first poll: a driver may be built outside of the runtime.
    timer: Option<Pin<Box<Sleep>>>,
    next_tick: Option<Instant>,
    time: Forward,
    pace: Pace,
    /// Something has changed that no page shows yet.
    unpublished: bool,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        plan: Plan,
        jobs: Vec<Job>,
        alive: Vec<LiveCheck>,
    ) -> Self {
        Self {
            shared,
            plan,
            jobs,
            alive,
            runs: FuturesUnordered::new(),
            timer: None,
            next_tick: None,
            time: Forward::default(),
            pace: Pace::default(),
            unpublished: false,
        }
    }

    /// Renders when something changed, and once a second so that readers know that it is fresh.
    /// Returns when to come again, at the latest.
    fn publish(&mut self, now: Instant) -> Instant {
        self.unpublished |= self.plan.take_changed();
        let tick = self.next_tick.filter(|tick| *tick > now);
        if let (Some(tick), false) = (tick, self.unpublished) {
            return tick;
        }
        if let (Some(tick), Err(wait)) = (tick, self.pace.spend(now)) {
            return tick.min(now.after(wait));
        }
        self.unpublished = false;
        let next_tick = tick.unwrap_or(now.after(TICK));
        self.next_tick = Some(next_tick);
        let alive = tick.is_none().then(|| {
            self.shared.meters.tick();
            self.alive.iter_mut().map(|check| check.look(now)).collect()
        });
        let (plan, shared) = (&self.plan, &self.shared);
        shared.update(true, |report| {
            report.started = plan.is_started();
            report.checks = plan.checks(now);
            if let Some(alive) = alive {
                report.alive = alive;
            }
        });
        next_tick
    }

    /// Time as the plan sees it: it passes, whatever the clock does.
    fn now(&mut self) -> Instant {
        let read = self.shared.clock.now();
        Instant::from_nanos(0).after(self.time.passed(read))
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            let now = this.now();
            while let Poll::Ready(Some((index, outcome))) = this.runs.poll_next_unpin(cx) {
                let time = this.shared.clock.wall();
                let in_time = this.jobs[index].is_in_time(&outcome);
                this.shared.meters.end(index, &outcome, in_time);
                this.plan.finish(index, outcome, now, time);
            }
            this.plan.sample(now, this.shared.clock.wall());
            let mut begun = false;
            while let Some(index) = this.plan.start(now) {
                this.shared.meters.begin(index);
                let run = this.jobs[index].run(index, this.shared.clock.clone());
                this.runs.push(run.boxed());
                begun = true;
            }
            if begun {
                // Most answers take a while, but some are there at once: one page for all of them.
                continue;
            }
            let tick = this.publish(now);
            if Arc::strong_count(&this.shared) == 1 {
                return Poll::Ready(());
            }
            let wake = this.plan.next().map_or(tick, |next| next.min(tick));
            let wake = sleep(wake.since(now));
            match &mut this.timer {
                Some(timer) => timer.set(wake),
                timer => *timer = Some(Box::pin(wake)),
            }
            let timer = this.timer.as_mut();
            if timer.is_some_and(|timer| timer.as_mut().poll(cx).is_pending()) {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Each by itself: where two destructors panic in one unwinding, the process ends.
        for run in std::mem::take(&mut self.runs) {
            caught(|| drop(run));
        }
        if Arc::strong_count(&self.shared) == 1 {
            return;
        }
        self.shared.stop();
        // While draining this is how it ends.
        if !self.shared.current().is_draining() {
            emit!(
                error,
                {},
                "health driver dropped: readiness is stale from now on"
            );
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("plan", &self.plan)
            .field("in_flight", &self.runs.len())
            .finish_non_exhaustive()
    }
}

/// What it takes to run one probe.
pub(super) struct Job {
    name: Arc<str>,
    probe: Arc<dyn ErasedProbe>,
    limits: Limits,
    timing: Timing,
}

impl Job {
    pub(super) fn new(dependency: Dependency) -> Self {
        Self {
            name: dependency.name.as_str().into(),
            limits: dependency.limits(),
            timing: dependency.timing(),
            probe: dependency.probe,
        }
    }

    /// Whether it answered within its soft deadline.
    fn is_in_time(&self, outcome: &Outcome) -> bool {
        outcome.latency.is_some_and(|took| took <= self.timing.soft)
    }

    /// One run. Whatever the host's code does in it (its probe, its future's destructor, its error's
    /// `Display`) may panic and harms nothing but this run.
    fn run(
        &self,
        index: usize,
        clock: Clock,
    ) -> impl Future<Output = (usize, Outcome)> + Send + use<> {
        let (name, limits, hard) = (Arc::clone(&self.name), self.limits, self.timing.hard);
        let probe = Arc::clone(&self.probe);
        async move {
            let began = clock.now();
            let work = async {
                let result = timeout(hard, async { probe.start().await }).await;
                let latency = clock.now().since(began);
                match result {
                    Ok(result) => {
                        if let Err(error) = &result {
                            emit!(debug, { dependency = name, error = error.chain() }, "probe failed");
                        }
                        Outcome::judge(result, latency, limits)
                    }
                    Err(_) => Outcome::failed(Reason::Timeout, None),
                }
            };
            let outcome = AssertUnwindSafe(work).catch_unwind().await;
            let outcome = outcome.unwrap_or_else(|payload| {
                discard(payload);
                Outcome::failed(Reason::Panic, Some(clock.now().since(began)))
            });
            (index, outcome)
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Job").field(&self.name).finish()
    }
}

/// How often changes may be rendered: [`BURST`] at once, and one each [`GAP`] for as long as it takes.
/// A thousand dependencies that change one after the other are told in fifty pages a second.
#[derive(Debug, Default)]
struct Pace {
    /// What of the burst is used up, as the time it takes to come back.
    used: Duration,
    at: Option<Instant>,
}

impl Pace {
    /// Takes one rendering, or says how long to wait for it.
    fn spend(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = self.at.map_or(Duration::ZERO, |at| now.since(at));
        self.at = Some(now);
        self.used = self.used.saturating_sub(passed);
        let wait = (self.used + GAP).saturating_sub(GAP * BURST);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.used += GAP;
        Ok(())
    }
}

const GAP: Duration = Duration::from_millis(20);
const BURST: u32 = 16;

/// How often readers are told that the driver is there, and uptime moves.
const TICK: Duration = Duration::from_secs(1);
