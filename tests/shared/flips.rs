//! Every bit of every word that is in use is flipped once, and `--check` finds each flip that changes an answer.
//!
//! It does not find a flip in a word that may hold any number: the hits of a slot or a total, the time since which a life is
//! known, or the visitor that came.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hitring::shared::Inspection;
use hitring::{Outcome, Registry, SharedRegistry};

use super::exchange::alone;
use super::{MINUTE, Made, START, made, small};

const NAMES: [&str; 6] = ["/endpoint/number/one", "/b", "/c", "/removed", "/again", "/merged"];

/// What a word is, by where it lies (docs/formats.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    Header,
    Hot(usize),
    Table,
    Name(usize),
    Life(usize),
    Slot,
    Other,
    Visitors,
    Limits,
    Frozen,
    Finds,
    Seal,
}

/// What the word at that place of a section is.
type Kind = fn(usize) -> Word;

/// What each word of a file is.
fn words(bytes: &[u8]) -> Vec<(u64, Word)> {
    let words: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    let number = |word: u64| usize::try_from(word).expect("the file is small");
    let (endpoints, slots) = (number(words[5] >> 32), number(words[5] & 0xffff_ffff));
    let sections: [(usize, Kind); 12] = [
        (512, |at| if at < 64 { Word::Header } else { Word::Hot((at - 64) / 8) }),
        ((endpoints * 2).next_power_of_two(), |_| Word::Table),
        (number(words[6]) / 8, |at| Word::Name(at % 8)),
        (endpoints * 48, |at| Word::Life(at % 48)),
        (endpoints * slots.next_multiple_of(16), |_| Word::Slot),
        (2 * 5_642, |_| Word::Other),
        (number(words[7]), |_| Word::Visitors),
        (number(words[8]) * 3 / 2 * 16, |_| Word::Limits),
        (number(words[27]) * 8, |_| Word::Finds),
        (number(words[28]), |_| Word::Header),
        (number(words[9]), |_| Word::Frozen),
        (1, |_| Word::Seal),
    ];
    let mut all = Vec::new();
    for (length, kind) in sections {
        let begin = all.len();
        all.extend((0..length.next_multiple_of(512)).map(|at| (words[begin + at], kind(at))));
    }
    assert_eq!(all.len(), words.len(), "the sections are those of the file");
    all
}

/// A file with some of everything.
fn filled() -> (Made, SharedRegistry) {
    let made = made();
    for (number, name) in (1..).zip(&NAMES[..5]) {
        for visitor in ["ann", "ben", "cleo"] {
            assert_eq!(made.record_visit(name, visitor, number), Ok(Outcome::Counted));
        }
    }
    for name in ["/removed", "/again"] {
        assert!(made.remove(name).expect("it is there"));
    }
    made.set(START + 1);
    assert_eq!(made.record_hit("/again", 9), Ok(Outcome::Counted));
    // Cells of a former writer, and a removal to keep in mind.
    std::fs::copy(made.path(), made.folder.file("copy.ring")).expect("it can be copied");
    let copy = made.open(&made.folder.file("copy.ring"));
    assert!(copy.remove("/again").expect("it is there"));
    for (name, amount) in [("/again", 5), ("/b", 6)] {
        assert_eq!(copy.record_visit(name, "dan", amount), Ok(Outcome::Counted));
    }
    for amount in [3, 4] {
        let memory = Registry::builder().window(MINUTE).clock(made.clock.clone()).build().expect("it is small");
        assert_eq!(memory.record_hit("/merged", amount), Ok(Outcome::Counted));
        assert_eq!(memory.record_hit("/b", amount), Ok(Outcome::Counted));
        copy.merge(&memory.snapshot()).expect("it fits");
    }
    assert!(
        copy.limiter("logins", "5/minute".parse().expect("a rate"), None).expect("there is room").allow("a", 5).allowed
    );
    copy.sync().expect("the disk has room");
    (made, copy)
}

