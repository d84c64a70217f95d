//! Times as fields of logs have them. A fraction is dropped towards the past.
//!
//! | form | read as |
//! |---|---|
//! | `1707000000`, `1707000000.25`, `-5`, `1.7e9` | unix seconds |
//! | a number from 10^11 on, from 10^14 on, from 10^17 on | milliseconds, microseconds, nanoseconds |
//! | `2024-02-03T22:40:00`, with a space for the `T`, with `/` for the `-`, with a fraction behind `.` or `,`, without seconds | UTC, unless a zone follows: `Z`, `UTC`, `+01`, `+0100`, `+01:00`, with a space in front or not, and a name behind or not |
//! | `03/Feb/2024:22:40:00 +0000`, in brackets or not | as in `date.rs` |
//! | `03/Feb/2024:22:40:00.123` | the same in UTC |
//!
//! Ten digits of seconds last until the year 2286, and 12 digits of seconds would be beyond the year 5000, so that the
//! units do not meet.
//!
//! Tests: below, `tests/replay`.

use super::date::{Stamp, days, is_real};

/// Unix seconds of a time in any of the forms above.
pub(crate) fn read(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    let text = text.strip_prefix(b"[").and_then(|text| text.strip_suffix(b"]")).unwrap_or(text);
    match text {
        [_, _, _, _, b'-' | b'/', ..] => iso(text),
        [_, _, b'/', ..] => stamp(text),
        _ => number(text),
    }
}

/// A time as a whole number, in the unit that its size tells.
pub(crate) fn whole(number: i64) -> i64 {
    let units_a_second = match number.unsigned_abs() {
        0..100_000_000_000 => 1,
        100_000_000_000..100_000_000_000_000 => 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000_000,
        _ => 1_000_000_000,
    };
    number.div_euclid(units_a_second)
}

/// A time as a number with a fraction.
pub(crate) fn float(number: f64) -> Option<i64> {
    let limit = 9.2e18;
    (number.abs() < limit).then(|| if number.abs() < 1e11 { number.floor() as i64 } else { whole(number as i64) })
}

fn number(text: &[u8]) -> Option<i64> {
    let text = str::from_utf8(text).ok()?;
    if let Ok(number) = text.parse() {
        return Some(whole(number));
    }
    // `parse` takes words such as inf and nan, too.
    if !text.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
        return None;
    }
    float(text.parse().ok()?)
}

/// Reads `03/Feb/2024:22:40:00` with a zone or in UTC.
pub(crate) fn stamp(text: &[u8]) -> Option<i64> {
    if let Some((stamp, rest)) = Stamp::read(text) {
        return if rest.is_empty() { stamp.unix_seconds() } else { None };
    }
    let with_zone = [text, b" +0000"].concat();
    let (stamp, rest) = Stamp::read(&with_zone)?;
    if rest.is_empty() { stamp.unix_seconds() } else { None }
}

fn iso(text: &[u8]) -> Option<i64> {
    let (head, rest) = text.split_first_chunk::<16>()?;
    let is_right = matches!([head[4], head[7], head[13]], [b'-', b'-', b':'] | [b'/', b'/', b':']);
    if !is_right || !matches!(head[10], b'T' | b't' | b' ') {
        return None;
    }
    let [year, month, day] = [&head[..4], &head[5..7], &head[8..10]].map(digits);
    let [hour, minute] = [&head[11..13], &head[14..]].map(digits);
    let (second, rest) = match rest {
        [b':', s1, s2, rest @ ..] => (digits(&[*s1, *s2]), behind_fraction(rest)?),
        _ => (Some(0), rest),
    };
    let ahead = zone(rest)?;
    let (year, month, day, hour, minute, second) = (year?, month?, day?, hour?, minute?, second?);
    // A leap second is the first one of the next minute.
    let real = is_real(year, month, day) && hour < 24 && minute < 60 && second <= 60;
    real.then(|| days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - ahead)
}

