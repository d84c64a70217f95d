//! `hitring inspect` and `hitring compact` from outside: the built program on files that others count in, are replaced, foreign,
//! cut or damaged.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hitring::{Outcome, Registry, SharedRegistry};
use serde_json::Value;

use super::Folder;
use super::processes::{fork, wait};
use crate::threads::SetAtEnd;

/// Runs `test` in a process of its own: the children that other tests fork would have its files open, too.
fn alone(test: fn()) {
    assert_eq!(wait(fork(test)), 0, "see above");
}

fn program(arguments: &[&str], files: &[&Path]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hitring"));
    command.args(arguments).args(files).stdin(Stdio::null());
    command
}

/// What it prints; it must succeed and say nothing on stderr.
fn answer(arguments: &[&str], files: &[&Path]) -> String {
    let output = program(arguments, files).output().expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{arguments:?}, {:?}: {stderr}", output.status);
    String::from_utf8(output.stdout).expect("it is text")
}

fn json(file: &Path) -> Value {
    serde_json::from_str(&answer(&["inspect", "--json"], &[file])).expect("it is JSON")
}

/// The one line it complains of, without `hitring: `.
fn told(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).expect("it is text");
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.ends_with('\n') && stderr.lines().count() == 1, "{stderr}");
    assert!(!stderr.trim_end().contains(char::is_control), "{stderr:?}");
    stderr.strip_prefix("hitring: ").expect("the program's name in front").trim_end().to_owned()
}

/// What it complains of; it must print nothing else.
fn complaint(arguments: &[&str], files: &[&Path]) -> String {
    let output = program(arguments, files).output().expect("the program starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    told(&output, if arguments.contains(&"--check") { 2 } else { 1 })
}

/// The faults that a check finds, with its complaint.
fn faults(file: &Path) -> (Vec<String>, String) {
    let output = program(&["inspect", "--check"], &[file]).output().expect("the program starts");
    let stdout = String::from_utf8(output.stdout.clone()).expect("it is text");
    (stdout.lines().map(str::to_owned).collect(), told(&output, 1))
}

fn count(registry: &SharedRegistry, name: &str, amount: u64) {
    assert_eq!(registry.record_hit(name, amount), Ok(Outcome::Counted));
}

fn create(path: impl AsRef<Path>) -> SharedRegistry {
    SharedRegistry::builder().max_endpoints(16).limits(100).create(path).expect("it can be made")
}

const WILD: &str = "/\u{1b}[31mred\n\u{202e}\\x41";
const WILD_SHOWN: &str = r"/\x1b[31mred\x0a\xe2\x80\xae\x5cx41";

fn filled(folder: &Folder) -> SharedRegistry {
    let registry = create(folder.file("hits.ring"));
    for (name, amount) in [("/home", 5), (WILD, 3), ("/\u{65e5}\u{672c}", 2), (&"/long".repeat(30), 1)] {
        assert_eq!(registry.record_visit(name, "ann", amount), Ok(Outcome::Counted));
    }
    count(&registry, "/gone", 9);
    assert!(registry.remove("/gone").expect("it can be written"));
    assert_eq!(registry.record_hit("/home", 1 << 60), Ok(Outcome::Saturated));
    registry
}

/// The words of every line.
fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

fn fits(text: &str) -> bool {
    text.lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= 80 && line.trim_end() == line)
}

