//! Threads that come and go: stripes are handed over with their hits, and there are no more of them than threads at once.

use std::cell::RefCell;
use std::sync::Arc;

use hitring::{HitCounter, Strategy};

use super::{MINUTE, at, rounds, together};

fn striped() -> HitCounter {
    HitCounter::builder().window(MINUTE).strategy(Strategy::Striped).build().expect("a valid geometry")
}

#[test]
fn short_lived_threads_lose_nothing_and_leave_no_stripes_behind() {
    let counter = striped();
    assert!(counter.record_at(at(1_000), 1).is_counted());
    let one = counter.memory_bytes();
    let rounds = rounds(200) as u64;
    for _ in 0..rounds {
        together(4, |_| {
            for _ in 0..10 {
                assert!(counter.record_at(at(1_000), 1).is_counted());
            }
        });
    }
    assert_eq!(counter.count_at(at(1_000), MINUTE), Ok(1 + rounds * 4 * 10));
    // Other tests of this process have threads too, but by far not one for each of these.
    assert!(counter.memory_bytes() < 100 * one, "{} bytes after one stripe had {one}", counter.memory_bytes());
}

#[test]
fn more_threads_at_once_than_the_near_table_has_places() {
    let counter = striped();
    together(50, |_| {
        for _ in 0..100 {
            assert!(counter.record_at(at(1_000), 1).is_counted());
        }
        assert!(counter.count_at(at(1_000), MINUTE).expect("nothing is gone") >= 100);
    });
    assert_eq!(counter.count_at(at(1_000), MINUTE), Ok(5_000));
    assert_eq!(counter.count_at(at(1_000), MINUTE), Ok(5_000));
}

struct AtTheEnd(Arc<HitCounter>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        assert!(self.0.record_at(at(1_000), 1).is_counted());
    }
}

thread_local! {
    static AT_THE_END: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
}

/// Whichever local is destroyed first, the thread's id or the one that records, the hit is counted.
#[test]
fn a_hit_from_the_destructor_of_a_thread_local_is_counted() {
    let counter = Arc::new(striped());
    for before in [true, false] {
        for _ in 0..20 {
            let counter = Arc::clone(&counter);
            std::thread::spawn(move || {
                if before {
                    assert!(counter.record_at(at(1_000), 1).is_counted());
                }
                AT_THE_END.with(|slot| *slot.borrow_mut() = Some(AtTheEnd(Arc::clone(&counter))));
                if !before {
                    assert!(counter.record_at(at(1_000), 1).is_counted());
                }
            })
            .join()
            .expect("the thread does not panic");
        }
    }
    assert_eq!(counter.count_at(at(1_000), MINUTE), Ok(80));
    assert_eq!(counter.count_at(at(1_001), MINUTE), Ok(80));
}
