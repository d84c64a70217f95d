//! Finds faults in a file: what does not fit together. It writes nothing.
//!
//! | checked | must hold |
//! |---|---|
//! | words in use of each section | not more than the section has, and everything in use lies among them |
//! | a bucket of the table | leads to a record, and a look-up of its name leads back to it |
//! | the record of a name | leads to a life of its own, or has no life |
//! | a life | its name leads to it, or to a later one if it is over; it begins and ends in an epoch that was seen |
//! | merged hits | belong to one life, of the same name, and have a writer |
//! | visitors | tables that lie in the pool, each of one life |
//! | frozen cells, totals of merged registries | have the checksum that they were written with |
//! | finds | are of names and ticks that exist |
//!
//! A count in a slot may be any number, so a damaged count is not found here. Traces of a killed process are not faults: a place at
//! the tail that has its name, a life of merged hits that is still empty, room that nothing refers to. While others count, a thing
//! that is just being made may look like a fault once; a real fault is found again.
//!
//! Tests: `tests/shared/inspect.rs`, `tests/shared/flips.rs`.

use std::collections::BTreeSet;

use super::book::Book;
use super::format::frozen;
use super::format::layout::Hot;
use super::format::lives::Life;
use super::format::names::LAST_EPOCH;
use super::format::sections::hash;
use super::format::visitors::FIRST as SMALLEST;
use super::rewrite::STEP;
use crate::sync::Ordering;
use crate::time::Tick;

/// A check of a file.
struct Check<'a> {
    book: Book<'a>,
    /// How many lives had begun when it started.
    begun: usize,
    last_tick: Tick,
    goes_on: &'a dyn Fn(),
    faults: Vec<String>,
}

/// The faults of `book`, in words for an operator. In a copy that was made while others counted, epochs are not checked, because a
/// process that opens it begins after the highest. Calls `goes_on` every now and then.
pub fn faults(book: Book<'_>, is_copy: bool, goes_on: impl Fn()) -> Vec<String> {
    let (begun, last_tick) = (book.sections.lives.begun(), book.header.layout.geometry.resolution().last_tick());
    let mut check = Check { book, begun, last_tick, goes_on: &goes_on, faults: Vec::new() };
    check.names();
    check.lives();
    check.merged();
    check.visitors();
    check.written_at_once();
    check.room();
    if !is_copy && !book.sections.lives.is_closed() {
        check.epochs();
    }
    check.faults
}

impl<'a> Check<'a> {
    fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    fn lives_of(&self) -> impl Iterator<Item = Life<'a>> + use<'a> {
        let lives = self.book.sections.lives;
        let (begun, goes_on) = (self.begun, self.goes_on);
        (0..begun).filter_map(move |index| {
            if index % STEP == 0 {
                goes_on();
            }
            lives.get(index)
        })
    }

    fn hash(&self, name: &str) -> u64 {
        hash(self.book.header.key, name)
    }

    fn names(&mut self) {
        let (sections, lives) = (self.book.sections, self.book.sections.lives);
        for (number, bucket) in lives.names.buckets_in_use().enumerate() {
            if number % STEP == 0 {
                (self.goes_on)();
            }
            let unit = bucket.unit();
            let used = sections.hot(Hot::Names).load(Ordering::Acquire) as usize;
            let Some(record) = lives.names.get(unit).filter(|record| record.end() <= used) else {
                self.fault(format!("a name is said to lie at {unit}, where no name begins"));
                continue;
            };
            let Some(name) = record.text(|name| self.hash(name)) else {
                self.fault(format!("the name at {unit} is not what it was written as"));
                continue;
            };
            // If a name has two records, the look-up finds only one.
            let hash = self.hash(&name);
            let found = lives.names.find(hash, &name);
            if !bucket.may_be_of(hash) || found.is_none_or(|found| found.unit() != unit) {
                self.fault(format!("{name:?} is not found where it lies, at {unit}"));
            }
            // It may be the life at the tail, if the process that was about to move the tail on was killed.
            let life = record.life().load(Ordering::Acquire);
            if life != 0 && lives.last(record).is_none_or(|last| last.is_merged() || last.index() > lives.begun()) {
                self.fault(format!("the name at {unit} leads to life {}, which is not its own", life - 1));
            }
        }
    }

    fn lives(&mut self) {
        let lives = self.book.sections.lives;
        for life in self.lives_of() {
            let index = life.index();
            // The life may end, and another begin, meanwhile. So `is_alive` is read afterwards.
            let name = self.book.name_of(life).and_then(|name| lives.names.find(self.hash(&name), &name));
            let last = name.and_then(|name| lives.last(name));
            let is_found = last.is_some_and(|last| last.index() == index || last.index() > index && !life.is_alive());
            if !life.is_merged() && !is_found {
                self.fault(format!("life {index} is not found by its name"));
            }
            let beyond = |tick: u64| tick > self.last_tick.0 + 1;
            let known = if life.is_merged() { 0 } else { life.known().load(Ordering::Acquire) };
            if beyond(known) || beyond(life.from().0) || beyond(life.void_to().0) {
                self.fault(format!("life {index} begins after the year 9999"));
            }
            if life.row().cells(&self.book.header.layout.geometry).any(|cell| cell.tick > self.last_tick) {
                self.fault(format!("life {index} has hits beyond the year 9999"));
            }
        }
    }

