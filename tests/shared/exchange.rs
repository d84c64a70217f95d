//! Snapshots and merges between files and memory; copies and their writers; restores and compactions.

use std::time::Duration;

use hitring::shared::{Inspection, Wanted, compact};
use hitring::{Outcome, Registry, RegistrySnapshot, SharedError, SharedRegistry, SnapshotError, Strategy};

use super::processes::{fork, wait};
use super::{Folder, MINUTE, Made, START, at, made, small};

fn memory(made: &Made) -> Registry {
    Registry::builder().window(MINUTE).clock(made.clock.clone()).build().expect("it is possible")
}

fn count(registry: &Registry, name: &str) -> u64 {
    registry.query_hits(name, MINUTE).expect("exact").count
}

fn shared(registry: &SharedRegistry, name: &str) -> u64 {
    registry.query_hits(name, MINUTE).expect("exact").count
}

fn record(registry: &SharedRegistry, name: &str, amount: u64) {
    assert_eq!(registry.record_hit(name, amount), Ok(Outcome::Counted));
}

#[test]
fn a_file_and_memory_take_each_other_in_and_twice_changes_nothing() {
    let made = made();
    let local = memory(&made);
    record(&made, "/home", 3);
    assert_eq!(made.record_visit("/home", "ann", 1), Ok(Outcome::Counted));
    assert_eq!(local.record_hit("/home", 5), Ok(Outcome::Counted));
    assert_eq!(local.record_visit("/about", "bob", 7), Ok(Outcome::Counted));
    let (file, memory_before) = (made.snapshot(), local.snapshot());
    for _ in 0..3 {
        local.merge(&file).expect("it fits");
        made.merge(&memory_before).expect("it fits");
    }
    assert_eq!((count(&local, "/home"), count(&local, "/about")), (9, 7));
    assert_eq!((shared(&made, "/home"), shared(&made, "/about")), (9, 7));
    assert_eq!((made.query_uniques("/about", MINUTE), made.query_uniques("/home", MINUTE)), (Ok(1), Ok(1)));
    assert_eq!(made.total(MINUTE).expect("exact"), 16);
    // Each goes on, and has the other's news without its own twice.
    record(&made, "/home", 10);
    assert_eq!(local.record_hit("/home", 100), Ok(Outcome::Counted));
    local.merge(&made.snapshot()).expect("it fits");
    made.merge(&local.snapshot()).expect("it fits");
    assert_eq!((count(&local, "/home"), shared(&made, "/home")), (119, 119));
    // What was ever counted here is what was recorded here.
    assert_eq!((made.total_ever("/home"), made.total_ever("/about")), (14, 0));
    assert_eq!(made.metrics().total_hits, 14 + 112);
    assert_eq!(local.metrics().total_hits, 14 + 112);
    // Others see it, and keep it.
    let path = made.path();
    let other = made.open(&path);
    assert_eq!(shared(&other, "/home"), 119);
    assert!(matches!(made.merge(&other.snapshot()), Err(SharedError::Snapshot(SnapshotError::Own))));
    made.set(START + 61);
    assert_eq!((shared(&made, "/home"), count(&local, "/home")), (0, 0));
}

#[test]
fn what_was_removed_does_not_come_back() {
    let made = made();
    let local = memory(&made);
    record(&made, "/home", 3);
    let old = made.snapshot();
    local.merge(&old).expect("it fits");
    assert!(made.remove("/home").expect("it can be written"));
    record(&made, "/home", 2);
    local.merge(&made.snapshot()).expect("it fits");
    assert_eq!(count(&local, "/home"), 2);
    local.merge(&old).expect("it fits");
    assert_eq!(count(&local, "/home"), 2, "it was removed");
    // And the other way round.
    assert_eq!(local.record_hit("/about", 5), Ok(Outcome::Counted));
    let before = local.snapshot();
    made.merge(&before).expect("it fits");
    assert_eq!(shared(&made, "/about"), 5);
    assert!(local.remove("/about"));
    made.merge(&local.snapshot()).expect("it fits");
    assert_eq!(shared(&made, "/about"), 0);
    made.merge(&before).expect("it fits");
    assert_eq!(shared(&made, "/about"), 0);
    assert_eq!(local.record_hit("/about", 1), Ok(Outcome::Counted));
    made.merge(&local.snapshot()).expect("it fits");
    assert_eq!(shared(&made, "/about"), 1);
}

