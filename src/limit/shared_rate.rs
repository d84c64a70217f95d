//! [`Agreed`]: the rate that all processes of a file keep for the limiter of a name, and how it is changed.
//!
//! ```text
//! head of "logins"       the number of the rate that holds
//! rate 6 of "logins"     5/minute, since ..., until rate 7 came
//! rate 7 of "logins"     10/minute, since ...
//! key "ann" of rate 7    what was let through; began with what key "ann" of rate 6 had let through
//! ```
//!
//! Each of these is a tenancy of a [slot](super::slot), found by a hash. A rate is written before its key is published. Afterwards
//! it is not changed, except that the time since when it holds is added once. The head and the rates are kept for ever, but a later
//! change drops a rate whose keys are all as good as new.
//!
//! | to change the rate from number `n` | |
//! |---|---|
//! | 1 | make rate `n + 1`. Of two processes that do so, one wins; the other begins again with `n + 1` |
//! | 2 | raise the head to `n + 1`. If the process is killed before that, another process that opens or changes the limiter does it |
//! | 3 | say in rate `n + 1` since when it holds, unless that is said. Each process that reads the rate does so before it decides by it. It must not be said earlier, because decisions by rate `n` continue until the head is raised, however long that takes |
//! | 4 | drop the oldest rates whose keys all have stopped counting |
//!
//! | a decision by rate `n` | |
//! |---|---|
//! | 1 | look for the slot of the key of rate `n` |
//! | 2 | look at the head. If it is not `n`, read the rates and begin again |
//! | 3 | decide in the slot, if there is one that is not frozen |
//! | 4 | else look for the key of the older rates, the newest first. A slot of it is frozen, so that no cost comes to it any more |
//! | 5 | make a slot that begins with what the frozen one says ([`SharedKeys::carry`]), and go on with step 1. If the cost is refused, too: what was carried has left the old window later, but not the new one |
//!
//! # Why no cost is forgotten
//! Let a process that knows rate `n` decide on a key while another that knows rate `n + 1` looks for it in step 4.
//!
//! | the key of rate `n` | |
//! |---|---|
//! | is settled | the other freezes its state. A cost that was let through before is in it, and one that comes after fails. (Mutant `SharedCarriesOpen`.) |
//! | is published or settled after the other looked at its slot | the other looked by a read-modify-write, so the exchange of the key acquired what the other knew. A process that finds the key in step 1 sees the new head in step 2. (Mutant `SharedMissesChange`.) |
//!
//! # What a key of the new rate knows
//! As in memory ([`plan`](super::plan)): units of windows, with their times, as many as the highest limit of the rates that still count; of a
//! bucket the tokens that were missing when the rate changed. What had left the old window when the key is asked for the first time after the
//! change may be forgotten.
//!
//! Tests: `tests/models/shared_limit.rs`, `tests/shared/limits.rs`.

use std::time::Duration;

use super::shared::{Answer, By, Found, SharedKeys, SharedPlan, TRIES, Wanted};
use super::slot::{Begins, Key};
use super::{Rate, WhenKeysFull};
use crate::error::LimitError;
use crate::limit::decision::Decision;
use crate::limit::place::{Beside, Place};
use crate::sync::relax;

/// What a hash is of.
#[derive(Clone, Copy, Debug)]
pub enum Of<'k> {
    Head,
    Rate(u64),
    /// A key of the rate of that number.
    Key(u64, &'k [u8]),
}

/// The words of a limiter.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    pub keys: SharedKeys<'a>,
    /// The hashes of what belongs to its name.
    pub hash: &'a dyn Fn(Of<'_>) -> u64,
    /// The time now.
    pub now: &'a dyn Fn() -> u64,
}

/// How many words a rate has.
const WORDS: u64 = 5;

/// One of the rates of a limiter.
#[derive(Clone, Copy, Debug)]
pub struct SharedRate {
    number: u64,
    pub rate: Rate,
    pub burst: Option<u64>,
    /// How many units its windows know at least.
    known: u64,
    /// Since when it holds.
    since: u64,
    plan: SharedPlan,
}

impl SharedRate {
    /// A rate that other processes do not know.
    ///
    /// # Errors
    /// As [`SharedPlan::new`].
    pub fn new(rate: Rate, burst: Option<u64>) -> Result<Self, LimitError> {
        Self::numbered(0, rate, burst, 0, 0)
    }

    /// Which of its words says as of when it holds; 0 if that is not said yet.
    const SINCE: u64 = 4;

    fn numbered(number: u64, rate: Rate, burst: Option<u64>, known: u64, since: u64) -> Result<Self, LimitError> {
        Ok(Self { number, rate, burst, known, since, plan: SharedPlan::new(rate, burst, known)? })
    }

    fn words(&self) -> Begins {
        let mut begins = Begins::default();
        let said =
            [self.rate.limit(), self.rate.window().as_nanos() as u64, self.burst.unwrap_or(0), self.known, self.since];
        begins.beside[..said.len()].copy_from_slice(&said);
        begins
    }

