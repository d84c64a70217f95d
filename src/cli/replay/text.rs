//! The report for a person: aligned, and no wider than the screen.
//!
//! Long paths are cut in the middle, because paths of one site differ at both ends; the JSON form has them whole.

use std::io;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::histogram::Histogram;
use super::reading::Read;
use super::report::{Question, Report, Window};
use crate::cli::utc;

/// Without a terminal to ask.
const DEFAULT_WIDTH: usize = 80;
/// Below this a report runs over rather than being squeezed.
const LEAST_WIDTH: usize = 40;

/// How many columns the reader of stdout has: the terminal's, else 80.
pub(super) fn width() -> usize {
    let size = terminal_size::terminal_size_of(io::stdout());
    let columns = size.map_or(0, |(width, _)| usize::from(width.0));
    if columns == 0 { DEFAULT_WIDTH } else { columns.max(LEAST_WIDTH) }
}

/// The whole report, at most `width` columns wide.
pub(super) fn page(title: &str, read: &Read, question: &Question, report: &Report, width: usize) -> String {
    let mut page = Page { lines: Vec::new(), width, any_cut: false };
    page.lines.push(cut(title, width));
    page.totals(report);
    page.histogram(read);
    page.windows(question, report);
    page.top(report);
    if page.any_cut {
        page.heading("Paths are cut at … to fit; --json has them whole.".to_owned());
    }
    page.lines.push(String::new());
    page.lines.join("\n")
}

/// The lines laid out so far.
struct Page {
    lines: Vec<String>,
    width: usize,
    any_cut: bool,
}

impl Page {
    fn totals(&mut self, report: &Report) {
        self.lines.push(String::new());
        let totals = [
            ("lines", report.lines),
            ("malformed", report.malformed),
            ("hits", report.events),
            ("paths", report.distinct.path as u64),
            ("clients", report.distinct.client as u64),
        ];
        let width = widest(totals.iter().map(|total| grouped(total.1)), "");
        for (name, total) in totals {
            self.lines.push(format!("{name:<9}  {:>width$}", grouped(total)));
        }
        for (name, time) in [("first hit", report.first), ("last hit", report.last)] {
            if let Some(time) = time {
                self.lines.push(format!("{name:<9}  {}  {time}", utc::shown(time)));
            }
        }
    }

    fn histogram(&mut self, read: &Read) {
        let Some(histogram) = Histogram::new(read.counted.timeline(), self.width - 2) else {
            return;
        };
        let (step, highest) = (length(histogram.step), grouped(histogram.highest));
        self.heading(format!("hits over time, {step} a column, the highest {highest}"));
        self.lines.push(format!("  {}", histogram.bars));
    }

    fn windows(&mut self, question: &Question, report: &Report) {
        if report.windows.is_empty() {
            return;
        }
        let rows: Vec<(&Window, &str)> = match report.windows.as_slice() {
            // Unasked, and one window is both.
            [busiest, end] if !busiest.why.is_empty() && busiest.at == end.at => {
                vec![(busiest, "busiest, last hit")]
            }
            windows => windows.iter().map(|window| (window, window.why)).collect(),
        };
        let last = question.last;
        self.heading(format!("hits in the {} up to T, that is (T - {last} s, T]", length(last)));
        let time_width = widest(rows.iter().map(|row| utc::shown(row.0.at)), "T");
        let unix_width = widest(rows.iter().map(|row| row.0.at.to_string()), "unix");
        let hits_width = widest(rows.iter().map(|row| grouped(row.0.hits)), "hits");
        self.lines.push(format!("  {:<time_width$}  {:<unix_width$}  {:>hits_width$}", "T", "unix", "hits"));
        for (window, why) in rows {
            let (time, at, hits) = (utc::shown(window.at), window.at, grouped(window.hits));
            let row = format!("  {time:<time_width$}  {at:>unix_width$}  {hits:>hits_width$}  {why}");
            self.lines.push(row.trim_end().to_owned());
            if question.paths.is_empty() {
                continue; // The paths are the top ones then, a long list that JSON has.
            }
            let left = time_width + unix_width + 6;
            for (path, hits) in &window.by_path.0 {
                let path = self.path(path, left + hits_width + 2);
                self.lines.push(format!("{:left$}{:>hits_width$}  {path}", "", grouped(*hits)));
            }
        }
    }

