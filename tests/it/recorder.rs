//! A recorder of metrics that can be read back.
#![expect(clippy::unwrap_used, reason = "a helper that fails, fails its test")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{Key as Name, KeyName, Metadata, SharedString, Unit};

/// Keeps the names of counters with what was added to them.
#[derive(Default)]
pub(crate) struct Recorder(Mutex<Vec<Counted>>);

type Counted = (String, Arc<AtomicU64>);

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, name: &Name, _: &Metadata<'_>) -> metrics::Counter {
        let counter = Arc::default();
        self.0
            .lock()
            .unwrap()
            .push((name.to_string(), Arc::clone(&counter)));
        metrics::Counter::from_arc(counter)
    }

    fn register_gauge(&self, _: &Name, _: &Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::noop()
    }

    fn register_histogram(&self, _: &Name, _: &Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

impl Recorder {
    /// The counters with their labels, as they were registered, and what they count.
    pub(crate) fn counted(&self) -> Vec<(String, u64)> {
        let counters = self.0.lock().unwrap();
        let read = |(name, count): &Counted| (name.clone(), count.load(Ordering::Relaxed));
        counters.iter().map(read).collect()
    }
}