    /// The rate that these words say; `None` if they are damaged.
    fn of(number: u64, [limit, window, burst, known, since]: [u64; WORDS as usize]) -> Option<Self> {
        let rate = Rate::new(limit, Duration::from_nanos(window)).ok()?;
        Self::numbered(number, rate, (burst > 0).then_some(burst), known, since).ok()
    }

    /// Whether it lets through the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.rate == other.rate && self.burst == other.burst
    }

    /// The differences in time that matter.
    pub fn fine(&self) -> Duration {
        self.plan.fine()
    }

    /// Until when its keys may count, if another holds since `replaced`.
    fn counts_until(&self, replaced: u64) -> u64 {
        self.plan.until(replaced, u64::MAX)
    }
}

/// The rates of a limiter, as a process has read them.
#[derive(Clone, Debug)]
pub struct Agreed {
    /// Where the head is; `None` if it did not fit into the file, so that the process is alone with its rate.
    head: Option<(usize, Key)>,
    pub rate: SharedRate,
    /// The rates before it, the newest first.
    older: Vec<SharedRate>,
}

impl Agreed {
    /// Wraps a rate that other processes do not know.
    pub const fn alone(rate: SharedRate) -> Self {
        Self { head: None, rate, older: Vec::new() }
    }

    /// The rates of a limiter that another process may have made already; otherwise makes the limiter with `first`.
    ///
    /// # Errors
    /// [`LimitError::NoRoom`].
    pub fn made(names: Names<'_>, first: &SharedRate, now: u64) -> Result<Self, LimitError> {
        for _ in 0..TRIES {
            if let Some(agreed) = Self::read(names) {
                return Ok(agreed);
            }
            let first = SharedRate { number: 0, ..*first };
            names.write(Of::Rate(0), Some(first.words()), now)?;
            names.write(Of::Head, None, now)?;
        }
        Err(LimitError::NoRoom)
    }

    /// The rates of a limiter, if there is one.
    fn read(names: Names<'_>) -> Option<Self> {
        for _ in 0..TRIES {
            let Found::Settled(at, key) = names.keys.find((names.hash)(Of::Head)) else { return None };
            let number = names.keys.slot(at).tenancy(key).seen()?;
            // A process may have been killed before it raised the head.
            if names.rate(number + 1).is_some() {
                names.raise(at, key, number + 1);
                continue;
            }
            // Else others have changed it so often meanwhile that it was dropped.
            if let Some(rate) = names.held(number) {
                let older = (0..number).rev().map_while(|number| names.rate(number)).collect();
                return Some(Self { head: Some((at, key)), rate, older });
            }
            relax();
        }
        None
    }

    /// Whether it is the same rate of the same head.
    pub fn is_of(&self, other: &Self) -> bool {
        self.head == other.head && self.rate.number == other.rate.number
    }

    /// Whether the rate still holds.
    pub fn is_current(&self, keys: SharedKeys<'_>) -> bool {
        self.head.is_none_or(|(at, key)| keys.slot(at).tenancy(key).is_still(self.rate.number))
    }

    /// Changes the rate to `rate`, and answers the rates that hold then; they may be another process's if that was quicker.
    ///
    /// # Errors
    /// [`LimitError`] if the rate cannot be kept so, or it does not fit into the file.
    pub fn changed(&self, names: Names<'_>, rate: Rate, burst: Option<u64>, now: u64) -> Result<Self, LimitError> {
        match (self.rate.burst, burst) {
            (None, Some(given)) => return Err(LimitError::NoBucket { given }),
            (Some(burst), None) => return Err(LimitError::Bucket { burst }),
            _ => {}
        }
        let known = self.known(now);
        let next = SharedRate::numbered(self.rate.number + 1, rate, burst, known, 0)?;
        let Some((at, key)) = self.head else { return Ok(Self::alone(next)) };
        if !self.is_current(names.keys) {
            return Self::read(names).ok_or(LimitError::NoRoom);
        }
        if next.is_same(&self.rate) {
            return Ok(self.clone());
        }
        names.write(Of::Rate(next.number), Some(next.words()), now)?;
        names.raise(at, key, next.number);
        self.drop_old(names, now);
        let agreed = Self::read(names).ok_or(LimitError::NoRoom)?;
        // It came too late: others have dropped that number already.
        if !std::iter::once(&agreed.rate).chain(&agreed.older).any(|rate| rate.number == next.number) {
            names.keys.reset((names.hash)(Of::Rate(next.number)));
        }
        Ok(agreed)
    }

    /// How many units a key may have that still count: those that came at a rate, and those that its keys began with.
    fn known(&self, now: u64) -> u64 {
        let (mut known, mut replaced) = (0, now);
        for rate in std::iter::once(&self.rate).chain(&self.older) {
            if rate.counts_until(replaced) > now {
                known = known.max(rate.rate.limit());
            }
            if rate.counts_until(rate.since) > now {
                known = known.max(rate.known);
            }
            replaced = rate.since;
        }
        known
    }

