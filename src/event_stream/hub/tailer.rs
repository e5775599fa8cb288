//! The one reader of the store that feeds all streams, and the one timer that drives them.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::join;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::reads::unharmed;
use super::replay::scanned;
use super::ring::{Entry, Ring};
use super::shared::{ENDED, RUNNING, Shared, TICK};
use super::slot::Closing;
use super::stats::Counts;
use crate::event_stream::id::EventId;
use crate::event_stream::selector::Selector;
use crate::event_stream::store::{BoxError, Page, Read};
use crate::rand;
use crate::trace::emit;

/// Feeds a hub: poll it for as long as the process serves, as with `tokio::spawn(tailer)`.
///
/// It asks the store for news, when a hint says so and otherwise every 50 ms to 1 s, and drives the
/// keep-alives. A store that fails is asked again; it may be down when the tailer starts. It never
/// ends by itself. It needs tokio's timers.
///
/// # Cancel safety
///
/// When it is dropped, streams are told to come back later and end.
#[must_use = "a hub delivers nothing until its tailer is spawned: tokio::spawn(tailer)"]
pub struct Tailer {
    running: Pin<Box<dyn Future<Output = ()> + Send>>,
    shared: Arc<Shared>,
}

impl Tailer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let hub = Arc::clone(&shared);
        let running = async move {
            hub.stage.store(RUNNING, Ordering::Release);
            join(tail(&hub), beat(&hub)).await;
        };
        Self {
            running: Box::pin(running),
            shared,
        }
    }
}

impl Future for Tailer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.running.as_mut().poll(cx)
    }
}

impl Drop for Tailer {
    fn drop(&mut self) {
        self.shared.stage.store(ENDED, Ordering::Release);
        self.shared.end(Closing::Stale);
        // After a drain this is how it should end.
        if !self.shared.draining.load(Ordering::Relaxed) {
            emit!(
                warn,
                {},
                "the event hub's tailer has ended: streams are turned away"
            );
        }
    }
}

impl fmt::Debug for Tailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tailer").finish_non_exhaustive()
    }
}

/// Follows the log. The pauses grow while there is nothing new, and while the store fails.
async fn tail(hub: &Shared) {
    let everything = Selector::everything();
    let mut hints = catch_unwind(AssertUnwindSafe(|| hub.store.hints())).ok();
    let mut outage = Outage::default();
    let mut head = prime(hub, &mut outage).await;
    let mut primed = hub.settings.clock.now();
    let mut pause = hub.settings.poll_busy;
    let mut hinted = false;
    loop {
        let before = head;
        hub.tail_meters.read();
        match unharmed(hub.store.read_after(head, &everything, PAGE)).await {
            Ok(Read::Page(page)) => {
                outage.over(hub);
                head = ingest(hub, head, page);
            }
            Ok(Read::Gone(_)) => {
                emit!(
                    warn,
                    {},
                    "the event log was trimmed or replaced under its reader"
                );
                // Everyone is woken by it: not as often as a store can say so.
                let since = hub.settings.clock.now().since(primed);
                sleep(hub.settings.poll_busy.saturating_sub(since)).await;
                head = prime(hub, &mut outage).await;
                primed = hub.settings.clock.now();
            }
            Err(error) => outage.pause(hub, &error).await,
        }
        if head != before {
            // A page is short: there may be more at once.
            pause = hub.settings.poll_busy;
            hinted = false;
            // Those who were just woken come first. A log that grows as fast as it is read would keep
            // them waiting for ever, and with them whatever else this thread is to do.
            yield_now().await;
            continue;
        }
        if hinted {
            // Hints are not trusted: a storm of them is not a storm of reads.
            sleep(HINT_GAP).await;
        }
        hinted = wait(&mut hints, pause).await;
        if !hinted {
            pause = pause.saturating_mul(2).min(hub.settings.poll_idle);
        }
    }
}

/// Waits for a hint, or for `pause` to pass. Answers whether it was a hint.
async fn wait(hints: &mut Option<BoxStream<'_, ()>>, pause: Duration) -> bool {
    let Some(stream) = hints else {
        sleep(pause).await;
        return false;
    };
    let hint = AssertUnwindSafe(stream.next()).catch_unwind();
    match timeout(pause, hint).await {
        Ok(Ok(Some(()))) => true,
        Err(_) => false,
        Ok(Ok(None) | Err(_)) => {
            *hints = None;
            sleep(pause).await;
            false
        }
    }
}

