//! All schedules of threads over the table, by loom: the code that runs, over cells whose every
//! operation is one step.
//!
//! Loom explores schedules up to a number of preemptions, which is given with each model. What it adds
//! to [`schedules`](super::schedules), whose requests interrupt one another and run to their end, are
//! the schedules in which two requests take turns.

use loom::sync::{Arc, Mutex};

use super::super::table::Entry;
use super::*;

/// A cell of one step an operation.
#[derive(Default)]
struct Modelled(Mutex<Entry>);

impl Cell for Modelled {
    fn load(&self) -> Entry {
        *self
            .0
            .lock()
            .expect("no thread panics while it holds a cell")
    }

    fn replace(&self, seen: Entry, new: Entry) -> bool {
        let mut entry = self
            .0
            .lock()
            .expect("no thread panics while it holds a cell");
        let fits = *entry == seen;
        if fits {
            *entry = new;
        }
        fits
    }
}

/// A cell with a fault: it compares in one step, and replaces in another.
#[derive(Default)]
struct Torn(Modelled);

impl Cell for Torn {
    fn load(&self) -> Entry {
        self.0.load()
    }

    fn replace(&self, seen: Entry, new: Entry) -> bool {
        let now = self.0.load();
        now == seen && self.0.replace(self.0.load(), new)
    }
}

type Windows = &'static [(&'static str, Quota)];

const ONE: (&str, Quota) = ("one", Quota::per_hour(1));
const TWO: (&str, Quota) = ("two", Quota::per_hour(2));

fn passes<C: Cell>(buckets: &Buckets<C>, windows: Windows) -> bool {
    let checks: SmallVec<[Check<'_>; 4]> = windows
        .iter()
        .map(|(name, quota)| Check::new(name, name, 7, *quota))
        .collect();
    buckets.check(&checks, &Clock::manual()).is_allowed()
}

/// Runs each of `requests` in a thread of its own, under all schedules of so many preemptions, and
/// hands over the buckets and how many of the requests passed.
fn every_schedule<C: Cell + Send + Sync + 'static>(
    preemptions: usize,
    requests: &'static [Windows],
    judge: fn(&Buckets<C>, usize),
) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        let buckets = Arc::new(Buckets::<C>::new(4));
        let threads: Vec<_> = requests[1..]
            .iter()
            .map(|windows| {
                let buckets = Arc::clone(&buckets);
                loom::thread::spawn(move || passes(&buckets, windows))
            })
            .collect();
        let mut passed = usize::from(passes(&buckets, requests[0]));
        for thread in threads {
            passed += usize::from(thread.join().expect("a request does not panic"));
        }
        judge(&buckets, passed);
    });
}

fn left<C: Cell>(buckets: &Buckets<C>, (name, quota): (&str, Quota)) -> u64 {
    let check = Check::new(name, name, 7, quota);
    buckets.peek(&[check], &Clock::manual()).verdicts()[0].remaining()
}

#[test]
fn of_two_threads_that_insert_the_same_key_one_gets_its_one_cell() {
    every_schedule::<Modelled>(4, &[&[ONE], &[ONE]], |_, passed| assert_eq!(passed, 1));
}

#[test]
fn of_three_threads_that_insert_the_same_key_two_get_its_two_cells() {
    every_schedule::<Modelled>(2, &[&[TWO], &[TWO], &[TWO]], |buckets, passed| {
        assert_eq!(passed, 2);
        assert_eq!(left(buckets, TWO), 0);
    });
}

#[test]
fn threads_that_take_two_windows_in_opposite_orders_exceed_neither() {
    every_schedule::<Modelled>(3, &[&[ONE, TWO], &[TWO, ONE]], |buckets, passed| {
        assert!(passed <= 1, "one cell is all there is");
        let left = left(buckets, TWO);
        assert!(left <= 2 - passed as u64, "undone twice");
        assert!(left + 1 >= 2 - passed as u64, "at most one charge stays");
    });
}

#[test]
fn an_undo_beside_an_insertion_hands_out_nothing_early() {
    every_schedule::<Modelled>(2, &[&[TWO, ONE], &[ONE], &[TWO]], |buckets, passed| {
        assert!(left(buckets, ONE) == 0 && passed >= 1);
        assert!(left(buckets, TWO) <= 1, "one of those that passed took it");
    });
}

#[test]
#[should_panic(expected = "one cell was taken twice")]
fn a_replacement_of_two_steps_is_caught() {
    every_schedule::<Torn>(4, &[&[ONE], &[ONE]], |_, passed| {
        assert!(passed <= 1, "one cell was taken twice");
    });
}
