//! A counter that several replicas count in without asking each other: the state-based G-Counter.
//!
//! A replica counts in a cell of its own and takes in the others' (Shapiro, Preguiça, Baquero and Zawirski, "A
//! comprehensive study of Convergent and Commutative Replicated Data Types", 2011). What differs here is the key:
//!
//! ```text
//! (replica, generation) -> count          count() = the sum over all cells; merge = the larger count, cell by cell
//! ("web-1", 8f0c...)    -> 120            this counter counts here
//! ("web-1", 11d3...)    ->  40            "web-1" before it was restarted
//! ("web-2", 5a77...)    ->  75
//! ```
//!
//! By replica alone, a replica that is restarted from nothing would count up in its old cell and lose all up to the old
//! count; and two copies of a counter that both go on would lose the smaller of what they add. So each continuous life of a
//! counter is a generation, a random number of 64 bits that is never used again: [`GCounter::new`], [`Clone`],
//! [`GCounter::from_bytes`] and a fork each begin one. A cell is written once its generation has counted something, so
//! copies that only read cost nothing.
//!
//! # Guarantees
//! | method | progress | steps | beside writers |
//! |---|---|---|---|
//! | `record` | lock-free on every target: a lost exchange means that another thread's hits were counted (on targets with load-linked, also a spurious failure) | four loads and an exchange a turn | |
//! | `count` | wait-free | four loads | any count between that at its start and that at its end; never less than what this thread has seen |
//! | `merge`, `clone`, `to_bytes`, `cells` | lock the cells of the others, not the own one: `record` and `count` go on | one step a cell | |
//!
//! The first call in a forked child begins its life under that lock. Do not fork while another thread is in `merge`,
//! `clone`, `to_bytes` or `cells`: the child would wait for it forever.
//!
//! # Bytes
//! The frame of `src/cell/frame.rs`, kind 3; see `docs/formats.md`.
//!
//! Tests: `tests/models/g_counter.rs`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use crate::cell::frame::{In, Kind, Out};
use crate::cell::merge::Merge;
use crate::cell::outcome::Outcome;
use crate::error::{SketchError, SnapshotError};
use crate::sync::life::{Life, Lives};
use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// No count is larger.
const MAX: u64 = i64::MAX as u64;
const NAME: std::ops::RangeInclusive<usize> = 1..=1_024;

/// Cells by replica and generation.
pub type Cells = BTreeMap<(Box<str>, u64), u64>;

/// A count that replicas keep apart and merge: nothing is lost, nothing counted twice.
///
/// ```
/// use hitring::GCounter;
///
/// let (web_1, web_2) = (GCounter::new("web-1")?, GCounter::new("web-2")?);
/// web_1.record(3);
/// web_2.record(4);
/// web_1.merge(&web_2);
/// web_1.merge(&web_2);
/// assert_eq!((web_1.count(), web_2.count()), (7, 4));
///
/// let restored = GCounter::from_bytes(&web_1.to_bytes())?; // goes on under a generation of its own
/// restored.record(1);
/// web_1.record(1);
/// web_1.merge(&restored);
/// assert_eq!(web_1.count(), 9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct GCounter {
    replica: Box<str>,
    /// What this counter counts itself.
    own: Lives,
    /// All cells but that of the current life.
    others: Mutex<Cells>,
    /// Their sum, held at [`MAX`]. Stored under the lock.
    others_sum: AtomicU64,
}

impl GCounter {
    /// An empty counter of a replica, which begins a new generation of it.
    ///
    /// # Errors
    /// [`SketchError::ReplicaName`] unless the name has 1 to 1,024 bytes.
    pub fn new(replica: impl Into<String>) -> Result<Self, SketchError> {
        let replica = replica.into().into_boxed_str();
        if NAME.contains(&replica.len()) {
            Ok(Self::of(replica, Cells::new(), Lives::new()))
        } else {
            Err(SketchError::ReplicaName { length: replica.len() })
        }
    }

    fn of(replica: Box<str>, others: Cells, own: Lives) -> Self {
        let others_sum = AtomicU64::new(sum(&others));
        Self { replica, own, others: Mutex::new(others), others_sum }
    }

    /// The replica's name.
    #[must_use]
    pub fn replica(&self) -> &str {
        &self.replica
    }

    /// Counts `amount` hits, or answers [`Saturated`](Outcome::Saturated) and counts none of them, if the count would
    /// not fit into 2^63 - 1. A count beyond that can only come from replicas that did not know of each other.
    pub fn record(&self, amount: u64) -> Outcome {
        let life = self.life();
        // `Relaxed`: it decides only whether there is room.
        let others = self.others_sum.load(Ordering::Relaxed);
        let mut seen = life.read();
        loop {
            let room = MAX.saturating_sub(others).saturating_sub(seen);
            if amount > room {
                return Outcome::Saturated;
            }
            if amount == 0 {
                return Outcome::Counted;
            }
            match life.exchange(seen, seen + amount) {
                Ok(_) => return Outcome::Counted,
                Err(newer) => seen = newer,
            }
        }
    }

