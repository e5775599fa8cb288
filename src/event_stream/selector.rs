//! Which events a stream gets: what was asked for, within what was granted.

use std::sync::Arc;

use super::event::{Address, Event};

/// Which events a reader gets: types, topics, and whose private events.
///
/// Everything is compared exactly. A store may use it to read less, and every event it returns is
/// tested again: a store that ignores the selector in [`read_after`](super::EventStore::read_after)
/// is slower, never wrong.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Selector {
    pub(super) types: Names,
    pub(super) topics: Names,
    pub(super) public: bool,
    pub(super) users: Users,
}

impl Selector {
    /// Every event: what the hub's own tailer reads.
    #[must_use]
    pub const fn everything() -> Self {
        Self {
            types: Names::ANY,
            topics: Names::ANY,
            public: true,
            users: Users::Everyone,
        }
    }

    /// Whether a reader with this selector gets `event`.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        let event = event.content();
        self.admits(event.kind(), event.user(), event.topic_name())
    }

    /// The types to which it is limited; `None` for all.
    #[must_use]
    pub fn types(&self) -> Option<&[Arc<str>]> {
        self.types.0.as_deref()
    }

    /// The topics to which it is limited; `None` for all, and for events that have none.
    #[must_use]
    pub fn topics(&self) -> Option<&[Arc<str>]> {
        self.topics.0.as_deref()
    }

    /// The users whose private events are included; `None` for those of all users.
    #[must_use]
    pub fn users(&self) -> Option<&[Arc<str>]> {
        match &self.users {
            Users::These(names) => Some(names),
            Users::Everyone => None,
        }
    }

    /// Whether public events are included.
    #[must_use]
    pub fn includes_public(&self) -> bool {
        self.public
    }

    /// Public events, and nobody's private ones.
    #[must_use]
    pub fn public() -> Self {
        Self {
            users: Users::nobody(),
            ..Self::everything()
        }
    }

    /// Limits the selector to `types`.
    #[must_use]
    pub fn only_types<T: Into<Arc<str>>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.types = Names::only(types);
        self
    }

    /// Limits the selector to events under `topics`.
    #[must_use]
    pub fn only_topics<T: Into<Arc<str>>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.topics = Names::only(topics);
        self
    }

    /// Includes the private events of `users`, and of nobody else.
    #[must_use]
    pub fn only_users<T: Into<Arc<str>>>(mut self, users: impl IntoIterator<Item = T>) -> Self {
        self.users = Users::These(sorted(users));
        self
    }

    pub(super) fn admits_address(&self, address: &Address) -> bool {
        self.admits(
            &address.kind,
            address.user.as_deref(),
            address.topic.as_deref(),
        )
    }

    fn admits(&self, kind: &str, user: Option<&str>, topic: Option<&str>) -> bool {
        let audience = match user {
            None => self.public,
            Some(user) => self.users.contains(user),
        };
        audience && self.types.contains(Some(kind)) && self.topics.contains(topic)
    }
}

/// Any name, or one of a sorted list.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Names(pub(super) Option<Arc<[Arc<str>]>>);

impl Names {
    pub(super) const ANY: Self = Self(None);

    pub(super) fn only<T: Into<Arc<str>>>(names: impl IntoIterator<Item = T>) -> Self {
        Self(Some(sorted(names)))
    }

    pub(super) fn contains(&self, name: Option<&str>) -> bool {
        match (&self.0, name) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(names), Some(name)) => holds(names, name),
        }
    }
}

/// Whose private events are included.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Users {
    These(Arc<[Arc<str>]>),
    Everyone,
}

impl Users {
    pub(super) fn nobody() -> Self {
        Self::These(Arc::default())
    }

    pub(super) fn contains(&self, user: &str) -> bool {
        match self {
            Self::These(names) => holds(names, user),
            Self::Everyone => true,
        }
    }
}

fn sorted<T: Into<Arc<str>>>(names: impl IntoIterator<Item = T>) -> Arc<[Arc<str>]> {
    let mut names: Vec<Arc<str>> = names.into_iter().map(Into::into).collect();
    names.sort_unstable();
    names.dedup();
    names.into()
}

fn holds(sorted: &[Arc<str>], name: &str) -> bool {
    sorted.binary_search_by(|known| (**known).cmp(name)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::event::NewEvent;
    use super::*;

    fn admits(selector: &Selector, event: &NewEvent) -> bool {
        selector.admits_address(&event.clone().into_address())
    }

    #[test]
    fn type_topic_and_audience_must_all_agree_exactly() {
        let public = NewEvent::text("a", "").unwrap().topic("t");
        let private = public.clone().for_user("u1");
        let all = Selector::everything();
        assert!(admits(&all, &public) && admits(&all, &private));

        let selector = Selector::public();
        assert!(admits(&selector, &public) && !admits(&selector, &private));
        let own = selector.clone().only_users(["u2", "u1"]);
        assert!(admits(&own, &private));
        assert!(!admits(&own, &public.clone().for_user("u")));
        assert!(!admits(&own, &public.clone().for_user("u11")));

        assert!(admits(&all.clone().only_types(["b", "a"]), &public));
        assert!(!admits(&all.clone().only_types(["aa"]), &public));
        assert!(admits(&all.clone().only_topics(["t"]), &private));
        assert!(!admits(
            &all.only_topics(["t"]),
            &NewEvent::text("a", "").unwrap()
        ));
    }
}
