//! [`SharedLedger`]: hits that a database decides on, shown in the file beside those that are counted there.
//!
//! The database has the *absolute* number of hits of each endpoint and tick, and of each endpoint ever. The file shows them in a life of
//! merged hits of its own, which belongs to the endpoint's life, so that every query adds both up:
//!
//! ```text
//! life of the endpoint   --merged-->   life of the ledger --> lives of other registries
//! [ slots | total ]             [ slots | total | restored ]  [ slots | 0 ]
//! ```
//! | step | what | twice |
//! |---|---|---|
//! | `entry` | begins both lives, if they are not there | changes nothing |
//! | `check` | says whether a hit would count | |
//! | | *the database commits* | |
//! | `raise` | the slot, then the total, each to the larger of what it has and what it is given | changes nothing |
//!
//! So after a kill between the commit and the end of `raise`, raising everything again makes it right. (Mutant `RaiseAdds`: a raise
//! adds.) A reader beside a raise sees the old number of a slot or the new one.
//!
//! `restored` are hits of the file's own total that a failure of the machine took, and that the database still has. It lies in the second
//! lane of the ledger's life, and is only raised.
//!
//! # Epochs
//! Removing the endpoint ends its life and the life of the ledger, to which nothing leads any more. The database notes the epoch
//! with its numbers, so numbers of a life that is over are not raised in the next one.
//!
//! One process at a time has the ledger of a file; its caller sees to that. Other processes count in the file meanwhile.
//!
//! **Progress.** `check`, `count`, `total` and `raise` are wait-free. `entry` is wait-free for an endpoint that the ledger has; for
//! another it takes the lock of merges, and does not wait for it.
//!
//! Tests: `tests/shared/ledger.rs`, `tests/models/shared.rs`.

use std::sync::Arc;

use super::core::Core;
use super::format::layout::Hot;
use super::format::lives::Life;
use super::format::names::{Full, LAST_EPOCH};
use super::format::sections::hash;
use super::registry::SharedRegistry;
use crate::cell::form::Cell;
use crate::cell::outcome::Outcome;
use crate::cell::writer::Writer;
use crate::error::{EndpointError, SharedError};
use crate::events::{Event, EventKind};
use crate::sketch::hyperloglog::hash::murmur;
use crate::sync::Ordering;
use crate::time::{Tick, Timestamp};

/// The lane of the ledger's life with all its hits.
const TOTAL: usize = 0;

/// The ledger of a file.
#[derive(Clone, Debug)]
pub struct SharedLedger {
    pub(super) core: Arc<Core>,
    pub(super) writer: Writer,
}

/// Why an endpoint has no entry.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum NoEntry {
    /// The endpoint cannot be made.
    Endpoint(EndpointError),
    /// Another process has the lock of the file.
    InUse,
}

impl From<EndpointError> for NoEntry {
    fn from(error: EndpointError) -> Self {
        Self::Endpoint(error)
    }
}

/// An endpoint in a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The endpoint's life.
    pub(super) own: usize,
    /// That of its hits in the ledger.
    pub(super) ledger: usize,
}

impl SharedRegistry {
    /// The ledger of this file, whose hits are those of `writer`, a replica that no registry has. At most one process may have it at
    /// a time.
    ///
    /// # Errors
    /// [`SharedError::ReadOnly`].
    pub fn ledger(&self, writer: Writer) -> Result<SharedLedger, SharedError> {
        let core = self.inner.shared_core();
        core.check_writable()?;
        Ok(SharedLedger { core, writer })
    }
}

impl SharedLedger {
    /// The entry of `endpoint`. Makes the lives that do not exist; if they do not all fit, it makes neither.
    ///
    /// # Errors
    /// [`NoEntry::Endpoint`] if the name is not valid, or does not fit; [`NoEntry::InUse`] if another process has the file's lock,
    /// for example because it merges.
    pub fn entry(&self, endpoint: &str) -> Result<LedgerEntry, NoEntry> {
        let (core, lives) = (&*self.core, self.core.lives());
        super::core::check_name(endpoint)?;
        let entry = |own: Life<'_>, ledger: Life<'_>| LedgerEntry { own: own.index(), ledger: ledger.index() };
        if let Some(own) = core.alive(endpoint)
            && let Some(ledger) = self.found(own)
        {
            return Ok(entry(own, ledger));
        }
        let full = || NoEntry::Endpoint(EndpointError::Full { max_endpoints: lives.capacity() });
        let Ok(Some(_changing)) = core.file.change_now() else { return Err(NoEntry::InUse) };
        let own = core.alive(endpoint);
        if let Some(own) = own
            && let Some(ledger) = self.found(own)
        {
            return Ok(entry(own, ledger));
        }
        // Both places, before either is taken.
        let wanted = 1 + usize::from(own.is_none());
        let mut kept = lives.tail.keep(wanted, lives.capacity()).ok_or_else(full)?;
        let name = lives.names.find_or_insert(core.hash(endpoint), endpoint).map_err(|Full| full())?;
        let ledger = lives.begin_merged_kept(name, &mut kept).map_err(|Full| full())?;
        let own = lives.begin_kept(name, &mut kept).map_err(|Full| full())?;
        own.link(ledger, self.writer, own.epoch());
        if wanted > 1 {
            core.watch.emit(EventKind::EndpointCreated, || Event::EndpointCreated { endpoint: endpoint.into() });
        }
        Ok(entry(own, ledger))
    }

    fn found<'a>(&'a self, own: Life<'a>) -> Option<Life<'a>> {
        self.core.book().merged(own).find(|other| other.writer() == Some(self.writer))
    }

