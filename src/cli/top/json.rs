//! A frame as one line of JSON. Histories have parts of `step` seconds, oldest first.
//!
//! Tests: `tests/top`.

use serde_json::{Map, Value, json};

use super::frame::Frame;
use super::source::STATUSES;

/// The object, and a line feed.
pub(super) fn line(frame: &Frame) -> String {
    let Frame { key, last, width, all, names, found, rows, about, .. } = frame;
    let listed =
        rows.iter().map(|row| json!({*key: row.name, "hits": row.hits, "rate": row.rate, "history": row.history}));
    let mut object = json!({
        "at": about.now,
        "last": last.as_secs(),
        "step": width.as_secs(),
        "hits": all.hits,
        "rate": all.rate,
        "history": all.history,
        "distinct": {*key: names},
        "found": found,
        "top": listed.collect::<Vec<_>>(),
        "notes": about.notes,
    });
    let fields = object.as_object_mut().expect("it is an object");
    if let Some(statuses) = about.statuses {
        let statuses = STATUSES.into_iter().zip(statuses).map(|(class, hits)| (class.to_owned(), hits.into()));
        fields.insert("statuses".to_owned(), Value::Object(statuses.collect::<Map<_, _>>()));
    }
    for (fact, number) in &about.facts {
        fields.insert((*fact).to_owned(), (*number).into());
    }
    object.to_string() + "\n"
}
