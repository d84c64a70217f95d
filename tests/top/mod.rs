//! `hitring top` from outside, without a screen: the built program on logs. Its screen, a shared file and a server are tried in
//! `tests/python/integration/test_top.py`.
#![cfg(feature = "cli")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hitring"));
    command.arg("top").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().expect("the program starts")
}

fn once(arguments: &[&str]) -> Value {
    let output = run(&[&["--once", "--json"], arguments].concat());
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("one object")
}

/// A folder that goes away with its contents.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("hitring-top-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = std::fs::File::options().append(true).create(true).open(self.0.join(name)).expect("a file");
        file.write_all(text.as_bytes()).expect("room");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A line of 2024-02-03T22:40:00Z and some seconds later.
fn line(second: u32, path: &str, status: u32) -> String {
    let (minute, second) = (40 + second / 60, second % 60);
    format!("192.0.2.1 - - [03/Feb/2024:22:{minute}:{second:02} +0000] \"GET {path} HTTP/1.1\" {status} 5\n")
}

/// A line of now.
fn line_now(path: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    format!("{{\"time\":{now},\"remote_addr\":\"192.0.2.1\",\"request_uri\":\"{path}\",\"status\":200}}\n")
}

#[test]
fn a_log_is_shown_once_as_of_its_last_hit() {
    let folder = Folder::new("once");
    folder.append("a.log", &(line(0, "/old", 200) + &line(1, "/a?x=1", 200) + "malformed\n" + &line(300, "/b", 429)));
    folder.append("a.log", &(line(299, "/a?x=2", 503) + &line(300, "/a?x=3", 302)));
    let log = folder.path("a.log");
    let all = once(&[&log, "--no-query"]);
    assert_eq!(all["hits"], 4, "a window is open at its start");
    assert_eq!(all["statuses"], json!({"1xx": 0, "2xx": 1, "3xx": 1, "4xx": 1, "5xx": 1, "other": 0}));
    let numbers = ["lines", "malformed", "late", "ahead", "limited", "at", "last", "step", "found"];
    assert_eq!(numbers.map(|name| all[name].as_i64().expect(name)), [6, 1, 0, 0, 1, 1_707_000_300, 300, 5, 2]);
    assert_eq!(all["distinct"], json!({"path": 2}));
    assert_eq!((&all["top"][0]["path"], &all["top"][0]["hits"]), (&json!("/a"), &json!(3)));
    assert_eq!(all["top"][0]["rate"], 0.2, "2 hits in the last 10 seconds");
    let history: Vec<u64> = serde_json::from_value(all["top"][0]["history"].clone()).expect("numbers");
    assert_eq!((history[0], history[58], history[59], history.len()), (1, 0, 2, 60));
    let some = once(&[&log, "--last", "10", "--key", "status", "--sort", "name", "--filter", "2", "--rows", "1"]);
    let (top, found) = (some["top"].as_array().expect("rows"), &some["found"]);
    assert_eq!((&some["hits"], found, top.len(), &top[0]["status"]), (&json!(3), &json!(2), 1, &json!("302")));
    let text = String::from_utf8(run(&["--once", &log, "--rows", "1"]).stdout).expect("UTF-8");
    assert!(text.contains("\n4 hits, 0.3 a second, 4 paths\n2xx 1  3xx 1  4xx 1  5xx 1\n"), "{text}");
    assert!(text.ends_with("  /a?x=1\nand 3 more\n") && text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn long_spans_are_counted_in_whole_ticks() {
    let folder = Folder::new("long");
    folder.append("a.log", &(line(0, "/", 200) + &line(301, "/", 200)));
    let log = folder.path("a.log");
    for (last, shown, step, hits) in
        [("301", 302, 6, 2), ("1h", 3_600, 60, 2), ("2d", 172_800, 2_880, 2), ("1", 1, 1, 1)]
    {
        let all = once(&[&log, "--last", last]);
        assert_eq!((&all["last"], &all["step"], &all["hits"]), (&json!(shown), &json!(step), &json!(hits)), "{last}");
    }
}

/// The program while it prints JSON.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Running {
    fn new(arguments: &[&str], stdin: Stdio) -> Running {
        let mut child =
            program().arg("--json").args(arguments).stdin(stdin).stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Running { child, lines }
    }

    fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().expect("a line").expect("text")).expect("an object")
    }

    /// Waits until so many lines were read, and no more.
    fn expect_lines(&mut self, lines: u64) -> Value {
        for _ in 0..20 {
            let object = self.next();
            if object["lines"] == lines {
                return object;
            }
            assert!(object["lines"].as_u64() < Some(lines), "{object}");
        }
        panic!("{lines} lines were not read");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(unix)]
