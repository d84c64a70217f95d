//! Endpoints of a shared file: names and lives that several processes begin, remove and count in at a time.
//!
//! A process that is killed is a thread that takes no further step: models begin where one stopped.

use hitring::cell::form::Cell;
use hitring::shared::format::layout::LIFE;
use hitring::shared::format::lives::{Life, Lives};
use hitring::shared::format::names::{Full, Name, Names};
use hitring::shared::format::tail::Tail;
use hitring::sync::mutant::Mutant;
use hitring::sync::{AtomicU64, Ordering};
use hitring::window::geometry::Geometry;
use hitring::{Outcome, Tick};

use super::{geometry, span};
use crate::explorer::{Arc, JoinHandle, check, check_within, fails, spawn};

const SPLIT: &str = "an endpoint has not all of its hits";
const OTHERS: &str = "an endpoint has the hits of another";
const BACK: &str = "a new life has hits of the old one";
const TWICE: &str = "an endpoint was removed twice, or not at all";
const HALF: &str = "something is seen without what came before it";
const OPEN: &str = "a life takes hits in a file that is closed";
const WHOLE: &str = "a merge that began found too little room";
const ROOM: &str = "the room was not used as far as there is";

/// The slots of a ring, as the file has them.
const SLOTS: usize = 3;
/// The tick of all hits; the slots have hits of a lap before it.
const NOW: Tick = Tick(4);

/// The sections of a file with room for a few lives.
struct File {
    geometry: Geometry,
    table: Vec<AtomicU64>,
    arena: Vec<AtomicU64>,
    used: AtomicU64,
    lives: Vec<AtomicU64>,
    rings: Vec<AtomicU64>,
    tail: AtomicU64,
    epoch: AtomicU64,
}

impl File {
    /// Room for `lives`; the slots of all rings have seven hits of an older lap.
    fn new(lives: usize) -> Self {
        let geometry = geometry(2, SLOTS as u32);
        let zeroes = |many: usize| (0..many).map(|_| AtomicU64::new(0)).collect();
        let older = |index: usize| AtomicU64::new(geometry.place(Tick((index % SLOTS) as u64)).base | 7);
        Self {
            geometry,
            table: zeroes(2),
            arena: zeroes(10),
            used: AtomicU64::new(0),
            lives: zeroes(lives * LIFE),
            rings: (0..lives * SLOTS).map(older).collect(),
            tail: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
        }
    }

    fn lives(&self) -> Lives<'_> {
        let names = Names { table: &self.table, arena: &self.arena, used: &self.used };
        Lives { words: &self.lives, rings: &self.rings, ring: SLOTS, tail: Tail(&self.tail), names }
    }

    /// Counts by name, as a process does that knows nothing of the endpoint; false without room. All names have one hash.
    fn record(&self, name: &str, amount: u64) -> bool {
        let lane = amount as usize;
        let lives = self.lives();
        loop {
            let begun = lives.names.find_or_insert(0, name).and_then(|name| lives.begin(name));
            let Ok(life) = begun else {
                assert_eq!(begun.map(drop), Err(Full));
                return false;
            };
            if life.record_current(&self.geometry, NOW, amount, lane) {
                return true;
            }
            if let Ok(outcome) = life.record(&self.geometry, NOW, amount, lane) {
                assert_eq!(outcome, Outcome::Counted);
                return true;
            }
        }
    }

    /// The hits in the window and of all time.
    fn count(&self, name: &str) -> (u64, u64) {
        let lives = self.lives();
        let life = lives.names.find(0, name).and_then(|name| lives.alive(name));
        life.map_or((0, 0), |life| {
            let reading = life.row().sum(&self.geometry, span(3, 4));
            assert!(reading.exact);
            (reading.count, life.total())
        })
    }

    fn remove(&self, name: &str) -> bool {
        let name = self.lives().names.find(0, name).expect("it was made");
        self.lives().remove(name, &self.epoch, NOW)
    }
}

