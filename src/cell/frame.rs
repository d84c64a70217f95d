//! The frame of all data that leaves as bytes, and numbers in it.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `HITRING\0` |
//! | 2 | format version: 1, of registries 2 |
//! | 2 | kind, see [`Kind`] |
//! | 8 | length of all the bytes |
//! | ... | the body, by kind |
//! | 4 | CRC-32 (IEEE) of all bytes before it |
//!
//! Integers are little-endian. The bytes are not trusted: a number of items is checked against the bytes that are left
//! before memory is allocated for them.
//!
//! Tests: `tests/registry/bytes.rs`, `tests/sketch/bytes.rs`.

use crate::cell::writer::{Replica, Writer};
use crate::error::SnapshotError;

const MAGIC: [u8; 8] = *b"HITRING\0";
const LENGTH_AT: usize = 12;
const CHECKSUM: usize = 4;

/// The type whose data the bytes hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// A [`Snapshot`](crate::Snapshot) of a hit counter.
    Counter = 1,
    /// A `RegistrySnapshot`.
    Registry = 2,
    /// A [`GCounter`](crate::GCounter).
    GCounter = 3,
    /// A `TopK` of texts.
    TopK = 4,
    /// A [`Morris`](crate::Morris).
    Morris = 5,
    /// A `Reservoir` of texts.
    Reservoir = 6,
    /// A `BottomK` of texts.
    BottomK = 7,
    /// A [`WindowedUniques`](crate::WindowedUniques).
    WindowedUniques = 8,
    /// A [`HyperLogLog`](crate::HyperLogLog).
    HyperLogLog = 9,
}

impl Kind {
    fn of(number: u16) -> Option<Self> {
        const ALL: [Kind; 9] = [
            Kind::Counter,
            Kind::Registry,
            Kind::GCounter,
            Kind::TopK,
            Kind::Morris,
            Kind::Reservoir,
            Kind::BottomK,
            Kind::WindowedUniques,
            Kind::HyperLogLog,
        ];
        ALL.into_iter().find(|kind| *kind as u16 == number)
    }

    /// The version in which it is written; older ones are still read.
    const fn version(self) -> u16 {
        match self {
            Self::Registry => 2,
            _ => 1,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Counter => "HitCounter",
            Self::Registry => "Registry",
            Self::GCounter => "GCounter",
            Self::TopK => "TopK",
            Self::Morris => "Morris",
            Self::Reservoir => "Reservoir",
            Self::BottomK => "BottomK",
            Self::WindowedUniques => "WindowedUniques",
            Self::HyperLogLog => "HyperLogLog",
        }
    }
}

/// Bytes that are being written.
#[derive(Debug)]
pub struct Out(Vec<u8>);

impl Out {
    /// A frame of `kind` that has no body yet.
    pub fn new(kind: Kind) -> Self {
        let mut out = Self(Vec::new());
        out.bytes(&MAGIC);
        out.u16(kind.version());
        out.u16(kind as u16);
        out.u64(0);
        out
    }

