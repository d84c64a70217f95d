//! `hitring compact`: copies the living endpoints of a file that no process has open into a new file.
//!
//! Every check that can refuse the command comes before the new file is written, because writing may take long. The new file gets
//! its name last, so that a failure does not leave a partial file under that name.
//!
//! Tests: `tests/replay`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::columns::{grouped, widest};
use super::escape::shown;
use super::failure::Failure;
use super::span;
use crate::error::SharedError;
use crate::shared::{Inspection, Report, Wanted, compact};

/// Copy what is alive in a shared registry's file, which no process may have open, into a new file
///
/// The old file is left as it is, and the new one must not be there yet.
#[derive(clap::Args)]
#[command(after_help = "Example: hitring compact hits.ring larger.ring --max-endpoints 100000")]
pub(super) struct Args {
    /// The file of a shared registry
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The file to make
    #[arg(value_name = "NEW")]
    new: PathBuf,

    /// How many endpoints the new one has room for; as many as the old one without it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    max_endpoints: Option<u32>,

    /// The new one's window: seconds, or 90s, 5m, 1h, 2d; the old one's without it
    #[arg(long, value_name = "SPAN", value_parser = span::parse, allow_negative_numbers = true)]
    window: Option<i64>,

    /// How many keys of limiters the new one has room for. If it is another number than the old one's, all limits begin anew
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 32), allow_negative_numbers = true)]
    max_limits: Option<u64>,
}

/// Runs the command.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let Args { file, new, max_endpoints, window, max_limits } = args;
    let look = |path: &Path| Inspection::open(path).and_then(|inspection| inspection.report(None));
    let before = look(&file).map_err(|error| Failure::of_shared(&error))?;
    refuse_to_overwrite(&new)?;
    let window = window.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
    let told = |error| told(&error, &file);
    compact(&file, &new, Wanted { max_endpoints, window, limits: max_limits }).map_err(told)?;
    let after = look(&new).map_err(|error| Failure::of_shared(&error))?;
    let mut out = io::stdout().lock();
    let answer = said(&before, &after);
    out.write_all(answer.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::of_output(&error))
}

fn refuse_to_overwrite(new: &Path) -> Result<(), Failure> {
    let refused = |why: &str| Failure::Message(format!("{}: {why}", shown(new.as_os_str().as_encoded_bytes())));
    // Also a link that leads nowhere.
    if fs::symlink_metadata(new).is_ok() {
        return Err(refused("there is such a file, and it is not overwritten; give another name"));
    }
    match new.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(refused("its folder does not exist; make it first"))
        }
        _ => Ok(()),
    }
}

fn told(error: &SharedError, file: &Path) -> Failure {
    match error {
        SharedError::Full { max_endpoints, .. } => Failure::Message(format!(
            "{}: what is alive in it needs more than {max_endpoints} places; give a larger --max-endpoints",
            shown(file.as_os_str().as_encoded_bytes())
        )),
        error => Failure::of_shared(error),
    }
}

/// Endpoints and places, before and after.
fn said(before: &Report, after: &Report) -> String {
    let rows = [("before", before), ("after", after)].map(|(when, report)| {
        let numbers = [report.endpoints, report.room.lives, report.room.max_endpoints, report.room.file_bytes];
        (when, numbers.map(grouped))
    });
    let [one, two, three, four]: [usize; 4] =
        std::array::from_fn(|at| widest(rows.iter().map(|(_, numbers)| numbers[at].clone()), ""));
    let line = |(when, [endpoints, used, all, bytes]): &(&str, [String; 4])| {
        format!(
            "{when:<6}  {endpoints:>one$} endpoints in {used:>two$} of {all:>three$} places, {bytes:>four$} bytes\n"
        )
    };
    rows.iter().map(line).collect()
}
