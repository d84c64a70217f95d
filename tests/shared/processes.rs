//! Processes that count in one file, and are killed and stopped at any instant.
//!
//! Each writer logs what it sends before the call and what was acknowledged after it, in memory that it shares with its
//! parent and that outlives it. What must hold afterwards: acknowledged <= counted <= sent, for each endpoint.
//!
//! `HITRING_KILLS` says how many processes are killed: 300 unless it is set.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hitring::shared::Inspection;
use hitring::{Outcome, SharedRegistry};

use super::Folder;

const WINDOW: Duration = Duration::from_secs(300);
/// How many writers there are at a time.
const WRITERS: usize = 3;
/// How many names of its own a writer may make.
const NAMES: u64 = 400;

/// Words that a process shares with the children it forks.
struct Log(&'static [AtomicU64]);

impl Log {
    fn new(words: usize) -> Self {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping that overlaps nothing, of zeroes, which is never unmapped.
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), words * 8, access, kind, -1, 0) };
        assert_ne!(mapped, libc::MAP_FAILED, "there is memory");
        // SAFETY: the mapping is as long as that and begins a page.
        Self(unsafe { std::slice::from_raw_parts(mapped.cast(), words) })
    }

    fn get(&self, word: usize) -> u64 {
        self.0[word].load(Ordering::Acquire)
    }

    fn add(&self, word: usize, amount: u64) {
        self.0[word].fetch_add(amount, Ordering::AcqRel);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // SAFETY: it was mapped by `new` with this length, and nothing uses the mapping any more.
        unsafe { libc::munmap(self.0.as_ptr().cast_mut().cast(), size_of_val(self.0)) };
    }
}

/// Runs `body` in a child; answers its number.
pub fn fork(body: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child uses what it owns and leaves by `_exit`, which runs nothing of the parent's.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        // SAFETY: always allowed.
        unsafe { libc::_exit(i32::from(ran.is_err())) };
    }
    child
}