/// A merge that began before a removal must not bring the removed hits into the life that begins after it.
#[test]
fn a_merge_beside_a_removal_brings_nothing_back() {
    let made = made();
    let local = memory(&made);
    for round in 0..16u64 {
        let name = format!("/{round}");
        assert_eq!(local.record_hit(&name, 5), Ok(Outcome::Counted));
        let before = local.snapshot();
        made.merge(&before).expect("it fits");
        made.set(START + 1 + round);
        let other = made.open(&made.path());
        std::thread::scope(|scope| {
            scope.spawn(|| (0..20).for_each(|_| _ = made.merge(&before).expect("it fits")));
            scope.spawn(|| {
                assert!(other.remove(&name).expect("it can be written"));
            });
        });
        assert_eq!(shared(&made, &name), 0, "{name}");
        assert!(local.remove(&name));
    }
}

#[test]
fn what_a_ring_cannot_hold_is_refused_whole() {
    let made = made();
    record(&made, "/home", 3);
    let before = made.snapshot();
    let refused = |strategy: Strategy| {
        let local = Registry::builder().window(MINUTE).strategy(strategy).clock(made.clock.clone()).build();
        let local = local.expect("it is possible");
        assert_eq!(local.record_hit("/other", 2), Ok(Outcome::Counted));
        made.merge(&local.snapshot()).expect_err("it cannot be held").to_string()
    };
    assert!(refused(Strategy::morris(0.05).expect("a possible error")).contains("morris"));
    assert!(refused(Strategy::Fixed { window_size: MINUTE / 12 }).contains("fixed"));
    let hour = Registry::builder().window(Duration::from_secs(3_600)).build().expect("it is possible");
    assert!(matches!(made.merge(&hour.snapshot()), Err(SharedError::Snapshot(SnapshotError::OtherGeometry { .. }))));
    let many = memory(&made);
    (0..65).for_each(|number| assert!(many.record_hit(&format!("/{number}"), 1).is_ok()));
    assert!(matches!(made.merge(&many.snapshot()), Err(SharedError::Snapshot(SnapshotError::NoRoom { .. }))));
    assert_eq!(made.snapshot(), before, "nothing was changed");
    // Hits that are exact to the microsecond fit too, because they are added up.
    let exact = Registry::builder().window(MINUTE).strategy(Strategy::SLIDING).clock(made.clock.clone()).build();
    let exact = exact.expect("it is possible");
    for _ in 0..4 {
        assert_eq!(exact.record_hit("/exact", 2), Ok(Outcome::Counted));
    }
    for _ in 0..2 {
        made.merge(&exact.snapshot()).expect("it fits");
        assert_eq!(shared(&made, "/exact"), 8);
    }
}

#[test]
fn a_copy_is_another_writer() {
    alone(a_copy_and_its_original_both_go_on);
}

