//! A frame as lines of text, of which a screen shows some bold, dim or reversed. No line is wider than asked for.
//!
//! ```text
//! access.log                          last 5 min until 2024-02-03T22:40:00Z      what, and when
//! 12,345 hits, 41.2 a second, 310 paths                                         all hits
//! 2xx 11,900  3xx 20  4xx 400  5xx 25                                           by status, in the span
//! lines 12,400  malformed 6  late 0  ahead 0  limited 12                        since the program began
//! ▂▃▅▇█▆▄▃▂▁                                                                    all hits, oldest to the left
//!
//!    hits   a second  5 min ago       now  path
//!   9,876       32.1  ▁▂▃▄▅▆▇███████▇▆▅▄▃  /index.html
//! ```
//!
//! Each history has a scale of its own: its highest column is full.
//!
//! Tests: below, `tests/top`.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::frame::{Frame, Row, Sort};
use super::source::STATUSES;
use crate::cli::columns::{bar, cut, grouped, length, widest};
use crate::cli::utc;

/// How a line is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    Bold,
    Dim,
    /// Something is wrong.
    Alarm,
    /// The row that is chosen.
    Chosen,
}

pub(super) type Line = (String, Look);

/// The least and the most columns of a row's history.
const HISTORY: (usize, usize) = (8, 60);

/// How many columns the histories of rows have in `width` columns.
pub(super) fn history_columns(width: usize) -> usize {
    (width / 4).clamp(HISTORY.0, HISTORY.1)
}

/// The lines above the rows.
pub(super) fn head(frame: &Frame, width: usize) -> Vec<Line> {
    let Frame { title, key, last, all, names, about, .. } = frame;
    let until = format!("last {} until {}", span(last.as_secs()), utc::shown(about.now));
    let title = cut(title, width.saturating_sub(until.len() + 2).max(8));
    let gap = width.saturating_sub(title.width() + until.len()).max(2);
    let mut lines = vec![(format!("{title}{}{until}", " ".repeat(gap)), Look::Bold)];
    let plural = if *names == 1 { "" } else { "s" };
    let hits = if all.hits == 1 { "hit" } else { "hits" };
    let text =
        format!("{} {hits}, {} a second, {} {key}{plural}", grouped(all.hits), rate(all.rate), grouped(*names as u64));
    lines.push((text, Look::Plain));
    let numbers = |numbers: &mut dyn Iterator<Item = (&str, u64)>| {
        numbers.map(|(what, number)| format!("{what} {}", grouped(number))).collect::<Vec<_>>().join("  ")
    };
    if let Some(statuses) = about.statuses {
        let shown =
            STATUSES.into_iter().zip(statuses).filter(|(what, hits)| *hits > 0 || !matches!(*what, "1xx" | "other"));
        lines.push((numbers(&mut shown.into_iter()), Look::Plain));
    }
    lines.push((numbers(&mut about.facts.iter().copied()), Look::Plain));
    lines.push((bars(&all.history), Look::Plain));
    let mut lines = fit(lines, width);
    lines.extend(about.notes.iter().flat_map(|note| wrapped(note, width)).map(|line| (line, Look::Alarm)));
    lines
}

/// The rows, below the names of their columns. `chosen` is the place of one of them.
pub(super) fn rows(frame: &Frame, sort: Sort, chosen: Option<usize>, width: usize) -> Vec<Line> {
    let columns = frame.rows.first().map_or(0, |row| row.history.len()).max(frame.key.len());
    let cells: Vec<(String, String)> = frame.rows.iter().map(|row| (grouped(row.hits), rate(row.rate))).collect();
    let hits = widest(cells.iter().map(|(hits, _)| hits.clone()), "hits");
    let rates = widest(cells.iter().map(|(_, rate)| rate.clone()), "a second");
    let ago = format!("{} ago", span(frame.last.as_secs()));
    // A short history is too narrow for both ends.
    let ago = if ago.width() + 4 <= columns { ago } else { String::new() };
    let now = columns - ago.width();
    let sorted = match sort {
        Sort::Hits => "hits",
        Sort::Rate => "rate",
        Sort::Name => "name",
    };
    let head = format!("{:>hits$}  {:>rates$}  {ago}{:>now$}  {} (by {sorted})", "hits", "a second", "now", frame.key);
    let mut lines = vec![(head, Look::Dim)];
    for (at, (row, (count, rate))) in frame.rows.iter().zip(cells).enumerate() {
        let history = bars(&row.history);
        let start = format!("{count:>hits$}  {rate:>rates$}  {history:<columns$}  ");
        let name = cut(&row.label, width.saturating_sub(start.width()));
        let look = if chosen == Some(at) { Look::Chosen } else { Look::Plain };
        lines.push((start + &name, look));
    }
    fit(lines, width)
}

