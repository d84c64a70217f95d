//! Pipes and terminals: stdin, readers that go away, the progress bar.

use std::io::{Read, Write};
use std::process::{Output, Stdio};

use super::{Folder, data, gzip, json, line, program, replay};

/// Runs `hitring replay` with `input` on stdin.
pub(super) fn with_stdin(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = program();
    command.arg("replay").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    child.stdin.take().expect("piped").write_all(input).expect("the program reads its stdin");
    child.wait_with_output().expect("the program ends")
}

#[test]
fn stdin_plain_and_gzip_and_beside_files() {
    let plain = std::fs::read(data("combined.log")).expect("test data");
    let expected = serde_json::to_string(&json([data("combined.log")])).expect("JSON");
    for input in [plain.clone(), gzip(&plain)] {
        let output = with_stdin(&["--json", "-"], &input);
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(answer.to_string(), expected);
    }
    let file = data("combined.log");
    let output = with_stdin(&["--json", "-", file.to_str().expect("UTF-8")], &plain);
    let both: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(both["lines"], 24);
    let text = with_stdin(&["-", "--show-malformed"], &plain);
    assert!(text.stdout.starts_with(b"stdin\n") && text.stderr.starts_with(b"stdin:6: "));
    let cut = with_stdin(&["-"], &gzip(&plain)[..100]);
    assert!(String::from_utf8_lossy(&cut.stderr).starts_with("hitring: stdin: the gzip data ends too early"));
}

#[test]
fn no_progress_in_a_pipe() {
    let output = replay([data("combined.log")]);
    assert!(output.status.success() && output.stderr.is_empty());
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_not_an_error() {
    let folder = Folder::new();
    // More than a pipe holds, so that the write must fail whenever the reader closes.
    let lines: Vec<String> = (0..20_000_u32).map(|number| line("a", number % 3_600, &format!("/{number}"))).collect();
    let log = folder.file("a.log", lines.join("\n"));
    for option in [&["--json"][..], &[]] {
        let mut command = program();
        command.arg("replay").arg(&log).arg("--top=1000000").args(option).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut beginning = [0; 10];
        let mut stdout = child.stdout.take().expect("piped");
        stdout.read_exact(&mut beginning).expect("an answer begins");
        drop(stdout);
        let output = child.wait_with_output().expect("the program ends");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(output.status.code(), Some(141));
    }
}

#[cfg(unix)]
#[test]
fn a_closed_stderr_does_not_stop_the_answer() {
    let expected = replay([data("combined.log")]).stdout;
    let mut command = program();
    command
        .arg("replay")
        .arg(data("combined.log"))
        .arg("--show-malformed")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    drop(child.stderr.take());
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!((output.stdout, output.status.code()), (expected, Some(0)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let mut command = program();
    let output = command.arg("replay").arg(data("combined.log")).stdout(full).output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.starts_with("hitring: cannot write the answer to stdout: "), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

/// Starts the program with stdout and stderr on a terminal of 70 columns and `input` on stdin, and returns all that the
/// terminal got. A bar with a rate (`B/s`) must come while the input is still open.
#[cfg(target_os = "linux")]
fn on_a_terminal(arguments: &[&str], input: &[u8]) -> String {
    use std::fs::File;
    use std::os::fd::{FromRawFd, OwnedFd};
    use std::sync::mpsc;
    use std::time::Duration;

    let (mut master, mut slave) = (0, 0);
    let size = libc::winsize { ws_row: 24, ws_col: 70, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the two out-pointers and the size are valid for the call; the other two arguments may be null.
    let opened = unsafe { libc::openpty(&mut master, &mut slave, std::ptr::null_mut(), std::ptr::null(), &size) };
    assert_eq!(opened, 0, "a pseudo-terminal");
    // SAFETY: openpty returned two open descriptors, and nothing else owns them.
    let (mut screen, slave) = unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
    let mut command = program();
    command.arg("replay").args(arguments).env("TERM", "xterm").stdin(Stdio::piped());
    command.stdout(slave.try_clone().expect("a descriptor")).stderr(slave);
    let mut child = command.spawn().expect("the program starts");
    drop(command); // It holds the terminal open.

    let (blocks, drawn) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut block = [0; 4_096];
        // Linux reports the end of a terminal's other side as an error.
        while let Ok(length @ 1..) = screen.read(&mut block) {
            let _ = blocks.send(block[..length].to_vec());
        }
    });
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input).expect("the program reads its stdin");
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("B/s") {
        let block = drawn.recv_timeout(Duration::from_secs(60));
        seen.extend(block.expect("a bar while the input is still open"));
    }
    drop(stdin);
    seen.extend(drawn.iter().flatten());
    reader.join().expect("the reader ends");
    assert!(child.wait().expect("the program ends").success());
    String::from_utf8(seen).expect("UTF-8")
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_gets_a_bar_that_is_cleared_and_a_report_of_its_width() {
    let long_path = line("a", 1, &"/long".repeat(40)) + "\n";
    let input = long_path.repeat(20_000) + "malformed\n";
    let all = on_a_terminal(&["-", "--show-malformed"], input.as_bytes());
    let (drawn, report) = all.split_once("stdin\r\n").expect("the report begins with its title");
    let (before_line, after_line) = drawn.split_once("stdin:20001: ").expect("the malformed line");
    let cleared = |text: &str| text.ends_with("\x1b[2K") || text.ends_with('\r');
    assert!(cleared(before_line), "the bar makes room for a line: {drawn:?}");
    assert!(cleared(after_line), "the bar is gone before the report: {drawn:?}");
    assert!(!report.contains('\x1b'), "no colours, no cursor moves: {report:?}");
    let widths: Vec<usize> = report.lines().map(|line| line.trim_end_matches('\r').chars().count()).collect();
    assert_eq!(widths.iter().max(), Some(&70), "{report}");
}
