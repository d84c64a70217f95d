//! The layout of a file: sections of 64-bit words, each at a page, as large as what the file was made for needs.
//!
//! ```text
//! header    fixed words, written once (header.rs); from word 64 on the words that all processes change, a line each
//! table     [tag | record] x 2^n          names by hash                                (names.rs)
//! names     records of names, 64 bytes or a multiple                                   (names.rs)
//! lives     384 bytes for each life of an endpoint, in the order in which they began    (lives.rs)
//! rings     the slots of each life, in the same order                                  (window/slots.rs)
//! others    totals of registries that were merged                                      (others.rs)
//! visitors  tables of visitors, which lives take                                       (visitors.rs)
//! limits    states of limiters                                                         (limit/shared.rs)
//! finds     which hits removals elsewhere found                                        (finds.rs)
//! frozen    cells of former writers, behind a gap                                      (frozen.rs)
//! seal      one word that is never 0: a file that was cut and grew again has lost it      (header.rs)
//! ```
//! All words are atomic, those of names too, so that reading a word while it is written is never undefined behaviour. Places
//! within a section are indices that every use checks against the section's length.
//!
//! Tests: below, `tests/shared`.

use std::ops::Range;

use super::finds::FIND;
use crate::limit::shared::SharedKeys;
use crate::sketch::hyperloglog::precision::Precision;
use crate::window::geometry::Geometry;

/// A page, in words.
pub const PAGE: usize = if cfg!(hitring_model) { 1 } else { 512 };
/// A cache line, in words.
pub const LINE: usize = if cfg!(hitring_model) { 1 } else { 8 };
/// Two cache lines, which processors fetch together: a write to one slows down processes that use the other.
pub const PAIR: usize = LINE * 2;
/// How many words a life has for its total: processes that write different ones do not wait for each other.
pub const LANES: usize = if cfg!(hitring_model) { 2 } else { 4 };
/// The words of a life: a line, one that hardly ever changes and keeps it away from the next, and a line for each lane of its
/// total.
pub const LIFE: usize = if cfg!(hitring_model) { 13 } else { (2 + LANES) * LINE };
/// The words of the totals of a merged registry.
pub const OTHER: usize = 11;
/// How many merged registries have a row of their own.
pub const OTHERS: usize = 512;
/// The words before them.
pub const OTHERS_HEAD: usize = 10;

/// Words of the header that all processes change; each begins a cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Hot {
    /// How many lives have begun.
    Lives,
    /// How much room names take.
    Names,
    /// The highest epoch seen.
    Epoch,
    /// Hits of lives that a rewrite left behind, and refused hits: five words.
    Tally,
    /// How often the totals of merged registries were written.
    Others,
    /// How much room visitors take.
    Visitors,
    /// Costs of limiters that were refused, and that were let through, since there was no room; the latest time of a decision:
    /// three words.
    Limits,
    /// How many merges there were, and how far the process that renews the file has come: two words.
    Heard,
}

/// The words of the header that are written once.
pub const FIXED: usize = if cfg!(hitring_model) { 0 } else { 64 };
const HOT: usize = 8;
const HOT_WORDS: usize = if cfg!(hitring_model) { 5 } else { LINE };

impl Hot {
    /// Where the word is.
    pub const fn at(self) -> usize {
        FIXED + self as usize * HOT_WORDS
    }
}

/// The room of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Lives of endpoints: one for each name, another after each removal, and one for each merged registry.
    pub endpoints: u32,
    /// Bytes of names, 32 bytes of each name's own included, each rounded up to 64.
    pub names: u64,
    /// Words of visitors.
    pub visitors: u64,
    /// Keys of limiters.
    pub limits: u64,
    /// Words of frozen cells.
    pub frozen: u64,
    /// Words before them, where those of an earlier writer lay: they are written anew in another place.
    pub gap: u64,
    /// Ticks of writers in which removals elsewhere found hits.
    pub finds: u64,
}

