//! Who was revoked while it was still being asked whether they may have a stream. Pure.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts revocations, and remembers when each user was revoked last.
///
/// A host may have looked before it withdrew a right, and grant it afterwards: the stream is not there
/// yet when its user's are ended. So what was granted is compared with what was revoked since it was
/// asked for. Users share places: who shares one with somebody that is revoked in just that moment is
/// asked again, too.
#[derive(Debug)]
pub(in crate::event_stream) struct Revocations {
    count: AtomicU64,
    last: [AtomicU64; PLACES],
    places: RandomState,
}

impl Revocations {
    pub(super) fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            last: [const { AtomicU64::new(0) }; PLACES],
            places: RandomState::new(),
        }
    }

    /// How many there have been: taken before a host is asked.
    pub(in crate::event_stream) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Takes one in, before the streams of `user` are ended.
    pub(super) fn add(&self, user: &str) {
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        self.place(user).fetch_max(number, Ordering::SeqCst);
    }

    /// Whether `user` was revoked since there were `count`: asked once the stream is there to be ended.
    pub(in crate::event_stream) fn came_since(&self, count: u64, user: &str) -> bool {
        self.place(user).load(Ordering::SeqCst) > count
    }

    fn place(&self, user: &str) -> &AtomicU64 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "any part of a hash will do"
        )]
        let hash = self.places.hash_one(user) as usize;
        &self.last[hash % PLACES]
    }
}

const PLACES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_was_revoked_since_an_earlier_count_and_not_since_a_later_one() {
        let revocations = Revocations::new();
        let before = revocations.count();
        revocations.add("u1");
        assert!(revocations.came_since(before, "u1"));
        assert!(!revocations.came_since(revocations.count(), "u1"));
        let spared = (0..100).filter(|n| !revocations.came_since(before, &format!("other {n}")));
        assert!(spared.count() > 50);
    }
}
