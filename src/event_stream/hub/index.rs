//! Who gets an event, without asking everyone. Pure.
//!
//! Connections with the same types, topics and openness are one class. A public event looks up the
//! classes that name its topic, its type, or neither, and visits their members; a private one
//! visits the connections of its user. So an event costs its recipients, and classes that name the
//! same topic; and so does ending all streams of one user.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use slab::Slab;

use super::few::Few;
use super::roll::Roll;
use crate::event_stream::event::Address;
use crate::event_stream::selector::{Names, Selector, Users};

/// By names that clients choose, who could also learn which of them share a place, by how long an answer
/// takes: so it is the standard library's hash, which holds against that, and none that is faster.
type Map<K, V> = HashMap<K, V>;

#[derive(Debug, Default)]
pub(super) struct Index {
    classes: Slab<Class>,
    /// By the digest of what its members have in common.
    by_digest: Map<u64, u32>,
    by_topic: Map<Arc<str>, Roll<u32>>,
    by_type: Map<Arc<str>, Roll<u32>>,
    /// Classes that name neither type nor topic.
    unnamed: Roll<u32>,
    /// Who reads a user's private events, and whose streams are that user's.
    by_user: Map<Arc<str>, Roll<Posting>>,
    /// By slot: its class, and its place among the members.
    places: Vec<(u32, u32)>,
    /// Classes that the rest of a burst passes over.
    spent: Vec<u32>,
}

/// What all members of a class have in common.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Key {
    types: Names,
    topics: Names,
    public: bool,
    everyone: bool,
}

#[derive(Debug)]
struct Class {
    key: Key,
    digest: u64,
    members: Few<u32>,
    /// All members have been told of so much of this burst that they look for the rest themselves.
    spent: bool,
}

/// A connection under the name of a user: its slot, and why it is there. One list serves both ways
/// of asking, since nearly every stream is one user's and reads that user's events.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Posting(u32);

impl Posting {
    /// It reads the user's private events.
    const READS: u32 = 1 << 31;
    /// It was granted to the user.
    const OWNED: u32 = 1 << 30;

    fn slot(self) -> u32 {
        self.0 & !(Self::READS | Self::OWNED)
    }

    fn is(self, why: u32) -> bool {
        self.0 & why != 0
    }
}

impl Index {
    /// Adds the connection in `slot`, which was granted to `owner`.
    pub(super) fn insert(&mut self, slot: u32, selector: &Selector, owner: Option<&Arc<str>>) {
        let class = self.class(selector);
        let members = &mut self.classes[class as usize].members;
        let at = index(members.as_slice().len());
        members.push(slot);
        let slot_at = slot as usize;
        if self.places.len() <= slot_at {
            self.places.resize(slot_at + 1, (0, 0));
        }
        self.places[slot_at] = (class, at);
        for (user, why) in names(selector, owner) {
            let list = self.by_user.entry(Arc::clone(user)).or_default();
            list.push(Posting(slot | why));
        }
    }

    /// Removes the connection in `slot`, which was inserted with `selector` and `owner`.
    pub(super) fn remove(&mut self, slot: u32, selector: &Selector, owner: Option<&Arc<str>>) {
        let (class, at) = self.places[slot as usize];
        let members = &mut self.classes[class as usize].members;
        members.swap_remove(at as usize);
        if let Some(moved) = members.as_slice().get(at as usize) {
            self.places[*moved as usize].1 = at;
        }
        if members.is_empty() {
            self.drop_class(class);
        }
        for (user, why) in names(selector, owner) {
            take_from(&mut self.by_user, user, Posting(slot | why));
        }
    }

    /// The connections that were granted to `user`.
    pub(super) fn owned(&self, user: &str) -> impl Iterator<Item = u32> {
        let postings = self.by_user.get(user).map_or(&[][..], Roll::as_slice);
        postings
            .iter()
            .filter(|posting| posting.is(Posting::OWNED))
            .map(|posting| posting.slot())
    }

    /// The class of the connection in `slot`.
    pub(super) fn class_of(&self, slot: u32) -> u32 {
        self.places[slot as usize].0
    }

