//! One coarse timer wheel for all connections of a shard. Pure.

/// Ticks at which something is due for a slot. Filing and firing are O(1); a slot that was given
/// to another connection meanwhile is told apart by its generation.
#[derive(Debug)]
pub(super) struct Wheel {
    buckets: [Vec<Timer>; BUCKETS as usize],
    now: u32,
}

#[derive(Clone, Copy, Debug)]
struct Timer {
    slot: u32,
    generation: u32,
    due: u32,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self {
            buckets: std::array::from_fn(|_| Vec::new()),
            now: 0,
        }
    }

    /// The last tick that was fired.
    pub(super) fn now(&self) -> u32 {
        self.now
    }

    /// Fires for `slot` at the tick `due`, or at the next one if that has passed.
    pub(super) fn file(&mut self, slot: u32, generation: u32, due: u32) {
        // What lies beyond a turn waits in the farthest bucket, and is filed again from there.
        let within = |ticks| self.now.saturating_add(ticks);
        let bucket = due.clamp(within(1), within(BUCKETS - 1)) % BUCKETS;
        let timer = Timer {
            slot,
            generation,
            due,
        };
        self.buckets[bucket as usize].push(timer);
    }

    /// Moves to the tick `to`, and calls `visit` with slot, generation and tick of what fell due, and of
    /// what waits for another turn of the wheel. It answers when the slot is due (again), or `None`
    /// when the slot is no longer that connection's, which is forgotten with this turn.
    pub(super) fn advance(&mut self, to: u32, mut visit: impl FnMut(u32, u32, u32) -> Option<u32>) {
        // After a suspension of the machine each bucket is visited once.
        let steps = to.saturating_sub(self.now).min(BUCKETS);
        self.now = self.now.max(to);
        for before in to - steps..to {
            let timers = std::mem::take(&mut self.buckets[((before + 1) % BUCKETS) as usize]);
            for Timer {
                slot,
                generation,
                due,
            } in timers
            {
                if let Some(due) = visit(slot, generation, due) {
                    self.file(slot, generation, due);
                }
            }
        }
    }
}

const BUCKETS: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    impl Wheel {
        /// How many timers are filed.
        pub(in crate::event_stream::hub) fn filed(&self) -> usize {
            self.buckets.iter().map(Vec::len).sum()
        }
    }

    fn fired(wheel: &mut Wheel, to: u32) -> Vec<u32> {
        let mut fired = Vec::new();
        wheel.advance(to, |slot, _, due| {
            if due > to {
                return Some(due);
            }
            fired.push(slot);
            None
        });
        fired
    }

    #[test]
    fn each_timer_fires_once_at_its_tick_and_never_before() {
        let mut wheel = Wheel::new();
        for due in [1, 2, 63, 64, 65, 200] {
            wheel.file(due, 0, due);
        }
        for tick in 1..300 {
            let expected: &[u32] = if [1, 2, 63, 64, 65, 200].contains(&tick) {
                &[tick]
            } else {
                &[]
            };
            assert_eq!(fired(&mut wheel, tick), expected, "tick {tick}");
        }
    }

    #[test]
    fn a_jump_fires_all_that_fell_due_and_a_clock_that_stands_fires_nothing() {
        let mut wheel = Wheel::new();
        for due in [3, 70, 5000] {
            wheel.file(due, 0, due);
        }
        assert!(fired(&mut wheel, 0).is_empty());
        let mut late = fired(&mut wheel, 1000);
        late.sort_unstable();
        assert_eq!(late, [3, 70]);
        assert!(fired(&mut wheel, 1000).is_empty());
        assert!(fired(&mut wheel, 900).is_empty());
        assert_eq!(fired(&mut wheel, 6000), [5000]);
    }

    #[test]
    fn what_fires_can_be_due_again_and_a_timer_in_the_past_fires_at_the_next_tick() {
        let mut wheel = Wheel::new();
        wheel.file(1, 7, 0);
        let mut ticks = Vec::new();
        for tick in 1..10 {
            wheel.advance(tick, |_, generation, _| {
                assert_eq!(generation, 7);
                ticks.push(tick);
                Some(tick + 3)
            });
        }
        assert_eq!(ticks, [1, 4, 7]);
    }

    #[test]
    fn the_last_tick_of_all_is_reached_without_a_panic() {
        let mut wheel = Wheel::new();
        wheel.file(1, 0, u32::MAX);
        assert_eq!(fired(&mut wheel, u32::MAX - 1), [0; 0]);
        assert_eq!(fired(&mut wheel, u32::MAX), [1]);
        wheel.file(2, 0, u32::MAX);
        assert_eq!(fired(&mut wheel, u32::MAX), [0; 0]);
    }
}
