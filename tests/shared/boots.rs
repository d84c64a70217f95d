//! Files that live on over boots of the machine, and over more merged registries than they know one by one.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hitring::shared::{Wanted, compact};
use hitring::{ManualClock, Registry, SharedRegistry, SystemClock};

use super::exchange::alone;
use super::files::forged;
use super::processes::{fork, signal, wait};
use super::{Folder, MINUTE, START, at, small};

/// A service that is started daily, and merges another each day, takes years for so many.
const MANY: u64 = 2_000;

/// Another registry that counted one hit of `name` just now.
fn another(clock: &ManualClock, name: &str) -> Registry {
    let registry = Registry::builder().window(MINUTE).clock(clock.clone()).build().expect("it is small");
    assert!(registry.record_hit(name, 1).expect("a name").is_counted());
    registry
}

/// Gives the file another inode, which has the same effect as another boot, and opens it.
fn boot(path: &Path, clock: &ManualClock) -> SharedRegistry {
    let copy = path.with_extension("copy");
    fs::copy(path, &copy).expect("it can be copied");
    fs::rename(copy, path).expect("it can be replaced");
    small().clock(clock.clone()).open(path).expect("a boot locks nobody out")
}

#[test]
fn a_file_still_opens_after_two_thousand_boots_and_merged_registries() {
    let (folder, clock) = (Folder::in_memory(), ManualClock::new(at(START)));
    let path = folder.file("hits.ring");
    let mut registry = small().clock(clock.clone()).create(&path).expect("it can be made");
    for turn in 1..=MANY {
        // Room for 64 places: what has left the window gives its own back.
        clock.set(at(START + turn * 100));
        assert!(registry.record_hit("/own", 1).expect("a name").is_counted());
        assert_eq!(registry.merge(&another(&clock, "/theirs").snapshot()).expect("it fits"), 0);
        drop(registry);
        registry = boot(&path, &clock);
        assert_eq!(registry.query_hits("/own", MINUTE).map(u64::from), Ok(1), "turn {turn}");
        assert_eq!(registry.query_hits("/theirs", MINUTE).map(u64::from), Ok(1), "turn {turn}");
    }
    assert_eq!((registry.total_ever("/own"), registry.metrics().total_hits), (MANY, 2 * MANY));
    assert!(registry.room().lives <= 4, "{:?}", registry.room());
}

#[test]
fn a_file_that_one_process_has_open_takes_in_many_registries() {
    alone(a_file_takes_in_more_registries_than_it_knows_one_by_one);
}

fn a_file_takes_in_more_registries_than_it_knows_one_by_one() {
    let (folder, clock) = (Folder::in_memory(), ManualClock::new(at(START)));
    let path = folder.file("hits.ring");
    let places = u32::try_from(MANY).expect("it is small") + 100;
    let builder = small().clock(clock.clone()).max_endpoints(places).visitors(0);
    let registry = builder.create(&path).expect("it can be made");
    assert!(registry.record_hit("/own", 7).expect("a name").is_counted());
    let others: Vec<_> = (0..MANY).map(|_| another(&clock, "/theirs").snapshot()).collect();
    for turn in 0..2 {
        for snapshot in &others {
            assert_eq!(registry.merge(snapshot).expect("it fits"), 0);
        }
        assert_eq!(registry.query_hits("/theirs", MINUTE).map(u64::from), Ok(MANY), "turn {turn}");
        // Of a registry that comes after others were put together, old hits may be missing, and none counts twice.
        let total = registry.metrics().total_hits;
        assert!((512..=MANY + 7).contains(&total), "turn {turn}: {total}");
    }
    drop(registry);
    let registry = boot(&path, &clock);
    assert_eq!(registry.query_hits("/theirs", MINUTE).map(u64::from), Ok(MANY));
    assert_eq!(registry.query_hits("/own", MINUTE).map(u64::from), Ok(7));
    drop(registry);
    let compacted = folder.file("compacted.ring");
    compact(&path, &compacted, Wanted::default()).expect("nobody has it");
    let registry = small().clock(clock.clone()).open(&compacted).expect("it is whole");
    assert_eq!(registry.total(Duration::from_secs(1)).map(u64::from), Ok(MANY + 7));
}

/// A boot with the wall clock two days behind the time of limiters: it is the same for them whether the clock was set back, or
/// was ahead before.
#[test]
fn limits_go_on_after_a_boot_with_the_clock_set_back() {
    let folder = Folder::in_memory();
    let path = folder.file("hits.ring");
    let builder = || small().clock(SystemClock);
    drop(builder().create(&path).expect("it can be made"));
    let bytes = fs::read(&path).expect("it can be read");
    let offset = u64::from_le_bytes(bytes[20 * 8..21 * 8].try_into().expect("eight bytes"));
    fs::write(&path, forged(&bytes, 20, offset.wrapping_add(2 * 86_400_000_000_000))).expect("it can be written");
    for burst in [None, Some(5)] {
        let limiter = |registry: &SharedRegistry| {
            registry.limiter(&format!("{burst:?}"), "5/minute".parse().expect("a rate"), burst).expect("there is room")
        };
        let registry = builder().open(&path).expect("it is whole");
        assert!(limiter(&registry).allow("ann", 5).allowed && !limiter(&registry).allow("ann", 5).allowed);
        drop(registry);
        let copy = path.with_extension("copy");
        fs::copy(&path, &copy).expect("it can be copied");
        fs::rename(copy, &path).expect("it can be replaced");
        let registry = builder().open(&path).expect("a boot locks nobody out");
        let limiter = limiter(&registry);
        assert!(!limiter.allow("ann", 5).allowed, "it is not open");
        // What was let through is forgotten after a minute. A second of time may have come twice.
        let wait = limiter.allow("ann", 5).retry_after;
        assert!(wait <= Some(Duration::from_secs(62)), "it does not stay shut: {wait:?}");
        assert!(limiter.allow(if burst.is_some() { "ben" } else { "cleo" }, 5).allowed);
    }
}

