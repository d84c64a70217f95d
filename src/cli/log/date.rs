//! The calendar, and the stamp `10/Oct/2000:13:55:36 -0700` that access logs carry. Its seconds may have a fraction, which
//! is dropped, and its zone a colon.
//!
//! Years are 1 to 9999 of the Gregorian calendar, carried back before its beginning. The conversion counts years from
//! March, so that a leap day is the last of its year: the idea is Howard Hinnant's (chrono-compatible date algorithms).
//!
//! Tests: below, `tests/replay`.

/// Days from 1970-01-01 to a date. The date must be real ([`is_real`]).
pub(crate) fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date, as year, month and day, that lies `days` after 1970-01-01.
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let from_march_0 = days + 719_468;
    let (era, day_of_era) = (from_march_0.div_euclid(146_097), from_march_0.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Whether the calendar has this date, in the years 1 to 9999.
pub(crate) fn is_real(year: i64, month: i64, day: i64) -> bool {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return false,
    };
    (1..=9_999).contains(&year) && (1..=length).contains(&day)
}

/// The fields of a log's date, in the right shape but perhaps no real date.
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    year: i64,
    month: [u8; 3],
    day: i64,
    second_of_day: i64,
    clock_is_real: bool,
    /// Seconds that the zone is ahead of UTC. Any four digits are a zone: hours, then minutes.
    ahead: i64,
}

