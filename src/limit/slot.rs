//! One slot of a file of limits: 16 words that belong to one key after the other.
//!
//! ```text
//! 0  key       [ fingerprint 40 | pending 1 | kept 1 | epoch 22 ]   the key that has the slot; fingerprint 0: free
//! 1  state     [ epoch 4 | the plan's word 60 ]            one exchange decides
//! 2  until     when everything that was let through is forgotten: the slot is as good as new
//! 3  newest    the newest time as of which a key lost the slot
//! 4  beside    12 words: the beginnings of ticks in a sliding window, or the units of a log
//! ```
//!
//! A *tenancy* is a fingerprint and an epoch. Epochs only grow, by one for each attempt to claim the slot, so a tenancy never
//! repeats. (After 2^22 claims of one slot the epochs begin anew. A process that slept through exactly that many claims, or a
//! multiple, and finds the same key again would mistake the new tenancy for the old one.)
//!
//! # States
//! | key | its state has | the slot is | may be moved by |
//! |---|---|---|---|
//! | fingerprint 0, `e` | epoch `e` | free | any process that wants the slot: [`close`](Slot::close) |
//! | `A, e` settled | epoch `e` | open: costs are let through | `A`: an exchange of its state. Any process that finds `until` past, unless the key is kept: `close` |
//! | `A, e` settled | epoch `e + 8` | frozen: the state is final and says what was let through | any process: [`freeze`](Slot::freeze). Any process that finds `until` past: `close` |
//! | any, `e` | epoch `e + 1` | closed: a process claims it, or was killed while claiming it | the process that closed it: [`clear`](Slot::clear), [`fill`](Slot::fill) if the tenancy begins with something, then [`publish`](Slot::publish). Any other process: [`abandon`](Slot::abandon) |
//! | `B, e` pending | epoch `e` | published, but another slot may belong to the same key: no cost is let through | any process: [`settle`](Slot::settle) if no other slot does, [`give_up`](Slot::give_up) if one does |
//!
//! The state's epoch equals the key's or is one more. `close` requires that both are equal. `publish` and `abandon` exchange the
//! key from `e` to `e + 1`, and only one of them can succeed. So while the key is what it was when the slot was closed, the state
//! belongs to the process that closed it. A process that comes late, after a stop of any length, finds another word and changes
//! nothing.
//!
//! # Words of other tenancies
//! State and beginnings are stored under a *mask* of 60 bits, which is mixed from the tenancy's fingerprint and epoch. Within a
//! tenancy a state never repeats, because a cost makes it larger or comes in a later tick. The mask makes the state differ from the
//! states of all other tenancies too, except with a chance of 2^-60, whatever the plans there mean by their bits. So an exchange
//! that expects a word of one tenancy cannot succeed in another.
//!
//! | a late process that | is harmless, because |
//! |---|---|
//! | exchanges a state | the state that it expects never comes back |
//! | raises a beginning | after reading the beginning it checks that the state is still its own. If so, the beginning was read before the slot was closed. The process that closed the slot then replaced all twelve beginnings, so the late exchange fails |
//! | raises `until`, or `newest` | these words only grow. The raise succeeds, so the slot is kept longer than necessary, never shorter |
//!
//! # Orders
//! | a process that | writes in this order | a process that sees the second write |
//! |---|---|---|
//! | lets a cost through | raises `until`, then exchanges the state | and reads `until` after that state finds it raised, so a slot that looks idle is idle. (Mutant `SharedKeepsLate`.) |
//! | closes a slot | raises `newest`, then exchanges the state | knows as of when its key lost the slot. (Mutant `SharedForgetsNewest`.) |
//! | publishes a key | replaces the beginnings, then exchanges the key | does not find a beginning of another tenancy. (Mutant `SharedKeepsStarts`.) |
//!
//! A word that is raised first needs no order of its own, because the exchange after it releases it. State and key are read as key,
//! state, key, each acquired. If the state is of a later epoch, the second read of the key finds a later key. The state cannot be
//! of an earlier epoch, because the first read of the key has acquired a later one.
//!
//! Tests: `tests/models/slot.rs`.

