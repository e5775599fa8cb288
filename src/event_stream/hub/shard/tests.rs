//! What one shard does, step by step. The interleavings are in `model`.

use std::sync::Arc;

use super::*;
use crate::event_stream::encode::tests::parse;
use crate::event_stream::event::{Event, NewEvent};
use crate::event_stream::hub::ring::RingBounds;
use crate::event_stream::hub::slot::Opening;
use crate::event_stream::id::Epoch;
use crate::event_stream::request::Start;
use crate::event_stream::selector::Selector;

fn id(position: u64) -> EventId {
    EventId::new(Epoch::new(1), Position::from(position))
}

/// A shard over a log that begins at 10.
fn shard(events: usize) -> Shard {
    let mut shard = Shard::new(TERMS);
    let bounds = RingBounds {
        events,
        bytes: 1 << 20,
        age: u32::MAX,
    };
    shard.replace(Ring::new(id(10), bounds), &mut Vec::new());
    shard
}

fn open(shard: &mut Shard, selector: Selector) -> u32 {
    let opening = Opening {
        selector,
        ..Opening::public(Start::Head)
    };
    let slot = shard.open(opening, &mut None);
    assert_eq!(data(shard, slot), [""; 0]);
    slot
}

/// Data of all events up to where the reader parks.
fn data(shard: &mut Shard, slot: u32) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        match shard.poll(slot, Waker::noop()) {
            Step::Park(_) => return found,
            Step::Send(frame) | Step::Last(frame, _) => {
                let blocks = parse(std::str::from_utf8(&frame).unwrap());
                found.extend(blocks.into_iter().filter_map(|block| Some(block.fired?.1)));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Publishes events whose data is their position; answers how many were woken.
fn publish(shard: &mut Shard, positions: std::ops::RangeInclusive<u64>, of: &NewEvent) -> usize {
    let mut wakers = Vec::new();
    let last = *positions.end();
    let entries = positions.map(|position| {
        let mut event = NewEvent::text(of.kind(), position.to_string()).unwrap();
        if let Some(user) = of.user() {
            event = event.for_user(user);
        }
        Entry::from(Event::new(id(position), event))
    });
    shard.ingest(entries, Position::from(last), &mut wakers);
    wakers.len()
}

fn event(kind: &str) -> NewEvent {
    NewEvent::text(kind, "").unwrap()
}

#[test]
fn a_burst_wakes_a_reader_once_whether_it_is_listed_or_scanned() {
    for burst in [1, 6, 7, 40] {
        let mut shard = shard(64);
        let slot = open(&mut shard, Selector::public());
        assert_eq!(publish(&mut shard, 11..=10 + burst, &event("a")), 1);
        let expected: Vec<_> = (11..=10 + burst).map(|n| n.to_string()).collect();
        assert_eq!(data(&mut shard, slot), expected);
        assert_eq!(publish(&mut shard, 51..=51, &event("a")), 1);
    }
}

#[test]
fn several_events_leave_as_one_frame_up_to_its_bound() {
    let mut shard = shard(64);
    let slot = open(&mut shard, Selector::public());
    publish(&mut shard, 11..=15, &event("a"));
    let Step::Last(frame, _) = shard.poll(slot, Waker::noop()) else {
        panic!("there are events, and nothing after them");
    };
    assert_eq!(parse(std::str::from_utf8(&frame).unwrap()).len(), 5);

    let large = NewEvent::text("a", "x".repeat(10_000)).unwrap();
    let entries = (16..20).map(|at| Entry::from(Event::new(id(at), large.clone())));
    shard.ingest(entries, Position::from(19), &mut Vec::new());
    for _ in 0..3 {
        assert!(
            matches!(shard.poll(slot, Waker::noop()), Step::Send(frame) if frame.len() < 16_384)
        );
    }
    assert!(
        matches!(shard.poll(slot, Waker::noop()), Step::Last(frame, _) if frame.len() < 16_384)
    );
    assert!(matches!(shard.poll(slot, Waker::noop()), Step::Park(_)));
}

/// Found by the model: the frame that was built last is kept by class number, and the number of a
/// class that had ended went to another selector, whose reader got the other's events.
#[test]
fn a_frame_is_not_shared_with_the_class_that_got_the_number_of_another() {
    let mut shard = shard(64);
    let first = open(&mut shard, Selector::public().only_types(["a"]));
    let second = open(&mut shard, Selector::public().only_types(["b"]));
    // Past the list, so that both scan, and share what they build.
    publish(&mut shard, 11..=20, &event("a"));
    assert_eq!(data(&mut shard, first).len(), 10);
    shard.close(first);
    let opening = Opening {
        selector: Selector::public().only_types(["c"]),
        ..Opening::public(Start::After(id(10)))
    };
    let resumed = shard.open(opening, &mut None);
    assert_eq!(
        data(&mut shard, resumed),
        ["{}"],
        "caught up, and nothing else"
    );
    assert_eq!(data(&mut shard, second), [""; 0]);
}

#[test]
fn readers_in_lock_step_share_one_frame_and_private_events_stay_out_of_it() {
    let mut shard = shard(64);
    let slots: Vec<_> = (0..3)
        .map(|_| open(&mut shard, Selector::public()))
        .collect();
    let own = open(&mut shard, Selector::public().only_users(["u"]));
    publish(&mut shard, 11..=20, &event("a"));
    publish(&mut shard, 21..=30, &event("a").for_user("u"));
    let mut frames = Vec::new();
    for slot in slots {
        match shard.poll(slot, Waker::noop()) {
            Step::Last(frame, _) => frames.push(frame),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(frames[0].as_ptr(), frames[1].as_ptr());
    assert_eq!(frames[0].as_ptr(), frames[2].as_ptr());
    assert_eq!(parse(std::str::from_utf8(&frames[0]).unwrap()).len(), 10);
    assert_eq!(data(&mut shard, own).len(), 20);
}

#[test]
fn what_was_listed_under_a_former_selector_is_not_sent() {
    let mut shard = shard(64);
    let slot = open(&mut shard, Selector::public().only_users(["u"]));
    publish(&mut shard, 11..=12, &event("a").for_user("u"));
    let ended = shard.reselect(slot, Selector::public(), None, u32::MAX);
    assert!(ended.is_none());
    publish(&mut shard, 13..=13, &event("a"));
    assert_eq!(data(&mut shard, slot), ["13"]);
    assert_eq!(publish(&mut shard, 14..=14, &event("a").for_user("u")), 0);
}

#[test]
fn a_parked_reader_of_rare_events_is_not_demoted_by_what_it_does_not_get() {
    let mut shard = shard(4);
    let slot = open(&mut shard, Selector::public().only_types(["rare"]));
    for position in 11..200 {
        assert_eq!(
            publish(&mut shard, position..=position, &event("common")),
            0
        );
    }
    assert_eq!(publish(&mut shard, 200..=200, &event("rare")), 1);
    assert_eq!(data(&mut shard, slot), ["200"]);
    assert_eq!(shard.counts.demotions, 0);
}

#[test]
fn a_reader_that_is_not_polled_costs_nothing_more_however_much_is_published() {
    let mut shard = shard(64);
    for _ in 0..100 {
        open(&mut shard, Selector::public());
    }
    publish(&mut shard, 11..=1010, &event("a"));
    let grown = allocation_counter::measure(|| {
        for _ in 0..10 {
            let next = shard.head().unwrap().position().get() as u64 + 1;
            publish(&mut shard, next..=next + 999, &event("a"));
        }
    });
    assert!(grown.bytes_current < 4096, "{grown:?}");
}

/// Bytes that the hub keeps for one of 1,024 connections with these selectors and users.
fn each_costs(of: impl Fn(usize) -> (Selector, Option<Arc<str>>)) -> u64 {
    let mut shard = shard(64);
    let selectors: Vec<_> = (0..1024).map(of).collect();
    let grown = allocation_counter::measure(|| {
        for (selector, who) in &selectors {
            let opening = Opening {
                selector: selector.clone(),
                who: who.clone(),
                ..Opening::public(Start::Head)
            };
            let slot = shard.open(opening, &mut None);
            assert_eq!(data(&mut shard, slot), [""; 0]);
        }
    });
    grown.bytes_current.unsigned_abs() / 1024
}

#[test]
fn a_connection_costs_the_hub_at_most_256_bytes_and_512_with_a_filter_of_its_own() {
    let user = |n: usize| Arc::<str>::from(format!("user {n}"));
    let shared = each_costs(|n| match n % 2 {
        0 => (Selector::public().only_types(["a"]), None),
        _ => (Selector::public(), None),
    });
    let own_user = each_costs(|n| {
        let who = user(n);
        (Selector::public().only_users([Arc::clone(&who)]), Some(who))
    });
    let own_filter = each_costs(|n| {
        let who = user(n);
        let selector = Selector::public().only_users([Arc::clone(&who)]);
        (selector.only_topics([format!("topic {n}")]), Some(who))
    });
    assert!(shared <= 256, "{shared}");
    assert!(own_user <= 512, "{own_user}");
    assert!(own_filter <= 512, "{own_filter}");
}

#[test]
fn publishing_to_one_user_among_ten_thousand_looks_at_one_connection() {
    let mut index = Index::default();
    for slot in 0..10_000 {
        let user: Arc<str> = format!("user {slot}").into();
        let selector = Selector::public().only_users([Arc::clone(&user)]);
        index.insert(slot, &selector, Some(&user));
    }
    let mut visits = |event: NewEvent| {
        let mut visits = 0;
        index.recipients(&event.into_address(), |_| {
            visits += 1;
            false
        });
        visits
    };
    assert_eq!(visits(event("a").for_user("user 7777")), 1);
    assert_eq!(visits(event("a").for_user("nobody")), 0);
    assert_eq!(visits(event("a")), 10_000);
}

#[test]
fn the_oldest_of_a_user_makes_room_also_when_places_are_given_again() {
    let mut shard = Shard::<Proved>::new(Terms {
        per_user: 2,
        ..TERMS
    });
    let bounds = RingBounds {
        events: 8,
        bytes: 1 << 20,
        age: u32::MAX,
    };
    shard.replace(Ring::new(id(10), bounds), &mut Vec::new());
    let join = |shard: &mut Shard| {
        let who: Option<Arc<str>> = Some("u".into());
        let slot = shard.open(
            Opening {
                who,
                ..Opening::public(Start::Head)
            },
            &mut None,
        );
        data(shard, slot);
        slot
    };
    let ended =
        |shard: &mut Shard, slot| matches!(shard.poll(slot, Waker::noop()), Step::Close(..));
    let (first, second) = (join(&mut shard), join(&mut shard));
    shard.close(first);
    // In the place of the first, and younger than the second.
    let third = join(&mut shard);
    assert_eq!(third, first);
    let fourth = join(&mut shard);
    assert!(ended(&mut shard, second) && !ended(&mut shard, third) && !ended(&mut shard, fourth));
}

/// A reader whom events no longer concern, since another process has shown it more, takes part in the
/// burst only from where it stands.
#[test]
fn a_burst_visits_those_who_scan_no_more_and_misses_nobody() {
    let mut shard = shard(64);
    let readers = [(); 3].map(|()| open(&mut shard, Selector::public()));
    let ahead = shard.open(Opening::public(Start::After(id(25))), &mut None);
    let Step::Read(_) = shard.poll(ahead, Waker::noop()) else {
        panic!("only the store knows whether the log goes that far");
    };
    shard.arrived(ahead, &Page::new(Vec::new(), id(25)));
    assert_eq!(data(&mut shard, ahead).len(), 1, "caught up");
    for first in [11, 41] {
        publish(&mut shard, first..=first + 29, &event("a"));
        let told = |from: u64| (from..=first + 29).map(|at| at.to_string());
        for reader in readers {
            assert_eq!(data(&mut shard, reader), told(first).collect::<Vec<_>>());
        }
        let expected: Vec<_> = told(first.max(26)).collect();
        assert_eq!(data(&mut shard, ahead), expected);
    }
    let visits = |shard: &mut Shard| {
        let mut visits = 0;
        let address = event("a").into_address();
        shard.index.recipients(&address, |_| {
            visits += 1;
            true
        });
        visits
    };
    assert_eq!((visits(&mut shard), visits(&mut shard)), (4, 0));
    shard.index.burst_over();
    assert_eq!(visits(&mut shard), 4);
}

#[test]
fn of_connections_that_are_gone_no_timer_is_kept_however_far_off_it_was() {
    let mut shard = Shard::<Proved>::new(Terms {
        keep_alive: u32::MAX,
        ..TERMS
    });
    let stays = shard.open(Opening::public(Start::Head), &mut None);
    for _ in 0..100 {
        let slot = shard.open(Opening::public(Start::Head), &mut None);
        shard.close(slot);
    }
    for tick in 1..=64 {
        shard.tick(tick, &mut Vec::new());
    }
    assert_eq!(shard.wheel.filed(), 1);
    assert!(shard.slots.contains(stays as usize));
}

const TERMS: Terms = Terms {
    keep_alive: 60,
    write_stall: 480,
    per_user: usize::MAX,
};
