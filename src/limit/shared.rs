//! Limits of keys in words that processes share, any of which may be killed or stopped at any instruction.
//!
//! The words are cut into [slots](super::slot), each of one key at a time. A key lives in one of 16 slots, two blocks of eight that
//! its hash chooses; it never moves. Several limiters share all slots. The hash is of the limiter's name, its plan and the key, and
//! should be keyed, so that a caller cannot choose keys that collide.
//!
//! | a decision of key `B` at time `now` | |
//! |---|---|
//! | 1 | look at its 16 slots. If `B` is settled in an open slot, decide there, as of `newest` if that is later. If the slot is closed meanwhile, begin again |
//! | 2 | if `B` is pending in a slot, continue with step 5 |
//! | 3 | choose a slot: a free one, or one whose `until` is past, of the block that has more of them. Else end another process's claim, then a pending key. If all slots are in use, the cost is answered without a slot |
//! | 4 | close it, clear it, publish `B` pending |
//! | 5 | look at the other 15 by read-modify-writes for the same key. If a slot is settled and open, give ours up. If a slot is pending, the lower slot stays. If no slot has the key, raise `newest` to the newest that all 16 say, raise `until` to what the cost will make it, and settle; then step 1 |
//!
//! # Guarantees
//! | | |
//! |---|---|
//! | **never too much** | for one key never more is let through than its plan lets through in memory: no span of the window holds more than the limit, a bucket never gives more than `burst + time * rate`, by the times of the decisions |
//! | **a kill loses nothing** | costs that were let through before the kill stay counted. A cost whose process is killed on its way counts or does not |
//! | **a refused cost takes nothing** | if other costs were quicker, the refused one leaves at most a slot that stays the key's for longer |
//! | **a process never waits for another** | a known key is lock-free: an exchange is lost only to a cost that was let through. A new key ends other processes' claims when it does not find a better slot; after [`TRIES`] losses it is answered as if all its slots were in use |
//!
//! # Why a key is never charged in two slots
//! A slot takes costs only while its key is settled, and a slot settles only after a process that saw it pending has looked at all
//! others. Of two pending slots of one key at least one is seen from the other (see [`Slot::touch`]). If the higher one is seen
//! from the lower, it is given up, by an exchange of the word that settling it exchanges too, so that only one of the two succeeds.
//! If the lower one is seen from the higher, the higher is given up. A slot that is settled stays the key's until it is closed.
//! Then it stays closed to the key, so it does not have to be counted any more. (Mutants `SharedSettlesUnseen`,
//! `SharedLooksByLoad`.)
//!
//! # Why a key that lost its slot gets nothing twice
//! The key lost its slot as of a time at which everything that had been let through was forgotten. It lost it by one exchange,
//! which expects the state that was looked at. (Mutant `SharedClosesUnseen`.) The key begins again as of that time at the earliest.
//! `newest` says that time, because a process that was stopped after it had read the clock may come with an older one. So a
//! decision is the same as if the key had kept its slot.
//!
//! # What is weaker than in memory
//! * Two keys with a block in common whose fingerprints of 40 bits are equal share a slot. If their plans differ, each misreads the
//!   other's words. Among a million keys there is such a pair with a chance of 1 in 70,000.
//! * The 16 slots of a key may be taken while others are free. If keys fill two thirds of all slots, as with
//!   [`words_for`](SharedKeys::words_for), hardly one in a million finds all of its slots taken; at 80 % one in 6,000, at 90 % one
//!   in 150.
//! * Times end 36 years after the file's origin. From then on everything is refused.
//! * A process whose clock is ahead moves the keys of the slots that it claims ahead to its time.
//!
//! Tests: `tests/limit/shared.rs`, `tests/models/shared_limit.rs`.

use std::time::Duration;

use super::slot::{BESIDE, BITS, Begins, Key, Look, Slot, Tenancy, WORDS};
use super::{Rate, WhenKeysFull, bucket, log, sliding};
use crate::error::LimitError;
use crate::limit::decision::Decision;
use crate::limit::history::History;
use crate::limit::place::{Beside, Place, Words};
use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering, relax};

/// How many slots lie in a block, of which a key may be in two.
const BLOCK: usize = 8;

/// Into how many parts a window is cut.
const TICKS: u64 = BESIDE - 2;

/// The last nanosecond there is: 36 years.
const LAST: u64 = (1 << BITS) - 1;