fn a_copy_and_its_original_both_go_on() {
    let made = made();
    let folder = &made.folder;
    record(&made, "/home", 4);
    assert_eq!(made.record_visit("/home", "ann", 1), Ok(Outcome::Counted));
    record(&made, "/gone", 9);
    assert!(made.remove("/gone").expect("it can be written"));
    std::fs::copy(made.path(), folder.file("copy.ring")).expect("it can be copied");
    assert!(
        Inspection::open(folder.file("copy.ring")).expect("it is whole").report(None).expect("it is whole").is_copy
    );
    // For reading it is what it is.
    let reader = small().clock(made.clock.clone()).read(folder.file("copy.ring")).expect("it is whole");
    assert_eq!(shared(&reader, "/home"), 5);
    let copy = made.open(&folder.file("copy.ring"));
    assert_eq!((shared(&copy, "/home"), copy.total_ever("/home")), (5, 5));
    assert_eq!((copy.query_uniques("/home", MINUTE), copy.endpoints()), (Ok(1), vec!["/home".to_owned()]));
    assert_eq!(copy.metrics().total_hits, 14);
    assert_eq!(copy.room().lives, 1, "what was removed stayed behind");
    // Both count on, in the same tick and later ones.
    record(&made, "/home", 10);
    record(&copy, "/home", 100);
    made.set(START + 5);
    record(&made, "/home", 1_000);
    record(&copy, "/home", 10_000);
    assert_eq!((shared(&made, "/home"), shared(&copy, "/home")), (1_015, 10_105));
    for snapshots in [[made.snapshot(), copy.snapshot()], [copy.snapshot(), made.snapshot()]] {
        let local = memory(&made);
        for snapshot in snapshots.iter().chain(&snapshots) {
            local.merge(snapshot).expect("it fits");
        }
        assert_eq!(count(&local, "/home"), 11_115, "the five of both once, and what each counted since");
        assert_eq!(local.metrics().total_hits, 14 + 11_110);
        assert_eq!(count(&local, "/gone"), 0);
    }
    // A copy of the copy, and they take each other in.
    std::fs::copy(copy.path(), folder.file("second.ring")).expect("it can be copied");
    let second = made.open(&folder.file("second.ring"));
    record(&second, "/home", 7);
    for _ in 0..2 {
        second.merge(&made.snapshot()).expect("it fits");
        second.merge(&copy.snapshot()).expect("it fits");
        made.merge(&second.snapshot()).expect("it fits");
    }
    assert_eq!(shared(&second, "/home"), 11_122);
    assert_eq!(shared(&made, "/home"), 11_122);
    // A file that is only moved is the same writer.
    let writer = made.snapshot();
    drop(made.open(&made.path()));
    std::fs::rename(made.path(), folder.file("moved.ring")).expect("it can be moved");
    let moved = made.open(&folder.file("moved.ring"));
    assert_eq!(moved.snapshot(), writer);
}

/// Runs `test` in a process of its own: the children that other tests fork would have its files open, too.
pub fn alone(test: fn()) {
    assert_eq!(wait(fork(test)), 0, "see above");
}

#[test]
fn a_restore_takes_the_place_of_everything_while_it_is_alone() {
    alone(a_restore_takes_the_place_of_everything);
}

fn a_restore_takes_the_place_of_everything() {
    let made = made();
    record(&made, "/home", 3);
    record(&made, "/old", 4);
    let handle = made.counter("/home").expect("there is room");
    let kept = made.snapshot();
    record(&made, "/home", 100);
    record(&made, "/new", 5);
    let other = made.open(&made.path());
    assert!(matches!(made.restore(&kept), Err(SharedError::InUse { .. })));
    assert_eq!(shared(&made, "/home"), 103, "nothing was changed");
    drop(other);
    made.restore(&kept).expect("it is alone");
    assert_eq!((shared(&made, "/home"), shared(&made, "/old"), shared(&made, "/new")), (3, 4, 0));
    assert_eq!((handle.record(1), handle.count().expect("exact").count), (Outcome::Refused, 0));
    record(&made, "/home", 1);
    assert_eq!(shared(&made, "/home"), 4);
    // Others open what is there now; what comes from before adds nothing again.
    let other = made.open(&made.path());
    assert_eq!(shared(&other, "/home"), 4);
    other.merge(&kept).expect("it fits");
    assert_eq!(shared(&made, "/home"), 4);
    assert!(made.is_current() && other.is_current());
    drop(other);
    let hour = Registry::builder().window(Duration::from_secs(3_600)).build().expect("it is possible");
    assert!(made.restore(&hour.snapshot()).is_err());
    assert_eq!(shared(&made, "/home"), 4, "nothing was changed");
    record(&made, "/home", 1);
    assert_eq!(made.folder.0.read_dir().expect("it is there").count(), 1, "nothing is left beside it");
    // A file that is full takes its own snapshot.
    let full = small().max_endpoints(3).clock(made.clock.clone()).create(made.folder.file("full.ring"));
    let full = full.expect("it can be made");
    ["/a", "/b", "/c"].into_iter().for_each(|name| record(&full, name, 2));
    let kept = full.snapshot();
    full.restore(&kept).expect("it fits");
    assert_eq!((full.room().lives, full.total(MINUTE).expect("exact").count), (3, 6));
    full.restore(&full.snapshot()).expect("it fits");
    assert_eq!((full.room().lives, full.total(MINUTE).expect("exact").count), (3, 6));
    full.merge(&kept).expect("it fits, as it adds nothing");
    assert_eq!(full.total(MINUTE).expect("exact").count, 6);
}

