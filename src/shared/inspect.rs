//! Inspects a file from outside: what it was made for, what it holds, whether it fits together. It writes nothing.
//!
//! Tests: `tests/shared/inspect.rs`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::book::Book;
use super::check;
use super::file::{self, Access, RingFile};
use super::format::header::Header;
use super::format::lives::Life;
use super::format::sections::Sections;
#[cfg(feature = "cli")]
use super::format::sections::hash;
use super::metrics::{SharedRoom, room_of};
use super::voids::Voids;
use crate::cell::hits::Hits;
use crate::cell::outcome::Outcomes;
use crate::error::SharedError;
use crate::sync::Ordering;
use crate::time::clock::SystemClock;
use crate::time::{Tick, Timestamp};
use crate::window::geometry::Geometry;
use crate::window::{Reading, Span};

/// A file that is looked at, also while others count in it.
#[derive(Debug)]
pub struct Inspection {
    file: RingFile,
    header: Header,
    is_copy: bool,
}

/// The state of a file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// The length of the window.
    pub window: Duration,
    /// The width of a tick.
    pub resolution: Duration,
    /// Slots beyond the window.
    pub slack: u32,
    /// Bits that tell visitors apart.
    pub precision: u8,
    /// When the file was made.
    pub made: Timestamp,
    /// Whether it was made elsewhere, or on another boot. A process that opens it for writing then begins a new writer.
    pub is_copy: bool,
    /// How much of it is used.
    pub room: SharedRoom,
    /// The number of endpoints.
    pub endpoints: u64,
    /// Registries that were merged into it, and those it was made from.
    pub merged: u64,
    /// The outcomes of all hits that the file received.
    pub outcomes: Outcomes,
    /// Every endpoint, the busiest in the window first.
    pub top: Vec<Line>,
}

/// An endpoint of a report.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Line {
    /// Its name.
    pub endpoint: String,
    /// Its hits in the window up to now; `None` if part of it is not known any more.
    pub count: Option<Hits>,
    /// Its hits of all time.
    pub total: u64,
    /// About how many different visitors it ever had; `None` if some found no room.
    pub visitors: Option<u64>,
}

impl Inspection {
    /// Opens the file at `path` for reading.
    ///
    /// # Errors
    /// [`SharedError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SharedError> {
        let path = path.as_ref();
        let found = file::find(path, Access::Read)?.ok_or_else(|| SharedError::missing(path))?;
        let file = RingFile::map(found.file, path, Access::Read, true, found.header.layout.words)?;
        Ok(Self { file, header: found.header, is_copy: found.is_copy })
    }

    /// Whether the path still means the file that was opened.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.file.is_current()
    }

    fn book(&self) -> Book<'_> {
        Book { sections: Sections::new(self.file.words(), &self.header.layout), header: &self.header }
    }

    /// As [`SharedRegistry::lineage`](crate::SharedRegistry).
    #[cfg(feature = "server")]
    pub(crate) fn lineage(&self) -> [u8; 16] {
        self.header.lineage()
    }

    /// What the file holds, as of `now` or the system's clock.
    ///
    /// # Errors
    /// [`SharedError::Truncated`] if it was cut while it was looked at.
    pub fn report(&self, now: Option<Timestamp>) -> Result<Report, SharedError> {
        let voids = self.voids();
        let look = self.look(now.unwrap_or_else(|| SystemClock.now()), &voids);
        let (book, layout) = (look.book, &self.header.layout);
        let geometry = &layout.geometry;
        let resolution = geometry.resolution();
        let span = Span::ending(look.to, geometry.window().into());
        let parts = crate::sketch::uniques::Parts::new(geometry, layout.precision);
        let line = |life: Life<'_>| {
            let known = span.is_none_or(|span| span.first.0 >= life.known().load(Ordering::Relaxed));
            let reading = span.map_or(Reading::NONE, |span| look.sum(life, span));
            Some(Line {
                endpoint: book.name_of(life)?,
                count: (reading.exact && known).then(|| Hits::exact(reading.count)),
                total: book.total(life),
                visitors: book.sections.visitors.ever(life, parts).ok(),
            })
        };
        let mut top: Vec<Line> = book.alive().filter_map(line).collect();
        let count = |line: &Line| line.count.map_or(0, |hits| hits.count);
        top.sort_by(|a, b| count(b).cmp(&count(a)).then_with(|| a.endpoint.cmp(&b.endpoint)));
        let width = resolution.width();
        let report = Report {
            path: self.file.path().into(),
            window: width * geometry.window(),
            resolution: width,
            slack: geometry.slack(),
            precision: layout.precision.bits(),
            made: Timestamp::from_duration(Duration::from_micros(self.header.made)).unwrap_or(Timestamp::MAX),
            is_copy: self.is_copy,
            room: room_of(book.sections, layout),
            endpoints: top.len() as u64,
            merged: book.known().known.len() as u64,
            outcomes: book.sections.outcomes(),
            top,
        };
        self.check_whole()?;
        Ok(report)
    }

    /// The void hits of all endpoints now.
    pub(crate) fn voids(&self) -> Voids {
        self.book().voids()
    }

    /// What it holds as of `now`, for a caller that makes several queries. Hits that are counted meanwhile may be in
    /// some answers and not in others.
    pub(crate) fn look<'a>(&'a self, now: Timestamp, voids: &'a Voids) -> Look<'a> {
        let (book, geometry) = (self.book(), &self.header.layout.geometry);
        Look { book, geometry, to: geometry.resolution().tick(now), voids }
    }

    /// Fails if the file was cut while it was looked at.
    pub(crate) fn check_whole(&self) -> Result<(), SharedError> {
        if !self.file.is_lost() {
            return Ok(());
        }
        let bytes = self.file.file().metadata().map_or(0, |data| data.len());
        let wanted = self.header.layout.words as u64 * 8;
        Err(SharedError::Truncated { path: self.file.path().into(), bytes, wanted })
    }

    /// The faults of the file, in words for an operator; empty if all fits together. Traces of a killed process are not faults.
    /// While others count, an endpoint that is just being made may look like a fault, so look again: a real fault is still there.
    ///
    /// # Errors
    /// [`SharedError::Truncated`] if it was cut while it was looked at.
    pub fn faults(&self) -> Result<Vec<String>, SharedError> {
        let faults = check::faults(self.book(), self.is_copy, || ());
        self.check_whole()?;
        Ok(faults)
    }
}

