//! `Core`: the parts of a shared registry, with recording and querying by name and by life.
//!
//! Tests: `tests/shared`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use super::book::Book;
use super::file::RingFile;
use super::file::lock::lane;
use super::format::header::Header;
use super::format::layout::Hot;
use super::format::lives::{Life, Lives, Removed};
use super::format::names::{Full, Name};
use super::format::sections::{Sections, hash};
use super::format::visitors::Lost;
use super::voids::Voids;
use crate::cell::hits::{Accuracy, Bucket, Hits};
use crate::cell::outcome::Outcome;
use crate::counter::query::{Query, Times, When};
use crate::error::{EndpointError, QueryError, SharedError};
use crate::events::watch::Watch;
use crate::events::{Event, EventKind};
use crate::sketch::uniques::Parts;
use crate::sync::{AtomicU64, Mutex, Ordering, process};
use crate::time::{Tick, Timestamp};
use crate::window::geometry::Geometry;
use crate::window::{Reading, Span};

/// The most bytes a name may have.
pub const MAX_NAME: usize = 1_024;

/// The parts of a shared registry.
pub struct Core {
    pub times: Times,
    pub parts: Parts,
    sections: Sections<'static>,
    pub header: Header,
    pub watch: Watch,
    /// The void hits as of some merge. Threads only try its lock, and never wait for it.
    voids: Mutex<Arc<Voids>>,
    /// Whether limiters wait, because another file is about to take the place of this one.
    moving: process::AtomicU64,
    /// After all that refers to it.
    pub file: RingFile,
}

impl Core {
    /// A registry in `file`, whose header is `header`, by `times`.
    pub fn new(file: RingFile, header: Header, times: Times, watch: Watch) -> Self {
        // SAFETY: the words live as long as `file`, which is dropped after the sections; code outside of `self` gets them for no
        // longer than it borrows `self`.
        let words: &'static [AtomicU64] =
            unsafe { std::slice::from_raw_parts(file.words().as_ptr(), file.words().len()) };
        let parts = Parts::new(&header.layout.geometry, header.layout.precision);
        let sections = Sections::new(words, &header.layout);
        Self {
            times,
            parts,
            sections,
            header,
            watch,
            voids: Mutex::new(Arc::default()),
            moving: process::AtomicU64::new(0),
            file,
        }
    }