use super::place::{Beside, Place};
use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering};

/// The words of a slot.
pub const WORDS: usize = 16;

/// How many words there are beside the state.
pub const BESIDE: u64 = 12;

/// The bits of a state that are the plan's.
pub const BITS: u32 = 60;

/// What the epoch of a frozen state differs in from that of its key.
const FROZEN: u64 = 8;

const UNTIL: usize = 2;
const NEWEST: usize = 3;
const FIRST_BESIDE: usize = 4;

/// The key that a slot belongs to, and the epoch of its tenancy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u64);

impl Key {
    const EPOCHS: u64 = (1 << 22) - 1;
    const KEPT: u64 = 1 << 22;
    const PENDING: u64 = 1 << 23;
    const FINGERPRINT: u32 = 24;

    /// The fingerprint of a key's hash: its lower bits, because the upper bits choose the slot. It is never 0, which marks a free
    /// slot.
    pub const fn fingerprint_of(hash: u64) -> u64 {
        let fingerprint = hash & ((1 << 40) - 1);
        if fingerprint == 0 { 1 } else { fingerprint }
    }

    pub const fn is_of(self, fingerprint: u64) -> bool {
        self.0 >> Self::FINGERPRINT == fingerprint
    }

    pub const fn is_nobody(self) -> bool {
        self.is_of(0)
    }

    pub const fn is_pending(self) -> bool {
        self.0 & Self::PENDING > 0
    }

    /// Whether its slot is kept for ever, whatever `until` says.
    pub const fn is_kept(self) -> bool {
        self.0 & Self::KEPT > 0
    }

    /// The same tenancy, kept for ever.
    pub const fn kept(self) -> Self {
        Self(self.0 | Self::KEPT)
    }

    const fn epoch(self) -> u64 {
        self.0 & Self::EPOCHS
    }

    /// The next tenancy, for `fingerprint`: pending, unless the fingerprint is 0.
    pub const fn next(self, fingerprint: u64) -> Self {
        let epoch = (self.epoch() + 1) & Self::EPOCHS;
        Self(fingerprint << Self::FINGERPRINT | if fingerprint > 0 { Self::PENDING } else { 0 } | epoch)
    }

    pub const fn settled(self) -> Self {
        Self(self.0 & !Self::PENDING)
    }

    const fn given_up(self) -> Self {
        Self(self.epoch())
    }

    /// The bits of the epoch that a state has.
    const fn tag(self) -> u64 {
        self.0 & 15
    }

    /// The mask under which the words of the tenancy are stored (the finalizer of SplitMix64, with the epoch on top). A state that
    /// equals the mask says that nothing was ever let through.
    const fn mask(self) -> u64 {
        let mut mixed = self.settled().0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) >> (u64::BITS - BITS) | self.tag() << BITS
    }
}

/// A key and the state it had.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub key: Key,
    state: u64,
}

impl Look {
    /// Whether the slot is not being claimed, so that its state is its key's.
    pub const fn is_open(self) -> bool {
        let tag = self.state >> BITS;
        tag == self.key.tag() || tag == self.key.tag() ^ FROZEN
    }
}

/// What a tenancy begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begins {
    pub state: u64,
    pub beside: [u64; BESIDE as usize],
    /// Until when it counts.
    pub until: u64,
}

/// One slot.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a>(&'a [AtomicU64]);

impl<'a> Slot<'a> {
    /// The slot of [`WORDS`] words.
    pub fn new(words: &'a [AtomicU64]) -> Self {
        Self(&words[..WORDS])
    }

