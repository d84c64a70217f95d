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
//! | lines with a prefix or colour codes that are known (`prefix.rs`) | they are taken off; the report says of how many lines |
//! | lines with something unknown in front of the client | a note on stderr; clients are not counted if it is most hits of an input |
//!
//! Tests: `tests/replay`.

use std::ffi::OsString;
use std::io::Write;

use indicatif::ProgressBar;

use super::names::TooManyNames;
use super::tally::{Counted, Tally};
use crate::cli::escape::shown_start;
use crate::cli::failure::Failure;
use crate::cli::log::clf;
use crate::cli::log::client::Client;
use crate::cli::log::foreign::{Foreign, looks_like};
use crate::cli::log::lines::{Line, Lines, MAX_LINE};
use crate::cli::log::prefix::{Counts, Unwrapper};
use crate::cli::log::source::{Source, Sources, sources};
use crate::cli::progress;

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
    /// Whether what was counted as clients are clients.
    pub(super) clients_are_known: bool,
    pub(super) counted: Counted,
}

/// How inputs are read.
pub(super) struct Options {
    /// Print every malformed line on stderr.
    pub(super) show_malformed: bool,
    pub(super) client: Client,
}

/// Reads the inputs.
pub(super) fn read(files: Vec<OsString>, options: Options) -> Result<Read, Failure> {
    let Sources { sources, total, left_out: notes } = sources(files)?;
    let mut reading = Reading {
        options,
        tally: Tally::new(),
        unwrapper: Unwrapper::default(),
        lines: 0,
        malformed: 0,
        without_hits: Vec::new(),
        unsure: Vec::new(),
        bar: progress::bar(total),
    };
    let outcome = sources.iter().try_for_each(|source| reading.read(source));
    reading.bar.finish_and_clear();
    outcome?;
    let has_hits = reading.lines > reading.malformed;
    if let (false, Some(first)) = (has_hits, reading.without_hits.first()) {
        return Err(first.failure());
    }
    let without_hits = reading.without_hits.iter().map(WithoutHits::note);
    for note in notes.into_iter().chain(without_hits).chain(reading.unsure.iter().map(Unsure::note)) {
        // A closed stderr does not end the counting.
        let _ = std::io::stderr().lock().write_all(format!("hitring: note: {note}\n").as_bytes());
    }
    Ok(Read {
        lines: reading.lines,
        malformed: reading.malformed,
        stripped: reading.unwrapper.counts,
        clients_are_known: !reading.unsure.iter().any(Unsure::is_most),
        counted: reading.tally.finish(),
    })
}

struct Reading {
    options: Options,
    tally: Tally,
    unwrapper: Unwrapper,
    lines: u64,
    malformed: u64,
    without_hits: Vec<WithoutHits>,
    unsure: Vec<Unsure>,
    bar: ProgressBar,
}

/// An input that has hits whose client may be another word than the one that was taken.
struct Unsure {
    name: String,
    unsure: u64,
    hits: u64,
}

impl Unsure {
    fn is_most(&self) -> bool {
        self.unsure > self.hits / 2
    }

    fn note(&self) -> String {
        let Unsure { name, unsure, hits } = self;
        let then =
            if self.is_most() { "so clients are not counted" } else { "and its first word counts as the client" };
        format!(
            "{name}: something unknown stands in front of the client in {unsure} of {hits} hits, {then}; cut it off first"
        )
    }
}

/// An input that has lines, of which none is a hit.
struct WithoutHits {
    name: String,
    /// As in "unknown format: ...".
    why: String,
}

impl WithoutHits {
    fn new(source: &Source, lines: u64, head: &[u8]) -> WithoutHits {
        let likeness = looks_like(head).map(|what| format!(" (it looks like {what})")).unwrap_or_default();
        let lines =
            if lines == 1 { "its only line is not".to_owned() } else { format!("none of its {lines} lines is") };
        WithoutHits {
            name: source.name(),
            why: format!("unknown format{likeness}: {lines} in common or combined log format"),
        }
    }

    fn failure(&self) -> Failure {
        let WithoutHits { name, why } = self;
        Failure::Message(format!(
            "{name}: {why}; give an access log in one of these, or see the reasons with --show-malformed"
        ))
    }

    fn note(&self) -> String {
        format!("{}: {}, so it adds no hits; see the reasons with --show-malformed", self.name, self.why)
    }
}

impl Reading {
    fn read(&mut self, source: &Source) -> Result<(), Failure> {
        let opened = source.open(&self.bar)?;
        if let Some(foreign) = opened.foreign.filter(|foreign| foreign.is_certain()) {
            return Err(refused(source, foreign));
        }
        let mut lines = Lines::new(opened.bytes);
        let (mut count, mut malformed, mut unsure) = (0_u64, 0_u64, 0_u64);
        while let Some(line) = lines.next().map_err(|error| source.read_failure(opened.compressed, &error))? {
            count += 1;
            let (start, reason) = match line {
                Line::Whole(line) => match clf::parse(self.unwrapper.unwrap(line), self.options.client) {
                    Ok(hit) => {
                        unsure += u64::from(!hit.client_is_sure);
                        self.tally.add(&hit).map_err(|TooManyNames| {
                            source.failure(
                                "more than 4,294,967,296 different paths, clients or seconds; give fewer files",
                            )
                        })?;
                        continue;
                    }
                    Err(why) => (line, why.reason()),
                },
                Line::TooLong(start) => (start, TOO_LONG),
            };
            malformed += 1;
            if let (1, Some(foreign)) = (count, opened.foreign) {
                return Err(refused(source, foreign));
            }
            if start.starts_with(GZIP) {
                return Err(source.failure(&format!(
                    "gzip data begins in line {count}, behind text; give the text and the gzip data as files of their own"
                )));
            }
            if self.options.show_malformed {
                self.show(&source.name(), count, reason, start);
            }
        }
        if count > 0 && malformed == count {
            self.without_hits.push(WithoutHits::new(source, count, &opened.head));
        }
        if unsure > 0 {
            self.unsure.push(Unsure { name: source.name(), unsure, hits: count - malformed });
        }
        self.lines += count;
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

fn refused(source: &Source, foreign: &Foreign) -> Failure {
    let cure = foreign.cure(&source.argument());
    source.failure(&format!("is {}; {cure}", foreign.what))
}
