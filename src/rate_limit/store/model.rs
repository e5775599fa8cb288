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

/// A note of one step an operation.
#[derive(Default)]
struct ModelledNote(Mutex<u64>);

impl ModelledNote {
    fn lock(&self) -> loom::sync::MutexGuard<'_, u64> {
        self.0
            .lock()
            .expect("no thread panics while it holds a note")
    }
}

impl Note for ModelledNote {
    fn load(&self) -> u64 {
        *self.lock()
    }

    fn raise(&self, to: u64) {
        let mut time = self.lock();
        *time = to.max(*time);
    }

    fn clear(&self, seen: u64) {
        let mut time = self.lock();
        if *time == seen {
            *time = 0;
        }
    }
}

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

/// A note with a fault: it is cleared whatever it says by then.
#[derive(Default)]
struct TornNote(ModelledNote);

impl Note for TornNote {
    fn load(&self) -> u64 {
        self.0.load()
    }

    fn raise(&self, to: u64) {
        self.0.raise(to);
    }

    fn clear(&self, _: u64) {
        self.0.clear(self.0.load());
    }
}

type Windows = &'static [(&'static str, Quota)];

const ONE: (&str, Quota) = ("one", Quota::per_hour(1));
const TWO: (&str, Quota) = ("two", Quota::per_hour(2));
const OWN: (&str, Quota) = ("own", Quota::per_hour(9));
const SHORT: (&str, Quota) = ("short", Quota::per_second(1));

fn passes<C: Cell, N: Note>(buckets: &Buckets<C, N>, clock: &Clock, windows: Windows) -> bool {
    let checks: SmallVec<[Check<'_>; 4]> = windows
        .iter()
        .map(|(name, quota)| Check::new(name, name, 7, *quota))
        .collect();
    buckets.check(&checks, clock).is_allowed()
}

/// Runs each of `requests` in a thread of its own, under all schedules of so many preemptions, and
/// hands over the buckets and how many of the requests passed.
fn every_schedule<C: Cell + Send + Sync + 'static>(
    preemptions: usize,
    requests: &'static [Windows],
    judge: fn(&Buckets<C, ModelledNote>, usize),
) {
    every_schedule_from(
        preemptions,
        |_, _| {},
        requests,
        move |buckets, _, passed| {
            judge(buckets, passed);
        },
    );
}

/// The same over buckets that are prepared, perhaps with some time.
fn every_schedule_from<C, N>(
    preemptions: usize,
    prepare: fn(&Buckets<C, N>, &Clock),
    requests: &'static [Windows],
    judge: impl Fn(&Buckets<C, N>, &Clock, usize) + Send + Sync + 'static,
) where
    C: Cell + Send + Sync + 'static,
    N: Note + Send + Sync + 'static,
{
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        let buckets = Arc::new(Buckets::<C, N>::new(4));
        let clock = Clock::manual();
        prepare(&buckets, &clock);
        let threads: Vec<_> = requests[1..]
            .iter()
            .map(|windows| {
                let (buckets, clock) = (Arc::clone(&buckets), clock.clone());
                loom::thread::spawn(move || passes(&buckets, &clock, windows))
            })
            .collect();
        let mut passed = usize::from(passes(&buckets, &clock, requests[0]));
        for thread in threads {
            passed += usize::from(thread.join().expect("a request does not panic"));
        }
        judge(&buckets, &clock, passed);
    });
}

fn left<C: Cell, N: Note>(buckets: &Buckets<C, N>, (name, quota): (&str, Quota)) -> u64 {
    let check = Check::new(name, name, 7, quota);
    buckets.peek(&[check], &Clock::manual()).verdicts()[0].remaining()
}

/// Others have all four slots for ever.
fn full<C: Cell, N: Note>(buckets: &Buckets<C, N>, _: &Clock) {
    for way in 0..4 {
        let tat = u64::MAX;
        buckets.home.put(0, way, Entry { tag: 1000, tat });
    }
}

/// One of the others is gone, so that a newcomer gets a slot.
fn free<C: Cell, N: Note>(buckets: &Buckets<C, N>) {
    buckets.home.put(0, 2, Entry { tag: 1000, tat: 0 });
}

