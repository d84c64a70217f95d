//! The lives of endpoints, in the order in which they began.
//!
//! ```text
//! life   [ name ][ epoch ][ removed ][ merged ][ visitors ][ known / generation ][ lost ][ from ]    one line
//!        [ void ][ replica: process, sequence ]                                         another
//!        [ total ] x 4                                                                 four more, a process in each
//! ```
//! | word | is | moved by |
//! |---|---|---|
//! | `name` | 0, or the record's unit, with a bit for merged hits | the process that begins a life, by one exchange |
//! | `epoch` | 0, or the epoch plus 1 | the process that begins the life, or one that helps, by one exchange from 0 |
//! | `removed` | 0, or the epoch that begins after it | the process that removes it, by one exchange from 0 |
//! | `total` | hits that processes of this lane ever counted; all lanes together have all hits | recorders, by `fetch_add` |
//! | `merged` | 0, or the last of its merged lives, plus 1; in a merged life, the one before | a merge, under the file's lock |
//! | `visitors` | where the visitors begin (visitors.rs) | |
//! | `from` | the first tick that counts after removals elsewhere; if 0, `void` is 0 | a merge, upwards, under the file's lock |
//! | `void` | the last tick from `from` on that has void hits, plus 1 (voids.rs) | the same |
//!
//! Merged hits have a writer: `replica`, `generation`, and in `epoch` the one in which it counted. Other lives have `replica` 0.
//!
//! Life `i` has the ring `i`. A life is never given to another name, nor to the same one again. So if a handle stops in the
//! middle of a hit, and the endpoint is removed and made again meanwhile, the hit counts in the old life, which queries do not
//! read. (Mutant `LifeUsedAgain`.)
//!
//! # Beginning
//! `tail` says how many lives there are (tail.rs). A process that begins a life puts the name into the first free place, by an
//! exchange. Then the life is *finished*: its epoch is set, the name's record raised to it, and `tail` moved on. Any process
//! finishes an unfinished life that it finds at the tail. So a process that is killed between the steps does not hold up others,
//! and its place is not lost.
//!
//! A name never has two living lives. A process that is about to begin a life has read `tail`, then the record's life, and
//! found no living one. If another life was begun in an earlier place, it was finished before `tail` moved past it, so reading
//! the record shows it. If it was begun in the same place, the exchange fails. It cannot be in a later place, because `tail` does
//! not pass an empty one. (Mutants `LifeUnfinished`: the tail moves before the record is raised; `LifeTakenOver`: a store for the
//! exchange.)
//!
//! # Closing
//! A file is closed when another file takes its place. Then lives do not begin in it any more, and do not take hits. `tail` says
//! so, and a process that reads that neither moves `tail` on nor finds a place. A process that read `tail` before may still be
//! about to put a name into the first free place. So the process that closes the file fills that place by the same exchange, or
//! ends the life that it finds there. (Mutant `CloseLeavesAPlace`.)
//!
//! # A hit and a removal
//! A hit changes the slot first, then the total, so a process that is killed in between leaves the total one hit short of the
//! slots. Before it changes the slot, it reads `removed`. If that comes before the removal's exchange, the hit counts in the old
//! life, and in its total. If it comes after, the hit is refused with `Removed`. Of two removals of a life, only the one whose
//! exchange succeeds answers true. (Mutant `LifeEndsByStore`: both do.)
//! **Progress.** `record` is lock-free: an exchange fails only because of another hit; then one `fetch_add`. `begin` is lock-free.
//!
//! Tests: `tests/models/shared.rs`.

use super::names::{Full, LAST_EPOCH, Name, Names};
use super::tail::{Kept, Tail};
use crate::cell::outcome::Outcome;
use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering, pause};
use crate::time::Tick;
use crate::window::geometry::Geometry;
use crate::window::slots::{Row, exchange};
use crate::window::{Reading, Span};

use super::layout::{LANES, LIFE, LINE};
use crate::cell::writer::{Replica, Writer};

