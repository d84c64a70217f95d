//! Waiting until a cost is let through.
//!
//! | a decision | then |
//! |---|---|
//! | lets the cost through | it is the answer |
//! | refuses it, and waiting does not help | it is the answer |
//! | refuses it for longer than is left of the timeout | it is the answer at once: nothing is gained by sleeping |
//! | refuses it | sleep as long as it says, and ask again |
//!
//! Waiting costs do not queue. They sleep side by side and ask when they wake. So of two costs that wait for the same unit, the one
//! that wakes first gets it, and a cost that comes meanwhile may get it before both. A large cost may wait for long while small
//! ones pass. A thread does not hold a lock while it sleeps, so a thread that waits delays no other.
//!
//! Timeouts are real time, whatever the limiter's clock is.
//!
//! Tests: `tests/limit/waiting.rs`.

use std::future::Future;
use std::time::Duration;

use super::decision::Decision;
use crate::time::clock::SteadyClock;

/// Until when to wait.
#[derive(Clone, Copy, Debug)]
struct Deadline(Option<u64>);

impl Deadline {
    fn after(timeout: Option<Duration>) -> Self {
        let nanos = |timeout: Duration| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        Self(timeout.map(|timeout| SteadyClock.nanos(false).saturating_add(nanos(timeout))))
    }

    /// How long to sleep after `decision`; `None` if it is the answer.
    fn sleeps(self, decision: &Decision) -> Option<Duration> {
        let wait = decision.retry_after.filter(|_| !decision.allowed)?;
        let left =
            self.0.map_or(Duration::MAX, |end| Duration::from_nanos(end.saturating_sub(SteadyClock.nanos(false))));
        (wait <= left).then_some(wait)
    }
}

/// Asks `allow` until it lets the cost through, or `timeout` is over; sleeps in between.
pub fn blocking(timeout: Option<Duration>, mut allow: impl FnMut() -> Decision) -> Decision {
    let deadline = Deadline::after(timeout);
    loop {
        let decision = allow();
        match deadline.sleeps(&decision) {
            Some(wait) => std::thread::sleep(wait),
            None => return decision,
        }
    }
}

/// The same for a task, which `sleep` lets sleep.
pub async fn sleeping<F: Future<Output = ()>>(
    timeout: Option<Duration>,
    mut sleep: impl FnMut(Duration) -> F,
    mut allow: impl FnMut() -> Decision,
) -> Decision {
    let deadline = Deadline::after(timeout);
    loop {
        let decision = allow();
        match deadline.sleeps(&decision) {
            Some(wait) => sleep(wait).await,
            None => return decision,
        }
    }
}
