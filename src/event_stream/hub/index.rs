//! Who gets an event, without asking everyone. Pure.
//!
//! Connections with the same types, topics and openness are one class. A public event looks up the
//! classes that name its topic, its type, or neither, and visits their members; a private one
//! visits the connections of its user. So an event costs its recipients, and classes that name the
//! same topic.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use slab::Slab;

use crate::event_stream::event::Address;
use crate::event_stream::selector::{Names, Selector, Users};

type Map<K, V> = HashMap<K, V, RandomState>;

#[derive(Debug, Default)]
pub(super) struct Index {
    classes: Slab<Class>,
    class_of: Map<Key, u32>,
    by_topic: Map<Arc<str>, Vec<u32>>,
    by_type: Map<Arc<str>, Vec<u32>>,
    /// Classes that name neither type nor topic.
    unnamed: Vec<u32>,
    by_user: Map<Arc<str>, Vec<u32>>,
    /// By slot: its class, and its place among the members.
    places: Vec<(u32, u32)>,
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
    members: Vec<u32>,
}

impl Index {
    /// Adds the connection in `slot`.
    pub(super) fn insert(&mut self, slot: u32, selector: &Selector) {
        let class = self.class(selector);
        let members = &mut self.classes[class as usize].members;
        let at = index(members.len());
        members.push(slot);
        let slot_at = slot as usize;
        if self.places.len() <= slot_at {
            self.places.resize(slot_at + 1, (0, 0));
        }
        self.places[slot_at] = (class, at);
        if let Users::These(users) = &selector.users {
            for user in users.iter() {
                self.by_user.entry(Arc::clone(user)).or_default().push(slot);
            }
        }
    }

    /// Removes the connection in `slot`, which was inserted with `selector`.
    pub(super) fn remove(&mut self, slot: u32, selector: &Selector) {
        let (class, at) = self.places[slot as usize];
        let members = &mut self.classes[class as usize].members;
        members.swap_remove(at as usize);
        if let Some(moved) = members.get(at as usize) {
            self.places[*moved as usize].1 = at;
        }
        if members.is_empty() {
            self.drop_class(class);
        }
        if let Users::These(users) = &selector.users {
            for user in users.iter() {
                take_from(&mut self.by_user, user, slot);
            }
        }
    }

    /// The class of the connection in `slot`.
    pub(super) fn class_of(&self, slot: u32) -> u32 {
        self.places[slot as usize].0
    }

    /// Visits each connection that gets an event with this address, once.
    pub(super) fn recipients(&self, event: &Address, mut visit: impl FnMut(u32)) {
        let topic = event
            .topic
            .as_ref()
            .and_then(|topic| self.by_topic.get(topic));
        let kind = self.by_type.get(&event.kind);
        for class in topic
            .into_iter()
            .chain(kind)
            .chain([&self.unnamed])
            .flatten()
        {
            let class = &self.classes[*class as usize];
            let audience = match event.user {
                None => class.key.public,
                Some(_) => class.key.everyone,
            };
            if audience && class.key.admits(event) {
                class.members.iter().copied().for_each(&mut visit);
            }
        }
        let own = event.user.as_ref().and_then(|user| self.by_user.get(user));
        for slot in own.into_iter().flatten() {
            if self.classes[self.class_of(*slot) as usize]
                .key
                .admits(event)
            {
                visit(*slot);
            }
        }
    }

    fn class(&mut self, selector: &Selector) -> u32 {
        let key = Key {
            types: selector.types.clone(),
            topics: selector.topics.clone(),
            public: selector.public,
            everyone: selector.users == Users::Everyone,
        };
        if let Some(class) = self.class_of.get(&key) {
            return *class;
        }
        let class = index(self.classes.insert(Class {
            key: key.clone(),
            members: Vec::new(),
        }));
        match key.posted_under() {
            Posted::Topics(names) => {
                for name in names.iter() {
                    self.by_topic
                        .entry(Arc::clone(name))
                        .or_default()
                        .push(class);
                }
            }
            Posted::Types(names) => {
                for name in names.iter() {
                    self.by_type
                        .entry(Arc::clone(name))
                        .or_default()
                        .push(class);
                }
            }
            Posted::Unnamed => self.unnamed.push(class),
        }
        self.class_of.insert(key, class);
        class
    }

    fn drop_class(&mut self, class: u32) {
        let Class { key, .. } = self.classes.remove(class as usize);
        self.class_of.remove(&key);
        match key.posted_under() {
            Posted::Topics(names) => {
                for name in names.iter() {
                    take_from(&mut self.by_topic, name, class);
                }
            }
            Posted::Types(names) => {
                for name in names.iter() {
                    take_from(&mut self.by_type, name, class);
                }
            }
            Posted::Unnamed => self.unnamed.retain(|known| *known != class),
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

fn take_from(map: &mut Map<Arc<str>, Vec<u32>>, name: &Arc<str>, value: u32) {
    if let Some(list) = map.get_mut(name) {
        if let Some(at) = list.iter().position(|known| *known == value) {
            list.swap_remove(at);
        }
        if list.is_empty() {
            map.remove(name);
        }
    }
}

/// Slots and classes are numbered by connection, of which a process holds far fewer than 2^32.
fn index(at: usize) -> u32 {
    u32::try_from(at).expect("fewer than 2^32 connections")
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
            event.address()
        })
    }

    proptest! {
        #[test]
        fn the_index_visits_exactly_whom_a_walk_over_all_would_find(
            selectors in prop::collection::vec(selector(), 1..24),
            leave in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
            events in prop::collection::vec(address(), 1..12),
        ) {
            let mut index = Index::default();
            let mut live: Vec<_> = (0u32..).zip(selectors).collect();
            for (slot, selector) in &live {
                index.insert(*slot, selector);
            }
            for at in leave {
                if !live.is_empty() {
                    let (slot, selector) = live.swap_remove(at.index(live.len()));
                    index.remove(slot, &selector);
                }
            }
            for event in &events {
                let mut found = Vec::new();
                index.recipients(event, |slot| found.push(slot));
                found.sort_unstable();
                let mut expected: Vec<_> = live
                    .iter()
                    .filter(|(_, selector)| selector.admits_address(event))
                    .map(|(slot, _)| *slot)
                    .collect();
                expected.sort_unstable();
                prop_assert_eq!(found, expected);
            }
            for (slot, selector) in live {
                index.remove(slot, &selector);
            }
            prop_assert!(index.classes.is_empty() && index.class_of.is_empty());
            prop_assert!(index.by_topic.is_empty() && index.by_type.is_empty());
            prop_assert!(index.by_user.is_empty() && index.unnamed.is_empty());
        }
    }
}