#[test]
fn a_compaction_brings_nothing_back() {
    alone(removed_stays_removed_over_a_compaction);
}

/// Also hits of the very tick of the removal, though the life that had them stays behind.
fn removed_stays_removed_over_a_compaction() {
    let Made { registry, clock, folder } = made();
    let local = Registry::builder().window(MINUTE).clock(clock.clone()).build().expect("it is possible");
    assert_eq!(local.record_hit("/home", 5), Ok(Outcome::Counted));
    let before = local.snapshot();
    registry.merge(&before).expect("it fits");
    record(&registry, "/home", 3);
    assert!(registry.remove("/home").expect("it can be written"));
    drop(registry);
    let (old, new) = (folder.file("hits.ring"), folder.file("new.ring"));
    compact(&old, &new, Wanted::default()).expect("no process has it open");
    let new = small().clock(clock).open(&new).expect("it is whole");
    assert_eq!(new.merge(&before).map_err(|error| error.to_string()), Ok(5));
    assert_eq!(shared(&new, "/home"), 0);
}

/// Each takes the place of a file in which `before` and a removal were merged: it answers what takes in `before` again.
fn no_removed_hit_comes_back_by(way: impl Fn(Made, &RegistrySnapshot) -> (SharedRegistry, Folder)) {
    let made = made();
    let (worker, total) = (memory(&made), memory(&made));
    // One of the very second of the removal, one that is stamped ahead of it.
    assert_eq!(worker.record_hit("/home", 5), Ok(Outcome::Counted));
    assert_eq!(worker.record_hit_at("/home", at(START + 3), 2), Ok(Outcome::Counted));
    let before = worker.snapshot();
    total.merge(&before).expect("it fits");
    assert!(total.remove("/home"));
    let clock = made.clock.clone();
    let (file, _folder) = way(made, &total.snapshot());
    assert_eq!(file.merge(&before).map_err(|error| error.to_string()), Ok(7));
    assert_eq!(shared(&file, "/home"), 0);
    // What the worker counts later counts, also in the same seconds.
    assert_eq!(worker.record_hit("/home", 10), Ok(Outcome::Counted));
    clock.set(at(START + 3));
    assert_eq!(worker.record_hit("/home", 20), Ok(Outcome::Counted));
    assert_eq!(file.merge(&worker.snapshot()).map_err(|error| error.to_string()), Ok(7));
    assert_eq!(shared(&file, "/home"), 30);
    assert_eq!(file.query_hits("/home", Duration::from_secs(1)).expect("exact"), 20);
    let (all, top) = (file.total(MINUTE).expect("exact"), file.top(1, MINUTE).expect("exact"));
    assert_eq!((all.count, top[0].1.count), (30, 30));
}

#[test]
fn no_removed_hit_comes_back_in_a_file_that_heard_of_the_removal() {
    no_removed_hit_comes_back_by(|made, removed| {
        made.merge(removed).expect("it fits");
        (made.registry, made.folder)
    });
}

#[test]
fn no_removed_hit_comes_back_in_a_restored_copied_or_compacted_file() {
    alone(|| {
        no_removed_hit_comes_back_by(|made, removed| {
            made.restore(removed).expect("it is alone");
            (made.registry, made.folder)
        });
        no_removed_hit_comes_back_by(|made, removed| {
            made.merge(removed).expect("it fits");
            let copy = made.folder.file("copy.ring");
            std::fs::copy(made.path(), &copy).expect("it can be copied");
            (made.open(&copy), made.folder)
        });
        no_removed_hit_comes_back_by(|Made { registry, clock, folder }, removed| {
            registry.merge(removed).expect("it fits");
            let (old, new) = (registry.path().to_owned(), folder.file("new.ring"));
            drop(registry);
            compact(&old, &new, Wanted::default()).expect("no process has it open");
            (small().clock(clock).open(new).expect("it is whole"), folder)
        });
    });
}

