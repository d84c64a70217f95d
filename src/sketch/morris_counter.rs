//! An approximate count of all time in one word, by any threads.
//!
//! Use it where very many counts are kept and a stated error will do. Not to save memory on a few: one counter takes a
//! word whatever its error, and more for its name.
//!
//! The register, its base and its error are those of [`morris`](super::morris). A hit that loses an exchange decides again
//! for the register that is there then, by the number that it drew first: see
//! [`morris_ring`](super::morris_ring), "A lost exchange decides again, by the same number". So the estimate stays unbiased
//! under threads.
//!
//! # Merging
//! A register is not a join: the larger of two replicas' registers loses a replica, and their sum doubles a register that comes
//! twice. Each writer counts in a register of its own, which only grows, so it is its own version; the others' are kept beside it
//! ([`PerWriter`]) and the estimates added up on read. The errors of independent estimates average out: the relative standard error
//! of a sum is at most that of each estimate. A copy, a counter read from bytes and a forked child each begin as writers with a
//! register of 0.
//!
//! # Guarantees
//! | method | progress | steps | beside writers |
//! |---|---|---|---|
//! | `record` | lock-free on every target: a lost exchange means that the register was raised (on targets with load-linked, also a spurious failure) | a turn: one power, and a step for each raise drawn. Most hits of a large count write nothing | |
//! | `estimate` | locks the others' registers, which `record` never does | a power a writer | every hit whose call had returned has been decided |
//! | `merge`, `clone`, `to_bytes` | lock the others' registers, one counter at a time | one step a writer | as above |
//!
//! The first call in a forked child begins its life under that lock: do not fork while another thread is in one of the
//! methods that take it.
//!
//! # Bytes
//! The frame of `src/cell/frame.rs`, kind 5; see `docs/formats.md`.
//!
//! Tests: `tests/sketch/morris_counter.rs`.

use std::fmt;

use crate::cell::frame::{In, Kind, Out};
use crate::cell::merge::PerWriter;
use crate::cell::outcome::Outcome;
use crate::cell::writer::{Replica, Writer};
use crate::error::{ConfigError, SketchError, SnapshotError};
use crate::sketch::draw::Source;
use crate::sketch::morris::{Base, Kept};
use crate::sync::Mutex;
use crate::sync::life::{Life, Lives};
use crate::sync::mutant::mutated;

/// An approximate count: it says how far it may be off, and merges.
///
/// ```
/// let counter = hitring::Morris::with_error(0.05)?.seeded(7);
/// counter.record(1_000_000);
/// let off = (counter.estimate() - 1e6).abs() / 1e6;
/// assert!(off < 4.0 * counter.error()); // standard errors
/// # Ok::<(), hitring::ConfigError>(())
/// ```
pub struct Morris {
    base: Base,
    max_register: u64,
    source: Source,
    replica: Replica,
    /// The register that this counter counts in.
    own: Lives,
    /// The registers of all other writers: the state is the version.
    others: Mutex<PerWriter<()>>,
}

impl Morris {
    /// A count whose estimates have a relative standard error of `error`.
    ///
    /// # Errors
    /// [`ConfigError::MorrisError`] unless it is from 0.001 to 0.5.
    pub fn with_error(error: f64) -> Result<Self, ConfigError> {
        Base::with_error(error).map(Self::of)
    }

    /// A count by `base`: 2 is the coarsest, the nearer to 1 the more exact.
    ///
    /// # Errors
    /// [`ConfigError::MorrisBase`] unless it is from 1.000002 to 2.
    pub fn with_base(base: f64) -> Result<Self, ConfigError> {
        Base::new(base).map(Self::of)
    }

    fn of(base: Base) -> Self {
        Self {
            base,
            max_register: base.max_register(),
            source: Source::new(None),
            replica: Replica::new(),
            own: Lives::new(),
            others: Mutex::new(PerWriter::new()),
        }
    }

