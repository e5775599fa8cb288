//! What reaches a log and a recorder, and that nothing is needed for either.

use super::*;

#[test]
fn an_event_type_checks_its_fields_whatever_is_listening() {
    let policy = String::from("api");
    emit!(warn, { policy = policy, count = 3 }, "text");
    emit!(trace, {}, "text");
    assert_eq!(policy, "api");
}

#[test]
fn counters_and_gauges_work_without_a_recorder_and_print_no_value() {
    let (counter, gauge) = (
        Counter::new("c", &[("policy", "api")]),
        Gauge::new("g", &[]),
    );
    counter.clone().add(u64::MAX);
    counter.add(1);
    gauge.set(f64::NAN);
    assert_eq!(
        format!("{counter:?} {gauge:?}"),
        "Counter { .. } Gauge { .. }"
    );
}

#[cfg(feature = "metrics")]
mod recorder {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use metrics::{Key, KeyName, Metadata, SharedString, Unit};

    use super::*;

    /// Registers one counter and one gauge under the names and labels that are expected.
    #[derive(Default)]
    struct Recorder {
        counter: Arc<AtomicU64>,
        gauge: Arc<AtomicU64>,
    }

    impl metrics::Recorder for Recorder {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> metrics::Counter {
            assert_eq!(key.to_string(), "Key(rejected_total, [policy = api])");
            metrics::Counter::from_arc(Arc::clone(&self.counter))
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> metrics::Gauge {
            assert_eq!(key.to_string(), "Key(connections)");
            metrics::Gauge::from_arc(Arc::clone(&self.gauge))
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> metrics::Histogram {
            metrics::Histogram::noop()
        }
    }

    #[test]
    fn a_handle_is_registered_once_and_keeps_counting() {
        let recorder = Recorder::default();
        let (counter, gauge) = metrics::with_local_recorder(&recorder, || {
            let counter = Counter::new("rejected_total", &[("policy", "api")]);
            (counter, Gauge::new("connections", &[]))
        });
        counter.add(2);
        counter.clone().add(3);
        gauge.set(1.5);
        assert_eq!(recorder.counter.load(Ordering::Relaxed), 5);
        let bits = recorder.gauge.load(Ordering::Relaxed);
        assert_eq!(f64::from_bits(bits).to_bits(), 1.5_f64.to_bits());
    }
}