/// The removal is of the epoch in which the hits were counted: they are not before it for being in a file that began after it.
#[test]
fn writers_keep_their_epochs_in_a_restored_file() {
    alone(|| {
        let made = made();
        let [worker, first, second] = [memory(&made), memory(&made), memory(&made)];
        assert_eq!(worker.record_hit("/home", 1), Ok(Outcome::Counted));
        let before = worker.snapshot();
        [&first, &second].into_iter().for_each(|registry| _ = registry.merge(&before).expect("it fits"));
        assert!(first.remove("/home"));
        made.set(START + 10);
        assert_eq!(worker.record_hit("/home", 7), Ok(Outcome::Counted));
        [&first, &second].into_iter().for_each(|registry| _ = registry.merge(&worker.snapshot()).expect("it fits"));
        made.set(START + 20);
        assert!(second.remove("/home"));
        made.restore(&first.snapshot()).expect("it is alone");
        assert_eq!(shared(&made, "/home"), 7);
        made.merge(&second.snapshot()).expect("it fits");
        first.merge(&second.snapshot()).expect("it fits");
        assert_eq!((shared(&made, "/home"), count(&first, "/home")), (0, 0));
    });
}

/// Another registry has heard of the first removal, so the second must be of a higher epoch.
#[test]
fn a_removal_after_a_restore_begins_a_higher_epoch() {
    alone(|| {
        let made = made();
        let (empty, other) = (memory(&made), memory(&made));
        record(&made, "/home", 1);
        assert!(made.remove("/home").expect("it can be written"));
        record(&made, "/home", 5);
        other.merge(&made.snapshot()).expect("it fits");
        made.restore(&empty.snapshot()).expect("it is alone");
        record(&made, "/home", 1);
        made.set(START + 1);
        assert!(made.remove("/home").expect("it can be written"));
        made.merge(&other.snapshot()).expect("it fits");
        assert_eq!(shared(&made, "/home"), 0);
    });
}

/// Each copy has room for more finds, and cells of former writers in one of two places.
#[test]
fn copies_of_copies_grow_no_larger() {
    let mut made = made();
    for round in 0..4 {
        made.set(START + 100 * round);
        let (worker, total) = (memory(&made), memory(&made));
        for ahead in 0..20 {
            assert_eq!(worker.record_hit_at("/home", at(START + 100 * round + ahead), 1), Ok(Outcome::Counted));
        }
        total.merge(&worker.snapshot()).expect("it fits");
        assert!(total.remove("/home"));
        made.merge(&total.snapshot()).expect("it fits");
    }
    let mut sizes = Vec::new();
    for round in 0..12 {
        let copy = made.folder.file(&format!("{round}.ring"));
        std::fs::copy(made.registry.path(), &copy).expect("it can be copied");
        made.registry = made.open(&copy);
        sizes.push(made.room().file_bytes);
    }
    assert!(sizes[3..].iter().max() <= sizes[..3].iter().max(), "{sizes:?}");
}

/// Then the whole tick of the removal is void.
#[test]
fn no_room_for_what_a_removal_found_brings_nothing_of_its_tick_back() {
    let made = made();
    let total = memory(&made);
    let workers = [0; 5].map(|_| memory(&made));
    for worker in &workers {
        for ahead in 0..20 {
            assert_eq!(worker.record_hit_at("/home", at(START + ahead), 1), Ok(Outcome::Counted));
        }
        total.merge(&worker.snapshot()).expect("it fits");
    }
    assert!(total.remove("/home"));
    made.merge(&total.snapshot()).expect("it fits");
    for worker in &workers {
        made.merge(&worker.snapshot()).expect("it fits");
    }
    assert_eq!(shared(&made, "/home"), 0);
    made.set(START + 5);
    record(&made, "/home", 1);
    assert!(made.query_hits("/home", Duration::from_secs(1)).expect("exact").count >= 1);
}

#[test]
fn a_compaction_makes_room() {
    alone(a_compaction_keeps_what_is_alive);
}

