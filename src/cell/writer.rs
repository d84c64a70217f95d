//! The writer of a cell: the key under which copies of a count may be merged.
//!
//! A counter's hits are cells that only grow, each under a key that names its writer. Two copies of one cell merge by
//! the larger value, and cells of different writers add up. So two counters must never be the same writer. Every
//! counter that is created, cloned, unpickled or forked is a writer of its own, and so is every life of it between two
//! resets:
//!
//! | field | differs between |
//! |---|---|
//! | `replica` | counters, in any process and on any host |
//! | `generation` | the lives of one counter |
//!
//! Tests: `tests/merge`.

use std::sync::OnceLock;

use rand::TryRng;
use rand::rngs::SysRng;

use crate::sync::{Ordering, process};

/// A counter, among all counters of all processes and hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Replica {
    /// Random, one for each process.
    pub process: u64,
    /// The counter within its process.
    pub sequence: u64,
}

impl Replica {
    /// The replica of the folded totals. It belongs to no counter: under it a registry's snapshot has the totals of
    /// replicas that the registry does not know one by one any more. Only a restore takes them over.
    pub(crate) const FOLDED: Self = Self { process: u64::MAX, sequence: u64::MAX };

    /// A replica that no other counter has.
    #[must_use]
    pub fn new() -> Self {
        static RANDOM: OnceLock<u64> = OnceLock::new();
        static SEQUENCE: process::AtomicU64 = process::AtomicU64::new(0);
        let random = *RANDOM.get_or_init(|| {
            SysRng.try_next_u64().unwrap_or_else(|_| {
                // If the system gives no random numbers: the hash keys of the standard library, which it seeds itself.
                use std::hash::BuildHasher;
                std::hash::RandomState::new().hash_one(std::process::id())
            })
        });
        // A forked child has its parent's random number but another process id. The odd factor spreads ids over the
        // whole word.
        let process = random ^ u64::from(std::process::id()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { process, sequence: SEQUENCE.fetch_add(1, Ordering::Relaxed) }
    }
}

#[cfg(feature = "server")]
impl Replica {
    /// Reads a replica that [`to_bytes`](Self::to_bytes) wrote.
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(bytes);
        Self { process: (number >> 64) as u64, sequence: number as u64 }
    }

    /// Writes the replica as 16 bytes.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.process) << 64 | u128::from(self.sequence)).to_be_bytes()
    }
}

impl Default for Replica {
    fn default() -> Self {
        Self::new()
    }
}

/// One life of one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Writer {
    /// The counter.
    pub replica: Replica,
    /// Which of its lives.
    pub generation: u64,
}
