//! What may be in an input: compression, line ends, malformed lines, hostile bytes.

use std::ffi::{OsStr, OsString};
use std::fs;

use serde_json::json;

use super::{Folder, data, gzip, json, line, replay};

#[test]
fn gzip_is_told_by_its_bytes_and_may_have_members() {
    let folder = Folder::new();
    let plain = fs::read(data("combined.log")).expect("test data");
    let expected = json([data("combined.log")]);
    assert_eq!(json([folder.file("a.gz", gzip(&plain))]), expected);
    assert_eq!(json([folder.file("no-suffix", gzip(&plain))]), expected);
    assert_eq!(json([folder.file("plain.gz", &plain)]), expected, "the name does not matter");
    // A line that begins in one member and ends in the next, and an empty member between them.
    let members = [gzip(&plain[..700]), gzip(b""), gzip(&plain[700..])].concat();
    assert_eq!(json([folder.file("members.gz", members)]), expected);
}

#[test]
fn line_ends() {
    let folder = Folder::new();
    let (a, b) = (line("a", 1, "/a"), line("b", 2, "/b"));
    let expected = json([folder.file("lf", format!("{a}\n{b}\n"))]);
    assert_eq!(expected["events"], 2);
    for (name, contents) in [
        ("crlf", format!("{a}\r\n{b}\r\n")),
        ("mixed", format!("{a}\r\n{b}\n")),
        ("unended", format!("{a}\n{b}")),
        ("unended-cr", format!("{a}\n{b}\r")),
        ("cr", format!("{a}\r{b}\r")),
        ("crcrlf", format!("{a}\r\r\n{b}\r\r\n")),
    ] {
        assert_eq!(json([folder.file(name, contents)]), expected, "{name}");
    }
    let empties = json([folder.file("empties", format!("\n{a}\r\n\r\n{b}\n\n"))]);
    assert_eq!((&empties["lines"], &empties["malformed"]), (&json!(5), &json!(3)), "an empty line is a malformed line");
    let long = "x".repeat(17 << 20);
    let long = json([folder.file("long", format!("{a}\r{long}\r{b}\r"))]);
    assert_eq!((&long["lines"], &long["events"]), (&json!(3), &json!(2)), "a long line ends there, too");
}

