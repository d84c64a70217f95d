//! Limits in shared words: threads that want more than there is and more keys than there is room for, and processes that are
//! killed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hitring::WhenKeysFull;
use hitring::limit::shared::{Answer, By, SharedKeys, SharedPlan};

use super::rate;
use crate::threads::{rounds, together};

const MILLI: u64 = 1_000_000;

fn words(slots: usize) -> Vec<AtomicU64> {
    (0..slots * 16).map(|_| AtomicU64::new(0)).collect()
}

/// A sliding window, a log if the limit is small, and a bucket.
fn plans(limit: u64) -> [SharedPlan; 3] {
    let plans = [
        SharedPlan::sliding(rate(limit, 10), 10, 0),
        SharedPlan::new(rate(limit, 20), None, 0),
        SharedPlan::new(rate(limit, 10), Some(limit), 0),
    ];
    plans.map(|plan| plan.expect("it fits"))
}

fn hash(plan: usize, key: u64) -> u64 {
    let mixed = (key << 8 | plan as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn ask(words: &[AtomicU64], plans: &[SharedPlan; 3], which: usize, key: u64, now: u64, cost: u64) -> Answer {
    let keys = SharedKeys::new(words).expect("there are slots");
    keys.decide(&By::only(&plans[which]), hash(which, key), now, cost, WhenKeysFull::Refuse).expect("it never changes")
}

#[test]
fn threads_get_the_limit_of_each_key_and_not_one_more() {
    const LIMIT: u64 = 20;
    let plans = plans(LIMIT);
    for round in 0..rounds(60) {
        // All keys are new, there is room for less than half of them, and every thread wants each at the same time.
        let (words, now) = (words(24), round as u64 * MILLI);
        let allowed: [[AtomicU64; 20]; 3] = Default::default();
        let lacked = AtomicU64::new(0);
        together(4, |_| {
            for turn in 0..60 * (LIMIT + 1) {
                let (which, key) = (turn as usize % 3, turn / 3 % 20);
                let answer = ask(&words, &plans, which, key, now, 1);
                allowed[which][key as usize].fetch_add(answer.decision.allowed.into(), Ordering::Relaxed);
                lacked.fetch_add(answer.lacked_room.into(), Ordering::Relaxed);
            }
        });
        let all: Vec<u64> = allowed.iter().flatten().map(|allowed| allowed.load(Ordering::Relaxed)).collect();
        assert!(all.iter().all(|&allowed| allowed <= LIMIT), "{all:?}");
        assert!(lacked.into_inner() > 0);
        // No slot is lost on the way.
        let keys = SharedKeys::new(&words).expect("there are slots");
        assert_eq!(keys.len(now), all.iter().filter(|&&allowed| allowed > 0).count());
        assert!(keys.len(now) >= 23, "{}", keys.len(now));
    }
}

/// Time goes on while keys take each other's slots. Every cost that was let through is written down with the time that it was
/// asked for; it counts as of then, or of a time that some thread had before it was answered.
#[test]
fn keys_that_take_each_others_slots_keep_their_limits() {
    const LIMIT: u64 = 5;
    let (plans, words, time) = (plans(LIMIT), words(5), AtomicU64::new(0));
    let logs = together(4, |thread| {
        let mut log: HashMap<(usize, u64), Vec<(u64, u64)>> = HashMap::new();
        for turn in 0..rounds(60_000) as u64 {
            let now = time.fetch_add(7 * MILLI, Ordering::Relaxed);
            // Each key comes for a while, and then not for some of its windows.
            let (which, key) = ((turn / 64) as usize % 3, now / (6_000 * MILLI) % 7 + (turn + thread as u64) % 2);
            if ask(&words, &plans, which, key, now, 1).decision.allowed {
                log.entry((which, key)).or_default().push((now, time.load(Ordering::Relaxed)));
            }
        }
        log
    });
    let mut all: HashMap<(usize, u64), Vec<(u64, u64)>> = HashMap::new();
    logs.into_iter().flatten().for_each(|(key, log)| all.entry(key).or_default().extend(log));
    assert!(all.len() >= 20, "{}", all.len());
    for ((which, key), mut log) in all {
        log.sort_unstable();
        let window = [10_000, 20_000, 10_000][which] * MILLI;
        // Whatever was asked for and answered within a window counts in it. A bucket also has its burst.
        let most = if which == 2 { 2 * LIMIT } else { LIMIT };
        for &(from, _) in &log {
            let within = log.iter().filter(|&&(asked, answered)| asked >= from && answered < from + window).count();
            assert!(within as u64 <= most, "plan {which}, key {key}: {within} from {from}");
        }
    }
}

/// Processes that share words; they are stopped and killed wherever they are, and new ones come.
#[cfg(all(target_os = "linux", not(hitring_tsan)))]
#[test]
fn processes_may_be_stopped_and_killed_anywhere() {
    const SLOTS: usize = 6;
    const LIMIT: u64 = 10;
    /// So long that all is forgotten.
    const PAUSE: u64 = 100_000 * MILLI;
    // The slots, what was let through of nine keys, and the time.
    let count = SLOTS * 16 + 9 + 1;
    // SAFETY: a new mapping of anonymous memory, which is zero and aligned to a page, and is never unmapped.
    let shared: &'static [AtomicU64] = unsafe {
        let (length, protection) = (count * 8, libc::PROT_READ | libc::PROT_WRITE);
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let at = libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0);
        assert_ne!(at, libc::MAP_FAILED);
        std::slice::from_raw_parts(at.cast(), count)
    };
    let (words, counts) = shared.split_at(SLOTS * 16);
    let (allowed, time) = (&counts[..9], &counts[9]);
    let plans = plans(LIMIT);
    let start = || {
        // SAFETY: the child works on the shared words alone, allocates nothing, and is killed, by us or when our thread ends.
        let child = unsafe { libc::fork() };
        if child != 0 {
            assert!(child > 0, "fork failed");
            return child;
        }
        // SAFETY: it takes a number.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        for turn in 0.. {
            let (which, key) = (turn % 3, turn / 3 % 3);
            let now = time.load(Ordering::Acquire);
            if ask(words, &plans, which, key as u64, now, 1).decision.allowed {
                // A kill before this makes it one less, never one more.
                allowed[which * 3 + key].fetch_add(1, Ordering::AcqRel);
            }
            if turn % 128 == 0 {
                time.fetch_add(PAUSE, Ordering::AcqRel);
            }
        }
        unreachable!("it is killed")
    };
    let signal = |child: i32, signal: i32| {
        // SAFETY: the child is ours, and not waited for yet.
        assert_eq!(unsafe { libc::kill(child, signal) }, 0);
    };
    let end = |child: i32| {
        signal(child, libc::SIGKILL);
        // SAFETY: no status is asked for.
        assert_eq!(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }, child);
    };
    let mut children = [start(), start(), start()];
    for round in 0..rounds(300) {
        let (stopped, killed) = (round % 3, (round / 2 + 1) % 3);
        signal(children[stopped], libc::SIGSTOP);
        std::thread::sleep(Duration::from_micros(200 + round as u64 * 37 % 300));
        end(children[killed]);
        children[killed] = start();
        if killed != stopped {
            signal(children[stopped], libc::SIGCONT);
        }
        std::thread::sleep(Duration::from_micros(100 + round as u64 * 53 % 300));
    }
    children.into_iter().for_each(end);
    // All costs of a key came at multiples of the pause, and each of these has the limit once.
    let times = time.load(Ordering::Acquire) / PAUSE + 1;
    let allowed: Vec<u64> = allowed.iter().map(|allowed| allowed.load(Ordering::Acquire)).collect();
    assert!(allowed.iter().all(|&allowed| allowed <= LIMIT * times), "{allowed:?} at {times} times");
    assert!(times > 100 && allowed.iter().sum::<u64>() > times, "{allowed:?} at {times} times");
    // Whatever they left, there is room for as many keys as there are slots.
    let later = (times + 2) * PAUSE;
    let found = (0..100).filter(|&key| !ask(words, &plans, 0, 100 + key, later, 1).lacked_room).count();
    assert_eq!(found, SLOTS, "{allowed:?} at {times} times");
}