/// Waits for a child; answers its exit code, or minus the signal that ended it.
pub fn wait(child: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: `status` is valid, and the child is ours.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    if libc::WIFSIGNALED(status) { -libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
}

pub fn signal(child: libc::pid_t, signal: i32) {
    // SAFETY: the child is ours and has not been waited for.
    assert_eq!(unsafe { libc::kill(child, signal) }, 0);
}

/// Numbers that differ from run to run.
pub fn random() -> impl FnMut(u64) -> u64 {
    let mut state = hitring::Timestamp::try_from(std::time::SystemTime::now())
        .map_or(1, |now| now.secs().wrapping_mul(1_000_000_007).wrapping_add(now.subsec_nanos().into()) | 1);
    println!("seed {state}");
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

fn create(path: &Path) -> SharedRegistry {
    let builder = SharedRegistry::builder().window(WINDOW).max_endpoints(8_192).visitors(100_000).limits(64);
    builder.create(path).expect("the file can be made or opened")
}

/// The words of a writer's log.
const SENT: usize = 0;
const ACKNOWLEDGED: usize = 1;
const NAMES_SENT: usize = 2;
const NAMES_ACKNOWLEDGED: usize = 3;
const REMOVED_SENT: usize = 4;
const LIMIT_SENT: usize = 5;
const LIMIT_ALLOWED: usize = 6;
const WORDS: usize = 8;
/// So many costs are let through in the window, from all processes together.
const LIMIT: u64 = 20;

/// Counts until it is killed: in an endpoint that all share, by handle and by name, in new ones, and in one that others remove.
fn write(path: &Path, log: &Log, writer: usize) {
    let at = |word| writer * WORDS + word;
    let registry = create(path);
    let hot = registry.counter("/hot").expect("there is room");
    let rate = hitring::Rate::new(LIMIT, WINDOW).expect("a rate");
    let limiter = registry.limiter("kills", rate, None).expect("there is room");
    let mut round = 0u64;
    loop {
        round += 1;
        let amount = round % 3 + 1;
        log.add(at(SENT), amount);
        let outcome =
            if round.is_multiple_of(2) { Ok(hot.record(amount)) } else { registry.record_hit("/hot", amount) };
        assert_eq!(outcome, Ok(Outcome::Counted));
        log.add(at(ACKNOWLEDGED), amount);
        if round.is_multiple_of(3) {
            let number = log.get(at(NAMES_SENT));
            if number < NAMES {
                log.add(at(NAMES_SENT), 1);
                let name = format!("/new/{writer}/{number}");
                assert_eq!(registry.record_visit(&name, number.to_le_bytes(), 1), Ok(Outcome::Counted));
                log.add(at(NAMES_ACKNOWLEDGED), 1);
            }
        }
        if round.is_multiple_of(16) && log.get(at(REMOVED_SENT)) < 60 {
            log.add(at(REMOVED_SENT), 1);
            assert!(registry.record_hit("/gone", 1).is_ok());
            registry.remove("/gone").expect("it can be written");
        }
        if round.is_multiple_of(64) {
            let _ = registry.query_hits("/hot", WINDOW).expect("exact");
            let _ = registry.total(WINDOW).expect("exact");
            log.add(at(LIMIT_SENT), 1);
            if limiter.allow("all", 1).allowed {
                log.add(at(LIMIT_ALLOWED), 1);
            }
        }
    }
}

pub fn kills() -> usize {
    std::env::var("HITRING_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(300)
}

/// The folders in which the suite runs: of the disk, and of memory.
fn folders() -> Vec<Folder> {
    let mut folders = vec![Folder::new()];
    if Path::new("/dev/shm").is_dir() {
        let memory = Path::new("/dev/shm").join(format!("hitring-kill-{}", std::process::id()));
        std::fs::create_dir_all(&memory).expect("a folder in memory can be made");
        folders.push(Folder(memory));
    }
    folders
}

#[test]
fn what_was_acknowledged_before_a_kill_is_counted_and_nothing_twice() {
    let mut random = random();
    let (folders, per_file) = (folders(), 25);
    let (mut killed, mut early) = (0, 0);
    while killed < kills() {
        let path = folders[killed / per_file % folders.len()].file(&format!("killed-{killed}.ring"));
        let log = Log::new(WRITERS * WORDS);
        let begun = std::time::Instant::now();
        let mut writers: Vec<libc::pid_t> = (0..WRITERS).map(|writer| fork(|| write(&path, &log, writer))).collect();
        for _ in 0..per_file {
            std::thread::sleep(Duration::from_micros(random(4_000)));
            let victim = random(WRITERS as u64) as usize;
            early += usize::from(log.get(victim * WORDS + SENT) == 0);
            signal(writers[victim], libc::SIGKILL);
            assert_eq!(wait(writers[victim]), -libc::SIGKILL, "a writer failed before it was killed");
            writers[victim] = fork(|| write(&path, &log, victim));
            killed += 1;
        }
        for writer in writers {
            signal(writer, libc::SIGKILL);
            assert_eq!(wait(writer), -libc::SIGKILL, "a writer failed before it was killed");
            killed += 1;
        }
        check(&path, &log, begun);
        std::fs::remove_file(&path).expect("it is there");
    }
    println!("{killed} killed, {early} of them before their first hit");
}

/// Compares what a file holds with what its writers logged since they began.
fn check(path: &Path, log: &Log, begun: std::time::Instant) {
    let sum = |word| (0..WRITERS).map(|writer| log.get(writer * WORDS + word)).sum::<u64>();
    let (sent, acknowledged) = (sum(SENT), sum(ACKNOWLEDGED));
    // The file is not repaired. The next process just opens it.
    let registry = create(path);
    let (total, count) = (registry.total_ever("/hot"), registry.query_hits("/hot", WINDOW).expect("exact").count);
    assert!(acknowledged <= total && total <= sent, "{acknowledged} acknowledged, {total} in total, {sent} sent");
    assert!(acknowledged <= count && count <= sent, "{acknowledged} acknowledged, {count} counted, {sent} sent");
    let names: std::collections::HashSet<String> = registry.endpoints().into_iter().collect();
    let (mut made, mut lost) = (0, 0);
    for writer in 0..WRITERS {
        let (sent, acknowledged) = (log.get(writer * WORDS + NAMES_SENT), log.get(writer * WORDS + NAMES_ACKNOWLEDGED));
        for number in 0..sent {
            let name = format!("/new/{writer}/{number}");
            let (count, total) = (registry.query_hits(&name, WINDOW).expect("exact").count, registry.total_ever(&name));
            assert!(count <= 1 && total <= 1, "{name}: {count}, {total}");
            made += u64::from(names.contains(&name));
            lost += u64::from(count == 0);
        }
        assert!(!names.contains(&format!("/new/{writer}/{sent}")), "nobody sent it");
        assert!(sent - acknowledged <= 60, "each killed writer leaves one at most");
    }
    let unacknowledged = sum(NAMES_SENT) - sum(NAMES_ACKNOWLEDGED);
    assert!(lost <= unacknowledged, "{lost} of the new ones are missing, {unacknowledged} were not acknowledged");
    assert!(made <= sum(NAMES_SENT));
    let faults = Inspection::open(path).and_then(|inspection| inspection.faults()).expect("the file is whole");
    assert!(faults.is_empty(), "{faults:?}");
    let (asked, allowed) = (sum(LIMIT_SENT), sum(LIMIT_ALLOWED));
    let all = allowed == LIMIT || asked < LIMIT + 60;
    // On a machine that was suspended meanwhile a part of the window is over.
    let passed = begun.elapsed();
    assert!(passed > WINDOW / 2 || allowed <= LIMIT && all, "{allowed} of {asked} were let through in {passed:?}");
    // And it goes on.
    assert_eq!(registry.record_hit("/hot", 1), Ok(Outcome::Counted));
    assert_eq!(registry.total_ever("/hot"), total + 1);
    assert_eq!(registry.record_hit("/after", 1), Ok(Outcome::Counted));
    let lives = registry.room().lives;
    assert!(lives >= made + 2 && lives <= sum(NAMES_SENT) + 2 + sum(REMOVED_SENT) + WRITERS as u64, "{lives} lives");
}

#[test]
fn a_stopped_writer_does_not_block_others() {
    let mut random = random();
    let folder = Folder::new();
    let path = folder.file("stopped.ring");
    let log = Log::new(WRITERS * WORDS);
    let registry = create(&path);
    for round in 0..60 {
        let writer = fork(|| write(&path, &log, 0));
        std::thread::sleep(Duration::from_micros(random(3_000)));
        signal(writer, libc::SIGSTOP);
        let began = Instant::now();
        let handle = registry.counter("/hot").expect("there is room");
        for number in 0..200 {
            log.add(WORDS + SENT, 2);
            assert_eq!(handle.record(1), Outcome::Counted);
            assert_eq!(registry.record_hit("/hot", 1), Ok(Outcome::Counted));
            log.add(WORDS + ACKNOWLEDGED, 2);
            if number == 0 {
                let name = format!("/beside/{round}");
                assert_eq!(registry.record_visit(&name, "ann", 1), Ok(Outcome::Counted));
                assert_eq!(registry.query_uniques(&name, WINDOW), Ok(1));
                assert!(registry.remove(&name).expect("it can be written"));
                assert!(registry.total(WINDOW).is_ok() && registry.top(3, WINDOW).is_ok());
                let another = create(&path);
                assert_eq!(
                    another.merge(&hitring::Registry::new().snapshot()).map_err(|error| error.to_string()),
                    Ok(0)
                );
            }
        }
        assert!(began.elapsed() < Duration::from_secs(20), "somebody waited for the stopped one");
        signal(writer, libc::SIGCONT);
        std::thread::sleep(Duration::from_micros(random(1_000)));
        signal(writer, libc::SIGKILL);
        assert_eq!(wait(writer), -libc::SIGKILL);
    }
    let sum = |word| (0..WRITERS).map(|writer| log.get(writer * WORDS + word)).sum::<u64>();
    let total = registry.total_ever("/hot");
    assert!(sum(ACKNOWLEDGED) <= total && total <= sum(SENT), "{total}");
}

#[test]
fn processes_that_fill_a_file_together_share_its_room_exactly() {
    const ROOM: u64 = 64;
    let folder = Folder::new();
    for round in 0..20 {
        let path = folder.file(&format!("full-{round}.ring"));
        let log = Log::new(4 * 256);
        let go = Log::new(1);
        // The first process makes it. Each process brings names of its own, and some that all of them bring.
        let name = |writer: usize, number: usize| {
            if number.is_multiple_of(4) { format!("/all/{number}") } else { format!("/{writer}/{number}") }
        };
        let children: Vec<_> = (0..4)
            .map(|writer| {
                fork(|| {
                    go.add(0, 1);
                    while go.get(0) < 4 {
                        std::hint::spin_loop();
                    }
                    let builder = SharedRegistry::builder().window(WINDOW).max_endpoints(ROOM as u32);
                    let registry = builder.create(&path).expect("one makes it, the others open it");
                    for number in 0..100 {
                        let outcome = registry.record_hit(&name(writer, number), 1).expect("the name is possible");
                        log.add(writer * 256 + number, if outcome.is_counted() { 2 } else { 1 });
                    }
                })
            })
            .collect();
        assert!(children.into_iter().all(|child| wait(child) == 0), "a child failed");
        let registry = SharedRegistry::open(&path).expect("it is whole");
        assert_eq!((registry.room().lives, registry.len() as u64), (ROOM, ROOM));
        let (mut counted, mut refused) = (0, 0);
        for number in 0..100 {
            for writer in 0..4 {
                match log.get(writer * 256 + number) {
                    2 => counted += 1,
                    1 => refused += 1,
                    other => panic!("{other}"),
                }
            }
        }
        let metrics = registry.metrics();
        assert_eq!((metrics.total_hits, metrics.refused, counted + refused), (counted, refused, 400));
        let sum: u64 = registry.endpoints().iter().map(|name| registry.total_ever(name)).sum();
        assert_eq!(sum, counted);
    }
}

#[test]
fn a_forked_child_counts_in_the_same_file_and_its_parent_is_not_alone() {
    // In a process of its own: the children that other tests fork would have the file open, too.
    let alone = fork(|| {
        let folder = Folder::new();
        let registry = create(&folder.file("forked.ring"));
        let handle = registry.counter("/home").expect("there is room");
        assert_eq!(handle.record(1), Outcome::Counted);
        let stay = Log::new(2);
        let child = fork(|| {
            for _ in 0..1_000 {
                assert_eq!(handle.record(1), Outcome::Counted);
                assert_eq!(registry.record_hit("/child", 1), Ok(Outcome::Counted));
            }
            stay.add(1, 1);
            while stay.get(0) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        while stay.get(1) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!((handle.total_ever(), registry.total_ever("/child")), (1_001, 1_000));
        let error = registry.restore(&hitring::Registry::new().snapshot()).expect_err("the child has it open");
        assert!(matches!(error, hitring::SharedError::InUse { .. }), "{error}");
        stay.add(0, 1);
        assert_eq!(wait(child), 0);
        let empty = hitring::Registry::builder().window(WINDOW).build().expect("it is possible").snapshot();
        registry.restore(&empty).expect("it is alone now");
        assert!(registry.is_empty());
        assert_eq!((handle.record(1), registry.record_hit("/home", 2)), (Outcome::Refused, Ok(Outcome::Counted)));
        assert_eq!(SharedRegistry::open(registry.path()).expect("it is whole").total_ever("/home"), 2);
    });
    assert_eq!(wait(alone), 0, "see above");
}

#[test]
fn who_forks_is_not_alone_from_then_on() {
    let folder = Folder::new();
    let registry = SharedRegistry::builder().max_endpoints(4).create(folder.file("fork.ring")).expect("it can be made");
    let snapshot = registry.snapshot();
    let stay = Log::new(1);
    for round in 0..50 {
        // It has hardly begun when its parent looks, and lives until the parent has its answer.
        let child = fork(|| {
            while stay.get(0) == round {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let restored = registry.restore(&snapshot);
        stay.add(0, 1);
        assert!(matches!(restored, Err(hitring::SharedError::InUse { .. })), "{restored:?}");
        assert_eq!(wait(child), 0);
    }
}
