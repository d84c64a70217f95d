//! The strategies by name, with their options, and the trait for one of your own.
//!
//! | text | strategy | options |
//! |---|---|---|
//! | `striped` | a single-writer ring for each live thread | |
//! | `ring` | one ring for all threads | |
//! | `fixed` | whole buckets of a minute | `fixed:window_size=60` (seconds) |
//! | `sliding` | every hit at its exact time | `sliding:max_hits=1048576` |
//! | `morris` | approximate, small registers | `morris:error=0.05` or `morris:base=2` |
//! | `adaptive` | starts compact and grows with its traffic | |
//!
//! Tests: below, `tests/conformance`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::cell::outcome::Outcome;
use crate::error::ConfigError;
use crate::sketch::morris::Base;
use crate::time::Timestamp;
use crate::window::geometry::Geometry;
use crate::window::sliding;

/// How hits are counted. See the guarantee table in the README.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Strategy {
    /// A single-writer ring for each live thread: wait-free records that share nothing.
    #[default]
    Striped,
    /// One ring for all threads: lock-free records, the least memory of those that are exact and dense.
    Ring,
    /// Whole buckets, as textbooks have them: a query counts every bucket that it touches, so it may count hits up to
    /// one `window_size` older (and, for a time in the past, newer) than it asks for.
    Fixed {
        /// The width of a bucket: a whole number of ticks.
        window_size: Duration,
    },
    /// Every hit at its exact microsecond, in shards behind locks.
    Sliding {
        /// The most distinct microseconds it holds, 16 bytes each.
        max_hits: u64,
    },
    /// Approximate: small registers that are raised with a probability that falls as they grow.
    Morris {
        /// What a step of a register multiplies the estimate by; it decides the error and the size.
        base: Base,
    },
    /// A few cells at first, then a ring, then stripes, as traffic and contention ask for it, and back when idle.
    Adaptive,
    /// One of your own.
    Custom(Arc<dyn CustomStrategy>),
}

/// A way of counting of your own.
///
/// ```
/// use hitring::{CustomCounter, CustomStrategy, Outcome, Registry, Strategy, Timestamp};
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
///
/// /// Keeps every hit in a plain list.
/// #[derive(Debug)]
/// struct Plain;
/// #[derive(Debug, Default)]
/// struct List(Mutex<Vec<(Timestamp, u64)>>);
///
/// impl CustomStrategy for Plain {
///     fn name(&self) -> &str {
///         "plain"
///     }
///     fn counter(&self, _window: Duration, _resolution: Duration) -> Box<dyn CustomCounter> {
///         Box::new(List::default())
///     }
/// }
///
/// impl CustomCounter for List {
///     fn record(&self, at: Timestamp, amount: u64) -> Outcome {
///         self.0.lock().unwrap().push((at, amount));
///         Outcome::Counted
///     }
///     fn count(&self, at: Timestamp, last: Duration) -> Option<u64> {
///         let hits = self.0.lock().unwrap();
///         let inside = |then: &Timestamp| *then <= at && then.saturating_add(last) > at;
///         Some(hits.iter().filter(|(then, _)| inside(then)).map(|(_, amount)| amount).sum())
///     }
///     fn newest(&self) -> Timestamp {
///         self.0.lock().unwrap().iter().map(|(at, _)| *at).max().unwrap_or_default()
///     }
///     fn cells(&self) -> Vec<(Timestamp, u64)> {
///         self.0.lock().unwrap().clone()
///     }
///     fn counted(&self) -> u64 {
///         self.0.lock().unwrap().iter().map(|(_, amount)| amount).sum()
///     }
///     fn memory_bytes(&self) -> usize {
///         self.0.lock().unwrap().capacity() * 24
///     }
/// }
///
/// let registry = Registry::builder().strategy(Strategy::Custom(Arc::new(Plain))).build()?;
/// registry.record_hit("/home", 1)?;
/// assert_eq!(registry.query_hits("/home", Duration::from_secs(60))?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait CustomStrategy: fmt::Debug + Send + Sync {
    /// Its name, as metrics and events tell it.
    fn name(&self) -> &str;

    /// A counter without hits, for queries of up to `window`.
    fn counter(&self, window: Duration, resolution: Duration) -> Box<dyn CustomCounter>;
}

/// A counter of a [`CustomStrategy`]. Times are whole microseconds.
pub trait CustomCounter: fmt::Debug + Send + Sync {
    /// Counts `amount` hits at `at`, all of them or none.
    fn record(&self, at: Timestamp, amount: u64) -> Outcome;

    /// The hits in `(at - last, at]`; `None` if that is not known any more.
    fn count(&self, at: Timestamp, last: Duration) -> Option<u64>;

    /// The time of the newest hit; the epoch if the counter is empty.
    fn newest(&self) -> Timestamp;

    /// The hits that are still held, by time; a time may come several times. The count of a time never goes down but to
    /// nothing, when it is dropped.
    fn cells(&self) -> Vec<(Timestamp, u64)>;

    /// All hits that were ever counted.
    fn counted(&self) -> u64;

    /// The bytes it takes.
    fn memory_bytes(&self) -> usize;
}

impl Strategy {
    /// The sliding log with room for 1,048,576 distinct microseconds (16 MiB).
    pub const SLIDING: Self = Self::Sliding { max_hits: sliding::DEFAULT_MAX_HITS };
    /// Buckets of a minute.
    pub const FIXED: Self = Self::Fixed { window_size: Duration::from_secs(60) };

    /// Approximate counting with a relative standard error of `error`, 0.001 to 0.5.
    ///
    /// # Errors
    /// [`ConfigError`] if the error lies outside.
    pub fn morris(error: f64) -> Result<Self, ConfigError> {
        Ok(Self::Morris { base: Base::with_error(error)? })
    }