/// The slots are full, one of them of `OWN`; and what newcomers have shared is so long ago that its note
/// is to be cleared by whoever sees it first.
fn full_with_an_old_note<C: Cell, N: Note>(buckets: &Buckets<C, N>, clock: &Clock) {
    full(buckets, clock);
    assert!(passes(buckets, clock, &[SHORT]));
    clock.advance(SHORT.1.window() + Duration::from_nanos(2 * SPILL_GRAIN));
    let entry = Entry {
        tag: Check::new(OWN.0, OWN.0, 7, OWN.1).bucket(),
        tat: clock.now().as_nanos() + OWN.1.span(1),
    };
    buckets.home.put(0, 3, entry);
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

#[test]
fn newcomers_to_a_full_set_share_one_quota() {
    every_schedule_from::<Modelled, ModelledNote>(3, full, &[&[ONE], &[ONE]], |_, _, passed| {
        assert_eq!(passed, 1);
    });
    every_schedule_from::<Modelled, ModelledNote>(
        2,
        full,
        &[&[TWO], &[TWO], &[TWO]],
        |buckets, _, passed| {
            assert_eq!(passed, 2);
            assert_eq!(left(buckets, TWO), 0);
        },
    );
}

#[test]
#[should_panic(expected = "the shared cell was taken twice")]
fn a_replacement_of_two_steps_is_caught_among_newcomers_too() {
    every_schedule_from::<Torn, ModelledNote>(4, full, &[&[ONE], &[ONE]], |_, _, passed| {
        assert!(passed <= 1, "the shared cell was taken twice");
    });
}

/// Newcomers to a full set, of which one slot is filled up and so becomes free beside them.
fn beside_a_slot_that_becomes_free(preemptions: usize, newcomers: &'static [Windows]) {
    let quota = newcomers[0][0].1;
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        let buckets = Arc::new(Buckets::<Modelled, ModelledNote>::new(4));
        let clock = Clock::manual();
        full_with_an_old_note(&buckets, &clock);
        let reset = loom::thread::spawn({
            let buckets = Arc::clone(&buckets);
            move || buckets.reset(&Check::new(OWN.0, OWN.0, 7, OWN.1))
        });
        let threads: Vec<_> = newcomers[1..]
            .iter()
            .map(|windows| {
                let (buckets, clock) = (Arc::clone(&buckets), clock.clone());
                loom::thread::spawn(move || passes(&buckets, &clock, windows))
            })
            .collect();
        let mut passed = usize::from(passes(&buckets, &clock, newcomers[0]));
        for thread in threads {
            passed += usize::from(thread.join().expect("a request does not panic"));
        }
        reset.join().expect("a reset does not panic");
        for _ in 0..quota.cells() {
            passed += usize::from(passes(&buckets, &clock, newcomers[0]));
        }
        let most = quota.cells() as usize;
        assert!(
            passed <= most,
            "cells of the slot and shared ones: {passed} of {most}"
        );
    });
}

#[test]
fn a_slot_that_becomes_free_beside_newcomers_adds_nothing_to_what_they_share() {
    beside_a_slot_that_becomes_free(2, &[&[ONE], &[ONE]]);
    beside_a_slot_that_becomes_free(2, &[&[TWO], &[TWO]]);
    beside_a_slot_that_becomes_free(1, &[&[TWO], &[TWO], &[TWO]]);
}

#[test]
fn a_newcomer_that_loses_its_second_window_puts_the_shared_cell_back() {
    every_schedule_from::<Modelled, ModelledNote>(
        2,
        full,
        &[&[TWO, ONE], &[ONE, TWO]],
        |buckets, _, passed| {
            assert!(passed <= 1, "one cell is all there is");
            let left = left(buckets, TWO);
            assert!(left <= 2 - passed as u64, "undone twice");
            assert!(left + 1 >= 2 - passed as u64, "at most one charge stays");
        },
    );
}

#[test]
fn what_newcomers_have_shared_counts_when_they_get_a_slot_also_if_an_old_note_is_cleared() {
    every_schedule_from::<Modelled, ModelledNote>(
        2,
        full_with_an_old_note,
        &[&[ONE], &[OWN], &[ONE]],
        |buckets, clock, passed| {
            assert_eq!(passed, 2, "one newcomer, and who has a slot");
            free(buckets);
            assert!(
                !passes(buckets, clock, &[ONE]),
                "the shared cell was forgotten"
            );
        },
    );
}

#[test]
#[should_panic(expected = "the shared cell was forgotten")]
fn a_note_that_is_cleared_whatever_it_says_is_caught() {
    every_schedule_from::<Modelled, TornNote>(
        3,
        full_with_an_old_note,
        &[&[ONE], &[OWN]],
        |buckets, clock, _| {
            free(buckets);
            assert!(
                !passes(buckets, clock, &[ONE]),
                "the shared cell was forgotten"
            );
        },
    );
}
