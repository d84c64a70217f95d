//! Reads every input to its end and counts its lines.
//!
//! | an input | what becomes of it |
//! |---|---|
//! | empty | nothing is added |
//! | some lines parse | its hits are counted, the other lines are malformed |
//! | lines, and none parses, but those of another input do | all are malformed, and a note on stderr names the input |
//! | lines, and no line of any input parses | the run fails: unknown format |
//! | the same file again | it is left out, and a note on stderr says so |
//! | text, and gzip data behind it | the run fails at that line |
//! | has the signature of another format, and its first line does not parse | the run fails at that line |
//! | cannot be read to its end | the run fails |
//! | lines with a prefix or colour codes that are known (`src/cli/log/prefix.rs`) | they are taken off; the report says of how many lines |
//! | lines with something unknown in front of the client | a note on stderr; clients are not counted if it is most hits of an input |
//!
//! Tests: `tests/replay`.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io::Write;
use std::iter::Enumerate;
use std::slice;
use std::thread::{self, available_parallelism};

use indicatif::ProgressBar;

use super::tally::{Counted, Limits, Tally, Timed};
use crate::cli::escape::shown_start;
use crate::cli::failure::Failure;
use crate::cli::log;
use crate::cli::log::foreign::{Foreign, Likeness, looks_like};
use crate::cli::log::format::{Entries, Entry, Format};
use crate::cli::log::hit::{Doubt, Malformed};
use crate::cli::log::key::Key;
use crate::cli::log::lines::{Line, Lines, MAX_LINE};
use crate::cli::log::parts::PART;
use crate::cli::log::prefix::{Counts, Unwrapper};
use crate::cli::log::source::{Opened, Source, Sources, sources};
use crate::cli::progress;
use crate::sync::Mutex;

/// How much of a malformed line is shown, in characters.
const SHOWN: usize = 200;
/// How gzip data begins: its signature, and the only method there is.
const GZIP: &[u8] = b"\x1f\x8b\x08";
const TOO_LONG: &str = "longer than 16 MiB";
const _: () = assert!(MAX_LINE == 16 << 20);

/// What all inputs together hold.
pub(super) struct Read {
    pub(super) lines: u64,
    pub(super) malformed: u64,
    /// In how many lines each kind of prefix was taken off.
    pub(super) stripped: Counts,
    /// Lines that name columns, or say something else about the log.
    pub(super) headers: u64,
    /// Whether what was counted as clients are clients.
    pub(super) clients_are_known: bool,
    pub(super) counted: Counted,
}

/// How inputs are read.
pub(super) struct Options {
    /// Print every malformed line on stderr.
    pub(super) show_malformed: bool,
    pub(super) entries: log::format::Reading,
    pub(super) key: Key,
    pub(super) without_query: bool,
    pub(super) timed: Timed,
}

/// How many threads read at most. Each has a tally of its own, with limits of its own, until the end.
const MOST_THREADS: usize = 8;

/// Reads the inputs: files and parts of large files side by side, as many as there are processors.
pub(super) fn read(files: Vec<OsString>, options: &Options) -> Result<Read, Failure> {
    let Sources { sources, total, left_out: notes } = sources(files)?;
    let bar = progress::bar(total);
    // A pipe may never end, and malformed lines are shown in their order.
    let one_by_one = total.is_none() || options.show_malformed;
    let processors = available_parallelism().map_or(1, usize::from);
    let parts = total.map_or(0, |total| usize::try_from(total / PART).unwrap_or(usize::MAX));
    let most = processors.min(MOST_THREADS).min(sources.len().saturating_add(parts));
    let threads = if one_by_one { 1 } else { most.max(1) };
    let left =
        Mutex::new(Left { options, bar: &bar, threads, sources: sources.iter().enumerate(), parts: VecDeque::new() });
    let outcomes: Vec<Result<Reading<'_>, (usize, Failure)>> = thread::scope(|scope| {
        let readers: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| Reading::new(options, bar.clone()).read_all(&left))).collect();
        readers.into_iter().map(|reader| reader.join().expect("reading does not panic")).collect()
    });
    bar.finish_and_clear();
    let mut all: Option<Reading<'_>> = None;
    let mut first_failure: Option<(usize, Failure)> = None;
    for outcome in outcomes {
        match (outcome, &mut all) {
            (Ok(reading), None) => all = Some(reading),
            (Ok(reading), Some(all)) => all.merge(reading),
            (Err(failure), _) => match &first_failure {
                Some((place, _)) if *place < failure.0 => {}
                _ => first_failure = Some(failure),
            },
        }
    }
    if let Some((_, failure)) = first_failure {
        return Err(failure);
    }
    let mut reading = all.expect("there is a thread");
    reading.without_hits.sort_by_key(|input| input.place);
    let has_hits = reading.lines > reading.malformed + reading.headers;
    if let (false, Some(first)) = (has_hits, reading.without_hits.first()) {
        return Err(first.failure());
    }
    let without_hits = reading.without_hits.iter().map(WithoutHits::note);
    for note in notes.into_iter().chain(without_hits).chain(reading.hits.values().filter_map(Hits::note)) {
        self::note(&note);
    }
    Ok(Read {
        lines: reading.lines,
        malformed: reading.malformed,
        stripped: reading.unwrapper.counts,
        headers: reading.headers,
        clients_are_known: !reading.hits.values().any(Hits::are_most_doubtful),
        counted: reading.tally.finish(),
    })
}

