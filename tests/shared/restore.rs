//! A file in the place of another: beside threads that count, children that cannot lock, links, and what a killed one left.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hitring::{Outcome, Registry, RegistrySnapshot, SharedError, SharedRegistry};

use super::exchange::alone;
use super::processes::{fork, wait};
use super::{Folder, MINUTE, made, small};
use crate::threads::{SetAtEnd, together};

const NOBODY: libc::uid_t = 65_534;

fn is_root() -> bool {
    // SAFETY: it only answers a number.
    unsafe { libc::geteuid() == 0 }
}

pub fn empty() -> RegistrySnapshot {
    Registry::builder().window(MINUTE).build().expect("it is possible").snapshot()
}

#[test]
fn no_handle_counts_in_the_file_that_a_restore_replaced() {
    alone(|| {
        let made = made();
        let mut late = 0;
        for _ in 0..60 {
            let (stop, begun) = (AtomicBool::new(false), AtomicBool::new(false));
            let kept = made.snapshot();
            let handles = std::thread::scope(|scope| {
                let taking = scope.spawn(|| {
                    let mut handles = Vec::new();
                    for number in 0u64.. {
                        if stop.load(Ordering::Acquire) {
                            break;
                        }
                        let name = format!("/{}", number % 20);
                        handles.push(made.counter(&name).expect("there is room"));
                        // Nothing is refused because of the restore.
                        assert_eq!(made.record_hit(&name, 1), Ok(Outcome::Counted));
                        begun.store(true, Ordering::Release);
                        if handles.len() > 2_000 {
                            handles.drain(..1_000);
                        }
                    }
                    handles
                });
                let end = SetAtEnd(&stop);
                while !begun.load(Ordering::Acquire) && !taking.is_finished() {
                    std::hint::spin_loop();
                }
                made.restore(&kept).expect("it is alone");
                drop(end);
                taking.join().expect("it ends")
            });
            for handle in &handles {
                let before = made.total_ever(handle.name());
                if handle.record(1).is_counted() {
                    assert_eq!(made.total_ever(handle.name()), before + 1, "{}", handle.name());
                    late += 1;
                }
            }
        }
        // Some were taken after the new file was there.
        assert!(late > 0);
    });
}

#[test]
fn threads_of_a_process_merge_one_after_the_other() {
    const THREADS: usize = 4;
    const EACH: usize = 60;
    let folder = Folder::new();
    let registry = small().max_endpoints(600).create(folder.file("merged.ring")).expect("it can be made");
    let snapshot = || {
        let other = Registry::builder().window(MINUTE).build().expect("it is possible");
        other.record_hit("/a", 1).expect("a name");
        other.snapshot()
    };
    let snapshots: Vec<Vec<RegistrySnapshot>> = (0..THREADS).map(|_| (0..EACH).map(|_| snapshot()).collect()).collect();
    // All of them have the same open file, which the system's lock does not tell apart.
    together(THREADS, |thread| {
        for snapshot in &snapshots[thread] {
            registry.merge(snapshot).expect("there is room, and the others take turns");
        }
    });
    // Each has a place of its own, beside the name's.
    let merged = (THREADS * EACH) as u64;
    assert_eq!((registry.total(MINUTE).expect("exact").count, registry.room().lives), (merged, merged + 1));
}

#[test]
fn a_link_stays_one() {
    alone(|| {
        let folder = Folder::new();
        let (real, link) = (folder.file("real.ring"), folder.file("link.ring"));
        let first = small().create(&real).expect("it can be made");
        drop(first);
        symlink(&real, &link).expect("a link can be made");
        let linked = small().create(&link).expect("it is whole");
        linked.record_hit("/a", 3).expect("a name");
        linked.restore(&linked.snapshot()).expect("it is alone");
        assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
        linked.record_hit("/a", 1).expect("a name");
        let direct = small().create(&real).expect("it is whole");
        direct.record_hit("/a", 1).expect("a name");
        let hits = |registry: &SharedRegistry| registry.query_hits("/a", MINUTE).expect("exact").count;
        assert_eq!((hits(&linked), hits(&direct)), (5, 5));
        assert!(linked.is_current());
    });
}

