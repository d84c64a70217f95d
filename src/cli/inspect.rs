//! `hitring inspect`: what a shared file holds, while others count in it. Nothing is written.
//!
//! | option | prints |
//! |---|---|
//! | none | a report of 80 columns: what the file was made for, the room that is left, the busiest endpoints |
//! | `--json` | the same as one JSON object on a line |
//! | `--check` | `ok`, or what does not fit together, one fault a line, and then the exit code is 1 |
//! | `--watch` | the report every second: on a terminal in one place, else one after the other |
//!
//! A watch follows the path: when another file takes its place, that is opened. It ends with Ctrl-C, which finds the terminal as it
//! was, or when the reader of its output goes away.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::escape::{shown, shown_start};
use super::failure::Failure;
use crate::error::SharedError;
use crate::shared::{Inspection, Line, Report};

/// Show what a registry's file holds, while others count in it; nothing is written
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file
    file: PathBuf,
    /// Print one JSON object
    #[arg(long, conflicts_with_all = ["check"])]
    json: bool,
    /// Say what does not fit together, or "ok"; run it while nobody counts
    #[arg(long, conflicts_with_all = ["watch"])]
    check: bool,
    /// Print it every second, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// How many endpoints to show, the busiest first
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
}

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let mut inspection = Inspection::open(&args.file).map_err(|error| message(&error))?;
    if args.check {
        return check(&inspection);
    }
    let on_terminal = io::stdout().is_terminal();
    let mut first = true;
    loop {
        let report = inspection.report(None).map_err(|error| message(&error))?;
        let text = if args.json { json(&report, args.top) } else { plain(&report, args.top) };
        let before = match (args.watch && on_terminal && !args.json, first || args.json) {
            // From the upper left corner on, and nothing below it.
            (true, _) => "\x1b[H\x1b[2J",
            (false, true) => "",
            (false, false) => "\n",
        };
        print(&format!("{before}{text}"))?;
        if !args.watch {
            return Ok(());
        }
        first = false;
        std::thread::sleep(Duration::from_secs(1));
        if !inspection.is_current() {
            // Between its removal and its return there is none: what was there is shown until then.
            if let Ok(another) = Inspection::open(&args.file) {
                inspection = another;
            }
        }
    }
}

fn message(error: &SharedError) -> Failure {
    Failure::Message(error.to_string())
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::of_output(&error))
}

fn check(inspection: &Inspection) -> Result<(), Failure> {
    let faults = inspection.faults().map_err(|error| message(&error))?;
    if faults.is_empty() {
        return print("ok\n");
    }
    print(&faults.iter().map(|fault| format!("{}\n", shown(fault.as_bytes()))).collect::<String>())?;
    let many = faults.len();
    Err(Failure::Message(format!("{many} faults; save what can be saved with 'hitring compact FILE NEW'")))
}

fn seconds(span: Duration) -> String {
    format!("{} s", span.as_secs_f64())
}

/// A part of a whole, as a percentage.
fn share(used: u64, all: u64) -> String {
    if all == 0 { String::new() } else { format!(" ({} %)", u128::from(used) * 100 / u128::from(all)) }
}

