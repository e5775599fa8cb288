//! The pages that requests choose from: replaced as a whole, and read without a lock.
//!
//! Each thread keeps the pages that it answered with last. Until there are newer ones, a request takes them
//! from there and puts them back: no other thread's reading disturbs it, and nothing is counted. In memory there
//! is then at most one older set of pages for each thread that serves.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::snapshot::Snapshot;

/// The pages of one service.
pub(super) struct Latest {
    current: ArcSwap<Snapshot>,
    /// A number that no other pages have, of whatever service.
    version: AtomicU64,
}

/// Pages that stay as they are for as long as they are held.
pub(super) struct Held {
    /// `None` only once it is dropped.
    seen: Option<Seen>,
}

struct Seen {
    version: u64,
    pages: Arc<Snapshot>,
}

thread_local! {
    /// What this thread held last.
    static SEEN: Cell<Option<Seen>> = const { Cell::new(None) };
}

impl Latest {
    pub(super) fn new(pages: Snapshot) -> Self {
        Self {
            current: ArcSwap::from_pointee(pages),
            version: AtomicU64::new(new_version()),
        }
    }

    /// The pages as of now.
    #[inline]
    pub(super) fn load(&self) -> Held {
        // The version first: pages that are read after it are these or newer ones.
        let version = self.version.load(Ordering::Acquire);
        // Of a thread that is ending, nothing is kept.
        let seen = SEEN.try_with(Cell::take).ok().flatten();
        let seen = match seen {
            Some(seen) if seen.version == version => seen,
            _ => self.look(version),
        };
        Held { seen: Some(seen) }
    }

    #[cold]
    fn look(&self, version: u64) -> Seen {
        let pages = self.current.load_full();
        Seen { version, pages }
    }

    /// Puts other pages in their place.
    pub(super) fn replace(&self, pages: Snapshot) {
        self.current.store(Arc::new(pages));
        self.version.store(new_version(), Ordering::Release);
    }
}

impl Deref for Held {
    type Target = Snapshot;

    #[inline]
    fn deref(&self) -> &Snapshot {
        &self.seen.as_ref().expect("held until the drop").pages
    }
}

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        let seen = self.seen.take();
        let _ = SEEN.try_with(|last| last.set(seen));
    }
}

fn new_version() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::health::Status;
    use crate::health::report::Scope;
    use crate::health::report::tests::report;
    use crate::health::route::Heads;

    /// Pages that are told apart by how many dependencies they have.
    fn pages(dependencies: usize) -> Snapshot {
        let checks = vec![(Scope::Local, Status::Pass, None); dependencies];
        let fresh_until = Clock::manual().deadline(Duration::ZERO);
        Snapshot::render(
            &report(&checks),
            fresh_until,
            &Heads::new(2, false),
            1,
            None,
        )
    }

    fn shown(latest: &Latest) -> usize {
        latest.load().each.len()
    }

    #[test]
    fn what_a_thread_keeps_is_never_older_than_the_last_replacement() {
        let latest = Arc::new(Latest::new(pages(1)));
        assert_eq!((shown(&latest), shown(&latest)), (1, 1));
        let elsewhere = Arc::clone(&latest);
        let replaced = std::thread::spawn(move || elsewhere.replace(pages(2)));
        replaced.join().unwrap();
        assert_eq!((shown(&latest), shown(&latest)), (2, 2));
    }

    #[test]
    fn services_on_one_thread_do_not_take_each_others_pages() {
        let (one, two) = (Latest::new(pages(1)), Latest::new(pages(2)));
        for _ in 0..3 {
            assert_eq!((shown(&one), shown(&two)), (1, 2));
        }
        let (held, other) = (one.load(), two.load());
        one.replace(pages(3));
        assert_eq!((held.each.len(), other.each.len()), (1, 2));
        drop((held, other));
        assert_eq!((shown(&one), shown(&two)), (3, 2));
    }

    #[test]
    fn a_thread_keeps_one_set_of_pages_and_ends_without_them() {
        let latest = Arc::new(Latest::new(pages(1)));
        let kept = |latest: &Latest| Arc::strong_count(&latest.current.load_full()) - 2;
        assert_eq!(kept(&latest), 0);
        let serving = Arc::clone(&latest);
        std::thread::spawn(move || {
            for _ in 0..100 {
                assert_eq!(shown(&serving), 1);
            }
            assert_eq!(kept(&serving), 1);
        })
        .join()
        .unwrap();
        assert_eq!(kept(&latest), 0);
    }
}