#[test]
fn mode_and_owner_stay() {
    alone(|| {
        let folder = Folder::new();
        let path = folder.file("a.ring");
        let registry = small().create(&path).expect("it can be made");
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
        let belongs = |path: &std::path::Path| {
            let data = fs::metadata(path).expect("it is there");
            (data.mode() & 0o7777, data.uid(), data.gid())
        };
        mode(0o660);
        if is_root() {
            std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).expect("root may");
        }
        let before = belongs(&path);
        registry.restore(&registry.snapshot()).expect("it is alone");
        assert_eq!(belongs(&path), before);
        drop(registry);
        // A copy goes on under a new writer: in the same file, or in a new file while a reader has the old one open.
        for is_read in [false, true] {
            let copy = folder.file("copy.ring");
            let _ = fs::remove_file(&copy);
            fs::copy(&path, &copy).expect("it can be copied");
            if is_root() {
                std::os::unix::fs::chown(&copy, Some(NOBODY), Some(NOBODY)).expect("root may");
            }
            let reader = is_read.then(|| SharedRegistry::read(&copy).expect("it is whole"));
            let inode = fs::metadata(&copy).expect("it is there").ino();
            drop(SharedRegistry::open(&copy).expect("it is whole"));
            assert_eq!(fs::metadata(&copy).expect("it is there").ino() != inode, is_read);
            assert_eq!(belongs(&copy), before);
            assert!(reader.is_none_or(|reader| !reader.is_current()));
        }
        let compacted = folder.file("compacted.ring");
        hitring::shared::compact(&path, &compacted, hitring::shared::Wanted::default()).expect("it is alone");
        assert_eq!(belongs(&compacted), before);
    });
}

#[test]
fn a_copy_of_another_user_is_refused_before_it_is_renewed() {
    if !is_root() {
        println!("skip: only root can give a file away");
        return;
    }
    let folder = Folder::new();
    drop(small().create(folder.file("source.ring")).expect("it can be made"));
    let copy = folder.file("copy.ring");
    fs::copy(folder.file("source.ring"), &copy).expect("it can be copied");
    std::os::unix::fs::chown(&copy, Some(NOBODY), Some(NOBODY)).expect("root may");
    let before = (fs::read(&copy).expect("it is there"), fs::metadata(&copy).expect("it is there").ino());
    let refused = small().create(&copy).expect_err("its owner is not trusted");
    assert!(matches!(refused, SharedError::Owner { uid: NOBODY, .. }), "{refused}");
    assert_eq!((fs::read(&copy).expect("it is there"), fs::metadata(&copy).expect("it is there").ino()), before);
    // `open` trusts it.
    assert!(SharedRegistry::open(&copy).is_ok());
}

#[test]
fn what_a_killed_restore_left_is_removed_and_nothing_else() {
    alone(|| {
        let folder = Folder::new();
        let path = folder.file("a.ring");
        let registry = small().create(&path).expect("it can be made");
        // As one is called that was killed before it took the place.
        let prefix = format!(".hitring-{:08x}-", crc32fast::hash(b"a.ring"));
        let left = folder.file(&format!("{prefix}1-0-0.new"));
        let others =
            [folder.file(".hitring-00000000-1-0-0.new"), folder.file(&format!("{prefix}note")), folder.file("b.new")];
        for file in others.iter().chain([&left]) {
            fs::write(file, "something").expect("it can be written");
        }
        registry.restore(&registry.snapshot()).expect("it is alone");
        assert!(!left.exists() && others.iter().all(|file| file.exists()));
        assert_eq!(fs::read_dir(&folder.0).expect("it is there").count(), 4);
    });
}

#[test]
fn a_name_as_long_as_names_can_be_is_restored() {
    alone(|| {
        let folder = Folder::new();
        let registry = small().create(folder.file(&"n".repeat(255))).expect("it can be made");
        registry.record_hit("/a", 1).expect("a name");
        registry.restore(&registry.snapshot()).expect("it is alone");
        assert_eq!(registry.query_hits("/a", MINUTE).expect("exact").count, 1);
    });
}

#[test]
fn a_folder_that_can_be_written_and_not_read_is_enough() {
    alone(|| {
        let folder = Folder::new();
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o777)).expect("it is ours");
        if is_root() {
            // SAFETY: this process is the test's own.
            assert_eq!(unsafe { libc::setuid(NOBODY) }, 0);
        }
        let inner = folder.file("inner");
        fs::create_dir(&inner).expect("it can be made");
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o300)).expect("it is ours");
        let path = inner.join("a.ring");
        let registry = small().create(&path).expect("it can be made");
        registry.record_hit("/a", 3).expect("a name");
        registry.restore(&registry.snapshot()).expect("it is alone");
        registry.record_hit("/a", 1).expect("a name");
        assert_eq!(SharedRegistry::open(&path).expect("it is whole").query_hits("/a", MINUTE).expect("exact").count, 4);
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o700)).expect("it is ours");
    });
}