    /// Visits each connection that gets an event with this address, once.
    ///
    /// `visit` answers whether the connection has no need to be told of further events. A class of
    /// which that is true of all is passed over until [`burst_over`](Self::burst_over): else a burst
    /// of events to everyone would visit everyone for each of them, with the shard locked.
    pub(super) fn recipients(&mut self, event: &Address, mut visit: impl FnMut(u32) -> bool) {
        let topic = event.topic.as_ref().and_then(|it| self.by_topic.get(it));
        let kind = self.by_type.get(&event.kind);
        let named = topic.into_iter().chain(kind).chain([&self.unnamed]);
        for number in named.flat_map(Roll::as_slice) {
            let class = &mut self.classes[*number as usize];
            let audience = match event.user {
                None => class.key.public,
                Some(_) => class.key.everyone,
            };
            if !audience || class.spent || !class.key.admits(event) {
                continue;
            }
            class.spent = true;
            for member in class.members.as_slice() {
                class.spent &= visit(*member);
            }
            if class.spent {
                self.spent.push(*number);
            }
        }
        let own = event.user.as_ref().and_then(|user| self.by_user.get(user));
        for posting in own.map_or(&[][..], Roll::as_slice) {
            let slot = posting.slot();
            let class = &self.classes[self.class_of(slot) as usize];
            if posting.is(Posting::READS) && class.key.admits(event) {
                visit(slot);
            }
        }
    }

    /// The next event is visited upon everyone again.
    pub(super) fn burst_over(&mut self) {
        for class in self.spent.drain(..) {
            self.classes[class as usize].spent = false;
        }
    }

    fn class(&mut self, selector: &Selector) -> u32 {
        let key = Key {
            types: selector.types.clone(),
            topics: selector.topics.clone(),
            public: selector.public,
            everyone: selector.users == Users::Everyone,
        };
        let digest = self.by_topic.hasher().hash_one(&key);
        let known = self.by_digest.get(&digest);
        if let Some(class) = known.filter(|class| self.classes[**class as usize].key == key) {
            return *class;
        }
        let members = Few::default();
        let class = self.classes.insert(Class {
            key,
            digest,
            members,
            spent: false,
        });
        // Of two classes with one digest, if that ever happens, the former is found no more, and serves
        // those who are in it.
        self.by_digest.insert(digest, index(class));
        self.post(index(class));
        index(class)
    }

    fn post(&mut self, class: u32) {
        let (names, lists) = match self.classes[class as usize].key.posted_under() {
            Posted::Topics(names) => (names, &mut self.by_topic),
            Posted::Types(names) => (names, &mut self.by_type),
            Posted::Unnamed => return self.unnamed.push(class),
        };
        for name in names.iter() {
            lists.entry(Arc::clone(name)).or_default().push(class);
        }
    }

    fn drop_class(&mut self, class: u32) {
        let Class { key, digest, .. } = self.classes.remove(class as usize);
        if self.by_digest.get(&digest) == Some(&class) {
            self.by_digest.remove(&digest);
        }
        let (names, lists) = match key.posted_under() {
            Posted::Topics(names) => (names, &mut self.by_topic),
            Posted::Types(names) => (names, &mut self.by_type),
            Posted::Unnamed => return self.unnamed.remove(class),
        };
        for name in names.iter() {
            take_from(lists, name, class);
        }
    }
}

/// Under which names a class is found: one kind only, so that no event finds it twice.
enum Posted<'a> {
    Topics(&'a Arc<[Arc<str>]>),
    Types(&'a Arc<[Arc<str>]>),
    Unnamed,
}

impl Key {
    fn posted_under(&self) -> Posted<'_> {
        match (&self.topics.0, &self.types.0) {
            (Some(topics), _) => Posted::Topics(topics),
            (None, Some(types)) => Posted::Types(types),
            (None, None) => Posted::Unnamed,
        }
    }

    fn admits(&self, event: &Address) -> bool {
        self.types.contains(Some(&event.kind)) && self.topics.contains(event.topic.as_deref())
    }
}

/// Under which users a connection is posted, and why, each once.
fn names<'a>(
    selector: &'a Selector,
    owner: Option<&'a Arc<str>>,
) -> impl Iterator<Item = (&'a Arc<str>, u32)> {
    let read: &[Arc<str>] = match &selector.users {
        Users::These(users) => users,
        Users::Everyone => &[],
    };
    let owns = move |user: &Arc<str>| owner == Some(user);
    let elsewhere = owner.filter(|owner| !read.contains(*owner));
    let read = read.iter().map(move |user| match owns(user) {
        true => (user, Posting::READS | Posting::OWNED),
        false => (user, Posting::READS),
    });
    read.chain(elsewhere.map(|owner| (owner, Posting::OWNED)))
}

fn take_from<T: Copy + Eq + Hash>(map: &mut Map<Arc<str>, Roll<T>>, name: &Arc<str>, value: T) {
    if let Some(list) = map.get_mut(name) {
        list.remove(value);
        if list.is_empty() {
            map.remove(name);
        }
    }
}

