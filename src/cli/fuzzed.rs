//! Reading a log as `hitring replay` does, for the fuzz target alone.
//!
//! Tests: `tests/fuzz`.

use clap::ValueEnum;

use super::log::format::{Entries, Entry, Format, Reading};
use super::log::lines::{Line, Lines};
use super::log::prefix::Unwrapper;

/// The names of all formats.
pub const FORMATS: [&str; 9] = ["clf", "json", "w3c", "elb", "alb", "s3", "haproxy", "logfmt", "csv"];

/// What a log holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Log {
    pub lines: usize,
    pub headers: usize,
    pub malformed: usize,
    /// Time, client and path.
    pub hits: Vec<(i64, Vec<u8>, Vec<u8>)>,
}

/// Reads a log, of the format of this name if there is one.
pub fn read(text: &[u8], format: Option<&str>) -> Log {
    let format = format.map(|name| Format::from_str(name, false).expect("a name of a format"));
    let reading = Reading::new(format, None, &[], |_| true);
    let (mut entries, mut unwrapper, mut log) = (Entries::new(&reading, None), Unwrapper::default(), Log::default());
    let mut lines = Lines::new(text);
    while let Some(line) = lines.next().expect("memory does not fail") {
        log.lines += 1;
        let Line::Whole(line) = line else {
            log.malformed += 1;
            continue;
        };
        match entries.read(unwrapper.unwrap(line)) {
            Ok(Entry::Hit(hit)) => log.hits.push((hit.time, hit.client.into_owned(), hit.path.into_owned())),
            Ok(Entry::Header) => log.headers += 1,
            Err(_) => log.malformed += 1,
        }
    }
    log
}