/// All that can be asked for.
fn answers(registry: &SharedRegistry) -> String {
    let of = |name: &&str| {
        let hits = registry.query_hits(name, MINUTE).map(u64::from);
        (hits, registry.total_ever(name), registry.uniques_ever(name), registry.query_uniques(name, MINUTE))
    };
    let names: Vec<_> = NAMES.iter().map(of).collect();
    let all = (registry.endpoints(), registry.total(MINUTE), registry.top(9, MINUTE), registry.metrics().total_hits);
    format!("{names:?} {all:?} {:?}", registry.snapshot())
}

/// Whether the word may hold any number, so that a flipped bit cannot be noticed.
fn is_a_number(word: Word) -> bool {
    const OF_A_LIFE: [usize; 5] = [1, 5, 6, 7, 8];
    match word {
        Word::Slot | Word::Limits | Word::Visitors | Word::Finds => true,
        // The tally, and how often something was done.
        Word::Hot(word) => [2, 3, 4, 6, 7].contains(&word),
        Word::Name(word) => [2, 3].contains(&word),
        Word::Life(word) => OF_A_LIFE.contains(&word) || word >= 9,
        _ => false,
    }
}

#[test]
fn what_a_flipped_bit_changes_is_found() {
    alone(what_a_flipped_bit_changes_is_found_alone);
}

fn what_a_flipped_bit_changes_is_found_alone() {
    let (made, copy) = filled();
    let path = copy.path().to_owned();
    drop(copy);
    let reader = small().clock(made.clock.clone()).read(&path).expect("it is whole");
    let inspection = Inspection::open(&path).expect("it is whole");
    let file = File::options().read(true).write(true).open(&path).expect("it is there");
    let bytes = std::fs::read(&path).expect("it can be read");
    let (before, faults) = (answers(&reader), || inspection.faults().expect("it is not cut"));
    assert_eq!(faults(), Vec::<String>::new());
    let (mut changed, mut found, mut missed) = (0, 0, std::collections::BTreeMap::<Word, Vec<usize>>::new());
    for (index, (value, kind)) in words(&bytes).into_iter().enumerate().filter(|(_, (value, _))| *value != 0) {
        // Opening the file checks the header, and every query reads the seal.
        if matches!(kind, Word::Header | Word::Seal) {
            continue;
        }
        for bit in 0..64 {
            let at = index as u64 * 8;
            file.write_all_at(&(value ^ 1 << bit).to_le_bytes(), at).expect("it can be written");
            let (is_changed, is_found) = (answers(&reader) != before, !faults().is_empty());
            changed += u32::from(is_changed);
            found += u32::from(is_found);
            // A link that becomes 0 leads to nothing, as that of a life without visitors.
            let is_no_link = kind == Word::Life(4) && value == 1 << bit;
            if is_changed && !is_found && !is_a_number(kind) && !is_no_link {
                missed.entry(kind).or_default().push(bit);
            }
            file.write_all_at(&value.to_le_bytes(), at).expect("it can be written");
        }
    }
    assert_eq!(answers(&reader), before, "all is as it was");
    assert!(missed.is_empty(), "{missed:?}");
    assert!(changed > 1_000 && found > 1_000, "{changed} changed, {found} found");
}

