//! `hitring top`: what was hit in the last N seconds, as it happens.
//!
//! ```text
//! follow     a log that grows, is rotated or truncated    -> bytes
//! logs       lines of logs, recorded in counters           \
//! shared     the file of a shared registry                  } sources (`source.rs`)
//! server     a server, asked over HTTP                     /
//! frame      what is shown at one moment
//! page       the same as lines of text
//! json       the same as JSON
//! keys       what keys do
//! screen     the terminal
//! ```
//!
//! Tests: `tests/top`.

mod follow;
mod source;
mod logs;
#[cfg(target_os = "linux")]
mod shared;
mod server;
mod frame;
mod page;
mod json;
mod keys;
mod screen;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::thread::sleep;
use std::time::Duration;

use super::failure::Failure;
use super::log::options::LogOptions;
use super::{columns, span};
use frame::{Question, Sort, frame};
use keys::View;
use logs::{Logs, Rules};
use server::Server;
use source::Source;

/// Watch what was hit in the last N seconds: of logs that grow, a shared registry, or a server
///
/// Logs are followed as they grow, also when they are rotated or truncated. Of a large log the last
/// 64 MiB are read first. The file of a shared registry is only read. A server is asked for /v1/top
/// and /metrics once a second.
#[derive(clap::Args)]
#[command(after_help = "Example: hitring top /var/log/nginx/access.log --last 1m --key route")]
pub(super) struct Args {
    /// Logs, - for stdin, the file of a shared registry, or a server: http://HOST:PORT
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<OsString>,

    /// Count the hits of this time: seconds, or 90s, 5m, 1h, 2d
    ///
    /// Of logs, more than 5m is counted in ticks of more than a second and rounded up to whole ones.
    #[arg(long, value_name = "TIME", default_value = "300", value_parser = span::parse)]
    #[arg(allow_negative_numbers = true)]
    last: i64,

    /// The order of the rows
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,

    /// Show only names that contain this, whatever the case of letters
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,

    /// Print one screen as plain text, and end; a log is read to its end first
    #[arg(long)]
    once: bool,

    /// Print a line of JSON every second; with --once, one line
    #[arg(long)]
    json: bool,

    /// How many rows to print with --once or --json
    #[arg(long, value_name = "N", default_value_t = 20, allow_negative_numbers = true)]
    rows: usize,

    #[command(flatten)]
    log: LogOptions,
}

/// In how many ticks a span of a log is counted at most.
const TICKS: u64 = 300;
/// The most parts of a history in JSON.
const PARTS: usize = 60;
/// How often JSON is printed.
const PERIOD: Duration = Duration::from_secs(1);

/// Runs the command.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let last = Duration::from_secs(args.last.unsigned_abs());
    if last.is_zero() {
        return Err(Failure::Message("--last 0 counts nothing; give at least 1 second".to_owned()));
    }
    let is_screen = !args.once && !args.json;
    let is_dumb = std::env::var_os("TERM").is_some_and(|name| name == "dumb");
    if is_screen && (is_dumb || !io::stdout().is_terminal()) {
        let text = "stdout is not a terminal that can show a screen; print plain text with --once, or --json";
        return Err(Failure::Message(text.to_owned()));
    }
    let Args { sources, sort, filter, once, json, rows, log, .. } = args;
    let mut source = open(&sources, &log, last, once)?;
    if is_screen {
        return screen::run(&mut *source, View { last, sort, filter, ..View::default() });
    }
    let width = columns::width();
    let (columns, wide) = if json { (PARTS, PARTS) } else { (page::history_columns(width), width) };
    let question = Question { last, sort, filter, skip: 0, rows, columns, wide, open: None };
    loop {
        let is_over = source.is_over();
        let frame = frame(&mut *source, &question)?;
        let text = if json { json::line(&frame) } else { page::text(&frame, sort, width) };
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::of_output(&error))?;
        if once || is_over {
            return Ok(());
        }
        sleep(PERIOD);
    }
}

/// Opens what `sources` name: logs, or one of the others alone.
fn open(sources: &[OsString], log: &LogOptions, last: Duration, once: bool) -> Result<Box<dyn Source>, Failure> {
    for source in sources {
        let address = source.to_str().and_then(server::address);
        #[cfg(target_os = "linux")]
        let is_alone = address.is_some() || shared::is_shared(source.as_ref());
        #[cfg(not(target_os = "linux"))]
        let is_alone = address.is_some();
        if !is_alone {
            continue;
        }
        if sources.len() > 1 {
            let name = super::escape::shown(source.as_encoded_bytes());
            return Err(Failure::Message(format!("{name}: is watched alone; give no other source beside it")));
        }
        #[cfg(target_os = "linux")]
        if address.is_none() {
            return Ok(Box::new(shared::Shared::open(source.as_ref())?));
        }
        let address = address.expect("it is alone");
        return Ok(Box::new(Server::open(address?)?));
    }
    let resolution = Duration::from_secs(last.as_secs().div_ceil(TICKS));
    let window = resolution * u32::try_from(last.as_secs().div_ceil(resolution.as_secs())).unwrap_or(u32::MAX);
    let rules = Rules { reading: log.reading(true)?, key: log.key.clone(), without_query: log.no_query };
    Ok(Box::new(Logs::open(sources, rules, window, resolution, once)?))
}
