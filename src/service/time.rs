//! Times as requests write them: unix seconds, whole or with a fraction, or RFC 3339 with an offset.
//!
//! Times lie from 1970 to the end of the year 9999. A number outside of it is an error, because it is seldom meant: milliseconds,
//! or a sign too many. A text of RFC 3339 is correct all the same, so the nearest time is taken. A fraction is kept to the
//! nanosecond; what is finer is cut off. A leap second is the last nanosecond before the next minute.
//!
//! Tests: below.

use std::fmt;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::time::Timestamp;

/// Why something is not a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoTime {
    /// It is neither a number nor RFC 3339.
    Form {
        /// What was given.
        given: String,
    },
    /// It lies before 1970, or beyond the year 9999.
    Range {
        /// What was given.
        given: String,
    },
}

impl fmt::Display for NoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form { given } if given.contains(' ') => {
                write!(f, "{given:?} is not a time; in a query write the + of an offset as %2B")
            }
            Self::Form { given } => write!(
                f,
                "{given:?} is not a time; give seconds since 1970, or RFC 3339 with an offset such as 2026-01-31T12:00:00Z"
            ),
            Self::Range { given } => {
                write!(f, "{given} lies before 1970 or beyond the year 9999; give seconds, not milliseconds")
            }
        }
    }
}

impl std::error::Error for NoTime {}

/// The time that `text` writes.
///
/// # Errors
/// [`NoTime`].
pub fn parse(text: &str) -> Result<Timestamp, NoTime> {
    let is_number = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    if !text.is_empty() && text.trim_start_matches('-').bytes().all(is_number) {
        return seconds(text);
    }
    let form = || NoTime::Form { given: text.to_owned() };
    if text.contains(['e', 'E']) && text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        let number: f64 = text.parse().map_err(|_| form())?;
        return seconds(&number.to_string()).map_err(|_| NoTime::Range { given: text.to_owned() });
    }
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| form())?;
    let Ok(secs) = u64::try_from(time.unix_timestamp()) else { return Ok(Timestamp::default()) };
    Ok(Timestamp::new(secs, time.nanosecond()).unwrap_or(Timestamp::MAX))
}

/// The time of a decimal number of seconds.
///
/// # Errors
/// [`NoTime`].
pub fn seconds(text: &str) -> Result<Timestamp, NoTime> {
    let form = || NoTime::Form { given: text.to_owned() };
    let range = || NoTime::Range { given: text.to_owned() };
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || digits.ends_with('.') {
        return Err(form());
    }
    let secs: u64 = whole.parse().map_err(|_| range())?;
    let nanos = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = nanos.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    if is_negative && (secs, nanos) != (0, 0) {
        return Err(range());
    }
    Timestamp::new(secs, nanos).map_err(|_| range())
}

/// `time` as RFC 3339, in UTC.
#[must_use]
pub fn rfc_3339(time: Timestamp) -> String {
    let nanos = i128::from(time.secs()) * 1_000_000_000 + i128::from(time.subsec_nanos());
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(secs: u64, nanos: u32) -> Timestamp {
        Timestamp::new(secs, nanos).expect("before the year 9999")
    }

    #[test]
    fn times_of_either_form() {
        for (text, time) in [
            ("0", at(0, 0)),
            ("-0", at(0, 0)),
            ("1700000000", at(1_700_000_000, 0)),
            ("1700000000.25", at(1_700_000_000, 250_000_000)),
            ("1.0000000019", at(1, 1)),
            ("253402300799", at(253_402_300_799, 0)),
            ("2023-11-14T22:13:20Z", at(1_700_000_000, 0)),
            ("2023-11-14T22:13:20.5Z", at(1_700_000_000, 500_000_000)),
            ("2023-11-15T00:13:20+02:00", at(1_700_000_000, 0)),
            ("1.7e9", at(1_700_000_000, 0)),
            ("17E8", at(1_700_000_000, 0)),
            ("1e-9", at(0, 1)),
            ("1969-12-31T23:59:59Z", at(0, 0)),
            ("0000-01-01T00:00:00Z", at(0, 0)),
            ("9999-12-31T23:59:59-01:00", Timestamp::MAX),
            ("2016-12-31T23:59:60Z", at(1_483_228_799, 999_999_999)),
        ] {
            assert_eq!(parse(text), Ok(time), "{text}");
        }
        for text in
            ["", ".", "1.", ".5", "1.2.3", "--1", "e3", "1e", "now", "2023-11-14", "2023-11-14T22:13:20", " 1", "NaN"]
        {
            assert_eq!(parse(text), Err(NoTime::Form { given: text.to_owned() }));
        }
        for text in ["-1", "-0.5", "253402300800", "1700000000000", "99999999999999999999999", "1e300", "-1e3"] {
            assert_eq!(parse(text), Err(NoTime::Range { given: text.to_owned() }));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(secs in 0u64..=253_402_300_799, nanos in 0u32..1_000_000_000) {
            let time = at(secs, nanos);
            prop_assert_eq!(parse(&rfc_3339(time)), Ok(time));
            prop_assert_eq!(parse(&format!("{secs}.{nanos:09}")), Ok(time));
        }

        #[test]
        fn any_text_is_a_time_or_an_error(text in "\\PC{0,24}|[0-9.TZ:+-]{0,24}") {
            let _ = parse(&text);
        }
    }
}
