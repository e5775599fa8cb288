//! Reads of the store by streams: only so many at once, and identical ones are one.
//!
//! A fleet of clients that resumes is no storm on the store: those who stand at the same place and
//! want the same share one read, and the frames that it became.

use std::collections::HashMap;
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

    /// Moves every read on that has begun, also where nobody who asked for it is polled just now: a
    /// client that stops reading keeps no turn that others wait for.
    pub(super) fn push_on(&self) {
        let under_way = self.under_way.lock();
        let answers = under_way.values().filter_map(|(_, weak)| weak.upgrade());
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
        let known = under_way.get(question);
        if let Some(answer) = known.and_then(|(_, weak)| weak.upgrade()) {
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
        under_way.extend(weak.map(|weak| (question.clone(), weak)));
        (answer, false)
    }
}

type Reading = BoxFuture<'static, Came>;

/// Reads that have begun and have not ended, while somebody waits for them.
#[derive(Default)]
struct UnderWay(Mutex<Answers>);

/// Each under what it answers, with its number.
type Answers = HashMap<Question, (u64, WeakShared<Reading>)>;

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
        let own = under_way.get(&self.question);
        let own = own.is_some_and(|(number, _)| *number == self.number);
        let ended = own.then(|| under_way.remove(&self.question));
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
mod tests {
    use std::pin::pin;

    use bytes::Bytes;
    use futures::future::join;
    use futures::poll;

    use super::*;
    use crate::event_stream::event::NewEvent;
    use crate::event_stream::id::Position;
    use crate::event_stream::store::{EventStore, MemoryStore};

    /// Answers with what was true when it was asked, as late as the test says.
    struct Late {
        log: MemoryStore,
        may_answer: Arc<Semaphore>,
    }

    impl Late {
        fn over(log: &MemoryStore) -> (Arc<Self>, Arc<Semaphore>) {
            let may_answer = Arc::new(Semaphore::new(0));
            let late = Self {
                log: log.clone(),
                may_answer: Arc::clone(&may_answer),
            };
            (Arc::new(late), may_answer)
        }
    }

    fn after(id: EventId) -> Question {
        Question {
            from: From::After(id),
            selector: Selector::public(),
        }
    }

    impl EventStore for Late {
        type Error = std::convert::Infallible;

        async fn bounds(&self) -> Result<Bounds, Self::Error> {
            EventStore::bounds(&self.log).await
        }

        async fn read_after(
            &self,
            cursor: EventId,
            selector: &Selector,
            limit: usize,
        ) -> Result<Read, Self::Error> {
            let read = EventStore::read_after(&self.log, cursor, selector, limit).await;
            self.may_answer.acquire().await.unwrap().forget();
            read
        }

        async fn find_recent(&self, _: &Selector, _: usize) -> Result<Page, Self::Error> {
            panic!("as a host's code might")
        }
    }

    #[tokio::test]
    async fn what_is_gone_is_not_taken_from_a_read_that_began_before_it_could_have_come() {
        let log = MemoryStore::new();
        let (late, may_answer) = Late::over(&log);
        let reads = Reads::new(late, 4);
        let first = log.append(NewEvent::text("a", "").unwrap()).unwrap();
        let next = Position::new(first.position().get() + 1);
        let question = after(EventId::new(first.epoch(), next));
        let ask = || reads.answer(question.clone(), Duration::ZERO);
        let (invented, seen) = join(ask(), async {
            // By now the position exists, and a client comes from another process with it.
            log.append(NewEvent::text("a", "").unwrap()).unwrap();
            may_answer.add_permits(2);
            ask().await
        })
        .await;
        assert!(matches!(invented, Came::Gone(_)), "{invented:?}");
        assert!(matches!(seen, Came::Page(..)), "{seen:?}");
        assert_eq!(reads.counts(), (2, 1, 0));
        assert!(reads.under_way.lock().is_empty());
    }