fn plain(report: &Report, top: usize) -> String {
    let Report { path, window, resolution, slack, precision, is_copy, room, endpoints, merged, outcomes, .. } = report;
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{name:<12}{value}");
    };
    row("file", shown_start(path.as_os_str().as_encoded_bytes(), 66));
    row("window", format!("{} by {}, slack {slack}, precision {precision}", seconds(*window), seconds(*resolution)));
    row("size", format!("{} bytes, made at {} (Unix time)", room.file_bytes, report.made.secs()));
    let places = format!(
        "{endpoints} in {} of {} places{}",
        room.lives,
        room.max_endpoints,
        share(room.lives, room.max_endpoints)
    );
    row("endpoints", places);
    let (used, all) = (room.name_bytes, room.max_name_bytes);
    row("names", format!("{used} of {all} bytes{}", share(used, all)));
    let (used, all) = (room.visitors, room.max_visitors);
    row("visitors", format!("{used} of {all} words{}", share(used, all)));
    row("limits", format!("room for {} keys", room.max_limits));
    row("counted", outcomes.counted.to_string());
    let (late, future, saturated, refused) = (outcomes.late, outcomes.future, outcomes.saturated, outcomes.refused);
    row("not counted", format!("{late} late, {future} future, {saturated} saturated, {refused} refused"));
    if *merged > 0 {
        row("merged", format!("{merged} registries"));
    }
    if *is_copy {
        row("copy", "made elsewhere or on another boot: who opens it begins a new writer".to_owned());
    }
    if top > 0 && !report.top.is_empty() {
        let _ = writeln!(text, "\n{:<43}{:>12}{:>14}{:>11}", "endpoint", "in window", "ever", "visitors");
        for Line { endpoint, count, total, visitors, .. } in report.top.iter().take(top) {
            let count = count.map_or("expired".to_owned(), |hits| hits.count.to_string());
            let visitors = visitors.map_or("full".to_owned(), |visitors| visitors.to_string());
            let name = shown_start(endpoint.as_bytes(), 41);
            let _ = writeln!(text, "{}{count:>12}{total:>14}{visitors:>11}", padded(&name, 43));
        }
        if report.top.len() > top {
            let _ = writeln!(text, "and {} more", report.top.len() - top);
        }
    }
    text
}

/// `text`, as wide as `columns`: a character may be two wide, or none.
fn padded(text: &str, columns: usize) -> String {
    let width = unicode_width::UnicodeWidthStr::width(text);
    format!("{text}{}", " ".repeat(columns.saturating_sub(width).max(1)))
}

/// What `--json` prints: the names are documented in docs/inspect.md.
#[derive(Serialize)]
struct Json<'a> {
    path: String,
    window: f64,
    resolution: f64,
    slack: u32,
    precision: u8,
    made: u64,
    copy: bool,
    file_bytes: u64,
    endpoints: u64,
    lives: u64,
    max_endpoints: u64,
    name_bytes: u64,
    max_name_bytes: u64,
    visitor_words: u64,
    max_visitor_words: u64,
    max_limits: u64,
    counted: u64,
    late: u64,
    future: u64,
    saturated: u64,
    refused: u64,
    merged: u64,
    top: Vec<JsonLine<'a>>,
}

#[derive(Serialize)]
struct JsonLine<'a> {
    endpoint: &'a str,
    count: Option<u64>,
    total: u64,
    visitors: Option<u64>,
}

fn json(report: &Report, top: usize) -> String {
    let Report { outcomes, room, .. } = report;
    let lines = report.top.iter().take(top).map(|line| JsonLine {
        endpoint: &line.endpoint,
        count: line.count.map(|hits| hits.count),
        total: line.total,
        visitors: line.visitors,
    });
    let json = Json {
        path: shown(report.path.as_os_str().as_encoded_bytes()),
        window: report.window.as_secs_f64(),
        resolution: report.resolution.as_secs_f64(),
        slack: report.slack,
        precision: report.precision,
        made: report.made.secs(),
        copy: report.is_copy,
        file_bytes: room.file_bytes,
        endpoints: report.endpoints,
        lives: room.lives,
        max_endpoints: room.max_endpoints,
        name_bytes: room.name_bytes,
        max_name_bytes: room.max_name_bytes,
        visitor_words: room.visitors,
        max_visitor_words: room.max_visitors,
        max_limits: room.max_limits,
        counted: outcomes.counted,
        late: outcomes.late,
        future: outcomes.future,
        saturated: outcomes.saturated,
        refused: outcomes.refused,
        merged: report.merged,
        top: lines.collect(),
    };
    serde_json::to_string(&json).map_or_else(|error| error.to_string(), |text| text + "\n")
}