/// How often a new key may lose its slot to others before it is answered as if all its slots were in use.
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
    /// A token bucket with `burst`; else a log if the limit is at most 12, and a sliding window of ten parts if it is more. Windows know at
    /// least `known` units.
    ///
    /// # Errors
    /// [`LimitError`] unless the burst is 1 to 2^32 and filled within 18 years, or the window is at most 18 years and fits into
    /// 60 bits together with the limit.
    pub fn new(rate: Rate, burst: Option<u64>, known: u64) -> Result<Self, LimitError> {
        match burst {
            Some(burst) => Self::bucket(rate, burst),
            None if rate.limit().max(known) <= BESIDE => {
                Self::check(rate)?;
                Ok(Self(Plan::Log(log::Plan::new(rate, known))))
            }
            None => Self::sliding(rate, TICKS, known),
        }
    }

    fn bucket(rate: Rate, burst: u64) -> Result<Self, LimitError> {
        Ok(Self(Plan::Bucket(bucket::Plan::within(BITS, Duration::from_nanos(LAST / 2), rate, burst)?)))
    }

    /// A sliding window of at most ten parts that knows at least `known` units.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn sliding(rate: Rate, ticks: u64, known: u64) -> Result<Self, LimitError> {
        Self::check(rate)?;
        let longest = Duration::from_nanos(LAST);
        Ok(Self(Plan::Sliding(sliding::Plan::within(BITS, longest, rate, ticks.clamp(1, TICKS), known)?)))
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

    /// The decision for a key of which nothing was let through.
    fn fresh(&self, cost: u64) -> Decision {
        match &self.0 {
            Plan::Bucket(plan) => plan.fresh(cost),
            Plan::Log(plan) => plan.fresh(cost),
            Plan::Sliding(plan) => plan.fresh(cost),
        }
    }

    /// What a tenancy of the last plan of `later` begins with if it continues what this plan let through, as it said at `word`.
    /// Each of `later` holds since a time; tokens come at the rate of each until the next.
    fn carried(&self, place: &Tenancy<'_>, word: u64, later: &[(&Self, u64)]) -> Begins {
        let [(_, since), ..] = *later else { return Begins::default() };
        let history = match &self.0 {
            Plan::Bucket(plan) => return plan.carried(word, later),
            Plan::Log(plan) => plan.history(place, word),
            Plan::Sliding(plan) => plan.history(place, word, since),
        };
        later.last().map_or_else(Begins::default, |(plan, _)| plan.remembering(&history))
    }

    /// What a tenancy begins with that let this through.
    fn remembering(&self, history: &History) -> Begins {
        let words = Words::new(0, BESIDE, 0);
        for passed in history.oldest_first() {
            // No other thread knows them.
            let state = words.state().load(Ordering::Relaxed);
            let next = match &self.0 {
                Plan::Log(plan) => plan.record(&words, state, passed.units, passed.at),
                Plan::Sliding(plan) => plan.record(&words, state, passed.units, passed.at),
                Plan::Bucket(_) => state,
            };
            words.state().store(next, Ordering::Relaxed);
        }
        let until = history.newest_at().map_or(0, |at| self.until(at, 0));
        let beside = std::array::from_fn(|slot| words.read(slot as u64));
        Begins { state: words.state().load(Ordering::Relaxed), beside, until }
    }

    /// Until when a `cost` counts that is let through at `now` where nothing was before.
    pub fn until(&self, now: u64, cost: u64) -> u64 {
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

impl bucket::Plan {
    /// What a bucket of the last plan of `later` begins with; see [`SharedPlan::carried`].
    fn carried(&self, word: u64, later: &[(&SharedPlan, u64)]) -> Begins {
        let (mut plan, mut begins) = (self, Begins { state: word, ..Begins::default() });
        for (next, since) in later {
            let Plan::Bucket(next) = &next.0 else { return Begins::default() };
            begins.state = next.word_of::<Tenancy<'_>>(plan.debt::<Tenancy<'_>>(begins.state, *since), *since);
            begins.until = next.full_at::<Tenancy<'_>>(begins.state, *since);
            plan = next;
        }
        begins
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
pub enum Found {
    Settled(usize, Key),
    Pending(usize, Key),
    Nowhere,
}

/// A tenancy that is to be made.
pub struct Wanted<'w> {
    pub hash: u64,
    pub now: u64,
    /// How many words it has beside the state.
    pub beside: u64,
    /// Until when it is kept, if it begins at that time; `None` is for ever.
    pub until: Option<&'w dyn Fn(u64) -> u64>,
    /// What it begins with, if it is not nothing.
    pub begins: Option<Begins>,
}

/// The rate that a decision is by.
pub struct By<'b> {
    pub plan: &'b SharedPlan,
    /// Whether the rate holds.
    pub holds: &'b dyn Fn() -> bool,
    /// What a key that has no slot begins with.
    pub before: &'b dyn Fn() -> Option<Begins>,
}

impl<'b> By<'b> {
    /// A rate that never changes.
    pub const fn only(plan: &'b SharedPlan) -> Self {
        Self { plan, holds: &|| true, before: &|| None }
    }
}

