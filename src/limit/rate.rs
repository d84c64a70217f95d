//! [`Rate`]: so many in so much time.
//!
//! Tests: `tests/limit`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::LimitError;

/// How much may be let through in how much time.
///
/// As text: a number, `/` or `per`, and a time: `100/minute`, `5/s`, `1000 per hour`, `10/5m`, `3 per 30 seconds`.
///
/// ```
/// use hitring::Rate;
/// use std::time::Duration;
///
/// let rate: Rate = "10 per 5 minutes".parse()?;
/// assert_eq!(rate, Rate::new(10, Duration::from_secs(300))?);
/// assert_eq!(rate.to_string(), "10/300s");
/// # Ok::<(), hitring::LimitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    limit: u64,
    window: Duration,
}

impl Rate {
    /// The longest window there may be: 100 years.
    pub const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

    /// `limit` in `window`.
    ///
    /// # Errors
    /// [`LimitError`] unless the limit is 1 to 2^32 and the window 1 ms to 100 years.
    pub fn new(limit: u64, window: Duration) -> Result<Self, LimitError> {
        if !(1..=1 << 32).contains(&limit) {
            return Err(LimitError::Limit { given: limit });
        }
        if !(Duration::from_millis(1)..=Self::LONGEST).contains(&window) {
            return Err(LimitError::Window { given: window });
        }
        Ok(Self { limit, window })
    }

    /// How much.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// In how much time.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.window
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}s", self.limit, self.window.as_secs_f64())
    }
}

impl FromStr for Rate {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let wrong = || LimitError::Rate { given: text.chars().take(80).collect() };
        let lower = text.trim().to_ascii_lowercase();
        let (limit, time) = lower.split_once('/').or_else(|| lower.split_once(" per ")).ok_or_else(wrong)?;
        let limit = limit.trim().parse::<u64>().map_err(|_| wrong())?;
        let time = time.trim();
        let digits = time.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (many, unit) = time.split_at(digits);
        let many: f64 = if many.is_empty() { 1.0 } else { many.parse().map_err(|_| wrong())? };
        let seconds = match unit.trim() {
            "ms" | "millisecond" | "milliseconds" => 0.001,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hour" | "hours" => 3_600.0,
            "d" | "day" | "days" => 86_400.0,
            _ => return Err(wrong()),
        };
        let window = Duration::try_from_secs_f64(many * seconds).map_err(|_| wrong())?;
        Self::new(limit, window)
    }
}
