//! Reads of the store by streams: only so many at once, and identical ones are one.
//!
//! A fleet of clients that resumes is no storm on the store: those who stand at the same place and
//! want the same share one read, and the frames that it became.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::frame::Frames;
use super::replay::{deliverable, scanned};
use super::stats::ReadMeters;
use crate::event_stream::encode::Encoded;
use crate::event_stream::id::EventId;
use crate::event_stream::selector::Selector;
use crate::event_stream::store::{Bounds, BoxError, DynStore, Page, Read};
use crate::trace::emit;

/// Where streams ask the store.
pub(in crate::event_stream) struct Reads {
    store: Arc<dyn DynStore>,
    most: usize,
    turns: Arc<Semaphore>,
    under_way: Arc<UnderWay>,
    told: Arc<Told>,
}

/// What is counted.
struct Told {
    asked: AtomicU64,
    shared: AtomicU64,
    failed: AtomicU64,
    meters: ReadMeters,
}

/// What a stream wants to read.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(in crate::event_stream) struct Question {
    pub(in crate::event_stream) from: From,
    pub(in crate::event_stream) selector: Selector,
}

/// Where a read begins.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(in crate::event_stream) enum From {
    /// After what the reader has seen.
    After(EventId),
    /// With so many of the newest.
    Newest(usize),
}

/// What a read came to.
#[derive(Clone, Debug)]
pub(in crate::event_stream) enum Came {
    /// How far was read, in a page without its events, and what of them goes to the reader.
    Page(Page, Frames),
    Gone(Bounds),
    Failed,
}

impl Reads {
    /// At most `turns` at once.
    pub(super) fn new(store: Arc<dyn DynStore>, turns: usize) -> Self {
        Self {
            store,
            most: turns,
            turns: Arc::new(Semaphore::new(turns)),
            under_way: Arc::default(),
            told: Arc::new(Told {
                asked: AtomicU64::new(0),
                shared: AtomicU64::new(0),
                failed: AtomicU64::new(0),
                meters: ReadMeters::of("stream"),
            }),
        }
    }

    /// The answer to `question`, asked after `pause`.
    ///
    /// # Cancel safety
    ///
    /// When it is dropped, others who share the read go on with it.
    pub(in crate::event_stream) async fn answer(
        &self,
        question: Question,
        pause: Duration,
    ) -> Came {
        if !pause.is_zero() {
            sleep(pause).await;
        }
        let (answer, joined) = self.join(&question);
        match answer.await {
            // What a read that began before this one was asked calls gone may have come since.
            Came::Gone(_) if joined => self.join(&question).0.await,
            came => came,
        }
    }

    /// Moves the reads on that have a turn, and as many of those who come next, also where nobody who
    /// asked for them is polled just now: a client that stops reading keeps no turn that others wait for.
    pub(super) fn push_on(&self) {
        let under_way = self.under_way.lock();
        let begun = under_way.begun.values();
        let answers = begun.take(2 * self.most).filter_map(WeakShared::upgrade);
        let answers: Vec<_> = answers.collect();
        drop(under_way);
        for answer in answers {
            // Who asked is told by its own waker.
            let _ = answer.now_or_never();
        }
    }

    /// Reads that were begun, askers who shared one that had been, and reads that failed.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let told = &self.told;
        (count(&told.asked), count(&told.shared), count(&told.failed))
    }

    /// The read that answers `question`, and whether it had begun before.
    fn join(&self, question: &Question) -> (Shared<Reading>, bool) {
        let mut under_way = self.under_way.lock();
        if let Some(answer) = under_way.get(question) {
            self.told.shared.fetch_add(1, Ordering::Relaxed);
            return (answer, true);
        }
        let number = self.told.asked.fetch_add(1, Ordering::Relaxed);
        self.told.meters.read();
        let (store, turns) = (Arc::clone(&self.store), Arc::clone(&self.turns));
        let told = Arc::clone(&self.told);
        let entry = Entry {
            under_way: Arc::clone(&self.under_way),
            question: question.clone(),
            number,
        };
        let answer = async move {
            // The semaphore is never closed.
            let _turn = turns.acquire().await.ok();
            // Somebody else may have moved it on, who is not to be torn down by what the host does.
            let error = match unharmed(read(&*store, &entry.question)).await {
                Ok(came) => return came,
                Err(error) => error,
            };
            told.failed.fetch_add(1, Ordering::Relaxed);
            told.meters.failed();
            emit!(
                debug,
                { error = error },
                "a stream could not read the event log"
            );
            Came::Failed
        };
        let answer = answer.boxed().shared();
        let weak = answer.downgrade().map(|weak| (number, weak));
        under_way.begun.extend(weak);
        under_way.numbers.insert(question.clone(), number);
        (answer, false)
    }
}

type Reading = BoxFuture<'static, Came>;

/// Reads that have begun and have not ended, while somebody waits for them.
#[derive(Default)]
struct UnderWay(Mutex<Answers>);

#[derive(Default)]
struct Answers {
    /// By what they answer.
    numbers: HashMap<Question, u64>,
    /// In the order in which they began, and get their turns.
    begun: BTreeMap<u64, WeakShared<Reading>>,
}

impl Answers {
    fn get(&self, question: &Question) -> Option<Shared<Reading>> {
        self.begun.get(self.numbers.get(question)?)?.upgrade()
    }
}

impl UnderWay {
    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A read's entry, gone when it has ended or nobody waits for it any more.
struct Entry {
    under_way: Arc<UnderWay>,
    question: Question,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut under_way = self.under_way.lock();
        // While this one was being given up, somebody may have begun it anew.
        if under_way.numbers.get(&self.question) == Some(&self.number) {
            under_way.numbers.remove(&self.question);
        }
        let ended = under_way.begun.remove(&self.number);
        drop(under_way);
        drop(ended);
    }
}

/// What a read of the host's store comes to. A panic in it, and one in the text of its error, is an
/// error like others.
pub(super) async fn unharmed<T>(
    read: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, String> {
    let read = async { read.await.map_err(|error| error.to_string()) };
    let read = AssertUnwindSafe(read).catch_unwind().await;
    read.unwrap_or_else(|_| Err("a panic".to_owned()))
}

async fn read(store: &dyn DynStore, question: &Question) -> Result<Came, BoxError> {
    let selector = &question.selector;
    let (page, after) = match question.from {
        From::Newest(limit) => (store.find_recent(selector, limit).await?, None),
        From::After(after) => match store.read_after(after, selector, PAGE).await? {
            Read::Gone(bounds) => return Ok(Came::Gone(bounds)),
            // A page of another log is what the contract calls gone.
            Read::Page(page) if page.next().epoch() != after.epoch() => {
                return store.bounds().await.map(Came::Gone);
            }
            Read::Page(page) => (page, Some(after)),
        },
    };
    let (mut bytes, mut next) = (0, scanned(&page));
    let events = deliverable(&page, after, selector).map_while(|event| {
        if bytes >= MOST_BYTES {
            return None;
        }
        let encoded = Encoded::from(event).into_bytes();
        bytes += encoded.len();
        if bytes >= MOST_BYTES {
            next = event.id();
        }
        Some(encoded)
    });
    let frames = Frames::of(events);
    Ok(Came::Page(Page::new(Vec::new(), next), frames))
}

impl fmt::Debug for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reads").finish_non_exhaustive()
    }
}

/// Events of one read.
const PAGE: usize = 128;

/// Bytes after which what was read is cut off: a reader who takes none of it holds that and one event
/// more, however large the events are.
const MOST_BYTES: usize = 128 * 1024;

#[cfg(test)]
mod tests;
