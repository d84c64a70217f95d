//! Limits of keys in words that processes share, any of which may be killed or stopped at any instruction.
//!
//! The words are cut into [slots](super::slot), each of one key at a time. A key lives in one of 16 slots, two blocks of eight
//! that its hash chooses; it never moves. Several limiters share all slots: the hash is of the limiter's name, its plan and
//! the key, and should be keyed, so that nobody can choose keys that meet.
//!
//! | a decision of key `B` at time `now` | |
//! |---|---|
//! | 1 | look at its 16 slots. `B` is settled in one that is open: decide there, as of `newest` if that is later. If it is closed meanwhile, from the beginning |
//! | 2 | `B` is pending in one: go on with step 5 |
//! | 3 | choose a slot: a free one, or one whose `until` is past, of the block that has more of them. Else end somebody else's claim, then a pending key. If all are in use, there is no room |
//! | 4 | close it, clear it, publish `B` pending |
//! | 5 | look at the other 15 by read-modify-writes for the same key. One is settled and open: give ours up. One is pending: the lower stays. None: raise `newest` to what all 16 say, `until` to what the cost will make it, and settle; then step 1 |
//!
//! # Guarantees
//! | | |
//! |---|---|
//! | **never too much** | for one key never more is let through than its plan lets through in memory: no span of the window holds more than the limit, a bucket never gives more than `burst + time * rate`, by the times of the decisions |
//! | **nothing is lost by a kill** | of what was let through before. A cost whose process is killed on its way counts or does not |
//! | **a refused cost takes nothing** | all that may be left of it, when others were quicker, is a slot that stays the key's for longer |
//! | **nobody waits** | a known key is lock-free: an exchange is lost only to a cost that was let through. A new key ends others' claims when there is nothing better; who loses [`TRIES`] times is told that there is no room |
//!
//! # Why a key is never charged in two slots
//! Costs come only where the key is settled, and a slot settles only after somebody, having seen it pending, has looked at
//! all others. Of two pending slots of one key at least one is seen by who looks for the other (see [`Slot::touch`]). If the
//! higher one is seen from the lower, it is thrown out, by the exchange that would settle it; if the lower one is seen from
//! the higher, the higher is given up. A slot that is settled stays the key's until it is closed, and that is for ever: it need
//! not be counted then. (Mutants `SharedSettlesUnseen`, `SharedLooksByLoad`.)
//!
//! # Why a key that lost its slot gets nothing twice
//! It lost it as of a time at which everything was forgotten that had been let through, by one exchange that expects the state
//! that was looked at. (Mutant `SharedClosesUnseen`.) It begins again as of that time at the earliest, which `newest` says,
//! since a process that was stopped after it had read the clock may come with an older one. So a decision is the same as if
//! the key had kept its slot.
//!
//! # What is weaker than in memory
//! * Two keys with a block in common whose fingerprints of 40 bits are equal are taken for one; if their plans differ, each
//!   misreads the other's words. Among a million keys there is such a pair with a chance of 1 in 70,000.
//! * The 16 slots of a key may be taken while others are free. Of keys that fill two thirds of all slots, as with
//!   [`words_for`](SharedKeys::words_for), hardly one in a million finds none, of 80 % one in 6,000, of 90 % one in 150.
//! * Times end 36 years after the file's origin: then everything is refused.
//! * A process whose clock is ahead takes the keys of the slots it claims along to its time.
//!
//! Tests: `tests/limit/shared.rs`, `tests/models/shared_limit.rs`.

use std::time::Duration;

use super::slot::{BESIDE, BITS, Key, Look, Slot, WORDS};
use super::{Rate, WhenKeysFull, bucket, log, sliding};
use crate::error::LimitError;
use crate::limit::decision::Decision;
use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, relax};

/// How many slots lie in a block, of which a key may be in two.
const BLOCK: usize = 8;

/// Into how many parts a window is cut.
const TICKS: u64 = BESIDE - 2;

/// The last nanosecond there is: 36 years.
const LAST: u64 = (1 << BITS) - 1;

/// How often a new key may lose its slot to others before it is told that there is no room.
pub const TRIES: usize = 64;

/// How a limiter in shared words limits.
#[derive(Clone, Copy, Debug)]
pub struct SharedPlan(Plan);

#[derive(Clone, Copy, Debug)]
enum Plan {
    Bucket(bucket::Plan),
    Log(log::Plan),
    Sliding(sliding::Plan),
}

