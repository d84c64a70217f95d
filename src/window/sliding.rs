//! The sliding log: every hit at its exact time, in shards behind locks.
//!
//! Use it where hits must leave the window to the microsecond, or where a query's length is not a whole number of ticks.
//! It costs 16 bytes for each distinct microsecond that was hit and a lock for each record; where whole ticks are
//! exact enough, [`striped`](crate::window::striped) and [`ring`](crate::window::ring) are faster and smaller.
//!
//! ```text
//! shard 0   Mutex( slot 0: tick 960, [(960.000, 1), (960.017, 3)]   slot 1: tick 961, [...] ... )
//! shard 1   Mutex( ... )                                 entry = (time, hits up to and including it in this slot)
//! ```
//!
//! A shard is a ring of slots like every other, and each slot follows the state table in `slots.rs`; but instead of a
//! count a slot holds its tick's hits in the order of their time, with running totals, so that any part of it is one
//! binary search. One slot is added to those of a ring, because a span that does not begin with a tick touches one
//! tick more. A thread always uses the same shard; a query asks all.
//!
//! **Bounded.** At most `max_hits` entries, all shards together. A hit that would need one more first drops the entries
//! that lie a whole ring behind it; if that frees none, it is `Refused`. A tick whose entries were dropped is expired
//! for queries and open for hits.
//!
//! # Guarantees
//! | method | progress | steps |
//! |---|---|---|
//! | `record` | blocking, for a thread of the same shard or a query | one lock; an entry at the end of its slot: one push. Within a slot out of order: the slot's entries behind it |
//! | `sum` | blocking | for each shard one lock, one step a tick, two binary searches |
//! | `cells`, `outcomes`, `reset` | blocking | one lock a shard, one step a slot and entry |
//!
//! A query sees every hit whose call returned before it began and none that began after it ended. A process that forks
//! while another thread holds a shard's lock leaves it locked in the child: fork before threads record, or use another
//! strategy.
//!
//! Tests: `tests/models/sliding.rs`.

use crossbeam_utils::CachePadded;

use crate::cell::form::Cell;
use crate::cell::outcome::{Outcome, Outcomes, Tally};
use crate::sync::mutant::mutated;
use crate::sync::threads;
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::time::{Resolution, Tick};
use crate::window::geometry::Geometry;
use crate::window::{Reading, Span};

/// The bound on entries unless another is given: 16 MiB.
pub const DEFAULT_MAX_HITS: u64 = 1 << 20;

/// A log of hits in microseconds.
#[derive(Debug)]
pub struct Sliding {
    /// Microseconds a tick.
    grain: u64,
    slots: usize,
    max_hits: u64,
    entries: AtomicU64,
    shards: Box<[CachePadded<Mutex<Shard>>]>,
    tally: Tally,
    /// Hits that a record pushed out, since they were last asked for.
    pushed_out: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    /// Empty until the shard's first hit.
    slots: Box<[LogSlot]>,
    /// The newest tick that has a hit.
    newest: u64,
    newest_entry: u64,
}

#[derive(Clone, Debug, Default)]
struct LogSlot {
    lap: u64,
    /// Entries of this lap were dropped for room.
    dropped: bool,
    log: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Microseconds since the tick began.
    at: u64,
    /// The hits of the slot up to and including this entry.
    running: u64,
}

impl LogSlot {
    /// The hits after `from` (exclusive; `None` is the slot's beginning) up to `to` (inclusive).
    fn between(&self, from: Option<u64>, to: u64) -> u64 {
        let upto = |at: u64| match self.log.partition_point(|entry| entry.at <= at) {
            0 => 0,
            n => self.log[n - 1].running,
        };
        upto(to) - from.map_or(0, upto)
    }

    fn total(&self) -> u64 {
        self.log.last().map_or(0, |entry| entry.running)
    }

    /// Adds `amount` to the hits at `at`; answers whether that took a new entry.
    fn add(&mut self, at: u64, amount: u64) -> bool {
        let place = self.log.partition_point(|entry| entry.at < at);
        let new = self.log.get(place).is_none_or(|entry| entry.at != at);
        if new {
            let before = if place == 0 { 0 } else { self.log[place - 1].running };
            self.log.insert(place, Entry { at, running: before });
        }
        for entry in &mut self.log[place..] {
            entry.running += amount;
        }
        new
    }

    fn has(&self, at: u64) -> bool {
        self.log.binary_search_by_key(&at, |entry| entry.at).is_ok()
    }

    /// Drops the entries; answers how many and how many hits they were.
    fn clear(&mut self) -> (u64, u64) {
        let dropped = (self.log.len() as u64, self.total());
        // A burst must not keep its memory for every lap to come.
        if self.log.capacity() > 64 {
            self.log = Vec::new()
        } else {
            self.log.clear()
        }
        dropped
    }
}

impl Sliding {
    /// The most hits a slot holds, so that no sum of all slots overflows.
    const MAX_COUNT: u64 = i64::MAX as u64 >> 22;

