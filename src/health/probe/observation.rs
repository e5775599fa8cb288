//! What a probe saw.

use std::sync::Arc;

use super::error::public_text;

/// What a probe saw of a dependency that answered.
///
/// The time a run took is measured for every probe and need not be reported here.
///
/// ```
/// use bartizan::health::Observation;
///
/// let replica = Observation::new()
///     .value(31.0, "s")
///     .measurement("replicationLag")
///     .warn("the replica lags");
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "an observation is what a probe returns"]
pub struct Observation {
    pub(super) value: Option<f64>,
    pub(super) unit: &'static str,
    pub(super) measurement: Option<&'static str>,
    pub(super) warning: Option<Arc<str>>,
}

impl Observation {
    /// It answered, and there is no more to say.
    pub const fn new() -> Self {
        Self {
            value: None,
            unit: "",
            measurement: None,
            warning: None,
        }
    }

    /// A measured value and its unit (`"ms"`, `"bytes"`, `"percent"`), to which the dependency's
    /// [`warn_above`](super::super::Dependency::warn_above) and
    /// [`fail_above`](super::super::Dependency::fail_above) apply. NaN and infinities are left out.
    pub const fn value(mut self, value: f64, unit: &'static str) -> Self {
        self.value = Some(value);
        self.unit = unit;
        self
    }

    /// What the value measures: `connections`, `utilization` or a word of your own, which becomes
    /// part of the key in the health document. Default: `value`; without a value the key says
    /// `responseTime`.
    pub const fn measurement(mut self, name: &'static str) -> Self {
        self.measurement = Some(name);
        self
    }

    /// It answered, but someone should look. `public` is shown to viewers of details: at most
    /// 256 characters are kept, control characters are dropped.
    pub fn warn(mut self, public: impl AsRef<str>) -> Self {
        self.warning = Some(public_text(public.as_ref()));
        self
    }
}