#[test]
fn malformed_lines_are_shown_on_request() {
    let folder = Folder::new();
    let long = "x".repeat(5_000);
    let contents =
        [line("a", 1, "/").as_bytes(), b"\nbroken \xff\x00 \n\n", long.as_bytes(), b"\n", line("a", 1, "/").as_bytes()]
            .concat();
    let log = folder.file("a.log", contents);
    let name = log.display();
    let silent = replay([log.as_os_str()]);
    assert!(silent.status.success() && silent.stderr.is_empty());
    let output = replay([log.as_os_str(), "--show-malformed".as_ref()]);
    assert_eq!(output.stdout, silent.stdout, "the answer is the same");
    let reason = "does not begin with a client and an ident, each followed by a space";
    let no_stamp = "no user and [day/Mon/year:hour:minute:second zone] \" behind client and ident";
    let expected = format!(
        "{name}:2: {no_stamp}: broken \\xff\\x00 \n{name}:3: empty line\n{name}:4: {reason}: {}…\n",
        "x".repeat(200)
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
}

#[test]
fn every_reason_is_told() {
    let folder = Folder::new();
    let stamp = "[01/Jan/1970:00:00:05 +0000]";
    let good = line("a", 5, "/");
    for (bad, reason) in [
        ("a".to_owned(), "does not begin with a client"),
        ("a b c".to_owned(), "no user and [day"),
        (format!("a b c {stamp} \"GET /\" x"), "no \"request\" with a three-digit status"),
        (good.replace("01/Jan", "32/Jan"), "no such date"),
        ("x".repeat((16 << 20) + 1), "longer than 16 MiB: xxx"),
    ] {
        let output = replay([folder.file("a.log", format!("{bad}\n{good}")).as_os_str(), "--show-malformed".as_ref()]);
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(stderr.contains(&format!(":1: {reason}")) && stderr.lines().count() == 1, "{stderr}");
        assert!(output.status.success());
    }
}

#[test]
fn lines_up_to_16_mib_are_read_whole() {
    let folder = Folder::new();
    let fixed = line("a", 5, "").len();
    let longest = line("a", 5, &"/".repeat((16 << 20) - fixed));
    assert_eq!(longest.len(), 16 << 20);
    let too_long = longest.replace("GET /", "GET //");
    let answer = json([
        folder.file("a.log", [&longest, &too_long, &line("b", 6, "/b"), &longest].map(String::as_str).join("\n"))
    ]);
    assert_eq!((&answer["lines"], &answer["malformed"], &answer["events"]), (&json!(4), &json!(1), &json!(3)));
    assert_eq!(answer["top"][0]["hits"], 2);
}

#[test]
fn hostile_bytes_between_good_lines_lose_no_good_line() {
    let folder = Folder::new();
    let mut contents = Vec::new();
    for second in 0..50_u32 {
        contents.extend_from_slice(line("a", second, "/").as_bytes());
        contents.push(b'\n');
        // Every byte value but those of line ends, in a pattern that changes from line to line.
        let bytes = (0..=255_u8).map(|byte| byte.wrapping_mul(second as u8 | 1));
        contents.extend(bytes.filter(|byte| !matches!(byte, b'\n' | b'\r')));
        contents.push(b'\n');
        contents.extend_from_slice(&vec![0; 100_000 * usize::from(second % 10 == 0)]);
        contents.push(b'\n');
    }
    let answer = json([folder.file("a.log", contents)]);
    assert_eq!((&answer["lines"], &answer["events"]), (&json!(150), &json!(50)));
}

/// Runs, and returns the answer and the lines on stderr.
pub(super) fn with_notes<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> (serde_json::Value, Vec<String>) {
    let arguments = arguments.into_iter().map(|argument| argument.as_ref().to_owned());
    let output = replay([OsString::from("--json")].into_iter().chain(arguments));
    assert!(output.status.success());
    let notes = String::from_utf8(output.stderr).expect("UTF-8").lines().map(str::to_owned).collect();
    (serde_json::from_slice(&output.stdout).expect("JSON"), notes)
}

#[test]
fn a_byte_order_mark_is_not_part_of_the_first_client() {
    let folder = Folder::new();
    let text = format!("\u{feff}{}\n{}\n", line("a", 1, "/a"), line("a", 2, "/b"));
    let marked = folder.file("marked", &text);
    for (name, file) in [("plain", &marked), ("gzip", &folder.file("marked.gz", gzip(text.as_bytes())))] {
        let answer = json([file]);
        assert_eq!((&answer["events"], &answer["distinct"]["client"]), (&json!(2), &json!(1)), "{name}");
    }
    let both = json([&marked, &folder.file("other", text.replace("/a", "/c"))]);
    assert_eq!(both["distinct"]["client"], 1, "in front of each of two files");
    let (empty, _) = with_notes([folder.file("empty", "\u{feff}")]);
    assert_eq!(empty["lines"], 0);
    // Elsewhere the bytes are a client's.
    let inside = json([folder.file("inside", format!("{}\n\u{feff}{}", line("a", 1, "/"), line("a", 1, "/")))]);
    assert_eq!(inside["distinct"]["client"], 2);
}

#[test]
fn holes_of_nuls_are_no_part_of_a_line() {
    let folder = Folder::new();
    let hole = "\0".repeat(20 << 20);
    let text = format!("{hole}{}\n\0\0{}\n{hole}", line("a", 1, "/"), line("a", 2, "/"));
    let answer = json([folder.file("hole", text)]);
    assert_eq!((&answer["lines"], &answer["malformed"], &answer["events"]), (&json!(3), &json!(1), &json!(2)));
    assert_eq!(answer["distinct"]["client"], 1);
}

#[test]
fn an_input_without_hits_among_others_is_named() {
    let folder = Folder::new();
    let log = folder.file("access.log", line("a", 1, "/"));
    let quiet = folder.file("quiet.log", "log turned over\n");
    let (answer, notes) = with_notes([&quiet, &log, &folder.file("empty", "")]);
    assert_eq!((&answer["lines"], &answer["malformed"], &answer["events"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!(
        notes,
        [format!(
            "hitring: note: {} adds no hits: unknown format: its only line is not a hit in any format that is read; \
             see the reasons with --show-malformed",
            quiet.display()
        )]
    );
}

#[test]
fn a_file_that_is_named_twice_is_read_once() {
    let folder = Folder::new();
    let log = folder.file("access.log", line("a", 1, "/"));
    let link = folder.0.join("link.log");
    std::fs::hard_link(&log, &link).expect("a link");
    let copy = folder.file("copy.log", line("a", 1, "/"));
    let (answer, notes) = with_notes([&log, &copy, &link, &log]);
    assert_eq!(answer["events"], 2, "a copy is another file");
    let (log, link) = (log.display(), link.display());
    assert_eq!(
        notes,
        [
            format!("hitring: note: {link}, which is the same file as {log}, is named twice; it is read once"),
            format!("hitring: note: {log} is named twice; it is read once"),
        ]
    );
}

#[test]
fn zeros_behind_gzip_data_are_skipped() {
    let folder = Folder::new();
    let padded = [gzip(line("a", 1, "/").as_bytes()), vec![0; 10_000]].concat();
    assert_eq!(json([folder.file("padded.gz", padded)])["events"], 1);
}

#[test]
fn prefixes_are_told_in_the_report() {
    let folder = Folder::new();
    let lines = [
        "Feb  3 22:40:00 edge1 nginx: ".to_owned() + &line("192.0.2.1", 1, "/a"),
        "web-1  | Feb 11 22:40:00 edge1 nginx: ".to_owned() + &line("192.0.2.1", 2, "/a"),
        line("\x1b[01;31m\x1b[K192.0.2.1\x1b[m\x1b[K", 3, "/a"),
        line("192.0.2.1", 4, "/a"),
    ];
    let log = folder.file("a.log", lines.join("\n"));
    let answer = json([&log]);
    assert_eq!(answer["stripped"], json!({"syslog": 2, "compose": 1, "colour codes": 1}));
    assert_eq!(answer["distinct"], json!({"path": 1, "client": 1}));
    let text = String::from_utf8(replay([&log]).stdout).expect("UTF-8");
    let told =
        "clients    1\nstripped   syslog, from 2 lines\nstripped   compose, from 1 line\nstripped   colour codes";
    assert!(text.contains(told), "{text}");
}

#[test]
fn clients_behind_something_unknown_are_not_counted() {
    let folder = Folder::new();
    let unknown = |second| "pod container ".to_owned() + &line("192.0.2.1", second, "/a");
    let (known, log) = (line("192.0.2.1", 1, "/a"), |lines: [String; 4]| folder.file("a.log", lines.join("\n")));
    let few = log([known.clone(), unknown(1), known.clone(), unknown(2)]);
    let note = |then: &str, hits: u32| {
        let name = few.display();
        format!(
            "hitring: note: {name}: something unknown stands in front of the client in {hits} of 4 hits, {then}; remove it and run again"
        )
    };
    let (answer, notes) = with_notes([&few]);
    assert_eq!(answer["distinct"]["client"], 2, "half of the hits are not most");
    assert_eq!(notes, [note("so the first word of these lines was counted as the client", 2)]);
    let many = log([known, unknown(1), unknown(2), unknown(3)]);
    let (answer, notes) = with_notes([&many]);
    assert_eq!((&answer["events"], &answer["distinct"]["client"]), (&json!(4), &json!(null)));
    assert_eq!(answer["top"][0], json!({"path": "/a", "hits": 4, "unique_clients": null}));
    assert_eq!(notes, [note("so clients are not counted", 3)]);
    let by_client = with_notes([many.as_os_str(), "--key=client".as_ref()]).0;
    assert_eq!(by_client["distinct"], json!({"client": null}), "the same under that key");
    let text = String::from_utf8(replay([&many]).stdout).expect("UTF-8");
    assert!(text.contains("\nclients    unknown\n") && text.contains("\n     4  unknown  /a\n"), "{text}");
}

#[test]
fn the_client_is_chosen() {
    let folder = Folder::new();
    let log = folder.file(
        "a.log",
        [
            line("192.0.2.9 (203.0.113.7, 198.51.100.2)", 1, "/"),
            line("192.0.2.9 (203.0.113.8, 198.51.100.2)", 1, "/"),
            line("192.0.2.8 (203.0.113.8, 198.51.100.2)", 1, "/"),
            line("192.0.2.7 (203.0.113.9, 198.51.100.2)", 1, "/"),
            line("192.0.2.7 (203.0.113.6, 198.51.100.2)", 1, "/"),
        ]
        .join("\n"),
    );
    let clients = |options: &[&str]| {
        let arguments = [log.as_os_str()].into_iter().chain(options.iter().map(OsStr::new));
        json(arguments)["distinct"]["client"].clone()
    };
    assert_eq!([clients(&[]), clients(&["--client=first"])], [4, 4]);
    assert_eq!([clients(&["--client=last"]), clients(&["--client", "remote"])], [1, 3]);
}

/// Files are read side by side: the answer is that of one file, and messages are in the order of the names.
#[test]
fn many_files_are_as_one() {
    let folder = Folder::new();
    let part = |n: u32| {
        let lines: Vec<String> = (0..400)
            .map(|m| line(&format!("c{}", m * n % 37), (n * 50 + m) % 3_000, &format!("/{}", m % (n + 3))))
            .collect();
        lines.join("\n") + "\nbroken\n"
    };
    let parts: Vec<String> = (1..9).map(part).collect();
    let files: Vec<_> = parts.iter().enumerate().map(|(n, text)| folder.file(format!("{n}.log"), text)).collect();
    let whole = folder.file("whole.log", parts.concat());
    let quiet = [folder.file("quiet-1.log", "x\n"), folder.file("quiet-2.log", "y\n")];
    let windows = ["--at=100", "--at=2000", "--last=500", "--top=1000"].map(OsString::from);
    let ask = |files: Vec<OsString>| with_notes(windows.iter().cloned().chain(files));
    let names = |files: &[std::path::PathBuf]| files.iter().map(OsString::from).collect::<Vec<_>>();
    let (expected, _) = ask(vec![whole.into()]);
    for round in 0..5 {
        let mut order = names(&files);
        order.rotate_left(round);
        assert_eq!(ask(order.clone()).0, expected);
        order.insert(2, quiet[0].clone().into());
        order.push(quiet[1].clone().into());
        let (answer, notes) = ask(order);
        assert_eq!(answer["events"], expected["events"]);
        assert!(notes[0].contains("quiet-1.log") && notes[1].contains("quiet-2.log"), "{notes:?}");
    }
    let cut = |name: &str| folder.file(name, &gzip(parts.concat().as_bytes())[..500]);
    let broken = [files[0].clone(), cut("first.gz"), files[1].clone(), cut("second.gz")];
    for _ in 0..5 {
        let output = replay(&broken);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(1) && output.stdout.is_empty() && stderr.contains("first.gz: "),
            "{stderr}"
        );
    }
}