/// One begins the new writer, and the others wait for it, however many there are.
#[test]
fn all_who_open_a_file_after_a_boot_go_on_under_one_new_writer() {
    const OPENERS: u64 = 12;
    let (folder, clock) = (Folder::in_memory(), ManualClock::new(at(START)));
    let path = folder.file("hits.ring");
    let builder = || small().max_endpoints(5_000).clock(clock.clone());
    let registry = builder().create(&path).expect("it can be made");
    for number in 0..4_000 {
        assert!(registry.record_hit(&format!("/{number}"), 1).expect("a name").is_counted());
    }
    let before = registry.snapshot();
    drop(registry);
    let copy = path.with_extension("copy");
    fs::copy(&path, &copy).expect("it can be copied");
    fs::rename(copy, &path).expect("it can be replaced");
    let open = || {
        let registry = small().clock(clock.clone()).open(&path).expect("it is waited for");
        assert!(registry.record_hit("/0", 1).expect("a name").is_counted());
    };
    let children: Vec<_> = (0..OPENERS).map(|_| fork(open)).collect();
    children.into_iter().for_each(|child| assert_eq!(wait(child), 0));
    let registry = small().clock(clock.clone()).open(&path).expect("it is whole");
    let memory = Registry::builder().window(MINUTE).clock(clock.clone()).build().expect("it is small");
    for snapshot in [&registry.snapshot(), &before, &registry.snapshot()] {
        assert_eq!(memory.merge(snapshot).expect("it fits"), 0);
    }
    let hits = |name: &str| {
        [registry.query_hits(name, MINUTE), memory.query_hits(name, MINUTE)].map(|hits| hits.map(u64::from))
    };
    assert_eq!(hits("/0"), [Ok(OPENERS + 1), Ok(OPENERS + 1)]);
    assert_eq!(hits("/3999"), [Ok(1), Ok(1)]);
    assert_eq!(registry.metrics().total_hits, 4_000 + OPENERS);
}

#[test]
fn a_fork_beside_a_new_writer_does_not_lock_others_out() {
    alone(|| {
        let (folder, clock) = (Folder::in_memory(), ManualClock::new(at(START)));
        let path = folder.file("hits.ring");
        let registry = small().max_endpoints(8_000).clock(clock.clone()).create(&path).expect("it can be made");
        for number in 0..7_000 {
            assert!(registry.record_hit(&format!("/{number}"), 1).expect("a name").is_counted());
        }
        drop(registry);
        let copy = path.with_extension("copy");
        fs::copy(&path, &copy).expect("it can be copied");
        fs::rename(copy, &path).expect("it can be replaced");
        let children = std::thread::scope(|scope| {
            let forking = scope.spawn(|| {
                let sleep = || std::thread::sleep(Duration::from_secs(20));
                let fork = |_| {
                    std::thread::sleep(Duration::from_millis(10));
                    fork(sleep)
                };
                (0..12).map(fork).collect::<Vec<_>>()
            });
            drop(small().clock(clock.clone()).open(&path).expect("nobody else has it"));
            forking.join().expect("it ends")
        });
        // Also while the children live.
        assert_eq!(wait(fork(|| drop(small().open(&path).expect("nobody else has it")))), 0);
        assert!(SharedRegistry::read(&path).is_ok());
        for child in children {
            signal(child, libc::SIGKILL);
            assert_eq!(wait(child), -libc::SIGKILL);
        }
    });
}

/// Killed by the first byte behind the file, where the cells of the former writer would lie.
#[test]
fn who_is_killed_while_it_begins_a_new_writer_doubles_no_total() {
    let (folder, clock) = (Folder::in_memory(), ManualClock::new(at(START)));
    let path = folder.file("hits.ring");
    let builder = || small().max_endpoints(1_200).visitors(0).clock(clock.clone());
    let registry = builder().create(&path).expect("it can be made");
    assert!(registry.record_hit("/own", 1_000).expect("a name").is_counted());
    let others: Vec<_> = (0..512).map(|_| another(&clock, "/theirs").snapshot()).collect();
    // The file's own hits are the oldest.
    clock.set(at(START + 5));
    others.iter().for_each(|snapshot| assert_eq!(registry.merge(snapshot).expect("it fits"), 0));
    let total = registry.metrics().total_hits;
    drop(registry);
    let copy = path.with_extension("copy");
    fs::copy(&path, &copy).expect("it can be copied");
    fs::rename(copy, &path).expect("it can be replaced");
    let length = fs::metadata(&path).expect("it is there").len();
    for _ in 0..3 {
        let killed = fork(|| {
            let limit = libc::rlimit { rlim_cur: length, rlim_max: length };
            // SAFETY: `limit` is valid.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) }, 0);
            let _ = builder().open(&path);
        });
        assert_eq!(wait(killed), -libc::SIGXFSZ);
        let reader = small().clock(clock.clone()).read(&path).expect("it is whole");
        assert_eq!(reader.metrics().total_hits, total);
    }
    let registry = small().clock(clock.clone()).open(&path).expect("it is whole");
    assert_eq!((registry.metrics().total_hits, registry.total_ever("/own")), (total, 1_000));
}