/// Two bring one name.
fn one_name_twice() {
    let file = Arc::new(File::new(2));
    let writers = [1, 2].map(|amount| {
        let file = Arc::clone(&file);
        spawn(move || assert!(file.record("a", amount), "{ROOM}"))
    });
    for writer in writers {
        writer.join().expect("a model thread ends");
    }
    assert_eq!(file.count("a"), (3, 3), "{SPLIT}");
    assert_eq!(file.lives().begun(), 1, "{SPLIT}");
}

/// Two bring different names, and there is room for one.
fn the_last_room() {
    let file = Arc::new(File::new(1));
    let writers = ["a", "b"].map(|name| {
        let file = Arc::clone(&file);
        spawn(move || (name, file.record(name, 1)))
    });
    let mut counted = 0;
    for (name, took) in writers.map(|writer| writer.join().expect("a model thread ends")) {
        counted += u64::from(took);
        let expected = u64::from(took);
        assert_eq!(file.count(name), (expected, expected), "{OTHERS}");
    }
    assert_eq!(counted, 1, "{ROOM}");
}

/// One was killed when it had put its name into the first place; two go on.
fn one_was_killed_in_between() {
    let file = File::new(3);
    let name = file.lives().names.find_or_insert(0, "a").expect("there is room");
    file.lives[0].store(name.unit(), Ordering::Release);
    let file = Arc::new(file);
    let writers = ["a", "b"].map(|name| {
        let file = Arc::clone(&file);
        spawn(move || assert!(file.record(name, 1), "{ROOM}"))
    });
    for writer in writers {
        writer.join().expect("a model thread ends");
    }
    assert_eq!((file.count("a"), file.count("b")), ((1, 1), (1, 1)), "{SPLIT}");
    assert_eq!(file.lives().begun(), 2, "{SPLIT}");
}

/// A handle that is stopped in the middle of a hit goes on after its endpoint was removed and made again.
fn a_stalled_handle() {
    let file = Arc::new(File::new(2));
    assert!(file.record("a", 2));
    let handle = {
        let file = Arc::clone(&file);
        spawn(move || {
            let life = file.lives().get(0).expect("it has begun");
            life.record_current(&file.geometry, NOW, 1, 0) || life.record(&file.geometry, NOW, 1, 0).is_ok()
        })
    };
    let remover = {
        let file = Arc::clone(&file);
        spawn(move || {
            assert!(file.remove("a"), "{TWICE}");
            assert!(file.record("a", 5), "{ROOM}");
        })
    };
    let counted = handle.join().expect("a model thread ends");
    remover.join().expect("a model thread ends");
    assert_eq!(file.count("a"), (5, 5), "{BACK}");
    let old = file.lives().get(0).expect("it has begun");
    assert_eq!(old.total(), 2 + u64::from(counted), "{SPLIT}");
}

/// Two remove an endpoint, beside one that counts in it by name.
fn two_removers() {
    let file = Arc::new(File::new(3));
    assert!(file.record("a", 2));
    let removers = [0, 1].map(|_| {
        let file = Arc::clone(&file);
        spawn(move || file.remove("a"))
    });
    let writer = {
        let file = Arc::clone(&file);
        spawn(move || assert!(file.record("a", 1), "{ROOM}"))
    };
    let removed = removers.map(|remover| remover.join().expect("a model thread ends"));
    writer.join().expect("a model thread ends");
    let ended = removed.into_iter().filter(|&removed| removed).count();
    let lives = file.lives();
    let over = lives.iter().filter(|life| !life.is_alive()).count();
    assert_eq!(ended, over, "{TWICE}");
    assert!(ended >= 1, "{TWICE}");
    let all: u64 = lives.iter().map(|life| life.total()).sum();
    assert_eq!(all, 3, "{SPLIT}");
    // A later life is of a later epoch.
    let epochs: Vec<u64> = lives.iter().map(|life| life.epoch()).collect();
    assert!(epochs.windows(2).all(|pair| pair[0] < pair[1]), "{BACK}: {epochs:?}");
}

fn thread(file: &Arc<File>, body: impl FnOnce(&File) + Send + 'static) -> JoinHandle<()> {
    let file = Arc::clone(file);
    spawn(move || body(&file))
}

fn both(file: &Arc<File>, one: impl FnOnce(&File) + Send + 'static, other: impl FnOnce(&File) + Send + 'static) {
    let threads = [thread(file, one), thread(file, other)];
    threads.into_iter().for_each(|thread| thread.join().expect("a model thread ends"));
}

