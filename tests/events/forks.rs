//! A forked child does not emit to its parent's listeners, does not hang on a lock of its parent, and may listen anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hitring::events::Bus;
use hitring::events::threshold::{Gauge, Thresholds};
use hitring::{EventKind, EventSet, Listener, Received, Subscription, Tick};

use super::{bus, emit, numbered, rounds};
use crate::threads::SetAtEnd;

/// Runs `body` in a forked child and answers the child's status: 0 if `body` answered true within ten seconds.
fn in_child(body: impl FnOnce() -> bool) -> i32 {
    // SAFETY: the child runs `body`, which takes no lock that another thread of the parent may hold but those that are
    // tested and the allocator's, which glibc keeps whole; it leaves by `_exit`, which runs nothing of the parent's.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        // SAFETY: both are always allowed. The alarm ends a child that hangs.
        unsafe {
            libc::alarm(10);
            libc::_exit(i32::from(!body()));
        }
    }
    let mut status = 0;
    // SAFETY: `status` is valid, and the child is ours.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    status
}

/// What a child does with a bus that it inherited.
fn lives_on(bus: Arc<Bus>, listener: Listener, subscription: Option<Subscription>) -> bool {
    bus.emit(EventKind::SnapshotTaken, || unreachable!("nobody listens in the child"));
    bus.metrics_due();
    let closed = listener.recv_timeout(Duration::from_secs(5)) == Received::Closed;
    listener.close();
    drop(listener);
    if let Some(subscription) = &subscription {
        subscription.close();
    }
    drop(subscription);
    let ours = bus.listen(EventSet::ALL, 4).expect("a valid capacity");
    emit(&bus, 5);
    bus.metrics_due();
    let heard = ours.try_recv() == Received::Event(numbered(5)) && ours.try_recv() == Received::MetricsDue;
    drop(ours);
    drop(bus);
    closed && heard
}

#[test]
fn a_child_of_a_busy_parent_hangs_on_nothing() {
    for _ in 0..rounds(40) {
        let bus = bus();
        let listener = bus.listen(EventSet::ALL, 4).expect("a valid capacity");
        let subscription = bus.subscribe(EventSet::ALL, 4, || (0, 0), |_| {}).expect("a thread");
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Acquire) {
                    emit(&bus, 1);
                    bus.metrics_due();
                    drop(bus.listen(EventSet::ALL, 1));
                    let _ = listener.try_recv();
                }
            });
            let _end = SetAtEnd(&stop);
            std::thread::sleep(Duration::from_micros(300));
            // The child owns its copy of everything; the parent's is forgotten in it and used on here.
            // SAFETY: the duplicates are made and dropped in the child alone, which never uses the originals.
            let status = in_child(|| unsafe {
                let bus = std::ptr::read(&raw const bus);
                let (listener, subscription) =
                    (std::ptr::read(&raw const listener), std::ptr::read(&raw const subscription));
                lives_on(bus, listener, Some(subscription))
            });
            assert_eq!(status, 0, "the child failed, or hung (14)");
        });
        assert!(bus.wants(EventKind::SnapshotTaken), "the parent's listeners are still there");
    }
}

#[test]
fn a_parent_hears_nothing_of_its_child() {
    let bus = bus();
    let listener = bus.listen(EventSet::ALL, 4).expect("a valid capacity");
    let status = in_child(|| {
        emit(&bus, 1);
        bus.metrics_due();
        listener.try_recv() == Received::Closed
    });
    assert_eq!(status, 0, "the child failed, or hung (14)");
    assert_eq!(listener.try_recv(), Received::Idle);
    emit(&bus, 2);
    assert_eq!(listener.try_recv(), Received::Event(numbered(2)));
}

/// A count of ten, for ever.
struct Ten;

impl Gauge for Ten {
    fn now(&self) -> Tick {
        Tick(100)
    }

    fn count(&self, _: Tick, _: Duration) -> Option<u64> {
        Some(10)
    }

    fn before(&self, _: Tick, _: Duration) -> Option<u64> {
        Some(10)
    }
}

#[test]
fn a_child_has_no_watches() {
    let thresholds = Thresholds::new();
    thresholds.add("a*", Duration::from_secs(1), 10).expect("a valid watch");
    let endpoint: Arc<str> = "ab".into();
    let status = in_child(|| {
        let inherited = thresholds.matches_any("ab") || !thresholds.is_empty();
        let told = thresholds.check(&endpoint, Tick(100), &Ten).len();
        let own = thresholds.add("ab", Duration::from_secs(1), 10).is_ok();
        !inherited && told == 0 && own && thresholds.check(&endpoint, Tick(100), &Ten).len() == 1
    });
    assert_eq!(status, 0, "the child failed, or hung (14)");
    assert_eq!(thresholds.check(&endpoint, Tick(100), &Ten).len(), 1);
}
