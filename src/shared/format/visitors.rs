//! The visitors of endpoints: tables of a pool that all lives share, each larger than the one before.
//!
//! ```text
//! life -> [ next ][ size ][ part | register, value ] x 14
//!            +--> [ next ][ size ][ ... ] x 30
//!                    +--> ... x 62, x 126, ...
//! ```
//! An item is a register and its value, with the last part (`sketch/uniques`) in which it came. A look-up reads a few places of
//! each table in turn, and begins at the place that the item's hash gives.
//!
//! | word of a table | moved by |
//! |---|---|
//! | 0 | any process, by one exchange, to its item |
//! | an item | a process that brings the same item in a later part: the part, upwards |
//! | `next` of a table, or of the life: 0 | a process whose item does not fit, by one exchange, to a table that is all zeroes |
//!
//! A word with an item is never 0 again and never of another item. So an item that does not fit into a table will never fit into
//! it later. All processes look for an item in the same places in the same order, so an item has one word. Orderings are as in
//! `sketch/uniques/first.rs`, because each word is complete by itself.
//!
//! When the pool is full, the part of the item that does not fit is noted with the life. A query of that part, or of all time, is
//! an error then ([`QueryError::VisitorsFull`](crate::QueryError)), so that an estimate is never silently low.
//!
//! **Progress.** `add` is wait-free but for taking a table from the pool, which is lock-free; a life has at most 24 tables, and
//! at most [`PROBES`] places are looked at in each.
//!
//! Tests: `tests/shared`.

use super::lives::Life;
use crate::sketch::hyperloglog::HyperLogLog;
use crate::sketch::hyperloglog::precision::Register;
use crate::sketch::uniques::{Parts, Seen};
use crate::sync::{AtomicU64, Ordering};
use crate::window::Span;

const HEAD: usize = 2;
/// The words of a life's first table. All tables begin at a multiple of it.
pub const FIRST: usize = 16;
/// The words of the largest table.
const LARGEST: usize = 1 << 18;
/// Places that are looked at in a table.
const PROBES: usize = FIRST - HEAD;
/// Tables of a life: enough for the largest, and for some smaller ones when the pool comes to its end.
const DEPTH: usize = 24;
const PART_SHIFT: u32 = 24;
const VALUE_BITS: u32 = 6;

/// The pool of a file.
#[derive(Clone, Copy, Debug)]
pub struct Visitors<'a> {
    pub words: &'a [AtomicU64],
    pub used: &'a AtomicU64,
}

fn item(register: Register) -> u64 {
    u64::from(register.index) << VALUE_BITS | u64::from(register.value)
}

const fn item_of(word: u64) -> u64 {
    word & ((1 << PART_SHIFT) - 1)
}

const fn register_of(word: u64) -> Register {
    let low = item_of(word) as u32;
    Register { index: low >> VALUE_BITS, value: (low & ((1 << VALUE_BITS) - 1)) as u8 }
}

impl<'a> Visitors<'a> {
    /// Notes that an item came in `part`.
    pub fn add(self, life: Life<'a>, part: u64, register: Register) {
        let item = item(register);
        let wanted = part << PART_SHIFT | item;
        let (mut link, mut size) = (life.visitors(), FIRST);
        for _ in 0..DEPTH {
            let Some(table) = self.table(link).or_else(|| self.take(link, size)) else { break };
            if put(&table[HEAD..], item, wanted) {
                return;
            }
            (link, size) = (&table[0], (table.len() * 2).min(LARGEST));
        }
        life.lost().fetch_max(part + 1, Ordering::Relaxed);
    }

