//! The hand-over, proved on the code that runs: seeded interleavings of writers, tailers, bodies,
//! sockets, restarts, trims and epochs, over two processes and one log.
//!
//! Each client checks each block: an event is exactly the next that it may see, a cursor skips
//! nothing, a reset is due. At the end everybody has everything. Mutants that break one clause of
//! the rule, and stores that break one of the contract, are caught.

use std::ops::Range;

use self::store::Fault;
use self::world::{Seen, World};
use super::replay::{HandOver, Proved};
use super::ring::Ring;
use crate::event_stream::id::EventId;
use crate::event_stream::store::Page;

mod client;
mod store;
mod world;

/// Runs schedules, and answers the first that fails.
fn run<H: HandOver>(seeds: Range<u64>, fault: Fault) -> Result<Seen, String> {
    let mut seen = Seen::default();
    for seed in seeds {
        let mut world = World::<H>::new(seed, fault);
        let failed = |what: String| format!("schedule {seed}: {what}");
        for _ in 0..STEPS {
            world.step().map_err(failed)?;
        }
        world.settle().map_err(failed)?;
        seen.add(world.seen);
    }
    Ok(seen)
}

#[test]
fn every_client_gets_every_event_it_may_see_once_and_in_order_or_a_reset() {
    // `EVENT_SCHEDULES=200000` runs a longer proof.
    let asked = std::env::var("EVENT_SCHEDULES").ok();
    let schedules = asked
        .and_then(|text| text.parse().ok())
        .unwrap_or(SCHEDULES);
    let seen = run::<Proved>(0..schedules, Fault::None).unwrap_or_else(|what| panic!("{what}"));
    println!("{schedules} schedules: {seen:?}");
    for (what, times) in [
        ("events delivered", seen.delivered),
        ("resets", seen.resets),
        ("demotions", seen.demotions),
        ("hand-overs", seen.hand_overs),
        ("hand-overs from a trimmed log", seen.trimmed_hand_overs),
        ("epochs", seen.epochs),
        ("trims", seen.trims),
        ("restarts", seen.restarts),
        ("reconnections", seen.reconnects),
        ("gaps of a tailer", seen.gaps),
        ("readers ahead of their ring", seen.ahead),
    ] {
        assert!(times > 100, "met only {times} {what}");
    }
}

/// A rule with one clause changed.
macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident { $($body:tt)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            struct $name;
            impl HandOver for $name { $($body)* }
        )*

        #[test]
        fn a_rule_with_any_clause_changed_loses_or_doubles_something() {
            $(
                let caught = run::<$name>(0..MUTANT_SCHEDULES, Fault::None).unwrap_err();
                println!("{}: {caught}", stringify!($name));
            )*
        }
    };
}

mutants! {
    /// The floor taken for the oldest event that is held.
    FloorOffByOne {
        fn is_live(cursor: EventId, ring: &Ring) -> bool {
            cursor.epoch() == ring.epoch() && cursor.position().get() + 1 >= ring.floor().get()
        }
    }
    /// Positions compared across epochs.
    EpochIgnored {
        fn is_live(cursor: EventId, ring: &Ring) -> bool {
            cursor.position() >= ring.floor()
        }
    }
    /// Parking sets the cursor to the ring's head, though it was ahead.
    HeadOnParking {
        fn seen_while_parked(cursor: EventId, head: EventId) -> EventId {
            if cursor.epoch() == head.epoch() { head } else { cursor }
        }
    }
    /// Every event that the ring gets is taken for new.
    AllIsNew {
        fn is_new(_: EventId, _: EventId) -> bool {
            true
        }
    }
    /// What was listed stays listed after a demotion.
    ListedIsKept {
        fn clears_listed() -> bool {
            false
        }
    }
    /// Those who are parked sleep through a gap or a change of epoch.
    SleepsThroughReplacement {
        fn wakes_on_replacement() -> bool {
            false
        }
    }
    /// A page moves the reader to its last event, not to how far was scanned.
    LastMatch {
        fn after_page(cursor: EventId, page: &Page) -> EventId {
            page.events().last().map_or(cursor, |last| cursor.at_least(last.id().position()))
        }
    }
}

#[test]
fn a_store_that_breaks_its_contract_is_seen() {
    for fault in [
        Fault::NoWatermark,
        Fault::NextIsLastMatch,
        Fault::SilentTrim,
        Fault::SameEpoch,
    ] {
        let caught = run::<Proved>(0..MUTANT_SCHEDULES, fault).unwrap_err();
        println!("{fault:?}: {caught}");
    }
}

#[test]
fn a_store_that_repeats_the_event_at_the_cursor_doubles_nothing() {
    run::<Proved>(0..MUTANT_SCHEDULES, Fault::Inclusive).unwrap_or_else(|what| panic!("{what}"));
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.epochs += other.epochs;
        self.trims += other.trims;
        self.restarts += other.restarts;
        self.reconnects += other.reconnects;
        self.gaps += other.gaps;
        self.ahead += other.ahead;
        self.delivered += other.delivered;
        self.resets += other.resets;
        self.demotions += other.demotions;
        self.hand_overs += other.hand_overs;
        self.trimmed_hand_overs += other.trimmed_hand_overs;
    }
}

/// Steps of a schedule before everything is left to finish.
const STEPS: usize = 200;

/// Schedules of the proof.
const SCHEDULES: u64 = 2500;

/// Schedules within which a mutant has to be caught.
const MUTANT_SCHEDULES: u64 = 500;