    #[inline(always)]
    pub fn sections(&self) -> Sections<'_> {
        self.sections
    }

    #[inline(always)]
    pub fn lives(&self) -> Lives<'_> {
        self.sections.lives
    }

    #[inline(always)]
    pub fn geometry(&self) -> &Geometry {
        &self.header.layout.geometry
    }

    /// Whether limiters wait for the file that takes the place of this one.
    #[inline]
    pub fn is_moving(&self) -> bool {
        self.moving.load(Ordering::Acquire) != 0
    }

    /// Lets them wait, or not.
    pub fn set_moving(&self, is_moving: bool) {
        // An exchange, so that limiters see it before this thread reads the words in which they decide.
        self.moving.swap(is_moving.into(), Ordering::AcqRel);
    }

    pub fn window(&self) -> Duration {
        self.geometry().resolution().width() * self.geometry().window()
    }

    #[inline]
    pub fn hash(&self, name: &str) -> u64 {
        hash(self.header.key, name)
    }

    /// The record of `name`.
    #[inline]
    pub fn find(&self, name: &str) -> Option<Name<'_>> {
        self.lives().names.find(self.hash(name), name)
    }

    /// The living life of `name`.
    #[inline]
    pub fn alive(&self, name: &str) -> Option<Life<'_>> {
        self.lives().alive(self.find(name)?)
    }

    pub fn book(&self) -> Book<'_> {
        Book { sections: self.sections, header: &self.header }
    }

    /// The name of a life.
    pub fn name_of(&self, life: Life<'_>) -> Option<String> {
        self.book().name_of(life)
    }

    // ------------------------------------------------------------------------------------------------------ recording

    /// Notes the outcome of hits that were not counted.
    pub fn note(&self, outcome: Outcome, amount: u64) {
        let row = Outcome::ALL.iter().position(|&row| row == outcome).unwrap_or(0);
        if self.file.is_writable() {
            let tally = &self.sections.tally()[row];
            // As in memory: the amounts of refused hits add up.
            let mut hits = tally.load(Ordering::Relaxed);
            let add = |hits: u64| {
                tally.compare_exchange(hits, hits.saturating_add(amount), Ordering::Release, Ordering::Relaxed)
            };
            while let Err(now) = add(hits) {
                hits = now;
            }
        }
    }

    /// Counts in `life` at `tick` if the slot has hits of that tick already, these fit, and this process has no use for events of
    /// hits. Otherwise it changes nothing; call [`record_other`](Self::record_other) then. The file must be writable.
    #[inline(always)]
    pub fn record_short(&self, life: Life<'_>, tick: Tick, amount: u64) -> bool {
        !self.watch.wants_hits() && life.record_current(self.geometry(), tick, amount, lane()) && !self.file.is_lost()
    }

    /// Counts in `life`, in a file that may be written.
    #[inline(always)]
    pub fn record(&self, life: Life<'_>, name: &str, amount: u64) -> Result<Outcome, Removed> {
        let tick = self.times.tick();
        if self.record_short(life, tick, amount) {
            return Ok(Outcome::Counted);
        }
        self.record_other(life, name, self.times.now(tick), amount)
    }

    /// The same at `at`.
    pub fn record_at(&self, life: Life<'_>, name: &str, at: Timestamp, amount: u64) -> Result<Outcome, Removed> {
        let when = self.times.at(at);
        if amount > 0 && when.is_future() {
            self.note(Outcome::Future, amount);
            return Ok(Outcome::Future);
        }
        self.record_other(life, name, when, amount)
    }

    /// Counts in `life` without the fast path.
    #[inline(never)]
    pub fn record_other(&self, life: Life<'_>, name: &str, when: When<'_>, amount: u64) -> Result<Outcome, Removed> {
        // A hit written to a truncated page would be lost.
        if self.file.is_gone() {
            return Ok(Outcome::Refused);
        }
        let outcome = life.record(self.geometry(), when.tick(), amount, lane())?;
        if self.file.is_lost() {
            return Ok(Outcome::Refused);
        }
        if !outcome.is_counted() {
            self.note(outcome, amount);
        } else if amount > 0 && self.watch.wants_hits() {
            self.tell_counted(life, name, when, amount);
        }
        Ok(outcome)
    }

    /// Calls `record` with the life of `name`. Begins a life if the name does not have one, unless the hit is of the future.
    #[inline(always)]
    pub fn by_name(
        &self,
        name: &str,
        at: Option<Timestamp>,
        amount: u64,
        record: impl Fn(Life<'_>) -> Result<Outcome, Removed>,
    ) -> Result<Outcome, EndpointError> {
        if self.file.is_writable()
            && let Some(life) = self.alive(name)
            && let Ok(outcome) = record(life)
        {
            return Ok(outcome);
        }
        self.by_new_name(name, at, amount, record)
    }

    /// Counts in the life of `name`, if it has one, and notes `visitor` if the hits count.
    #[cfg(feature = "server")]
    pub fn record_known(
        &self,
        name: &str,
        visitor: Option<u64>,
        at: Option<Timestamp>,
        amount: u64,
    ) -> Result<Option<Outcome>, EndpointError> {
        if !self.file.is_writable() {
            return Err(EndpointError::ReadOnly);
        }
        let Some(life) = self.alive(name) else { return Ok(None) };
        let (tick, recorded) = match at {
            None => (self.times.tick(), self.record(life, name, amount)),
            Some(at) => (self.times.at(at).tick(), self.record_at(life, name, at, amount)),
        };
        let Ok(outcome) = recorded else { return Ok(None) };
        if let Some(visitor) = visitor.filter(|_| outcome.is_counted() && amount > 0) {
            self.see(life, tick, visitor);
        }
        Ok(Some(outcome))
    }

    #[cold]
    fn by_new_name(
        &self,
        name: &str,
        at: Option<Timestamp>,
        amount: u64,
        record: impl Fn(Life<'_>) -> Result<Outcome, Removed>,
    ) -> Result<Outcome, EndpointError> {
        if !self.file.is_writable() {
            return Err(EndpointError::ReadOnly);
        }
        check_name(name)?;
        if self.file.is_gone() {
            return Ok(Outcome::Refused);
        }
        // A hit that is refused takes no place.
        if amount > 0 && at.is_some_and(|at| self.times.at(at).is_future()) {
            self.note(Outcome::Future, amount);
            return Ok(Outcome::Future);
        }
        loop {
            match self.begin(name) {
                Ok(life) => {
                    if let Ok(outcome) = record(life) {
                        return Ok(outcome);
                    }
                }
                Err(EndpointError::Full { .. }) => {
                    self.note(Outcome::Refused, amount);
                    return Ok(Outcome::Refused);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The living life of `name`; begins it if the name does not have one.
    pub fn begin(&self, name: &str) -> Result<Life<'_>, EndpointError> {
        check_name(name)?;
        if !self.file.is_writable() {
            return self.alive(name).ok_or(EndpointError::ReadOnly);
        }
        let lives = self.lives();
        let hash = self.hash(name);
        if let Some(life) = lives.names.find(hash, name).and_then(|found| lives.alive(found)) {
            return Ok(life);
        }
        let begin = || match lives.names.find(hash, name) {
            Some(found) => lives.begin(found),
            // A name is written only if a life fits, because names without lives would fill the arena.
            None if lives.is_full() => Err(Full),
            None => lives.names.find_or_insert(hash, name).and_then(|found| lives.begin(found)),
        };
        let mut begun = begin();
        while begun.is_err() && self.gives_back() {
            begun = begin();
        }
        match begun {
            Ok(life) => {
                self.watch.emit(EventKind::EndpointCreated, || Event::EndpointCreated { endpoint: name.into() });
                Ok(life)
            }
            Err(Full) => {
                self.watch.emit(EventKind::EndpointRefused, || Event::EndpointRefused { endpoint: name.into() });
                Err(EndpointError::Full { max_endpoints: lives.capacity() })
            }
        }
    }

    /// Gives back the places that a killed merge kept; answers whether it did.
    fn gives_back(&self) -> bool {
        if !self.lives().are_kept() {
            return false;
        }
        // A process that does not get the lock treats the file as full.
        let Ok(Some(_changing)) = self.file.change_now() else { return false };
        self.lives().tail.give_back();
        true
    }

    /// Ends the life of `name`; answers whether there was one.
    pub fn remove(&self, name: &str) -> Result<bool, SharedError> {
        self.check_writable()?;
        let Some(found) = self.find(name) else { return Ok(false) };
        let removed = self.lives().remove(found, self.sections.hot(Hot::Epoch), self.times.tick());
        if removed {
            self.watch.forget(name);
        }
        Ok(removed)
    }

    /// # Errors
    /// [`SharedError::ReadOnly`].
    pub fn check_writable(&self) -> Result<(), SharedError> {
        if self.file.is_writable() { Ok(()) } else { Err(SharedError::ReadOnly { path: self.file.path().into() }) }
    }

    // --------------------------------------------------------------------------------------------------------- asking

    pub fn query_now(&self, last: Duration) -> Result<Query<'_>, QueryError> {
        Query::new(self.times.now(self.times.tick()), last, self.geometry())
    }

    pub fn query_at(&self, at: Timestamp, last: Duration) -> Result<Query<'_>, QueryError> {
        Query::new(self.times.at(at), last, self.geometry())
    }

    pub fn query(&self, at: Option<Timestamp>, last: Duration) -> Result<Query<'_>, QueryError> {
        at.map_or_else(|| self.query_now(last), |at| self.query_at(at, last))
    }

    /// The hits of `life`, merged ones included.
    pub fn sum(&self, life: Life<'_>, query: &Query<'_>) -> Result<Hits, QueryError> {
        let Some(span) = query.ticks()? else { return self.found(Hits::NONE) };
        let reading = self.reading(life, span);
        if reading.exact { self.found(Hits::exact(reading.count)) } else { Err(query.expired()) }
    }

    /// The hits of each tick of `name`, oldest first.
    pub fn buckets(&self, name: &str, query: &Query<'_>) -> Result<Vec<Bucket>, QueryError> {
        let Some(span) = query.ticks()? else { return self.found(Hits::NONE).map(|_| Vec::new()) };
        let (life, resolution) = (self.alive(name), self.geometry().resolution());
        let ticks = (span.first.0..=span.to.0).map(Tick);
        let bucket = |tick: Tick| {
            let reading = life.map_or(Reading::NONE, |life| self.reading(life, Span { first: tick, to: tick }));
            reading.exact.then(|| Bucket { start: resolution.start(tick), count: reading.count })
        };
        let buckets = ticks.map(bucket).collect::<Option<Vec<_>>>().ok_or_else(|| query.expired())?;
        self.found(Hits::NONE).map(|_| buckets)
    }

    fn reading(&self, life: Life<'_>, span: Span) -> Reading {
        let mut reading = self.reading_of(life, span);
        if life.merged().load(Ordering::Relaxed) != 0 {
            for other in self.book().merged(life) {
                reading = reading.plus(self.reading_of(other, span));
            }
        }
        reading.exact &= span.first.0 >= life.known().load(Ordering::Relaxed);
        reading
    }

    fn reading_of(&self, life: Life<'_>, span: Span) -> Reading {
        let geometry = self.geometry();
        if life.has_void(span) { self.voids().sum(life, geometry, span) } else { life.sum(geometry, span) }
    }

    /// The void hits as of now. A thread that does not get the lock computes them itself, so that it never waits here, also not for
    /// a thread that a fork left behind.
    #[cold]
    fn voids(&self) -> Arc<Voids> {
        let heard = self.sections.hot(Hot::Heard).load(Ordering::Acquire);
        if let Some(voids) = self.voids.try_lock()
            && voids.heard == heard
        {
            return Arc::clone(&voids);
        }
        let now = Arc::new(self.book().voids());
        if let Some(mut voids) = self.voids.try_lock() {
            *voids = Arc::clone(&now);
        }
        now
    }

    /// `hits`, unless the file that they were read from is gone.
    fn found(&self, hits: Hits) -> Result<Hits, QueryError> {
        if self.file.is_gone() { Err(QueryError::FileLost) } else { Ok(hits) }
    }

    pub fn sum_of(&self, name: &str, query: &Query<'_>) -> Result<Hits, QueryError> {
        match self.alive(name) {
            Some(life) => self.sum(life, query),
            None => query.ticks().and_then(|_| self.found(Hits::NONE)),
        }
    }

    /// Calls `tell` with the hits of each endpoint that is `wanted`. Answers the endpoints that it left out because a clock that
    /// was ahead took slots of theirs.
    fn sums<'a>(
        &'a self,
        query: &Query<'_>,
        mut wanted: impl FnMut(Life<'a>) -> bool,
        mut tell: impl FnMut(Life<'a>, u64),
    ) -> Result<Vec<Life<'a>>, QueryError> {
        let mut left_out = Vec::new();
        if let Some(span) = query.ticks()? {
            for life in self.book().alive().filter(|&life| wanted(life)) {
                let reading = self.reading(life, span);
                if reading.exact {
                    tell(life, reading.count);
                } else if self.is_ahead(life) {
                    left_out.push(life);
                } else {
                    return Err(query.expired());
                }
            }
        }
        self.found(Hits::NONE).map(|_| left_out)
    }

    /// Whether some hits are stamped so far ahead that their slots may be those of the window.
    fn is_ahead(&self, life: Life<'_>) -> bool {
        let slack = self.geometry().slack().into();
        let latest = Tick(self.times.tick().0.saturating_add(slack));
        let mut rows = std::iter::once(life).chain(self.book().merged(life));
        rows.any(|life| life.row().cells(self.geometry()).any(|cell| cell.tick > latest))
    }

    /// The endpoints with such hits.
    pub fn ahead(&self) -> Vec<String> {
        let ahead = self.book().alive().filter(|&life| self.is_ahead(life));
        let mut ahead: Vec<String> = ahead.filter_map(|life| self.name_of(life)).collect();
        ahead.sort_unstable();
        ahead
    }

    pub fn total<'a>(&'a self, query: &Query<'_>, wanted: impl FnMut(Life<'a>) -> bool) -> Result<Hits, QueryError> {
        let mut total = 0u64;
        let left_out = self.sums(query, wanted, |_, count| total = total.saturating_add(count))?;
        let accuracy = if left_out.is_empty() { Accuracy::Exact } else { Accuracy::AtLeast };
        Ok(Hits::new(total, accuracy))
    }

    /// The busiest endpoints; calls `tell` with the names of those that are left out.
    pub fn top(
        &self,
        n: usize,
        query: &Query<'_>,
        tell: impl FnMut(String),
    ) -> Result<Vec<(String, Hits)>, QueryError> {
        // The least of those kept is on top: fewer hits, then the later name.
        let mut best: BinaryHeap<Reverse<(u64, Reverse<String>)>> = BinaryHeap::new();
        let left_out = self.sums(
            query,
            |_| true,
            |life, count| {
                let full = best.len() >= n;
                if n == 0 || count == 0 || full && best.peek().is_some_and(|least| count < least.0.0) {
                    return;
                }
                let Some(name) = self.name_of(life) else { return };
                best.push(Reverse((count, Reverse(name))));
                if full {
                    best.pop();
                }
            },
        )?;
        let busiest_first = best.into_sorted_vec().into_iter();
        left_out.into_iter().filter_map(|life| self.name_of(life)).for_each(tell);
        Ok(busiest_first.map(|Reverse((count, Reverse(name)))| (name, Hits::exact(count))).collect())
    }

    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.book().alive().filter_map(|life| self.name_of(life)).collect();
        names.sort_unstable();
        names
    }

    // ------------------------------------------------------------------------------------------------------- visitors

    /// Notes the visitor of a hit that was counted.
    pub fn see(&self, life: Life<'_>, tick: Tick, visitor: u64) {
        let register = self.parts.precision().register(visitor);
        self.sections.visitors.add(life, self.parts.part(tick), register);
    }

    pub fn uniques(&self, life: Life<'_>, query: &Query<'_>) -> Result<u64, QueryError> {
        let Some(span) = query.touched() else { return Ok(0) };
        if span.first.0 < life.known().load(Ordering::Relaxed) {
            return Err(query.expired());
        }
        // A part that a removal cuts is left out, as in a merge.
        let from = match life.from() {
            Tick(0) => Tick(0),
            from => Tick((self.parts.part(from) + 1).saturating_mul(self.parts.width())),
        };
        let Some(span) = span.since(from) else { return Ok(0) };
        let counted = self.sections.visitors.count(life, self.parts, span);
        self.found(Hits::NONE)?;
        counted.ok_or_else(|| query.expired())?.map_err(|Lost| QueryError::VisitorsFull)
    }

    pub fn uniques_ever(&self, life: Life<'_>) -> Result<u64, QueryError> {
        let counted = self.sections.visitors.ever(life, self.parts);
        self.found(Hits::NONE)?;
        counted.map_err(|Lost| QueryError::VisitorsFull)
    }
}

pub fn check_name(name: &str) -> Result<(), EndpointError> {
    if (1..=MAX_NAME).contains(&name.len()) { Ok(()) } else { Err(EndpointError::Name { length: name.len() }) }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("path", &self.file.path()).finish_non_exhaustive()
    }
}