    fn top(&mut self, report: &Report) {
        if report.top.is_empty() {
            return;
        }
        let (listed, all) = (report.top.len(), report.distinct.path);
        self.heading(if listed == all {
            format!("all paths ({})", grouped(all as u64))
        } else {
            format!("top {} of {} paths", grouped(listed as u64), grouped(all as u64))
        });
        let hits_width = widest(report.top.iter().map(|path| grouped(path.hits)), "hits");
        let clients = |number: usize| grouped(number as u64);
        let clients_width = widest(report.top.iter().map(|path| clients(path.unique_clients)), "clients");
        self.lines.push(format!("  {:>hits_width$}  {:>clients_width$}  path", "hits", "clients"));
        for row in &report.top {
            let path = self.path(&row.path, hits_width + clients_width + 6);
            let (hits, clients) = (grouped(row.hits), clients(row.unique_clients));
            self.lines.push(format!("  {hits:>hits_width$}  {clients:>clients_width$}  {path}"));
        }
    }

    fn heading(&mut self, text: String) {
        self.lines.extend([String::new(), text]);
    }

    /// A path that begins at column `left`, cut to what is left of the line.
    fn path(&mut self, path: &str, left: usize) -> String {
        // An empty request has an empty path. These words cannot be one: a path with a space in it begins with two.
        let path = if path.is_empty() { "(empty request)" } else { path };
        let fitting = cut(path, self.width.saturating_sub(left));
        self.any_cut |= fitting != path;
        fitting
    }
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The width of a column of ASCII texts under a heading.
fn widest(texts: impl Iterator<Item = String>, heading: &str) -> usize {
    texts.map(|text| text.len()).fold(heading.len(), usize::max)
}

/// A length of time in its largest whole unit.
fn length(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    match units.iter().find(|(unit, _)| seconds > 0 && seconds % unit == 0) {
        Some((unit, name)) => format!("{} {name}", grouped((seconds / unit).unsigned_abs())),
        None => format!("{} s", grouped(seconds.unsigned_abs())),
    }
}

/// The text in at most `room` columns: whole, or its two ends with `…` between them.
fn cut(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let room = room.saturating_sub(1);
    let tail_room = room / 3;
    let tail_start = within(text.char_indices().rev(), tail_room).map_or(text.len(), |(at, _)| at);
    let head_end = within(text.char_indices(), room - tail_room).map_or(0, |(at, last)| at + last.len_utf8());
    format!("{}…{}", &text[..head_end], &text[tail_start..])
}

/// The last of the characters that fit into `room` columns together.
fn within(characters: impl Iterator<Item = (usize, char)>, room: usize) -> Option<(usize, char)> {
    let widths = characters.scan(0, |used, (at, character)| {
        *used += character.width().unwrap_or(0);
        Some((*used, (at, character)))
    });
    widths.take_while(|(used, _)| *used <= room).last().map(|(_, place)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn lengths_use_their_largest_unit() {
        let cases = [
            (0, "0 s"),
            (1, "1 s"),
            (90, "90 s"),
            (300, "5 min"),
            (7_200, "2 h"),
            (86_400, "1 d"),
            (31_536_000, "365 d"),
        ];
        for (seconds, text) in cases {
            assert_eq!(length(seconds), text);
        }
    }

    #[test]
    fn long_texts_keep_both_ends() {
        assert_eq!(cut("/abcdefghi", 10), "/abcdefghi");
        assert_eq!(cut("/abcdefghij", 10), "/abcde…hij");
        assert_eq!(cut("/日本語日本語", 10), "/日本…語", "characters of two columns");
        for room in 1..30 {
            let text = "/日本a語e\u{301}".repeat(9);
            assert!(cut(&text, room).width() <= room, "{room}");
        }
        assert_eq!(cut("", 0), "");
    }
}