/// Tells something on stderr. A closed one does not end the counting.
pub(super) fn note(what: &str) {
    let _ = std::io::stderr().lock().write_all(format!("hitring: note: {what}\n").as_bytes());
}

/// What no thread reads yet.
struct Left<'s> {
    options: &'s Options,
    bar: &'s ProgressBar,
    threads: usize,
    sources: Enumerate<slice::Iter<'s, Source>>,
    /// Of the input that was opened last.
    parts: VecDeque<Piece<'s>>,
}

/// An input, or a part of one.
struct Piece<'s> {
    /// That of the input among all.
    place: usize,
    source: &'s Source,
    opened: Opened,
}

impl<'s> Left<'s> {
    /// Opens what is to be read next. A failure has its input's place.
    fn next(&mut self) -> Result<Option<Piece<'s>>, (usize, Failure)> {
        if let Some(piece) = self.parts.pop_front() {
            return Ok(Some(piece));
        }
        let Some((place, source)) = self.sources.next() else { return Ok(None) };
        let format = |head: &[u8]| {
            let is_read_by_many = self.threads > 1;
            is_read_by_many.then(|| self.options.entries.format_without_state(head)).flatten()
        };
        let opened = source.open(self.bar, format).map_err(|failure| (place, failure))?;
        self.parts.extend(opened.into_iter().map(|opened| Piece { place, source, opened }));
        Ok(self.parts.pop_front())
    }

    fn clear(&mut self) {
        self.sources.by_ref().for_each(drop);
        self.parts.clear();
    }
}

/// What one thread has read.
struct Reading<'o> {
    options: &'o Options,
    tally: Tally,
    unwrapper: Unwrapper,
    lines: u64,
    malformed: u64,
    headers: u64,
    without_hits: Vec<WithoutHits>,
    /// By the place of the input.
    hits: BTreeMap<usize, Hits>,
    bar: ProgressBar,
}

/// The hits of an input.
struct Hits {
    name: String,
    all: u64,
    /// Hits with something unknown in front of the client.
    with_more_in_front: u64,
    without_client: u64,
}

impl Hits {
    fn new(name: String) -> Hits {
        Hits { name, all: 0, with_more_in_front: 0, without_client: 0 }
    }

    fn add(&mut self, other: &Hits) {
        self.all += other.all;
        self.with_more_in_front += other.with_more_in_front;
        self.without_client += other.without_client;
    }

    /// Whether most hits may be counted under a text that is not a client.
    fn are_most_doubtful(&self) -> bool {
        self.with_more_in_front + self.without_client > self.all / 2
    }

    fn note(&self) -> Option<String> {
        let Hits { name, with_more_in_front, without_client, all: hits } = self;
        if with_more_in_front + without_client == 0 {
            return None;
        }
        if without_client > with_more_in_front {
            let then =
                if self.are_most_doubtful() { "so clients are not counted" } else { "which count as one client" };
            let cure = "name the field with --field client=NAME if there is one";
            return Some(format!("{name}: no client is known in {without_client} of {hits} hits, {then}; {cure}"));
        }
        let then = if self.are_most_doubtful() {
            "so clients are not counted"
        } else {
            "so the first word of these lines was counted as the client"
        };
        Some(format!(
            "{name}: something unknown stands in front of the client in {with_more_in_front} of {hits} hits, {then}; \
             remove it and run again"
        ))
    }
}

/// An input that has lines, of which none is a hit.
struct WithoutHits {
    place: usize,
    name: String,
    /// As in "unknown format: ...".
    why: String,
}

impl WithoutHits {
    fn new(
        place: usize,
        source: &Source,
        lines: u64,
        head: &[u8],
        format: Option<Format>,
        reason: &str,
    ) -> WithoutHits {
        let lines =
            if lines == 1 { "its only line is not".to_owned() } else { format!("none of its {lines} lines is") };
        let why = match format {
            Some(format) => format!("{lines} a hit in the format {}: {reason}", format.name()),
            None => match looks_like(head) {
                Some(Likeness { what, cure: "" }) => {
                    format!("unknown format (it looks like {what}): {lines} a hit: {reason}")
                }
                Some(Likeness { what, cure }) => {
                    format!("unknown format (it looks like {what}): {lines} a hit; {cure}")
                }
                None => format!("unknown format: {lines} a hit in any format that is read"),
            },
        };
        WithoutHits { place, name: source.name(), why }
    }

    fn failure(&self) -> Failure {
        let WithoutHits { name, why, .. } = self;
        Failure::Message(format!("{name}: {why}; see the reasons with --show-malformed, and the formats with --help"))
    }

