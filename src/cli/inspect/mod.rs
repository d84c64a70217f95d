//! `hitring inspect`: what a shared file holds, while others count in it. Nothing is written to it.
//!
//! | file | prints |
//! |---|---|
//! | `text` | the report for a person: what the file was made for, the room that is left, the busiest endpoints |
//! | `json` | the same as one object |
//! | `check` | what does not fit together |
//! | `watch` | the text or the object every second |
//!
//! Tests: `tests/replay`.

mod check;
mod json;
mod text;
mod watch;

use std::io::{self, Write};
use std::path::PathBuf;

use super::columns;
use super::failure::Failure;
use crate::shared::{Inspection, Report};

/// Show what the file of a shared registry holds, while others count in it
///
/// The file is only read. Without an option: a report of at most 80 columns.
#[derive(clap::Args)]
#[command(after_help = "Example: hitring inspect /dev/shm/hits.ring --watch --top 20")]
pub(super) struct Args {
    /// The file of a shared registry
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Print one JSON object instead of text
    #[arg(long, conflicts_with = "check")]
    json: bool,

    /// Say "ok", or what does not fit together, one fault a line
    ///
    /// Exit code 0 if all fits, 1 with faults, 2 if it is not a hitring file.
    #[arg(long, conflicts_with = "watch")]
    check: bool,

    /// Show it anew every second, until Ctrl-C or until its output is closed
    ///
    /// When another file takes the path, that one is shown. With --json: one object a line.
    #[arg(long)]
    watch: bool,

    /// How many endpoints to list, the busiest first
    #[arg(long, value_name = "N", default_value_t = 10, allow_negative_numbers = true)]
    top: usize,
}

/// No report is wider, whatever the terminal is.
const WIDEST: usize = 80;

/// How a report is printed.
struct Style {
    json: bool,
    top: usize,
}

impl Style {
    fn shown(&self, report: &Report) -> String {
        if self.json {
            json::line(report, self.top)
        } else {
            text::page(report, self.top, columns::width().min(WIDEST))
        }
    }
}

/// Runs the command.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let style = Style { json: args.json, top: args.top };
    if args.check {
        check::run(&args.file)
    } else if args.watch {
        watch::run(&args.file, &style)
    } else {
        let report = Inspection::open(&args.file).and_then(|inspection| inspection.report(None));
        print(&style.shown(&report.map_err(|error| Failure::of_shared(&error))?))
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::of_output(&error))
}
