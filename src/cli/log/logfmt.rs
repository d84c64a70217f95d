//! logfmt: pairs of `name=value` separated by spaces. A value in quotes may hold spaces, and quotes behind a backslash.
//!
//! ```text
//! time="2024-02-03T22:40:00Z" level=info method=GET path=/a status=200 remote_addr=192.0.2.1
//! ```
//!
//! Words that are not pairs are skipped. The names are those of `fields.rs`.
//!
//! Tests: `tests/replay`.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::fields::{Names, Values, push_plain};
use super::hit::Malformed;

/// The values that have a meaning in a line.
pub(crate) fn read<'a>(line: &'a [u8], names: &Names, name: &mut Vec<u8>) -> Result<Values<'a>, Malformed> {
    let mut values = Values::default();
    let mut has_pairs = false;
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let end = memchr2(b' ', b'=', rest).unwrap_or(rest.len());
        let key = &rest[..end];
        let Some(behind) = rest[end..].strip_prefix(b"=") else {
            rest = rest[end..].trim_ascii_start();
            continue;
        };
        has_pairs = true;
        let (value, behind) = value(behind);
        name.clear();
        push_plain(name, key);
        if let Some(known) = names.known(name) {
            values.add(known, value);
        }
        rest = behind.trim_ascii_start();
    }
    if has_pairs { Ok(values) } else { Err(Malformed::NoPairs) }
}

/// The value that `text` begins with, and what follows it. Quotes that are not closed are part of a value.
fn value(text: &[u8]) -> (Cow<'_, [u8]>, &[u8]) {
    if let Some(quoted) = text.strip_prefix(b"\"") {
        let mut from = 0;
        while let Some(at) = quoted.get(from..).and_then(|rest| memchr2(b'"', b'\\', rest)).map(|at| from + at) {
            if quoted[at] == b'"' {
                return (unescaped(&quoted[..at]), &quoted[at + 1..]);
            }
            from = at + 2;
        }
    }
    let end = memchr(b' ', text).unwrap_or(text.len());
    (text[..end].into(), &text[end..])
}

fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'\\', text).is_none() {
        return text.into();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        match (byte, rest.as_slice().first()) {
            (b'\\', Some(b'"' | b'\\')) => bytes.extend(rest.next()),
            _ => bytes.push(byte),
        }
    }
    bytes.into()
}