impl SharedPlan {
    /// A token bucket with `burst`; else a log if the limit is at most 12, and a sliding window of ten parts if it is more.
    ///
    /// # Errors
    /// [`LimitError`] unless the burst is 1 to 2^32 and filled within 18 years, or the window is at most 18 years and fits into
    /// 60 bits together with the limit.
    pub fn new(rate: Rate, burst: Option<u64>) -> Result<Self, LimitError> {
        match burst {
            Some(burst) => Self::bucket(rate, burst),
            None if rate.limit() <= BESIDE => {
                Self::check(rate)?;
                Ok(Self(Plan::Log(log::Plan::new(rate, 0))))
            }
            None => Self::sliding(rate, TICKS),
        }
    }

    fn bucket(rate: Rate, burst: u64) -> Result<Self, LimitError> {
        Ok(Self(Plan::Bucket(bucket::Plan::within(BITS, Duration::from_nanos(LAST / 2), rate, burst)?)))
    }

    /// A sliding window of at most ten parts.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn sliding(rate: Rate, ticks: u64) -> Result<Self, LimitError> {
        Self::check(rate)?;
        let plan = sliding::Plan::within(BITS, Duration::from_nanos(LAST), rate, ticks.clamp(1, TICKS), 0)?;
        Ok(Self(Plan::Sliding(plan)))
    }

    /// Whether the window is short enough.
    fn check(rate: Rate) -> Result<(), LimitError> {
        let is_short = rate.window() <= Duration::from_nanos(LAST / 2);
        if is_short { Ok(()) } else { Err(LimitError::TooFine { limit: rate.limit(), window: rate.window() }) }
    }

    /// The differences in time that matter.
    #[must_use]
    pub fn fine(&self) -> Duration {
        match &self.0 {
            Plan::Bucket(plan) => plan.fine(),
            Plan::Log(plan) => plan.fine(),
            Plan::Sliding(plan) => plan.fine(),
        }
    }

    fn slots(&self) -> u64 {
        match &self.0 {
            Plan::Bucket(_) => 0,
            Plan::Log(plan) => plan.slots(),
            Plan::Sliding(plan) => plan.slots(),
        }
    }

    /// What a key is told that nothing was let through of.
    fn fresh(&self, cost: u64) -> Decision {
        match &self.0 {
            Plan::Bucket(plan) => plan.fresh(cost),
            Plan::Log(plan) => plan.fresh(cost),
            Plan::Sliding(plan) => plan.fresh(cost),
        }
    }

    fn until(&self, now: u64, cost: u64) -> u64 {
        match &self.0 {
            Plan::Bucket(plan) => plan.until(now, cost),
            Plan::Log(plan) => plan.until(now),
            Plan::Sliding(plan) => plan.until(now),
        }
    }

    /// Decides in `slot` while it is `key`'s.
    #[inline]
    fn decide(&self, slot: Slot<'_>, key: Key, now: u64, cost: u64, take: bool) -> Option<Decision> {
        let (tenancy, now) = (slot.tenancy(key), now.max(slot.newest()).min(LAST));
        match &self.0 {
            Plan::Bucket(plan) => plan.decide(&tenancy, now, cost, take),
            Plan::Log(plan) => plan.decide(&tenancy, now, cost, take),
            Plan::Sliding(plan) => plan.decide(&tenancy, now, cost, take),
        }
    }
}

/// What a limiter in shared words says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a limiter only limits who heeds it"]
pub struct Answer {
    /// The decision.
    pub decision: Decision,
    /// Whether it was made without the key, for which there was no room.
    pub lacked_room: bool,
}

/// Where a key is.
enum Found<'a> {
    Settled(Slot<'a>, Key),
    Pending(usize, Key),
    Nowhere,
}

/// What can be had for a new key.
enum Room {
    /// Free, or as good as new.
    Free(usize, Look),
    /// Somebody claims it.
    Claimed(usize, Look),
    /// A key that is not settled yet.
    Pending(usize, Look),
    /// Changing hands.
    Changing,
}

impl Room {
    /// The better ones first.
    fn rank(&self) -> usize {
        match self {
            Self::Free(..) => 0,
            Self::Claimed(..) => 1,
            Self::Pending(..) => 2,
            Self::Changing => 3,
        }
    }
}