    fn merged(&mut self) {
        let lives = self.book.sections.lives;
        let mut belongs = vec![false; lives.capacity()];
        for life in self.lives_of().filter(|life| !life.is_merged()) {
            let (mut link, mut before) = (life.merged().load(Ordering::Acquire), u64::MAX);
            while let Some(index) = link.checked_sub(1) {
                let other = lives.get(usize::try_from(index).unwrap_or(usize::MAX));
                // Numbers go down, because readers do not follow other links.
                let fits = |other: &Life<'_>| other.is_merged() && other.name() == life.name() && index < before;
                let Some(other) = other.filter(fits).filter(|other| !belongs[other.index()]) else {
                    self.fault(format!(
                        "the merged hits of life {} lead to life {index}, which does not belong to it",
                        life.index()
                    ));
                    break;
                };
                belongs[other.index()] = true;
                if other.writer().is_none() {
                    self.fault(format!("life {index} has hits without a writer"));
                }
                (link, before) = (other.merged().load(Ordering::Acquire), index);
            }
        }
        for life in self.lives_of().filter(|life| life.is_merged() && !belongs[life.index()]) {
            // A killed merge may leave a life without an endpoint, but does not put hits into it.
            if life.row().cells(&self.book.header.layout.geometry).next().is_some() {
                self.fault(format!("life {} has merged hits that belong to no endpoint", life.index()));
            }
        }
    }

    fn visitors(&mut self) {
        let (pool, parts) = (self.book.sections.visitors, self.book.parts());
        let mut taken = vec![false; pool.words.len() / SMALLEST];
        for life in self.lives_of().filter(|life| !life.is_merged()) {
            let tables = pool.tables(life, parts, parts.part(self.last_tick));
            let index = life.index();
            match tables {
                Err(what) => self.fault(format!("the visitors of life {index} have {what}")),
                Ok(tables) => {
                    let is_taken = |table: u64| std::mem::replace(&mut taken[table as usize / SMALLEST], true);
                    if tables.into_iter().any(is_taken) {
                        self.fault(format!("the visitors of life {index} are another's"));
                    }
                }
            }
        }
    }

    fn written_at_once(&mut self) {
        let sections = self.book.sections;
        if !frozen::is_whole(sections.frozen) {
            self.fault("the cells of former writers are not what was written".to_owned());
        }
        let frozen = self.book.frozen();
        if frozen.keys().any(|&life| life >= self.begun) {
            self.fault("there are cells of former writers in a life that has not begun".to_owned());
        }
        if !self.book.others().is_whole() {
            self.fault("the totals of merged registries are not what was written".to_owned());
        }
        for ((unit, _, tick), _) in sections.finds.iter() {
            if sections.lives.names.get(unit).is_none() || tick > self.last_tick {
                self.fault(format!("a removal found hits of a name at {unit}, where no name begins"));
            }
        }
    }

    fn room(&mut self) {
        let (sections, layout) = (self.book.sections, &self.book.header.layout);
        let used = |hot: Hot| sections.hot(hot).load(Ordering::Acquire);
        let lives = sections.lives;
        let in_use = [
            ("lives", lives.tail.state().begun(), lives.capacity()),
            ("words of names", used(Hot::Names), layout.names.len()),
            ("words of visitors", used(Hot::Visitors), layout.visitors.len()),
        ];
        for (what, used, room) in in_use {
            if used > room as u64 {
                self.fault(format!("{used} {what} are in use, and there is room for {room}"));
            }
        }
        // One place at the tail may have a name already.
        let behind = |index: &usize| lives.get(*index).is_some_and(|life| life.name() != 0);
        if let Some(index) = (self.begun + 1..lives.capacity()).find(behind).filter(|&index| index > lives.begun()) {
            self.fault(format!("life {index} lies behind the last one"));
        }
    }

    fn epochs(&mut self) {
        let lives = self.book.sections.lives;
        let of_lives: Vec<[u64; 2]> = self.lives_of().map(|life| [life.epoch(), life.removed()]).collect();
        let of_names: Vec<u64> = lives.names.iter().map(|name| name.ended()).collect();
        // The highest epoch is read after those of lives and names, because a removal raises it first.
        let seen = self.book.sections.hot(Hot::Epoch).load(Ordering::Acquire);
        let mut removals = BTreeSet::new();
        for (index, [epoch, removed]) in of_lives.into_iter().enumerate() {
            if epoch.max(removed) > seen {
                self.fault(format!("life {index} is of an epoch that was never seen"));
            }
            if removed != 0 && !removals.insert(removed) {
                self.fault(format!("life {index} ended by the removal of another"));
            }
        }
        // If a later life of the name began, the name or that life must have an epoch as high as the removal's.
        for life in self.lives_of().filter(|life| !life.is_merged() && !life.is_alive()) {
            let Some(name) = lives.names.get(life.name()) else { continue };
            let last = lives.last(name).filter(|last| last.index() != life.index());
            if last.is_some_and(|last| name.ended().max(last.epoch()) < life.removed()) {
                self.fault(format!("life {} ended, and its name does not know", life.index()));
            }
        }
        if of_names.into_iter().any(|ended| ended > seen) || seen > LAST_EPOCH {
            self.fault("a name was removed in an epoch that was never seen".to_owned());
        }
    }
}
