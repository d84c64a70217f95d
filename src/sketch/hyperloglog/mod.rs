//! HyperLogLog: how many *different* items there were, in memory that does not grow with them.
//!
//! Use it for visitors, addresses, sessions: where there may be very many and about one in a hundred off will do. Do not use it
//! where they must be exact or listed, nor against an attacker that chooses items to deceive it (see [`hash`]).
//!
//! An item's hash chooses one of `2^precision` registers and a value for it; the register keeps the largest. So adding
//! again changes nothing, the order does not matter, and two sketches merge by the larger of each two registers: what
//! comes out is the sketch of both sets of items, exactly. Flajolet, Fusy, Gandouet and Meunier, "HyperLogLog", 2007.
//!
//! ```text
//! precision | few: 8 cells | more: -> 32 -> 128 -> 512 cells | dense: -> 16,384 registers of 6 bits
//! ```
//!
//! # Forms
//! | form | a register is in | left |
//! |---|---|---|
//! | sparse | one cell of the tables ([`sparse`]) | by a thread that finds all cells within reach taken: it publishes `dense`, filled with all cells, by one exchange |
//! | dense | `dense` ([`registers`]), or in a cell, or in both: the larger counts | never |
//!
//! Nothing is moved: a thread that has not seen `dense` yet may go on writing cells, for cells stay where they are and
//! every reader takes the larger of a register's two places. (A reader that trusts `dense` alone: mutant
//! `DenseForgetsCells`. A place that is raised by a load and a store: mutant `RegisterLoadStore`.)
//!
//! A register only goes up, so a count that the same thread reads later, or another thread after it, is never of fewer items.
//!
//! # Memory
//! In bytes, without what the allocator adds, on 64-bit targets. In brackets up to how many items, on the average of 50
//! sketches: a table is appended once the first index finds no cell.
//!
//! | precision | standard error | cells in the sketch | 32 more | 128 more | 512 more | 2,048 more | 8,192 more | dense |
//! |---|---|---|---|---|---|---|---|---|
//! | 4 | 26 % | 56 (11) | | | | | | 88 |
//! | 8 | 6.5 % | 56 (8) | | | | | | 280 |
//! | 10 | 3.3 % | 56 (8) | 208 (38) | | | | | 1,048 |
//! | 12 | 1.6 % | 56 (8) | 208 (37) | 744 (140) | | | | 4,040 |
//! | 14 | 0.81 % | 56 (8) | 208 (37) | 744 (133) | 2,816 (489) | | | 15,944 |
//! | 16 | 0.41 % | 56 (8) | 208 (37) | 744 (137) | 2,816 (476) | 11,032 (1,774) | | 63,480 |
//! | 18 | 0.20 % | 56 (8) | 208 (37) | 744 (135) | 2,816 (479) | 11,032 (1,724) | 43,824 (6,504) | 253,560 |
//!
//! The tables stay when the sketch becomes dense: to free them would take a protocol that every `add` pays for, and they
//! are a fifth of it at most.
//!
//! # Guarantees
//! | method | progress | steps | a reader beside writers |
//! |---|---|---|---|
//! | [`add`](HyperLogLog::add) | wait-free but for the allocator on x86-64 and on AArch64 with LSE, else lock-free | dense: one load if nothing changes, else one exchange and one for each raise of ten registers that come between, at most `10 * (65 - precision)`; sparse: see there | |
//! | [`merge`](HyperLogLog::merge) | the same | the same for each word or cell of the other | |
//! | [`count`](HyperLogLog::count), [`registers`](HyperLogLog::registers), [`to_redis`](HyperLogLog::to_redis), `clone` | wait-free but for the allocator | one load a cell, one a word | sees every item whose `add` returned before it began, none that began after it ended |
//!
//! If several threads bring the first item of a kind at once, at least one call answers that it changed something.
//!
//! Tests: `tests/sketch/hyperloglog.rs`, `tests/models/hyperloglog.rs`.

pub mod precision;
pub mod estimator;
mod redis;
mod frame;
pub mod hash;
pub mod registers;
pub mod sparse;

use crate::error::{SketchError, SnapshotError};
use crate::sketch::hyperloglog::estimator::Histogram;
use crate::sketch::hyperloglog::precision::{Precision, Register};
use crate::sketch::hyperloglog::registers::Registers;
use crate::sketch::hyperloglog::sparse::{Raised, Sparse};
use crate::sync::mutant::mutated;
use crate::sync::table::Once;