/// The history of one row, `height` lines high, with its scale.
pub(super) fn opened(frame: &Frame, row: &Row, width: usize, height: usize) -> Vec<Line> {
    let highest = row.history.iter().copied().max().unwrap_or(0);
    let column = span(frame.wide.as_secs());
    let mut lines = vec![
        (cut(&row.label, width), Look::Bold),
        (format!("{} hits, {} a second", grouped(row.hits), rate(row.rate)), Look::Plain),
        (format!("{} hits in {column} at most; a column has {column}", grouped(highest)), Look::Dim),
    ];
    let levels = height.saturating_sub(lines.len() + 1).max(1);
    for level in (0..levels).rev() {
        let cell = |hits: &u64| {
            // What is above the lower levels, of a height in eighths.
            let eighths = (u128::from(*hits) * 8 * levels as u128).div_ceil(u128::from(highest.max(1))) as u64;
            bar(eighths.saturating_sub(level as u64 * 8).min(8), 8)
        };
        lines.push((row.history.iter().map(cell).collect(), Look::Plain));
    }
    let ago = format!("{} ago", span(frame.last.as_secs()));
    let now = row.history.len().saturating_sub(ago.width());
    lines.push((format!("{ago}{:>now$}", "now"), Look::Dim));
    fit(lines, width)
}

/// The frame as one text, for a reader without a screen.
pub(super) fn text(frame: &Frame, sort: Sort, width: usize) -> String {
    let mut lines = head(frame, width);
    lines.push((String::new(), Look::Plain));
    lines.extend(rows(frame, sort, None, width));
    if frame.found > frame.rows.len() {
        let more = grouped((frame.found - frame.rows.len()) as u64);
        lines.push((format!("and {more} more"), Look::Dim));
    }
    lines.into_iter().map(|(line, _)| line.trim_end().to_owned() + "\n").collect()
}

/// The text in lines of `width` columns, three at most.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for character in text.chars() {
        let line = lines.last_mut().expect("there is one");
        if line.width() + character.width().unwrap_or(0) <= width {
            line.push(character);
        } else if lines.len() < 3 && character.width().unwrap_or(0) <= width {
            lines.push(character.to_string());
        } else {
            break;
        }
    }
    lines
}

fn fit(lines: Vec<Line>, width: usize) -> Vec<Line> {
    lines.into_iter().map(|(line, look)| (cut(&line, width), look)).collect()
}

fn bars(history: &[u64]) -> String {
    let highest = history.iter().copied().max().unwrap_or(0);
    history.iter().map(|&hits| bar(hits, highest)).collect()
}

fn span(seconds: u64) -> String {
    length(seconds.cast_signed())
}

/// A rate with the digits that matter.
fn rate(rate: f64) -> String {
    if rate >= 100.0 { grouped(rate.round() as u64) } else { format!("{rate:.1}") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::top::source::About;

    fn frame() -> Frame {
        let row = |name: &str, hits: u64| Row {
            name: name.to_owned(),
            label: name.to_owned(),
            hits,
            rate: hits as f64 / 10.0,
            history: vec![0, hits / 2, hits],
        };
        let about = About {
            now: 1_707_000_000,
            statuses: Some([0, 1_234, 0, 5, 0, 0]),
            facts: vec![("lines", 9_999), ("malformed", 1)],
            notes: vec!["a.log: the file is gone; waiting for another".to_owned()],
        };
        let last = Duration::from_secs(300);
        let rows = vec![row("/a", 1_200), row(&"/long".repeat(30), 7)];
        let (names, found) = (40, 9);
        Frame {
            title: "a.log".to_owned(),
            key: "path",
            last,
            width: last / 3,
            wide: last / 3,
            all: row("", 1_239),
            names,
            found,
            rows,
            open: None,
            about,
        }
    }

    #[test]
    fn the_whole_page() {
        let expected = "\
a.log                                     last 5 min until 2024-02-03T22:40:00Z
1,239 hits, 124 a second, 40 paths
2xx 1,234  3xx 0  4xx 5  5xx 0
lines 9,999  malformed 1
 ▄█
a.log: the file is gone; waiting for another

 hits  a second   now  path (by hits)
1,200       120   ▄█   /a
    7       0.7   ▄█   /long/long/long/long/long/long/long/l…ong/long/long/long
and 7 more
";
        assert_eq!(text(&frame(), Sort::Hits, 79), expected);
    }

    #[test]
    fn no_line_is_wider_than_asked_for() {
        let mut frame = frame();
        frame.title = "日本語".repeat(40);
        for width in 1..120 {
            let open = frame.rows[1].clone();
            let lines =
                [head(&frame, width), rows(&frame, Sort::Rate, Some(0), width), opened(&frame, &open, width, 9)];
            for (line, _) in lines.concat() {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn an_opened_row_is_as_high_as_its_hits() {
        let frame = frame();
        let row = Row { history: vec![0, 1, 8, 16], ..frame.rows[0].clone() };
        let lines: Vec<String> = opened(&frame, &row, 80, 6).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines[3..5], ["   █".to_owned(), " ▁██".to_owned()]);
        let empty = Row { history: vec![0, 0], ..row };
        assert_eq!(opened(&frame, &empty, 80, 5)[3].0, "  ");
    }
}
