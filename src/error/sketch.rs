//! Why a sketch cannot be made, merged, read or written.
//!
//! Tests: `tests/surface`.

use std::error::Error;
use std::fmt;

/// Why a sketch cannot be made, merged, written or read. Nothing was changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SketchError {
    /// The name of a replica has 1 to 1,024 bytes. Shorten or hash it.
    ReplicaName {
        /// How many were given.
        length: usize,
    },
    /// A sample or list has room for 1 to 2^20 items.
    Size {
        /// What was asked for.
        given: usize,
    },
    /// Samples of different sizes. Build both with the same `k`.
    OtherSize {
        /// The size of the other sample or list.
        theirs: usize,
        /// The size of this sample or list.
        ours: usize,
    },
    /// Approximate counts of different bases. Build both with the same error or base.
    OtherBase {
        /// The base of the other count.
        theirs: f64,
        /// The base of this count.
        ours: f64,
    },
    /// A HyperLogLog has a precision from 4 to 18.
    Precision {
        /// What was asked for.
        given: u8,
    },
    /// The registers of two sketches do not correspond. Make both with the same precision.
    OtherPrecision {
        /// The precision of the sketch that was to be merged.
        theirs: u8,
        /// The precision of the sketch that it was to be merged into.
        ours: u8,
    },
    /// Redis supports only precision 14. Make the sketch with that.
    RedisPrecision {
        /// The precision of the sketch.
        precision: u8,
    },
    /// The bytes end before Redis's header of a HyperLogLog does.
    RedisTooShort {
        /// How many bytes there are.
        length: usize,
    },
    /// The bytes do not begin as Redis's HyperLogLogs do.
    RedisForeign,
    /// Redis's HyperLogLogs are dense (0) or sparse (1).
    RedisEncoding {
        /// The encoding that the bytes give.
        given: u8,
    },
    /// A dense HyperLogLog of Redis has another length: the bytes were cut off, or changed on the way.
    RedisLength {
        /// How many bytes there are.
        length: usize,
        /// How many there should be.
        expected: usize,
    },
    /// The runs of a sparse HyperLogLog of Redis do not cover its 16,384 registers exactly.
    RedisRuns {
        /// How many they cover, until the first run that is too long or cut off.
        covered: usize,
    },
    /// No item could have given this register its value.
    Register {
        /// Which register.
        index: u32,
        /// Its value.
        value: u8,
        /// The precision of the sketch.
        precision: u8,
    },
}

impl fmt::Display for SketchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const GET: &str = "pass on the bytes that GET answers for a key of PFADD, unchanged and not decoded as text";
        match self {
            Self::ReplicaName { length } => {
                write!(f, "the name of a replica has 1 to 1,024 bytes of UTF-8, not {length}; {}", super::cure(*length))
            }
            Self::Size { given } => write!(f, "room for {given} items is not possible; give a k from 1 to 1048576"),
            Self::OtherSize { theirs, ours } => {
                write!(f, "a sample of k = {theirs} does not go into one of k = {ours}; build both with the same k")
            }
            Self::OtherBase { theirs, ours } => write!(
                f,
                "an approximate count of base {theirs} does not add to one of base {ours}; build both with the same \
                 error or base"
            ),
            Self::Precision { given } => write!(f, "a precision of {given} is not possible; give one from 4 to 18"),
            Self::OtherPrecision { theirs, ours } => write!(
                f,
                "a sketch of precision {theirs} cannot be merged into one of precision {ours}; make both with the same \
                 precision"
            ),
            Self::RedisPrecision { precision } => write!(
                f,
                "Redis knows no HyperLogLog of precision {precision}; make the sketch with precision 14, the default"
            ),
            Self::RedisTooShort { length } => {
                write!(f, "{length} bytes are too few for a HyperLogLog of Redis, whose header alone has 16; {GET}")
            }
            Self::RedisForeign => {
                write!(f, "these bytes are no HyperLogLog of Redis, they do not begin with HYLL; {GET}")
            }
            Self::RedisEncoding { given } => write!(
                f,
                "a HyperLogLog of Redis is dense (0) or sparse (1), these bytes say {given}; {GET}, or upgrade hitring"
            ),
            Self::RedisLength { length, expected } => {
                write!(f, "a dense HyperLogLog of Redis has {expected} bytes, not {length}; {GET}")
            }
            Self::RedisRuns { covered } => write!(
                f,
                "the runs of a sparse HyperLogLog of Redis cover 16384 registers, these bytes' cover {covered} and are \
                 broken off or too long there; {GET}"
            ),
            Self::Register { index, value, precision } => write!(
                f,
                "register {index} is {value}, which no item could have made it at precision {precision}; take the bytes \
                 from their source again"
            ),
        }
    }
}

impl Error for SketchError {}