    fn note(&self) -> String {
        format!("{} adds no hits: {}; see the reasons with --show-malformed", self.name, self.why)
    }
}

impl<'o> Reading<'o> {
    fn new(options: &'o Options, bar: ProgressBar) -> Reading<'o> {
        Reading {
            options,
            tally: Tally::new(Limits::DEFAULT, options.timed.clone()),
            unwrapper: Unwrapper::default(),
            lines: 0,
            malformed: 0,
            headers: 0,
            without_hits: Vec::new(),
            hits: BTreeMap::new(),
            bar,
        }
    }

    /// Reads one input or part after the other, until none is left. A failure leaves none for others, and has its input's
    /// place.
    fn read_all(mut self, left: &Mutex<Left<'_>>) -> Result<Self, (usize, Failure)> {
        loop {
            let next = left.lock().next();
            let read = next.and_then(|next| {
                let Some(piece) = next else { return Ok(false) };
                let place = piece.place;
                self.read(piece).map(|()| true).map_err(|failure| (place, failure))
            });
            match read {
                Ok(true) => {}
                Ok(false) => return Ok(self),
                Err(failure) => {
                    left.lock().clear();
                    return Err(failure);
                }
            }
        }
    }

    fn merge(&mut self, other: Reading<'_>) {
        self.tally.merge(other.tally);
        for (count, more) in self.unwrapper.counts.iter_mut().zip(other.unwrapper.counts) {
            *count += more;
        }
        self.lines += other.lines;
        self.malformed += other.malformed;
        self.headers += other.headers;
        self.without_hits.extend(other.without_hits);
        for (place, hits) in other.hits {
            self.hits.entry(place).or_insert_with(|| Hits::new(hits.name.clone())).add(&hits);
        }
    }

    fn read(&mut self, Piece { place, source, opened }: Piece<'_>) -> Result<(), Failure> {
        if let Some(foreign) = opened.foreign.filter(|foreign| foreign.is_certain()) {
            return Err(refused(source, foreign));
        }
        let mut lines = Lines::new(opened.bytes);
        let (mut count, mut malformed, mut headers) = (0_u64, 0_u64, 0_u64);
        let mut hits = Hits::new(source.name());
        let mut first_reason = None;
        let mut entries = Entries::new(&self.options.entries, opened.format);
        while let Some(line) = lines.next().map_err(|error| source.read_failure(opened.compressed, &error))? {
            count += 1;
            let (start, reason) = match line {
                Line::Whole(line) => match entries.read(self.unwrapper.unwrap(line)) {
                    Ok(Entry::Header) => {
                        headers += 1;
                        continue;
                    }
                    Ok(Entry::Hit(hit)) => {
                        match hit.doubt {
                            None => {}
                            Some(Doubt::SomethingInFront) => hits.with_more_in_front += 1,
                            Some(Doubt::NoClient) => hits.without_client += 1,
                        }
                        let key = self.options.key.of(&hit, self.options.without_query);
                        self.tally.add(&key, &hit);
                        continue;
                    }
                    Err(why) => (line, why.reason()),
                },
                Line::TooLong(start) => (start, TOO_LONG),
            };
            malformed += 1;
            if !start.is_empty() {
                first_reason.get_or_insert(reason);
            }
            if let (1, Some(foreign)) = (count, opened.foreign) {
                return Err(refused(source, foreign));
            }
            if start.starts_with(GZIP) {
                let before =
                    opened.before.map_or(Ok(0), lines_of).map_err(|error| source.read_failure(false, &error))?;
                return Err(source.failure(&format!(
                    "gzip data begins in line {}, behind text; give the text and the gzip data as files of their own",
                    before + count
                )));
            }
            if self.options.show_malformed {
                self.show(&source.name(), count, reason, start);
            }
        }
        hits.all = count - malformed - headers;
        // An input that was cut has hits.
        if malformed > 0 && hits.all == 0 && opened.before.is_none() {
            let format = entries.format();
            let reason = first_reason.unwrap_or(Malformed::Empty.reason());
            self.without_hits.push(WithoutHits::new(place, source, count, &opened.head, format, reason));
        }
        self.hits.entry(place).or_insert_with(|| Hits::new(source.name())).add(&hits);
        self.lines += count;
        self.headers += headers;
        self.malformed += malformed;
        Ok(())
    }

    /// Prints a malformed line on stderr, above the bar. A closed stderr does not end the counting.
    fn show(&self, name: &str, number: u64, reason: &str, line: &[u8]) {
        let colon = if line.is_empty() { "" } else { ": " };
        let text = format!("{name}:{number}: {reason}{colon}{}\n", shown_start(line, SHOWN));
        self.bar.suspend(|| {
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
        });
    }
}

/// How many lines there are.
fn lines_of(input: impl std::io::Read) -> std::io::Result<u64> {
    let (mut lines, mut count) = (Lines::new(input), 0);
    while lines.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

fn refused(source: &Source, foreign: &Foreign) -> Failure {
    let cure = foreign.cure(&source.argument());
    source.failure(&format!("is {}; {cure}", foreign.what))
}
