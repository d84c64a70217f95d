//! Limiters against a list of everything that was let through.
//!
//! * [`exact`]: no span of the window ever holds more than the limit, and nothing is refused without need;
//! * [`behaviour`]: what the documentation promises, one by one;
//! * [`changed`]: rates that are changed while a limiter is used;
//! * [`keyed`]: keys that come, go and are too many;
//! * [`shared`]: limits in words that processes share, some of which are killed;
//! * [`threads`]: real threads that want more than there is;
//! * [`waiting`]: costs that wait for room.

mod behaviour;
mod changed;
mod exact;
mod keyed;
mod shared;
mod threads;
mod waiting;

use std::time::Duration;

use hitring::{Limiter, LimiterBuilder, ManualClock, Rate, Timestamp};

const START: u64 = 1_700_000_000;

/// So many milliseconds after the start.
fn at(millis: u64) -> Timestamp {
    Timestamp::new(START + millis / 1_000, (millis % 1_000) as u32 * 1_000_000).expect("before the year 9999")
}

fn rate(limit: u64, seconds: u64) -> Rate {
    Rate::new(limit, Duration::from_secs(seconds)).expect("a possible rate")
}

fn clocked(limit: u64, seconds: u64) -> (LimiterBuilder, ManualClock) {
    let clock = ManualClock::new(at(0));
    (Limiter::builder(rate(limit, seconds)).clock(clock.clone()), clock)
}
