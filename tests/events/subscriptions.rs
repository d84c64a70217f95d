//! Callbacks: slow, failing, closing themselves.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};

use hitring::{EventKind, EventSet, Subscription};

use super::{bus, emit, no_metrics, number, rounds, together, wait_until};
use crate::threads::SetAtEnd;

const TAKEN: EventKind = EventKind::SnapshotTaken;

/// A callback that keeps the numbers of its events.
fn kept() -> (Arc<Mutex<Vec<u64>>>, impl FnMut(&hitring::Event) + Send + 'static) {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keeping = Arc::clone(&kept);
    (kept, move |event: &hitring::Event| keeping.lock().expect("not poisoned").push(number(event)))
}

#[test]
fn a_callback_gets_every_event_in_order() {
    let bus = bus();
    let (kept, callback) = kept();
    let subscription = bus.subscribe(TAKEN.into(), 1_000, no_metrics, callback).expect("a thread");
    (0..1_000).for_each(|number| emit(&bus, number));
    wait_until("the last call", || kept.lock().expect("not poisoned").len() == 1_000);
    assert!(kept.lock().expect("not poisoned").iter().copied().eq(0..1_000));
    assert_eq!((subscription.dropped(), subscription.failed()), (0, 0));
}

#[test]
fn a_stuck_callback_does_not_delay_emitters() {
    const CAPACITY: usize = 8;
    let bus = bus();
    let (stuck, is_stuck) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (kept, mut keep) = kept();
    let callback = move |event: &hitring::Event| {
        if number(event) == 0 {
            stuck.send(()).expect("the test waits");
            released.recv().expect("the test releases it");
        }
        keep(event);
    };
    let subscription = bus.subscribe(TAKEN.into(), CAPACITY, no_metrics, callback).expect("a thread");
    emit(&bus, 0);
    is_stuck.recv().expect("the callback is called");
    // These fill the queue.
    (1..=CAPACITY as u64).for_each(|number| emit(&bus, number));
    // Ten times as many, which return although nothing is taken from the queue.
    together(4, |_| (0..CAPACITY as u64 * 10 / 4).for_each(|_| emit(&bus, 99)));
    assert_eq!((subscription.dropped(), bus.dropped()), (CAPACITY as u64 * 10, CAPACITY as u64 * 10));
    release.send(()).expect("the callback waits");
    wait_until("the last call", || kept.lock().expect("not poisoned").len() > CAPACITY);
    subscription.close();
    assert!(kept.lock().expect("not poisoned").iter().copied().eq(0..=CAPACITY as u64));
}

#[test]
fn a_callback_that_panics_is_called_again() {
    let bus = bus();
    let (kept, mut keep) = kept();
    let callback = move |event: &hitring::Event| {
        // Resumed, not raised, so that no hook prints it.
        if number(event).is_multiple_of(3) {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
        keep(event);
    };
    let subscription = bus.subscribe(TAKEN.into(), 100, no_metrics, callback).expect("a thread");
    (0..10).for_each(|number| emit(&bus, number));
    wait_until("the last call", || subscription.failed() == 4);
    assert_eq!(*kept.lock().expect("not poisoned"), [1, 2, 4, 5, 7, 8]);
}

#[test]
fn a_callback_can_end_its_own_subscription() {
    let bus = bus();
    let own: Arc<OnceLock<Subscription>> = Arc::default();
    let calls = Arc::new(AtomicU64::new(0));
    let callback = {
        let (own, calls) = (Arc::clone(&own), Arc::clone(&calls));
        move |_: &hitring::Event| {
            calls.fetch_add(1, Ordering::Relaxed);
            own.wait_for().close();
        }
    };
    let subscription = bus.subscribe(TAKEN.into(), 100, no_metrics, callback).expect("a thread");
    (0..10).for_each(|number| emit(&bus, number));
    assert!(own.set(subscription).is_ok());
    // Waits for the call under way, if there is one.
    wait_until("the first call", || calls.load(Ordering::Relaxed) > 0);
    own.wait_for().close();
    assert_eq!(calls.load(Ordering::Relaxed), 1, "the call that closes is the last");
    assert_eq!(bus.watched(), 0);
}

/// Waits until it is set.
trait WaitFor {
    fn wait_for(&self) -> &Subscription;
}

impl WaitFor for OnceLock<Subscription> {
    fn wait_for(&self) -> &Subscription {
        wait_until("the subscription", || self.get().is_some());
        self.get().expect("it is there")
    }
}

#[test]
fn a_callback_can_drop_its_own_subscription() {
    let bus = bus();
    let dropped = Arc::new(());
    let own: Arc<Mutex<Option<Subscription>>> = Arc::default();
    let callback = {
        let (own, dropped) = (Arc::clone(&own), Arc::clone(&dropped));
        move |_: &hitring::Event| {
            let _ = &dropped;
            drop(own.lock().expect("not poisoned").take());
        }
    };
    let mut place = own.lock().expect("not poisoned");
    *place = Some(bus.subscribe(TAKEN.into(), 100, no_metrics, callback).expect("a thread"));
    drop(place);
    emit(&bus, 1);
    wait_until("the end of the thread", || Arc::strong_count(&dropped) == 1);
    assert_eq!(bus.watched(), 0);
}

#[test]
fn a_closed_subscription_is_not_called() {
    for _ in 0..rounds(50) {
        let bus = bus();
        let closed = Arc::new(AtomicBool::new(false));
        let callback = {
            let closed = Arc::clone(&closed);
            move |_: &hitring::Event| {
                std::thread::yield_now();
                if closed.load(Ordering::Acquire) {
                    // A failed assertion would be caught and counted.
                    std::process::abort();
                }
            }
        };
        let subscription = bus.subscribe(EventSet::ALL, 64, || (0, 0), callback).expect("a thread");
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Acquire) {
                        emit(&bus, 1);
                        bus.metrics_due();
                    }
                });
            }
            let _end = SetAtEnd(&stop);
            std::thread::yield_now();
            // Two at once: both must wait.
            let closing = scope.spawn(|| subscription.close());
            subscription.close();
            closed.store(true, Ordering::Release);
            closing.join().expect("no panic");
        });
        assert_eq!(bus.watched(), 0);
    }
}

#[test]
fn dropping_the_bus_ends_the_thread_after_the_last_event() {
    let bus = bus();
    let (kept, callback) = kept();
    let subscription = bus.subscribe(TAKEN.into(), 1_000, no_metrics, callback).expect("a thread");
    (0..1_000).for_each(|number| emit(&bus, number));
    drop(bus);
    wait_until("the end of the thread", || Arc::strong_count(&kept) == 1);
    assert!(kept.lock().expect("not poisoned").iter().copied().eq(0..1_000));
    drop(subscription);
}
