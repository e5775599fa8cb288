//! Racing requests, one step at a time: the code that runs, over cells that let another request in
//! before any of their operations.
//!
//! The other request runs to its end there, and may let in a third. So all schedules are met in which
//! requests interrupt one another, which are the ones that lose compare-exchanges.

use std::cell::{Cell as StdCell, RefCell};
use std::rc::Rc;

use proptest::prelude::*;

use super::super::table::Entry;
use super::*;

/// A cell whose every operation is a step.
#[derive(Default)]
struct Stepped(StdCell<Entry>);

/// A note whose every operation is a step.
#[derive(Default)]
struct SteppedNote(StdCell<u64>);

impl Note for SteppedNote {
    fn load(&self) -> u64 {
        step();
        self.0.get()
    }

    fn raise(&self, to: u64) {
        step();
        self.0.set(self.0.get().max(to));
    }

    fn clear(&self, seen: u64) {
        step();
        if self.0.get() == seen {
            self.0.set(0);
        }
    }
}

impl Cell for Stepped {
    fn load(&self) -> Entry {
        step();
        self.0.get()
    }

    fn replace(&self, seen: Entry, new: Entry) -> bool {
        step();
        WRITES.set(WRITES.get() + 1);
        let fits = self.0.get() == seen;
        if fits {
            self.0.set(new);
        }
        if new.tag == seen.tag && new.tat < seen.tat {
            let undo = if fits { &UNDONE } else { &KEPT };
            undo.set(undo.get() + 1);
        }
        fits
    }
}

type Interruption = (usize, Rc<dyn Fn()>);

thread_local! {
    /// Who comes in after how many steps; the last one is that of the running request.
    static INTERRUPTIONS: RefCell<Vec<Interruption>> = const { RefCell::new(Vec::new()) };
    /// Replacements of cells, tried or done.
    static WRITES: StdCell<usize> = const { StdCell::new(0) };
    /// Charges that were put back, and those that stayed since somebody had touched the bucket.
    static UNDONE: StdCell<usize> = const { StdCell::new(0) };
    static KEPT: StdCell<usize> = const { StdCell::new(0) };
}

fn step() {
    let due = INTERRUPTIONS.with_borrow_mut(|stack| {
        let (steps, _) = stack.last_mut()?;
        if *steps == 0 {
            return stack.pop();
        }
        *steps -= 1;
        None
    });
    if let Some((_, interruption)) = due {
        interruption();
    }
}

/// Runs `request`, with `interruption` before its step number `step`. False if it had no such step.
fn interrupted(step: usize, interruption: Rc<dyn Fn()>, request: impl FnOnce()) -> bool {
    let depth = INTERRUPTIONS.with_borrow_mut(|stack| {
        stack.push((step, interruption));
        stack.len()
    });
    request();
    INTERRUPTIONS.with_borrow_mut(|stack| {
        let missed = stack.len() == depth;
        stack.truncate(depth - 1);
        !missed
    })
}

/// One set of buckets and what happened to it.
struct World {
    buckets: Buckets<Stepped, SteppedNote>,
    clock: Clock,
    passed: RefCell<Vec<Passed>>,
}

/// A request that passed: what it asked for, and when it was under way.
struct Passed {
    windows: &'static [Window],
    start: u64,
    end: u64,
}

#[derive(Clone, Copy)]
struct Window {
    name: &'static str,
    key: u64,
    quota: Quota,
}

impl Window {
    const fn new(name: &'static str, quota: Quota) -> Self {
        Self {
            name,
            key: 7,
            quota,
        }
    }

    fn check(&self) -> Check<'static> {
        Check::new(self.name, self.name, self.key, self.quota)
    }
}

impl World {
    fn new() -> Rc<Self> {
        Rc::new(Self {
            buckets: Buckets::new(4),
            clock: Clock::manual(),
            passed: RefCell::default(),
        })
    }

    fn now(&self) -> u64 {
        self.clock.now().as_nanos()
    }

    fn send(&self, windows: &'static [Window]) {
        let checks: Vec<_> = windows.iter().map(Window::check).collect();
        let start = self.now();
        let decision = self.buckets.check(&checks, &self.clock);
        if decision.is_allowed() {
            let end = self.now();
            self.passed.borrow_mut().push(Passed {
                windows,
                start,
                end,
            });
        }
    }

    fn remaining(&self, window: Window) -> u64 {
        let decision = self.buckets.peek(&[window.check()], &self.clock);
        decision.verdicts()[0].remaining()
    }

