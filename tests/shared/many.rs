//! Very many processes at one file, and forks among threads that count.

use std::sync::atomic::{AtomicBool, Ordering};

use hitring::{Outcome, SharedRegistry};

use super::exchange::alone;
use super::processes::{fork, wait};
use super::{Folder, MINUTE, small};
use crate::threads::SetAtEnd;

#[test]
fn two_hundred_processes_count_in_one_file() {
    const PROCESSES: u64 = 200;
    const EACH: u64 = 50;
    let folder = Folder::new();
    let path = folder.file("hits.ring");
    let builder = || small().max_endpoints(1_000).window(MINUTE * 10);
    let count = |number: u64| {
        // The first process makes it.
        let registry = builder().create(&path).expect("it can be made or opened");
        let rate = "100/hour".parse().expect("a rate");
        let limiter = registry.limiter("all", rate, None).expect("there is room");
        let allowed = (0..EACH).filter(|turn| {
            assert_eq!(registry.record_hit("/all", 1), Ok(Outcome::Counted));
            assert_eq!(
                registry.record_visit(&format!("/{}", turn % 10), number.to_le_bytes(), 2),
                Ok(Outcome::Counted)
            );
            limiter.allow("one", 1).allowed
        });
        let allowed = allowed.count() as u64;
        assert_eq!(registry.record_hit("/allowed", allowed), Ok(Outcome::Counted));
        assert_eq!(registry.record_hit(&format!("/own/{number}"), 1), Ok(Outcome::Counted));
    };
    let children: Vec<_> = (0..PROCESSES).map(|number| fork(move || count(number))).collect();
    children.into_iter().for_each(|child| assert_eq!(wait(child), 0));
    let registry = SharedRegistry::open(&path).expect("it is whole");
    let hits = |name: &str| registry.query_hits(name, MINUTE * 10).map(u64::from).expect("known");
    assert_eq!((hits("/all"), registry.total_ever("/all")), (PROCESSES * EACH, PROCESSES * EACH));
    assert_eq!((hits("/allowed"), hits("/3")), (100, PROCESSES * EACH / 10 * 2));
    assert!((0..PROCESSES).all(|number| hits(&format!("/own/{number}")) == 1));
    assert!((190..=210).contains(&registry.uniques_ever("/3").expect("there is room")));
    assert_eq!(registry.len() as u64, 12 + PROCESSES);
    assert_eq!(registry.metrics().total_hits, PROCESSES * EACH * 3 + 100 + PROCESSES);
}

#[test]
fn forks_beside_counting_threads_lose_no_hit_and_do_not_stop_a_thread() {
    alone(|| {
        const CHILDREN: u64 = 60;
        const EACH: u64 = 20;
        // By the system's clock: that of the tests has a lock, which a fork may find taken.
        let folder = Folder::new();
        let made = small().create(folder.file("hits.ring")).expect("it can be made");
        let done = AtomicBool::new(false);
        let work = |name: &str| -> u64 {
            let handle = made.counter(name).expect("there is room");
            let mut counted = 0;
            while !done.load(Ordering::Acquire) {
                assert_eq!(handle.record(1), Outcome::Counted);
                assert_eq!(made.record_hit("/all", 1), Ok(Outcome::Counted));
                let _ = made.total(MINUTE).expect("known");
                // Handles come and go beside the forks.
                drop(SharedRegistry::open(made.path()).expect("it is whole"));
                counted += 1;
            }
            counted
        };
        let counted: u64 = std::thread::scope(|scope| {
            let threads = ["/one", "/two"].map(|name| scope.spawn(move || work(name)));
            let end = SetAtEnd(&done);
            for _ in 0..CHILDREN {
                let child = fork(|| {
                    for _ in 0..EACH {
                        assert_eq!(made.record_hit("/all", 1), Ok(Outcome::Counted));
                    }
                    // The child has the file open too, so neither process is alone with it.
                    assert!(made.restore(&made.snapshot()).is_err());
                });
                assert_eq!(wait(child), 0);
            }
            drop(end);
            threads.into_iter().map(|thread| thread.join().expect("it ends")).sum()
        });
        assert!(counted > 0);
        assert_eq!(made.query_hits("/all", MINUTE).map(u64::from), Ok(counted + CHILDREN * EACH));
        assert_eq!(made.total_ever("/one") + made.total_ever("/two"), counted);
        // All children are gone.
        made.restore(&made.snapshot()).expect("it is alone");
    });
}