/// A child lives that could not be given a lock; its parent is asked to restore.
fn beside_a_child_without_a_lock(prevent: impl FnOnce() -> Box<dyn FnOnce()>) {
    let folder = Folder::new();
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o777)).expect("it is ours");
    let registry = small().create(folder.file("a.ring")).expect("it can be made");
    registry.record_hit("/a", 3).expect("a name");
    let allow = prevent();
    let child = fork(|| {
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(registry.record_hit("/a", 10), Ok(Outcome::Counted));
    });
    allow();
    let refused = registry.restore(&empty());
    assert!(matches!(refused, Err(SharedError::InUse { .. })), "{refused:?}");
    assert_eq!(wait(child), 0);
    assert_eq!(registry.total_ever("/a"), 13);
    // Nothing tells that it has ended.
    assert!(matches!(registry.restore(&empty()), Err(SharedError::InUse { .. })));
}

#[test]
fn a_parent_without_descriptors_is_not_alone_after_a_fork() {
    alone(|| {
        beside_a_child_without_a_lock(|| {
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: both calls have a valid `rlimit`; this process is the test's own.
            unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
            let none = libc::rlimit { rlim_cur: 3, ..limit };
            // SAFETY: as above.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const none) }, 0);
            Box::new(move || {
                // SAFETY: as above.
                assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
            })
        });
    });
}

#[test]
fn a_parent_that_dropped_its_privileges_is_not_alone_after_a_fork() {
    if !is_root() {
        println!("skip: only root has privileges to drop");
        return;
    }
    alone(|| {
        beside_a_child_without_a_lock(|| {
            // SAFETY: this process is the test's own.
            assert_eq!(unsafe { libc::setuid(NOBODY) }, 0);
            Box::new(|| ())
        });
    });
}

#[test]
fn limits_stay_over_a_restore() {
    alone(|| {
        let made = made();
        let rate = || "5/minute".parse().expect("a rate");
        for burst in [None, Some(5)] {
            let name = format!("{burst:?}");
            let before = made.limiter(&name, rate(), burst).expect("there is room");
            assert!(before.allow("ann", 5).allowed && before.allow("bob", 2).allowed);
            for _ in 0..3 {
                made.restore(&empty()).expect("it is alone");
                let after = made.limiter(&name, rate(), burst).expect("there is room");
                for limiter in [&before, &after] {
                    assert!(!limiter.allow("ann", 1).allowed);
                    assert_eq!(limiter.peek("bob", 1).remaining, 3);
                }
            }
            assert!(before.allow("bob", 3).allowed && !before.allow("bob", 1).allowed);
            made.clock.advance(MINUTE * 2).expect("in range");
            assert!(before.allow("ann", 5).allowed);
        }
    });
}

#[test]
fn limits_beside_a_restore_let_no_more_through() {
    const LIMIT: u64 = 100_000;
    const RESTORES: u64 = 30;
    alone(|| {
        let made = made();
        let rate = format!("{LIMIT}/hour").parse().expect("a rate");
        let limiter = made.limiter("all", rate, None).expect("there is room");
        let done = AtomicBool::new(false);
        let allowed = together(3, |number| {
            if number == 0 {
                let _end = SetAtEnd(&done);
                (0..RESTORES).for_each(|_| made.restore(&empty()).expect("it is alone"));
                return 0;
            }
            let mut allowed = 0;
            // One at least, however late the thread comes.
            loop {
                allowed += u64::from(limiter.allow("one", 1).allowed);
                if done.load(Ordering::Acquire) {
                    return allowed;
                }
            }
        });
        let allowed: u64 = allowed.into_iter().sum();
        // Of each thread one decision for each restore may be under way: it is made once more, so it may have been charged twice.
        assert!((1..=LIMIT).contains(&allowed), "{allowed}");
        let more = (0..LIMIT).take_while(|_| limiter.allow("one", 1).allowed).count() as u64;
        assert!((LIMIT - 2 * RESTORES..=LIMIT).contains(&(allowed + more)), "{allowed} and {more}");
    });
}