#[cfg(feature = "cli")]
impl Inspection {
    /// The length of the window, and the width of a tick.
    pub(crate) fn window_and_resolution(&self) -> (Duration, Duration) {
        let geometry = &self.header.layout.geometry;
        let width = geometry.resolution().width();
        (width * geometry.window(), width)
    }
}

/// The hits in a file as of one moment.
pub(crate) struct Look<'a> {
    book: Book<'a>,
    geometry: &'a Geometry,
    to: Tick,
    voids: &'a Voids,
}

impl<'a> Look<'a> {
    fn sum(&self, life: Life<'a>, span: Span) -> Reading {
        let rows = std::iter::once(life).chain(self.book.merged(life));
        rows.map(|life| self.voids.sum(life, self.geometry, span)).fold(Reading::NONE, Reading::plus)
    }
}

#[cfg(feature = "cli")]
impl<'a> Look<'a> {
    /// The endpoints with hits in the last `ticks`, in any order, with those hits that the file still has; and the hits of all in
    /// each of these ticks, oldest first.
    pub(crate) fn names_and_ticks(&self, ticks: u64) -> (Vec<(String, u64)>, Vec<u64>) {
        let (mut names, mut sums) = (Vec::new(), vec![0; usize::try_from(ticks).unwrap_or(0)]);
        let Some(span) = Span::ending(self.to, ticks) else { return (names, sums) };
        let before_tick_0 = sums.len() - span.len() as usize;
        for life in self.book.alive() {
            let count = self.sum(life, span).count;
            if count == 0 {
                continue;
            }
            names.extend(self.book.name_of(life).map(|name| (name, count)));
            // The slots are in the cache now.
            for life in std::iter::once(life).chain(self.book.merged(life)) {
                self.voids.add_to(life, self.geometry, span, &mut sums[before_tick_0..]);
            }
        }
        (names, sums)
    }

    /// The hits of `endpoint` in `columns` spans of `ticks` each, oldest first.
    pub(crate) fn history(&self, endpoint: &str, ticks: u64, columns: u64) -> Vec<u64> {
        let lives = self.book.sections.lives;
        let life = lives.names.find(hash(self.book.header.key, endpoint), endpoint).and_then(|name| lives.alive(name));
        let spans = self.spans(ticks, columns);
        spans.map(|span| life.zip(span).map_or(0, |(life, span)| self.sum(life, span).count)).collect()
    }

    /// The `columns` spans of `ticks` each up to now, oldest first; `None` for those before tick 0.
    fn spans(&self, ticks: u64, columns: u64) -> impl Iterator<Item = Option<Span>> {
        let to = self.to.0;
        (0..columns).rev().map(move |back| Span::ending(Tick(to.checked_sub(back * ticks)?), ticks))
    }

    /// The outcomes of all hits that the file received.
    pub(crate) fn outcomes(&self) -> Outcomes {
        self.book.sections.outcomes()
    }
}
