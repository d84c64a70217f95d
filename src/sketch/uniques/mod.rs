//! How many *different* items there were in the last N seconds, and of all time.
//!
//! The window is cut into **parts**, a sixteenth each, and each part has a [`HyperLogLog`] of its own; a query joins those
//! that it touches. So an answer is of whole parts: items of the span, and of at most one part more at its older end.
//!
//! ```text
//! first     [part | register, value] x 8            in line: items, each with the last part it came in
//! many ->   ever: HyperLogLog                       once an item finds no room in `first`
//!           slots [ -> part, HyperLogLog ] x 18     part p lives in slot p mod 18
//! ```
//!
//! # States
//! | place | may be moved by, to what | what it unlocks |
//! |---|---|---|
//! | word of `first`: 0 | any thread, by one exchange, to its item | the item is counted |
//! | word of `first`: an item | any thread that brings the same item in a later part: the part, upwards | the item is counted in the later part too, and not known any more to have been in the older one |
//! | `many`: none | a thread that finds all words of `first` taken, by one exchange | items go there; those in `first` stay where they are, and every reader joins both |
//! | slot: none, or of an older part | any thread that brings an item of a newer part, by one exchange to a sketch that has the item | what is added to it from here on; the older sketch is freed when no thread can be reading it |
//! | slot: of a newer part | never by an older item | the item is `Late`: not counted at all |
//!
//! (If a slot is taken over by a store, two threads begin a part, and the items of one are lost: mutant `PartsLoadStore`. If a
//! reader reads `many` alone, it misses the items in `first`: mutant `ManyForgetsFirst`.)
//!
//! # Guarantees
//! | method | progress | a reader beside writers |
//! |---|---|---|
//! | `add` | lock-free: an exchange is lost to a newer part, a further item or a higher register only; the first item of a part allocates | |
//! | `count`, `ever`, `cells` | wait-free but for the allocator | every item whose `add` returned before it began, none whose call began after it ended |
//!
//! An answer says whether it is whole. It is not whole if a slot of the span has been taken over, or if an item was seen again
//! after the span, because its earlier part is then forgotten. With spans that end now, neither happens.
//!
//! # Memory
//! 80 bytes for up to eight items. Then 200 bytes, and a [`HyperLogLog`] for each part that had items, and one of all time: 72 and
//! 56 bytes for a few items, up to 16 KB for many (precision 14), so 290 KB at most.
//!
//! Tests: `tests/sketch/uniques.rs`, `tests/models/uniques.rs`.

mod first;
pub mod form;
mod slots;

use crate::cell::outcome::Outcome;
use crate::sketch::hyperloglog::HyperLogLog;
use crate::sketch::hyperloglog::precision::{Precision, Register};
use crate::sketch::uniques::first::First;
use crate::sketch::uniques::slots::Slots;
use crate::sync::mutant::mutated;
use crate::sync::table::Once;
use crate::time::{Resolution, Tick};
use crate::window::geometry::Geometry;
use crate::window::{Reading, Span};

/// How many parts a window has, if they are long enough.
const PARTS: u64 = 16;

/// How time is cut, and how finely items are told apart. The same for every [`Uniques`] of a registry, so not kept in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    precision: Precision,
    /// Ticks a part; at least a second, so that the number of a part fits into 40 bits.
    width: u64,
    slots: u32,
}

impl Parts {
    /// Parts of the window of `geometry`.
    #[must_use]
    pub fn new(geometry: &Geometry, precision: Precision) -> Self {
        let window = u64::from(geometry.window());
        let width = window.div_ceil(PARTS).max(Self::second(geometry.resolution()));
        // A span that begins and ends within parts touches one more than fit into it; another one is written to meanwhile.
        let ahead = u64::from(geometry.slack()).div_ceil(width).max(1);
        Self { precision, width, slots: (window.div_ceil(width) + 1 + ahead) as u32 }
    }

    fn second(resolution: Resolution) -> u64 {
        const SECOND: u128 = 1_000_000_000;
        SECOND.div_ceil(resolution.width().as_nanos()) as u64
    }

    /// The part of `tick`.
    #[must_use]
    #[inline]
    pub const fn part(self, tick: Tick) -> u64 {
        tick.0 / self.width
    }

    /// Ticks a part.
    #[must_use]
    pub const fn width(self) -> u64 {
        self.width
    }

    /// How finely items are told apart.
    #[must_use]
    pub const fn precision(self) -> Precision {
        self.precision
    }
}