#[test]
fn the_report_fits_a_screen_and_shows_names_safely() {
    let folder = Folder::new();
    let registry = filled(&folder);
    let before = fs::read(registry.path()).expect("it can be read");
    let text = answer(&["inspect"], &[registry.path()]);
    assert!(fits(&text) && !text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
    assert!(text.contains("window    5 min in ticks of 1 s, and 20 more for late hits\n"), "{text}");
    let lines = words(&text);
    for wanted in [
        &["places", "5", "11", "16", "31", "%"][..],
        &["keys", "of", "limits", "-", "-", "100"],
        &["endpoints", "4"],
        &["merged", "registries", "0"],
        &["hits", "counted", "20"],
        &["hits", "late", "0"],
        &["hits", "future", "0"],
        &["hits", "saturated", "1,152,921,504,606,846,976"],
        &["hits", "refused", "0"],
        &["all", "endpoints", "(4)"],
        &["in", "window", "ever", "visitors", "endpoint"],
        &["5", "5", "1", "/home"],
        &["3", "3", "1", WILD_SHOWN],
        &["2", "2", "1", "/\u{65e5}\u{672c}"],
    ] {
        assert!(lines.iter().any(|line| line == wanted), "{wanted:?} is not in {text}");
    }
    assert!(lines.last().is_some_and(|line| line[3].contains('\u{2026}')), "{text}");
    assert!(!text.contains("copy") && !text.contains("/gone"));
    let short = answer(&["inspect", "--top", "1"], &[registry.path()]);
    assert!(short.contains("top 1 of 4 endpoints\n") && short.ends_with("/home\n"), "{short}");
    assert!(!answer(&["inspect", "--top=0"], &[registry.path()]).contains("/home"));
    assert_eq!(answer(&["inspect", "--check"], &[registry.path()]), "ok\n");
    assert_eq!(fs::read(registry.path()).expect("it can be read"), before, "nothing was written");
}

#[test]
fn long_numbers_leave_room_for_names() {
    let folder = Folder::new();
    let registry = SharedRegistry::builder().max_endpoints(4).create(folder.file("hits.ring")).expect("it can be made");
    let most = u64::from(u32::MAX) / 2;
    for _ in 0..40 {
        let _ = registry.record_hit(&"/wide/\u{65e5}".repeat(20), most);
    }
    let (words, name) = (fs::read(registry.path()).expect("it can be read"), folder.file("many"));
    let total = registry.total_ever(&"/wide/\u{65e5}".repeat(20));
    // The total is 40 hits of a billion: the most there can be is tried in its place.
    let at =
        words.chunks_exact(8).position(|word| word == total.to_le_bytes() && total > 0).expect("it has a lane") * 8;
    fs::write(&name, &words).expect("it can be written");
    let many = fs::File::options().write(true).open(&name).expect("it is there");
    many.write_all_at(&(u64::MAX - 1).to_le_bytes(), at as u64).expect("it can be written");
    let text = answer(&["inspect"], &[&name]);
    assert!(fits(&text), "{text}");
    assert!(text.lines().last().is_some_and(|line| line.contains("  /wide/\u{65e5}/wide/")), "{text}");
}

#[test]
fn the_json_has_every_number() {
    let folder = Folder::new();
    let registry = filled(&folder);
    let object = json(registry.path());
    for (field, value) in [
        ("slack", 20),
        ("precision", 14),
        ("endpoints", 4),
        ("lives", 5),
        ("max_endpoints", 16),
        ("max_limits", 100),
        ("counted", 20),
        ("late", 0),
        ("future", 0),
        ("saturated", 1_u64 << 60),
        ("refused", 0),
        ("merged", 0),
    ] {
        assert_eq!(object[field], value, "{field}");
    }
    let room = registry.room();
    assert_eq!(object["name_bytes"], room.name_bytes);
    assert_eq!(object["max_name_bytes"], room.max_name_bytes);
    assert_eq!(object["visitor_words"], room.visitors);
    assert_eq!(object["max_visitor_words"], room.max_visitors);
    assert_eq!((object["window"].as_f64(), object["resolution"].as_f64()), (Some(300.0), Some(1.0)));
    assert_eq!((object["path"].as_str(), object["copy"].as_bool()), (registry.path().to_str(), Some(false)));
    assert!(object["made"].as_u64().is_some_and(|made| made > super::START));
    assert_eq!(object["file_bytes"].as_u64(), Some(fs::metadata(registry.path()).expect("it is there").len()));
    let top = object["top"].as_array().expect("it is a list");
    assert_eq!(top[0], serde_json::json!({"endpoint": "/home", "count": 5, "total": 5, "visitors": 1}));
    assert_eq!((top.len(), top[1]["endpoint"].as_str()), (4, Some(WILD_SHOWN)));
    // Every field is documented, and nothing else is.
    let documented = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/inspect.md")).expect("docs");
    for field in
        object.as_object().expect("it is an object").keys().chain(top[0].as_object().expect("it is one").keys())
    {
        assert!(documented.contains(&format!("`{field}`")), "{field} is not documented");
    }
}

#[test]
fn unknown_counts_are_not_shown_as_numbers() {
    alone(unknown_counts_are_not_shown_as_numbers_alone);
}

fn unknown_counts_are_not_shown_as_numbers_alone() {
    let folder = Folder::new();
    let (old, new) = (folder.file("old.ring"), folder.file("new.ring"));
    let registry = SharedRegistry::builder().max_endpoints(4).visitors(16).create(&old).expect("it can be made");
    for visitor in 0..100 {
        assert_eq!(registry.record_visit("/home", visitor.to_string(), 1), Ok(Outcome::Counted));
    }
    drop(registry);
    answer(&["compact", "--window=1d"], &[&old, &new]);
    let first = &json(&new)["top"][0];
    assert_eq!(*first, serde_json::json!({"endpoint": "/home", "count": null, "total": 100, "visitors": null}));
    let text = answer(&["inspect"], &[&new]);
    assert_eq!(words(&text).last().expect("an endpoint"), &["expired", "100", "full", "/home"]);
    assert!(text.contains("window    1 d in"), "{text}");
}

#[test]
fn copies_and_merged_registries_are_told() {
    alone(copies_and_merged_registries_are_told_alone);
}

fn copies_and_merged_registries_are_told_alone() {
    let folder = Folder::new();
    let registry = filled(&folder);
    let memory = Registry::new();
    assert_eq!(memory.record_hit("/home", 100), Ok(Outcome::Counted));
    registry.merge(&memory.snapshot()).expect("it fits");
    let object = json(registry.path());
    assert_eq!((object["merged"].as_u64(), object["top"][0]["count"].as_u64()), (Some(1), Some(105)));
    assert!(words(&answer(&["inspect"], &[registry.path()])).contains(&vec!["merged", "registries", "1"]));
    let copy = folder.file("copy.ring");
    fs::copy(registry.path(), &copy).expect("it can be copied");
    for _ in 0..2 {
        assert_eq!(json(&copy)["copy"], true, "and looking at it changes nothing");
        assert!(answer(&["inspect"], &[&copy]).contains("begins a new writer in it.\n"));
    }
    drop(SharedRegistry::open(&copy).expect("it is whole"));
    assert_eq!((json(&copy)["copy"].as_bool(), json(&copy)["merged"].as_u64()), (Some(false), Some(2)));
    assert_eq!(answer(&["inspect", "--check"], &[&copy]), "ok\n");
}

#[test]
fn a_file_that_others_count_in() {
    let folder = Folder::new();
    let path = folder.file("hits.ring");
    let build = || SharedRegistry::builder().max_endpoints(20_000).create(&path).expect("it can be made");
    drop(build());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let counting = || {
            let registry = build();
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                let name = format!("/{}", number % 5_000);
                let _ = registry.record_visit(&name, &name, 1);
                if number % 7 == 0 {
                    let _ = registry.remove(&name);
                }
                number += 1;
                std::thread::sleep(Duration::from_micros(50));
            }
        };
        scope.spawn(counting);
        scope.spawn(counting);
        let _end = SetAtEnd(&stop);
        let mut before = 0;
        for _ in 0..5 {
            let counted = json(&path)["counted"].as_u64().expect("a number");
            assert!(counted >= before);
            before = counted;
            assert!(fits(&answer(&["inspect"], &[&path])));
            assert_eq!(answer(&["inspect", "--check"], &[&path]), "ok\n");
        }
        assert!(complaint(&["compact"], &[&path, &folder.file("new")]).contains("another process has it open"));
    });
    assert_eq!(answer(&["inspect", "--check"], &[&path]), "ok\n");
}

