//! `hitring inspect` and `hitring compact` from outside.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use hitring::{Outcome, SharedRegistry};

use super::Folder;
use super::processes::{fork, wait};

fn hitring(arguments: &[&str], files: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hitring"));
    command.args(arguments).args(files).stdin(Stdio::null()).output().expect("the program starts")
}

/// What it prints; it must succeed and say nothing on stderr.
fn answer(arguments: &[&str], files: &[&Path]) -> String {
    let output = hitring(arguments, files);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{:?}: {stderr}", output.status);
    String::from_utf8(output.stdout).expect("it is text")
}

/// What it complains of; it must fail and print nothing else.
fn complaint(arguments: &[&str], files: &[&Path]) -> String {
    let output = hitring(arguments, files);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    let stderr = String::from_utf8(output.stderr).expect("it is text");
    assert!(stderr.starts_with("hitring: ") && stderr.lines().count() == 1, "{stderr}");
    stderr
}

fn filled(folder: &Folder) -> SharedRegistry {
    let builder = SharedRegistry::builder().max_endpoints(16).limits(100);
    let registry = builder.create(folder.file("hits.ring")).expect("it can be made");
    for (name, amount) in [("/home", 5), ("/\u{1b}[31mred\n", 3), ("/\u{65e5}\u{672c}", 2), (&"/long".repeat(30), 1)] {
        assert_eq!(registry.record_visit(name, "ann", amount), Ok(Outcome::Counted));
    }
    assert_eq!(registry.record_hit("/gone", 9), Ok(Outcome::Counted));
    assert!(registry.remove("/gone").expect("it can be written"));
    assert!(registry.record_hit("/home", 1 << 60).is_ok());
    registry
}

