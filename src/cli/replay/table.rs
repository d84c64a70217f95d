//! The report as CSV (RFC 4180): a line for each of the keys that were asked for, or of those with the most hits, behind one
//! with the names of the columns.
//!
//! Keys are shown by the rule of `escape`. A number that is not known is empty. A spreadsheet would take a key that begins
//! with `=`, `+`, `-` or `@` for a formula. Such a key gets a `'` in front, so that a spreadsheet does not run text of a
//! log. A `-` alone is not a formula and stays as it is.
//!
//! Tests: `tests/replay`.

use super::report::{Question, Report};

/// The whole answer.
pub(super) fn csv(question: &Question, report: &Report) -> String {
    let at = question.at.iter().map(|at| format!("hits_until_{at}"));
    let names = [question.key.name(), "hits", "unique_clients"].map(str::to_owned).into_iter().chain(at);
    let mut text = line(names);
    let rows = if question.paths.is_empty() { &report.top } else { &report.named };
    for row in rows {
        let hits_until = report.windows[..question.at.len()].iter().map(|window| {
            let found = window.by_path.0.iter().find(|(key, _)| *key == row.key);
            found.and_then(|(_, hits)| *hits).map_or_else(String::new, |hits| hits.to_string())
        });
        let clients = row.unique_clients.map_or_else(String::new, |clients| clients.to_string());
        text += &line([value(&row.key), row.hits.to_string(), clients].into_iter().chain(hits_until));
    }
    text
}

fn line(values: impl Iterator<Item = String>) -> String {
    values.collect::<Vec<_>>().join(",") + "\r\n"
}

/// A key, in quotes if it has a separator or a quote.
fn value(key: &str) -> String {
    let is_formula = key.starts_with(['=', '+', '-', '@']) && key != "-";
    let key = if is_formula { format!("'{key}") } else { key.to_owned() };
    if key.contains([',', '"']) { format!("\"{}\"", key.replace('"', "\"\"")) } else { key }
}
