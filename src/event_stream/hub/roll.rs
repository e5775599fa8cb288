//! A list from which one is removed by its value, however long it is. Pure.

use std::collections::HashMap;
use std::hash::Hash;

use super::few::Few;

/// Different values. A short list is searched for the one that goes; a long one knows where each stands,
/// since clients choose under which names many are listed, and all of them may go at once.
#[derive(Debug)]
pub(super) enum Roll<T> {
    Short(Few<T>),
    Long(Box<Long<T>>),
}

#[derive(Debug)]
pub(super) struct Long<T> {
    list: Vec<T>,
    places: HashMap<T, usize>,
}

impl<T: Copy + Eq + Hash> Roll<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::Short(few) => few.as_slice(),
            Self::Long(long) => &long.list,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// Adds `value`, which is not there.
    pub(super) fn push(&mut self, value: T) {
        match self {
            Self::Short(few) => {
                few.push(value);
                if few.as_slice().len() > LONG {
                    let list = few.as_slice().to_vec();
                    let places = list.iter().copied().zip(0..).collect();
                    *self = Self::Long(Box::new(Long { list, places }));
                }
            }
            Self::Long(long) => {
                long.places.insert(value, long.list.len());
                long.list.push(value);
            }
        }
    }

    /// Removes `value`, if it is there; the last one takes its place.
    pub(super) fn remove(&mut self, value: T) {
        match self {
            Self::Short(few) => few.remove(value),
            Self::Long(long) => {
                let Some(at) = long.places.remove(&value) else {
                    return;
                };
                long.list.swap_remove(at);
                if let Some(moved) = long.list.get(at) {
                    long.places.insert(*moved, at);
                }
                // What was large once is not kept for few.
                if long.list.len() < long.list.capacity() / 4 {
                    let room = long.list.len() * 2;
                    long.list.shrink_to(room);
                    long.places.shrink_to(room);
                }
                if long.list.len() < LONG / 2 {
                    *self = Self::Short(Few::Many(std::mem::take(&mut long.list)));
                }
            }
        }
    }
}

impl<T> Default for Roll<T> {
    fn default() -> Self {
        Self::Short(Few::default())
    }
}

/// Up to so many a search is as quick as a map.
const LONG: usize = 64;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static COMPARED: Cell<usize> = const { Cell::new(0) };
    }

    /// Counts how often it is compared.
    #[derive(Clone, Copy, Debug, Eq)]
    struct Counted(u32);

    impl PartialEq for Counted {
        fn eq(&self, other: &Self) -> bool {
            COMPARED.set(COMPARED.get() + 1);
            self.0 == other.0
        }
    }

    impl Hash for Counted {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }

    #[test]
    fn one_of_ten_thousand_is_removed_without_a_look_at_the_others() {
        let mut list = Roll::default();
        (0..10_000).for_each(|n| list.push(Counted(n)));
        COMPARED.set(0);
        // Neither from where a walk begins nor from where it ends.
        for n in 4_000..6_000 {
            list.remove(Counted(n));
        }
        let each = COMPARED.get() / 2_000;
        assert!(each < 10, "{each}");
        let mut left: Vec<_> = list.as_slice().iter().map(|it| it.0).collect();
        left.sort_unstable();
        assert!(left.into_iter().eq((0..4_000).chain(6_000..10_000)));
    }

    #[test]
    fn it_is_what_was_put_there_and_not_removed_however_it_grows_and_shrinks() {
        let mut list = Roll::default();
        let mut known = Vec::new();
        let check = |list: &Roll<u32>, known: &[u32]| {
            let mut found = list.as_slice().to_vec();
            found.sort_unstable();
            assert_eq!(found, known);
            assert_eq!(list.is_empty(), known.is_empty());
        };
        for most in [1, 2, LONG, LONG + 1, 3 * LONG] {
            for n in 0..u32::try_from(most).unwrap() {
                list.push(n);
                known.push(n);
                check(&list, &known);
            }
            list.remove(u32::MAX);
            while !known.is_empty() {
                list.remove(known.swap_remove(known.len() / 2));
                known.sort_unstable();
                check(&list, &known);
            }
            assert!(matches!(list, Roll::Short(_)));
        }
    }

    #[test]
    fn what_was_long_once_keeps_no_room_for_those_who_have_left() {
        let mut list = Roll::default();
        (0..100_000).for_each(|n| list.push(n));
        let room = |list: &Roll<u32>| match list {
            Roll::Short(Few::One(_)) => 0,
            Roll::Short(Few::Many(many)) => many.capacity(),
            Roll::Long(long) => long.list.capacity().max(long.places.capacity()),
        };
        for left in [LONG, LONG / 2 - 1] {
            while list.as_slice().len() > left {
                list.remove(list.as_slice()[0]);
            }
            assert!(room(&list) <= 8 * left, "{}", room(&list));
        }
    }

    #[test]
    fn a_short_one_takes_no_more_room_than_a_list() {
        assert_eq!(size_of::<Roll<u32>>(), size_of::<Vec<u32>>());
    }
}