/// Where each section lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub geometry: Geometry,
    pub precision: Precision,
    pub room: Room,
    /// The words of a ring: its slots, rounded up to a pair of lines.
    pub ring: usize,
    pub table: Range<usize>,
    pub names: Range<usize>,
    pub lives: Range<usize>,
    pub rings: Range<usize>,
    pub others: Range<usize>,
    pub visitors: Range<usize>,
    pub limits: Range<usize>,
    pub finds: Range<usize>,
    pub frozen: Range<usize>,
    /// All words.
    pub words: usize,
}

/// Where the seal lies in a file of so many words.
pub const fn seal_of(words: usize) -> usize {
    words - PAGE
}

/// The most words a file may have: 64 TiB.
const MOST: usize = 1 << 43;

impl Layout {
    /// The layout for so much room; `None` if that is more than a file may have.
    pub fn new(geometry: Geometry, precision: Precision, room: Room) -> Option<Self> {
        let ring = geometry.slots().next_multiple_of(PAIR);
        let endpoints = room.endpoints as usize;
        let mut words = (FIXED + HOT * HOT_WORDS).next_multiple_of(PAGE);
        let mut section = |len: Option<usize>| {
            let begin = words;
            let end = begin.checked_add(len?)?;
            words = end.checked_next_multiple_of(PAGE)?;
            (words <= MOST).then_some(begin..end)
        };
        let number = |number: u64| usize::try_from(number).ok();
        let layout = Self {
            geometry,
            precision,
            room,
            ring,
            // At most half full, but for names of which no life began.
            table: section(endpoints.checked_mul(2).map(usize::next_power_of_two))?,
            names: section(number(room.names / 8).map(|words| words / LINE * LINE))?,
            lives: section(endpoints.checked_mul(LIFE))?,
            rings: section(endpoints.checked_mul(ring))?,
            others: section(Some(2 * (OTHERS_HEAD + OTHERS * OTHER)))?,
            visitors: section(number(room.visitors))?,
            limits: section(number(room.limits).filter(|&keys| keys <= MOST / 64).map(SharedKeys::words_for))?,
            finds: section(number(room.finds).and_then(|finds| finds.checked_mul(FIND)))?,
            frozen: section(number(room.gap)).and_then(|_| section(number(room.frozen)))?,
            words: 0,
        };
        let seal = section(Some(1))?;
        debug_assert_eq!(seal.start, seal_of(words));
        Some(Self { words, ..layout })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Resolution;
    use std::time::Duration;

    fn layout(room: Room) -> Option<Layout> {
        let resolution = Resolution::new(Duration::from_secs(1)).expect("a second is a resolution");
        let geometry = Geometry::new(resolution, Duration::from_secs(300), 20).expect("the default geometry");
        Layout::new(geometry, Precision::REDIS, room)
    }

    #[test]
    fn sections_follow_each_other_and_begin_pages() {
        let room =
            Room { endpoints: 10_000, names: 1_280_001, visitors: 1_001, limits: 7, frozen: 3, gap: 0, finds: 65 };
        let layout = layout(room).expect("it is small");
        let sections = [
            &layout.table,
            &layout.names,
            &layout.lives,
            &layout.rings,
            &layout.others,
            &layout.visitors,
            &layout.limits,
            &layout.finds,
            &layout.frozen,
        ];
        let mut end = FIXED + HOT * HOT_WORDS;
        for section in sections {
            assert!(section.start >= end && section.start - end < PAGE && section.start % PAGE == 0);
            end = section.end;
        }
        assert_eq!(seal_of(layout.words), end.next_multiple_of(PAGE));
        assert_eq!((layout.table.len(), layout.rings.len()), (1 << 15, 10_000 * 320));
        assert!(Hot::Heard.at() < layout.table.start);
    }

    #[test]
    fn too_much_room_has_no_layout() {
        let room = Room { endpoints: 10, names: 640, visitors: 0, limits: 0, frozen: 0, gap: 0, finds: 0 };
        for room in [
            Room { names: u64::MAX, ..room },
            Room { visitors: u64::MAX, ..room },
            Room { limits: u64::MAX, ..room },
            Room { frozen: 1 << 60, ..room },
            Room { gap: 1 << 60, ..room },
            Room { finds: 1 << 60, ..room },
        ] {
            assert_eq!(layout(room), None);
        }
        assert!(layout(Room { endpoints: u32::MAX, ..room }).is_some());
    }
}