    /// Whoever stops reading holds what was read for it: of large events, megabytes.
    #[tokio::test]
    async fn a_page_of_large_events_is_cut_off_and_goes_on_where_it_was() {
        let log = MemoryStore::new();
        let start = EventStore::bounds(&log).await.unwrap().head();
        let large = NewEvent::text("a", "x".repeat(30_000)).unwrap();
        let ids = [(); 40].map(|()| log.append(large.clone()).unwrap());
        let reads = Reads::new(Arc::new(log), 1);
        let newest = Question {
            from: From::Newest(40),
            selector: Selector::public(),
        };
        for first in [newest, after(start)] {
            let (mut question, mut sent) = (first, 0);
            while sent < ids.len() {
                let came = reads.answer(question, Duration::ZERO).await;
                let Came::Page(page, frames) = came else {
                    panic!("{came:?}");
                };
                let frames: Vec<_> = frames.collect();
                let bytes: usize = frames.iter().map(Bytes::len).sum();
                assert!(bytes < MOST_BYTES + 31_000, "{bytes}");
                sent += frames.len();
                assert_eq!(page.next(), ids[sent - 1]);
                question = after(page.next());
            }
        }
    }

    #[tokio::test]
    async fn a_read_whose_asker_is_not_polled_keeps_no_turn_that_others_wait_for() {
        let log = MemoryStore::new();
        let (late, may_answer) = Late::over(&log);
        let reads = Reads::new(late, 1);
        let ids = [(); 2].map(|()| log.append(NewEvent::text("a", "").unwrap()).unwrap());
        let mut stuck = pin!(reads.answer(after(ids[0]), Duration::ZERO));
        let mut next = pin!(reads.answer(after(ids[1]), Duration::ZERO));
        assert!(poll!(&mut stuck).is_pending() && poll!(&mut next).is_pending());
        may_answer.add_permits(2);
        assert!(poll!(&mut next).is_pending(), "its turn is the other's");
        reads.push_on();
        assert!(matches!(next.await, Came::Page(..)));
        assert!(matches!(stuck.await, Came::Page(..)));
        assert!(reads.under_way.lock().is_empty());
    }

    type Act = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

    /// Never answers, and acts when a read is given up.
    struct GivenUp(Act);

    struct Parting(Act);

    impl Drop for Parting {
        fn drop(&mut self) {
            if let Some(act) = self.0.lock().unwrap().take() {
                act();
            }
        }
    }

    impl EventStore for GivenUp {
        type Error = std::convert::Infallible;

        async fn bounds(&self) -> Result<Bounds, Self::Error> {
            std::future::pending().await
        }

        async fn read_after(
            &self,
            _: EventId,
            _: &Selector,
            _: usize,
        ) -> Result<Read, Self::Error> {
            let _parting = Parting(Arc::clone(&self.0));
            std::future::pending().await
        }

        async fn find_recent(&self, _: &Selector, _: usize) -> Result<Page, Self::Error> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_read_that_is_given_up_does_not_hide_the_one_that_took_its_place() {
        let act = Act::default();
        let reads = Arc::new(Reads::new(Arc::new(GivenUp(Arc::clone(&act))), 4));
        let question = after(EventId::new(
            crate::event_stream::id::Epoch::new(1),
            Position::START,
        ));
        let (first, _) = reads.join(&question);
        assert!(first.clone().now_or_never().is_none());
        let kept = Arc::new(Mutex::new(None));
        let (again, also, keep) = (Arc::clone(&reads), question.clone(), Arc::clone(&kept));
        *act.lock().unwrap() = Some(Box::new(move || {
            *keep.lock().unwrap() = Some(again.join(&also));
        }));
        drop(first);
        let joined = kept.lock().unwrap().as_ref().map(|(_, joined)| *joined);
        assert_eq!(joined, Some(false), "the former was over");
        let (_, joined) = reads.join(&question);
        assert!(joined, "the present one is not");
    }

    #[tokio::test]
    async fn a_store_that_panics_fails_the_read_and_nothing_else() {
        let (late, _) = Late::over(&MemoryStore::new());
        let reads = Reads::new(late, 1);
        let newest = Question {
            from: From::Newest(1),
            selector: Selector::public(),
        };
        for _ in 0..2 {
            let came = reads.answer(newest.clone(), Duration::ZERO).await;
            assert!(matches!(came, Came::Failed));
        }
        assert_eq!(reads.counts(), (2, 0, 2));
    }
}