    /// A log without hits in `shards` shards (0: as many as suit this machine).
    pub fn new(geometry: &Geometry, max_hits: u64, shards: usize) -> Self {
        let shards = match shards {
            0 => (2 * std::thread::available_parallelism().map_or(4, usize::from)).next_power_of_two().min(64),
            given => given,
        };
        Self {
            grain: geometry.resolution().width().as_micros() as u64,
            slots: geometry.slots() + 1,
            max_hits,
            entries: AtomicU64::new(0),
            shards: (0..shards).map(|_| CachePadded::new(Mutex::new(Shard::default()))).collect(),
            tally: Tally::default(),
            pushed_out: AtomicU64::new(0),
        }
    }

    /// The width of the ticks that hits and queries are given in.
    pub const fn grain() -> Resolution {
        Resolution::MICROSECOND
    }

    /// The number of slots a shard has.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The bound on entries.
    pub fn max_hits(&self) -> u64 {
        self.max_hits
    }

    /// Counts `amount` hits at `at`.
    #[inline(never)]
    pub fn record(&self, at: Tick, amount: u64) -> Outcome {
        self.record_as(threads::current().unwrap_or(0), at, amount)
    }

    /// Counts `amount` hits at `at` as the thread that owns `id`.
    pub fn record_as(&self, id: usize, at: Tick, amount: u64) -> Outcome {
        if amount == 0 {
            return Outcome::Counted;
        }
        self.change(id, at, amount)
    }

    /// Adds `amount` to the hits at `at`.
    fn change(&self, id: usize, at: Tick, amount: u64) -> Outcome {
        let (tick, within) = (at.0 / self.grain, at.0 % self.grain);
        let (lap, index) = (tick / self.slots as u64, (tick % self.slots as u64) as usize);
        let own = id % self.shards.len();
        let mut shard = self.shards[own].lock();
        if shard.slots.is_empty() {
            shard.slots = vec![LogSlot::default(); self.slots].into();
        }
        if mutated!(SlidingTwoLocks) {
            let slot = &mut shard.slots[index];
            if slot.lap > lap {
                return Outcome::Late;
            }
            if slot.lap < lap {
                *slot = LogSlot { lap, ..LogSlot::default() };
            }
            drop(shard);
            shard = self.shards[own].lock();
            shard.slots[index].add(within, amount);
            return Outcome::Counted;
        }
        let outcome = self.change_locked(&mut shard, own, (tick, lap, index, within), amount);
        if outcome != Outcome::Counted {
            self.tally.add(outcome, amount);
        }
        outcome
    }

    fn change_locked(
        &self,
        shard: &mut Shard,
        own: usize,
        (tick, lap, index, within): (u64, u64, usize, u64),
        amount: u64,
    ) -> Outcome {
        let slot = &shard.slots[index];
        if slot.lap > lap {
            return Outcome::Late;
        }
        let ours = slot.lap == lap;
        if amount > Self::MAX_COUNT - if ours { slot.total() } else { 0 } {
            return Outcome::Saturated;
        }
        // A slot that is recycled gives its entries back but one, which it needs itself; a hit that is refused must not
        // recycle it.
        let has_entry = if ours { slot.has(within) } else { !slot.log.is_empty() };
        if !has_entry && !self.make_room(shard, own, tick) {
            return Outcome::Refused;
        }
        let slot = &mut shard.slots[index];
        if slot.lap != lap {
            let hits = self.recycle(slot, u64::from(has_entry));
            self.push_out(hits);
            (slot.lap, slot.dropped) = (lap, false);
        }
        slot.add(within, amount);
        if (tick, within) > (shard.newest, shard.newest_entry) {
            (shard.newest, shard.newest_entry) = (tick, within);
        }
        Outcome::Counted
    }

    /// Takes one of the `max_hits` entries. If all are in use, first drops the entries that lie a whole ring behind `tick`.
    fn make_room(&self, shard: &mut Shard, own: usize, tick: u64) -> bool {
        if self.take_entry() {
            return true;
        }
        self.prune(shard, tick);
        for (i, other) in self.shards.iter().enumerate() {
            if i != own
                && let Some(mut other) = other.try_lock()
            {
                self.prune(&mut other, tick);
            }
        }
        self.take_entry()
    }

    fn take_entry(&self) -> bool {
        let mut taken = self.entries.load(Ordering::Relaxed);
        while taken < self.max_hits {
            match self.entries.compare_exchange_weak(taken, taken + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => taken = seen,
            }
        }
        false
    }

    fn prune(&self, shard: &mut Shard, tick: u64) {
        let slots = self.slots as u64;
        for (index, slot) in shard.slots.iter_mut().enumerate() {
            if !slot.log.is_empty() && slot.lap * slots + index as u64 + slots <= tick {
                let hits = self.recycle(slot, 0);
                self.push_out(hits);
                slot.dropped = true;
            }
        }
    }

    /// Notes hits whose slot a newer hit took, or whose entries it needed.
    fn push_out(&self, hits: u64) {
        if hits > 0 {
            self.tally.add(Outcome::Counted, hits);
            self.pushed_out.fetch_add(hits, Ordering::Relaxed);
        }
    }