/// Slots and classes are numbered by connection, of which a process holds far fewer than 2^30.
pub(super) fn index(at: usize) -> u32 {
    let at = u32::try_from(at).ok();
    at.filter(|at| *at < Posting::OWNED)
        .expect("fewer than 2^30 connections")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event_stream::event::NewEvent;

    fn selector() -> impl Strategy<Value = Selector> {
        let names = || prop::option::of(prop::collection::vec("[abc]", 0..3));
        (names(), names(), prop::option::of(names()), any::<bool>()).prop_map(
            |(types, topics, users, public)| {
                let mut selector = Selector::everything();
                selector.public = public;
                if let Some(types) = types {
                    selector = selector.only_types(types);
                }
                if let Some(topics) = topics {
                    selector = selector.only_topics(topics);
                }
                match users {
                    None => selector,
                    Some(users) => selector.only_users(users.unwrap_or_default()),
                }
            },
        )
    }

    fn address() -> impl Strategy<Value = Address> {
        let maybe = || prop::option::of("[abcd]");
        ("[abcd]", maybe(), maybe()).prop_map(|(kind, user, topic)| {
            let mut event = NewEvent::text(kind, "").unwrap();
            if let Some(user) = user {
                event = event.for_user(user);
            }
            if let Some(topic) = topic {
                event = event.topic(topic);
            }
            event.into_address()
        })
    }

    proptest! {
        #[test]
        fn the_index_visits_exactly_whom_a_walk_over_all_would_find(
            selectors in prop::collection::vec(selector(), 1..24),
            owners in prop::collection::vec(prop::option::of("[abcd]"), 24),
            leave in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
            events in prop::collection::vec(address(), 1..12),
        ) {
            let mut index = Index::default();
            let owners = owners.into_iter().map(|owner| owner.map(Arc::<str>::from));
            let mut live: Vec<_> = (0u32..).zip(selectors.into_iter().zip(owners)).collect();
            for (slot, (selector, owner)) in &live {
                index.insert(*slot, selector, owner.as_ref());
            }
            for at in leave {
                if !live.is_empty() {
                    let (slot, (selector, owner)) = live.swap_remove(at.index(live.len()));
                    index.remove(slot, &selector, owner.as_ref());
                }
            }
            for user in ["a", "b", "c", "d", "e"] {
                let mut found: Vec<_> = index.owned(user).collect();
                found.sort_unstable();
                let of_user = live.iter().filter(|(_, (_, owner))| owner.as_deref() == Some(user));
                let mut expected: Vec<_> = of_user.map(|(slot, _)| *slot).collect();
                expected.sort_unstable();
                prop_assert_eq!(found, expected);
            }
            for event in &events {
                let mut found = Vec::new();
                index.recipients(event, |slot| {
                    found.push(slot);
                    slot % 2 == 0
                });
                index.burst_over();
                found.sort_unstable();
                let mut expected: Vec<_> = live
                    .iter()
                    .filter(|(_, (selector, _))| selector.admits_address(event))
                    .map(|(slot, _)| *slot)
                    .collect();
                expected.sort_unstable();
                prop_assert_eq!(found, expected);
            }
            for (slot, (selector, owner)) in live {
                index.remove(slot, &selector, owner.as_ref());
            }
            prop_assert!(index.classes.is_empty() && index.by_digest.is_empty());
            prop_assert!(index.by_topic.is_empty() && index.by_type.is_empty());
            prop_assert!(index.by_user.is_empty() && index.unnamed.is_empty());
        }
    }

    /// More than a short list holds, of classes under one name and of streams of one user.
    #[test]
    fn a_crowd_that_is_alike_in_all_but_one_name_is_found_and_forgotten_one_by_one() {
        let mut index = Index::default();
        let user: Arc<str> = "u".into();
        let selectors: Vec<_> = (0..300)
            .map(|n| {
                let selector = Selector::public().only_users([Arc::clone(&user)]);
                selector.only_topics(["all".to_owned(), format!("own {}", n / 2)])
            })
            .collect();
        let mut live: Vec<u32> = (0..300).collect();
        for (slot, selector) in (0..).zip(&selectors) {
            index.insert(slot, selector, Some(&user));
        }
        assert_eq!(index.classes.len(), 150);
        let event = |topic: &str| NewEvent::text("a", "").unwrap().topic(topic);
        while !live.is_empty() {
            for of in [event("all"), event("all").for_user("u")] {
                let mut found = Vec::new();
                index.recipients(&of.into_address(), |slot| {
                    found.push(slot);
                    false
                });
                found.sort_unstable();
                assert_eq!(found, live);
            }
            assert_eq!(index.owned("u").count(), live.len());
            let slot = live.remove(live.len() / 3);
            index.remove(slot, &selectors[slot as usize], Some(&user));
        }
        assert!(index.classes.is_empty() && index.by_digest.is_empty());
        assert!(index.by_topic.is_empty() && index.by_user.is_empty());
    }
}