fn behind_fraction(text: &[u8]) -> Option<&[u8]> {
    match text {
        [b'.' | b',', fraction @ ..] => {
            let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (length > 0).then(|| &fraction[length..])
        }
        _ => Some(text),
    }
}

/// Seconds that a zone is ahead of UTC.
fn zone(text: &[u8]) -> Option<i64> {
    let text = text.strip_prefix(b" ").unwrap_or(text);
    // Go writes `+0000 UTC`.
    let text = match text {
        [b'+' | b'-', ..] => &text[..text.iter().position(|&byte| byte == b' ').unwrap_or(text.len())],
        _ => text,
    };
    if matches!(text, [] | b"Z" | b"z" | b"UTC" | b"GMT") {
        return Some(0);
    }
    let (sign, hours) = text.split_first()?;
    let (hours, minutes) = hours.split_at_checked(2)?;
    let minutes = match minutes {
        [] => b"00",
        [b':', minutes @ ..] | minutes => minutes,
    };
    let ahead = digits(hours)? * 3_600 + digits(minutes)? * 60;
    match sign {
        _ if minutes.len() != 2 => None,
        b'+' => Some(ahead),
        b'-' => Some(-ahead),
        _ => None,
    }
}

/// The value of a few ASCII digits.
fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: i64 = 1_707_000_000;

    #[test]
    fn every_form() {
        for text in [
            "1707000000",
            "1707000000.999",
            "1.707e9",
            "1707000000123",
            "1707000000123.9",
            "1707000000123456",
            "1707000000123456789",
            "2024-02-03T22:40:00",
            "2024-02-03 22:40:00",
            "2024-02-03t22:40:00z",
            "2024-02-03T22:40:00.123456789Z",
            "2024-02-03 22:40:00,123",
            "2024-02-03T22:40:00 UTC",
            "2024-02-03T22:40Z",
            "2024-02-03 22:40",
            "2024/02/03 22:40:00.123",
            "2024-02-03 22:40:00.1 +0000 UTC",
            "2024-02-03 23:40:00.1 +0100 CET",
            "2024-02-03T23:40:00+01",
            "2024-02-03T23:40:00.5+0100",
            "2024-02-03 18:10:00 -04:30",
            "2024-02-03T22:39:60Z",
            "03/Feb/2024:22:40:00 +0000",
            "[03/Feb/2024:23:40:00 +0100]",
            "03/Feb/2024:22:40:00.123",
            " 1707000000 ",
        ] {
            assert_eq!(read(text.as_bytes()), Some(TIME), "{text}");
        }
        for (text, time) in [("-1.5", -2), ("-1", -1), ("0", 0), ("99999999999", 99_999_999_999), ("1e11", 100_000_000)]
        {
            assert_eq!(read(text.as_bytes()), Some(time), "{text}");
        }
        assert_eq!(whole(-1_500), -1_500, "small numbers are seconds");
        assert_eq!(whole(i64::MIN), -9_223_372_037);
    }

    #[test]
    fn text_that_is_not_a_time_is_refused() {
        for text in [
            "",
            "-",
            "now",
            "inf",
            "nan",
            "1e400",
            "1e300",
            "22:40:00",
            "2024-02-03",
            "2024-02-03T22:4",
            "2024-02/03T22:40",
            "2024-02-03T22:40:0",
            "2024-02-03T22:40:00 CET",
            "2024-02-03T22:40:00.",
            "2024-02-03T22:40:00+1",
            "2024-02-03T22:40:00+01:0",
            "2024-02-03T22:40:00x01:00",
            "2024-02-03T22:40:00Zx",
            "2024-02-30T22:40:00Z",
            "2024-02-03T24:00:00Z",
            "2024-02-03_22:40:00Z",
            "03/Feb/2024:22:40:00 +0000]",
            "30/Feb/2024:22:40:00 +0000",
            "03/Feb/2024:22:40:00 x",
            "1707000000x",
            "0x10",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