/// A watch whose output is read from a pipe, and that output.
fn watch(arguments: &[&str], file: &Path) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut command = program(&["inspect", "--watch"], &[file]);
    let mut watch = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let out = BufReader::new(watch.stdout.take().expect("it is piped"));
    (watch, out)
}

fn line(out: &mut impl BufRead) -> String {
    let mut line = String::new();
    assert_ne!(out.read_line(&mut line).expect("it is text"), 0, "it goes on");
    line
}

#[test]
fn a_watch_follows_the_path_and_ends_when_its_reader_is_gone() {
    let folder = Folder::new();
    let registry = filled(&folder);
    let (watch, mut out) = watch(&["--json", "--top", "1"], registry.path());
    let mut object = || serde_json::from_str::<Value>(&line(&mut out)).expect("it is JSON");
    assert_eq!(object()["counted"], 20);
    count(&registry, "/home", 1);
    assert_eq!(object()["counted"], 21);
    let other = SharedRegistry::builder().max_endpoints(3).create(folder.file("other.ring")).expect("it can be made");
    fs::rename(other.path(), registry.path()).expect("it can be moved");
    assert_eq!(object()["max_endpoints"], 3);
    drop(out);
    let ended = watch.wait_with_output().expect("it ends");
    assert_eq!((ended.status.code(), ended.stderr), (Some(141), Vec::new()));
}

