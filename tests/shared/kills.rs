//! Processes that are killed while they make, restore, compact, renew and merge files.
//!
//! `HITRING_KILLS` is how many, 300 if it is not set.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hitring::shared::{Inspection, Wanted, compact};
use hitring::{ManualClock, Registry, RegistrySnapshot, SharedBuilder, SharedError, SharedRegistry};

use super::exchange::alone;
use super::processes::{fork, kills, random, signal, wait};
use super::{Folder, MINUTE, START, at, small};

const NAMES: u64 = 300;

fn clock() -> ManualClock {
    ManualClock::new(at(START))
}

fn builder() -> SharedBuilder {
    small().max_endpoints(1_000).clock(clock())
}

/// The file at `path` with so many hits of each name.
fn filled(path: &Path, each: u64) -> SharedRegistry {
    let registry = builder().create(path).expect("it can be made");
    for number in 0..NAMES {
        assert!(registry.record_hit(&format!("/{number}"), each).expect("a name").is_counted());
    }
    registry
}

/// Runs `change` in a process that is killed at some time; answers whether it was.
fn killed(random: &mut impl FnMut(u64) -> u64, change: impl FnOnce()) -> bool {
    let child = fork(change);
    std::thread::sleep(Duration::from_micros(random(6_000)));
    signal(child, libc::SIGKILL);
    match wait(child) {
        0 => false,
        status => {
            assert_eq!(status, -libc::SIGKILL, "it fails only by being killed");
            true
        }
    }
}

/// What the file at `path` holds of each name, the same of all, and that it is whole.
fn each(path: &Path) -> u64 {
    let registry = small().clock(clock()).open(path).expect("it is whole");
    let faults = Inspection::open(path).and_then(|inspection| inspection.faults()).expect("it is whole");
    assert_eq!(faults, Vec::<String>::new());
    let hits = registry.buckets("/0", MINUTE).expect("known").iter().map(|bucket| bucket.count).sum();
    for number in 0..NAMES {
        let found = registry.query_hits(&format!("/{number}"), MINUTE).map(u64::from);
        assert_eq!(found, Ok(hits), "{number}");
    }
    hits
}

/// Nothing in `folder` but these files, once the next change has swept it.
fn only(folder: &Folder, names: &[&str]) {
    let mut found: Vec<String> = fs::read_dir(folder.file(""))
        .expect("it is there")
        .map(|file| file.expect("it can be read").file_name().into_string().expect("a name"))
        .collect();
    found.sort();
    assert_eq!(found, names);
}

fn memory() -> RegistrySnapshot {
    let registry = Registry::builder().window(MINUTE).clock(clock()).build().expect("it is small");
    for number in 0..NAMES {
        assert!(registry.record_hit(&format!("/{number}"), 100).expect("a name").is_counted());
    }
    registry.snapshot()
}

fn run(change: impl Fn(&Folder, &mut dyn FnMut(u64) -> u64) -> bool) {
    let (mut random, mut done) = (random(), 0);
    for turn in 0..kills() / 5 {
        let folder = if turn % 2 == 0 { Folder::new() } else { Folder::in_memory() };
        done += u32::from(change(&folder, &mut random));
    }
    println!("{done} killed");
}

#[test]
fn who_is_killed_while_it_makes_a_file_leaves_none_or_a_whole_one() {
    run(|folder, mut random| {
        let path = folder.file("hits.ring");
        let is_killed = killed(&mut random, || drop(builder().create(&path).expect("it can be made")));
        assert!(is_killed || path.exists());
        drop(filled(&path, 1));
        assert_eq!(each(&path), 1);
        only(folder, &["hits.ring"]);
        is_killed
    });
}

