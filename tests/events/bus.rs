//! What a bus hands to its listeners, and what it drops.

use std::sync::Arc;
use std::time::Duration;

use hitring::events::Bus;
use hitring::{Event, EventKind, EventSet, Received, SubscribeError};

use super::{bus, emit, number, numbered, rounds, together};

#[test]
fn an_event_without_a_listener_is_not_made() {
    let bus = bus();
    assert_eq!(bus.watched(), 0);
    bus.emit(EventKind::SnapshotTaken, || unreachable!("nobody listens"));
    let listener = bus.listen(EventKind::Pruned.into(), 4).expect("a valid capacity");
    assert_eq!(bus.watched(), EventKind::Pruned.bit());
    bus.emit(EventKind::SnapshotTaken, || unreachable!("nobody wants it"));
    let pruned = Event::Pruned { endpoint: "a".into(), removed: 3 };
    bus.emit(EventKind::Pruned, || pruned.clone());
    assert_eq!(listener.try_recv(), Received::Event(pruned));
    assert_eq!(listener.try_recv(), Received::Idle);
}

#[test]
fn an_event_is_made_once_and_everyone_who_wants_it_gets_it() {
    let bus = bus();
    let kinds = |kinds: &[EventKind]| EventSet::from_iter(kinds.iter().copied());
    let listeners = [
        (bus.listen(EventSet::ALL, 4), true),
        (bus.listen(kinds(&[EventKind::SnapshotTaken]), 4), true),
        (bus.listen(kinds(&[EventKind::SnapshotRestored, EventKind::Pruned]), 4), false),
        (bus.listen(EventSet::NONE, 4), false),
    ];
    let mut made = 0;
    bus.emit(EventKind::SnapshotTaken, || {
        made += 1;
        numbered(9)
    });
    assert_eq!(made, 1);
    for (listener, wants) in listeners {
        let expected = if wants { Received::Event(numbered(9)) } else { Received::Idle };
        assert_eq!(listener.expect("a valid capacity").try_recv(), expected);
    }
}

#[test]
fn what_is_watched_follows_the_listeners_and_keeps_the_thresholds() {
    let bus = bus();
    let all = bus.listen(EventSet::ALL, 1).expect("a valid capacity");
    bus.thresholds(true);
    let pruned = bus.listen(EventKind::Pruned.into(), 1).expect("a valid capacity");
    assert_eq!(bus.watched(), EventSet::ALL.bits() | Bus::THRESHOLDS);
    all.close();
    assert_eq!(bus.watched(), EventKind::Pruned.bit() | Bus::THRESHOLDS);
    assert_eq!(all.try_recv(), Received::Closed);
    drop(pruned);
    assert_eq!(bus.watched(), Bus::THRESHOLDS);
    bus.thresholds(false);
    assert_eq!(bus.watched(), 0);
}

#[test]
fn a_full_queue_drops_what_comes_last_and_counts_it() {
    let bus = bus();
    let (small, large) = (bus.listen(EventSet::ALL, 3), bus.listen(EventSet::ALL, 100));
    let (small, large) = (small.expect("a valid capacity"), large.expect("a valid capacity"));
    (0..10).for_each(|number| emit(&bus, number));
    assert_eq!((small.dropped(), large.dropped(), bus.dropped()), (7, 0, 7));
    for (listener, there) in [(&small, 3), (&large, 10)] {
        for number in 0..there {
            assert_eq!(listener.try_recv(), Received::Event(numbered(number)));
        }
        assert_eq!(listener.try_recv(), Received::Idle);
    }
    drop(small);
    assert_eq!(bus.dropped(), 7, "what a listener lost is not forgotten with it");
}

#[test]
fn a_capacity_that_is_not_possible_is_refused() {
    let bus = bus();
    for given in [0, (1 << 20) + 1, usize::MAX] {
        let refused = bus.listen(EventSet::ALL, given).map(|_| ());
        assert_eq!(refused, Err(SubscribeError::Capacity { given }));
    }
    assert_eq!(bus.watched(), 0);
}

#[test]
fn each_threads_events_stay_in_order() {
    const THREADS: usize = 4;
    let each = rounds(5_000) as u64;
    let bus = bus();
    let listener = bus.listen(EventSet::ALL, 64).expect("a valid capacity");
    let received = std::thread::scope(|scope| {
        let listener = &listener;
        let receiving = scope.spawn(move || {
            let mut last = [None; THREADS];
            let mut received = 0;
            while let Received::Event(event) = listener.recv() {
                if number(&event) == u64::MAX {
                    break;
                }
                let (thread, number) = ((number(&event) >> 32) as usize, number(&event) & 0xffff_ffff);
                assert!(last[thread] < Some(number), "{number} of thread {thread} after {:?}", last[thread]);
                last[thread] = Some(number);
                received += 1;
            }
            received
        });
        together(THREADS, |thread| (0..each).for_each(|number| emit(&bus, (thread as u64) << 32 | number)));
        // The last event must get a place.
        loop {
            let dropped = listener.dropped();
            emit(&bus, u64::MAX);
            if listener.dropped() == dropped {
                break;
            }
            std::thread::yield_now();
        }
        receiving.join().expect("every event is in order")
    });
    assert!(received > 0);
    assert!(received + listener.dropped() >= each * THREADS as u64, "{received} and {}", listener.dropped());
}

#[test]
fn closing_wakes_a_waiting_thread() {
    let bus = bus();
    let listener = bus.listen(EventSet::ALL, 4).expect("a valid capacity");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| listener.recv());
        std::thread::sleep(Duration::from_millis(5));
        listener.close();
        assert_eq!(waiting.join().expect("no panic"), Received::Closed);
    });
}

#[test]
fn time_out_is_idle() {
    let bus = bus();
    let listener = bus.listen(EventSet::ALL, 4).expect("a valid capacity");
    assert_eq!(listener.recv_timeout(Duration::from_millis(2)), Received::Idle);
    emit(&bus, 1);
    assert_eq!(listener.recv_timeout(Duration::MAX), Received::Event(numbered(1)));
}

#[test]
fn a_dropped_bus_leaves_what_was_sent() {
    let bus = bus();
    let listener = bus.listen(EventSet::ALL, 4).expect("a valid capacity");
    emit(&bus, 1);
    drop(bus);
    assert_eq!(listener.recv(), Received::Event(numbered(1)));
    assert_eq!(listener.recv(), Received::Closed);
}

#[test]
fn listeners_come_and_go_while_events_are_emitted() {
    let bus = bus();
    let steady = bus.listen(EventSet::ALL, 1 << 20).expect("a valid capacity");
    let each = rounds(300) as u64;
    together(4, |thread| {
        for number in 0..each {
            if thread % 2 == 0 {
                emit(&bus, number);
            } else {
                let guest = bus.listen(EventSet::ALL, 2).expect("a valid capacity");
                if number % 2 == 0 {
                    emit(&bus, number);
                    assert!(matches!(guest.try_recv(), Received::Event(_)), "it listened before");
                }
            }
        }
    });
    let received = std::iter::from_fn(|| match steady.try_recv() {
        Received::Event(event) => Some(number(&event)),
        _ => None,
    });
    assert_eq!(received.count() as u64, 2 * each + 2 * each.div_ceil(2), "guests never cost the steady one an event");
    assert_eq!(steady.dropped(), 0);
    assert_eq!(bus.watched(), EventSet::ALL.bits());
    assert_eq!(Arc::strong_count(&bus), 1);
}