const NAME: usize = 0;
const EPOCH: usize = 1;
const REMOVED: usize = 2;
const MERGED: usize = 3;
const VISITORS: usize = 4;
const KNOWN: usize = 5;
const LOST: usize = 6;
const FROM: usize = 7;
const VOID: usize = 8;
const REPLICA: usize = 9;
/// In lines of their own: every hit writes one of them, and reads `removed`.
const TOTALS: usize = LIFE - LANES * LINE;
/// Beside the name of a life whose hits are another registry's.
const OF_ANOTHER: u64 = 1 << 63;

/// The lives of a file.
#[derive(Clone, Copy, Debug)]
pub struct Lives<'a> {
    pub words: &'a [AtomicU64],
    pub rings: &'a [AtomicU64],
    /// The words of a ring.
    pub ring: usize,
    /// How many have begun.
    pub tail: Tail<'a>,
    pub names: Names<'a>,
}

/// One life.
#[derive(Clone, Copy, Debug)]
pub struct Life<'a> {
    index: usize,
    words: &'a [AtomicU64; LIFE],
    row: Row<'a>,
}

/// The life was removed, and does not take hits any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed;

impl<'a> Lives<'a> {
    /// How many there is room for.
    pub fn capacity(self) -> usize {
        self.words.len() / LIFE
    }

    /// How many have begun.
    pub fn begun(self) -> usize {
        (self.tail.state().begun() as usize).min(self.capacity())
    }

    /// Whether a merge keeps places.
    pub fn are_kept(self) -> bool {
        self.tail.state().kept() > 0
    }

    /// Whether no place is free for a name.
    pub fn is_full(self) -> bool {
        let tail = self.tail.state();
        tail.next(self.capacity(), tail.kept()).is_none()
    }

    /// Whether another file has taken this one's place.
    pub fn is_closed(self) -> bool {
        // unnoticed: the file that took its place was set before
        self.tail.state().is_closed()
    }

    /// Ends all lives that have begun; from now on, lives do not begin here any more.
    pub fn close(self) {
        let tail = self.tail.close().begun() as usize;
        let mut ended = tail;
        if !mutated!(CloseLeavesAPlace)
            && let Some(life) = self.get(tail)
        {
            // A life of merged hits without a writer, unless a name was put there first.
            let _ = life.words[NAME].compare_exchange(0, OF_ANOTHER, Ordering::Relaxed, Ordering::Relaxed);
            ended += 1;
        }
        (0..ended).filter_map(|index| self.get(index)).for_each(|life| _ = life.end(1));
    }

