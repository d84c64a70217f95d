//! Logs, counted as their lines are read: a thread reads each of them and records every hit in counters of this crate.
//!
//! A log has its own time. Its newest hit may be seconds old because the server buffers its lines, or years old because the
//! log is. So hits are counted up to the system's clock less the least age that a hit had when it was read. This moment is
//! never before the newest hit, and advances even when lines do not come. A hit more than [`AHEAD`] ahead of the system's
//! clock is not counted and does not move this moment, because one wrong clock would otherwise make all other hits late.
//!
//! Memory is bounded: [`MOST_NAMES`] names at most, and a ring per name. A new name replaces the idlest one.
//!
//! Tests: below, `tests/top`.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::follow::{Follow, Progress};
use super::source::{About, Counted, STATUSES, Source};
use crate::cli::escape::{shown, shown_start};
use crate::cli::failure::{Failure, in_words};
use crate::cli::log::foreign::{Foreign, LOOKED_AT};
use crate::cli::log::format::{Entries, Entry, Reading};
use crate::cli::log::hit::Hit;
use crate::cli::log::key::Key;
use crate::cli::log::lines::{Line, Lines};
use crate::cli::log::prefix::Unwrapper;
use crate::sync::{AtomicU64, Ordering};
use crate::time::clock::SystemClock;
use crate::{HitCounter, Outcome, Registry, Strategy, Timestamp, WhenFull};

/// Seconds by which a hit may be ahead of the system's clock.
const AHEAD: i64 = 60;
const MOST_NAMES: usize = 20_000;
/// Bytes of a name, less than a registry takes.
const LONGEST_NAME: usize = 1_000;
/// How much of the end of a large log is read before what is written from then on, in bytes.
const TAIL: u64 = 64 << 20;
/// How much of a log is looked at to tell its format.
const HEAD: u64 = 64 << 10;

/// How lines become hits, and hits names.
pub(super) struct Rules {
    pub(super) reading: Reading,
    pub(super) key: Key,
    pub(super) without_query: bool,
}

/// The counters that threads record in.
struct Counters {
    rules: Rules,
    names: Registry,
    all: HitCounter,
    statuses: [HitCounter; STATUSES.len()],
    /// Hits with status 429.
    limited: AtomicU64,
    lines: AtomicU64,
    malformed: AtomicU64,
    late: AtomicU64,
    ahead: AtomicU64,
    /// The least age of a hit when it was read, in seconds.
    age: AtomicU64,
    /// The time of the newest hit, in unix seconds.
    newest: AtomicU64,
}

impl Counters {
    fn new(rules: Rules, window: Duration, resolution: Duration) -> Result<Counters, Failure> {
        let counter = || {
            let counter = HitCounter::builder().window(window).resolution(resolution).strategy(Strategy::Ring).build();
            counter.map_err(|error| Failure::Message(error.to_string()))
        };
        let names = Registry::builder()
            .window(window)
            .resolution(resolution)
            .strategy(Strategy::Adaptive)
            .max_endpoints(MOST_NAMES)
            .when_full(WhenFull::Prune)
            .build();
        let [a, b, c, d, e, f] = [(); STATUSES.len()].map(|()| counter());
        Ok(Counters {
            rules,
            names: names.map_err(|error| Failure::Message(error.to_string()))?,
            all: counter()?,
            statuses: [a?, b?, c?, d?, e?, f?],
            limited: AtomicU64::new(0),
            lines: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
            late: AtomicU64::new(0),
            ahead: AtomicU64::new(0),
            age: AtomicU64::new(u64::MAX),
            newest: AtomicU64::new(0),
        })
    }

