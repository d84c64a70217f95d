//! W3C extended log format, of IIS and CloudFront: lines that begin with `#` are directives, and `#Fields:` names the
//! columns of what follows, until the next one.
//!
//! ```text
//! #Fields: date time c-ip cs-method cs-uri-stem cs-uri-query sc-status
//! 2024-02-03 22:40:00 192.0.2.1 GET /a x=1 200
//! ```
//!
//! Columns are separated by tabs, if a line has one, else by a space. Times are UTC. The names are those of `fields.rs`.
//!
//! Tests: `tests/replay`.

use memchr::{memchr, memchr_iter};

use super::fields::{Known, Names, Values, push_plain};
use super::hit::Malformed;

/// What each column means.
pub(crate) type Columns = Vec<Option<Known>>;

/// The columns that a `#Fields:` directive names. `None` for any other line.
pub(crate) fn fields(line: &[u8], names: &Names) -> Option<Columns> {
    let fields = line.strip_prefix(b"#Fields:")?;
    let fields = fields.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    Some(fields.map(|field| meaning(field, names)).collect())
}

/// Whether a line is a directive that a log may begin with.
pub(crate) fn is_directive(line: &[u8]) -> bool {
    [&b"#Version:"[..], b"#Software:", b"#Date:", b"#Fields:"].iter().any(|start| line.starts_with(start))
}

/// What a column of the name means.
pub(crate) fn meaning(name: &[u8], names: &Names) -> Option<Known> {
    let mut plain = Vec::new();
    push_plain(&mut plain, name);
    names.known(&plain)
}

/// The values that have a meaning in a line.
pub(crate) fn read<'a>(line: &'a [u8], columns: &Columns) -> Result<Values<'a>, Malformed> {
    if columns.is_empty() {
        return Err(Malformed::NoColumns);
    }
    let separator = if memchr(b'\t', line).is_some() { b'\t' } else { b' ' };
    let line = line.strip_suffix(&[separator]).unwrap_or(line);
    if memchr_iter(separator, line).count() + 1 != columns.len() {
        return Err(Malformed::OtherColumns);
    }
    let mut values = Values::default();
    for (column, value) in columns.iter().zip(line.split(|&byte| byte == separator)) {
        if let Some(known) = column {
            values.add(*known, value.into());
        }
    }
    Ok(values)
}