#[test]
fn who_is_killed_while_it_restores_leaves_the_old_hits_or_the_new_ones() {
    alone(|| {
        let snapshot = memory();
        run(|folder, mut random| {
            let path = folder.file("hits.ring");
            drop(filled(&path, 7));
            let is_killed = killed(&mut random, || {
                builder().open(&path).and_then(|registry| registry.restore(&snapshot)).expect("it is alone");
            });
            let hits = each(&path);
            assert!(hits == 100 || is_killed && hits == 7, "{hits}");
            builder().open(&path).and_then(|registry| registry.restore(&snapshot)).expect("it is alone");
            assert_eq!(each(&path), 100);
            only(folder, &["hits.ring"]);
            is_killed
        });
    });
}

#[test]
fn who_is_killed_while_it_compacts_leaves_the_old_file_as_it_was() {
    alone(|| {
        run(|folder, mut random| {
            let (path, new) = (folder.file("hits.ring"), folder.file("new.ring"));
            drop(filled(&path, 3));
            let before = fs::read(&path).expect("it can be read");
            let is_killed = killed(&mut random, || compact(&path, &new, Wanted::default()).expect("it is alone"));
            assert!(fs::read(&path).expect("it can be read") == before, "the old file is another");
            match compact(&path, &new, Wanted::default()) {
                Ok(()) => assert!(is_killed),
                Err(SharedError::Io { error, .. }) => assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists),
                Err(error) => panic!("{error}"),
            }
            assert_eq!(each(&new), 3);
            is_killed
        });
    });
}

#[test]
fn who_is_killed_while_it_begins_a_new_writer_leaves_one_of_the_two() {
    alone(|| {
        run(|folder, mut random| {
            let (path, copy) = (folder.file("hits.ring"), folder.file("copy.ring"));
            let registry = filled(&path, 5);
            // Of some the old writer's cells are frozen already.
            fs::copy(&path, &copy).expect("it can be copied");
            fs::rename(&copy, &path).expect("it can be replaced");
            let registry = (registry, builder().open(&path).expect("it is whole"));
            assert!(registry.1.record_hit("/0", 1).expect("a name").is_counted());
            let before = registry.1.snapshot();
            drop(registry);
            fs::copy(&path, &copy).expect("it can be copied");
            let is_killed = killed(&mut random, || drop(builder().open(&copy).expect("it is whole")));
            let opened = builder().open(&copy).expect("it is whole");
            assert_ne!(opened.replica(), before.replica());
            let local = Registry::builder().window(MINUTE).clock(clock()).build().expect("it is small");
            for snapshot in [opened.snapshot(), before.clone(), opened.snapshot()] {
                assert_eq!(local.merge(&snapshot).expect("it fits"), 0);
            }
            for (name, hits) in [("/0", 6), ("/1", 5), ("/299", 5)] {
                assert_eq!(opened.query_hits(name, MINUTE).map(u64::from), Ok(hits));
                assert_eq!(local.query_hits(name, MINUTE).map(u64::from), Ok(hits));
            }
            let faults = Inspection::open(&copy).and_then(|inspection| inspection.faults()).expect("it is whole");
            assert_eq!(faults, Vec::<String>::new());
            assert_eq!((opened.metrics().total_hits, local.metrics().total_hits), (NAMES * 5 + 1, NAMES * 5 + 1));
            only(folder, &["copy.ring", "hits.ring"]);
            is_killed
        });
    });
}

#[test]
fn who_is_killed_while_it_merges_loses_and_doubles_nothing() {
    let snapshot = memory();
    run(|folder, mut random| {
        let path = folder.file("hits.ring");
        let registry = filled(&path, 7);
        let is_killed = killed(&mut random, || {
            builder().open(&path).and_then(|registry| registry.merge(&snapshot)).expect("it fits");
        });
        for number in 0..NAMES {
            let hits = registry.query_hits(&format!("/{number}"), MINUTE).map(u64::from).expect("known");
            assert!(hits == 107 || is_killed && hits == 7, "{number}: {hits}");
        }
        assert_eq!(registry.merge(&snapshot).expect("it fits"), 0);
        assert_eq!(each(&path), 107);
        assert_eq!(registry.metrics().total_hits, NAMES * 107);
        is_killed
    });
}
