//! `--json`: the report as one object on a line. The fields are documented in docs/inspect.md.
//!
//! Tests: `tests/replay`.

use serde::Serialize;

use crate::cli::escape::shown;
use crate::shared::{Line, Report};

#[derive(Serialize)]
struct Object {
    path: String,
    window: f64,
    resolution: f64,
    slack: u32,
    precision: u8,
    made: u64,
    copy: bool,
    file_bytes: u64,
    endpoints: u64,
    lives: u64,
    max_endpoints: u64,
    name_bytes: u64,
    max_name_bytes: u64,
    visitor_words: u64,
    max_visitor_words: u64,
    max_limits: u64,
    counted: u64,
    late: u64,
    future: u64,
    saturated: u64,
    refused: u64,
    merged: u64,
    top: Vec<Endpoint>,
}

#[derive(Serialize)]
struct Endpoint {
    endpoint: String,
    count: Option<u64>,
    total: u64,
    visitors: Option<u64>,
}

impl Endpoint {
    fn of(line: &Line) -> Self {
        Self {
            endpoint: shown(line.endpoint.as_bytes()),
            count: line.count.map(|hits| hits.count),
            total: line.total,
            visitors: line.visitors,
        }
    }
}

/// The object, with `top` endpoints, and the end of its line.
pub(super) fn line(report: &Report, top: usize) -> String {
    let Report { outcomes, room, .. } = report;
    let object = Object {
        path: shown(report.path.as_os_str().as_encoded_bytes()),
        window: report.window.as_secs_f64(),
        resolution: report.resolution.as_secs_f64(),
        slack: report.slack,
        precision: report.precision,
        made: report.made.secs(),
        copy: report.is_copy,
        file_bytes: room.file_bytes,
        endpoints: report.endpoints,
        lives: room.lives,
        max_endpoints: room.max_endpoints,
        name_bytes: room.name_bytes,
        max_name_bytes: room.max_name_bytes,
        visitor_words: room.visitors,
        max_visitor_words: room.max_visitors,
        max_limits: room.max_limits,
        counted: outcomes.counted,
        late: outcomes.late,
        future: outcomes.future,
        saturated: outcomes.saturated,
        refused: outcomes.refused,
        merged: report.merged,
        top: report.top.iter().take(top).map(Endpoint::of).collect(),
    };
    serde_json::to_string(&object).expect("it holds only strings and numbers") + "\n"
}
