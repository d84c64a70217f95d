//! `hitring demo`: what the strategies of a registry do with the same hits, and why.
//!
//! Five scenarios, each a file: what happens is done to a real registry under a clock that is moved by hand, and every
//! number that is printed was answered by it. So the output is the same each time, but for estimates, which are drawn.
//!
//! | file | shows |
//! |---|---|
//! | `fixed` | buckets: recording, asking, and what the boundary does |
//! | `sliding` | the same hits counted in buckets and exactly, side by side |
//! | `swap` | to Morris registers and what becomes of the hits before |
//! | `pruning` | a log that stays as long as its window |
//! | `snapshot` | taken, then more hits, then restored |
//! | `page` | how all of them are laid out |
//!
//! Tests: `tests/demo`.

mod page;
mod fixed;
mod pruning;
mod sliding;
mod snapshot;
mod swap;

use std::io::{self, Write};
use std::time::Duration;

use super::failure::Failure;
use crate::registry::{Registry, RegistryBuilder};
use crate::time::Timestamp;
use crate::time::clock::ManualClock;
use page::Page;

/// Show what the strategies do with the same hits, and why, in five scenarios
///
/// Every number was answered by a registry whose clock is moved by hand, so the output is the same each time, but for
/// estimates.
#[derive(clap::Args)]
#[command(after_help = "Example: hitring demo 2 3")]
pub(super) struct Args {
    /// Which scenarios to run; all of them without it
    #[arg(value_name = "N", value_parser = clap::value_parser!(u8).range(1..=SCENARIOS.len() as i64))]
    scenarios: Vec<u8>,
}

/// A scenario plays itself onto a page.
const SCENARIOS: [fn(&mut Page); 5] = [fixed::play, sliding::play, swap::play, pruning::play, snapshot::play];

/// Runs the command.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let wanted = if args.scenarios.is_empty() { (1..=SCENARIOS.len() as u8).collect() } else { args.scenarios };
    let mut page = Page::default();
    for number in wanted {
        page.begin(number);
        SCENARIOS[usize::from(number) - 1](&mut page);
    }
    let mut out = io::stdout().lock();
    let written = out.write_all(page.text().as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Failure::of_output(&error))
}

/// When every scenario begins: a full minute.
const START: u64 = 1_000_000_020;

/// A registry of the last five minutes, and its clock.
fn registry() -> (RegistryBuilder, ManualClock) {
    let clock = ManualClock::new(after(0));
    (Registry::builder().window(Duration::from_secs(300)).clock(clock.clone()), clock)
}

/// The time so many seconds after the start.
fn after(seconds: u64) -> Timestamp {
    Timestamp::new(START + seconds, 0).expect("before the year 9999")
}