/// What can be had for a new key.
enum Room {
    /// Free, or as good as new.
    Free(usize, Look),
    /// Another process claims it.
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

    /// Lets `cost` of the key with `hash` through at `now`, in nanoseconds since the words' origin, or refuses it whole. `None` if the rate
    /// does not hold any more.
    pub fn decide(&self, by: &By<'_>, hash: u64, now: u64, cost: u64, when_full: WhenKeysFull) -> Option<Answer> {
        let (plan, now) = (by.plan, now.min(LAST));
        for attempt in 0..TRIES {
            let found = self.find(hash);
            // Checked after the key was found: the key has acquired what the processes saw that looked for it before.
            let is_asked = attempt == 0 || !mutated!(SharedMissesChange);
            if is_asked && !(by.holds)() {
                return None;
            }
            let won = if let Found::Settled(at, key) = found {
                match plan.decide(self.slot(at), key, now, cost, true) {
                    Some(decision) => return Some(Answer { decision, lacked_room: false }),
                    None => false,
                }
            } else {
                let begins = (by.before)();
                let fresh = fresh(plan, begins.as_ref(), now, cost);
                // Nothing is taken, so a key is not made, unless it continues an older one.
                if cost == 0 || !fresh.allowed && begins.is_none() {
                    return Some(Answer { decision: fresh, lacked_room: false });
                }
                let until = |now| if fresh.allowed { plan.until(now, cost) } else { 0 };
                let wanted = Wanted { hash, now, beside: plan.slots(), until: Some(&until), begins };
                match self.make(&wanted, found) {
                    Ok(won) => won,
                    Err(_) if !fresh.allowed => return Some(Answer { decision: fresh, lacked_room: false }),
                    Err(soonest) => {
                        // Also where all places are kept for ever, a process asks again after a window.
                        let soonest = soonest.min(plan.until(now, u64::MAX));
                        return Some(full(fresh, soonest.saturating_sub(now), when_full));
                    }
                }
            };
            if !won {
                relax();
            }
        }
        Some(full(plan.fresh(cost), plan.fine().as_nanos() as u64, when_full))
    }

    /// One step towards a slot of a tenancy that is not settled; whether it was won. If all slots are in use, the time when one may
    /// be free.
    pub fn make(&self, wanted: &Wanted<'_>, found: Found) -> Result<bool, u64> {
        match found {
            Found::Settled(..) => Ok(true),
            Found::Pending(at, key) => Ok(self.settle(wanted, at, key)),
            Found::Nowhere => Ok(match self.room(wanted.hash, wanted.now)? {
                Room::Free(at, look) => match self.claim(wanted, at, look) {
                    Some(key) => self.settle(wanted, at, key),
                    None => false,
                },
                Room::Claimed(at, look) if mutated!(SharedTakesOver) => self.claim(wanted, at, look).is_some(),
                Room::Claimed(at, look) => self.slot(at).abandon(look.key),
                Room::Pending(at, look) => self.slot(at).give_up(look.key),
                Room::Changing => false,
            }),
        }
    }

    /// What [`decide`](Self::decide) would say, but with all that remains; nothing is taken and no key is made.
    pub fn peek(&self, by: &By<'_>, hash: u64, now: u64, cost: u64) -> Decision {
        for _ in 0..TRIES {
            let Found::Settled(at, key) = self.find(hash) else { break };
            if let Some(decision) = by.plan.decide(self.slot(at), key, now, cost, false) {
                return decision;
            }
        }
        fresh(by.plan, (by.before)().as_ref(), now, cost)
    }