/// The slots of keys.
#[derive(Clone, Copy, Debug)]
pub struct SharedKeys<'a> {
    words: &'a [AtomicU64],
    slots: usize,
}

impl<'a> SharedKeys<'a> {
    /// How many words `keys` keys need: a half more slots than keys, as only 16 of all are for a key. Hardly one of a
    /// million keys finds no room then.
    #[must_use]
    pub const fn words_for(keys: usize) -> usize {
        (keys + keys.div_ceil(2)).next_multiple_of(BLOCK) * WORDS
    }

    /// The slots of `words`, 16 each; all zero at first. `None` if there is not one.
    #[must_use]
    pub fn new(words: &'a [AtomicU64]) -> Option<Self> {
        let slots = words.len() / WORDS;
        (slots > 0).then_some(Self { words, slots })
    }

    /// Lets `cost` of the key with `hash` through at `now`, in nanoseconds since the words' origin, or refuses it whole.
    pub fn decide(&self, plan: &SharedPlan, hash: u64, now: u64, cost: u64, when_full: WhenKeysFull) -> Answer {
        let now = now.min(LAST);
        for _ in 0..TRIES {
            let won = match self.find(hash) {
                Found::Settled(slot, key) => match plan.decide(slot, key, now, cost, true) {
                    Some(decision) => return Answer { decision, lacked_room: false },
                    None => false,
                },
                // Nothing is taken, so no key is made.
                _ if cost == 0 || !plan.fresh(cost).allowed => {
                    return Answer { decision: plan.fresh(cost), lacked_room: false };
                }
                Found::Pending(at, key) => self.settle(plan, hash, at, key, now, cost),
                Found::Nowhere => match self.room(hash, now) {
                    Ok(Room::Free(at, look)) => match self.claim(plan, hash, at, look, now) {
                        Some(key) => self.settle(plan, hash, at, key, now, cost),
                        None => false,
                    },
                    Ok(Room::Claimed(at, look)) if mutated!(SharedTakesOver) => {
                        self.claim(plan, hash, at, look, now).is_some()
                    }
                    Ok(Room::Claimed(at, look)) => self.slot(at).abandon(look.key),
                    Ok(Room::Pending(at, look)) => self.slot(at).give_up(look.key),
                    Ok(Room::Changing) => false,
                    Err(until) => return self.full(plan, cost, until - now, when_full),
                },
            };
            if !won {
                relax();
            }
        }
        self.full(plan, cost, plan.fine().as_nanos() as u64, when_full)
    }

    /// What a new key is told that finds no room for so many nanoseconds.
    #[cold]
    fn full(&self, plan: &SharedPlan, cost: u64, wait: u64, when_full: WhenKeysFull) -> Answer {
        let decision = match when_full {
            WhenKeysFull::Refuse => Decision::refused(0, Duration::from_nanos(wait)),
            WhenKeysFull::Allow => plan.fresh(cost),
        };
        Answer { decision, lacked_room: true }
    }

    /// What [`decide`](Self::decide) would say, but with all that remains; nothing is taken and no key is made.
    pub fn peek(&self, plan: &SharedPlan, hash: u64, now: u64, cost: u64) -> Decision {
        for _ in 0..TRIES {
            let Found::Settled(slot, key) = self.find(hash) else { break };
            if let Some(decision) = plan.decide(slot, key, now, cost, false) {
                return decision;
            }
        }
        plan.fresh(cost)
    }

    /// Forgets what was let through of the key with `hash`, and says whether it had a slot. A cost that is decided meanwhile counts or
    /// does not.
    pub fn reset(&self, hash: u64) -> bool {
        for _ in 0..TRIES {
            let Found::Settled(slot, key) = self.find(hash) else { return false };
            let next = key.next(0);
            // The slot is free at once. It is not said as of when the key lost it, as nothing of it counts any more.
            if slot.look().is_some_and(|look| look.key == key && look.is_open() && slot.close(look, next)) {
                // Others may have ended the claim.
                let _ = slot.abandon(key);
                return true;
            }
            relax();
        }
        false
    }

