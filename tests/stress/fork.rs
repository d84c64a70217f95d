//! A forked child counts on in its own copy, and its hits can be had back exactly, or not at all.

use std::io::{Read, Write};
use std::os::fd::FromRawFd;

use hitring::{HitCounter, Snapshot, SnapshotError};

use super::{MINUTE, STRATEGIES, at};

/// Forks, lets the child count seven hits, and answers the child's snapshot.
fn of_child(counter: &HitCounter, reset: bool) -> Snapshot {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for both ends.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: the child uses only what it owns and leaves by `_exit`, which runs nothing of the parent's.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        if reset {
            counter.reset();
        }
        for _ in 0..7 {
            let _ = counter.record_at(at(1_001), 1);
        }
        // SAFETY: the write end is this function's alone.
        let mut pipe = unsafe { std::fs::File::from_raw_fd(ends[1]) };
        let written = pipe.write_all(&counter.snapshot().to_bytes());
        drop(pipe);
        // SAFETY: always allowed.
        unsafe { libc::_exit(i32::from(written.is_err())) };
    }
    // SAFETY: the write end is closed once, here; the read end is this function's alone.
    unsafe { libc::close(ends[1]) };
    let mut bytes = Vec::new();
    // SAFETY: as above.
    let mut pipe = unsafe { std::fs::File::from_raw_fd(ends[0]) };
    pipe.read_to_end(&mut bytes).expect("the pipe can be read");
    let mut status = 0;
    // SAFETY: `status` is valid, and the child is ours.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child failed");
    Snapshot::from_bytes(&bytes).expect("the child wrote a snapshot")
}

#[test]
fn a_child_counts_on_by_itself() {
    for strategy in STRATEGIES {
        let counter =
            HitCounter::builder().window(MINUTE).strategy(strategy.clone()).build().expect("a valid geometry");
        assert!(counter.record_at(at(1_000), 3).is_counted());
        let child = of_child(&counter, false);
        assert_eq!(child.hits(), 10, "{strategy}");
        assert_eq!(counter.count_at(at(1_001), MINUTE), Ok(3), "{strategy}: the parent has not changed");
        assert_eq!(counter.merge(&child), Err(SnapshotError::Forked), "{strategy}");
        assert_eq!(counter.count_at(at(1_001), MINUTE), Ok(3), "{strategy}");
        let fresh = HitCounter::builder().window(MINUTE).strategy(strategy.clone()).build().expect("a valid geometry");
        fresh.merge(&child).expect("a counter that has none of these hits takes them");
        assert_eq!(fresh.count_at(at(1_001), MINUTE), Ok(10), "{strategy}");
        assert_eq!(fresh.merge(&counter.snapshot()), Err(SnapshotError::Forked), "{strategy}");
    }
}

#[test]
fn a_child_that_begins_anew_can_be_merged() {
    for strategy in STRATEGIES {
        let counter =
            HitCounter::builder().window(MINUTE).strategy(strategy.clone()).build().expect("a valid geometry");
        assert!(counter.record_at(at(1_000), 3).is_counted());
        let child = of_child(&counter, true);
        assert_eq!(child.hits(), 7, "{strategy}");
        counter.merge(&child).expect("hits of the child alone");
        counter.merge(&child).expect("the same again");
        assert_eq!(counter.count_at(at(1_001), MINUTE), Ok(10), "{strategy}");
    }
}