impl Stamp {
    /// Reads the stamp that `text` begins with, and returns what follows it. `None` when the bytes have another shape.
    pub(crate) fn read(text: &[u8]) -> Option<(Stamp, &[u8])> {
        let (date, mut rest) = text.split_first_chunk::<20>()?;
        let punctuation = [date[2], date[6], date[11], date[14], date[17]];
        let month = [date[3], date[4], date[5]];
        if &punctuation != b"//:::"
            || !month[0].is_ascii_uppercase()
            || !month[1].is_ascii_lowercase()
            || !month[2].is_ascii_lowercase()
        {
            return None;
        }
        if let [b'.', fraction @ ..] = rest {
            let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            rest = (length > 0).then(|| &fraction[length..])?;
        }
        let (sign, hours, minutes, rest) = match rest {
            [b' ', sign, h1, h2, b':', m1, m2, rest @ ..] | [b' ', sign, h1, h2, m1, m2, rest @ ..] => {
                (*sign, pair(*h1, *h2)?, pair(*m1, *m2)?, rest)
            }
            _ => return None,
        };
        let sign = match sign {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let day = pair(date[0], date[1])?;
        let year = pair(date[7], date[8])? * 100 + pair(date[9], date[10])?;
        let (hour, minute, second) = (pair(date[12], date[13])?, pair(date[15], date[16])?, pair(date[18], date[19])?);
        let ahead = sign * (hours * 3_600 + minutes * 60);
        let second_of_day = hour * 3_600 + minute * 60 + second;
        // A leap second is the first one of the next minute.
        let clock_is_real = hour < 24 && minute < 60 && second <= 60;
        Some((Stamp { year, month, day, second_of_day, clock_is_real, ahead }, rest))
    }

    /// Unix seconds in UTC. `None` if the date or the time of day does not exist (30 February, 24:00, a 62nd second).
    pub(crate) fn unix_seconds(self) -> Option<i64> {
        let month = match &self.month {
            b"Jan" => 1,
            b"Feb" => 2,
            b"Mar" => 3,
            b"Apr" => 4,
            b"May" => 5,
            b"Jun" => 6,
            b"Jul" => 7,
            b"Aug" => 8,
            b"Sep" => 9,
            b"Oct" => 10,
            b"Nov" => 11,
            b"Dec" => 12,
            _ => return None,
        };
        let real = self.clock_is_real && is_real(self.year, month, self.day);
        real.then(|| days(self.year, month, self.day) * 86_400 + self.second_of_day - self.ahead)
    }
}

/// The value of two ASCII digits.
fn pair(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens * 10 + ones))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<i64> {
        let (stamp, rest) = Stamp::read(text.as_bytes())?;
        assert_eq!(rest, b"", "{text}");
        stamp.unix_seconds()
    }

    /// Walks every day of the years 1 to 9999 with nothing but month lengths.
    #[test]
    fn every_day_of_every_year() {
        let mut day_number = days(1, 1, 1);
        assert_eq!(day_number, -719_162);
        for year in 1..=9_999 {
            let leap = if year % 100 == 0 { year % 400 == 0 } else { year % 4 == 0 };
            let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            for (month, length) in (1..).zip(lengths) {
                for day in 1..=length {
                    assert_eq!(days(year, month, day), day_number);
                    assert_eq!(civil(day_number), (year, month, day));
                    assert!(is_real(year, month, day));
                    day_number += 1;
                }
                assert!(!is_real(year, month, 0) && !is_real(year, month, length + 1), "{year}-{month}");
            }
        }
        assert_eq!(civil(0), (1970, 1, 1));
        assert!(!is_real(0, 1, 1) && !is_real(10_000, 1, 1) && !is_real(2000, 0, 1) && !is_real(2000, 13, 1));
    }

    #[test]
    fn stamps_with_zones() {
        assert_eq!(seconds("10/Oct/2000:13:55:36 -0700"), Some(971_211_336));
        assert_eq!(seconds("10/Oct/2000:20:55:36 +0000"), Some(971_211_336));
        assert_eq!(seconds("11/Oct/2000:02:25:36 +0530"), Some(971_211_336));
        assert_eq!(seconds("01/Jan/1970:00:00:00 +0000"), Some(0));
        assert_eq!(seconds("01/Jan/1970:00:00:00 +0100"), Some(-3_600));
        assert_eq!(seconds("01/Jan/1970:00:00:00 +9999"), Some(-(99 * 3_600 + 99 * 60)), "any four digits are a zone");
        assert_eq!(seconds("01/Jan/0001:00:00:00 +0000"), Some(-62_135_596_800));
        assert_eq!(seconds("31/Dec/9999:23:59:59 +0000"), Some(253_402_300_799));
        assert_eq!(seconds("29/Feb/2024:12:00:00 +0000"), Some(1_709_208_000));
    }

    #[test]
    fn each_month_has_its_name() {
        let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        for (month, name) in (1..).zip(names) {
            assert_eq!(seconds(&format!("01/{name}/2021:00:00:00 +0000")), Some(days(2021, month, 1) * 86_400));
        }
        assert_eq!(seconds("01/Okt/2021:00:00:00 +0000"), None);
    }

    #[test]
    fn dates_that_do_not_exist() {
        for text in [
            "30/Feb/2024:00:00:00 +0000",
            "29/Feb/2023:00:00:00 +0000",
            "29/Feb/1900:00:00:00 +0000",
            "31/Apr/2023:00:00:00 +0000",
            "00/Jan/2023:00:00:00 +0000",
            "01/Jan/0000:00:00:00 +0000",
            "01/Jan/2023:24:00:00 +0000",
            "01/Jan/2023:00:60:00 +0000",
            "01/Jan/2023:00:00:61 +0000",
        ] {
            assert!(Stamp::read(text.as_bytes()).is_some(), "{text} has the shape");
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn fractions_colons_and_leap_seconds() {
        for text in [
            "10/Oct/2000:13:55:36.0 -0700",
            "10/Oct/2000:13:55:36.999999999 -0700",
            "10/Oct/2000:13:55:36 -07:00",
            "10/Oct/2000:13:55:36.25 -07:00",
        ] {
            assert_eq!(seconds(text), Some(971_211_336), "{text}");
        }
        assert_eq!(seconds("31/Dec/2016:23:59:60 +0000"), Some(1_483_228_800), "the second behind it");
        assert_eq!(seconds("10/Oct/2000:13:55:60 -0700"), seconds("10/Oct/2000:13:56:00 -0700"));
        for text in [
            "10/Oct/2000:13:55:36. -0700",
            "10/Oct/2000:13:55:36.x -0700",
            "10/Oct/2000:13:55:36.5-0700",
            "10/Oct/2000:13:55:36 -07:0",
            "10/Oct/2000:13:55:36 -07:",
            "10/Oct/2000:13:55:36 -070:0",
        ] {
            assert!(Stamp::read(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn other_shapes_are_no_stamp() {
        let good = *b"10/Oct/2000:13:55:36 -0700";
        assert!(Stamp::read(&good).is_some_and(|(_, rest)| rest.is_empty()));
        assert!(Stamp::read(b"10/Oct/2000:13:55:36 -0700] x").is_some_and(|(_, rest)| rest == b"] x"));
        for at in 0..good.len() {
            assert!(Stamp::read(&good[..at]).is_none(), "{at} bytes");
            for wrong in [b'x', b'X', b' ', b'_', b';', 0xb2, 0xff, 0] {
                let mut text = good;
                text[at] = wrong;
                let allowed = wrong == good[at] || matches!((at, wrong), (3, b'X') | (4 | 5, b'x') | (20, b' '));
                assert_eq!(Stamp::read(&text).is_some(), allowed, "{wrong:#x} at {at}");
            }
        }
    }
}
