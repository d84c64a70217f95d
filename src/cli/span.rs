//! Lengths of time on the command line: `300`, `300s`, `5m`, `1h`, `2d`.
//!
//! Tests: below, `tests/replay`.

/// Whole seconds, 0 or more.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    const FORM: &str = "give whole seconds such as 300, or 90s, 5m, 1h, 2d";
    if text.starts_with('-') {
        return Err(format!("a length of time cannot be negative; {FORM}"));
    }
    let unit = match text.bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 3_600,
        Some(b'd') => 86_400,
        _ => 0,
    };
    let digits = if unit == 0 { text } else { &text[..text.len() - 1] };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FORM.to_owned());
    }
    let number: Option<i64> = digits.parse().ok();
    number.and_then(|number| number.checked_mul(unit.max(1))).ok_or_else(|| format!("too long; {FORM}"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn forms() {
        for (text, seconds) in [("300", 300), ("0", 0), ("90s", 90), ("5m", 300), ("1h", 3_600), ("2d", 172_800)] {
            assert_eq!(parse(text), Ok(seconds), "{text}");
        }
        assert_eq!(parse("9223372036854775807"), Ok(i64::MAX));
    }

    #[test]
    fn text_that_is_not_a_length_of_time_is_refused() {
        for text in ["", "s", "5x", "1.5", "+5", " 5", "5 m", "1h30m", "5M", "é", "٣"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("-5").is_err_and(|text| text.contains("negative")));
        assert!(parse("9223372036854775808").is_err_and(|text| text.contains("too long")));
        assert!(parse("999999999999999999d").is_err_and(|text| text.contains("too long")));
    }
}