    /// How many ticks a ring has: two ticks so far apart have one slot.
    #[must_use]
    pub fn slots(&self) -> u64 {
        self.core.geometry().slots() as u64
    }

    /// Whether `amount` hits at `at`, or now, would count: the tick in which they do, or why they do not. `pending` says how many
    /// hits of a tick are decided on and not raised yet. Refused hits are in the outcomes of the file.
    ///
    /// # Errors
    /// [`Outcome::Late`], [`Outcome::Future`], [`Outcome::Saturated`]; [`Outcome::Refused`] if the file is lost, or the endpoint was
    /// removed since [`entry`](Self::entry).
    pub fn check(
        &self,
        entry: LedgerEntry,
        at: Option<Timestamp>,
        amount: u64,
        pending: impl FnOnce(Tick) -> u64,
    ) -> Result<Tick, Outcome> {
        let core = &*self.core;
        let when = at.map_or_else(|| core.times.now(core.times.tick()), |at| core.times.at(at));
        if core.file.is_gone() || !self.is_alive(entry) {
            return Err(Outcome::Refused);
        }
        let life = self.life(entry.ledger).ok_or(Outcome::Refused)?;
        let tick = when.tick();
        let outcome = match amount {
            0 => Outcome::Counted,
            _ if when.is_future() => Outcome::Future,
            _ => life.row().would(core.geometry(), tick, amount.saturating_add(pending(tick))),
        };
        if outcome.is_counted() {
            return Ok(tick);
        }
        core.note(outcome, amount);
        Err(outcome)
    }

    /// The hits of the ledger at `tick`; 0 if its slot has a later tick.
    #[must_use]
    pub fn count(&self, entry: LedgerEntry, tick: Tick) -> u64 {
        let geometry = self.core.geometry();
        self.life(entry.ledger).map_or(0, |life| life.row().read(geometry, geometry.place(tick)).count)
    }

    /// All hits of the ledger.
    #[must_use]
    pub fn total(&self, entry: LedgerEntry) -> u64 {
        self.life(entry.ledger).map_or(0, |life| life.lane(TOTAL).load(Ordering::Acquire))
    }

    /// Notes `visitor` of hits at `tick`, which count.
    pub fn note_visitor(&self, entry: LedgerEntry, visitor: &[u8], tick: Tick) {
        if let Some(life) = self.life(entry.own) {
            self.core.see(life, tick, murmur(visitor));
        }
    }

    /// Whether a hit at `at` lies further ahead of the clock than is believed.
    #[must_use]
    pub fn is_future(&self, at: Timestamp) -> bool {
        self.core.times.at(at).is_future()
    }

    /// The epoch in which the hits of `endpoint` count, or those of its next life if it does not have one.
    #[must_use]
    pub fn epoch_of(&self, endpoint: &str) -> u64 {
        let lives = self.core.lives();
        let Some(name) = self.core.find(endpoint) else { return 0 };
        match lives.last(name) {
            Some(life) if life.is_alive() => life.epoch(),
            last => name.ended().max(last.map_or(0, Life::removed)),
        }
    }

    /// The epoch in which the hits count.
    #[must_use]
    pub fn epoch(&self, entry: LedgerEntry) -> u64 {
        self.life(entry.own).map_or(0, Life::epoch)
    }

    /// Whether the endpoint was not removed since [`entry`](Self::entry).
    #[must_use]
    pub fn is_alive(&self, entry: LedgerEntry) -> bool {
        self.life(entry.own).is_some_and(Life::is_alive)
    }

    /// Raises the hits at `tick` to `count`.
    pub fn raise(&self, entry: LedgerEntry, tick: Tick, count: u64) {
        if let Some(life) = self.life(entry.ledger) {
            life.row().raise(self.core.geometry(), Cell { tick, count });
        }
    }

    /// Raises all hits to `total`. Call it after the slots are raised, so that a reader of the total finds its hits.
    pub fn raise_total(&self, entry: LedgerEntry, total: u64) {
        if let Some(life) = self.life(entry.ledger) {
            life.lane(TOTAL).fetch_max(total, Ordering::Release);
        }
    }

    /// An epoch that no endpoint of the file has had.
    #[must_use]
    pub fn next_epoch(&self) -> u64 {
        let epoch = self.core.sections().hot(Hot::Epoch);
        epoch.fetch_add(1, Ordering::AcqRel).min(LAST_EPOCH - 1) + 1
    }

    /// Ends the life of `endpoint` if it is of an earlier epoch, so that its next life is of `epoch` or of a later one.
    ///
    /// # Errors
    /// [`EndpointError`] if the name is not valid, or does not fit.
    pub fn begin_epoch(&self, endpoint: &str, epoch: u64) -> Result<(), EndpointError> {
        let (core, lives) = (&*self.core, self.core.lives());
        super::core::check_name(endpoint)?;
        let found = lives.names.find_or_insert(hash(core.header.key, endpoint), endpoint);
        let name = found.map_err(|Full| EndpointError::Full { max_endpoints: lives.capacity() })?;
        // Before the life ends, so that every epoch of a life was seen.
        core.sections().hot(Hot::Epoch).fetch_max(epoch.min(LAST_EPOCH), Ordering::AcqRel);
        if let Some(life) = lives.alive(name).filter(|life| life.epoch() < epoch) {
            name.ended_at().fetch_max(core.times.tick().0, Ordering::Relaxed);
            life.end(epoch);
        }
        name.raise_ended(epoch);
        Ok(())
    }

    pub(super) fn life(&self, index: usize) -> Option<Life<'_>> {
        self.core.lives().get(index)
    }
}
