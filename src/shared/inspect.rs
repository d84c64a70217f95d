//! Looking at a file from outside: what it was made for, what it holds, whether it fits together. Nothing is written.
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
use super::metrics::{SharedRoom, room_of};
use crate::cell::hits::Hits;
use crate::cell::outcome::Outcomes;
use crate::error::SharedError;
use crate::sync::Ordering;
use crate::time::Timestamp;
use crate::time::clock::SystemClock;
use crate::window::Span;

/// A file that is looked at, also while others count in it.
#[derive(Debug)]
pub struct Inspection {
    file: RingFile,
    header: Header,
    is_copy: bool,
}

/// What a file says of itself.
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
    /// Whether it was made elsewhere, or on another boot: whoever opens it for writing begins a new writer.
    pub is_copy: bool,
    /// What is used of it.
    pub room: SharedRoom,
    /// Endpoints there are.
    pub endpoints: u64,
    /// Registries that were merged into it, and those it was made from.
    pub merged: u64,
    /// What became of all hits that were brought to it.
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
        let (book, layout) = (self.book(), &self.header.layout);
        let geometry = &layout.geometry;
        let resolution = geometry.resolution();
        let to = resolution.tick(now.unwrap_or_else(|| SystemClock.now()));
        let span = Span::ending(to, geometry.window().into());
        let parts = crate::sketch::uniques::Parts::new(geometry, layout.precision);
        let voids = book.voids();
        let line = |life: Life<'_>| {
            let known = span.is_none_or(|span| span.first.0 >= life.known().load(Ordering::Relaxed));
            let rows = std::iter::once(life).chain(book.merged(life));
            let reading = rows
                .filter_map(|life| span.map(|span| voids.sum(life, geometry, span)))
                .fold(crate::window::Reading::NONE, crate::window::Reading::plus);
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

    fn check_whole(&self) -> Result<(), SharedError> {
        if !self.file.is_lost() {
            return Ok(());
        }
        let bytes = self.file.file().metadata().map_or(0, |data| data.len());
        let wanted = self.header.layout.words as u64 * 8;
        Err(SharedError::Truncated { path: self.file.path().into(), bytes, wanted })
    }

    /// What does not fit together, in the words of whoever runs it; nothing if all does. What a killed process may leave behind
    /// is no fault. Beside others that count, an endpoint that is just being made may look like one: what is broken is found again.
    ///
    /// # Errors
    /// [`SharedError::Truncated`] if it was cut while it was looked at.
    pub fn faults(&self) -> Result<Vec<String>, SharedError> {
        let faults = check::faults(self.book(), self.is_copy, || ());
        self.check_whole()?;
        Ok(faults)
    }
}
