//! CSV with the names of the columns in its first line, which may be those of `fields.rs` or given.
//!
//! Columns are separated by `,`, `;`, a tab or `|`: by the one with which the first line has the most known names. A value
//! may stand in quotes, and has two for each quote in it. It holds no line end, because lines are cut before.
//!
//! Tests: `tests/replay`.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::fields::{Meaning, Names, Values};
use super::hit::Malformed;
use super::w3c::{Columns, meaning};

/// The longest first line of a table.
const LONGEST_HEADER: usize = 64 << 10;

/// The columns of a table, and how its lines are split.
pub(crate) struct Table {
    /// The first line.
    header: Vec<u8>,
    columns: Columns,
    reader: Reader,
    /// The values of the last line, one behind the other, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Table {
    /// The table whose first line is `line`, if that names a time and a path.
    pub(crate) fn new(line: &[u8], names: &Names) -> Option<Table> {
        if line.len() > LONGEST_HEADER {
            return None;
        }
        // Looks at the names first, because a CSV reader costs far more and most lines are not the first line of a table.
        let columns = |separator: u8| -> Columns {
            line.split(|&byte| byte == separator).map(|name| meaning(name, names)).collect()
        };
        let separators = [b',', b';', b'\t', b'|'];
        let best = separators.into_iter().max_by_key(|&separator| columns(separator).iter().flatten().count())?;
        let columns = columns(best);
        let has = |wanted: &[Meaning]| columns.iter().flatten().any(|(meaning, _)| wanted.contains(meaning));
        if !has(&[Meaning::Time, Meaning::Date]) || !has(&[Meaning::Path, Meaning::Url, Meaning::Request]) {
            return None;
        }
        let reader = ReaderBuilder::new().delimiter(best).build();
        let header = line.to_vec();
        let mut table = Table { header, columns: Columns::new(), reader, text: Vec::new(), ends: Vec::new() };
        table.split(line).ok()?;
        table.columns = table.values().map(|name| meaning(name, names)).collect();
        Some(table)
    }

    /// Whether a line is the first one again.
    pub(crate) fn is_header(&self, line: &[u8]) -> bool {
        line == self.header
    }

    /// The values that have a meaning in a line.
    pub(crate) fn read<'a>(&'a mut self, line: &[u8]) -> Result<Values<'a>, Malformed> {
        self.split(line)?;
        if self.ends.len() != self.columns.len() {
            return Err(Malformed::OtherColumns);
        }
        let mut values = Values::default();
        for (column, value) in self.columns.iter().zip(self.values()) {
            if let Some(known) = column {
                values.add(*known, value.trim_ascii().into());
            }
        }
        Ok(values)
    }

    fn values(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.text[start..end])
    }

    /// Splits a line at its separators. An error if a quote in it is not closed.
    fn split(&mut self, line: &[u8]) -> Result<(), Malformed> {
        self.reader.reset();
        // No line has more values than bytes, and one.
        self.text.resize(line.len() + 1, 0);
        self.ends.resize(line.len() + 1, 0);
        let (result, read, written, ends) = self.reader.read_record(line, &mut self.text, &mut self.ends);
        if read < line.len() || result != ReadRecordResult::InputEmpty {
            return Err(Malformed::OtherColumns);
        }
        // In quotes a line feed is part of a value, and else it ends the record.
        let (result, _, more, more_ends) =
            self.reader.read_record(b"\n", &mut self.text[written..], &mut self.ends[ends..]);
        if result != ReadRecordResult::Record {
            return Err(Malformed::OtherColumns);
        }
        self.text.truncate(written + more);
        self.ends.truncate(ends + more_ends);
        Ok(())
    }
}
