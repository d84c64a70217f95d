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
use crate::cli::log::foreign::{Foreign, looks_like};
use crate::cli::log::lines::{Line, Lines, MAX_LINE};
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
    pub(super) counted: Counted,
}

/// Reads the inputs. With `show_malformed`, prints every malformed line on stderr.
pub(super) fn read(files: Vec<OsString>, show_malformed: bool) -> Result<Read, Failure> {
    let Sources { sources, total, left_out: notes } = sources(files)?;
    let bar = progress::bar(total);
    let without_hits = Vec::new();
    let mut reading = Reading { tally: Tally::new(), lines: 0, malformed: 0, without_hits, show_malformed, bar };
    let outcome = sources.iter().try_for_each(|source| reading.read(source));
    reading.bar.finish_and_clear();
    outcome?;
    let has_hits = reading.lines > reading.malformed;
    if let (false, Some(first)) = (has_hits, reading.without_hits.first()) {
        return Err(first.failure());
    }
    for note in notes.into_iter().chain(reading.without_hits.iter().map(WithoutHits::note)) {
        // A closed stderr does not end the counting.
        let _ = std::io::stderr().lock().write_all(format!("hitring: note: {note}\n").as_bytes());
    }
    Ok(Read { lines: reading.lines, malformed: reading.malformed, counted: reading.tally.finish() })
}

struct Reading {
    tally: Tally,
    lines: u64,
    malformed: u64,
    without_hits: Vec<WithoutHits>,
    show_malformed: bool,
    bar: ProgressBar,
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
        let (mut count, mut malformed) = (0_u64, 0_u64);
        while let Some(line) = lines.next().map_err(|error| source.read_failure(opened.compressed, &error))? {
            count += 1;
            let (start, reason) = match line {
                Line::Whole(line) => match clf::parse(line) {
                    Ok(hit) => {
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
            if self.show_malformed {
                self.show(&source.name(), count, reason, start);
            }
        }
        if count > 0 && malformed == count {
            self.without_hits.push(WithoutHits::new(source, count, &opened.head));
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
