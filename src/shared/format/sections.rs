//! [`Sections`]: the words of a file, by what lies in them.
//!
//! Tests: `tests/shared`.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::finds::Finds;
use super::layout::{Hot, Layout};
use super::lives::Lives;
use super::names::Names;
use super::tail::Tail;
use super::visitors::Visitors;
use crate::cell::outcome::{Outcome, Outcomes};
use crate::sync::{AtomicU64, Ordering};

/// Later times of limiters are neither noted nor trusted: their times end at twice that, 36 years after the file was made.
pub const LATE: u64 = 1 << 59;
/// Behind the numbers of costs without room.
const LIMIT_TIME: usize = Hot::Limits.at() + 2;

/// Behind the number of merges.
pub const PROGRESS: usize = Hot::Heard.at() + 1;

/// The sections of a mapped file.
#[derive(Clone, Copy, Debug)]
pub struct Sections<'a> {
    pub words: &'a [AtomicU64],
    pub lives: Lives<'a>,
    pub visitors: Visitors<'a>,
    pub others: &'a [AtomicU64],
    pub limits: &'a [AtomicU64],
    pub frozen: &'a [AtomicU64],
    pub finds: Finds<'a>,
}

impl<'a> Sections<'a> {
    /// The sections of `words`, which lie as `layout` says.
    pub fn new(words: &'a [AtomicU64], layout: &Layout) -> Self {
        let names = Names {
            table: &words[layout.table.clone()],
            arena: &words[layout.names.clone()],
            used: &words[Hot::Names.at()],
        };
        Self {
            words,
            lives: Lives {
                words: &words[layout.lives.clone()],
                rings: &words[layout.rings.clone()],
                ring: layout.ring,
                tail: Tail(&words[Hot::Lives.at()]),
                names,
            },
            visitors: Visitors { words: &words[layout.visitors.clone()], used: &words[Hot::Visitors.at()] },
            others: &words[layout.others.clone()],
            limits: &words[layout.limits.clone()],
            frozen: &words[layout.frozen.clone()],
            finds: Finds(&words[layout.finds.clone()]),
        }
    }

    /// A word of the header that all processes change.
    pub fn hot(self, hot: Hot) -> &'a AtomicU64 {
        &self.words[hot.at()]
    }

    /// The tallies of hits that no life here has: those of lives that a rewrite left behind, and refused hits.
    pub fn tally(self) -> &'a [AtomicU64] {
        &self.words[Hot::Tally.at()..Hot::Tally.at() + 5]
    }

    /// The latest time at which a limiter decided, as far as it was noted.
    #[inline]
    pub fn limit_time(self) -> u64 {
        self.words[LIMIT_TIME].load(Ordering::Relaxed)
    }

    /// Notes that a limiter decided at `now`.
    pub fn raise_limit_time(self, now: u64) {
        self.words[LIMIT_TIME].fetch_max(now, Ordering::Relaxed);
    }

    /// How far the process that renews the file has come; it changes as long as that process works.
    pub fn progress(self) -> &'a AtomicU64 {
        &self.words[PROGRESS]
    }

    /// The outcomes of all hits that this file received.
    pub fn outcomes(self) -> Outcomes {
        // The tally is read first, because hits never move from lives to it while other processes count.
        let mut outcomes = Outcomes::from_array(std::array::from_fn(|row| self.tally()[row].load(Ordering::Acquire)));
        // Lives of merged hits do not have a total, except those of a ledger.
        for life in self.lives.iter() {
            outcomes.add(Outcome::Counted, life.total());
        }
        outcomes
    }
}

/// The hash of a name under the key of a file.
pub fn hash(key: [u64; 2], name: &str) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(key[0], key[1]);
    hasher.write(name.as_bytes());
    hasher.finish()
}