#[test]
fn nothing_is_found_beside_those_who_count() {
    let made = made();
    let registry = small().max_endpoints(200_000).clock(made.clock.clone()).create(made.folder.file("busy.ring"));
    let registry = registry.expect("it can be made");
    let done = AtomicBool::new(false);
    let inspection = Inspection::open(registry.path()).expect("it is whole");
    let work = |number: u64| {
        for turn in 0u64.. {
            if done.load(Ordering::Relaxed) {
                break;
            }
            let name = format!("/{}", turn % 50);
            registry.record_visit(&name, turn.to_le_bytes(), 1).expect("a name");
            if turn % 7 == number {
                registry.remove(&name).expect("it can be written");
            }
            if turn % 50 == 0 {
                let memory = Registry::builder().window(MINUTE).clock(made.clock.clone()).build();
                let memory = memory.expect("it is small");
                memory.record_hit(&name, 1).expect("a name");
                // Where the file is full, nothing is taken in.
                let _ = registry.merge(&memory.snapshot());
            }
        }
    };
    std::thread::scope(|scope| {
        let work = &work;
        let threads = [0, 1].map(|number| scope.spawn(move || work(number)));
        let (mut looks, mut faults) = (0, Vec::new());
        while faults.is_empty() && looks < 100 && threads.iter().all(|thread| !thread.is_finished()) {
            let look = || inspection.faults().expect("it is not cut");
            faults = look();
            for _ in 0..2 {
                std::thread::sleep(Duration::from_millis(2));
                let again = look();
                faults.retain(|fault| again.contains(fault));
            }
            looks += 1;
            made.set(START + looks / 10);
        }
        done.store(true, Ordering::Relaxed);
        assert_eq!(faults, Vec::<String>::new(), "look {looks}");
    });
    assert_eq!(inspection.faults().expect("it is not cut"), Vec::<String>::new());
}

/// A process that begins a life was killed before it moved the tail on.
#[test]
fn a_place_at_the_tail_that_has_its_name_is_not_a_fault() {
    let made = made();
    for name in ["/a", "/b", "/c"] {
        assert_eq!(made.record_hit(name, 1), Ok(Outcome::Counted));
    }
    let words = words(&std::fs::read(made.path()).expect("it can be read"));
    let tail = words.iter().position(|&word| word == (3, Word::Hot(0))).expect("three lives have begun");
    let file = File::options().write(true).open(made.path()).expect("it is there");
    let inspection = Inspection::open(made.path()).expect("it is whole");
    for (lives, faults) in [(3, 0), (2, 0), (1, 2)] {
        file.write_all_at(&u64::to_le_bytes(lives), tail as u64 * 8).expect("it can be written");
        let found = inspection.faults().expect("it is not cut");
        // Of two behind the tail, a name leads beyond it, and a life lies there.
        assert_eq!(found.len(), faults, "{lives} lives: {found:?}");
    }
}

/// A merge was killed before it linked the life that it had begun, so this life has no hits yet.
#[test]
fn merged_hits_that_nothing_leads_to_are_a_fault_if_there_are_any() {
    alone(|| {
        let (_made, copy) = filled();
        let path = copy.path().to_owned();
        drop(copy);
        let bytes = std::fs::read(&path).expect("it can be read");
        let words = words(&bytes);
        let file = File::options().write(true).open(&path).expect("it is there");
        let write = |index: usize, value: u64| {
            file.write_all_at(&value.to_le_bytes(), index as u64 * 8).expect("it can be written");
        };
        let faults = || Inspection::open(&path).and_then(|inspection| inspection.faults()).expect("it is not cut");
        let first = |kind: Word| words.iter().position(|&(_, of)| of == kind).expect("there is such a section");
        let (lives, slots) = (first(Word::Life(0)), first(Word::Slot));
        let of = |life: usize, word: usize| words[lives + life * 48 + word].0;
        let ring = (usize::try_from(words[5].0 & 0xffff_ffff).expect("few slots")).next_multiple_of(16);
        let merged = (0..64).rev().find(|&life| of(life, 0) >> 63 == 1).expect("there is one");
        let leads = (0..64).find(|&life| of(life, 3) == merged as u64 + 1).expect("one leads there");
        write(lives + leads * 48 + 3, of(merged, 3));
        assert_eq!(faults(), [format!("life {merged} has merged hits that belong to no endpoint")]);
        (0..ring).for_each(|slot| write(slots + merged * ring + slot, 0));
        assert_eq!(faults(), Vec::<String>::new());
    });
}