    /// The same by random numbers of a seed: the same amounts in the same order give the same estimate.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.source = Source::new(Some(seed));
        self
    }

    /// Counts `amount` hits, or answers [`Saturated`](Outcome::Saturated) and counts none of them, if the register would
    /// stand for more than 2^63 hits.
    pub fn record(&self, amount: u64) -> Outcome {
        self.record_with(amount, &mut || self.source.unit())
    }

    /// Counts `amount` hits by the numbers that `draw` gives, which are drawn evenly from `(0, 1]`.
    #[doc(hidden)]
    pub fn record_with(&self, amount: u64, draw: &mut impl FnMut() -> f64) -> Outcome {
        if amount > i64::MAX as u64 {
            return Outcome::Saturated;
        }
        let life = self.life();
        let mut numbers = Kept::new(draw);
        let mut register = life.read();
        let mut lost_step = None;
        loop {
            let raised = match lost_step {
                Some(step) if mutated!(MorrisKeepsStep) => register + step,
                _ => numbers.advance(self.base, register, amount),
            };
            if raised > self.max_register {
                return Outcome::Saturated;
            }
            // Nothing to write: the hit is counted by having been decided for the register that was read.
            if raised == register {
                return Outcome::Counted;
            }
            match life.exchange(register, raised) {
                Ok(_) => return Outcome::Counted,
                Err(seen) => (register, lost_step) = (seen, Some(raised - register)),
            }
        }
    }

    /// How many hits there were, about: here and where others that were merged came from.
    #[must_use]
    pub fn estimate(&self) -> f64 {
        self.registers().iter().map(|(_, register, ())| self.base.estimate(register)).sum()
    }

    /// The relative standard error of the estimate: never more than this.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.base.error()
    }

    /// The base: what a raise of the register multiplies the estimate by, about.
    #[must_use]
    pub fn base(&self) -> f64 {
        self.base.get()
    }

    /// Takes in what `other` has counted. Taking it in again changes nothing.
    ///
    /// # Errors
    /// [`SketchError::OtherBase`] unless both have the same base.
    pub fn merge(&self, other: &Self) -> Result<(), SketchError> {
        if other.base != self.base {
            return Err(SketchError::OtherBase { theirs: other.base.get(), ours: self.base.get() });
        }
        let theirs = other.registers(); // with the other's lock released, so that two that merge each other do not deadlock
        let own = self.writer(self.life());
        self.others.lock().merge_except(&theirs, own);
        Ok(())
    }

    /// Every writer's register.
    #[must_use]
    #[doc(hidden)]
    pub fn registers(&self) -> PerWriter<()> {
        let life = self.life();
        let mut registers = self.others.lock().clone();
        let register = life.read();
        if register > 0 {
            registers.put(self.writer(life), register, ());
        }
        registers
    }

    /// What it knows, as bytes that can be kept, sent, and merged as often as one likes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let registers = self.registers();
        let mut out = Out::new(Kind::Morris);
        out.u64(self.base.get().to_bits());
        out.many(registers.len());
        for (writer, register, ()) in registers.iter() {
            out.writer(writer);
            out.u64(register);
        }
        out.finish()
    }

    /// A counter that knows what `bytes` hold and continues as a writer of its own.
    ///
    /// # Errors
    /// [`SnapshotError`] unless `bytes` are exactly what [`to_bytes`](Self::to_bytes) of this or an older hitring made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut from = In::open(bytes, Kind::Morris)?;
        let invalid = |what| SnapshotError::Invalid { what };
        let counter = Self::with_base(f64::from_bits(from.u64()?)).map_err(|_| invalid("base"))?;
        let mut registers = PerWriter::new();
        for _ in 0..from.many(24 + 8)? {
            let (writer, register) = (from.writer()?, from.u64()?);
            if registers.iter().next_back().is_some_and(|(before, ..)| before >= writer) {
                return Err(invalid("order of writers"));
            }
            if !(1..=counter.max_register).contains(&register) {
                return Err(invalid("register"));
            }
            registers.put(writer, register, ());
        }
        if !from.is_empty() {
            return Err(invalid("length"));
        }
        *counter.others.lock() = registers;
        Ok(counter)
    }

    fn writer(&self, life: &Life) -> Writer {
        Writer { replica: self.replica, generation: life.generation() }
    }

    #[inline]
    fn life(&self) -> &Life {
        self.own.here().unwrap_or_else(|| self.begin())
    }

    /// In a forked child: its ancestors' registers become registers of others, and a new life begins.
    #[cold]
    fn begin(&self) -> &Life {
        let mut others = self.others.lock();
        if let Some(life) = self.own.here() {
            return life; // another thread of the child was quicker
        }
        for life in self.own.iter().filter(|life| life.read() > 0) {
            others.put(self.writer(life), life.read(), ());
        }
        self.own.begin()
    }
}

/// A copy has the same estimate and continues as a writer of its own.
impl Clone for Morris {
    fn clone(&self) -> Self {
        let copy = Self { source: self.source.split(), ..Self::of(self.base) };
        *copy.others.lock() = self.registers();
        copy
    }
}

impl fmt::Debug for Morris {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (estimate, error) = (self.estimate(), self.error());
        f.debug_struct("Morris").field("estimate", &estimate).field("error", &error).finish_non_exhaustive()
    }
}
