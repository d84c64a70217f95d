//! Real logs, and an independent reader, where `../shared/data` is there; the tests say so when it is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{json, replay};

fn shared_data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: ../shared/data is not there");
    None
}

/// The bytes behind a shown path, as the truth writes them: one character a byte.
fn latin_1(shown: &str) -> String {
    let escape = regex::bytes::Regex::new(r"(?-u)\\x([0-9a-f]{2})").expect("a regex");
    let bytes = escape.replace_all(shown.as_bytes(), |found: &regex::bytes::Captures<'_>| {
        let digits = std::str::from_utf8(&found[1]).expect("hex digits");
        vec![u8::from_str_radix(digits, 16).expect("hex digits")]
    });
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

#[test]
fn every_access_log_equals_its_truth() {
    let Some(shared) = shared_data() else { return };
    let mut compared = 0;
    for entry in fs::read_dir(shared.join("truth")).expect("a folder") {
        let truth = fs::read(entry.expect("an entry").path()).expect("a file");
        let truth: Value = serde_json::from_slice(&truth).expect("JSON");
        if truth["format"] == "clf" {
            compare(&shared.join("raw").join(truth["file"].as_str().expect("a name")), &truth);
            compared += 1;
        }
    }
    assert!(compared >= 2, "{compared} logs compared");
}

fn compare(log: &Path, truth: &Value) {
    let queries = truth["queries"].as_array().expect("an array");
    let mut arguments = vec![log.display().to_string(), format!("--last={}", truth["window_s"])];
    arguments.extend(queries.iter().map(|query| format!("--at={}", query["T"])));
    let answer = json(&arguments);
    for (ours, theirs) in [("lines", "lines"), ("malformed", "malformed"), ("events", "events")] {
        assert_eq!(answer[ours], truth[theirs], "{ours}");
    }
    assert_eq!(answer["distinct"]["path"], truth["distinct_paths"]);
    assert_eq!(answer["distinct"]["client"], truth["distinct_clients"]);

    let mut top = answer["top"].clone();
    for row in top.as_array_mut().expect("an array") {
        row["path"] = latin_1(row["path"].as_str().expect("a path")).into();
    }
    assert_eq!(top, truth["top_paths"]);

    let windows = answer["windows"].as_array().expect("an array");
    assert_eq!(windows.len(), queries.len());
    for (window, query) in windows.iter().zip(queries) {
        assert_eq!(window["hits"], query["overall"], "at {}", query["T"]);
        let by_path = window["by_path"].as_object().expect("an object");
        let by_path: serde_json::Map<String, Value> =
            by_path.iter().map(|(path, hits)| (latin_1(path), hits.clone())).collect();
        for (path, hits) in query["by_path"].as_object().expect("an object") {
            assert_eq!(by_path.get(path), Some(hits), "{path} at {}", query["T"]);
        }
    }

    let unasked = json([log.display().to_string(), format!("--last={}", truth["window_s"])]);
    assert_eq!(unasked["windows"][0]["at"], truth["busiest_window_end"]);
    assert_eq!(unasked["windows"][0]["hits"], truth["busiest_window_hits"]);
    let text = replay([log]);
    let text = String::from_utf8(text.stdout).expect("UTF-8");
    for (name, at) in [("first", "first_utc"), ("last", "last_utc")] {
        let utc = truth[at].as_str().expect("a time").replace("+00:00", "Z");
        assert!(text.contains(&format!("{utc}  {}\n", answer[name])), "{name} hit at {utc}");
    }
}

/// Every file there, whatever it holds: a report, or one clear line.
#[test]
fn every_file_gives_a_report_or_one_clear_line() {
    let Some(shared) = shared_data() else { return };
    let mut reports = 0;
    for folder in ["raw", "raw/malformed", "norm", "truth"] {
        for entry in fs::read_dir(shared.join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            let output = replay([&path]);
            let stderr = String::from_utf8(output.stderr).expect("UTF-8");
            match output.status.code() {
                Some(0) => {
                    assert!(stderr.is_empty() && !output.stdout.is_empty(), "{}: {stderr}", path.display());
                    reports += 1;
                }
                Some(1) => {
                    let one_line = stderr.starts_with("hitring: ") && stderr.lines().count() == 1;
                    assert!(one_line && output.stdout.is_empty(), "{}: {stderr}", path.display());
                }
                other => panic!("{}: {other:?}: {stderr}", path.display()),
            }
        }
    }
    assert!(reports >= 9, "{reports} reports");
}

#[test]
fn made_up_lines_are_read_as_an_independent_reader_reads_them() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replay/differential.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(env!("CARGO_BIN_EXE_hitring")).args(["--lines", "20000", "--seed", "362"]);
    let Ok(output) = command.output() else {
        eprintln!("skipped: python3 is not there");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.ends_with(" in 20 files, 0 differences\n"), "{text}");
}
