//! The names of endpoints: an open-addressing table of words that refer to records.
//!
//! ```text
//! bucket   [ tag 24 | unit of the record, plus 1: 40 ]           0: empty
//! record   [ life ][ check 48 | length 16 ][ ended ][ ended at ][ the name, eight bytes a word ... ]
//! ```
//!
//! | bucket | moved by | unlocks |
//! |---|---|---|
//! | empty | any process, by one exchange (`Release`), to a record that it has written | the name, for all |
//! | a record | never moved again | the record's words |
//!
//! | word of a record | moved by |
//! |---|---|
//! | `life`: none, or the index of the name's last life, plus 1 | the process that begins a life, upwards (lives.rs) |
//! | `check`, length, the name | never moved once a bucket refers to the record |
//! | `ended`: the epoch after the lives that are over; `ended at`: the tick of the last removal | a removal or a merge, upwards |
//!
//! The buckets of a name begin where its hash says, and follow one another. If two processes add one name, the later one finds
//! the earlier one's bucket on the way, or its exchange on that bucket fails. So a name has one record. (Mutant `NameTakenOver`:
//! a store.) A process that lost the exchange to another name tries the next bucket with the same record. A process that lost it
//! to the same name leaves its record behind, and so does a process that is killed between writing and the exchange: 64 bytes,
//! which `compact` removes.
//!
//! **Progress.** `find` is wait-free: at most as many buckets as there are. `find_or_insert` is lock-free: the exchange that takes
//! room for the record fails only because another process took room.
//!
//! Tests: `tests/models/shared.rs`.

use super::layout::LINE;
use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering};

const UNIT_BITS: u32 = 40;
const UNIT_MASK: u64 = (1 << UNIT_BITS) - 1;
const HEAD: usize = 4;
/// The highest epoch. Higher numbers in damaged words are lowered to it, so that there is always room for another.
pub const LAST_EPOCH: u64 = i64::MAX as u64;

/// The names of a file.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    pub table: &'a [AtomicU64],
    pub arena: &'a [AtomicU64],
    /// How many words of the arena are taken.
    pub used: &'a AtomicU64,
}

/// The record of a name.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    unit: u64,
    words: &'a [AtomicU64],
}

/// A bucket of the table as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Bucket(u64);

impl Bucket {
    /// The unit of the record.
    pub fn unit(self) -> u64 {
        self.0 & UNIT_MASK
    }

    /// Whether the bucket may be of a name with that hash, because its tag matches.
    pub fn may_be_of(self, hash: u64) -> bool {
        self.0 & !UNIT_MASK == tag(hash)
    }
}

/// Another name or life does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

const fn tag(hash: u64) -> u64 {
    hash & !UNIT_MASK
}

/// What a record has of its name beside the name: part of its hash, and its length.
const fn mark(hash: u64, length: usize) -> u64 {
    hash << 16 | length as u64
}