    /// Records every hit of `input`, until it ends.
    fn read(&self, input: impl Read, drop_first: bool) -> io::Result<()> {
        let (mut lines, mut entries) = (Lines::new(input), Entries::new(&self.rules.reading, None));
        let mut unwrapper = Unwrapper::default();
        if drop_first {
            lines.next()?;
        }
        while let Some(line) = lines.next()? {
            let entry = match line {
                Line::Whole(line) => entries.read(unwrapper.unwrap(line)).ok(),
                Line::TooLong(_) => None,
            };
            match entry {
                Some(Entry::Hit(hit)) => self.record(&hit, SystemClock.now()),
                Some(Entry::Header) => {}
                None => _ = self.malformed.fetch_add(1, Ordering::Relaxed),
            }
            // After its hit, so that a reader that sees the line here finds the hit in the counters.
            self.lines.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }

    fn record(&self, hit: &Hit<'_>, now: Timestamp) {
        let now = now.secs().cast_signed();
        let age = now.saturating_sub(hit.time);
        if age < -AHEAD {
            self.ahead.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let Some(at) = u64::try_from(hit.time).ok().and_then(|time| Timestamp::new(time, 0).ok()) else {
            self.late.fetch_add(1, Ordering::Relaxed);
            return;
        };
        // A hit that is a little ahead is as old as one of now.
        self.age.fetch_min(age.max(0).unsigned_abs(), Ordering::Relaxed);
        self.newest.fetch_max(at.secs(), Ordering::Relaxed);
        if self.all.record_at(at, 1) != Outcome::Counted {
            self.late.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let class = match hit.status.first() {
            Some(digit @ b'1'..=b'5') if hit.status.len() == 3 => usize::from(digit - b'1'),
            _ => STATUSES.len() - 1,
        };
        let _ = self.statuses[class].record_at(at, 1);
        if *hit.status == *b"429" {
            self.limited.fetch_add(1, Ordering::Relaxed);
        }
        let key = self.rules.key.of(hit, self.rules.without_query);
        // A name has 1 byte at least and is short enough, so it is counted unless it is late.
        let _ = self.names.record_hit_at(&name(&key), at, 1);
    }

    /// The time of the log, in unix seconds.
    fn now(&self) -> u64 {
        let age = self.age.load(Ordering::Relaxed);
        let clock = SystemClock.now().secs();
        // The age is not known before the first hit.
        if age == u64::MAX { clock } else { clock.saturating_sub(age).max(self.newest.load(Ordering::Relaxed)) }
    }
}

/// A key as a name of an endpoint, safe on a terminal.
fn name(key: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(key) {
        Ok("") => "(empty)".into(),
        Ok(text)
            if text.len() <= LONGEST_NAME && text.bytes().all(|byte| matches!(byte, b' '..=b'[' | b']'..=b'~')) =>
        {
            text.into()
        }
        _ => {
            // A character has up to four bytes.
            let text = shown(key);
            if text.len() <= LONGEST_NAME { text.into() } else { shown_start(key, LONGEST_NAME / 4 - 1).into() }
        }
    }
}

/// A thread that reads a log.
struct Reader {
    name: String,
    progress: Arc<Progress>,
    thread: Option<JoinHandle<()>>,
}

/// Logs that are read, by a thread each.
pub(super) struct Logs {
    title: String,
    counters: Arc<Counters>,
    readers: Vec<Reader>,
    /// Whether reading ends where the logs end.
    once: bool,
    /// As of the last refresh.
    now: Timestamp,
    facts: Vec<(&'static str, u64)>,
}

impl Logs {
    /// Begins to read `inputs`, of which `-` is stdin. With `once`, it returns when all were read to their ends.
    pub(super) fn open(
        inputs: &[std::ffi::OsString],
        rules: Rules,
        window: Duration,
        resolution: Duration,
        once: bool,
    ) -> Result<Logs, Failure> {
        let counters = Arc::new(Counters::new(rules, window, resolution)?);
        let opened: Vec<Input> =
            inputs.iter().map(|input| Input::open(input, &counters.rules.reading, !once)).collect::<Result<_, _>>()?;
        let title = match &opened[..] {
            [only] => only.name.clone(),
            several => format!("{} logs", several.len()),
        };
        let mut readers = Vec::new();
        for Input { name, bytes, starts_within, progress } in opened {
            let (counters, told) = (Arc::clone(&counters), Arc::clone(&progress));
            let thread = thread::spawn(move || {
                if let Err(error) = counters.read(bytes, starts_within) {
                    told.tell(Some(format!("reading failed: {}", in_words(&error))));
                }
            });
            readers.push(Reader { name, progress, thread: Some(thread) });
        }
        if once {
            let threads = readers.iter_mut().filter_map(|reader| reader.thread.take());
            threads.for_each(|thread| thread.join().expect("reading does not panic"));
        }
        Ok(Logs { title, counters, readers, once, now: Timestamp::default(), facts: Vec::new() })
    }

    /// When `columns` spans of `width` each end, oldest first.
    fn ends(&self, width: Duration, columns: usize) -> impl Iterator<Item = Timestamp> {
        let now = self.now.as_duration();
        let ago = move |back: usize| width * u32::try_from(back).unwrap_or(u32::MAX);
        (0..columns).rev().map(move |back| Timestamp::from_duration(now.saturating_sub(ago(back))).unwrap_or_default())
    }

    fn count(&self, counter: &HitCounter, last: Duration) -> u64 {
        counter.count_at(self.now, last).unwrap_or(0)
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.readers.iter().for_each(|reader| reader.progress.end());
    }
}

impl Source for Logs {
    fn title(&self) -> String {
        self.title.clone()
    }

    fn key(&self) -> &'static str {
        self.counters.rules.key.name()
    }

    /// A name is made so that it can be shown.
    fn label(&self, name: &str) -> String {
        name.to_owned()
    }

    fn is_over(&self) -> bool {
        self.readers.iter().all(|reader| reader.thread.as_ref().is_none_or(JoinHandle::is_finished))
    }

    fn window(&self) -> Duration {
        self.counters.names.window()
    }

    fn resolution(&self) -> Duration {
        self.counters.names.resolution()
    }

    fn refresh(&mut self, last: Duration) -> Result<Counted, Failure> {
        let Counters { lines, malformed, late, ahead, limited, .. } = &*self.counters;
        let facts =
            [("lines", lines), ("malformed", malformed), ("late", late), ("ahead", ahead), ("limited", limited)];
        // Read before the hits are counted, so that each line in these numbers has its hit in the counts.
        self.facts = facts.map(|(what, number)| (what, number.load(Ordering::Acquire))).to_vec();
        // A log that is shown once is shown as of its last hit.
        let newest = self.counters.newest.load(Ordering::Relaxed);
        let now = if self.once && newest > 0 { newest } else { self.counters.now() };
        self.now = Timestamp::new(now, 0).unwrap_or(Timestamp::MAX);
        let top = self.counters.names.top_at(MOST_NAMES, self.now, last).unwrap_or_default();
        let names = top.into_iter().map(|(name, hits)| (name, hits.count)).collect();
        Ok(Counted { all: self.count(&self.counters.all, last), names })
    }

    fn histories(&mut self, names: &[&str], width: Duration, columns: usize) -> Vec<Vec<u64>> {
        let registry = &self.counters.names;
        let hits = |name: &str, at| registry.query_hits_at(name, at, width).map_or(0, |hits| hits.count);
        names.iter().map(|name| self.ends(width, columns).map(|at| hits(name, at)).collect()).collect()
    }

    fn history(&mut self, width: Duration, columns: usize) -> Vec<u64> {
        let all = &self.counters.all;
        self.ends(width, columns).map(|at| all.count_at(at, width).unwrap_or(0)).collect()
    }

    fn about(&mut self, last: Duration) -> About {
        let statuses = &self.counters.statuses;
        let several = self.readers.len() > 1;
        let named = |name: &str, note: &str| if several { format!("{name}: {note}") } else { note.to_owned() };
        let notes = self.readers.iter().filter_map(|Reader { name, progress, thread }| match progress.note() {
            Some(note) => Some(named(name, &note)),
            None if thread.as_ref().is_some_and(JoinHandle::is_finished) => Some(named(name, "the input has ended")),
            None => None,
        });
        About {
            now: self.now.secs().cast_signed(),
            statuses: Some(std::array::from_fn(|class| self.count(&statuses[class], last))),
            facts: self.facts.clone(),
            notes: notes.collect(),
        }
    }
}

/// A log that is open.
struct Input {
    name: String,
    bytes: Box<dyn Read + Send>,
    /// Whether it starts within a line.
    starts_within: bool,
    progress: Arc<Progress>,
}

impl Input {
    fn open(input: &std::ffi::OsStr, reading: &Reading, waits: bool) -> Result<Input, Failure> {
        let progress = Progress::new();
        let is_terminal = |name: &str| {
            // Keys are read from there.
            Failure::Message(format!(
                "{name}: is a terminal; pipe a log into the program, as in: tail -f a.log | hitring top -"
            ))
        };
        if input == "-" {
            if io::stdin().is_terminal() {
                return Err(is_terminal("stdin"));
            }
            let bytes = Box::new(io::stdin());
            return Ok(Input { name: "stdin".to_owned(), bytes, starts_within: false, progress });
        }
        let name = shown(input.as_encoded_bytes());
        let failed = |error: io::Error| Failure::Message(format!("{name}: {}", in_words(&error)));
        let path = Path::new(input);
        let about = std::fs::metadata(path).map_err(failed)?;
        if about.is_dir() {
            return Err(Failure::Message(format!("{name}: is a folder; name the logs in it")));
        }
        let mut file = File::open(path).map_err(failed)?;
        if file.is_terminal() {
            return Err(is_terminal(&name));
        }
        if !about.is_file() {
            return Ok(Input { name, bytes: Box::new(file), starts_within: false, progress });
        }
        let mut head = Vec::new();
        file.by_ref().take(HEAD).read_to_end(&mut head).map_err(failed)?;
        if let Some(foreign) = Foreign::recognise(&head[..head.len().min(LOOKED_AT)]).filter(|kind| kind.is_certain()) {
            return Err(Failure::Message(format!("{name}: is {}; {}", foreign.what, foreign.cure(&name))));
        }
        if head.starts_with(b"\x1f\x8b") {
            let cure = "count what it holds with: hitring replay";
            return Err(Failure::Message(format!("{name}: is gzip data, which does not grow; {cure} {name}")));
        }
        // Where entries need the names of columns, the whole log is read, because the beginning has these.
        let can_start_late = reading.format_without_state(&head).is_some();
        let start = if can_start_late { about.len().saturating_sub(TAIL) } else { 0 };
        let bytes = Follow::new(path.to_owned(), file, start, waits, Arc::clone(&progress)).map_err(failed)?;
        Ok(Input { name, bytes: Box::new(bytes), starts_within: start > 0, progress })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::log::hit::NONE;

    fn counters() -> Counters {
        let reading = Reading::new(None, None, &[], |_| true);
        let rules = Rules { reading, key: Key::Path, without_query: false };
        Counters::new(rules, Duration::from_secs(300), Duration::from_secs(1)).expect("a window")
    }

    fn record(counters: &Counters, time: i64, now: u64) {
        let status = (&b"200"[..]).into();
        let path = (&b"/"[..]).into();
        let hit = Hit { time, client: NONE, doubt: None, path, route: None, status, host: NONE };
        counters.record(&hit, Timestamp::new(now, 0).expect("a time"));
    }

    #[test]
    fn hits_far_ahead_move_nothing() {
        let counters = counters();
        record(&counters, 1_000, 1_010);
        record(&counters, 1_010 + AHEAD + 1, 1_010);
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        assert_eq!((read(&counters.ahead), read(&counters.newest), read(&counters.age)), (1, 1_000, 10));
        record(&counters, 1_010 + AHEAD, 1_010);
        assert_eq!((read(&counters.ahead), read(&counters.newest), read(&counters.age)), (1, 1_070, 0));
        record(&counters, 1_070 - 320, 1_010);
        record(&counters, 1_070 - 319, 1_010);
        record(&counters, -5, 1_010);
        assert_eq!(read(&counters.late), 2, "in the slack a hit is taken");
        let at = Timestamp::new(1_070, 0).expect("a time");
        assert_eq!(counters.all.count_at(at, Duration::from_secs(300)), Ok(2));
    }

    #[test]
    fn names_fit_into_a_registry() {
        assert_eq!(
            (name(b""), name(b"/a?b=c"), name(b"/\x1b[2J\xff")),
            ("(empty)".into(), "/a?b=c".into(), "/\\x1b[2J\\xff".into())
        );
        for byte in [b'x', 0xff] {
            let long = vec![byte; 5_000];
            assert!(name(&long).len() <= LONGEST_NAME && name(&long).ends_with('…'), "{byte}");
        }
        let exact = "x".repeat(LONGEST_NAME);
        assert_eq!(name(exact.as_bytes()), exact);
        let wide = "\u{1f600}".repeat(251);
        assert!(name(wide.as_bytes()).len() <= LONGEST_NAME);
    }
}
