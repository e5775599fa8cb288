//! The shim over `tracing` and `metrics`, so that no call site carries a cfg.
//!
//! Log fields and metric labels are names that the host chose (a policy, a dependency), never keys,
//! addresses or anything a peer sent; what is worth knowing while debugging goes out at `trace`.
#![allow(
    dead_code,
    unused_macros,
    reason = "each room can be built alone and uses its part"
)]

/// Logs an event under the target `bartizan`: `emit!(warn, { policy = name }, "text")`.
///
/// Without the feature `tracing` the fields are still type-checked, and nothing is done.
#[cfg(feature = "tracing")]
macro_rules! emit {
    ($level:ident, { $($field:ident = $value:expr),* $(,)? }, $message:literal) => {
        ::tracing::$level!(target: "bartizan", $($field = %$value,)* $message)
    };
}

#[cfg(not(feature = "tracing"))]
macro_rules! emit {
    ($level:ident, { $($field:ident = $value:expr),* $(,)? }, $message:literal) => {{
        if false {
            $(let _: &dyn ::std::fmt::Display = &$value;)*
        }
    }};
}

#[allow(unused_imports, reason = "a build without any room has nothing to log")]
pub(crate) use emit;

/// A counter of the `metrics` facade, or nothing without the feature.
///
/// It is registered once, when a layer or a service is built: install the recorder before.
#[derive(Clone)]
pub(crate) struct Counter {
    #[cfg(feature = "metrics")]
    inner: metrics::Counter,
}

impl Counter {
    /// Registers the counter `name` with labels that are names, never keys.
    pub(crate) fn new(name: &'static str, labels: &[(&'static str, &str)]) -> Self {
        #[cfg(feature = "metrics")]
        {
            Self {
                inner: metrics::counter!(name, owned(labels)),
            }
        }
        #[cfg(not(feature = "metrics"))]
        {
            let _ = (name, labels);
            Self {}
        }
    }

    /// Adds `by`.
    pub(crate) fn add(&self, by: u64) {
        #[cfg(feature = "metrics")]
        self.inner.increment(by);
        #[cfg(not(feature = "metrics"))]
        let _ = by;
    }
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counter").finish_non_exhaustive()
    }
}

/// A gauge of the `metrics` facade, or nothing without the feature.
#[derive(Clone)]
pub(crate) struct Gauge {
    #[cfg(feature = "metrics")]
    inner: metrics::Gauge,
}

impl Gauge {
    /// Registers the gauge `name` with labels that are names, never keys.
    pub(crate) fn new(name: &'static str, labels: &[(&'static str, &str)]) -> Self {
        #[cfg(feature = "metrics")]
        {
            Self {
                inner: metrics::gauge!(name, owned(labels)),
            }
        }
        #[cfg(not(feature = "metrics"))]
        {
            let _ = (name, labels);
            Self {}
        }
    }

    /// Sets the gauge.
    pub(crate) fn set(&self, value: f64) {
        #[cfg(feature = "metrics")]
        self.inner.set(value);
        #[cfg(not(feature = "metrics"))]
        let _ = value;
    }
}

impl std::fmt::Debug for Gauge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gauge").finish_non_exhaustive()
    }
}

#[cfg(feature = "metrics")]
fn owned(labels: &[(&'static str, &str)]) -> Vec<metrics::Label> {
    labels
        .iter()
        .map(|(label, value)| metrics::Label::new(*label, (*value).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests;