    fn key_word(self) -> &'a AtomicU64 {
        &self.0[0]
    }

    fn state_word(self) -> &'a AtomicU64 {
        &self.0[1]
    }

    fn beside(self) -> &'a [AtomicU64] {
        &self.0[FIRST_BESIDE..]
    }

    /// Reads the key.
    #[inline]
    pub fn key(self) -> Key {
        Key(self.key_word().load(Ordering::Acquire))
    }

    /// Whether the slot is open to `key`: neither claimed since nor frozen. A slot that is closed to a tenancy stays closed to it
    /// for ever.
    #[inline]
    pub fn is_open(self, key: Key) -> bool {
        // unnoticed: what is closed to a key is so for ever, so the value decides
        self.state_word().load(Ordering::Acquire) >> BITS == key.tag()
    }

    /// Whether the slot has not been claimed since it was `key`'s. Its state may be frozen.
    pub fn is_kept_by(self, key: Key) -> bool {
        Look { key, state: self.state_word().load(Ordering::Acquire) }.is_open()
    }

    /// The key, and a state that the slot had under it; `None` if the key changed meanwhile.
    pub fn look(self) -> Option<Look> {
        let key = self.key();
        let state = self.state_word().load(Ordering::Acquire);
        (self.key() == key).then_some(Look { key, state })
    }

    /// The time at which everything in a state that was read before this call is forgotten.
    pub fn until(self) -> u64 {
        self.0[UNTIL].load(Ordering::Relaxed)
    }

    /// The newest time as of which a key lost the slot.
    pub fn newest(self) -> u64 {
        self.0[NEWEST].load(Ordering::Relaxed)
    }

    /// Raises `until`.
    pub fn keep(self, until: u64) {
        raise(&self.0[UNTIL], until);
    }

    /// Raises `newest`.
    pub fn note(self, newest: u64) {
        if !mutated!(SharedForgetsNewest) {
            raise(&self.0[NEWEST], newest);
        }
    }

    /// First step of a claim: takes the slot from the tenancy that has it, unless a cost was let through since `look`. Call this
    /// only if `look` was open, and its fingerprint was 0, or `until`, read after `look`, was past, or the key is being reset.
    #[must_use = "somebody else may have been quicker"]
    pub fn close(self, look: Look, next: Key) -> bool {
        step();
        if mutated!(SharedClosesUnseen) {
            self.state_word().store(next.mask(), Ordering::Release);
            return true;
        }
        // Acquired, so that what is replaced next is older; released, so that a process that sees the new epoch sees `newest`.
        // unnoticed: what is replaced next is found by exchanges, to which loom gives the newest value
        self.state_word().compare_exchange(look.state, next.mask(), Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Second step: replaces the first `many` beginnings with empty ones. `false` if another process has taken over the claim.
    #[must_use = "somebody else may have been quicker"]
    pub fn clear(self, next: Key, many: u64) -> bool {
        let cleared = |start: &AtomicU64| {
            loop {
                let seen = start.load(Ordering::Acquire);
                // Checked after the beginning was read. While the state is ours, no later claim has replaced the beginning. Once a
                // later claim has replaced it, it differs from `seen`.
                // unnoticed: loom lets no store overtake a load, so the exchange comes after
                if self.state_word().load(Ordering::Acquire) != next.mask() {
                    return false;
                }
                step();
                // unnoticed: the load above has acquired `seen`
                let cleared = start.compare_exchange(seen, next.mask(), Ordering::AcqRel, Ordering::Relaxed);
                // A process that is late for an earlier tenancy makes this exchange fail at most once.
                if cleared.is_ok() {
                    return true;
                }
            }
        };
        mutated!(SharedKeepsStarts) || self.beside()[..many as usize].iter().all(cleared)
    }

    /// Third step, for a tenancy that begins with something: writes that into the cleared words. `false` if another process has
    /// taken over the claim.
    #[must_use = "somebody else may have been quicker"]
    pub fn fill(self, next: Key, begins: &Begins) -> bool {
        let mask = next.mask();
        let set = |word: &AtomicU64, to: u64| {
            step();
            // unnoticed: the exchange that publishes the key releases it, and of another tenancy no word is the mask
            to == 0 || word.compare_exchange(mask, to ^ mask, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        self.keep(begins.until);
        self.beside().iter().zip(begins.beside).all(|(word, to)| set(word, to)) && set(self.state_word(), begins.state)
    }

    /// Last step: publishes the new key.
    #[must_use = "somebody else may have been quicker"]
    pub fn publish(self, from: Key, next: Key) -> bool {
        self.exchange_key(from, next)
    }

    /// Frees a slot that was closed while it was `from`'s. If the process that closed it still lives, it finds that it has lost the
    /// slot.
    #[must_use = "somebody else may have been quicker"]
    pub fn abandon(self, from: Key) -> bool {
        self.exchange_key(from, from.next(0))
    }

    /// Lets a pending key take costs.
    #[must_use = "somebody else may have been quicker"]
    pub fn settle(self, pending: Key) -> bool {
        self.exchange_key(pending, pending.settled())
    }

    /// Frees a slot whose key is pending.
    #[must_use = "somebody else may have been quicker"]
    pub fn give_up(self, pending: Key) -> bool {
        self.exchange_key(pending, pending.given_up())
    }

    fn exchange_key(self, from: Key, to: Key) -> bool {
        step();
        // unnoticed: the order of two that touch each other's slots, see `touch`
        self.key_word().compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Reads the key by a read-modify-write, so that a later publication cannot miss what this thread did before. If A reads B's
    /// slot before B is published there, then B's exchange comes after A's in the order of that word, and acquires what A released:
    /// B finds A's slot published. If A reads B's slot after that, A finds B. With a load, both could find nothing. (Mutant
    /// `SharedLooksByLoad`.)
    pub fn touch(self) -> Key {
        step();
        // unnoticed: loom gives a read-modify-write the newest value, whatever its order
        if mutated!(SharedLooksByLoad) { self.key() } else { Key(self.key_word().fetch_or(0, Ordering::AcqRel)) }
    }

    /// Freezes the state of a settled `key`, so that no exchange of it succeeds any more. Answers its word, which says what was let
    /// through, or `None` if the slot was closed.
    pub fn freeze(self, key: Key) -> Option<u64> {
        loop {
            let state = self.state_word().load(Ordering::Acquire);
            // Checked after the state was read, because after sixteen claims another tenancy's state has the same tag.
            if self.key() != key {
                return None;
            }
            let frozen = state ^ FROZEN << BITS;
            if frozen >> BITS == key.tag() {
                return Some(frozen ^ key.mask());
            }
            if state >> BITS != key.tag() {
                return None;
            }
            step();
            if mutated!(SharedCarriesOpen) {
                return Some(state ^ key.mask());
            }
            // unnoticed: the words beside were raised before the exchange that this one follows
            let is_frozen =
                self.state_word().compare_exchange(state, frozen, Ordering::AcqRel, Ordering::Relaxed).is_ok();
            if is_frozen {
                return Some(state ^ key.mask());
            }
        }
    }

    /// The word of a settled `key`, frozen or not; `None` if the slot was closed.
    pub fn word(self, key: Key) -> Option<u64> {
        let state = self.state_word().load(Ordering::Acquire);
        let word = state ^ key.mask();
        let is_open = Look { key, state }.is_open();
        is_open.then_some(word & ((1 << BITS) - 1))
    }

    /// The slot as long as it is `key`'s, which is settled.
    pub fn tenancy(self, key: Key) -> Tenancy<'a> {
        Tenancy { slot: self, key, mask: key.mask() }
    }
}

/// Raises a word that only grows. What it says is released by the exchange that comes after it.
fn raise(word: &AtomicU64, to: u64) {
    // If the word is large enough already, a process that sees our exchange sees the value that we saw, or a larger one.
    if word.load(Ordering::Relaxed) < to {
        step();
        word.fetch_max(to, Ordering::Relaxed);
    }
}

/// A slot while it belongs to one key.
#[derive(Clone, Copy, Debug)]
pub struct Tenancy<'a> {
    slot: Slot<'a>,
    key: Key,
    mask: u64,
}

impl Place for Tenancy<'_> {
    const LOAD: Ordering = Ordering::Acquire;
    const EXCHANGE: Ordering = Ordering::AcqRel;
    const MOST: u64 = (1 << BITS) - 1;

    fn state(&self) -> &AtomicU64 {
        step();
        self.slot.state_word()
    }

    fn mask(&self) -> u64 {
        self.mask
    }

    fn is_ours(&self) -> bool {
        self.slot.key() == self.key
    }

    fn is_still(&self, seen: u64) -> bool {
        // unnoticed: it is asked last and only compared
        self.slot.state_word().load(Ordering::Acquire) == seen ^ self.mask
    }

    fn keep(&self, until: impl FnOnce() -> u64) {
        self.slot.keep(until());
    }
}

impl Beside for Tenancy<'_> {
    fn beside(&self) -> &[AtomicU64] {
        step();
        self.slot.beside()
    }

    fn raise(&self, slot: u64, word: u64, seen: u64) -> bool {
        self.raised(slot, word, seen).is_some()
    }

    fn raise_of(&self, slot: u64, word: u64, seen: u64) -> bool {
        self.raised(slot, word, seen).is_some_and(|said| said & 1 == word & 1)
    }
}