#[test]
fn the_report_fits_a_screen_and_shows_names_safely() {
    let folder = Folder::new();
    let registry = filled(&folder);
    let text = answer(&["inspect"], &[registry.path()]);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(!text.contains('\u{1b}'));
    for part in
        ["window      300 s by 1 s, slack 20", "4 in 5 of 16 places (31 %)", "room for 100 keys", "counted     20\n"]
    {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert!(text.contains(&format!("0 late, 0 future, {} saturated, 0 refused", 1u64 << 60)), "{text}");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip_while(|line| !line.starts_with("endpoint "))
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(rows[1], ["/home", "5", "5", "1"]);
    assert_eq!(rows[2], ["/\\x1b[31mred\\x0a", "3", "3", "1"]);
    assert_eq!(rows[3], ["/\u{65e5}\u{672c}", "2", "2", "1"]);
    assert!(rows[4][0].ends_with('\u{2026}'));
    let short = answer(&["inspect", "--top", "1"], &[registry.path()]);
    assert!(short.ends_with("and 3 more\n"), "{short}");
    assert!(!answer(&["inspect", "--top", "0"], &[registry.path()]).contains("/home"));
    assert_eq!(answer(&["inspect", "--check"], &[registry.path()]), "ok\n");
}

#[test]
fn the_json_has_every_number() {
    let folder = Folder::new();
    let registry = filled(&folder);
    let json: serde_json::Value =
        serde_json::from_str(&answer(&["inspect", "--json"], &[registry.path()])).expect("it is JSON");
    for (field, value) in [
        ("slack", 20),
        ("precision", 14),
        ("endpoints", 4),
        ("lives", 5),
        ("max_endpoints", 16),
        ("max_limits", 100),
        ("counted", 20),
        ("late", 0),
        ("refused", 0),
        ("merged", 0),
    ] {
        assert_eq!(json[field], value, "{field}");
    }
    assert_eq!((json["window"].as_f64(), json["copy"].as_bool()), (Some(300.0), Some(false)));
    assert_eq!(json["file_bytes"].as_u64(), Some(std::fs::metadata(registry.path()).expect("it is there").len()));
    let first = &json["top"][0];
    assert_eq!((first["endpoint"].as_str(), first["count"].as_u64()), (Some("/home"), Some(5)));
    assert_eq!((first["total"].as_u64(), first["visitors"].as_u64()), (Some(5), Some(1)));
    assert_eq!(json["top"].as_array().map(Vec::len), Some(4));
}

#[test]
fn a_watch_goes_on_until_nobody_reads_it_and_follows_the_path() {
    let folder = Folder::new();
    let registry = filled(&folder);
    let mut watch = Command::new(env!("CARGO_BIN_EXE_hitring"))
        .args(["inspect", "--watch", "--json", "--top", "1"])
        .arg(registry.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut out = watch.stdout.take().expect("it is piped");
    let mut line = || {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\n") {
            out.read_exact(&mut byte).expect("it goes on");
            line.push(byte[0]);
        }
        serde_json::from_slice::<serde_json::Value>(&line).expect("it is JSON")
    };
    assert_eq!(line()["counted"], 20);
    assert_eq!(registry.record_hit("/home", 1), Ok(Outcome::Counted));
    assert_eq!(line()["counted"], 21);
    let other = SharedRegistry::builder().max_endpoints(3).create(folder.file("other.ring")).expect("it can be made");
    std::fs::rename(other.path(), registry.path()).expect("it can be moved");
    assert_eq!(line()["max_endpoints"], 3);
    drop(out);
    let ended = watch.wait_with_output().expect("it ends");
    assert_eq!((ended.status.code(), ended.stderr), (Some(141), Vec::new()));
}

#[test]
fn what_is_no_file_of_ours_is_said() {
    let folder = Folder::new();
    let text = folder.file("text");
    std::fs::write(&text, "a file of somebody else's").expect("it can be written");
    for arguments in [&["inspect"][..], &["inspect", "--json"], &["inspect", "--check"]] {
        assert!(complaint(arguments, &[&text]).contains("no file of hitring's"));
        assert!(complaint(arguments, &[&folder.file("none")]).contains("cannot be opened"));
    }
    let registry = filled(&folder);
    std::fs::File::options()
        .write(true)
        .open(registry.path())
        .and_then(|file| file.set_len(8_192))
        .expect("it can be cut");
    assert!(complaint(&["inspect"], &[registry.path()]).contains("cut or copied in part"));
}

#[test]
fn a_compaction_says_what_it_did() {
    // In a process of its own: the children that other tests fork would have its files open, too.
    assert_eq!(wait(fork(a_compaction_refuses_what_it_must_not)), 0, "see above");
}

fn a_compaction_refuses_what_it_must_not() {
    let folder = Folder::new();
    let (old, new) = (folder.file("hits.ring"), folder.file("new.ring"));
    let registry = filled(&folder);
    assert!(complaint(&["compact"], &[&old, &new]).contains("another process has it open"));
    drop(registry);
    let said = answer(&["compact", "--max-endpoints", "8", "--window", "10m"], &[&old, &new]);
    assert_eq!(said, "4 endpoints: 5 of 16 places before, 4 of 8 now\n");
    let longer = SharedRegistry::open(&new).expect("it is whole");
    assert_eq!((longer.window(), longer.max_endpoints()), (Duration::from_secs(600), 8));
    assert_eq!((longer.total_ever("/home"), longer.metrics().total_hits), (5, 20));
    drop(longer);
    assert!(complaint(&["compact"], &[&old, &new]).contains("File exists") || new.exists());
    assert!(
        complaint(&["compact", "--max-endpoints", "2"], &[&old, &folder.file("small")])
            .contains("2 endpoints are too few")
    );
    assert!(complaint(&["compact"], &[&folder.file("none"), &folder.file("other")]).contains("cannot be opened"));
    assert!(!folder.file("small").exists() && !folder.file("other").exists());
    let json = answer(&["inspect", "--json"], &[&new]);
    assert!(json.contains("\"merged\":1"), "{json}");
}
