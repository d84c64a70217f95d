//! `hitring compact`: a new file of what is alive in an old one.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::failure::Failure;
use super::span;
use crate::error::SharedError;
use crate::shared::{Inspection, Wanted, compact};

/// Make a new file of what is alive in a registry's file that nobody has open
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file; it is left as it is
    file: PathBuf,
    /// The file to make; there must be none
    new: PathBuf,
    /// How many endpoints the new one has room for
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_endpoints: Option<u32>,
    /// The new one's window: 300, 5m, 1h
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    window: Option<i64>,
}

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let failed = |error: SharedError| Failure::Message(error.to_string());
    let window = args.window.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
    compact(&args.file, &args.new, Wanted { max_endpoints: args.max_endpoints, window }).map_err(failed)?;
    let report = |path| Inspection::open(path).and_then(|inspection| inspection.report(None)).map_err(failed);
    let (old, new) = (report(&args.file)?, report(&args.new)?);
    let text = format!(
        "{} endpoints: {} of {} places before, {} of {} now\n",
        new.endpoints, old.room.lives, old.room.max_endpoints, new.room.lives, new.room.max_endpoints
    );
    io::stdout().lock().write_all(text.as_bytes()).map_err(|error| Failure::of_output(&error))
}
