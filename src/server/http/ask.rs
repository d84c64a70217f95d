//! [`Ask`]: a request as handlers see it, with its path, its query and its body read and checked.
//!
//! Tests: below, `tests/python/integration/test_serve.py`.

use std::borrow::Cow;
use std::fmt;

use axum::http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::problem::{Kind, Problem};
use crate::server::context::Context;
use crate::service::Service;
use crate::service::time;
use crate::time::Timestamp;

/// The most hits that one request brings.
pub const MOST_HITS: u64 = 1_000_000;
/// The largest value that a counter is set to: a number that every reader of JSON has exactly.
pub const MOST_OF_VALUE: u64 = (1 << 53) - 1;
/// The most endpoints of an answer, and how many there are if none are asked for.
pub const MOST_OF_TOP: usize = 1_000;
pub const TOP: usize = 10;
/// The most resources of an answer, and how many there are if no limit is given.
pub const MOST_OF_RESOURCES: usize = 1_000;
pub const RESOURCES: usize = 100;
/// The most characters of a resource's name.
pub const MOST_OF_NAME: usize = 200;
/// The most characters of a visitor's name.
pub const MOST_OF_VISITOR: usize = 256;

/// A request.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub context: &'a Context,
    /// What the path has in the places of names, decoded.
    pub path: &'a [&'a str],
    pub query: &'a str,
    pub method: &'a Method,
    /// The path as it was sent.
    pub target: &'a str,
    pub headers: &'a HeaderMap,
    pub media_type: Option<&'a [u8]>,
    pub body: &'a [u8],
}

impl<'a> Ask<'a> {
    /// The use cases.
    pub fn service(self) -> &'a Service {
        &self.context.service
    }

    /// The body, which must be there.
    pub fn body<T: Deserialize<'a>>(self) -> Result<T, Problem> {
        let media_type = self.media_type.unwrap_or_default();
        if !is_json(media_type) {
            return Err(not_json(media_type));
        }
        // A list could be read as the fields in their order.
        if self.body.trim_ascii_start().first().is_some_and(|&byte| byte != b'{') {
            return Err(Problem::schema("the body is not a JSON object"));
        }
        serde_json::from_slice(self.body).map_err(|error| Problem::schema(format!("the body does not fit: {error}")))
    }

    /// The body, or the default if the body is empty.
    pub fn body_or_default<T: Deserialize<'a> + Default>(self) -> Result<T, Problem> {
        if self.body.is_empty() { Ok(T::default()) } else { self.body() }
    }

    /// The whole number from 1 to `most` that the query gives as `name`, or `default` if it gives none.
    pub fn number(self, name: &str, text: Option<&str>, most: usize, default: usize) -> Result<usize, Problem> {
        let Some(text) = text else { return Ok(default) };
        let number: Option<usize> =
            if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None };
        let fits = number.filter(|number| (1..=most).contains(number));
        fits.ok_or_else(|| Problem::schema(format!("{name} is {text:?}; give a whole number from 1 to {most}")))
    }

    /// The values of the query's `names`, which may be missing, but no others may be there.
    pub fn query<const N: usize>(self, names: [&str; N]) -> Result<[Option<Cow<'a, str>>; N], Problem> {
        let mut values = [const { None }; N];
        for pair in self.query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            let Some(at) = names.iter().position(|known| *known == name) else {
                let known = if N == 0 { "nothing".to_owned() } else { names.join(", ") };
                return Err(Problem::schema(format!(
                    "{name:?} cannot be in the query of this route, which takes {known}"
                )));
            };
            if values[at].replace(value).is_some() {
                return Err(Problem::schema(format!("the query has {name:?} twice; give it once")));
            }
        }
        Ok(values)
    }
}

/// Whether a body of `media_type` is read.
pub fn is_json(media_type: &[u8]) -> bool {
    let name = media_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    name.eq_ignore_ascii_case(b"application/json")
}

/// Why a body of `media_type` is not read.
pub fn not_json(media_type: &[u8]) -> Problem {
    let given = String::from_utf8_lossy(media_type);
    Problem::new(Kind::MEDIA_TYPE, format!("the body is JSON; say content-type: application/json, not {given:?}"))
}

fn decoded(text: &str) -> Result<Cow<'_, str>, Problem> {
    let wrong = |_| Problem::schema(format!("{text:?} in the query is not UTF-8 when decoded; encode its UTF-8 bytes"));
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8().map_err(wrong)?;
        return Ok(Cow::Owned(decoded.into_owned()));
    }
    percent_decode_str(text).decode_utf8().map_err(wrong)
}

