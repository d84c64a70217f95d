//! [`Last`]: how far back a question looks, as requests write it: `90s`, `5m`, `1h`, `2d`, or seconds.
//!
//! Tests: below.

use std::fmt;
use std::time::Duration;

/// The most digits of a number.
const DIGITS: usize = 9;

/// A whole number of seconds, 1 at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last(u64);

/// A text does not say how far back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSpan {
    /// The text.
    pub given: String,
}

impl Last {
    /// All texts that [`parse`](Self::parse) reads, as a regular expression.
    pub const PATTERN: &'static str = "^[1-9][0-9]{0,8}[smhd]?$";

    /// A span of a registry, which is rounded up to seconds.
    #[must_use]
    pub fn of(span: Duration) -> Self {
        Self(span.as_nanos().div_ceil(1_000_000_000).max(1) as u64)
    }

    /// The span that `text` writes.
    ///
    /// # Errors
    /// [`NoSpan`] for everything else, 0 too.
    pub fn parse(text: &str) -> Result<Self, NoSpan> {
        let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
        let unit = match &text[digits.len()..] {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => 0,
        };
        let plain = (1..=DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = if plain && !digits.starts_with('0') { digits.parse().unwrap_or(0) } else { 0 };
        if number * unit > 0 { Ok(Self(number * unit)) } else { Err(NoSpan { given: text.to_owned() }) }
    }

    /// The seconds.
    #[must_use]
    pub fn secs(self) -> u64 {
        self.0
    }

    /// The span.
    #[must_use]
    pub fn span(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl fmt::Display for NoSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { given } = self;
        write!(f, "{given:?} does not say how far back to look; give seconds, or a number and s, m, h or d such as 5m")
    }
}

impl std::error::Error for NoSpan {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_of_each_unit() {
        for (text, secs) in
            [("1", 1), ("90s", 90), ("5m", 300), ("1h", 3_600), ("2d", 172_800), ("999999999d", 86_399_999_913_600)]
        {
            assert_eq!(Last::parse(text), Ok(Last(secs)), "{text}");
        }
        for text in ["", "0", "0s", "05", "m", "5M", "5min", "-1", "1.5", "+5", " 5", "5 m", "1000000000", "\u{0665}"] {
            assert_eq!(Last::parse(text), Err(NoSpan { given: text.to_owned() }));
        }
        let of = |millis| Last::of(Duration::from_millis(millis)).secs();
        assert_eq!((of(0), of(1), of(1_000), of(1_001)), (1, 1, 1, 2));
    }

    proptest! {
        #[test]
        fn the_pattern_is_what_is_read(text in "[0-9]{0,11}[smhdx]{0,2}|\\PC{0,6}") {
            let pattern = regex::Regex::new(Last::PATTERN).expect("it is one");
            prop_assert_eq!(Last::parse(&text).is_ok(), pattern.is_match(&text), "{:?}", text);
        }
    }
}