    /// Drops the oldest rates for which no key counts any more.
    fn drop_old(&self, names: Names<'_>, now: u64) {
        for nth in (0..self.older.len()).rev() {
            let newer = nth.checked_sub(1).map_or(&self.rate, |newer| &self.older[newer]);
            if self.older[nth].counts_until(newer.since) > now {
                return;
            }
            names.keys.reset((names.hash)(Of::Rate(self.older[nth].number)));
        }
    }

    /// What a key begins with that has no slot; with `ends` no cost is let through by an older rate any more.
    fn before(&self, names: Names<'_>, key: &[u8], now: u64, ends: bool) -> Option<Begins> {
        let rates: Vec<&SharedRate> = std::iter::once(&self.rate).chain(&self.older).collect();
        let carried = |nth: usize| {
            let hash = (names.hash)(Of::Key(rates[nth].number, key));
            let later: Vec<_> = rates[..nth].iter().rev().map(|rate| (&rate.plan, rate.since)).collect();
            names.keys.carry(&rates[nth].plan, hash, &later, ends)
        };
        // Costs may lie ahead of the clock.
        let now = now.min((names.now)());
        (1..rates.len()).filter(|&nth| rates[nth].counts_until(rates[nth - 1].since) > now).find_map(carried)
    }

    /// Decides on a `cost` of `key`; `None` if the rate has changed.
    pub fn decide(&self, names: Names<'_>, key: &[u8], now: u64, cost: u64, when_full: WhenKeysFull) -> Option<Answer> {
        let before = || self.before(names, key, now, true);
        let by = By { plan: &self.rate.plan, holds: &|| self.is_current(names.keys), before: &before };
        names.keys.decide(&by, (names.hash)(Of::Key(self.rate.number, key)), now, cost, when_full)
    }

    /// What [`decide`](Self::decide) would say, but with all that remains; `None` if the rate has changed.
    pub fn peek(&self, names: Names<'_>, key: &[u8], now: u64, cost: u64) -> Option<Decision> {
        let before = || self.before(names, key, now, false);
        let by = By { before: &before, ..By::only(&self.rate.plan) };
        let decision = names.keys.peek(&by, (names.hash)(Of::Key(self.rate.number, key)), now, cost);
        self.is_current(names.keys).then_some(decision)
    }

    /// Forgets what was let through of `key`, and says whether there was anything; `None` if the rate has changed.
    pub fn reset(&self, names: Names<'_>, key: &[u8]) -> Option<bool> {
        // The oldest first: a slot that is made meanwhile begins with one of these, and is reset, too.
        let mut had = false;
        for rate in self.older.iter().rev().chain([&self.rate]) {
            had |= names.keys.reset((names.hash)(Of::Key(rate.number, key)));
        }
        self.is_current(names.keys).then_some(had)
    }
}

impl Names<'_> {
    /// Makes a tenancy that is kept for ever, unless there is one.
    fn write(&self, of: Of<'_>, begins: Option<Begins>, now: u64) -> Result<(), LimitError> {
        let hash = (self.hash)(of);
        let wanted = Wanted { hash, now, beside: WORDS, until: None, begins };
        for _ in 0..TRIES {
            match self.keys.find(hash) {
                Found::Settled(..) => return Ok(()),
                found => _ = self.keys.make(&wanted, found).map_err(|_| LimitError::NoRoom)?,
            }
        }
        Err(LimitError::NoRoom)
    }

    /// The rate of that number.
    fn rate(&self, number: u64) -> Option<SharedRate> {
        let Found::Settled(at, key) = self.keys.find((self.hash)(Of::Rate(number))) else { return None };
        let tenancy = self.keys.slot(at).tenancy(key);
        let words = std::array::from_fn(|nth| tenancy.read(nth as u64));
        // It is not another's by now.
        tenancy.seen()?;
        SharedRate::of(number, words)
    }

    /// The rate of that number, which the head has reached. If it is not said since when it holds, it is since now: the head was raised
    /// before, so no decision by an older rate begins after that.
    fn held(&self, number: u64) -> Option<SharedRate> {
        if number > 0 {
            let Found::Settled(at, key) = self.keys.find((self.hash)(Of::Rate(number))) else { return None };
            self.keys.slot(at).tenancy(key).set(SharedRate::SINCE, (self.now)().max(1));
        }
        self.rate(number)
    }

    /// Raises the head to `number`.
    fn raise(&self, at: usize, key: Key, number: u64) {
        let head = self.keys.slot(at).tenancy(key);
        while let Some(seen) = head.seen().filter(|&seen| seen < number) {
            head.exchange(seen, number);
        }
    }
}

#[cfg(test)]
mod tests;
