//! The header: what a file was made for, written once, with a checksum.
//!
//! | word | what |
//! |---|---|
//! | 0 | `HITRINGF` |
//! | 1 | format version: 2; in the upper half 0x01020304, which tells the order of bytes |
//! | 2 | words of the file |
//! | 3 | resolution in microseconds |
//! | 4 | window in ticks; slack in the upper half |
//! | 5 | slots; room for endpoints in the upper half |
//! | 6 to 9 | room for names (bytes), visitors (words), limits (keys), frozen cells (words) |
//! | 10 | bits that choose the register of a visitor |
//! | 11, 12 | key of the hash of names |
//! | 13, 14 | replica |
//! | 15, 16 | boot under which it was made |
//! | 17, 18 | inode, and when that was made |
//! | 19 | when it was made, in microseconds since 1970 |
//! | 20 | the time of limiters when `CLOCK_MONOTONIC` was 0, in nanoseconds (wrapping) |
//! | 21 | when the time of limiters began, in microseconds since 1970 |
//! | 22 to 26 | hits counted, late, future, saturated, refused before this replica began |
//! | 27 | room for finds |
//! | 28 | words between the finds and the frozen cells |
//! | 63 | CRC-32 (IEEE) of the words before it |
//!
//! The seal, at the end of the file, is word 0 again.
//!
//! A header that does not fit is refused before anything else of the file is read, and nothing is changed.
//!
//! Tests: `tests/shared`.

use std::path::Path;
use std::time::Duration;

use super::checksum::checksum;
use super::layout::{Layout, Room};
use super::origin::Origin;
use crate::cell::outcome::Outcomes;
use crate::cell::writer::Replica;
use crate::error::SharedError;
use crate::sketch::hyperloglog::precision::Precision;
use crate::time::Resolution;
use crate::window::geometry::{Geometry, MAX_TICKS};

/// The first word of a file, and its seal.
pub const MAGIC: u64 = u64::from_le_bytes(*b"HITRINGF");
/// The version of the format. Releases never had an earlier one.
const VERSION: u32 = 2;
const ORDER: u64 = 0x0102_0304;
const FINDS: usize = 27;
const GAP: usize = 28;
const CHECKSUM: usize = WORDS - 1;
/// The words of a header.
const WORDS: usize = 64;

/// The fixed words as bytes.
pub const BYTES: usize = WORDS * 8;

/// The contents of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub layout: Layout,
    /// The key of the hash of names.
    pub key: [u64; 2],
    /// The replica under which other registries know the hits of this file.
    pub replica: Replica,
    pub origin: Origin,
    /// Microseconds since 1970.
    pub made: u64,
    pub limits: LimitTime,
    /// The hits that were counted and refused before the replica began.
    pub began: Outcomes,
}

/// The time of limiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitTime {
    /// The time of limiters when the steady clock was 0, in nanoseconds, wrapping.
    pub offset: u64,
    /// When it began, in microseconds since 1970.
    pub origin: u64,
}

impl Header {
    /// The number that this file shares with the files that were made from it.
    #[cfg(feature = "server")]
    pub fn lineage(&self) -> [u8; 16] {
        bytemuck::cast(self.key.map(u64::to_le_bytes))
    }

    /// The words.
    pub fn encode(&self) -> [u64; WORDS] {
        let Self { layout, key, replica, origin, made, limits, began } = self;
        let (geometry, room) = (&layout.geometry, &layout.room);
        let mut words = [0; WORDS];
        let two = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let said = [
            MAGIC,
            u64::from(VERSION) | ORDER << 32,
            layout.words as u64,
            geometry.resolution().width().as_micros() as u64,
            two(geometry.window(), geometry.slack()),
            two(geometry.slots() as u32, room.endpoints),
            room.names,
            room.visitors,
            room.limits,
            room.frozen,
            layout.precision.bits().into(),
            key[0],
            key[1],
            replica.process,
            replica.sequence,
            origin.boot[0],
            origin.boot[1],
            origin.inode,
            origin.birth,
            *made,
            limits.offset,
            limits.origin,
        ];
        words[..said.len()].copy_from_slice(&said);
        words[said.len()..said.len() + 5].copy_from_slice(&began.to_array());
        words[FINDS] = room.finds;
        words[GAP] = room.gap;
        words[CHECKSUM] = checksum(words[..CHECKSUM].iter().copied());
        words
    }

    /// Reads a header from `bytes`, the first of the file at `path`; the file has `length` bytes.
    pub fn decode(path: &Path, bytes: &[u8], length: u64) -> Result<Self, SharedError> {
        let damaged = |what| SharedError::Damaged { path: path.into(), what };
        let foreign = || SharedError::Foreign { path: path.into() };
        let (given, _) = bytes.as_chunks::<8>();
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(given) {
            *word = u64::from_le_bytes(*bytes);
        }
        if words[0] != MAGIC {
            return Err(foreign());
        }
        if given.len() < WORDS {
            return Err(SharedError::Truncated { path: path.into(), bytes: length, wanted: BYTES as u64 });
        }
        if words[1] != u64::from(VERSION) | ORDER << 32 {
            return Err(SharedError::Version { path: path.into(), version: words[1] as u32 });
        }
        if words[CHECKSUM] != checksum(words[..CHECKSUM].iter().copied()) {
            return Err(damaged("header"));
        }
        let resolution = Resolution::new(Duration::from_micros(words[3])).map_err(|_| damaged("resolution"))?;
        let (window, slack) = (words[4] as u32, (words[4] >> 32) as u32);
        let (slots, endpoints) = (words[5] as u32, (words[5] >> 32) as u32);
        if !(1..=MAX_TICKS).contains(&window) || slack > MAX_TICKS {
            return Err(damaged("window"));
        }
        let geometry = Geometry::new(resolution, resolution.width() * window, slack).map_err(|_| damaged("window"))?;
        let precision = u8::try_from(words[10]).ok().and_then(|bits| Precision::new(bits).ok());
        let [names, visitors, limits, frozen] = [words[6], words[7], words[8], words[9]];
        let [finds, gap] = [words[FINDS], words[GAP]];
        let room = Room { endpoints, names, visitors, limits, frozen, gap, finds };
        let layout = Layout::new(geometry, precision.ok_or_else(|| damaged("precision"))?, room)
            .filter(|layout| layout.words as u64 == words[2] && endpoints > 0 && geometry.slots() == slots as usize)
            .ok_or_else(|| damaged("size"))?;
        let wanted = layout.words as u64 * 8;
        if length < wanted {
            return Err(SharedError::Truncated { path: path.into(), bytes: length, wanted });
        }
        let [counted, late, future, saturated, refused] = [words[22], words[23], words[24], words[25], words[26]];
        Ok(Self {
            layout,
            key: [words[11], words[12]],
            replica: Replica { process: words[13], sequence: words[14] },
            origin: Origin { boot: [words[15], words[16]], inode: words[17], birth: words[18] },
            made: words[19],
            limits: LimitTime { offset: words[20], origin: words[21] },
            began: Outcomes { counted, late, future, saturated, refused },
        })
    }
}
