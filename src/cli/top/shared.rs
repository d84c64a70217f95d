//! The file of a shared registry, which processes count in meanwhile. It is only read.
//!
//! When another file takes the path, as `hitring compact` and a server that restores do it, that one is shown.
//!
//! Tests: `tests/top`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::source::{About, Counted, Source};
use crate::cli::escape::shown;
use crate::cli::failure::{Failure, told};
use crate::shared::{Inspection, Voids};
use crate::time::clock::SystemClock;
use crate::{Outcomes, Timestamp};

/// How the file of a shared registry begins.
const SIGNATURE: &[u8] = b"HITRINGF";

/// Whether `path` is the file of a shared registry.
pub(super) fn is_shared(path: &Path) -> bool {
    let mut signature = [0; SIGNATURE.len()];
    let is_file = std::fs::metadata(path).is_ok_and(|about| about.is_file());
    let file = if is_file { std::fs::File::open(path).ok() } else { None };
    file.is_some_and(|mut file| file.read_exact(&mut signature).is_ok()) && signature == SIGNATURE
}

pub(super) struct Shared {
    path: PathBuf,
    inspection: Inspection,
    now: Timestamp,
    note: Option<String>,
    outcomes: Outcomes,
    voids: Voids,
    /// The hits of all in each tick, oldest first.
    ticks: Vec<u64>,
}

impl Shared {
    pub(super) fn open(path: &Path) -> Result<Shared, Failure> {
        let inspection = Inspection::open(path).map_err(|error| Failure::of_shared(&error))?;
        let (now, outcomes) = (SystemClock.now(), Outcomes::default());
        Ok(Shared {
            path: path.to_owned(),
            inspection,
            now,
            note: None,
            outcomes,
            voids: Voids::default(),
            ticks: Vec::new(),
        })
    }

    fn ticks(&self, span: Duration) -> u64 {
        let width = self.resolution();
        u64::try_from(span.as_nanos() / width.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Source for Shared {
    fn title(&self) -> String {
        shown(self.path.as_os_str().as_encoded_bytes())
    }

    fn key(&self) -> &'static str {
        "endpoint"
    }

    fn window(&self) -> Duration {
        self.inspection.window_and_resolution().0
    }

    fn resolution(&self) -> Duration {
        self.inspection.window_and_resolution().1
    }

    fn refresh(&mut self, last: Duration) -> Result<Counted, Failure> {
        self.note = None;
        if !self.inspection.is_current() {
            match Inspection::open(&self.path) {
                Ok(another) => self.inspection = another,
                Err(error) => self.note = Some(format!("the file before it is shown: {}", told(&error))),
            }
        }
        self.now = SystemClock.now();
        let ticks = self.ticks(last.min(self.window()));
        self.voids = self.inspection.voids();
        let look = self.inspection.look(self.now, &self.voids);
        let (names, of_all) = look.names_and_ticks(ticks);
        self.ticks = of_all;
        self.outcomes = look.outcomes();
        match self.inspection.check_whole() {
            // It was cut just before another took its place, which the next refresh opens.
            Err(error) if self.inspection.is_current() => return Err(Failure::of_shared(&error)),
            _ => {}
        }
        Ok(Counted { all: names.iter().map(|(_, hits)| hits).sum(), names })
    }

    fn histories(&mut self, names: &[&str], width: Duration, columns: usize) -> Vec<Vec<u64>> {
        let (look, ticks) = (self.inspection.look(self.now, &self.voids), self.ticks(width));
        names.iter().map(|name| look.history(name, ticks, columns as u64)).collect()
    }

    fn history(&mut self, width: Duration, columns: usize) -> Vec<u64> {
        let width = usize::try_from(self.ticks(width)).unwrap_or(usize::MAX);
        let mut history: Vec<u64> = self.ticks.rchunks(width).take(columns).map(|ticks| ticks.iter().sum()).collect();
        history.resize(columns, 0);
        history.reverse();
        history
    }

    fn about(&mut self, _: Duration) -> About {
        let [_, late, future, saturated, refused] = self.outcomes.to_array();
        let facts = vec![("late", late), ("future", future), ("saturated", saturated), ("refused", refused)];
        let now = self.now.secs().cast_signed();
        About { now, statuses: None, facts, notes: self.note.iter().cloned().collect() }
    }
}