#[test]
fn a_watch_without_a_terminal_is_one_report_after_the_other() {
    let folder = Folder::new();
    let registry = filled(&folder);
    let (watch, mut out) = watch(&["--top", "2"], registry.path());
    let mut report = |length: usize| (0..length).map(|_| line(&mut out)).collect::<String>();
    let one = answer(&["inspect", "--top", "2"], &[registry.path()]);
    let length = one.lines().count();
    assert_eq!(report(length), one);
    // Foreign meanwhile: the file before it is shown, and that it is so.
    fs::write(folder.file("text"), "somebody else's").expect("it can be written");
    fs::rename(folder.file("text"), registry.path()).expect("it can be moved");
    let second = report(length + 4);
    assert!(second.starts_with(&format!("\n{one}\nThe file before it, for now:\n")), "{second}");
    assert!(second.contains("is not a hitring file"), "{second}");
    fs::remove_file(registry.path()).expect("it is there");
    assert!(report(length + 4).contains("no such file"));
    drop(create(registry.path()));
    let third = report(length - 3);
    assert!(third.starts_with('\n') && words(&third).contains(&vec!["endpoints", "0"]), "{third}");
    drop(out);
    let ended = watch.wait_with_output().expect("it ends");
    assert_eq!((ended.status.code(), ended.stderr), (Some(141), Vec::new()));
}

#[test]
fn a_watch_of_a_file_that_is_cut_ends_with_the_reason() {
    let folder = Folder::new();
    let registry = filled(&folder);
    let (watch, mut out) = watch(&["--json"], registry.path());
    line(&mut out);
    let file = fs::File::options().write(true).open(registry.path()).expect("it can be opened");
    file.set_len(4_096).expect("it can be cut");
    let ended = watch.wait_with_output().expect("it ends");
    assert!(told(&ended, 1).contains("cut or copied in part"));
}