impl Tenancy<'_> {
    /// Sets a word beside the state, unless it is set already.
    pub fn set(&self, slot: u64, to: u64) {
        step();
        let word = &self.slot.beside()[slot as usize];
        let _ = word.compare_exchange(self.mask, to ^ self.mask, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Raises a word beside the state, and answers what it says then, at least `word`; `None` if the state has moved on.
    fn raised(&self, slot: u64, word: u64, seen: u64) -> Option<u64> {
        let start = &self.slot.beside()[slot as usize];
        loop {
            // unnoticed: a word of another tenancy counts as later, but for each sixteenth, and loom remembers seven stores
            let said = start.load(Ordering::Acquire);
            if !self.is_still(seen) {
                return None;
            }
            if said ^ self.mask >= word {
                return Some(said ^ self.mask);
            }
            step();
            // unnoticed: the load above has acquired `said`, and the exchange of the state releases this
            if start.compare_exchange(said, word ^ self.mask, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Some(word);
            }
        }
    }
}

/// Before each change of a word, and between the reads of a decision: the tests stop here.
#[inline(always)]
fn step() {
    #[cfg(test)]
    stopped::step();
}

/// Stops or kills a decision at any of its steps.
#[cfg(test)]
pub mod stopped {
    use std::cell::RefCell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    type Meanwhile = Box<dyn FnOnce()>;

    thread_local! {
        static STOP: RefCell<Option<(usize, Meanwhile)>> = const { RefCell::new(None) };
    }

    struct Killed;

    pub(super) fn step() {
        let meanwhile = STOP.with_borrow_mut(|stop| match stop.take() {
            Some((0, meanwhile)) => Some(meanwhile),
            later => {
                *stop = later.map(|(steps, meanwhile)| (steps - 1, meanwhile));
                None
            }
        });
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
    }

    /// Runs `body`, but stops it after `steps` for `meanwhile`.
    pub fn after<T>(steps: usize, meanwhile: impl FnOnce() + 'static, body: impl FnOnce() -> T) -> T {
        STOP.set(Some((steps, Box::new(meanwhile))));
        let answer = body();
        STOP.set(None);
        answer
    }

    /// Runs `body`, unless it is killed after `steps`. It holds nothing that a drop would give back.
    pub fn killed_after<T>(steps: usize, body: impl FnOnce() -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(|| after(steps, || resume_unwind(Box::new(Killed)), body))) {
            Ok(answer) => Some(answer),
            Err(panic) if panic.is::<Killed>() => None,
            Err(panic) => resume_unwind(panic),
        }
    }
}