/// A register of a part, or of all time: what merging joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// `None` is all time.
    pub part: Option<u64>,
    /// Which register, and its value.
    pub register: Register,
}

/// The different items of the last N seconds, and of all time.
#[derive(Debug, Default)]
pub struct Uniques {
    first: First,
    many: Once<Many>,
}

#[derive(Debug)]
struct Many {
    ever: HyperLogLog,
    slots: Slots,
}

impl Many {
    fn new(parts: Parts) -> Self {
        Self { ever: HyperLogLog::of(parts.precision), slots: Slots::new(parts.slots as usize) }
    }

    fn add(&self, parts: Parts, part: u64, register: Register) -> Outcome {
        if !self.slots.add(parts.precision, part, register) {
            return Outcome::Late;
        }
        self.ever.put(register);
        Outcome::Counted
    }
}

impl Uniques {
    /// Builds an empty `Uniques`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the item of `hash`, at `tick`; `Late` if the slot of its part belongs to a newer one.
    pub fn add(&self, parts: Parts, tick: Tick, hash: u64) -> Outcome {
        self.put(parts, parts.part(tick), parts.precision.register(hash))
    }

    fn put(&self, parts: Parts, part: u64, register: Register) -> Outcome {
        if self.many.get().is_none() && self.first.add(part, register) {
            return Outcome::Counted;
        }
        self.many(parts).add(parts, part, register)
    }

    fn many(&self, parts: Parts) -> &Many {
        self.many.get_or_make(|| Many::new(parts))
    }

    /// About how many different items the parts that `span` touches have.
    #[must_use]
    pub fn count(&self, parts: Parts, span: Span) -> Reading {
        let (from, to) = (parts.part(span.first), parts.part(span.to));
        let union = HyperLogLog::of(parts.precision);
        let mut exact = true;
        for (part, register) in self.first.iter() {
            if (from..=to).contains(&part) {
                union.put(register);
            }
            // It may have been there before, too.
            exact &= part <= to;
        }
        if let Some(many) = self.many.get() {
            if mutated!(ManyForgetsFirst) {
                let union = HyperLogLog::of(parts.precision);
                many.slots.join(from..=to, &union);
                return Reading::exact(union.count());
            }
            exact &= many.slots.join(from..=to, &union);
        }
        Reading { count: union.count(), exact }
    }

    /// About how many different items there ever were.
    #[must_use]
    pub fn ever(&self, parts: Parts) -> u64 {
        let union = HyperLogLog::of(parts.precision);
        if let Some(many) = self.many.get() {
            union.merge(&many.ever).expect("the precision is the same");
        }
        self.first.iter().for_each(|(_, register)| _ = union.put(register));
        union.count()
    }

    /// Everything that is known, ascending.
    #[must_use]
    pub fn cells(&self) -> Vec<Seen> {
        let mut seen: Vec<Seen> = Vec::new();
        for (part, register) in self.first.iter() {
            seen.extend([Seen { part: None, register }, Seen { part: Some(part), register }]);
        }
        if let Some(many) = self.many.get() {
            let register = |(index, value)| Register { index, value };
            seen.extend(many.ever.registers().map(|of| Seen { part: None, register: register(of) }));
            many.slots.each(|part, sketch| {
                seen.extend(sketch.registers().map(|of| Seen { part: Some(part), register: register(of) }));
            });
        }
        seen.sort_unstable();
        // Of each register the largest value.
        seen.reverse();
        seen.dedup_by_key(|seen| (seen.part, seen.register.index));
        seen.reverse();
        seen
    }

    /// Takes in the [`cells`](Self::cells) of another one. Taking them in again changes nothing.
    pub fn join(&self, parts: Parts, seen: &[Seen]) {
        // Many have no use for the first words, which know of each item the last part only.
        let many = seen.iter().filter(|seen| seen.part.is_none()).count() > First::ROOM;
        for of in seen {
            // What is late here is of all time still: the other one counted it.
            let _ = match of.part {
                Some(part) if many => self.many(parts).add(parts, part, of.register),
                Some(part) => self.put(parts, part, of.register),
                None => continue,
            };
        }
        for of in seen {
            if of.part.is_none() && !self.first.has(of.register) {
                self.many(parts).ever.put(of.register);
            }
        }
    }

    /// The bytes it takes, its own included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let many = |many: &Many| size_of::<Many>() + many.ever.bytes() - size_of::<HyperLogLog>() + many.slots.bytes();
        size_of::<Self>() + self.many.get().map_or(0, many)
    }
}
