//! What one run came to: the judgement over an observation, an error, or silence.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Reason, Status};
use super::error::ProbeError;
use super::observation::Observation;

/// The limits that a dependency sets to what its probe observes.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::health) struct Limits {
    pub(in crate::health) warn_above: Option<f64>,
    pub(in crate::health) fail_above: Option<f64>,
    pub(in crate::health) warn_below: Option<f64>,
    pub(in crate::health) fail_below: Option<f64>,
    /// A run that takes longer is a warning by itself.
    pub(in crate::health) slow: Duration,
}

/// One run, judged.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::health) struct Outcome {
    pub(in crate::health) status: Status,
    pub(in crate::health) reason: Option<Reason>,
    /// Shown to viewers of details.
    pub(in crate::health) text: Option<Arc<str>>,
    /// A finite value, its unit, and what it measures.
    pub(in crate::health) observed: Option<(f64, &'static str, &'static str)>,
    /// How long the run took; `None` when it has not ended.
    pub(in crate::health) latency: Option<Duration>,
}

impl Outcome {
    /// A run that came to nothing.
    pub(in crate::health) const fn failed(reason: Reason, latency: Option<Duration>) -> Self {
        Self {
            status: Status::Fail,
            reason: Some(reason),
            text: None,
            observed: None,
            latency,
        }
    }

    /// Judges what a probe returned after `latency`.
    pub(in crate::health) fn judge(
        result: Result<Observation, ProbeError>,
        latency: Duration,
        limits: Limits,
    ) -> Self {
        let seen = match result {
            Ok(seen) => seen,
            Err(error) => {
                let busy = error.reason() == Reason::PoolExhausted;
                return Self {
                    status: if busy { Status::Warn } else { Status::Fail },
                    text: error.public_text().cloned(),
                    ..Self::failed(error.reason(), Some(latency))
                };
            }
        };
        let value = seen.value.filter(|value| value.is_finite());
        let measured = value.unwrap_or(latency.as_secs_f64() * 1000.0);
        let above = |limit: Option<f64>| limit.is_some_and(|limit| measured > limit);
        // What has no value is never too fast.
        let below =
            |limit: Option<f64>| value.zip(limit).is_some_and(|(value, limit)| value < limit);
        let times_itself = value.is_none() && limits.warn_above.is_some();

        let (status, reason) = if above(limits.fail_above) || below(limits.fail_below) {
            (Status::Fail, Some(Reason::Limit))
        } else if above(limits.warn_above) || below(limits.warn_below) {
            (Status::Warn, Some(Reason::Limit))
        } else if seen.warning.is_some() {
            (Status::Warn, Some(Reason::Degraded))
        } else if latency > limits.slow && !times_itself {
            (Status::Warn, Some(Reason::Slow))
        } else {
            (Status::Pass, None)
        };
        Self {
            status,
            reason,
            text: seen.warning,
            observed: value.map(|value| (value, seen.unit, seen.measurement.unwrap_or("value"))),
            latency: Some(latency),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(10);
    const SLOW: Duration = Duration::from_millis(800);

    fn limits(warn: Option<f64>, fail: Option<f64>) -> Limits {
        Limits {
            warn_above: warn,
            fail_above: fail,
            warn_below: None,
            fail_below: None,
            slow: Duration::from_millis(500),
        }
    }

    fn judged(seen: Observation, latency: Duration, limits: Limits) -> (Status, Option<Reason>) {
        let outcome = Outcome::judge(Ok(seen), latency, limits);
        (outcome.status, outcome.reason)
    }

    #[test]
    fn limits_apply_to_the_value_or_else_to_the_time_in_milliseconds() {
        let value = |value| Observation::new().value(value, "percent");
        let both = limits(Some(80.0), Some(95.0));
        assert_eq!(judged(value(80.0), FAST, both), (Status::Pass, None));
        assert_eq!(
            judged(value(80.1), FAST, both),
            (Status::Warn, Some(Reason::Limit))
        );
        assert_eq!(
            judged(value(99.0), FAST, both),
            (Status::Fail, Some(Reason::Limit))
        );
        assert_eq!(
            judged(Observation::new(), SLOW, both),
            (Status::Fail, Some(Reason::Limit))
        );
        let patient = limits(Some(900.0), None);
        assert_eq!(
            judged(Observation::new(), SLOW, patient),
            (Status::Pass, None)
        );
    }

    #[test]
    fn what_runs_out_has_limits_below_it_that_no_quick_answer_breaks() {
        let low = Limits {
            warn_below: Some(20.0),
            fail_below: Some(5.0),
            ..limits(None, None)
        };
        let left = |value| Observation::new().value(value, "bytes");
        assert_eq!(judged(left(20.0), FAST, low), (Status::Pass, None));
        let limit = Some(Reason::Limit);
        assert_eq!(judged(left(19.0), FAST, low), (Status::Warn, limit));
        assert_eq!(judged(left(4.0), FAST, low), (Status::Fail, limit));
        assert_eq!(judged(left(f64::NAN), FAST, low), (Status::Pass, None));
        assert_eq!(
            judged(Observation::new(), Duration::ZERO, low),
            (Status::Pass, None)
        );
    }

    #[test]
    fn slow_is_a_warning_without_any_limit() {
        let none = limits(None, None);
        assert_eq!(judged(Observation::new(), FAST, none), (Status::Pass, None));
        assert_eq!(
            judged(Observation::new(), SLOW, none),
            (Status::Warn, Some(Reason::Slow))
        );
    }

    #[test]
    fn an_exhausted_pool_is_a_warning_since_busy_is_not_broken() {
        for (reason, status) in [
            (Reason::PoolExhausted, Status::Warn),
            (Reason::Timeout, Status::Fail),
        ] {
            let result = Err(ProbeError::new(reason));
            let outcome = Outcome::judge(result, FAST, limits(None, None));
            assert_eq!((outcome.status, outcome.reason), (status, Some(reason)));
        }
    }

    #[test]
    fn a_value_that_is_no_number_is_left_out_and_breaks_no_limit() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let seen = Observation::new().value(value, "x");
            let outcome = Outcome::judge(Ok(seen), FAST, limits(Some(80.0), Some(95.0)));
            assert_eq!((outcome.status, outcome.observed), (Status::Pass, None));
        }
    }
}
