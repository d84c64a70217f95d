//! The report for a person: aligned, and no wider than the screen.
//!
//! Long paths are cut in the middle, because paths of one site differ at both ends; the JSON form has them whole.
//!
//! Tests: `tests/replay`.

use super::histogram::Histogram;
use super::reading::Read;
use super::report::{Question, Report, Window};
use crate::cli::columns::{cut, grouped, length, widest};
use crate::cli::log::key::CLIENT;
use crate::cli::utc;

/// The whole report, at most `width` columns wide.
pub(super) fn page(title: &str, read: &Read, question: &Question, report: &Report, width: usize) -> String {
    let mut page = Page { lines: Vec::new(), width, any_cut: false };
    page.lines.push(cut(title, width));
    page.totals(question, report);
    page.histogram(read);
    page.windows(question, report);
    page.top(question, report);
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
    fn totals(&mut self, question: &Question, report: &Report) {
        self.lines.push(String::new());
        let mut totals = vec![("lines", grouped(report.lines)), ("malformed", grouped(report.malformed))];
        if report.headers > 0 {
            totals.push(("headers", grouped(report.headers)));
        }
        totals.push(("hits", grouped(report.events)));
        if question.key.name() != CLIENT {
            totals.push((question.key.plural(), grouped(report.distinct.keys as u64)));
        }
        totals.push(("clients", clients(report.distinct.clients)));
        let width = widest(totals.iter().map(|total| total.1.clone()), "");
        for (name, total) in totals {
            self.lines.push(format!("{name:<9}  {total:>width$}"));
        }
        for (kind, lines) in &report.stripped.0 {
            self.lines.push(format!(
                "stripped   {kind}, from {} {}",
                grouped(*lines),
                if *lines == 1 { "line" } else { "lines" }
            ));
        }
        for what in report.estimates.in_words(question.key.plural()) {
            self.lines.push(format!("not exact  {what}"));
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
                let hits = hits.map_or_else(|| "?".to_owned(), grouped);
                self.lines.push(format!("{:left$}{hits:>hits_width$}  {path}", ""));
            }
        }
    }

    fn top(&mut self, question: &Question, report: &Report) {
        if report.top.is_empty() {
            return;
        }
        let (listed, all) = (report.top.len(), report.distinct.keys);
        let plural = question.key.plural();
        self.heading(if listed == all {
            format!("all {plural} ({})", grouped(all as u64))
        } else {
            format!("top {} of {} {plural}", grouped(listed as u64), grouped(all as u64))
        });
        let hits_width = widest(report.top.iter().map(|path| grouped(path.hits)), "hits");
        let clients_width = widest(report.top.iter().map(|path| clients(path.unique_clients)), "clients");
        self.lines.push(format!("  {:>hits_width$}  {:>clients_width$}  {}", "hits", "clients", question.key.name()));
        for row in &report.top {
            let path = self.path(&row.key, hits_width + clients_width + 6);
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

/// A number of clients.
fn clients(number: Option<usize>) -> String {
    number.map_or_else(|| "unknown".to_owned(), |number| grouped(number as u64))
}