    /// The life at `index`, if that place exists.
    #[inline]
    pub fn get(self, index: usize) -> Option<Life<'a>> {
        let words = self.words.get(index.checked_mul(LIFE)?..)?.first_chunk()?;
        let row = self.rings.get(index.checked_mul(self.ring)?..)?.get(..self.ring)?;
        Some(Life { index, words, row: Row(row) })
    }

    /// The last life of `name`, also if it is over.
    #[inline]
    pub fn last(self, name: Name<'a>) -> Option<Life<'a>> {
        let life = self.get(name.life().load(Ordering::Acquire).checked_sub(1)? as usize)?;
        // A damaged record may lead to a life of another name, which is ignored.
        (life.words[NAME].load(Ordering::Relaxed) == name.unit()).then_some(life)
    }

    /// The same, if it is not over.
    #[inline]
    pub fn alive(self, name: Name<'a>) -> Option<Life<'a>> {
        self.last(name).filter(|life| life.is_alive())
    }

    /// The living life of `name`; begins it if the name does not have one.
    pub fn begin(self, name: Name<'a>) -> Result<Life<'a>, Full> {
        self.begin_at(name, || self.free()).map(|(life, _)| life)
    }

    /// The same, in one of the places that are `kept`.
    pub fn begin_kept(self, name: Name<'a>, kept: &mut Kept<'_>) -> Result<Life<'a>, Full> {
        let (life, is_new) = self.begin_at(name, || kept.next(self.capacity()))?;
        if is_new {
            kept.used();
        }
        Ok(life)
    }

    /// The first place that is free and not kept for a merge.
    fn free(self) -> Option<usize> {
        let tail = self.tail.state();
        tail.next(self.capacity(), if mutated!(KeptPlacesTaken) { 0 } else { tail.kept() })
    }

    /// The living life of `name`, and whether this call began it, at the `next` place.
    fn begin_at(self, name: Name<'a>, next: impl Fn() -> Option<usize>) -> Result<(Life<'a>, bool), Full> {
        loop {
            let place = next();
            // After the tail: see the header.
            if let Some(life) = self.alive(name) {
                return Ok((life, false));
            }
            if mutated!(LifeUsedAgain)
                && let Some(life) = self.last(name)
            {
                life.row.0.iter().for_each(|slot| slot.store(0, Ordering::Release));
                life.words[REMOVED].store(0, Ordering::Release);
                return Ok((life, false));
            }
            if let Some(life) = self.claim(place, name.unit())? {
                return Ok((life, true));
            }
        }
    }

    /// Puts `word` into `place` and answers the life; `None` if the place has a name, `Full` if it does not exist.
    fn claim(self, place: Option<usize>, word: u64) -> Result<Option<Life<'a>>, Full> {
        let life = place.and_then(|place| self.get(place)).ok_or(Full)?;
        if mutated!(LifeTakenOver) {
            life.words[NAME].store(word, Ordering::Release);
            self.finish(life);
            return Ok(Some(life));
        }
        // `Release`: an empty place holds nothing to acquire, and `finish` acquires the name that another process put there.
        let claimed = life.words[NAME].compare_exchange(0, word, Ordering::Release, Ordering::Relaxed).is_ok();
        self.finish(life);
        Ok(claimed.then_some(life))
    }

    /// A life of hits that another registry counted under `name`. Other lives do not link to it yet.
    pub fn begin_merged(self, name: Name<'a>) -> Result<Life<'a>, Full> {
        self.begin_merged_at(name, || self.free())
    }

    /// The same, in one of the places that are `kept`.
    pub fn begin_merged_kept(self, name: Name<'a>, kept: &mut Kept<'_>) -> Result<Life<'a>, Full> {
        let life = self.begin_merged_at(name, || kept.next(self.capacity()))?;
        kept.used();
        Ok(life)
    }

    fn begin_merged_at(self, name: Name<'a>, next: impl Fn() -> Option<usize>) -> Result<Life<'a>, Full> {
        loop {
            if let Some(life) = self.claim(next(), name.unit() | OF_ANOTHER)? {
                return Ok(life);
            }
        }
    }

    /// Finishes a life that has its name: see the header.
    fn finish(self, life: Life<'a>) {
        let word = life.words[NAME].load(Ordering::Acquire);
        if mutated!(LifeUnfinished) {
            self.tail.advance(life.index);
        }
        if word & OF_ANOTHER == 0
            && let Some(name) = self.names.get(word)
        {
            let before = self.last(name).map_or(0, Life::removed);
            let epoch = name.ended().max(before);
            // `Relaxed`: a process that comes by the name or by the tail has acquired one of the two that follow.
            let _ = life.words[EPOCH].compare_exchange(0, epoch + 1, Ordering::Relaxed, Ordering::Relaxed);
            self.lead(name, life);
        }
        self.tail.advance(life.index);
    }

    /// Lets the record of `name` lead to `life`, unless it leads to a later one already. A record that does not lead to a life of
    /// this name is damaged, and is overwritten.
    fn lead(self, name: Name<'a>, life: Life<'a>) {
        let leads_on = |word: u64| {
            let other = word.checked_sub(1).filter(|&index| index > life.index as u64).map(|index| index as usize);
            other
                .and_then(|index| self.get(index))
                .is_some_and(|other| other.words[NAME].load(Ordering::Relaxed) == name.unit())
        };
        // `Acquire`: a life that the word leads to has its name.
        let mut word = name.life().load(Ordering::Acquire);
        while !leads_on(word) {
            match name.life().compare_exchange(word, life.index as u64 + 1, Ordering::Release, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
    }

    /// Ends the living life of `name`, after which `epoch` begins, at `tick`; answers whether there was one.
    pub fn remove(self, name: Name<'a>, epoch: &AtomicU64, tick: Tick) -> bool {
        let Some(life) = self.alive(name) else { return false };
        // `Relaxed`: the removal releases both.
        let epoch = epoch.fetch_add(1, Ordering::Relaxed).min(LAST_EPOCH - 1) + 1;
        name.ended_at().fetch_max(tick.0, Ordering::Relaxed);
        // This is the removal. If the process is killed after it, the next life finds its epoch in `removed` (`finish`).
        let removed = life.end(epoch);
        if removed {
            name.raise_ended(epoch);
        }
        removed
    }

    /// Every life that has begun.
    pub fn iter(self) -> impl Iterator<Item = Life<'a>> {
        (0..self.begun()).filter_map(move |index| self.get(index))
    }
}

impl<'a> Life<'a> {
    /// The number of the life.
    pub fn index(self) -> usize {
        self.index
    }

    /// The slots.
    #[inline]
    pub fn row(self) -> Row<'a> {
        self.row
    }

    /// The unit of its name's record; 0 if it has not begun.
    pub fn name(self) -> u64 {
        // unnoticed: the tail or the record that led here was acquired
        self.words[NAME].load(Ordering::Acquire) & !OF_ANOTHER
    }

    /// Whether the hits are another registry's.
    pub fn is_merged(self) -> bool {
        self.words[NAME].load(Ordering::Acquire) & OF_ANOTHER != 0
    }

    /// Whether it takes hits.
    #[inline]
    pub fn is_alive(self) -> bool {
        self.words[REMOVED].load(Ordering::Acquire) == 0
    }

    /// The epoch that begins after it; 0 while it is alive.
    pub fn removed(self) -> u64 {
        self.words[REMOVED].load(Ordering::Acquire).min(LAST_EPOCH)
    }

    /// Ends it; answers whether it was alive.
    pub fn end(self, epoch: u64) -> bool {
        if mutated!(LifeEndsByStore) {
            let alive = self.is_alive();
            self.words[REMOVED].store(epoch.max(1), Ordering::Release);
            return alive;
        }
        // `Release`: the word of a living life holds nothing to acquire, and the loser uses only that it lost.
        self.words[REMOVED].compare_exchange(0, epoch.max(1), Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// The epoch of the life.
    pub fn epoch(self) -> u64 {
        // unnoticed: the tail or the record that led here was acquired
        self.words[EPOCH].load(Ordering::Acquire).saturating_sub(1).min(LAST_EPOCH)
    }

    /// The writer of merged hits, if it is set.
    pub fn writer(self) -> Option<Writer> {
        let [process, sequence, generation] =
            [REPLICA, REPLICA + 1, KNOWN].map(|word| self.words[word].load(Ordering::Acquire));
        let is_told = self.is_merged() && (process, sequence) != (0, 0);
        is_told.then_some(Writer { replica: Replica { process, sequence }, generation })
    }

    /// Sets the writer of a life of merged hits that no other process knows yet, and the epoch in which it counted.
    fn set_writer(self, Writer { replica, generation }: Writer, epoch: u64) {
        let words = [(REPLICA, replica.process), (REPLICA + 1, replica.sequence), (KNOWN, generation)];
        words.into_iter().for_each(|(word, said)| self.words[word].store(said, Ordering::Relaxed));
        self.words[EPOCH].store(epoch.min(LAST_EPOCH) + 1, Ordering::Relaxed);
    }

    /// Adds a life of merged hits that no other process knows yet. `writer` counted them in `epoch`. Under the file's lock.
    pub fn link(self, other: Life<'_>, writer: Writer, epoch: u64) {
        other.set_writer(writer, epoch);
        other.merged().store(self.merged().load(Ordering::Acquire), Ordering::Relaxed);
        // `Release`: a reader that follows the link sees the words of the life it leads to.
        self.merged().store(other.index() as u64 + 1, Ordering::Release);
    }

    /// The first tick whose hits count.
    pub fn from(self) -> Tick {
        Tick(self.words[FROM].load(Ordering::Acquire))
    }

    /// From now on, hits before `from` do not count.
    pub fn void_before(self, from: Tick) {
        self.words[FROM].fetch_max(from.0, Ordering::AcqRel);
    }

    /// Notes that some hits from [`from`](Self::from) on are void, the last of them in tick `last`.
    pub fn void_until(self, last: Tick) {
        self.words[VOID].fetch_max(last.0 + 1, Ordering::AcqRel);
        // `has_void` reads `void` only if `from` is not 0.
        self.void_before(Tick(1));
    }

    /// The tick after the last one that has void hits.
    pub fn void_to(self) -> Tick {
        Tick(self.words[VOID].load(Ordering::Acquire))
    }

    /// Whether some hits of `span` from [`from`](Self::from) on may be void.
    #[inline]
    pub fn has_void(self, span: Span) -> bool {
        self.from() != Tick(0) && span.first < self.void_to()
    }

    /// The counts of the ticks of `span` from [`from`](Self::from) on.
    #[inline]
    pub fn sum(self, geometry: &Geometry, span: Span) -> Reading {
        span.since(self.from()).map_or(Reading::NONE, |span| self.row.sum(geometry, span))
    }

    /// Adds the count of each tick of `span` to that of `sums` which is as far from the first.
    #[cfg(feature = "cli")]
    pub fn add_to(self, geometry: &Geometry, span: Span, sums: &mut [u64]) {
        if let Some(since) = span.since(self.from()) {
            let skipped = (since.first.0 - span.first.0) as usize;
            self.row.add_to(geometry, since, &mut sums[skipped..]);
        }
    }

    /// Hits that were ever counted.
    pub fn total(self) -> u64 {
        (0..LANES).map(|lane| self.lane(lane).load(Ordering::Acquire)).fold(0, u64::saturating_add)
    }

    /// The share of the total that processes of `lane` count.
    #[inline(always)]
    pub fn lane(self, lane: usize) -> &'a AtomicU64 {
        &self.words[TOTALS + lane % LANES * LINE]
    }

    /// The last life of merged hits that belong to this one, plus 1.
    pub fn merged(self) -> &'a AtomicU64 {
        &self.words[MERGED]
    }

    /// Where its visitors begin.
    pub fn visitors(self) -> &'a AtomicU64 {
        &self.words[VISITORS]
    }

    /// The first tick that is known; of a merged life, the generation of its writer.
    pub fn known(self) -> &'a AtomicU64 {
        &self.words[KNOWN]
    }

    /// The last part in which a visitor did not fit, plus 1.
    pub fn lost(self) -> &'a AtomicU64 {
        &self.words[LOST]
    }

    /// Counts `amount` hits at `tick` if the slot has hits of that tick already, and these fit: the fast path of
    /// [`record`](Self::record). Otherwise it changes nothing, and answers false.
    #[inline(always)]
    pub fn record_current(self, geometry: &Geometry, tick: Tick, amount: u64, lane: usize) -> bool {
        let place = geometry.place(tick);
        let slot = self.row.at(place.index);
        // unnoticed: a hit beside a removal counts in the old life or is refused, and both are right
        let word = slot.load(Ordering::Acquire);
        let count = (word & !geometry.seal()).wrapping_sub(place.base);
        let max = geometry.max_count();
        let open = count.wrapping_sub(1) < max && amount <= max - count;
        // Read after the word, so that a removal that came before the word is seen.
        if !open || !self.is_alive() {
            return false;
        }
        if exchange(slot, word, word + amount).is_err() {
            // The loser pauses, so that the processes hand the cache line to and fro less often.
            pause();
            return false;
        }
        self.lane(lane).fetch_add(amount, Ordering::Release);
        true
    }

    /// Counts `amount` hits at `tick`.
    pub fn record(self, geometry: &Geometry, tick: Tick, amount: u64, lane: usize) -> Result<Outcome, Removed> {
        if !self.is_alive() {
            return Err(Removed);
        }
        let outcome = if amount == 0 { Outcome::Counted } else { self.row.add(geometry, tick, amount) };
        if outcome.is_counted() {
            self.lane(lane).fetch_add(amount, Ordering::Release);
        }
        Ok(outcome)
    }
}