    /// The whole frame.
    pub fn finish(mut self) -> Vec<u8> {
        let length = (self.0.len() + CHECKSUM) as u64;
        self.0[LENGTH_AT..LENGTH_AT + 8].copy_from_slice(&length.to_le_bytes());
        let checksum = crc32fast::hash(&self.0);
        self.0.extend(checksum.to_le_bytes());
        self.0
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    /// Two bytes.
    pub fn u16(&mut self, number: u16) {
        self.0.extend(number.to_le_bytes());
    }

    /// Four bytes.
    pub fn u32(&mut self, number: u32) {
        self.0.extend(number.to_le_bytes());
    }

    /// Eight bytes.
    pub fn u64(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    /// A number of items, in four bytes. A number that does not fit cannot occur, because so many items would not fit
    /// into memory.
    pub fn many(&mut self, items: usize) {
        self.u32(items as u32);
    }

    /// A text of up to 65,535 bytes: its length in two bytes, and itself.
    pub fn text(&mut self, text: &str) {
        self.u16(text.len() as u16);
        self.bytes(text.as_bytes());
    }

    /// A text of up to 2^32 - 1 bytes: its length in four bytes, and itself.
    pub fn long_text(&mut self, text: &str) {
        self.many(text.len());
        self.bytes(text.as_bytes());
    }

    /// Sixteen bytes.
    pub fn replica(&mut self, replica: Replica) {
        self.u64(replica.process);
        self.u64(replica.sequence);
    }

    /// Twenty-four bytes.
    pub fn writer(&mut self, writer: Writer) {
        self.replica(writer.replica);
        self.u64(writer.generation);
    }
}

/// Bytes that are being read.
#[derive(Debug)]
pub struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    /// The body of a frame of `kind`.
    ///
    /// # Errors
    /// [`SnapshotError`] unless `bytes` are exactly such a frame.
    pub fn open(bytes: &'a [u8], kind: Kind) -> Result<Self, SnapshotError> {
        Self::open_any(bytes, kind).map(|(body, _)| body)
    }

    /// The body of a frame of `kind` and its version, which may be an older one.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_any(bytes: &'a [u8], kind: Kind) -> Result<(Self, u16), SnapshotError> {
        let mut header = Self(bytes);
        let begins = bytes.len().min(MAGIC.len());
        if bytes[..begins] != MAGIC[..begins] || bytes.is_empty() {
            return Err(SnapshotError::Foreign);
        }
        let _: [u8; MAGIC.len()] = header.take()?;
        let version = header.u16()?;
        let found = header.u16();
        let supported = found.as_ref().ok().and_then(|&found| Kind::of(found)).unwrap_or(kind).version();
        if version > supported {
            return Err(SnapshotError::Newer { version, supported });
        }
        if version == 0 {
            return Err(SnapshotError::Invalid { what: "format version" });
        }
        let found = found?;
        if header.u64()? != bytes.len() as u64 {
            return Err(SnapshotError::Truncated);
        }
        let (body, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(SnapshotError::Truncated)?;
        if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
            return Err(SnapshotError::Corrupt);
        }
        match Kind::of(found) {
            Some(found) if found == kind => {
                let read = bytes.len() - header.0.len();
                body.get(read..).map(|body| (Self(body), version)).ok_or(SnapshotError::Truncated)
            }
            Some(found) => Err(SnapshotError::OtherKind { found: found.name(), wanted: kind.name() }),
            None => Err(SnapshotError::Invalid { what: "kind" }),
        }
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(SnapshotError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, SnapshotError> {
        self.take().map(u16::from_le_bytes)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, SnapshotError> {
        self.take().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, SnapshotError> {
        self.take().map(u64::from_le_bytes)
    }

    /// A number of items of at least `least` bytes each; fails unless so many bytes are left.
    pub fn many(&mut self, least: usize) -> Result<usize, SnapshotError> {
        let items = self.u32()? as usize;
        if items > self.0.len() / least {
            return Err(SnapshotError::Truncated);
        }
        Ok(items)
    }

    /// As [`many`](Self::many), of a number that may carry `mark`; also returns whether it did.
    pub fn many_marked(&mut self, least: usize, mark: u32) -> Result<(usize, bool), SnapshotError> {
        let word = self.u32()?;
        let items = (word & !mark) as usize;
        if items > self.0.len() / least {
            return Err(SnapshotError::Truncated);
        }
        Ok((items, word & mark != 0))
    }

    /// A text, see [`Out::text`].
    pub fn text(&mut self) -> Result<&'a str, SnapshotError> {
        let length = usize::from(self.u16()?);
        self.text_of(length)
    }

    /// A text, see [`Out::long_text`].
    pub fn long_text(&mut self) -> Result<&'a str, SnapshotError> {
        let length = self.u32()? as usize;
        self.text_of(length)
    }

    fn text_of(&mut self, length: usize) -> Result<&'a str, SnapshotError> {
        std::str::from_utf8(self.bytes(length)?).map_err(|_| SnapshotError::Invalid { what: "text" })
    }

    /// The next `length` bytes as they are.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], SnapshotError> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(SnapshotError::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// Sixteen bytes.
    pub fn replica(&mut self) -> Result<Replica, SnapshotError> {
        Ok(Replica { process: self.u64()?, sequence: self.u64()? })
    }

    /// Twenty-four bytes.
    pub fn writer(&mut self) -> Result<Writer, SnapshotError> {
        Ok(Writer { replica: self.replica()?, generation: self.u64()? })
    }
}