fn a_compaction_keeps_what_is_alive() {
    let folder = Folder::new();
    let clock = hitring::ManualClock::new(at(START));
    let make = |name: &str| small().max_endpoints(4).clock(clock.clone()).create(folder.file(name));
    let registry = make("old.ring").expect("it can be made");
    for round in 0..3 {
        record(&registry, "/again", round + 1);
        assert!(registry.remove("/again").expect("it can be written"));
    }
    assert_eq!(registry.record_visit("/home", "ann", 6), Ok(Outcome::Counted));
    assert_eq!(registry.record_hit("/more", 1), Ok(Outcome::Refused));
    let metrics = registry.metrics();
    let wanted = |max_endpoints| Wanted { max_endpoints: Some(max_endpoints), ..Wanted::default() };
    let (old, new) = (folder.file("old.ring"), folder.file("new.ring"));
    assert!(matches!(compact(&old, &new, wanted(10)), Err(SharedError::InUse { .. })));
    assert!(!new.exists());
    drop(registry);
    compact(&old, &new, wanted(10)).expect("nobody has it open");
    assert!(compact(&old, &new, wanted(10)).is_err(), "what is there is not overwritten");
    let registry = small().clock(clock.clone()).open(&new).expect("it is whole");
    assert_eq!((registry.max_endpoints(), registry.room().lives), (10, 1));
    assert_eq!((shared(&registry, "/home"), registry.total_ever("/home")), (6, 6));
    assert_eq!((registry.uniques_ever("/home"), registry.metrics().total_hits), (Ok(1), metrics.total_hits));
    record(&registry, "/again", 1);
    assert_eq!(shared(&registry, "/again"), 1);
    // The old file's snapshot and the new one's are of two writers, and add up to what was counted.
    let before = small().clock(clock.clone()).read(&old).expect("it is whole").snapshot();
    let local = Registry::builder().window(MINUTE).clock(clock.clone()).build().expect("it is possible");
    local.merge(&before).expect("it fits");
    local.merge(&registry.snapshot()).expect("it fits");
    assert_eq!((count(&local, "/home"), count(&local, "/again")), (6, 1));
    drop(registry);
    // Another window: what is asked for beyond what was known is expired, not low.
    let longer = Wanted { window: Some(MINUTE * 2), ..Wanted::default() };
    compact(&new, &folder.file("longer.ring"), longer).expect("nobody has it open");
    let longer = SharedRegistry::builder().clock(clock.clone()).open(folder.file("longer.ring")).expect("it is whole");
    assert_eq!((longer.window(), shared(&longer, "/home")), (MINUTE * 2, 6));
    assert!(longer.query_hits("/home", MINUTE * 2).is_err());
    clock.advance(MINUTE).expect("in range");
    assert_eq!(longer.query_hits("/home", MINUTE * 2).expect("exact"), 6);
    drop(longer);
    assert!(matches!(
        compact(&new, &folder.file("small.ring"), wanted(1)),
        Err(SharedError::Full { max_endpoints: 1, .. })
    ));
    assert!(!folder.file("small.ring").exists());
}

#[test]
fn a_compacted_file_keeps_limits_unless_it_has_other_room_for_them() {
    let folder = Folder::new();
    let made = small().limits(20).create(folder.file("old.ring")).expect("it can be made");
    let limiter = |registry: &SharedRegistry| registry.limiter("logins", "1/day".parse().expect("a rate"), None);
    assert!(limiter(&made).expect("there is room").allow("ann", 1).allowed);
    drop(made);
    for (name, limits, is_kept, found) in [("same.ring", None, true, 20), ("other.ring", Some(200), false, 200)] {
        let wanted = Wanted { limits, ..Wanted::default() };
        compact(&folder.file("old.ring"), &folder.file(name), wanted).expect("nobody has it open");
        let registry = SharedRegistry::open(folder.file(name)).expect("it is whole");
        let limiter = limiter(&registry).expect("there is room");
        assert_eq!((registry.room().max_limits, limiter.keys_in_use()), (found, usize::from(is_kept)), "{name}");
        assert_eq!(limiter.allow("ann", 1).allowed, !is_kept, "{name}");
    }
}

#[test]
fn cells_of_a_grain_that_no_ring_has_are_refused() {
    let made = made();
    let local = memory(&made);
    assert_eq!(local.record_hit("/a", 3), Ok(Outcome::Counted));
    let mut bytes = local.snapshot().to_bytes();
    let second = 1_000_000_u64.to_le_bytes();
    let grain = bytes.windows(8).rposition(|word| word == second).expect("the form says its grain");
    bytes[grain..grain + 8].copy_from_slice(&500_000_u64.to_le_bytes());
    let end = bytes.len() - 4;
    let checksum = crc32fast::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
    let forged = RegistrySnapshot::from_bytes(&bytes).expect("half a second is a grain");
    assert!(matches!(local.restore(&forged), Err(SnapshotError::OtherGeometry { .. })));
    assert!(matches!(made.merge(&forged), Err(SharedError::Snapshot(SnapshotError::OtherGeometry { .. }))));
    assert_eq!(shared(&made, "/a"), 0);
}

