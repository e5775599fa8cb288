//! Events that are committed and cannot be read yet: an older transaction still runs. Pure.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Instant;

/// For how long which transaction has held events back.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<Option<Hold>>);

#[derive(Clone, Copy, Debug)]
struct Hold {
    /// The oldest transaction that runs.
    by: i64,
    since: Instant,
    told: bool,
}

/// What is to be told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum News {
    /// This transaction has held events back for long.
    Held(i64),
    /// It does so no more.
    Over,
}

impl Held {
    /// Takes in a read: `by` is the transaction that events wait for, if some wait.
    pub(super) fn saw(&self, by: Option<i64>, now: Instant) -> Option<News> {
        let mut hold = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *hold;
        let same = before.filter(|before| Some(before.by) == by);
        *hold = by.map(|by| {
            same.unwrap_or(Hold {
                by,
                since: now,
                told: false,
            })
        });
        let over = same.is_none() && before.is_some_and(|before| before.told);
        match &mut *hold {
            Some(hold) if !hold.told && now.since(hold.since) >= LONG => {
                hold.told = true;
                Some(News::Held(hold.by))
            }
            _ => over.then_some(News::Over),
        }
    }

    /// For how long events have waited for one transaction.
    pub(super) fn back_for(&self, now: Instant) -> Option<Duration> {
        let hold = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hold.map(|hold| now.since(hold.since))
    }
}

/// Transactions that write for longer are seldom meant to.
const LONG: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(0).after(Duration::from_secs(seconds))
    }

    #[test]
    fn one_transaction_that_holds_events_back_for_long_is_told_once_and_so_is_its_end() {
        let held = Held::default();
        for (second, by, news) in [
            (0, None, None),
            (1, Some(7), None),
            (10, Some(7), None),
            (11, Some(7), Some(News::Held(7))),
            (99, Some(7), None),
            // Another one takes its place, for a while.
            (100, Some(8), Some(News::Over)),
            (101, None, None),
            (102, Some(9), None),
            // A busy log: there is always one, and never the same.
            (112, Some(10), None),
            (122, Some(11), None),
        ] {
            assert_eq!(held.saw(by, at(second)), news, "{second}");
        }
        assert_eq!(held.back_for(at(125)), Some(Duration::from_secs(3)));
        assert_eq!(held.saw(None, at(126)), None);
        assert_eq!(held.back_for(at(127)), None);
    }
}