    /// How many requests under a window passed.
    fn passes(&self, name: &str) -> usize {
        let passed = self.passed.borrow();
        let of = |passed: &&Passed| passed.windows.iter().any(|window| window.name == name);
        passed.iter().filter(of).count()
    }

    /// Whether in some interval more passed than the quota lets.
    fn exceeded(&self, window: Window) -> bool {
        let passed = self.passed.borrow();
        let passed: Vec<_> = (passed.iter())
            .filter(|passed| passed.windows.iter().any(|known| known.name == window.name))
            .collect();
        let within = |start, end| {
            passed
                .iter()
                .filter(|passed| start <= passed.start && passed.end <= end)
                .count()
        };
        passed.iter().any(|first| {
            passed
                .iter()
                .filter(|last| first.start <= last.end)
                .any(|last| {
                    let span = (last.end - first.start) / window.quota.span(1);
                    within(first.start, last.end) as u64 > window.quota.cells() + span
                })
        })
    }
}

const ONE: Window = Window::new("one", Quota::per_hour(1));
const TWO: Window = Window::new("two", Quota::per_hour(2));
const MANY: Window = Window::new("many", Quota::per_hour(100));

/// Interrupts `outer` by `middle` by `inner`, at every pair of steps, and hands over each world.
fn every_schedule(
    outer: &'static [Window],
    middle: &'static [Window],
    inner: &'static [Window],
    judge: impl Fn(&World),
) -> usize {
    let mut schedules = 0;
    for first in 0.. {
        let mut second = 0;
        loop {
            let world = World::new();
            let nested = Rc::new(StdCell::new(false));
            let interruption = {
                let (world, nested) = (Rc::clone(&world), Rc::clone(&nested));
                move || {
                    let third = Rc::clone(&world);
                    let third: Rc<dyn Fn()> = Rc::new(move || third.send(inner));
                    nested.set(interrupted(second, third, || world.send(middle)));
                }
            };
            let met = interrupted(first, Rc::new(interruption), || world.send(outer));
            judge(&world);
            schedules += 1;
            second += 1;
            if !met {
                return schedules;
            }
            if !nested.get() {
                break;
            }
        }
    }
    unreachable!("a request has an end")
}