#[test]
fn a_watch_leaves_the_terminal_clean() {
    let folder = Folder::new();
    let registry = filled(&folder);
    let (mut master, mut slave) = (0, 0);
    let size = libc::winsize { ws_row: 12, ws_col: 50, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the two out-pointers and the size are valid for the call; the other two arguments may be null.
    let opened = unsafe { libc::openpty(&mut master, &mut slave, std::ptr::null_mut(), std::ptr::null(), &size) };
    assert_eq!(opened, 0, "a pseudo-terminal");
    // SAFETY: openpty returned two open descriptors, and nothing else owns them.
    let (mut screen, slave) = unsafe { (fs::File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
    let mut command = program(&["inspect", "--watch"], &[registry.path()]);
    command.env("TERM", "xterm").stdout(slave.try_clone().expect("a descriptor")).stderr(slave);
    let mut child = command.spawn().expect("the program starts");
    drop(command); // It holds the terminal open.
    let mut seen = Vec::new();
    let mut read = |seen: &mut Vec<u8>| {
        let mut block = [0; 4_096];
        // Linux reports the end of a terminal's other side as an error.
        let length = screen.read(&mut block).unwrap_or(0);
        seen.extend(&block[..length]);
        length > 0
    };
    let frames = |seen: &[u8]| String::from_utf8_lossy(seen).matches("\x1b[J").count();
    while frames(&seen) < 2 {
        assert!(read(&mut seen), "it goes on");
    }
    // What Ctrl-C sends.
    // SAFETY: the child was not waited for, so the number is still its own.
    assert_eq!(unsafe { libc::kill(libc::pid_t::try_from(child.id()).expect("a number"), libc::SIGINT) }, 0);
    while read(&mut seen) {}
    assert_eq!(child.wait().expect("it ends").signal(), Some(libc::SIGINT));
    let text = String::from_utf8(seen).expect("UTF-8");
    let frames: Vec<&str> = text.split_terminator("\x1b[J").collect();
    assert!(text.ends_with("\x1b[K\r\n\x1b[J") && frames.len() >= 2, "the cursor is below the report: {text:?}");
    for (number, frame) in frames.iter().enumerate() {
        let frame = if number == 0 { frame } else { frame.strip_prefix("\r\x1b[11A").expect("it goes up") };
        let lines: Vec<&str> = frame.split_terminator("\x1b[K\r\n").collect();
        assert_eq!(lines.len(), 11, "all but the cursor's line: {frame:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 50 && !line.contains('\x1b')), "{frame:?}");
    }
}

#[test]
fn a_file_that_is_not_a_hitring_file_is_reported() {
    let folder = Folder::new();
    let text = folder.file("text");
    for contents in [&b""[..], b"HITRING", b"a file of somebody else's", &[0; 8_192]] {
        fs::write(&text, contents).expect("it can be written");
        for arguments in [&["inspect"][..], &["inspect", "--json"], &["inspect", "--watch"], &["inspect", "--check"]] {
            let path = text.display();
            assert!(complaint(arguments, &[&text]).starts_with(&format!("{path} is not a hitring file; ")));
            let missing = complaint(arguments, &[&folder.file("none")]);
            assert!(
                missing.ends_with("it cannot be opened: no such file; give the path of a registry's file"),
                "{missing}"
            );
            assert!(complaint(arguments, &[&folder.0]).contains("is not a hitring file"));
        }
        assert!(complaint(&["compact"], &[&text, &folder.file("new")]).contains("is not a hitring file"));
        assert_eq!(fs::read(&text).expect("it can be read"), contents, "it was left alone");
    }
    assert!(complaint(&["inspect", "--check"], &[Path::new("/dev/null")]).contains("is not a hitring file"));
    let registry = filled(&folder);
    let (cut, bytes) = (folder.file("cut.ring"), fs::read(registry.path()).expect("it can be read"));
    for length in [8, 511, 512, 8_192, bytes.len() - 1] {
        fs::write(&cut, &bytes[..length]).expect("it can be written");
        assert!(complaint(&["inspect"], &[&cut]).contains("cut or copied in part"), "{length}");
        let (faults, cure) = faults(&cut);
        assert!(faults.len() == 1 && faults[0].contains("cut or copied in part"), "{length}: {faults:?}");
        assert!(cure.ends_with("cut.ring: 1 fault; put a whole copy in its place"), "{cure}");
    }
    let header = |at: usize| {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(&cut, damaged).expect("it can be written");
    };
    header(40);
    assert!(complaint(&["inspect"], &[&cut]).contains("is damaged"));
    assert!(faults(&cut).0[0].contains("is damaged"));
    header(8);
    assert!(complaint(&["inspect", "--check"], &[&cut]).contains("format version 3"));
}

#[test]
fn paths_are_shown_safely() {
    alone(paths_are_shown_safely_alone);
}

fn paths_are_shown_safely_alone() {
    let folder = Folder::new();
    let path = folder.0.join(OsStr::from_bytes(b"odd\xff\x1b[31m\n.ring"));
    let odd = r"/odd\xff\x1b[31m\x0a.ring";
    assert!(complaint(&["inspect"], &[&path]).contains(&format!("{odd}: it cannot be opened")));
    fs::write(&path, "somebody else's").expect("it can be written");
    assert!(complaint(&["inspect"], &[&path]).contains(&format!("{odd} is not a hitring file")));
    assert!(complaint(&["compact"], &[&path, &path]).contains(&format!("{odd} is not a hitring file")));
    fs::remove_file(&path).expect("it is there");
    let registry = create(&path);
    let text = answer(&["inspect"], &[&path]);
    assert!(text.lines().next().is_some_and(|line| line.ends_with(odd)), "{text}");
    assert!(json(&path)["path"].as_str().is_some_and(|path| path.ends_with(odd)));
    let new = folder.0.join(OsStr::from_bytes(b"new\xff"));
    assert!(complaint(&["compact"], &[&path, &new]).contains(&format!("{odd}: another process has it open")));
    drop(registry);
    fs::write(&new, "").expect("it can be written");
    assert!(complaint(&["compact"], &[&path, &new]).contains(r"/new\xff: there is such a file"));
}

/// Whatever the words behind the header are, the program ends, in its own way, and says what it finds.
#[test]
fn damage_of_any_kind_is_found_or_shown_but_never_a_crash() {
    alone(damage_of_any_kind_is_found_or_shown_but_never_a_crash_alone);
}

fn damage_of_any_kind_is_found_or_shown_but_never_a_crash_alone() {
    let folder = Folder::new();
    let registry = filled(&folder);
    registry
        .merge(&{
            let memory = Registry::new();
            assert_eq!(memory.record_hit("/home", 1), Ok(Outcome::Counted));
            memory.snapshot()
        })
        .expect("it fits");
    let bytes = fs::read(registry.path()).expect("it can be read");
    let used: Vec<usize> = (512..bytes.len()).step_by(8).filter(|&at| bytes[at..at + 8] != [0; 8]).collect();
    assert!(used.len() > 50);
    let (path, new) = (folder.file("damaged.ring"), folder.file("new.ring"));
    let mut found = 0;
    let values = [0, 1, u64::MAX, 1 << 63, 0x8080_8080_8080_8080];
    // Every second one: each run waits for the disk.
    for (number, &at) in used.iter().enumerate().step_by(2) {
        let mut damaged = bytes.clone();
        damaged[at..at + 8].copy_from_slice(&values[number % values.len()].to_le_bytes());
        fs::write(&path, damaged).expect("it can be written");
        let runs = [vec!["inspect"], vec!["inspect", "--check"], vec!["compact"]];
        for arguments in runs {
            let files = if arguments[0] == "compact" { vec![path.as_path(), &new] } else { vec![path.as_path()] };
            let output = program(&arguments, &files).output().expect("the program starts");
            let stdout = String::from_utf8_lossy(&output.stdout);
            assert!(matches!(output.status.code(), Some(0 | 1)), "{arguments:?}, word {at}: {output:?}");
            assert!(arguments != ["inspect"] || fits(&stdout), "{stdout}");
            if output.status.code() == Some(1) {
                told(&output, 1);
                found += usize::from(arguments.contains(&"--check"));
            }
        }
        let _ = fs::remove_file(&new);
    }
    assert!(found > 0, "some of it is found");
}

#[test]
fn a_compaction_says_what_it_did() {
    alone(a_compaction_says_what_it_did_alone);
}

fn a_compaction_says_what_it_did_alone() {
    let folder = Folder::new();
    let (old, new) = (folder.file("hits.ring"), folder.file("new.ring"));
    drop(filled(&folder));
    let before = fs::read(&old).expect("it can be read");
    let said = answer(&["compact", "--max-endpoints", "8", "--window", "10m"], &[&old, &new]);
    let lines = words(&said);
    assert_eq!(lines[0][..8], ["before", "4", "endpoints", "in", "5", "of", "16", "places,"], "{said}");
    assert_eq!(lines[1][..8], ["after", "4", "endpoints", "in", "4", "of", "8", "places,"], "{said}");
    assert_eq!((lines.len(), fs::read(&old).expect("it can be read")), (2, before));
    let longer = SharedRegistry::open(&new).expect("it is whole");
    assert_eq!((longer.window(), longer.max_endpoints()), (Duration::from_secs(600), 8));
    assert_eq!((longer.total_ever("/home"), longer.metrics().total_hits), (5, 20));
    drop(longer);
    assert_eq!(json(&new)["merged"], 1);
    let plain = folder.file("plain.ring");
    answer(&["compact"], &[&old, &plain]);
    let object = json(&plain);
    assert_eq!((object["max_endpoints"].as_u64(), object["window"].as_f64()), (Some(16), Some(300.0)));
    assert_eq!(answer(&["inspect", "--check"], &[&plain]), "ok\n");
}

#[test]
fn a_compaction_refuses_what_it_must_not_do() {
    alone(a_compaction_refuses_what_it_must_not_do_alone);
}

fn a_compaction_refuses_what_it_must_not_do_alone() {
    let folder = Folder::new();
    let (old, new) = (folder.file("hits.ring"), folder.file("new.ring"));
    let registry = filled(&folder);
    assert!(complaint(&["compact"], &[&old, &new]).contains("another process has it open"));
    drop(registry);
    for there in ["file", "link"] {
        match there {
            "file" => fs::write(&new, "somebody else's").expect("it can be written"),
            _ => std::os::unix::fs::symlink("nowhere", &new).expect("it can be made"),
        }
        let told = complaint(&["compact"], &[&old, &new]);
        assert!(
            told.ends_with("new.ring: there is such a file, and it is not overwritten; give another name"),
            "{told}"
        );
        fs::remove_file(&new).expect("it is still there");
    }
    assert!(complaint(&["compact"], &[&old, &old]).contains("not overwritten"));
    let told = complaint(&["compact", "--max-endpoints=2"], &[&old, &new]);
    assert!(
        told.ends_with("hits.ring: what is alive in it needs more than 2 places; give a larger --max-endpoints"),
        "{told}"
    );
    assert!(complaint(&["compact", "--window=0"], &[&old, &new]).contains("window"));
    assert!(complaint(&["compact"], &[&folder.file("none"), &new]).contains("no such file"));
    let told = complaint(&["compact"], &[&old, &folder.file("none/new.ring")]);
    assert!(told.ends_with("its folder does not exist; make it first"), "{told}");
    assert_eq!(folder.0.read_dir().expect("it is there").count(), 1, "nothing was made");
}

#[test]
fn wrong_command_lines_exit_with_2() {
    let folder = Folder::new();
    let file = OsString::from(filled(&folder).path());
    let file = file.to_str().expect("UTF-8");
    for (arguments, told) in [
        (&["inspect"][..], "FILE"),
        (&["inspect", file, "--top", "-1"], "--top"),
        (&["inspect", file, "--check", "--json"], "--check"),
        (&["inspect", file, "--check", "--watch"], "--check"),
        (&["compact", file], "NEW"),
        (&["compact", file, "new", "--max-endpoints", "0"], "--max-endpoints"),
        (&["compact", file, "new", "--window", "-5"], "negative"),
    ] {
        let output = program(arguments, &[]).output().expect("the program starts");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && text.contains(told), "{arguments:?}: {text}");
    }
}

#[test]
fn a_full_disk_is_told() {
    let folder = Folder::new();
    let registry = filled(&folder);
    for arguments in [&["inspect"][..], &["inspect", "--check"], &["inspect", "--watch"]] {
        let full = fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        let output = program(arguments, &[registry.path()]).stdout(full).output().expect("the program starts");
        assert!(told(&output, 1).starts_with("cannot write the answer to stdout: "));
    }
}
