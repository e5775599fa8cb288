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
use super::panic::discard;
use super::plan::Plan;
use super::probe::contract::ErasedProbe;
use super::probe::outcome::{Limits, Outcome};
use super::shared::Shared;
use crate::clock::{Clock, Instant};
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
        }
    }

    /// Renders when something changed, and once a second so that readers know that it is fresh.
    fn publish(&mut self, now: Instant) {
        let ticks = self.next_tick.is_none_or(|tick| tick <= now);
        if !self.plan.take_changed() && !ticks {
            return;
        }
        let alive = ticks.then(|| {
            self.next_tick = Some(now.after(TICK));
            self.alive.iter_mut().map(|check| check.look(now)).collect()
        });
        let (plan, shared) = (&self.plan, &self.shared);
        shared.update(Some(now), |report| {
            report.started = plan.is_started();
            report.checks = plan.checks(now);
            if let Some(alive) = alive {
                report.alive = alive;
            }
        });
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            let now = this.shared.clock.now();
            while let Poll::Ready(Some((index, outcome))) = this.runs.poll_next_unpin(cx) {
                let time = this.shared.clock.wall();
                this.plan.finish(index, outcome, now, time);
            }
            this.plan.sample(now, this.shared.clock.wall());
            let mut begun = false;
            while let Some(index) = this.plan.start(now) {
                let run = this.jobs[index].run(index, this.shared.clock.clone());
                this.runs.push(run.boxed());
                begun = true;
            }
            if begun {
                // Most answers take a while, but some are there at once: one page for all of them.
                continue;
            }
            this.publish(now);
            if Arc::strong_count(&this.shared) == 1 {
                return Poll::Ready(());
            }
            let tick = this.next_tick.unwrap_or(now);
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
    hard: Duration,
}

impl Job {
    pub(super) fn new(dependency: Dependency) -> Self {
        Self {
            name: dependency.name.as_str().into(),
            limits: dependency.limits(),
            hard: dependency.timing().hard,
            probe: dependency.probe,
        }
    }

    /// One run. Whatever the host's code does in it (its probe, its future's destructor, its error's
    /// `Display`) may panic and harms nothing but this run.
    fn run(
        &self,
        index: usize,
        clock: Clock,
    ) -> impl Future<Output = (usize, Outcome)> + Send + use<> {
        let (name, limits, hard) = (Arc::clone(&self.name), self.limits, self.hard);
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

/// How often readers are told that the driver is there, and uptime moves.
const TICK: Duration = Duration::from_secs(1);