/// A number of hits: a JSON number without a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hits(pub u64);

impl Default for Hits {
    fn default() -> Self {
        Self(1)
    }
}

/// What a counter is set to: a JSON number without a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted(pub u64);

/// A time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Timestamp);

/// A resource's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called(pub String);

/// A visitor's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By<'a>(pub Cow<'a, str>);

impl<'de> Deserialize<'de> for Hits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        whole(deserializer, MOST_HITS).map(Self)
    }
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        whole(deserializer, MOST_OF_VALUE).map(Self)
    }
}

/// A whole number up to `most`, however it is written.
fn whole<'de, D: Deserializer<'de>>(deserializer: D, most: u64) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "looked at before")]
    let whole = |number: f64| {
        (number.fract() == 0.0 && (0.0..=MOST_OF_VALUE as f64).contains(&number)).then_some(number as u64)
    };
    let found = number.as_u64().or_else(|| number.as_f64().and_then(whole));
    found
        .filter(|&found| found <= most)
        .ok_or_else(|| de::Error::custom(format!("{number} is not a whole number from 0 to {most}")))
}

impl<'de> Deserialize<'de> for Called {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let characters = name.chars().count();
        if (1..=MOST_OF_NAME).contains(&characters) {
            return Ok(Self(name));
        }
        Err(de::Error::custom(format!("a resource's name has 1 to {MOST_OF_NAME} characters, not {characters}")))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl Visitor<'_> for Seen {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time: seconds since 1970, or RFC 3339 with an offset")
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Time, E> {
                self.visit_str(&seconds.to_string())
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Time, E> {
                self.visit_str(&seconds.to_string())
            }

            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Time, E> {
                self.visit_str(&seconds.to_string())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                time::parse(text).map(Time).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for By<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = By<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a visitor's name")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<By<'de>, E> {
                checked(Cow::Borrowed(text))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<By<'de>, E> {
                checked(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Seen)
    }
}

fn checked<E: de::Error>(text: Cow<'_, str>) -> Result<By<'_>, E> {
    let characters = text.chars().count();
    if (1..=MOST_OF_VISITOR).contains(&characters) {
        return Ok(By(text));
    }
    let cure = if characters == 0 { "leave it out" } else { "hash it" };
    Err(E::custom(format!("a visitor has 1 to {MOST_OF_VISITOR} characters, not {characters}; {cure}")))
}

/// What a body may leave out but not set to null.
pub fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_hits_are_whole() {
        let hits = |text: &str| serde_json::from_str::<Hits>(text).ok().map(|hits| hits.0);
        for (text, number) in
            [("0", 0), ("668", 668), ("668.0", 668), ("1e3", 1_000), ("1000000", 1_000_000), ("-0", 0)]
        {
            assert_eq!(hits(text), Some(number), "{text}");
        }
        for text in ["668.5", "-1", "1000001", "1e300", "99999999999999999999", "\"1\"", "null", "true", "[]"] {
            assert_eq!(hits(text), None, "{text}");
        }
    }

    #[test]
    fn values_are_whole_and_exact() {
        let value = |text: &str| serde_json::from_str::<Wanted>(text).ok().map(|wanted| wanted.0);
        for (text, number) in [
            ("0", 0),
            ("9007199254740991", MOST_OF_VALUE),
            ("9007199254740991.0", MOST_OF_VALUE),
            ("1e15", 10u64.pow(15)),
        ] {
            assert_eq!(value(text), Some(number), "{text}");
        }
        for text in ["9007199254740992", "9007199254740992.0", "-1", "0.5", "\"1\""] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_numbers_or_texts() {
        let secs =
            |text: &str| serde_json::from_str::<Time>(text).ok().map(|time| (time.0.secs(), time.0.subsec_nanos()));
        for (text, time) in [
            ("1700000000", (1_700_000_000, 0)),
            ("1700000000.25", (1_700_000_000, 250_000_000)),
            ("1.7e9", (1_700_000_000, 0)),
            ("\"1700000000\"", (1_700_000_000, 0)),
            ("\"2023-11-14T22:13:20Z\"", (1_700_000_000, 0)),
        ] {
            assert_eq!(secs(text), Some(time), "{text}");
        }
        for text in ["-1", "1e300", "\"yesterday\"", "null", "true", "{}"] {
            assert_eq!(secs(text), None, "{text}");
        }
    }
}