fn eight(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

impl<'a> Names<'a> {
    /// The record of `name`, whose hash is `hash`.
    #[inline]
    pub fn find(self, hash: u64, name: &str) -> Option<Name<'a>> {
        for bucket in self.buckets(hash) {
            match bucket.load(Ordering::Acquire) {
                0 => return None,
                word if word & !UNIT_MASK == tag(hash) => {
                    let found = self.get(word & UNIT_MASK).filter(|found| found.is(hash, name));
                    if found.is_some() {
                        return found;
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// The same; adds a record if the name does not have one.
    pub fn find_or_insert(self, hash: u64, name: &str) -> Result<Name<'a>, Full> {
        let mut made: Option<Name<'a>> = None;
        for bucket in self.buckets(hash) {
            let mut word = bucket.load(Ordering::Acquire);
            if word == 0 {
                let ours = match made {
                    Some(ours) => ours,
                    None => *made.insert(self.write(hash, name)?),
                };
                let entry = tag(hash) | ours.unit;
                if mutated!(NameTakenOver) {
                    bucket.store(entry, Ordering::Release);
                    return Ok(ours);
                }
                // An empty bucket holds nothing to acquire. A failed exchange acquires the other process's record.
                match bucket.compare_exchange(0, entry, Ordering::Release, Ordering::Acquire) {
                    Ok(_) => return Ok(ours),
                    Err(theirs) => word = theirs,
                }
            }
            if word & !UNIT_MASK == tag(hash)
                && let Some(found) = self.get(word & UNIT_MASK).filter(|found| found.is(hash, name))
            {
                return Ok(found);
            }
        }
        Err(Full)
    }

    #[inline]
    fn buckets(self, hash: u64) -> impl Iterator<Item = &'a AtomicU64> {
        let first = hash as usize & (self.table.len() - 1);
        let (before, from) = self.table.split_at(first);
        from.iter().chain(before)
    }

    /// The words of a record of `name`.
    pub fn room(name: &str) -> usize {
        (HEAD + name.len().div_ceil(8)).next_multiple_of(LINE)
    }

    /// Takes room for a record and writes it. Other processes cannot find it yet.
    fn write(self, hash: u64, name: &str) -> Result<Name<'a>, Full> {
        let need = Self::room(name);
        let mut used = self.used.load(Ordering::Relaxed);
        let begin = loop {
            let begin = used as usize;
            if begin.checked_add(need).is_none_or(|end| end > self.arena.len()) || !begin.is_multiple_of(LINE) {
                return Err(Full);
            }
            match self.used.compare_exchange(used, (begin + need) as u64, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) if self.arena[begin + 1].load(Ordering::Relaxed) == 0 => break begin,
                // Another name lies here, so the number of words in use is damaged.
                Ok(_) => used = (begin + need) as u64,
                Err(theirs) => used = theirs,
            }
        };
        let words = &self.arena[begin..begin + need];
        // `Relaxed`: a reader comes by the bucket, whose exchange releases these words.
        words[1].store(mark(hash, name.len()), Ordering::Relaxed);
        for (word, bytes) in words[HEAD..].iter().zip(name.as_bytes().chunks(8)) {
            word.store(eight(bytes), Ordering::Relaxed);
        }
        Ok(Name { unit: (begin / LINE) as u64 + 1, words })
    }

    /// The record that begins at `unit`, if one can.
    #[inline]
    pub fn get(self, unit: u64) -> Option<Name<'a>> {
        let begin = (unit.checked_sub(1)? as usize).checked_mul(LINE)?;
        let length = (self.arena.get(begin.checked_add(1)?)?.load(Ordering::Relaxed) & 0xffff) as usize;
        let words = self.arena.get(begin..begin.checked_add(HEAD + length.div_ceil(8))?)?;
        Some(Name { unit, words })
    }

    /// Every bucket that is not empty.
    pub fn buckets_in_use(self) -> impl Iterator<Item = Bucket> {
        self.table.iter().map(|bucket| Bucket(bucket.load(Ordering::Acquire))).filter(|bucket| bucket.0 != 0)
    }

    /// Every record.
    pub fn iter(self) -> impl Iterator<Item = Name<'a>> {
        self.buckets_in_use().filter_map(move |bucket| self.get(bucket.unit()))
    }
}

impl<'a> Name<'a> {
    /// The number by which buckets and lives refer to it; never 0.
    #[inline]
    pub fn unit(self) -> u64 {
        self.unit
    }

    /// The word of the arena behind it.
    pub fn end(self) -> usize {
        (self.unit as usize - 1) * LINE + self.words.len()
    }

    /// The last life of the name.
    #[inline]
    pub fn life(self) -> &'a AtomicU64 {
        &self.words[0]
    }

    /// The epoch that begins after the lives that are over.
    pub fn ended(self) -> u64 {
        self.words[2].load(Ordering::Acquire).min(LAST_EPOCH)
    }

    /// Raises it.
    pub fn raise_ended(self, epoch: u64) {
        self.words[2].fetch_max(epoch, Ordering::Release);
    }

    /// The tick in which the last one was removed.
    pub fn ended_at(self) -> &'a AtomicU64 {
        &self.words[3]
    }

    #[inline]
    fn is(self, hash: u64, name: &str) -> bool {
        if self.words[1].load(Ordering::Relaxed) != mark(hash, name.len()) {
            return false;
        }
        // The record's length was read before, from a word that damage may have changed since.
        let Some(held) = self.words.get(HEAD..HEAD + name.len().div_ceil(8)) else { return false };
        let (words, rest) = name.as_bytes().as_chunks::<8>();
        held.iter().zip(words).all(|(word, bytes)| word.load(Ordering::Relaxed) == u64::from_le_bytes(*bytes))
            && (rest.is_empty() || held[words.len()].load(Ordering::Relaxed) == eight(rest))
    }

    /// The name, if it is text and `hash` gives what the record has of it.
    pub fn text(self, hash: impl Fn(&str) -> u64) -> Option<String> {
        let said = self.words[1].load(Ordering::Relaxed);
        let length = (said & 0xffff) as usize;
        let mut bytes: Vec<u8> =
            self.words[HEAD..].iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
        bytes.truncate(length);
        let text = String::from_utf8(bytes).ok()?;
        (mark(hash(&text), length) == said).then_some(text)
    }
}