    /// How many hits records have pushed out since this was last asked.
    pub fn take_pushed_out(&self) -> u64 {
        if self.pushed_out.load(Ordering::Relaxed) == 0 { 0 } else { self.pushed_out.swap(0, Ordering::Relaxed) }
    }

    /// Empties `slot` and gives all its entries but `kept` back; answers how many hits they were.
    fn recycle(&self, slot: &mut LogSlot, kept: u64) -> u64 {
        let (entries, hits) = slot.clear();
        self.entries.fetch_sub(entries - kept, Ordering::Relaxed);
        hits
    }

    /// Drops the entries of the ticks before `tick`; answers how many hits they were.
    ///
    /// For callers that never ask for these ticks again: queries over them are expired from then on, and late hits into them are
    /// counted as if the ticks had been empty.
    pub fn prune_before(&self, tick: Tick) -> u64 {
        let slots = self.slots as u64;
        let mut removed = 0;
        for shard in &self.shards {
            let mut shard = shard.lock();
            for (index, slot) in shard.slots.iter_mut().enumerate() {
                if !slot.log.is_empty() && slot.lap * slots + (index as u64) < tick.0 {
                    let hits = self.recycle(slot, 0);
                    self.tally.add(Outcome::Counted, hits);
                    slot.log = Vec::new();
                    slot.dropped = true;
                    removed += hits;
                }
            }
        }
        removed
    }

    /// How many entries there are.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Notes hits that were refused before they came to the log.
    pub fn refuse(&self, outcome: Outcome, amount: u64) {
        self.tally.add(outcome, amount);
    }

    /// The newest hit.
    pub fn newest(&self) -> Tick {
        let newest = |shard: &CachePadded<Mutex<Shard>>| {
            let shard = shard.lock();
            Tick(shard.newest * self.grain + shard.newest_entry)
        };
        self.shards.iter().map(newest).max().unwrap_or_default()
    }

    /// The hits of `span`.
    #[inline(never)]
    pub fn sum(&self, span: Span) -> Reading {
        self.shards.iter().map(|shard| self.sum_shard(&shard.lock(), span)).fold(Reading::NONE, Reading::plus)
    }

    fn sum_shard(&self, shard: &Shard, span: Span) -> Reading {
        let mut reading = Reading::NONE;
        let (first, to) = (span.first.0 / self.grain, span.to.0 / self.grain);
        if shard.slots.is_empty() || shard.newest < first {
            return reading;
        }
        for tick in first..=to {
            let (lap, index) = (tick / self.slots as u64, (tick % self.slots as u64) as usize);
            let slot = &shard.slots[index];
            if slot.lap == lap {
                let from = if tick == first { (span.first.0 % self.grain).checked_sub(1) } else { None };
                let upto = if tick == to { span.to.0 % self.grain } else { self.grain };
                reading = reading.plus(Reading { count: slot.between(from, upto), exact: !slot.dropped });
            } else if slot.lap > lap {
                reading.exact = false;
            }
        }
        reading
    }

    /// Every microsecond that has hits, shard by shard.
    pub fn cells(&self) -> impl Iterator<Item = Cell> + '_ {
        self.shards.iter().flat_map(|shard| {
            let shard = shard.lock();
            let mut cells = Vec::new();
            for (index, slot) in shard.slots.iter().enumerate() {
                let start = (slot.lap * self.slots as u64 + index as u64) * self.grain;
                let mut before = 0;
                for entry in &slot.log {
                    cells.push(Cell { tick: Tick(start + entry.at), count: entry.running - before });
                    before = entry.running;
                }
            }
            cells
        })
    }

    /// The ticks (of the resolution) whose hits were dropped for room, each once.
    pub fn dropped(&self) -> Vec<Tick> {
        let mut dropped = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let slots = shard.slots.iter().enumerate().filter(|(_, slot)| slot.dropped);
            dropped.extend(slots.map(|(index, slot)| Tick(slot.lap * self.slots as u64 + index as u64)));
        }
        dropped.sort_unstable();
        dropped.dedup();
        dropped
    }

    /// What became of all hits since the log was made.
    pub fn outcomes(&self) -> Outcomes {
        let mut outcomes = self.tally.read();
        for shard in &self.shards {
            let shard = shard.lock();
            outcomes.add(Outcome::Counted, shard.slots.iter().map(LogSlot::total).sum());
        }
        outcomes
    }

    /// Forgets all hits, but not what became of them. Hits recorded meanwhile may be kept or dropped.
    pub fn reset(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            for slot in &mut shard.slots {
                let hits = self.recycle(slot, 0);
                self.tally.add(Outcome::Counted, hits);
                *slot = LogSlot::default();
            }
            (shard.newest, shard.newest_entry) = (0, 0);
        }
    }

    /// The bytes the log takes.
    pub fn bytes(&self) -> usize {
        let of_shard = |shard: &CachePadded<Mutex<Shard>>| {
            let shard = shard.lock();
            let logs: usize = shard.slots.iter().map(|slot| slot.log.capacity() * size_of::<Entry>()).sum();
            logs + size_of_val(&*shard.slots)
        };
        size_of::<Self>() + self.shards.iter().map(|s| size_of_val(s) + of_shard(s)).sum::<usize>()
    }
}
