//! The page that a demo fills: headings, paragraphs, steps and tables, 79 columns wide.
//!
//! Tests: below, `tests/demo`.

use std::fmt::Write;

const WIDTH: usize = 79;

/// A space at which no line is broken (U+00A0); an ordinary one is printed.
const BOUND: char = '\u{a0}';

/// What is printed.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    number: u8,
}

impl Page {
    /// Begins a scenario.
    pub fn begin(&mut self, number: u8) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.number = number;
    }

    /// Its name, and what it shows.
    pub fn title(&mut self, name: &str, shows: &str) {
        let heading = format!("{}. {name}", self.number);
        let line = "=".repeat(heading.len());
        self.line(&heading);
        self.line(&line);
        self.say(shows);
    }

    /// A paragraph.
    pub fn say(&mut self, text: &str) {
        self.wrapped("", text);
        self.text.push('\n');
    }

    /// Why it is so.
    pub fn because(&mut self, text: &str) {
        self.text.push('\n');
        self.wrapped("Why: ", text);
    }

    /// Something that was done or answered.
    pub fn step(&mut self, text: &str) {
        self.wrapped("  * ", text);
    }

    /// A table: the first column to the left, numbers to the right.
    pub fn table(&mut self, heads: &[&str], rows: &[Vec<String>]) {
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([heads[column].chars().count()]).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..heads.len()).map(width).collect();
        let heads: Vec<String> = heads.iter().map(|&head| head.to_owned()).collect();
        for row in std::iter::once(&heads).chain(rows) {
            let mut line = String::from("  ");
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let _ = if column == 0 { write!(line, "  {cell:<width$}") } else { write!(line, "  {cell:>width$}") };
            }
            self.line(line.trim_end());
        }
    }

    /// The page as text.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(&line.replace(BOUND, " "));
        self.text.push('\n');
    }

    /// Text behind a mark, broken between words, but not at a [`BOUND`] space.
    fn wrapped(&mut self, mark: &str, text: &str) {
        let mut line = mark.to_owned();
        let indent = if mark.starts_with(' ') { " ".repeat(mark.len()) } else { String::new() };
        let mut is_empty = true;
        for word in text.split(' ') {
            if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(&line);
                line = indent.clone();
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
            }
            line.push_str(word);
            is_empty = false;
        }
        self.line(&line);
    }
}

/// A bar of `#`, `most` of which are `full`.
pub fn bar(value: u64, full: u64, most: u64) -> String {
    let marks = (value * most + full / 2) / full.max(1);
    "#".repeat(usize::try_from(marks.min(most)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let mut page = Page::default();
        page.begin(1);
        page.title("Wide", &"word ".repeat(100));
        page.step(&"step ".repeat(50));
        page.because(&"reason ".repeat(50));
        assert!(page.text().lines().all(|line| line.chars().count() <= WIDTH), "{}", page.text());
        assert!(page.text().contains("\n    step step"), "a step's further lines are below its words");
    }

    #[test]
    fn what_belongs_together_stays_in_one_line_and_columns_in_theirs() {
        let mut page = Page::default();
        page.step(&format!("at  70 s {} 5\u{a0}%", "x".repeat(64)));
        assert_eq!(page.text(), format!("  * at  70 s {}\n    5 %\n", "x".repeat(64)));
    }

    #[test]
    fn columns_stand_below_their_heads() {
        let mut page = Page::default();
        page.table(&["time", "hits"], &[vec!["1 s".to_owned(), "10".to_owned()]]);
        assert_eq!(page.text(), "    time  hits\n    1 s     10\n");
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        assert_eq!([0, 1, 5, 10, 20].map(|value| bar(value, 10, 4).len()), [0, 0, 2, 4, 4]);
    }
}