#[test]
fn a_log_is_followed_while_it_is_rotated_and_truncated() {
    let folder = Folder::new("followed");
    folder.append("a.log", &line_now("/a").repeat(3));
    let mut running = Running::new(&[&folder.path("a.log")], Stdio::null());
    assert_eq!(running.expect_lines(3)["hits"], 3);
    std::fs::rename(folder.path("a.log"), folder.path("a.log.1")).expect("a rename");
    folder.append("a.log.1", &line_now("/a"));
    folder.append("a.log", &line_now("/b").repeat(2));
    let object = running.expect_lines(6);
    assert_eq!((&object["hits"], &object["distinct"]["path"]), (&json!(6), &json!(2)));
    std::fs::write(folder.path("a.log"), "").expect("truncated");
    std::thread::sleep(Duration::from_millis(300));
    folder.append("a.log", &line_now("/c"));
    assert_eq!(running.expect_lines(7)["hits"], 7);
    std::fs::remove_file(folder.path("a.log")).expect("it is there");
    let note = std::iter::repeat_with(|| running.next()).find(|object| object["notes"] != json!([])).expect("a note");
    assert_eq!(note["notes"], json!(["the file is gone; waiting for another"]));
    folder.append("a.log", &line_now("/d"));
    assert_eq!(running.expect_lines(8)["notes"], json!([]));
}

#[test]
fn stdin_ends_and_so_does_the_program() {
    let mut running = Running::new(&["-"], Stdio::piped());
    let mut stdin = running.child.stdin.take().expect("piped");
    stdin.write_all(line_now("/a").as_bytes()).expect("the program reads");
    assert_eq!(running.expect_lines(1)["hits"], 1);
    stdin.write_all(line_now("/a").as_bytes()).expect("the program reads");
    drop(stdin);
    let last = running.lines.by_ref().map(|line| line.expect("text")).last().expect("a line");
    let last: Value = serde_json::from_str(&last).expect("an object");
    assert_eq!(last["lines"], 2, "the last line has all");
    assert!(running.child.wait().expect("it ends").success());
}

#[test]
fn the_end_of_a_large_log_is_read_and_no_line_is_cut() {
    let folder = Folder::new("large");
    // 70 MB of lines of two kilobytes.
    let long = format!("\"-\" \"{}\"", "x".repeat(2_000));
    let lines: String =
        (0..34_000).map(|_| line_now("/a").replace("200}", &format!("200,\"agent\":{}}}", json!(long)))).collect();
    assert!(lines.len() > 68 << 20);
    folder.append("a.log", &lines);
    let all = once(&[&folder.path("a.log")]);
    let read = all["lines"].as_u64().expect("a number");
    assert!((31_000..34_000).contains(&read), "{read}");
    assert_eq!((&all["malformed"], all["hits"].as_u64()), (&json!(0), Some(read)));
}

#[test]
fn what_cannot_be_shown_is_told() {
    let folder = Folder::new("failures");
    folder.append("a.log", &line(0, "/", 200));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(line(0, "/", 200).as_bytes()).expect("memory");
    std::fs::write(folder.path("a.gz"), gzip.finish().expect("memory")).expect("room");
    let log = folder.path("a.log");
    for (arguments, text) in [
        (&["--once", &folder.path("none.log")][..], "none.log: "),
        (&["--once", folder.0.to_str().expect("UTF-8")], "is a folder; name the logs in it"),
        (
            &["--once", &folder.path("a.gz")],
            "is gzip data, which does not grow; count what it holds with: hitring replay",
        ),
        (&["--once", "https://example.com"], "https is not spoken here"),
        (&["--once", "http://127.0.0.1:1", &log], "http://127.0.0.1:1: is watched alone"),
        (&["--once", "http://127.0.0.1:1"], "http://127.0.0.1:1: does not answer: "),
        (&["--once", "--last", "0", &log], "give at least 1 second"),
        (&[&log], "stdout is not a terminal that can show a screen; print plain text with --once, or --json"),
    ] {
        let output = run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(error.starts_with("hitring: ") && error.contains(text) && error.lines().count() == 1, "{error}");
    }
    assert_eq!(run(&["--once"]).status.code(), Some(2));
    assert!(Path::new(&log).exists());
}