/// A name is made beside a reader that looks at the bucket first.
fn finding() {
    both(
        &Arc::new(File::new(1)),
        |file| assert!(file.lives().names.find_or_insert(0, "a").is_ok(), "{ROOM}"),
        |file| {
            let names = file.lives().names;
            assert!(file.table[0].load(Ordering::Relaxed) == 0 || names.find(0, "a").is_some(), "{HALF}");
        },
    );
}

/// A name's second life begins beside a reader by name.
fn a_life_by_name() {
    let file = Arc::new(File::new(2));
    assert!(file.record("a", 1) && file.remove("a"));
    both(
        &file,
        |file| assert!(file.record("a", 5), "{ROOM}"),
        |file| {
            let name = file.lives().names.find(0, "a").expect("it was made");
            if name.life().load(Ordering::Relaxed) == 2 {
                let last = file.lives().last(name).map(|life| (life.index(), life.epoch()));
                assert_eq!(last, Some((1, 1)), "{HALF}");
            }
        },
    );
}

/// The same beside a reader of all lives.
fn a_life_in_the_list() {
    let file = Arc::new(File::new(1));
    both(
        &file,
        |file| assert!(file.record("a", 1), "{ROOM}"),
        |file| file.lives().iter().for_each(|life| assert_ne!(life.name(), 0, "{HALF}")),
    );
}

/// An endpoint is removed and begun again, and another process finishes what it finds of that.
fn finished_by_another() {
    let file = Arc::new(File::new(4));
    assert!(file.record("a", 1) && file.record("b", 1) && file.remove("b"));
    both(
        &file,
        |file| assert!(file.remove("a") && file.record("a", 1), "{ROOM}"),
        |file| assert!(file.record("b", 1), "{ROOM}"),
    );
    let lives = file.lives();
    let epochs: Vec<u64> = lives.iter().skip(2).map(|life| life.epoch()).collect();
    assert!(epochs.len() == 2 && epochs.iter().all(|&epoch| epoch > 0), "{BACK}: {epochs:?}");
}

/// An endpoint is removed beside a reader of its life.
fn a_removed_life(sees: fn(&File) -> bool, has: fn(&File) -> bool) {
    let file = Arc::new(File::new(1));
    assert!(file.record("a", 1));
    both(&file, |file| assert!(file.remove("a"), "{TWICE}"), move |file| assert!(!sees(file) || has(file), "{HALF}"));
}

fn life(file: &File) -> Life<'_> {
    file.lives().get(0).expect("it has begun")
}

fn name(file: &File) -> Name<'_> {
    file.lives().names.find(0, "a").expect("it was made")
}

fn ended_at(file: &File) -> bool {
    name(file).ended_at().load(Ordering::Relaxed) == NOW.0
}

/// Two hits, the first by the long way, beside a reader of the total and then of the slots.
fn totals() {
    let file = Arc::new(File::new(1));
    let name = file.lives().names.find_or_insert(0, "a").expect("there is room");
    assert!(file.lives().begin(name).is_ok());
    both(
        &file,
        |file| [1, 5].into_iter().for_each(|amount| assert!(file.record("a", amount), "{ROOM}")),
        |file| {
            let total = life(file).total();
            assert!(life(file).row().sum(&file.geometry, span(3, 4)).count >= total, "{SPLIT}");
        },
    );
}

/// A file is closed beside one that counts under a new name.
fn closed() {
    let file = Arc::new(File::new(2));
    both(&file, |file| file.lives().close(), |file| _ = file.record("a", 1));
    let lives = file.lives();
    let open = (0..2).filter_map(|index| lives.get(index)).any(|life| life.name() != 0 && life.is_alive());
    assert!(!open && lives.is_closed(), "{OPEN}");
    assert!(!file.record("a", 1) && !file.record("b", 1), "{OPEN}");
}