    /// What a key begins with that goes on with what the key with `hash` let through by `plan`; `None` if that has no slot. The plans after
    /// it are `later`, each with the time since which it holds.
    ///
    /// With `ends` no cost is let through by `plan` any more: a slot that is settled is frozen. One that is settled later has acquired what
    /// this thread saw, as it looks by read-modify-writes ([`Slot::touch`]).
    pub fn carry(&self, plan: &SharedPlan, hash: u64, later: &[(&SharedPlan, u64)], ends: bool) -> Option<Begins> {
        let fingerprint = Key::fingerprint_of(hash);
        'again: loop {
            for at in self.near(hash) {
                let slot = self.slot(at);
                let key = if ends { slot.touch() } else { slot.key() };
                if !key.is_of(fingerprint) || key.is_pending() {
                    continue;
                }
                let word = if ends { slot.freeze(key) } else { slot.word(key) };
                let Some(word) = word else { continue };
                let begins = plan.carried(&slot.tenancy(key), word, later);
                if slot.word(key) == Some(word) && slot.key() == key {
                    return Some(begins);
                }
                relax();
                continue 'again;
            }
            return None;
        }
    }

    /// Forgets what was let through of the key with `hash`, and says whether it had a slot. A cost that is decided meanwhile counts or
    /// does not.
    pub fn reset(&self, hash: u64) -> bool {
        for _ in 0..TRIES {
            let fingerprint = Key::fingerprint_of(hash);
            let is_its = |&at: &usize| {
                let look = self.slot(at).look();
                // One that changes hands may become a slot of the key.
                look.is_none_or(|look| look.key.is_of(fingerprint) && look.is_open())
            };
            let Some(at) = self.near(hash).find(is_its) else { return false };
            let slot = self.slot(at);
            let key = slot.key();
            if !key.is_of(fingerprint) {
                continue;
            }
            if key.is_pending() {
                // It may begin with what is to be forgotten.
                let _ = slot.give_up(key);
                continue;
            }
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
            let is_used = |key: Key| !key.is_nobody() && !key.is_pending() && !key.is_kept();
            let used = slot.look().is_none_or(|look| look.is_open() && is_used(look.key));
            used && slot.until() > now
        };
        (0..self.slots).filter(|&at| counts(self.slot(at))).count()
    }

    pub fn slot(&self, at: usize) -> Slot<'a> {
        Slot::new(&self.words[at * WORDS..])
    }

    /// The slots that a key may be in, the same in every process: two blocks, or all if there are not more. (Both may be one.)
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

    pub fn find(&self, hash: u64) -> Found {
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
                return Found::Settled(at, key);
            }
        }
        pending.map_or(Found::Nowhere, |(at, key)| Found::Pending(at, key))
    }

    /// The best slot for a new key; if all are in use, the time when one may be free.
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
                Some(look) if look.key.is_kept() => continue,
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
    fn claim(&self, wanted: &Wanted<'_>, at: usize, look: Look) -> Option<Key> {
        let (slot, next) = (self.slot(at), look.key.next(Key::fingerprint_of(wanted.hash)));
        let next = if wanted.until.is_some() { next } else { next.kept() };
        if !look.key.is_nobody() {
            slot.note(wanted.now);
        }
        let ours = slot.close(look, next)
            && slot.clear(next, wanted.beside)
            && wanted.begins.as_ref().is_none_or(|begins| slot.fill(next, begins))
            && slot.publish(look.key, next);
        ours.then_some(next)
    }

    /// Settles the pending `key` at `at` if no other slot is of the same key, for a cost that is about to come.
    fn settle(&self, wanted: &Wanted<'_>, at: usize, key: Key) -> bool {
        let (fingerprint, slot) = (Key::fingerprint_of(wanted.hash), self.slot(at));
        let mut newest = 0;
        for other in self.near(wanted.hash).filter(|&other| other != at && !mutated!(SharedSettlesUnseen)) {
            let theirs = self.slot(other);
            loop {
                let found = theirs.touch();
                if !found.is_of(fingerprint) {
                    break;
                }
                // A frozen one stays, too: what it says has to be found.
                let stays = if found.is_pending() { other < at } else { theirs.is_kept_by(found) };
                if stays {
                    // If this fails, another process has given it up.
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
        // So that another process does not find the slot idle before the cost is recorded.
        if let Some(until) = wanted.until {
            slot.keep(until(wanted.now.max(slot.newest())));
        }
        slot.settle(key)
    }
}

/// The decision for a key without a slot that would begin with this.
fn fresh(plan: &SharedPlan, begins: Option<&Begins>, now: u64, cost: u64) -> Decision {
    begins.and_then(|begins| in_words_of_its_own(plan, begins, now, cost)).unwrap_or_else(|| plan.fresh(cost))
}

/// What a tenancy says that begins with this, without a slot in the file.
#[cold]
fn in_words_of_its_own(plan: &SharedPlan, begins: &Begins, now: u64, cost: u64) -> Option<Decision> {
    let words: [AtomicU64; WORDS] = std::array::from_fn(|_| AtomicU64::new(0));
    let slot = Slot::new(&words);
    let look = slot.look()?;
    let key = look.key.next(1);
    let is_made = slot.close(look, key)
        && slot.clear(key, plan.slots())
        && slot.fill(key, begins)
        && slot.publish(look.key, key)
        && slot.settle(key);
    if is_made { plan.decide(slot, key.settled(), now, cost, false) } else { None }
}

/// The answer for a new key whose slots are all in use for `wait` nanoseconds.
#[cold]
fn full(fresh: Decision, wait: u64, when_full: WhenKeysFull) -> Answer {
    let decision = match when_full {
        WhenKeysFull::Refuse => Decision::refused(0, Duration::from_nanos(wait)),
        WhenKeysFull::Allow => fresh,
    };
    Answer { decision, lacked_room: true }
}

#[cfg(test)]
mod tests;
