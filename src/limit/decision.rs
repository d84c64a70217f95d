//! [`Decision`]: what a limiter says, and the header fields of HTTP that tell it.
//!
//! The fields are those of draft-ietf-httpapi-ratelimit-headers-10, and `Retry-After` of RFC 9110:
//!
//! | field | |
//! |---|---|
//! | `RateLimit-Policy: "name";q=100;w=60` | the quota, and in how many seconds it is given; of a token bucket the burst, and how long it takes to fill |
//! | `RateLimit: "name";r=0;t=12` | what remains, and after a refusal in how many seconds the cost is let through |
//! | `Retry-After: 12` | the same seconds, after a refusal |
//!
//! Seconds are whole and rounded up, so that a client that waits so long is let through.
//!
//! Tests: below, `tests/limit`.

use std::cmp::Ordering;
use std::time::Duration;

use super::rate::Rate;

/// What a limiter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a limiter only limits a caller that heeds it"]
pub struct Decision {
    /// Whether the cost was let through.
    pub allowed: bool,
    /// How much more would be, right after it.
    pub remaining: u64,
    /// How long to wait until this cost is let through, if no other cost comes: exactly, to the nanosecond. Zero if it was let through.
    /// `None` if waiting does not help: the cost is more than the limit, or its time lies too far ahead ([`is_future`](Self::is_future)).
    pub retry_after: Option<Duration>,
    /// Whether it was refused because its time lies further ahead of the clock than `max_skew`.
    pub is_future: bool,
    /// Which of several limits it is about, by its place among them: the one that makes the cost wait longest, or lets the least more through.
    pub which: u8,
}

impl Decision {
    /// Two limits together: refused if one refuses.
    pub(crate) fn and(self, other: Self) -> Self {
        // `None` is the longest.
        let wait = |decision: Self| (!decision.allowed).then(|| decision.retry_after.unwrap_or(Duration::MAX));
        let tighter = match wait(other).cmp(&wait(self)) {
            Ordering::Greater => other,
            Ordering::Equal if other.remaining < self.remaining => other,
            _ => self,
        };
        Self { remaining: self.remaining.min(other.remaining), ..tighter }
    }

    pub(crate) const fn allowed(remaining: u64) -> Self {
        Self { allowed: true, remaining, retry_after: Some(Duration::ZERO), is_future: false, which: 0 }
    }

    pub(crate) const fn refused(remaining: u64, retry_after: Duration) -> Self {
        Self { allowed: false, remaining, retry_after: Some(retry_after), is_future: false, which: 0 }
    }

    /// The cost is more than there ever is.
    pub(crate) const fn never(remaining: u64) -> Self {
        Self { allowed: false, remaining, retry_after: None, is_future: false, which: 0 }
    }

    /// The time of the cost lies too far ahead.
    pub(crate) const fn future(remaining: u64) -> Self {
        Self { allowed: false, remaining, retry_after: None, is_future: true, which: 0 }
    }

    /// Later by what a coarse clock may be behind.
    pub(crate) fn later(self, lag: Duration) -> Self {
        match self.retry_after {
            Some(wait) if !self.allowed => Self { retry_after: Some(wait.saturating_add(lag)), ..self },
            _ => self,
        }
    }

    /// The value of `Retry-After`: whole seconds, at least 1; `None` if the cost was let through, or waiting does not help.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        if self.allowed { None } else { self.retry_after.map(seconds) }
    }

    /// The value of `RateLimit`, under the name of its policy.
    #[must_use]
    pub fn rate_limit(&self, name: &str) -> String {
        let wait = self.retry_after_seconds().map_or_else(String::new, |seconds| format!(";t={seconds}"));
        format!("{};r={}{wait}", quoted(name), self.remaining)
    }
}

impl Rate {
    /// The value of `RateLimit-Policy`: how much may come in how many seconds, and with a `burst` how much at once and how long
    /// that takes to come back.
    #[must_use]
    pub fn policy(&self, name: &str, burst: Option<u64>) -> String {
        let quota = burst.unwrap_or(self.limit());
        let fills = (self.window().as_nanos() * u128::from(quota)).div_ceil(u128::from(self.limit()));
        let fills = seconds(Duration::from_nanos(u64::try_from(fills).unwrap_or(u64::MAX)));
        format!("{};q={quota};w={fills}", quoted(name))
    }
}

/// A string of RFC 8941: of what it cannot have there is a question mark.
fn quoted(name: &str) -> String {
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push('"');
    for char in name.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            ' '..='~' => quoted.push(char),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}

/// Whole seconds, rounded up, at least one.
fn seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_up_so_that_a_client_that_waits_is_let_through() {
        for (millis, told) in [(1, 1), (999, 1), (1_000, 1), (1_001, 2), (59_999, 60), (0, 1)] {
            let refused = Decision::refused(3, Duration::from_millis(millis));
            assert_eq!(refused.retry_after_seconds(), Some(told));
            assert_eq!(refused.rate_limit("api"), format!("\"api\";r=3;t={told}"));
        }
        for (decision, told) in
            [(Decision::allowed(7), "r=7"), (Decision::never(2), "r=2"), (Decision::future(1), "r=1")]
        {
            assert_eq!(decision.retry_after_seconds(), None);
            assert_eq!(decision.rate_limit("a"), format!("\"a\";{told}"));
        }
    }

    #[test]
    fn a_policy_is_the_window_or_what_fills_a_bucket() {
        let policy = |rate: &str, burst| rate.parse::<Rate>().expect("a rate").policy("a", burst);
        assert_eq!(policy("100/minute", None), "\"a\";q=100;w=60");
        assert_eq!(policy("7/250ms", None), "\"a\";q=7;w=1");
        assert_eq!(policy("100/s", Some(250)), "\"a\";q=250;w=3");
        assert_eq!(policy("1/d", Some(1)), "\"a\";q=1;w=86400");
    }

    #[test]
    fn names_are_strings_of_header_fields() {
        assert_eq!(quoted("a \"b\\c\""), r#""a \"b\\c\"""#);
        assert_eq!(quoted("ä\r\nx: y\u{7f}"), "\"???x: y?\"");
    }
}
