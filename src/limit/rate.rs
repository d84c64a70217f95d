//! [`Rate`]: so many in so much time. [`Rates`]: several of them together.
//!
//! Tests: `tests/limit`.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

use crate::error::LimitError;

/// How much may be let through in how much time.
///
/// As text: a number, `/` or `per`, and a time: `100/minute`, `5/s`, `1000 per hour`, `10/5m`, `3 per 30 seconds`. A month is 30
/// days, and a year 365.
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
    /// In nanoseconds.
    window: u64,
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
        Ok(Self { limit, window: window.as_nanos() as u64 })
    }

    /// How much.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// In how much time.
    #[must_use]
    pub const fn window(&self) -> Duration {
        Duration::from_nanos(self.window)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}s", self.limit, self.window().as_secs_f64())
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
            "w" | "week" | "weeks" => 604_800.0,
            "mo" | "month" | "months" => 2_592_000.0,
            "y" | "yr" | "year" | "years" => 31_536_000.0,
            _ => return Err(wrong()),
        };
        let window = Duration::try_from_secs_f64(many * seconds).map_err(|_| wrong())?;
        Self::new(limit, window)
    }
}

/// Up to four rates that a limiter keeps together: a cost is let through if all let it through, and else takes nothing from any.
///
/// As text, they are separated by `;`, `,` or `|`.
///
/// ```
/// use hitring::Rates;
///
/// let rates: Rates = "5/second; 100/hour".parse()?;
/// assert_eq!(rates.len(), 2);
/// assert_eq!(rates.to_string(), "5/1s;100/3600s");
/// # Ok::<(), hitring::LimitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rates {
    // The places behind the last have the first one again.
    rates: [Rate; Self::MOST],
    len: usize,
}

impl Rates {
    /// The most rates.
    pub const MOST: usize = 4;

    /// The rates together, in this order.
    ///
    /// # Errors
    /// [`LimitError::Rates`] unless there are 1 to 4.
    pub fn new(rates: &[Rate]) -> Result<Self, LimitError> {
        match rates {
            [first, ..] if rates.len() <= Self::MOST => {
                Ok(Self { rates: std::array::from_fn(|nth| *rates.get(nth).unwrap_or(first)), len: rates.len() })
            }
            _ => Err(LimitError::Rates { given: rates.len() }),
        }
    }
}

impl From<Rate> for Rates {
    fn from(rate: Rate) -> Self {
        Self { rates: [rate; Self::MOST], len: 1 }
    }
}

impl Deref for Rates {
    type Target = [Rate];

    fn deref(&self) -> &[Rate] {
        &self.rates[..self.len]
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, rate) in self.iter().enumerate() {
            let separator = if nth > 0 { ";" } else { "" };
            write!(f, "{separator}{rate}")?;
        }
        Ok(())
    }
}

impl FromStr for Rates {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let rates: Result<Vec<Rate>, LimitError> = text.split([';', ',', '|']).map(str::parse).collect();
        Self::new(&rates?)
    }
}
