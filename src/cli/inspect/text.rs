//! The report for a person. A line is never wider than asked for, whatever the file contains. Names are shortened so that numbers
//! fit, and numbers lose the marks between their digits before names vanish completely.
//!
//! Tests: `tests/replay`.

use std::time::Duration;

use crate::cli::columns::{cut, grouped, length, widest};
use crate::cli::escape::shown;
use crate::cli::utc;
use crate::shared::{Line, Report};

/// Room that a name should have.
const NAME: usize = 24;

/// The report with `top` endpoints, at most `width` columns wide.
pub(super) fn page(report: &Report, top: usize, width: usize) -> String {
    let path = shown(report.path.as_os_str().as_encoded_bytes());
    let mut lines = vec![path, String::new()];
    lines.extend(made_for(report));
    lines.push(String::new());
    lines.extend(room(report));
    lines.push(String::new());
    lines.extend(hits(report));
    if report.is_copy {
        lines.push(String::new());
        lines.push("This is a copy: made elsewhere, or before the machine booted.".to_owned());
        lines.push("A process that opens it for writing begins a new writer in it.".to_owned());
    }
    if top > 0 && !report.top.is_empty() {
        lines.push(String::new());
        lines.extend(busiest(report, top, width));
    }
    lines.iter().map(|line| cut(line, width) + "\n").collect()
}

fn made_for(report: &Report) -> [String; 3] {
    let Report { window, resolution, slack, precision, .. } = report;
    let made = utc::shown(i64::try_from(report.made.secs()).unwrap_or(i64::MAX));
    [
        format!("window    {} in ticks of {}, and {slack} more for late hits", time(*window), time(*resolution)),
        format!("visitors  told apart by {precision} bits"),
        format!("made      {made}, {} bytes", grouped(report.room.file_bytes)),
    ]
}

/// Whole seconds in their largest unit, parts of one as they are.
fn time(span: Duration) -> String {
    match i64::try_from(span.as_secs()) {
        Ok(seconds) if span.subsec_nanos() == 0 => length(seconds),
        _ => format!("{} s", span.as_secs_f64()),
    }
}

/// What is used and left of the file.
fn room(report: &Report) -> Vec<String> {
    let room = &report.room;
    let rows = [
        ("places", Some(room.lives), room.max_endpoints),
        ("bytes of names", Some(room.name_bytes), room.max_name_bytes),
        ("words of visitors", Some(room.visitors), room.max_visitors),
        ("keys of limits", None, room.max_limits),
    ];
    let head = ["room for", "used", "left", "of", ""].map(str::to_owned);
    let rows = rows.map(|(what, used, all)| {
        let part = |used| u128::from(used) * 100 / u128::from(all);
        [
            what.to_owned(),
            used.map_or("-".to_owned(), grouped),
            used.map_or("-".to_owned(), |used| grouped(all.saturating_sub(used))),
            grouped(all),
            used.filter(|_| all > 0).map_or(String::new(), |used| format!("{} %", part(used))),
        ]
    });
    table(&[&[head][..], &rows].concat())
}

/// What became of all hits.
fn hits(report: &Report) -> Vec<String> {
    let mut rows = vec![["endpoints".to_owned(), grouped(report.endpoints)]];
    rows.push(["merged registries".to_owned(), grouped(report.merged)]);
    let [counted, late, future, saturated, refused] = report.outcomes.to_array();
    for (what, hits) in
        [("counted", counted), ("late", late), ("future", future), ("saturated", saturated), ("refused", refused)]
    {
        rows.push([format!("hits {what}"), grouped(hits)]);
    }
    table(&rows)
}

/// The first column to the left, the others to the right.
fn table<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let widths: [usize; N] = std::array::from_fn(|column| widest(rows.iter().map(|row| row[column].clone()), ""));
    let line = |row: &[String; N]| {
        let mut line = format!("{:<width$}", row[0], width = widths[0]);
        for (cell, width) in row.iter().zip(widths).skip(1) {
            line += &format!("  {cell:>width$}");
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn busiest(report: &Report, top: usize, width: usize) -> Vec<String> {
    let listed: Vec<&Line> = report.top.iter().take(top).collect();
    let left = |rows: &[[String; 3]]| {
        let columns: [usize; 3] = std::array::from_fn(|at| widest(rows.iter().map(|row| row[at].clone()), ""));
        (columns, columns.iter().sum::<usize>() + 6)
    };
    let mut rows = cells(&listed, grouped);
    if left(&rows).1 + NAME > width {
        rows = cells(&listed, |number| number.to_string());
    }
    let (columns, left) = left(&rows);
    let names = listed.iter().map(|line| match line.endpoint.as_str() {
        "" => "(empty name)".to_owned(),
        name => shown(name.as_bytes()),
    });
    let title = if listed.len() == report.top.len() {
        format!("all endpoints ({})", grouped(listed.len() as u64))
    } else {
        format!("top {} of {} endpoints", grouped(listed.len() as u64), grouped(report.top.len() as u64))
    };
    let mut lines = vec![title];
    for (row, name) in rows.iter().zip(std::iter::once("endpoint".to_owned()).chain(names)) {
        let [count, total, visitors] = row;
        let name = cut(&name, width.saturating_sub(left));
        lines.push(format!(
            "{count:>one$}  {total:>two$}  {visitors:>three$}  {name}",
            one = columns[0],
            two = columns[1],
            three = columns[2]
        ));
    }
    lines
}

/// The numbers of the endpoints below their heads.
fn cells(listed: &[&Line], number: impl Fn(u64) -> String) -> Vec<[String; 3]> {
    let head = ["in window", "ever", "visitors"].map(str::to_owned);
    let rows = listed.iter().map(|line| {
        [
            line.count.map_or("expired".to_owned(), |hits| number(hits.count)),
            number(line.total),
            line.visitors.map_or("full".to_owned(), &number),
        ]
    });
    std::iter::once(head).chain(rows).collect()
}
