//! W3C extended log format, of IIS and CloudFront: lines that begin with `#` are directives. `#Fields:` names the columns of
//! what follows, until the next one, and `#Date:` says the day where no column does.
//!
//! ```text
//! #Fields: date time c-ip cs-method cs-uri-stem cs-uri-query sc-status
//! 2024-02-03 22:40:00 192.0.2.1 GET /a x=1 200
//! ```
//!
//! Columns are separated by tabs or by a space: by that which gives the first line behind `#Fields:` as many as it names.
//! Times are UTC. The names are those of `fields.rs`.
//!
//! Tests: `tests/replay`.

use memchr::memchr_iter;

use super::fields::{Known, Meaning, Names, Values, push_plain};
use super::hit::Malformed;

/// What each column means.
pub(crate) type Columns = Vec<Option<Known>>;

/// What directives said.
#[derive(Default)]
pub(crate) struct Sheet {
    columns: Columns,
    separator: Option<u8>,
    date: Vec<u8>,
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

impl Sheet {
    /// Takes note of a directive.
    pub(crate) fn directive(&mut self, line: &[u8], names: &Names) {
        if let Some(fields) = line.strip_prefix(b"#Fields:") {
            let fields = fields.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
            self.columns = fields.map(|field| meaning(field, names)).collect();
            self.separator = None;
        } else if let Some(date) = line.strip_prefix(b"#Date:") {
            self.date = date.trim_ascii().split(|&byte| byte == b' ').next().unwrap_or_default().to_vec();
        }
    }

    /// The values that have a meaning in a line.
    pub(crate) fn read<'a>(&mut self, line: &'a [u8]) -> Result<Values<'a>, Malformed> {
        if self.columns.is_empty() {
            return Err(Malformed::NoColumns);
        }
        let fits = |separator: &u8| {
            let line = line.strip_suffix(&[*separator]).unwrap_or(line);
            memchr_iter(*separator, line).count() + 1 == self.columns.len()
        };
        let separator = self.separator.or_else(|| [b'\t', b' '].into_iter().find(fits)).filter(fits);
        let separator = separator.ok_or(Malformed::OtherColumns)?;
        self.separator = Some(separator);
        let mut values = Values::default();
        for (column, value) in self.columns.iter().zip(line.split(|&byte| byte == separator)) {
            if let Some(known) = column {
                values.add(*known, value.into());
            }
        }
        if !self.date.is_empty() {
            values.add((Meaning::Date, u8::MAX), self.date.clone().into());
        }
        Ok(values)
    }
}