/// A merge needs two places of a file, beside one that brings a name and may have begun to.
fn kept_places() {
    let file = Arc::new(File::new(2));
    let recorder = {
        let file = Arc::clone(&file);
        spawn(move || file.record("a", 1))
    };
    let merge = {
        let file = Arc::clone(&file);
        spawn(move || {
            let lives = file.lives();
            let name = lives.names.find_or_insert(0, "m").expect("there is room");
            let Some(mut kept) = lives.tail.keep(2, lives.capacity()) else { return false };
            if lives.begin_merged_kept(name, &mut kept).is_err() {
                return false;
            }
            let second = lives.begin_kept(name, &mut kept);
            assert!(second.is_ok(), "{WHOLE}");
            true
        })
    };
    let (recorded, merged) =
        (recorder.join().expect("a model thread ends"), merge.join().expect("a model thread ends"));
    assert!(recorded != merged, "{ROOM}");
    let lives = file.lives();
    assert_eq!(lives.begun(), 1 + usize::from(merged), "{ROOM}");
    // What was kept is free again: a place is left for this name, or it has a life.
    assert!(!lives.are_kept() && file.record("m", 1), "{ROOM}");
}

/// A slot is raised from 3 to 5, twice, beside a reader.
fn raised() {
    let file = Arc::new(File::new(1));
    assert!(file.record("a", 1));
    let row = |file: &File, count: u64| {
        let geometry = &file.geometry;
        life(file).row().raise(geometry, Cell { tick: NOW, count });
    };
    row(&file, 3);
    both(
        &file,
        move |file| (0..2).for_each(|_| row(file, 5)),
        |file| {
            let counts = [0, 1].map(|_| life(file).row().sum(&file.geometry, span(3, 4)).count);
            assert!([[3, 3], [3, 5], [5, 5]].contains(&counts), "{SPLIT}: {counts:?}");
        },
    );
    assert_eq!(life(&file).row().sum(&file.geometry, span(3, 4)).count, 5, "{SPLIT}");
}

#[test]
fn a_raise_is_seen_whole_and_twice_is_once() {
    check(raised);
    fails(Mutant::RaiseAdds, SPLIT, raised);
}

#[test]
fn a_merge_that_begins_has_its_places() {
    check(kept_places);
    fails(Mutant::KeptPlacesTaken, WHOLE, kept_places);
    fails(Mutant::KeptPlacesTrusted, WHOLE, kept_places);
}

#[test]
fn no_life_takes_hits_in_a_closed_file() {
    check(closed);
    fails(Mutant::CloseLeavesAPlace, OPEN, closed);
}

#[test]
fn a_name_that_is_seen_is_found() {
    check(finding);
}

#[test]
fn a_life_that_is_seen_has_begun() {
    check(a_life_by_name);
    check(a_life_in_the_list);
}

#[test]
fn a_life_that_another_finishes_is_of_a_later_epoch() {
    check_within(2, finished_by_another);
}

#[test]
fn a_removal_is_seen_with_its_epoch_and_tick() {
    check(|| a_removed_life(|file| !life(file).is_alive(), ended_at));
    check(|| a_removed_life(|file| name(file).ended() > 0, ended_at));
    check(|| a_removed_life(|file| life(file).removed() > 0, |file| file.epoch.load(Ordering::Relaxed) > 0));
}

#[test]
fn a_total_is_never_ahead_of_the_slots() {
    check(totals);
}

#[test]
fn a_name_has_one_life() {
    check(one_name_twice);
    fails(Mutant::NameTakenOver, SPLIT, one_name_twice);
    fails(Mutant::LifeUnfinished, SPLIT, one_name_twice);
}

#[test]
fn the_last_room_goes_to_one() {
    check(the_last_room);
    fails(Mutant::LifeTakenOver, OTHERS, the_last_room);
}

#[test]
fn who_is_killed_leaves_no_half_of_a_life() {
    check(one_was_killed_in_between);
    fails(Mutant::LifeUnfinished, SPLIT, one_was_killed_in_between);
}

#[test]
fn a_removed_endpoint_has_no_part_in_the_next() {
    check(a_stalled_handle);
    fails(Mutant::LifeUsedAgain, BACK, a_stalled_handle);
}

#[test]
fn an_endpoint_is_removed_once() {
    check_within(2, two_removers);
    fails(Mutant::LifeEndsByStore, TWICE, two_removers);
}
