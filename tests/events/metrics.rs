//! Metrics are due after a record, however often that happens, and what is fetched then includes the record.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hitring::{Event, EventKind, EventSet, Received};

use super::{bus, emit, numbered, rounds, together, wait_until};

#[test]
fn any_number_of_records_is_due_once_and_after_the_events() {
    let bus = bus();
    let listener = bus.listen(EventSet::ALL, 1).expect("a valid capacity");
    let other = bus.listen(EventKind::Pruned.into(), 1).expect("a valid capacity");
    bus.metrics_due();
    emit(&bus, 1);
    bus.metrics_due();
    assert_eq!(listener.try_recv(), Received::Event(numbered(1)), "the event had its place");
    assert_eq!([listener.try_recv(), listener.try_recv()], [Received::MetricsDue, Received::Idle]);
    bus.metrics_due();
    assert_eq!([listener.recv(), listener.try_recv()], [Received::MetricsDue, Received::Idle]);
    assert_eq!(other.try_recv(), Received::Idle, "it does not want metrics");
    assert_eq!(listener.dropped(), 0);
}

#[test]
fn the_last_record_is_always_in_the_last_figures() {
    for _ in 0..rounds(200) {
        let bus = bus();
        let hits = Arc::new(AtomicU64::new(0));
        let (told, calls) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let metrics = {
            let hits = Arc::clone(&hits);
            move || (hits.load(Ordering::Relaxed), 7)
        };
        let callback = {
            let (told, calls) = (Arc::clone(&told), Arc::clone(&calls));
            move |event: &Event| {
                if let Event::MetricsUpdated { total_hits, memory_entries: 7 } = event {
                    told.store(*total_hits, Ordering::Relaxed);
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let _subscription = bus.subscribe(EventKind::MetricsUpdated.into(), 1, metrics, callback).expect("a thread");
        together(2, |_| {
            for _ in 0..100 {
                hits.fetch_add(1, Ordering::Relaxed);
                bus.metrics_due();
            }
        });
        wait_until("the figures of the last record", || told.load(Ordering::Relaxed) == 200);
        assert!(calls.load(Ordering::Relaxed) <= 200);
        assert_eq!(bus.dropped(), 0);
    }
}

#[test]
fn metrics_that_panic_are_counted_and_asked_again() {
    let bus = bus();
    let asked = AtomicU64::new(0);
    let metrics = move || match asked.fetch_add(1, Ordering::Relaxed) {
        0 => std::panic::resume_unwind(Box::new("on purpose")),
        many => (many, 0),
    };
    let told = Arc::new(AtomicU64::new(0));
    let callback = {
        let told = Arc::clone(&told);
        move |event: &Event| {
            if let Event::MetricsUpdated { total_hits, .. } = event {
                told.store(*total_hits, Ordering::Relaxed);
            }
        }
    };
    let subscription = bus.subscribe(EventSet::ALL, 1, metrics, callback).expect("a thread");
    bus.metrics_due();
    wait_until("the panic", || subscription.failed() == 1);
    bus.metrics_due();
    wait_until("the figures", || told.load(Ordering::Relaxed) == 1);
}