    /// Approximate counting with registers whose steps multiply the estimate by `base`, above 1 and at most 2.
    ///
    /// # Errors
    /// [`ConfigError`] if the base lies outside.
    pub fn morris_base(base: f64) -> Result<Self, ConfigError> {
        Ok(Self::Morris { base: Base::new(base)? })
    }

    /// The strategy's name, without its options.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Striped => "striped",
            Self::Ring => "ring",
            Self::Fixed { .. } => "fixed",
            Self::Sliding { .. } => "sliding",
            Self::Morris { .. } => "morris",
            Self::Adaptive => "adaptive",
            Self::Custom(custom) => custom.name(),
        }
    }

    /// The name and the options, as [`FromStr`] reads them.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Fixed { window_size } => format!("fixed:window_size={}", window_size.as_secs_f64()),
            Self::Sliding { max_hits } => format!("sliding:max_hits={max_hits}"),
            Self::Morris { base } => format!("morris:base={}", base.get()),
            other => other.name().to_owned(),
        }
    }

    /// Whether the strategy suits `geometry`.
    pub(crate) fn check(&self, geometry: &Geometry) -> Result<(), ConfigError> {
        match self {
            Self::Sliding { max_hits: 0 } => Err(ConfigError::NoHits),
            Self::Fixed { window_size } => crate::window::fixed::Fixed::check(geometry, *window_size),
            Self::Morris { base } => crate::sketch::morris_ring::MorrisRing::check(geometry, *base),
            _ => Ok(()),
        }
    }
}

impl PartialEq for Strategy {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Striped, Self::Striped) | (Self::Ring, Self::Ring) | (Self::Adaptive, Self::Adaptive) => true,
            (Self::Fixed { window_size: ours }, Self::Fixed { window_size: theirs }) => ours == theirs,
            (Self::Sliding { max_hits: ours }, Self::Sliding { max_hits: theirs }) => ours == theirs,
            (Self::Morris { base: ours }, Self::Morris { base: theirs }) => ours == theirs,
            (Self::Custom(ours), Self::Custom(theirs)) => Arc::ptr_eq(ours, theirs),
            _ => false,
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text does not name a strategy.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StrategyError {
    /// No strategy has this name.
    Unknown(String),
    /// The strategy has no such option, or it was given something else than a number.
    Option(String),
    /// The option's value is out of range.
    Value(ConfigError),
}

impl fmt::Display for StrategyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(
                f,
                "the strategy {name:?} is not known; choose \"striped\", \"ring\", \"fixed\", \"sliding\", \"morris\" or \
                 \"adaptive\""
            ),
            Self::Option(text) => write!(
                f,
                "{text:?} is not an option; there are fixed:window_size=SECONDS, sliding:max_hits=NUMBER, \
                 morris:error=NUMBER and morris:base=NUMBER"
            ),
            Self::Value(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StrategyError {}

impl From<ConfigError> for StrategyError {
    fn from(error: ConfigError) -> Self {
        Self::Value(error)
    }
}

impl FromStr for Strategy {
    type Err = StrategyError;

    fn from_str(text: &str) -> Result<Self, StrategyError> {
        let (name, option) = match text.split_once(':') {
            Some((name, option)) => (name, Some(option)),
            None => (text, None),
        };
        let plain = match name {
            "striped" => Self::Striped,
            "ring" => Self::Ring,
            "fixed" => Self::FIXED,
            "sliding" => Self::SLIDING,
            "morris" => Self::morris(0.05)?,
            "adaptive" => Self::Adaptive,
            other => return Err(StrategyError::Unknown(other.to_owned())),
        };
        let Some(option) = option else { return Ok(plain) };
        let wrong = || StrategyError::Option(text.to_owned());
        let (key, value) = option.split_once('=').ok_or_else(wrong)?;
        let number = || value.parse::<f64>().map_err(|_| wrong());
        match (name, key) {
            ("fixed", "window_size") => {
                let window_size = Duration::try_from_secs_f64(number()?).map_err(|_| wrong())?;
                Ok(Self::Fixed { window_size })
            }
            ("sliding", "max_hits") => Ok(Self::Sliding { max_hits: value.parse().map_err(|_| wrong())? }),
            ("morris", "error") => Ok(Self::morris(number()?)?),
            ("morris", "base") => Ok(Self::morris_base(number()?)?),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_is_read_as_it_is_written() {
        let all = [
            Strategy::Striped,
            Strategy::Ring,
            Strategy::FIXED,
            Strategy::Fixed { window_size: Duration::from_millis(1_500) },
            Strategy::Sliding { max_hits: 7 },
            Strategy::morris(0.05).expect("a usual error"),
            Strategy::morris_base(2.0).expect("the seed's base"),
            Strategy::Adaptive,
        ];
        for strategy in &all {
            assert_eq!(strategy.to_text().parse().as_ref(), Ok(strategy));
            assert_eq!(all.iter().filter(|other| *other == strategy).count(), 1);
        }
    }

    #[test]
    fn the_error_of_an_unknown_strategy_names_the_cure() {
        for (text, cure) in [
            ("rings", "\"ring\""),
            ("", "\"ring\""),
            ("ring:window_size=1", "fixed:window_size"),
            ("sliding:max_hits=x", "sliding:max_hits=NUMBER"),
            ("sliding:max_hits", "sliding:max_hits=NUMBER"),
            ("fixed:window_size=-1", "fixed:window_size=SECONDS"),
            ("morris:error=7", "0.5"),
        ] {
            let error = text.parse::<Strategy>().expect_err(text).to_string();
            assert!(error.contains(cure), "{text}: {error}");
        }
    }
}
