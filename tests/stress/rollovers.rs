//! Hits, queries and resets around rollovers: nothing is lost, nothing is invented, nothing goes down.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{MINUTE, STRATEGIES, at, rounds, together, used};

/// Threads cross the same ticks together, each tick for the first time in its slot's lap.
#[test]
fn no_hit_is_lost_or_invented_at_rollovers() {
    for strategy in STRATEGIES {
        for round in 0..rounds(40) as u64 {
            let counter = used(strategy.clone());
            let start = counter.slots() as u64 * (round % 3 + 1);
            together(4, |thread| {
                for second in start..start + 60 {
                    for _ in 0..20 {
                        assert!(counter.record_at(at(second), 1 + thread as u64).is_counted());
                    }
                }
            });
            let each = 20 * (1 + 2 + 3 + 4);
            for second in start..start + 60 {
                let count = counter.count_at(at(second), MINUTE / 60);
                assert_eq!(count, Ok(each), "{strategy} second {second} of {start}");
            }
            assert_eq!(counter.count_at(at(start + 59), MINUTE), Ok(60 * each), "{strategy}");
            assert_eq!(counter.outcomes().counted, counter.slots() as u64 * 1_000 + 60 * each, "{strategy}");
        }
    }
}

/// Readers that remember and readers that only look, beside hits into the tick that is open and the one before.
#[test]
fn answers_for_one_time_never_go_down_and_stay_between_begun_and_returned() {
    for strategy in STRATEGIES {
        for _ in 0..rounds(15) {
            let counter = used(strategy.clone());
            let start = counter.slots() as u64 * 2;
            let (begun, returned, done) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
            together(4, |thread| {
                if thread < 2 {
                    for second in start..start + 15 {
                        for hit in 0..200 {
                            begun.fetch_add(1, Ordering::SeqCst);
                            assert!(counter.record_at(at(second - hit % 2), 1).is_counted());
                            returned.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                let mut now = start;
                let mut last = 0;
                while done.load(Ordering::SeqCst) < 2 {
                    let least = returned.load(Ordering::SeqCst);
                    let count = counter.count_at(at(now), MINUTE).expect("nothing of the last minute is gone");
                    let most = begun.load(Ordering::SeqCst);
                    assert!(last <= count && count <= most, "{strategy}: {last} <= {count} <= {most}");
                    if thread == 3 {
                        // This one asks about the end, so that it sees all there are.
                        assert!(now < start + 15 || least <= count, "{strategy}: {least} <= {count}");
                    }
                    last = count;
                    now = (now + 1).min(start + 15 + thread as u64);
                }
            });
            let all = counter.count_at(at(start + 20), MINUTE);
            assert_eq!(all, Ok(2 * 15 * 200), "{strategy}");
        }
    }
}

/// Resets beside writers: what returned before a reset is gone, what begins after it stays.
#[test]
fn a_reset_drops_what_was_before_and_keeps_what_comes_after() {
    for strategy in STRATEGIES {
        for _ in 0..rounds(60) {
            let counter = used(strategy.clone());
            let start = counter.slots() as u64 * 2;
            for _ in 0..50 {
                assert!(counter.record_at(at(start), 1).is_counted());
            }
            let reset = AtomicBool::new(false);
            let after: u64 = together(3, |thread| {
                if thread == 0 {
                    counter.reset();
                    reset.store(true, Ordering::SeqCst);
                    return 0;
                }
                let mut after = 0;
                for _ in 0..300 {
                    let begins_after = reset.load(Ordering::SeqCst);
                    assert!(counter.record_at(at(start), 1).is_counted());
                    after += u64::from(begins_after);
                }
                after
            })
            .into_iter()
            .sum();
            let count = counter.count_at(at(start), MINUTE).expect("nothing is gone");
            assert!((after..=600).contains(&count), "{strategy}: {after} <= {count} <= 600");
            let counted = counter.outcomes().counted;
            assert_eq!(counted, counter.slots() as u64 * 1_000 + 50 + 600, "{strategy}");
        }
    }
}