    /// The hits of all replicas that are known here, held at 2^63 - 1.
    #[must_use]
    pub fn count(&self) -> u64 {
        let own = self.life().read();
        own.saturating_add(self.others_sum.load(Ordering::Acquire)).min(MAX)
    }

    /// Takes in what `other` knows.
    pub fn merge(&self, other: &Self) {
        self.take(other.cells());
    }

    /// The cells, by replica and generation.
    #[must_use]
    pub fn cells(&self) -> Cells {
        let life = self.life();
        let mut cells = self.others.lock().clone();
        let own = life.read();
        if own > 0 {
            cells.insert((self.replica.clone(), life.generation()), own);
        }
        cells
    }

    /// What it knows, as bytes that can be kept, sent, and merged as often as one likes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let cells = self.cells();
        let mut out = Out::new(Kind::GCounter);
        out.text(&self.replica);
        out.many(cells.len());
        for ((replica, generation), count) in &cells {
            out.text(replica);
            out.u64(*generation);
            out.u64(*count);
        }
        out.finish()
    }

    /// A counter that knows what `bytes` hold and continues under a new generation of the replica that wrote them.
    ///
    /// # Errors
    /// [`SnapshotError`] unless `bytes` are exactly what [`to_bytes`](Self::to_bytes) of this or an older hitring made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut from = In::open(bytes, Kind::GCounter)?;
        let invalid = |what| SnapshotError::Invalid { what };
        let name = |text: &str| {
            if NAME.contains(&text.len()) { Ok(Box::from(text)) } else { Err(invalid("name of a replica")) }
        };
        let replica = name(from.text()?)?;
        let mut cells = Cells::new();
        for _ in 0..from.many(2 + 8 + 8)? {
            let key = (name(from.text()?)?, from.u64()?);
            let count = from.u64()?;
            if cells.last_key_value().is_some_and(|(before, _)| *before >= key) {
                return Err(invalid("order of cells"));
            }
            if !(1..=MAX).contains(&count) {
                return Err(invalid("count"));
            }
            cells.insert(key, count);
        }
        if from.is_empty() { Ok(Self::of(replica, cells, Lives::new())) } else { Err(invalid("length")) }
    }

    /// The life that counts in this process, begun if the process has not begun one yet.
    #[inline]
    fn life(&self) -> &Life {
        self.own.here().unwrap_or_else(|| self.begin())
    }

    /// In a forked child: the counts of its ancestors become cells like those of others, and a new life begins.
    #[cold]
    fn begin(&self) -> &Life {
        let mut others = self.others.lock();
        if let Some(life) = self.own.here() {
            return life; // another thread of the child was quicker
        }
        let inherited = self.own.iter().map(|life| ((self.replica.clone(), life.generation()), life.read()));
        raise(&mut others, inherited.filter(|(_, count)| *count > 0));
        self.others_sum.store(sum(&others), Ordering::Release);
        self.own.begin()
    }

    fn take(&self, cells: Cells) {
        let own = self.life().generation();
        let mut others = self.others.lock();
        // A copy of the own cell is never ahead of the cell itself.
        raise(&mut others, cells.into_iter().filter(|((replica, of), _)| *of != own || *replica != self.replica));
        self.others_sum.store(sum(&others), Ordering::Release);
    }
}

fn raise(cells: &mut Cells, by: impl Iterator<Item = ((Box<str>, u64), u64)>) {
    for (key, count) in by {
        match cells.entry(key) {
            Entry::Vacant(entry) => _ = entry.insert(count),
            Entry::Occupied(mut entry) => _ = entry.insert(count.max(*entry.get())),
        }
    }
}

fn sum(cells: &Cells) -> u64 {
    cells.values().fold(0u64, |sum, &count| sum.saturating_add(count)).min(MAX)
}

impl Merge for GCounter {
    fn merge(&mut self, other: &Self) {
        Self::merge(self, other);
    }
}

/// A copy knows what its original knows, and continues under a generation of its own.
impl Clone for GCounter {
    fn clone(&self) -> Self {
        let (replica, mut cells) = (self.replica.clone(), self.cells());
        if mutated!(CopyKeepsGeneration) {
            let (generation, own) = (self.life().generation(), self.life().read());
            cells.remove(&(replica.clone(), generation));
            let lives = Lives::with_generation(generation);
            lives.begin().exchange(0, own).expect("the copy has no other writer");
            return Self::of(replica, cells, lives);
        }
        Self::of(replica, cells, Lives::new())
    }
}

/// Equal if both hold the same cells, even if each continues to count in another cell.
impl PartialEq for GCounter {
    fn eq(&self, other: &Self) -> bool {
        self.cells() == other.cells()
    }
}

impl fmt::Debug for GCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GCounter").field("replica", &self.replica).field("count", &self.count()).finish_non_exhaustive()
    }
}
