//! Reads of a store that answers late, never, or not at all.

use std::pin::pin;

use bytes::Bytes;
use futures::future::join;
use futures::poll;

use super::*;
use crate::event_stream::event::NewEvent;
use crate::event_stream::id::Position;
use crate::event_stream::store::{EventStore, MemoryStore};

impl Reads {
    fn is_idle(&self) -> bool {
        let under_way = self.under_way.lock();
        under_way.numbers.is_empty() && under_way.begun.is_empty()
    }
}

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
    assert!(reads.is_idle());
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
    assert!(reads.is_idle());
}

/// They are moved on by the tailer, for whom everybody waits meanwhile.
#[tokio::test]
async fn of_many_reads_that_have_begun_those_that_have_a_turn_are_moved_on_and_then_the_next() {
    let log = MemoryStore::new();
    let (late, may_answer) = Late::over(&log);
    let reads = Reads::new(late, 2);
    let id = log.append(NewEvent::text("a", "").unwrap()).unwrap();
    let questions = (0..40).map(|n| Question {
        selector: Selector::public().only_types([format!("type {n}")]),
        ..after(id)
    });
    let mut asked: Vec<_> = questions
        .map(|question| Box::pin(reads.answer(question, Duration::ZERO)))
        .collect();
    for answer in &mut asked {
        assert!(poll!(answer).is_pending());
    }
    may_answer.add_permits(40);
    for pushes in 1.. {
        let before = reads.under_way.lock().begun.len();
        reads.push_on();
        let left = reads.under_way.lock().begun.len();
        assert!((1..=4).contains(&(before - left)), "{before} {left}");
        if left == 0 {
            assert!(pushes <= 20);
            break;
        }
    }
    for answer in asked {
        assert!(matches!(answer.await, Came::Page(..)));
    }
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

    async fn read_after(&self, _: EventId, _: &Selector, _: usize) -> Result<Read, Self::Error> {
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
