//! `hitring replay`: reads access logs whole and reports what they hold.
//!
//! ```text
//! reading    inputs -> lines -> hits, malformed lines
//! tally      hits counted in sorted cells: names, seconds, cells; timeline answers windows
//! report     the answer, and its JSON form
//! text       the same for a person, with a histogram
//! table      the same as CSV
//! plot       the same as a picture
//! ```
//!
//! It answers from everything in the inputs, in any order of the lines, so it needs no ring and no clock. Nothing is
//! printed to stdout before all inputs were read to their ends: a failure leaves no answer that could pass for whole.
//!
//! Tests: `tests/replay`.

mod names;
mod cells;
mod timeline;
mod histogram;
mod seconds;
mod tally;
mod reading;
mod report;
mod text;
mod table;
mod plot;

use std::ffi::OsString;
use std::io::{self, Write};

use super::failure::Failure;
use super::log::options::LogOptions;
use super::{columns, escape, span, utc};
use clap::builder::TypedValueParser;
use plot::Plot;
use reading::Options;
use report::{Question, Report};
use tally::Timed;

/// Count what access logs hold: hits, top paths, clients, hits in any window
///
/// Reads logs in common or combined format (more fields may follow), JSON lines, W3C extended,
/// logfmt and CSV, and the logs of AWS and HAProxy. Files may be plain or gzip. Lines may be in any
/// order. Several files are counted together. Lines that do not parse are counted as malformed.
/// Nothing is printed unless every file could be read to its end.
#[derive(clap::Args)]
#[command(after_help = "Example: hitring replay access.log* --at 2019-01-22T00:29:11Z --last 5m --path /login")]
pub(super) struct Args {
    /// Access logs, plain or gzip; - reads stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<OsString>,

    /// Print one JSON object instead of text
    #[arg(long, conflicts_with = "csv")]
    json: bool,

    /// Print the paths with the most hits as CSV instead of text
    ///
    /// The columns are path, hits and unique_clients, and with --at hits_until_T for each T.
    #[arg(long)]
    csv: bool,

    /// Write a picture as well: hits over time, and the paths with the most hits
    ///
    /// The name must end with .svg or .png. An existing file is overwritten.
    #[arg(long, value_name = "FILE", value_parser = clap::builder::OsStringValueParser::new().try_map(|name| Plot::parse(&name)))]
    plot: Option<Plot>,

    /// Count the hits in (T - last, T]; may be repeated
    ///
    /// T is unix seconds, or a date such as 2019-01-22T00:29:11Z. Without --at you get two windows:
    /// the busiest one, and the one that ends at the last hit.
    #[arg(long, value_name = "T", value_parser = utc::parse, allow_negative_numbers = true)]
    at: Vec<i64>,

    /// Length of the windows: seconds, or 90s, 5m, 1h, 2d
    #[arg(long, value_name = "TIME", default_value = "300", value_parser = span::parse)]
    #[arg(allow_negative_numbers = true)]
    last: i64,

    /// Count this path (or key, with --key) in every window; may be repeated
    ///
    /// Write it as the report shows it. Without it, JSON counts the top paths.
    #[arg(long = "path", value_name = "P")]
    paths: Vec<OsString>,

    /// How many of the paths with the most hits to list
    #[arg(long, value_name = "N", default_value_t = 20, allow_negative_numbers = true)]
    top: usize,

    #[command(flatten)]
    log: LogOptions,

    /// Print each malformed line on stderr, with its place and the reason
    #[arg(long)]
    show_malformed: bool,
}

/// Runs the command.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let title = title(&args.files);
    let entries = args.log.reading(false)?;
    let mut paths: Vec<Vec<u8>> = Vec::new();
    for path in args.paths {
        let path = escape::to_bytes(path.as_encoded_bytes());
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let Args { show_malformed, log: LogOptions { key, no_query: without_query, .. }, .. } = args;
    // Only JSON, and CSV with windows, have windows of paths that were not named.
    let has_all_windows = args.json || args.csv && !args.at.is_empty();
    let timed = if paths.is_empty() && has_all_windows { Timed::All } else { Timed::Only(paths.clone()) };
    args.plot.as_ref().map_or(Ok(()), Plot::check)?;
    let options = Options { show_malformed, entries, key: key.clone(), without_query, timed };
    let read = reading::read(args.files, &options)?;
    let question = Question { at: args.at, last: args.last, paths, top: args.top, key };
    let report = Report::new(&read, &question);
    if let Some(plot) = args.plot {
        plot.write(&title, read.counted.timeline(), &question, &report)?;
    }
    let answer = if args.csv {
        for what in report.estimates.in_words(question.key.plural()) {
            reading::note(&what);
        }
        table::csv(&question, &report)
    } else if args.json {
        let mut json = serde_json::to_string(&report).expect("a report holds only strings and integers");
        json.push('\n');
        json
    } else {
        text::page(&title, &read, &question, &report, columns::width())
    };
    let mut out = io::stdout().lock();
    out.write_all(answer.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::of_output(&error))
}

/// What the report is about.
fn title(files: &[OsString]) -> String {
    match files {
        [only] if only == "-" => "stdin".to_owned(),
        [only] => escape::shown(only.as_encoded_bytes()),
        several => format!("{} inputs counted together", several.len()),
    }
}