/// Estimates how many different items were added, from any number of threads, without a lock.
///
/// Takes 56 bytes for the first few items, and never more than 16 KB at the default precision. [`error`](Self::error) says
/// how good the estimate is. Registers, hash and estimate are those of Redis, which can go on with what
/// [`to_redis`](Self::to_redis) writes.
///
/// ```
/// use hitring::HyperLogLog;
///
/// let (monday, tuesday) = (HyperLogLog::new(), HyperLogLog::new());
/// for visitor in 0..1_000 {
///     monday.add(format!("visitor {visitor}").as_bytes());
///     tuesday.add(format!("visitor {}", visitor + 500).as_bytes());
/// }
/// let both = monday.clone();
/// both.merge(&tuesday)?;
/// assert!((both.count() as f64 / 1_500.0 - 1.0).abs() < 4.0 * both.error());
/// # Ok::<(), hitring::SketchError>(())
/// ```
pub struct HyperLogLog {
    /// The registers, or those of them that came before `dense`.
    sparse: Sparse,
    /// Every register, once there are many. Published by the thread that finds no cell.
    dense: Once<Registers>,
    precision: Precision,
}

impl HyperLogLog {
    /// A sketch of precision 14: an error of 0.81 %, and the only one that Redis knows.
    pub fn new() -> Self {
        Self::of(Precision::REDIS)
    }

    /// A sketch of `2^precision` registers, 4 to 18.
    ///
    /// # Errors
    /// [`SketchError::Precision`] for any other.
    pub fn with_precision(precision: u8) -> Result<Self, SketchError> {
        Precision::new(precision).map(Self::of)
    }

    /// A sketch of that precision.
    #[doc(hidden)]
    pub fn of(precision: Precision) -> Self {
        Self { sparse: Sparse::default(), dense: Once::new(), precision }
    }

    /// Adds an item, and says whether that changed anything, as Redis's `PFADD` does.
    ///
    /// False: the item was there, or others hide it. True: it is new, or of several threads that brought it at once this
    /// one was among the first.
    #[inline]
    pub fn add(&self, item: &[u8]) -> bool {
        self.add_hash(hash::murmur(item))
    }

    /// Adds an item by its [`hash`](hash::murmur), where one item goes into several sketches.
    #[doc(hidden)]
    #[inline]
    pub fn add_hash(&self, hash: u64) -> bool {
        self.put(self.precision.register(hash))
    }

    /// Raises a register that an item could have made so.
    #[doc(hidden)]
    #[inline]
    pub fn put(&self, register: Register) -> bool {
        match self.dense.get() {
            Some(dense) => dense.raise(register) && self.is_new(register),
            None => self.put_sparse(register),
        }
    }

    /// Whether no cell has it, either: one that was written by a thread that had not seen `dense`.
    #[cold]
    fn is_new(&self, register: Register) -> bool {
        self.sparse.value(register.index) < register.value
    }

    #[inline(never)]
    fn put_sparse(&self, register: Register) -> bool {
        match self.sparse.raise(self.precision, register) {
            Raised::Up => true,
            Raised::Already => false,
            Raised::Full => self.dense().raise(register) && self.is_new(register),
        }
    }

    /// The dense form; if there was none, with what the cells have.
    fn dense(&self) -> &Registers {
        self.dense.get_or_make(|| {
            let dense = Registers::new(self.precision);
            self.sparse.iter().for_each(|register| {
                dense.raise(register);
            });
            dense
        })
    }

    /// How many different items were added, about.
    pub fn count(&self) -> u64 {
        let histogram = match self.dense.get() {
            None => Histogram::of(self.precision, self.sparse.iter().map(|register| register.value)),
            Some(_) => Histogram::of(self.precision, self.values().into_iter()),
        };
        histogram.estimate(self.precision)
    }

    /// The relative standard error of [`count`](Self::count): two of three estimates are within it, 19 of 20 within twice
    /// of it. Better while there are fewer items than registers; at precision 4 to 6 up to a fifth worse, and 2 to 8 % too high.
    pub fn error(&self) -> f64 {
        self.precision.error()
    }

    /// The number of bits that choose a register.
    pub fn precision(&self) -> u8 {
        self.precision.bits()
    }

    /// Whether only the registers that are not zero are kept.
    pub fn is_sparse(&self) -> bool {
        self.dense.get().is_none()
    }