#[test]
fn a_refusal_that_is_seen_coming_writes_nothing() {
    let world = World::new();
    world.send(&[MANY, ONE]);
    assert_eq!(world.passes("one"), 1);
    let before = WRITES.get();
    assert!(before >= 2, "at least one for each window");
    let refused: [&'static [Window]; 3] = [&[ONE], &[MANY, ONE], &[ONE, MANY, TWO]];
    for windows in refused {
        world.send(windows);
        assert_eq!(WRITES.get(), before);
    }
    assert_eq!(world.passes("one"), 1);
}

#[test]
fn of_requests_that_race_for_the_first_cell_of_a_new_key_one_passes() {
    let schedules = every_schedule(&[ONE], &[ONE], &[ONE], |world| {
        assert_eq!(world.passes("one"), 1);
    });
    assert!(schedules > 50, "{schedules}");
}

#[test]
fn a_request_that_loses_the_second_window_puts_the_first_back_unless_it_was_touched() {
    let before = (UNDONE.get(), KEPT.get());
    every_schedule(&[MANY, ONE], &[MANY], &[ONE], |world| {
        assert!(world.passes("one") <= 1);
        let (left, passed) = (world.remaining(MANY), world.passes("many") as u64);
        assert!(left <= 100 - passed, "{left} after {passed}");
        assert!(left >= 99 - passed, "at most one charge too many");
    });
    assert!(UNDONE.get() > before.0, "no schedule put a charge back");
    assert!(
        KEPT.get() > before.1,
        "no schedule touched a bucket before it was put back"
    );
}

#[test]
fn a_key_that_got_two_entries_still_has_one_quota() {
    // Four ways: two in use by others until they are put back, two free ones that are preferred.
    let mut twins = 0;
    for step in 0..40 {
        let world = World::new();
        let table = &world.buckets.home;
        let set = world.buckets.set(&TWO.check());
        let late = world.now() + TWO.quota.span(2);
        for (way, tat) in [(0, late), (1, late), (2, 9), (3, 10)] {
            table.put(
                set,
                way,
                Entry {
                    tag: 1000 + way as u64,
                    tat,
                },
            );
        }
        let lowered = {
            let world = Rc::clone(&world);
            move || {
                // Another key's charge is undone, and leaves a way that is preferred to all others.
                world.buckets.home.put(set, 0, Entry { tag: 1000, tat: 1 });
                world.send(&[TWO]);
            }
        };
        interrupted(step, Rc::new(lowered), || world.send(&[TWO]));
        twins += usize::from(world.buckets.home.count(set, TWO.check().bucket()) > 1);
        for _ in 0..3 {
            world.send(&[TWO]);
        }
        assert_eq!(world.passes("two"), 2, "at step {step}");
    }
    assert!(twins > 0, "no schedule made two entries");
}

#[test]
fn a_request_that_finds_the_later_of_two_entries_looks_for_the_earlier_one() {
    for step in 0..=4 {
        let world = World::new();
        let other = Rc::clone(&world);
        let twins = move || {
            // Two inserters were faster: the earlier entry is empty, the later has a cell.
            let (tag, set) = (TWO.check().bucket(), other.buckets.set(&TWO.check()));
            for (way, cells) in [(0, 2), (2, 1)] {
                let tat = other.now() + TWO.quota.span(cells);
                other.buckets.home.put(set, way, Entry { tag, tat });
            }
        };
        interrupted(step, Rc::new(twins), || world.send(&[TWO]));
        assert_eq!(world.passes("two"), 0, "at step {step}");
    }
}

#[test]
fn newcomers_to_a_full_set_race_for_one_bucket() {
    let fill = |world: &World| {
        let set = world.buckets.set(&ONE.check());
        for way in 0..4 {
            world.buckets.home.put(
                set,
                way,
                Entry {
                    tag: 1000,
                    tat: u64::MAX,
                },
            );
        }
    };
    for step in 0..60 {
        let world = World::new();
        fill(&world);
        let other = Rc::clone(&world);
        interrupted(step, Rc::new(move || other.send(&[ONE])), || {
            world.send(&[ONE])
        });
        assert_eq!(world.passes("one"), 1, "at step {step}");
    }
}

/// Windows whose cells come back within a schedule.
const A: Window = Window::new("a", Quota::per_second(100).burst(3));
const B: Window = Window::new("b", Quota::per_second(40).burst(2));
const KINDS: [&[Window]; 4] = [&[A], &[B], &[A, B], &[B, A]];

/// A request, when it comes in, how much time has passed by then, and who interrupts it.
#[derive(Clone, Debug)]
struct Arrival {
    kind: usize,
    step: usize,
    pause: u64,
    interruption: Option<Box<Self>>,
}

fn arrival() -> impl Strategy<Value = Arrival> {
    let one = || (0..KINDS.len(), 0usize..14, 0u64..8);
    let last = one().prop_map(|(kind, step, pause)| Arrival {
        kind,
        step,
        pause,
        interruption: None,
    });
    last.prop_recursive(4, 4, 1, move |inner| {
        (one(), inner).prop_map(|((kind, step, pause), inner)| Arrival {
            kind,
            step,
            pause,
            interruption: Some(Box::new(inner)),
        })
    })
}

fn arrive(world: &Rc<World>, arrival: &Arrival) {
    world.clock.advance(Duration::from_millis(arrival.pause));
    let windows = KINDS[arrival.kind];
    match arrival.interruption.clone() {
        None => world.send(windows),
        Some(next) => {
            let other = Rc::clone(world);
            let interruption = Rc::new(move || arrive(&other, &next));
            interrupted(arrival.step, interruption, || world.send(windows));
        }
    }
}

#[test]
fn however_requests_interrupt_one_another_no_window_is_exceeded() {
    let (before, moved) = ((UNDONE.get(), KEPT.get()), StdCell::new(0));
    // Slots that others have for a while, so that requests share a bucket and then get a slot.
    let occupied = prop::collection::vec(0u64..40, 0..=4);
    let arrivals = prop::collection::vec(arrival(), 1..12);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(2000));
    runner
        .run(&(occupied, arrivals), |(occupied, arrivals)| {
            let world = World::new();
            let set = world.buckets.set(&A.check());
            for (way, millis) in occupied.into_iter().enumerate() {
                let (tag, tat) = (1000 + way as u64, world.now() + millis * 1_000_000);
                world.buckets.home.put(set, way, Entry { tag, tat });
            }
            for arrival in &arrivals {
                arrive(&world, arrival);
                let both = world.buckets.shared(world.now()) > 0
                    && world.buckets.home.count(set, A.check().bucket()) > 0;
                moved.set(moved.get() + usize::from(both));
            }
            prop_assert!(!world.exceeded(A), "a");
            prop_assert!(!world.exceeded(B), "b");
            Ok(())
        })
        .unwrap();
    let met = (UNDONE.get() - before.0, KEPT.get() - before.1);
    assert!(
        met.0 > 20 && met.1 > 0 && moved.get() > 100,
        "the hard cases were not met: {met:?} {moved:?}"
    );
}
