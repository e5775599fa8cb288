//! What is kept for the life of the process, so that a response copies a pointer to it.
//!
//! A header map is cloned for every response. A name or value on the heap counts its owners: one
//! atomic increment and one decrement each, on memory that all cores share; so does the prepared set
//! itself, to which every response in the making points. What is static counts nothing.
//!
//! Policies are made at start, so what is kept is small; and it is bounded whoever makes them when:
//! the same text is kept once however many policies say it, what comes after the first [`CAPACITY`]
//! bytes or [`SETS`] sets stays on the heap, where it is only slower.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderName, HeaderValue};

use super::prepared::Prepared;

/// `value`, in static memory if there is room for it.
pub(super) fn value(value: HeaderValue) -> HeaderValue {
    // Text beyond ASCII is rare, and `from_static` takes none.
    let Some(text) = value.to_str().ok().and_then(keep) else {
        return value;
    };
    let mut interned = HeaderValue::from_static(text);
    interned.set_sensitive(value.is_sensitive());
    interned
}

/// `name`, in static memory if there is room for it.
pub(super) fn name(name: &HeaderName) -> HeaderName {
    keep(name.as_str()).map_or_else(|| name.clone(), HeaderName::from_static)
}

/// `set`, in static memory if there is room for it.
pub(super) fn prepared(set: Prepared) -> Kept<Prepared> {
    Kept::new(set, &KEPT_SETS, SETS)
}

/// A value in static memory, or one that counts its owners.
#[derive(Debug)]
pub(super) enum Kept<T: 'static> {
    Static(&'static T),
    Counted(Arc<T>),
}

impl<T> Kept<T> {
    /// Keeps `value` unless `most` are kept already.
    fn new(value: T, kept: &AtomicUsize, most: usize) -> Self {
        let one_more = |count| (count < most).then_some(count + 1);
        match kept.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Self::Static(Box::leak(Box::new(value))),
            Err(_) => Self::Counted(Arc::new(value)),
        }
    }
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Static(value) => Self::Static(value),
            Self::Counted(value) => Self::Counted(Arc::clone(value)),
        }
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Static(value) => value,
            Self::Counted(value) => value,
        }
    }
}

static KEPT_SETS: AtomicUsize = AtomicUsize::new(0);

/// Some 50 KiB each; `SecurityHeaders::prepare` documents it.
const SETS: usize = 32;

fn keep(text: &str) -> Option<&'static str> {
    // A set and its size are whole after every step.
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.get_or_insert_default().keep(text, CAPACITY)
}

/// A set of texts, and how long they are together.
#[derive(Debug, Default)]
struct Texts {
    texts: HashSet<&'static str>,
    bytes: usize,
}

impl Texts {
    fn keep(&mut self, text: &str, capacity: usize) -> Option<&'static str> {
        if let Some(known) = self.texts.get(text) {
            return Some(known);
        }
        let bytes = self.bytes.checked_add(text.len())?;
        if bytes > capacity {
            return None;
        }
        let text: &'static str = Box::leak(Box::from(text));
        self.bytes = bytes;
        self.texts.insert(text);
        Some(text)
    }
}

static KEPT: Mutex<Option<Texts>> = Mutex::new(None);

/// Room for some hundred different policies; `SecurityHeaders::prepare` documents it.
const CAPACITY: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_kept_once() {
        let mut kept = Texts::default();
        let first = kept.keep("default-src 'self'", 100).unwrap();
        let again = kept.keep(&String::from(first), 100).unwrap();
        assert!(std::ptr::eq(first, again));
        assert_eq!((kept.texts.len(), kept.bytes), (1, first.len()));
    }

    #[test]
    fn what_does_not_fit_is_not_kept_and_what_is_known_still_is() {
        let mut kept = Texts::default();
        assert_eq!(kept.keep("four", 10), Some("four"));
        assert_eq!(kept.keep("seven77", 10), None);
        assert_eq!(kept.keep("six666", 10), Some("six666"));
        assert_eq!(kept.keep("1", 10), None);
        assert_eq!(kept.keep("four", 10), Some("four"));
        assert_eq!(kept.bytes, 10);
    }

    #[test]
    fn sets_beyond_the_first_count_their_owners() {
        let count = AtomicUsize::new(0);
        let kept = ["a", "b", "c"].map(|value| Kept::new(value, &count, 2));
        assert!(matches!(
            kept[..2],
            [Kept::Static(&"a"), Kept::Static(&"b")]
        ));
        let Kept::Counted(owners) = &kept[2] else {
            panic!("{kept:?}")
        };
        let clone = kept[2].clone();
        assert_eq!((Arc::strong_count(owners), *clone), (2, "c"));
    }

    #[test]
    fn nothing_but_the_place_in_memory_changes() {
        let mut secret = HeaderValue::from_static("a value of this test");
        secret.set_sensitive(true);
        for given in [
            HeaderValue::from_static(""),
            HeaderValue::from_static("tab\there"),
            HeaderValue::from_str("h\u{fc}lle").unwrap(),
            HeaderValue::from_bytes(b"\xff").unwrap(),
            secret,
        ] {
            let interned = value(given.clone());
            assert_eq!(interned, given);
            assert_eq!(interned.is_sensitive(), given.is_sensitive());
        }
        let long = "x".repeat(100);
        for text in ["x-one-of-this-test", "server", &long] {
            let given = HeaderName::try_from(text).unwrap();
            assert_eq!(name(&given), given);
        }
    }

    #[test]
    fn a_value_of_two_policies_is_one_text() {
        let text = || value(HeaderValue::from_str("said by two policies").unwrap());
        let (one, other) = (text(), text());
        assert!(std::ptr::eq(one.as_bytes(), other.as_bytes()));
    }
}