    /// The memory that the sketch takes, itself included, without what the allocator adds.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.sparse.bytes() + self.dense.get().map_or(0, Registers::bytes)
    }

    /// Adds all items of `other`. To merge again, in any order, changes nothing more.
    ///
    /// # Errors
    /// [`SketchError::OtherPrecision`] if the registers do not correspond; nothing was changed.
    pub fn merge(&self, other: &Self) -> Result<(), SketchError> {
        if other.precision != self.precision {
            let (theirs, ours) = (other.precision(), self.precision());
            return Err(SketchError::OtherPrecision { theirs, ours });
        }
        if let Some(theirs) = other.dense.get() {
            self.dense().join(theirs);
        }
        other.sparse.iter().for_each(|register| {
            self.put(register);
        });
        Ok(())
    }

    /// All registers.
    fn values(&self) -> Vec<u8> {
        let mut values = vec![0; self.precision.registers()];
        if let Some(dense) = self.dense.get() {
            dense.join_into(&mut values);
            if mutated!(DenseForgetsCells) {
                return values;
            }
        }
        for Register { index, value } in self.sparse.iter() {
            let place = &mut values[index as usize];
            *place = value.max(*place);
        }
        values
    }

    /// The registers that are not zero, by index, with their values: all that there is to know of the sketch.
    #[doc(hidden)]
    pub fn registers(&self) -> impl Iterator<Item = (u32, u8)> + use<> {
        let registers: Vec<_> = match self.dense.get() {
            None => {
                let mut registers: Vec<_> =
                    self.sparse.iter().map(|Register { index, value }| (index, value)).collect();
                registers.sort_unstable();
                registers
            }
            Some(_) => (0..).zip(self.values()).filter(|&(_, value)| value > 0).collect(),
        };
        registers.into_iter()
    }

    /// Raises a register, as read from [`registers`](Self::registers), and says whether it was lower.
    ///
    /// # Errors
    /// [`SketchError::Register`] if no item could have made it so; nothing was changed.
    #[doc(hidden)]
    pub fn raise(&self, index: u32, value: u8) -> Result<bool, SketchError> {
        let register = Register { index, value };
        if self.precision.allows(register) {
            Ok(self.put(register))
        } else {
            Err(SketchError::Register { index, value, precision: self.precision() })
        }
    }

    /// The sketch as Redis keeps it: `SET` the bytes, and `PFCOUNT`, `PFADD` and `PFMERGE` go on with them. In Redis's sparse
    /// form where Redis itself would use it.
    ///
    /// # Errors
    /// [`SketchError::RedisPrecision`] unless the precision is 14.
    pub fn to_redis(&self) -> Result<Vec<u8>, SketchError> {
        if self.precision == Precision::REDIS {
            Ok(redis::write(&self.values()))
        } else {
            Err(SketchError::RedisPrecision { precision: self.precision() })
        }
    }

    /// The sketch of what Redis answers to `GET` for a key of `PFADD` or `PFMERGE`, in either form.
    ///
    /// # Errors
    /// The bytes are none such, are not complete, or hold what no item could have made: `RedisTooShort`, `RedisForeign`,
    /// `RedisEncoding`, `RedisLength`, `RedisRuns`, `Register` of [`SketchError`].
    pub fn from_redis(bytes: &[u8]) -> Result<Self, SketchError> {
        Ok(Self::with_registers(Precision::REDIS, redis::read(bytes)?))
    }

    /// The sketch as bytes of hitring's own, of any precision and checksummed, which can be kept, sent, and merged as often
    /// as one likes.
    pub fn to_bytes(&self) -> Vec<u8> {
        frame::write(self.precision, &self.values())
    }

    /// The sketch that `bytes` hold.
    ///
    /// # Errors
    /// [`SnapshotError`] unless `bytes` are exactly what [`to_bytes`](Self::to_bytes) of this or an older hitring made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let (precision, registers) = frame::read(bytes)?;
        Ok(Self::with_registers(precision, registers))
    }

    fn with_registers(precision: Precision, registers: Vec<Register>) -> Self {
        let sketch = Self::of(precision);
        if registers.len() > Sparse::capacity(precision) {
            sketch.dense();
        }
        for register in registers {
            sketch.put(register);
        }
        sketch
    }
}

impl Default for HyperLogLog {
    fn default() -> Self {
        Self::new()
    }
}

/// A copy goes its own way. Beside writers it has every item that was added before it was begun.
impl Clone for HyperLogLog {
    fn clone(&self) -> Self {
        let copy = Self::of(self.precision);
        copy.merge(self).expect("the precision is the same");
        copy
    }
}

impl std::fmt::Debug for HyperLogLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HyperLogLog")
            .field("precision", &self.precision())
            .field("count", &self.count())
            .field("sparse", &self.is_sparse())
            .finish()
    }
}
