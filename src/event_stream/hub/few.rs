//! A list that mostly holds one. Pure.

/// A list whose first element needs no allocation: most names have one connection behind them.
#[derive(Debug)]
pub(super) enum Few<T> {
    One(T),
    Many(Vec<T>),
}

impl<T: Copy + PartialEq> Few<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    pub(super) fn push(&mut self, value: T) {
        match self {
            Self::One(one) => *self = Self::Many(vec![*one, value]),
            Self::Many(many) if many.is_empty() => *self = Self::One(value),
            Self::Many(many) => many.push(value),
        }
    }

    /// Removes the element at `at`, which is there; the last one takes its place.
    pub(super) fn swap_remove(&mut self, at: usize) {
        match self {
            Self::One(_) => *self = Self::default(),
            Self::Many(many) => {
                many.swap_remove(at);
                // What was large once is not kept for few.
                if many.len() < many.capacity() / 4 {
                    many.shrink_to(many.len() * 2);
                }
            }
        }
    }

    /// Removes `value`, if it is there, after a search for it.
    pub(super) fn remove(&mut self, value: T) {
        if let Some(at) = self.as_slice().iter().position(|known| *known == value) {
            self.swap_remove(at);
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}
