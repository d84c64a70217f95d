//! JSON lines: an object a line, whose fields have the names of `fields.rs`.
//!
//! A field is found at the top or within objects (`request.uri` of Caddy). The strings of an array are joined by commas,
//! as several headers of one name are. A comma behind the object is ignored. If a name occurs twice, its first value
//! counts.
//!
//! JSON is UTF-8 without `\x`, but servers write the bytes of a URL as they came, or as `\xNN`. Such lines are read all the
//! same ([`mended`]). Bytes that are not JSON become characters for private use, and turn into bytes again once the values
//! are extracted.
//!
//! Tests: `tests/replay`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::fields::{About, Known, Meaning, Names, Values, push_plain};
use super::hit::{Malformed, NONE};
use super::moment;

/// The values that have a meaning in a line.
pub(crate) fn read<'a>(line: &'a [u8], names: &Names, name: &mut Vec<u8>) -> Result<Values<'a>, Malformed> {
    let line = line.trim_ascii();
    if !line.starts_with(b"{") {
        return Err(Malformed::NoJson);
    }
    if let Ok(values) = str::from_utf8(line).map_err(|_| Malformed::NoJson).and_then(|text| parse(text, names, name)) {
        return Ok(values);
    }
    let mended = mended(line).ok_or(Malformed::NoJson)?;
    parse(&mended, names, name).map(|values| values.map(revealed))
}

fn parse<'a>(text: &'a str, names: &Names, name: &mut Vec<u8>) -> Result<Values<'a>, Malformed> {
    name.clear();
    let mut values = Values::default();
    let text = text.trim_ascii_end();
    let mut json = serde_json::Deserializer::from_str(text.strip_suffix(',').unwrap_or(text));
    let field = Field { names, name, values: &mut values, known: None, is_object: true };
    field.deserialize(&mut json).and_then(|()| json.end()).map_err(|_| Malformed::NoJson)?;
    Ok(values)
}

/// The first of the characters that stand for bytes, at the end of the last plane, which is for private use.
const FIRST: u32 = 0x10_ff00;

/// The character that stands for a byte.
fn hidden(byte: u8) -> char {
    char::from_u32(FIRST + u32::from(byte)).expect("the last plane ends with these")
}

/// `line` as JSON, in which characters replace the parts that are not JSON: bytes that are not UTF-8, `\xNN`, and
/// surrogates that are alone. `None` if the line does not need mending.
fn mended(line: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(line.len() * 2);
    let mut is_mended = false;
    for chunk in line.utf8_chunks() {
        let mut rest = chunk.valid();
        while !rest.is_empty() {
            let (length, by) = mend(rest);
            is_mended |= by.is_some();
            match by {
                Some(bytes) => text.extend(bytes.iter().map(|&byte| hidden(byte))),
                None => text.push_str(&rest[..length]),
            }
            rest = &rest[length..];
        }
        is_mended |= !chunk.invalid().is_empty();
        text.extend(chunk.invalid().iter().map(|&byte| hidden(byte)));
    }
    is_mended.then_some(text)
}

/// The length of the character or escape that `text` begins with. The bytes that replace it are returned, too, if it is not
/// JSON, or if it is one of the characters that replace a byte.
fn mend(text: &str) -> (usize, Option<Vec<u8>>) {
    let number = |digits: Option<&str>| {
        // A sign would be read, too.
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some('\\'), Some('x')) => match number(text.get(2..4)) {
            Some(byte) => (4, Some(vec![byte as u8])),
            None => (2, None),
        },
        (Some('\\'), Some('u')) => match number(text.get(2..6)) {
            Some(0xd800..=0xdbff) => match number(text.get(8..12)).filter(|_| text[6..].starts_with("\\u")) {
                Some(0xdc00..=0xdfff) => (12, None),
                _ => (6, Some("\u{fffd}".into())),
            },
            Some(0xdc00..=0xdfff) => (6, Some("\u{fffd}".into())),
            Some(_) => (6, None),
            None => (2, None),
        },
        (Some('\\'), Some(second)) => (1 + second.len_utf8(), None),
        (Some(first), _) if u32::from(first) >= FIRST => {
            (first.len_utf8(), Some(first.encode_utf8(&mut [0; 4]).as_bytes().to_vec()))
        }
        (Some(first), _) => (first.len_utf8(), None),
        (None, _) => (0, None),
    }
}

/// A value with the bytes for which characters stand.
fn revealed(value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len());
    for character in String::from_utf8_lossy(value).chars() {
        match u32::from(character).checked_sub(FIRST).and_then(|byte| u8::try_from(byte).ok()) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// Reads a value: what it holds, if it has a meaning or is an object that has fields with one.
struct Field<'n, 'v, 'a> {
    names: &'n Names,
    /// The plain name of the value, with those of the objects around it.
    name: &'v mut Vec<u8>,
    values: &'v mut Values<'a>,
    known: Option<Known>,
    is_object: bool,
}

impl<'a> DeserializeSeed<'a> for Field<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        if self.known.is_none() && !self.is_object {
            return json.deserialize_ignored_any(IgnoredAny).map(|_| ());
        }
        json.deserialize_any(self)
    }
}

impl<'a> Field<'_, '_, 'a> {
    fn text<E>(self, value: Cow<'a, [u8]>) -> Result<(), E> {
        if let Some(known) = self.known {
            self.values.add(known, value);
        }
        Ok(())
    }

    /// A number: only of a time its value matters.
    fn number<E>(self, time: Option<i64>, number: impl fmt::Display) -> Result<(), E> {
        match (self.known, time) {
            (Some((Meaning::Time, rank)), Some(time)) => self.values.add_time(rank, time),
            (Some(known @ (Meaning::Evidence, _)), _) => self.values.add(known, NONE),
            (Some(known), _) => self.values.add(known, number.to_string().into_bytes().into()),
            (None, _) => {}
        }
        Ok(())
    }
}

impl<'a> Visitor<'a> for Field<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, value: &'a str) -> Result<(), E> {
        self.text(value.as_bytes().into())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.text(value.as_bytes().to_vec().into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.number(Some(moment::whole(value)), value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.number(i64::try_from(value).ok().map(moment::whole), value)
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.number(moment::float(value), value)
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.number(None, value)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut sequence: A) -> Result<(), A::Error> {
        let mut texts = Vec::new();
        while let Some(element) = sequence.next_element::<serde_json::Value>()? {
            texts.extend(element.as_str().map(str::to_owned));
        }
        self.text(texts.join(",").into_bytes().into())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        if !self.is_object {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        let Field { names, name, values, .. } = self;
        if !name.is_empty() {
            name.push(b'.');
        }
        let around = name.len();
        while map.next_key_seed(Name(name))?.is_some() {
            let About { known, is_object } = names.about(name);
            map.next_value_seed(Field { names, name, values, known, is_object })?;
            name.truncate(around);
        }
        Ok(())
    }
}

/// Appends the plain form of a name.
struct Name<'v>(&'v mut Vec<u8>);

impl<'a> DeserializeSeed<'a> for Name<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<(), E> {
        push_plain(self.0, name.as_bytes());
        Ok(())
    }
}