#[test]
fn a_merge_without_room_for_its_names_changes_nothing() {
    let made = made();
    record(&made, "/here", 1);
    let other = memory(&made);
    for number in 0..20 {
        other.record_hit(&format!("/{number}{}", "n".repeat(1_000)), 1).expect("a name");
    }
    let (before, room) = (made.snapshot(), made.room());
    let error = made.merge(&other.snapshot()).expect_err("their names take 21 KB");
    assert!(matches!(error, SharedError::Snapshot(SnapshotError::NoNameRoom { bytes: 21_760, .. })), "{error}");
    assert!(error.to_string().contains("name_bytes"), "{error}");
    assert_eq!((made.snapshot(), made.room()), (before, room));
}

#[test]
fn removals_of_a_snapshot_leave_room_for_its_names() {
    let made = made();
    let other = memory(&made);
    // Each would fit alone: 64 names have room for 8 KB.
    for number in 0..100 {
        other.record_hit(&format!("/gone/{number}"), 1).expect("a name");
        assert!(other.remove(&format!("/gone/{number}")));
    }
    for number in 0..6 {
        other.record_hit(&format!("/{number}{}", "n".repeat(1_000)), 1).expect("a name");
    }
    made.merge(&other.snapshot()).expect("its names fit");
    assert_eq!(made.total(MINUTE).expect("exact").count, 6);
}

#[test]
fn removals_elsewhere_leave_room_for_names() {
    let made = made();
    let other = memory(&made);
    for number in 0..500 {
        other.record_hit(&format!("/gone/{number}"), 1).expect("a name");
        assert!(other.remove(&format!("/gone/{number}")));
    }
    other.record_hit("/live", 1).expect("a name");
    made.merge(&other.snapshot()).expect("there is room");
    assert_eq!(shared(&made, "/live"), 1);
    assert!(made.room().name_bytes <= made.room().max_name_bytes / 2 + 128, "{:?}", made.room());
    (0..40).for_each(|number| record(&made, &format!("/mine/{number}"), 1));
}

#[test]
fn a_copy_goes_on_after_the_highest_epoch_of_its_names() {
    const EPOCH: std::ops::Range<usize> = (64 + 2 * 8) * 8..(64 + 3 * 8) * 8;
    const PAGE: std::ops::Range<usize> = 512..4_096;
    const NAMES: std::ops::Range<usize> = 4_096..16_384;
    // A file is copied from its first page on, so that each part is older than what comes behind it: then names lead to lives
    // that the page knows nothing of, and that are over.
    for (old, older) in [(vec![EPOCH], false), (vec![PAGE], false), (vec![PAGE, NAMES], true)] {
        let made = made();
        record(&made, "/a", 10);
        let read = || std::fs::read(made.path()).expect("it can be read");
        let again = || {
            made.remove("/a").expect("it can be written");
            record(&made, "/a", 10);
        };
        let first = read();
        (0..5).for_each(|_| again());
        let second = read();
        again();
        if older {
            made.remove("/a").expect("it can be written");
        }
        let copy = made.folder.file("copy.ring");
        let mut bytes = read();
        for (part, from) in old.into_iter().zip([&first, &second]) {
            assert_ne!(bytes[part.clone()], from[part.clone()]);
            bytes[part.clone()].copy_from_slice(&from[part]);
        }
        std::fs::write(&copy, bytes).expect("it can be written");
        let copy = made.open(&copy);
        record(&copy, "/a", 10);
        let peer = memory(&made);
        peer.merge(&copy.snapshot()).expect("it fits");
        assert!(peer.query_hits("/a", MINUTE).expect("exact").count >= 10);
        copy.remove("/a").expect("it can be written");
        peer.merge(&copy.snapshot()).expect("it fits");
        assert_eq!(peer.query_hits("/a", MINUTE).expect("exact").count, 0);
        copy.merge(&peer.snapshot()).expect("it fits");
        assert_eq!(shared(&copy, "/a"), 0);
    }
}