    /// The table that `link` leads to.
    fn table(self, link: &AtomicU64) -> Option<&'a [AtomicU64]> {
        let begin = link.load(Ordering::Acquire).checked_sub(1)? as usize;
        let size = self.words.get(begin.checked_add(1)?)?.load(Ordering::Relaxed) as usize;
        let table = self.words.get(begin..begin.checked_add(size)?)?;
        (table.len() >= FIRST).then_some(table)
    }

    /// A table of up to `size` words from the pool, linked from `link`; if another process linked a table first, that one.
    fn take(self, link: &AtomicU64, mut size: usize) -> Option<&'a [AtomicU64]> {
        let mut used = self.used.load(Ordering::Relaxed);
        let begin = loop {
            let left = self.words.len().checked_sub(usize::try_from(used).ok()?)?;
            if left < FIRST {
                return None;
            }
            while size > left {
                size /= 2;
            }
            let end = used as usize + size;
            // Pairs with the release that gives a table back: its size, set to 0 there, is overwritten below.
            match self.used.compare_exchange(used, end as u64, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break used as usize,
                Err(theirs) => used = theirs,
            }
        };
        self.words[begin + 1].store(size as u64, Ordering::Relaxed);
        if link.compare_exchange(0, begin as u64 + 1, Ordering::AcqRel, Ordering::Acquire).is_err() {
            self.words[begin + 1].store(0, Ordering::Relaxed);
            // Back into the pool, unless another table was taken behind it.
            let end = (begin + size) as u64;
            let _ = self.used.compare_exchange(end, begin as u64, Ordering::Release, Ordering::Relaxed);
        }
        self.table(link)
    }

    /// Where the tables of a life begin.
    ///
    /// # Errors
    /// Names what is impossible: a table that lies beyond the pool, or an item that does not come in parts up to `last`.
    pub fn tables(self, life: Life<'a>, parts: Parts, last: u64) -> Result<Vec<u64>, &'static str> {
        let (mut link, mut tables) = (life.visitors(), Vec::new());
        while let Some(begin) = link.load(Ordering::Acquire).checked_sub(1) {
            let table = self.table(link).ok_or("a table at a place that has none")?;
            let is_used = begin.saturating_add(table.len() as u64) <= self.used.load(Ordering::Acquire);
            if !is_used || begin % FIRST as u64 != 0 || tables.len() == DEPTH {
                return Err("a table at a place that has none");
            }
            let mut words = table[HEAD..].iter().map(|word| word.load(Ordering::Relaxed)).filter(|&word| word != 0);
            if !words.all(|word| comes(word, parts, last)) {
                return Err("an item that cannot be");
            }
            tables.push(begin);
            link = &table[0];
        }
        Ok(tables)
    }

    fn words_of(self, life: Life<'a>) -> impl Iterator<Item = u64> {
        let mut table = self.table(life.visitors());
        let tables = std::iter::from_fn(move || {
            let this = table?;
            table = self.table(&this[0]);
            Some(this)
        });
        let words = tables.take(DEPTH).flat_map(|table| &table[HEAD..]);
        words.map(|word| word.load(Ordering::Relaxed)).filter(|&word| word != 0)
    }

    /// About how many different items came in the parts that `span` touches. An error if the pool was full then; `None` if the span
    /// ends before the last part of an item, which may have come in the span, too.
    pub fn count(self, life: Life<'a>, parts: Parts, span: Span) -> Option<Result<u64, Lost>> {
        let (from, to) = (parts.part(span.first), parts.part(span.to));
        let union = HyperLogLog::of(parts.precision());
        let mut exact = true;
        for word in self.words_of(life) {
            let part = word >> PART_SHIFT;
            if (from..=to).contains(&part) && parts.precision().allows(register_of(word)) {
                union.put(register_of(word));
            }
            exact &= part <= to;
        }
        if life.lost().load(Ordering::Relaxed) > from {
            return Some(Err(Lost));
        }
        exact.then(|| Ok(union.count()))
    }

    /// About how many different items ever came.
    pub fn ever(self, life: Life<'a>, parts: Parts) -> Result<u64, Lost> {
        let union = HyperLogLog::of(parts.precision());
        let allowed = self.words_of(life).map(register_of).filter(|&register| parts.precision().allows(register));
        allowed.for_each(|register| _ = union.put(register));
        if life.lost().load(Ordering::Relaxed) == 0 { Ok(union.count()) } else { Err(Lost) }
    }

    /// Everything that is known, ascending, in parts up to `last`.
    pub fn cells(self, life: Life<'a>, parts: Parts, last: u64) -> Vec<Seen> {
        let mut seen: Vec<Seen> = self
            .words_of(life)
            .filter(|&word| comes(word, parts, last))
            .flat_map(|word| {
                let register = register_of(word);
                [Seen { part: None, register }, Seen { part: Some(word >> PART_SHIFT), register }]
            })
            .collect();
        seen.sort_unstable();
        // Keeps the largest value of each register.
        seen.reverse();
        seen.dedup_by_key(|seen| (seen.part, seen.register.index));
        seen.reverse();
        seen
    }

    /// Takes in the cells of another. Taking them in again changes nothing.
    pub fn join(self, life: Life<'a>, seen: &[Seen]) {
        for seen in seen {
            // An item whose part is not known goes into the first part there is.
            self.add(life, seen.part.unwrap_or(0), seen.register);
        }
    }

    /// Copies the visitors of `theirs`, item by item, in parts up to `last`.
    pub fn copy(self, life: Life<'a>, from: Visitors<'_>, theirs: Life<'_>, parts: Parts, last: u64) {
        for word in from.words_of(theirs).filter(|&word| comes(word, parts, last)) {
            self.add(life, word >> PART_SHIFT, register_of(word));
        }
        life.lost().fetch_max(theirs.lost().load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Whether an item is possible; a damaged one may not be.
fn comes(word: u64, parts: Parts, last: u64) -> bool {
    word >> PART_SHIFT <= last && parts.precision().allows(register_of(word))
}

/// Some visitors did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// Puts an item into a table, or raises its part if it is there; false if it does not fit.
fn put(places: &[AtomicU64], item: u64, wanted: u64) -> bool {
    let first = (item.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % places.len();
    let (before, from) = places.split_at(first);
    for place in from.iter().chain(before).take(PROBES) {
        let mut seen = place.load(Ordering::Relaxed);
        if seen == 0 {
            match place.compare_exchange(0, wanted, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(theirs) => seen = theirs,
            }
        }
        if item_of(seen) == item {
            if seen < wanted {
                // Of two words of one item, the larger one is of the later part.
                place.fetch_max(wanted, Ordering::Relaxed);
            }
            return true;
        }
    }
    false
}
