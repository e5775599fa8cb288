//! Hysteresis: how many results in a row it takes to change one's mind.
//!
//! A state is entered when the last `fall` results were all at least that bad, and left when the last
//! `rise` were all better. Results that are not in a row never add up: three failures spread over a
//! week are three blips.

use super::{Reason, Status};

/// The confirmed state of one dependency, and the streaks that may change it.
#[derive(Clone, Debug)]
pub(super) struct Track {
    fall: u32,
    rise: u32,
    state: Option<Status>,
    /// The reason of the last result that was as bad as the state.
    reason: Option<Reason>,
    /// It has been up once: before that, the first good result counts at once.
    been_up: bool,
    /// How many of the last results in a row failed, did not pass, passed, did not fail.
    failing: u32,
    not_passing: u32,
    passing: u32,
    not_failing: u32,
}

impl Track {
    pub(super) const fn new(fall: u32, rise: u32) -> Self {
        Self {
            fall,
            rise,
            state: None,
            reason: None,
            been_up: false,
            failing: 0,
            not_passing: 0,
            passing: 0,
            not_failing: 0,
        }
    }

    /// The confirmed state; `None` before the first result.
    pub(super) const fn state(&self) -> Option<Status> {
        self.state
    }

    /// Why the state is not `pass`.
    pub(super) const fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// Failures in a row, whether or not they have changed the state.
    pub(super) const fn failures(&self) -> u32 {
        self.failing
    }

    /// It has begun to fail, and it is too early to tell.
    pub(super) fn is_suspect(&self) -> bool {
        self.failing > 0 && self.state != Some(Status::Fail)
    }

    /// Takes one result. With `held`, a failure is counted but does not change the state yet:
    /// something below is suspect, and what rests on it must not be blamed first. That holds for as
    /// many results again as it takes to fall, lest a parent that flaps hide a child that is down.
    ///
    /// Returns whether the state or its reason changed.
    pub(super) fn record(&mut self, status: Status, reason: Option<Reason>, held: bool) -> bool {
        let streak = |run: &mut u32, goes_on: bool| {
            *run = if goes_on { run.saturating_add(1) } else { 0 };
        };
        streak(&mut self.failing, status == Status::Fail);
        streak(&mut self.not_passing, status != Status::Pass);
        streak(&mut self.passing, status == Status::Pass);
        streak(&mut self.not_failing, status != Status::Fail);

        let before = (self.state, self.reason);
        let next = self.next(status);
        let held = held && self.failing < self.fall.saturating_mul(2);
        if !(held && next == Status::Fail) {
            self.state = Some(next);
        }
        self.been_up |= status != Status::Fail;
        if self.state == Some(Status::Pass) {
            self.reason = None;
        } else if self.state == Some(status) {
            self.reason = reason;
        }
        (self.state, self.reason) != before
    }

    fn next(&self, last: Status) -> Status {
        let Some(state) = self.state else {
            return last;
        };
        if !self.been_up && last != Status::Fail {
            return last;
        }
        if self.failing >= self.fall {
            Status::Fail
        } else if self.passing >= self.rise {
            Status::Pass
        } else {
            match state {
                Status::Pass if self.not_passing >= self.fall => Status::Warn,
                Status::Fail if self.not_failing >= self.rise => Status::Warn,
                state => state,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Status::{Fail, Pass, Warn};

    fn states(track: &mut Track, results: &[Status]) -> Vec<Status> {
        results
            .iter()
            .map(|result| {
                track.record(*result, None, false);
                track.state().unwrap()
            })
            .collect()
    }

    #[test]
    fn flapping_below_the_threshold_never_changes_the_state() {
        let mut two = Track::new(2, 2);
        assert_eq!(
            states(&mut two, &[Pass, Fail, Pass, Fail, Pass, Fail]),
            [Pass; 6]
        );
        let mut three = Track::new(3, 2);
        assert_eq!(
            states(&mut three, &[Pass, Fail, Fail, Pass, Fail, Fail, Pass]),
            [Pass; 7]
        );
    }

    #[test]
    fn it_takes_fall_failures_down_and_rise_successes_up() {
        let mut track = Track::new(2, 3);
        assert_eq!(
            states(&mut track, &[Pass, Fail, Fail, Pass, Pass, Pass]),
            [Pass, Pass, Fail, Fail, Fail, Pass]
        );
    }

    #[test]
    fn the_first_result_counts_at_once_and_so_does_the_first_success() {
        let mut track = Track::new(3, 3);
        assert_eq!(
            states(&mut track, &[Fail, Pass, Fail, Fail]),
            [Fail, Pass, Pass, Pass]
        );
    }

    #[test]
    fn a_mixed_streak_goes_no_further_than_all_of_it_supports() {
        let mut track = Track::new(2, 2);
        assert_eq!(
            states(&mut track, &[Pass, Warn, Fail, Fail, Warn, Pass, Pass]),
            [Pass, Pass, Warn, Fail, Fail, Warn, Pass]
        );
    }

    #[test]
    fn a_held_failure_is_counted_but_not_believed() {
        let mut track = Track::new(2, 2);
        track.record(Pass, None, false);
        track.record(Fail, Some(Reason::Refused), false);
        assert!(!track.record(Fail, Some(Reason::Refused), true));
        assert_eq!(track.state(), Some(Pass));
        assert!(track.is_suspect());
        assert!(!track.record(Fail, Some(Reason::Refused), true));
        assert!(
            track.record(Fail, Some(Reason::Reset), true),
            "not for ever"
        );
        assert_eq!(track.reason(), Some(Reason::Reset));
    }

    proptest! {
        /// Against the definition, spelled out over the whole history.
        #[test]
        fn the_state_is_what_the_last_results_support(
            results in prop::collection::vec(prop::sample::select(vec![Pass, Warn, Fail]), 1..60),
            fall in 1_u32..4,
            rise in 1_u32..4,
        ) {
            let mut track = Track::new(fall, rise);
            for end in 1..=results.len() {
                let before = track.state();
                track.record(results[end - 1], None, false);
                let last = |n: u32, ok: &dyn Fn(Status) -> bool| {
                    end >= n as usize && results[end - n as usize..end].iter().all(|s| ok(*s))
                };
                match (before, track.state().unwrap()) {
                    (None, state) => prop_assert_eq!(state, results[0]),
                    (Some(was), is) if is > was => prop_assert!(last(fall, &|s| s >= is)),
                    (Some(was), is) if is < was => prop_assert!(
                        last(rise, &|s| s <= is) || results[..end - 1].iter().all(|s| *s == Fail)
                    ),
                    (Some(_), is) => {
                        prop_assert!(is == Fail || !last(fall, &|s| s == Fail));
                        prop_assert!(is == Pass || !last(rise, &|s| s == Pass));
                    }
                }
            }
        }
    }
}
