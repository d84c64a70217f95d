//! Moments as people write them: unix seconds or RFC 3339, always shown in UTC.
//!
//! A moment is a whole number of seconds since 1970-01-01T00:00:00Z, negative before it. A fraction is dropped towards
//! the past, which changes no answer: hits carry whole seconds, so (T - last, T] holds the same ones.
//!
//! Tests: below, `tests/replay`.

use crate::cli::log::date::{civil, days, is_real};

/// Reads unix seconds (`1548116951`) or RFC 3339 with its zone (`2019-01-22T00:29:11Z`, `2019-01-22T03:59:11+03:30`).
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if are_digits(whole.strip_prefix('-').unwrap_or(whole)) && fraction.is_none_or(are_digits) {
        let is_between = fraction.is_some_and(|fraction| fraction.bytes().any(|byte| byte != b'0'));
        let seconds: Option<i64> = whole.parse().ok();
        // -1.5 lies in the second that begins at -2.
        let seconds = seconds.and_then(|seconds| seconds.checked_sub(i64::from(is_between && whole.starts_with('-'))));
        return seconds.ok_or_else(|| "too many digits for a time in unix seconds".to_owned());
    }
    rfc3339(text.as_bytes()).ok_or_else(|| {
        "give unix seconds such as 1548116951, or RFC 3339 with a zone such as 2019-01-22T00:29:11Z".to_owned()
    })
}

fn rfc3339(text: &[u8]) -> Option<i64> {
    let (head, mut tail) = text.split_at_checked(19)?;
    let shape_fits = head.iter().enumerate().all(|(at, &byte)| match at {
        4 | 7 => byte == b'-',
        10 => matches!(byte, b'T' | b't' | b' '),
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    if !shape_fits {
        return None;
    }
    if let Some(fraction) = tail.strip_prefix(b".") {
        let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if length == 0 {
            return None;
        }
        tail = &fraction[length..];
    }
    let ahead = match tail {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h @ .., b':', _, _] if h.len() == 2 && digits_at(tail, &[1, 2, 4, 5]) => {
            let (hours, minutes) = (number(&tail[1..3]), number(&tail[4..6]));
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 3_600 + minutes * 60) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let (year, month, day) = (number(&head[..4]), number(&head[5..7]), number(&head[8..10]));
    let (hour, minute, second) = (number(&head[11..13]), number(&head[14..16]), number(&head[17..]));
    let real = is_real(year, month, day) && hour < 24 && minute < 60 && second < 60;
    real.then(|| days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - ahead)
}

fn digits_at(text: &[u8], places: &[usize]) -> bool {
    places.iter().all(|&at| text[at].is_ascii_digit())
}

/// The value of a few ASCII digits.
fn number(digits: &[u8]) -> i64 {
    digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'))
}

/// RFC 3339 in UTC. Years beyond 9999 or before 0, which only a zone can bring about, get a sign.
pub(crate) fn shown(time: i64) -> String {
    let (year, month, day) = civil(time.div_euclid(86_400));
    let second = time.rem_euclid(86_400);
    let year = if (0..=9_999).contains(&year) { format!("{year:04}") } else { format!("{year:+05}") };
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_seconds() {
        for (text, time) in [("0", 0), ("1548116951", 1_548_116_951), ("-1", -1), ("007", 7)] {
            assert_eq!(parse(text), Ok(time));
        }
        for (text, time) in
            [("1.5", 1), ("1707000001.999", 1_707_000_001), ("-1.5", -2), ("-1.0", -1), ("-0.1", -1), ("0.0", 0)]
        {
            assert_eq!(parse(text), Ok(time), "{text}: a fraction is dropped towards the past");
        }
        for text in [
            "",
            "-",
            "--1",
            "+5",
            "1.",
            ".5",
            "-.5",
            "1.5.5",
            "1.x",
            "1e9",
            " 5",
            "99999999999999999999",
            "-9223372036854775808.5",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rfc3339_with_any_zone() {
        for text in [
            "2019-01-22T00:29:11Z",
            "2019-01-22t00:29:11z",
            "2019-01-22 00:29:11Z",
            "2019-01-22T03:59:11+03:30",
            "2019-01-21T17:29:11-07:00",
            "2019-01-22T00:29:11.999999Z",
            "2019-01-22T00:29:11-00:00",
        ] {
            assert_eq!(parse(text), Ok(1_548_116_951), "{text}");
        }
        assert_eq!(parse("1969-12-31T23:59:59.5Z"), Ok(-1), "a fraction goes towards the past");
        assert_eq!(parse("2000-02-29T00:00:00Z"), Ok(951_782_400));
    }

    #[test]
    fn text_that_is_not_a_time_is_refused() {
        for text in [
            "2019-01-22T00:29:11",
            "2019-01-22",
            "2019-01-22T00:29Z",
            "2019-01-22T00:29:11+0330",
            "2019-01-22T00:29:11+03:60",
            "2019-01-22T00:29:11+24:00",
            "2019-01-22T00:29:11.Z",
            "2019-01-22T00:29:11ZZ",
            "2019-01-22T00:29:60Z",
            "2019-01-22T24:00:00Z",
            "2019-02-29T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "2019-1-22T00:29:11Z",
            "2019/01/22T00:29:11Z",
            "2019-01-22T00:29:11é",
            "22/Jan/2019:03:59:11 +0330",
        ] {
            assert!(parse(text).is_err_and(|why| why.contains("RFC 3339")), "{text}");
        }
    }

    #[test]
    fn shown_in_utc_and_read_back() {
        assert_eq!(shown(1_548_116_951), "2019-01-22T00:29:11Z");
        assert_eq!(shown(-1), "1969-12-31T23:59:59Z");
        assert_eq!(shown(253_402_300_800), "+10000-01-01T00:00:00Z");
        assert_eq!(shown(-62_135_596_801), "0000-12-31T23:59:59Z");
        for time in (-62_135_596_800..=253_402_300_799).step_by(86_399 * 331) {
            assert_eq!(parse(&shown(time)), Ok(time));
        }
    }
}