    /// How many slots have something that counts at `now`.
    #[must_use]
    pub fn len(&self, now: u64) -> usize {
        let counts = |slot: Slot<'_>| {
            let used = slot.look().is_none_or(|look| look.is_open() && !look.key.is_nobody() && !look.key.is_pending());
            used && slot.until() > now
        };
        (0..self.slots).filter(|&at| counts(self.slot(at))).count()
    }

    fn slot(&self, at: usize) -> Slot<'a> {
        Slot::new(&self.words[at * WORDS..])
    }

    /// The slots that a key may be in, the same for whoever asks: two blocks, or all if there are not more. (Both may be one.)
    fn near(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let blocks = self.slots / BLOCK;
        let first_of = |bits: u64| ((u128::from(bits) * blocks as u128) >> u64::BITS) as usize * BLOCK;
        let (one, other) = match blocks {
            0..2 => (0..self.slots, 0..0),
            _ => {
                let (one, other) = (first_of(hash), first_of(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
                (one..one + BLOCK, other..other + BLOCK)
            }
        };
        one.chain(other)
    }

    fn find(&self, hash: u64) -> Found<'a> {
        let fingerprint = Key::fingerprint_of(hash);
        let mut pending = None;
        for at in self.near(hash) {
            let slot = self.slot(at);
            let key = slot.key();
            if !key.is_of(fingerprint) {
                continue;
            }
            if key.is_pending() {
                pending = pending.or(Some((at, key)));
            } else if mutated!(SharedIgnoresClosed) || slot.is_open(key) {
                return Found::Settled(slot, key);
            }
        }
        pending.map_or(Found::Nowhere, |(at, key)| Found::Pending(at, key))
    }

    /// The best there is for a new key; if there is nothing, when there may be.
    fn room(&self, hash: u64, now: u64) -> Result<Room, u64> {
        let (mut best, mut soonest) = (None::<Room>, u64::MAX);
        // Of each block, how many are free, and the first.
        let mut free = [(0, None); 2];
        for (nth, at) in self.near(hash).enumerate() {
            let slot = self.slot(at);
            let room = match slot.look() {
                None => Room::Changing,
                Some(look) if !look.is_open() => Room::Claimed(at, look),
                Some(look) if look.key.is_pending() => Room::Pending(at, look),
                Some(look) => {
                    let until = if look.key.is_nobody() { 0 } else { slot.until() };
                    if until <= now {
                        let (many, first) = &mut free[nth / BLOCK % 2];
                        *many += 1;
                        *first = first.or(Some((at, look)));
                    } else {
                        soonest = soonest.min(until);
                    }
                    continue;
                }
            };
            if best.as_ref().is_none_or(|best| room.rank() < best.rank()) {
                best = Some(room);
            }
        }
        // The emptier block, so that both fill up evenly.
        let emptier = usize::from(free[1].0 > free[0].0);
        match free[emptier].1 {
            Some((at, look)) => Ok(Room::Free(at, look)),
            None => best.ok_or(soonest),
        }
    }

    /// Makes the slot the key's, pending.
    fn claim(&self, plan: &SharedPlan, hash: u64, at: usize, look: Look, now: u64) -> Option<Key> {
        let (slot, next) = (self.slot(at), look.key.next(Key::fingerprint_of(hash)));
        if !look.key.is_nobody() {
            slot.note(now);
        }
        let ours = slot.close(look, next) && slot.clear(next, plan.slots()) && slot.publish(look.key, next);
        ours.then_some(next)
    }

    /// Settles the pending `key` at `at` if no other slot is of the same key, for a cost that is about to come.
    fn settle(&self, plan: &SharedPlan, hash: u64, at: usize, key: Key, now: u64, cost: u64) -> bool {
        let (fingerprint, slot) = (Key::fingerprint_of(hash), self.slot(at));
        let mut newest = 0;
        for other in self.near(hash).filter(|&other| other != at && !mutated!(SharedSettlesUnseen)) {
            let theirs = self.slot(other);
            loop {
                let found = theirs.touch();
                if !found.is_of(fingerprint) {
                    break;
                }
                let stays = if found.is_pending() { other < at } else { theirs.is_open(found) };
                if stays {
                    // Whoever gave it up, it is gone.
                    let _ = slot.give_up(key);
                    return false;
                }
                if !found.is_pending() || theirs.give_up(found) {
                    break;
                }
            }
            // After what was seen of its key and state: if ours was there before, this says as of when it was lost.
            newest = newest.max(theirs.newest());
        }
        slot.note(newest);
        // Nobody may find it idle before the cost has come.
        slot.keep(plan.until(now.max(slot.newest()), cost));
        slot.settle(key)
    }
}

#[cfg(test)]
mod tests;