/// Fills the ring with the newest of the log, so that the clients of a restarted process resume
/// from it. Tries until it succeeds.
async fn prime(hub: &Shared, outage: &mut Outage) -> EventId {
    loop {
        hub.tail_meters.read();
        match unharmed(newest(hub)).await {
            Ok(Some(ring)) => {
                outage.over(hub);
                let head = ring.head();
                hub.each_shard(|shard, wakers| shard.replace(ring.clone(), wakers));
                return head;
            }
            Ok(None) => sleep(hub.settings.poll_busy).await,
            Err(error) => outage.pause(hub, &error).await,
        }
    }
}

/// A ring that holds the newest of the log; `None` when that was replaced between two questions.
async fn newest(hub: &Shared) -> Result<Option<Ring>, BoxError> {
    let limit = hub.settings.ring.events.clamp(1, PRIMED);
    let page = hub
        .store
        .find_recent(&Selector::everything(), limit)
        .await?;
    let log = hub.store.bounds().await?;
    Ok(Ring::primed(&page, limit, &log, hub.settings.ring))
}

/// Puts a page into every shard's ring, each event encoded once. Answers how far that goes.
fn ingest(hub: &Shared, head: EventId, page: Page) -> EventId {
    let next = scanned(&page);
    if next.epoch() != head.epoch() {
        // The contract has such a store answer `Gone`; the next read will.
        return head;
    }
    let mut entries: Vec<_> = page.events.into_iter().map(Entry::from).collect();
    hub.events
        .fetch_add(entries.len() as u64, Ordering::Relaxed);
    hub.meters.events.add(entries.len() as u64);
    let (upto, mut left) = (next.position(), hub.shards.len());
    hub.each_shard(|shard, wakers| {
        left -= 1;
        match left {
            0 => shard.ingest(entries.drain(..), upto, wakers),
            _ => shard.ingest(entries.iter().cloned(), upto, wakers),
        }
    });
    head.at_least(next.position())
}

/// Drives keep-alives, rechecks and maximum ages, and shows what is counted.
async fn beat(hub: &Shared) {
    let mut counts = Counts::default();
    for beat in 1_u64.. {
        sleep(TICK).await;
        let now = hub.tick();
        hub.each_shard(|shard, wakers| shard.tick(now, wakers));
        hub.reads.push_on();
        let before = std::mem::replace(&mut counts, hub.counts());
        hub.meters.happened(&before, &counts);
        if beat % LAG_EVERY == 0 {
            hub.meters.behind(&hub.lag(), hub.store_silent());
        }
    }
}

/// A store that cannot be read: told once, asked again with growing pauses.
#[derive(Debug, Default)]
struct Outage {
    failures: u32,
}

impl Outage {
    async fn pause(&mut self, hub: &Shared, error: &str) {
        if self.failures == 0 {
            emit!(warn, {}, "the event log cannot be read: trying again");
        }
        emit!(debug, { error = error }, "reading the event log failed");
        let growing = hub.settings.poll_busy;
        let growing = growing.saturating_mul(1 << self.failures.min(8));
        self.failures = self.failures.saturating_add(1);
        hub.failed_reads.fetch_add(1, Ordering::Relaxed);
        hub.tail_meters.failed();
        sleep(rand::jitter(growing.min(MOST_PAUSE), 20)).await;
    }

    fn over(&mut self, hub: &Shared) {
        hub.heard();
        if std::mem::take(&mut self.failures) > 0 {
            emit!(info, {}, "the event log can be read again");
        }
    }
}

/// Beats between two looks at how far every connection is behind.
const LAG_EVERY: u64 = 20;

/// Events of one read of the tail.
const PAGE: usize = 512;

/// Events that are read when a ring is primed: enough for the clients of a process that was away
/// for some seconds.
const PRIMED: usize = 1024;

/// Between two reads of which the first was due to a hint and found nothing.
const HINT_GAP: Duration = Duration::from_millis(5);

/// The longest pause while the store fails.
const MOST_PAUSE: Duration = Duration::from_secs(5);
