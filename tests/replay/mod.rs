//! `hitring replay` from outside: the built program on files, pipes and a terminal.
#![cfg(feature = "cli")]

mod failures;
mod forged;
mod formats;
mod kinds;
mod outputs;
mod parser;
mod parts;
mod report;
mod streams;
mod truth;

use std::cell::Cell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program, not started yet.
fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_hitring"))
}

/// Runs `hitring replay` with nothing on stdin.
fn replay<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    let mut command = program();
    command.arg("replay").args(arguments).stdin(Stdio::null());
    command.output().expect("the program starts")
}

/// What `hitring replay --json` answers; it must succeed and say nothing on stderr.
fn json<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> serde_json::Value {
    let arguments = arguments.into_iter().map(|argument| argument.as_ref().to_owned());
    let output = replay([OsStr::new("--json").to_owned()].into_iter().chain(arguments));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{:?}: {stderr}", output.status);
    serde_json::from_slice(&output.stdout).expect("stdout is one JSON value")
}

/// A file of this test suite.
fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replay/data").join(name)
}

/// A folder that goes away with its contents.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        thread_local!(static NEXT: Cell<u32> = const { Cell::new(0) });
        let number = NEXT.replace(NEXT.get() + 1);
        let (process, thread) = (std::process::id(), std::thread::current().id());
        let name = format!("hitring-replay-{process}-{thread:?}-{number}");
        let path = std::env::temp_dir().join(name.replace(['(', ')'], ""));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    /// Writes a file and returns its path.
    fn file(&self, name: impl AsRef<OsStr>, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name.as_ref());
        std::fs::write(&path, contents).expect("a temporary file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `contents` as one gzip member.
fn gzip(contents: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(contents).expect("writing memory");
    encoder.finish().expect("writing memory")
}

/// A well-formed line without its line end, at 1970-01-01T00:MM:SSZ.
fn line(client: &str, second: u32, path: &str) -> String {
    let (minute, second) = (second / 60, second % 60);
    format!(r#"{client} - - [01/Jan/1970:00:{minute:02}:{second:02} +0000] "GET {path} HTTP/1.1" 200 5"#)
}
