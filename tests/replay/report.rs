//! The answer: JSON and text, windows, and the options that choose them.

use serde_json::{Value, json};

use super::{Folder, data, json, line, replay};

const TIME: i64 = 971_211_336;

#[test]
fn the_whole_answer() {
    let answer = json([data("combined.log").as_os_str(), "--at".as_ref(), "971211336".as_ref(), "--last=5m".as_ref()]);
    let expected = json!({
        "lines": 12, "malformed": 3, "headers": 0, "events": 9, "first": TIME - 6, "last": TIME + 301,
        "distinct": {"path": 5, "client": 6}, "stripped": {}, "estimates": {},
        "top": [
            {"path": "/index.html", "hits": 4, "unique_clients": 3},
            {"path": "/login", "hits": 2, "unique_clients": 2},
            {"path": "/a\"b", "hits": 1, "unique_clients": 1},
            {"path": "/search?q=a%20b", "hits": 1, "unique_clients": 1},
            {"path": r"\x5cx16\x5cx03\x5cx01", "hits": 1, "unique_clients": 1},
        ],
        "windows": [{"at": TIME, "last": 300, "hits": 4, "by_path": {
            "/index.html": 2, "/login": 1, "/a\"b": 0, "/search?q=a%20b": 1, r"\x5cx16\x5cx03\x5cx01": 0,
        }}],
    });
    assert_eq!(answer, expected);
}

/// The key order and the compact one-line form, which a `Value` does not keep.
#[test]
fn the_json_text() {
    let folder = Folder::new();
    let log = folder.file("a.log", line("a", 9, "/z") + "\n" + &line("a", 9, "/b"));
    let output = replay([
        "--json",
        "--at=9",
        "--last=1",
        "--path=/z",
        "--path=/b",
        "--path=/z",
        "--top=1",
        log.to_str().expect("UTF-8"),
    ]);
    let expected =
        r#"{"lines":2,"malformed":0,"headers":0,"events":2,"first":9,"last":9,"distinct":{"path":2,"client":1},"stripped":{},"estimates":{},"#
            .to_owned()
            + r#""top":[{"path":"/b","hits":1,"unique_clients":1}],"#
            + r#""windows":[{"at":9,"last":1,"hits":2,"by_path":{"/z":1,"/b":1}}]}"#
            + "\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn windows_close_at_their_end_and_are_open_at_their_start() {
    let folder = Folder::new();
    let log = folder.file("a.log", [1, 300, 301].map(|second| line("a", second, "/")).join("\n"));
    let log = log.to_str().expect("UTF-8");
    let hits = |arguments: &[&str]| -> Vec<Value> {
        let answer = json([log].iter().chain(arguments));
        answer["windows"].as_array().expect("an array").iter().map(|window| window["hits"].clone()).collect()
    };
    assert_eq!(hits(&["--at=0", "--at=1", "--at=300", "--at=301", "--at=600", "--at=601"]), [0, 1, 2, 2, 1, 0]);
    assert_eq!(hits(&["--at=301", "--at=300", "--last=301"]), [3, 2], "in the order in which they are asked");
    assert_eq!(hits(&["--at", "1970-01-01T01:05:00+01:00", "--at", "1970-01-01T00:05:00.9Z"]), [2, 2]);
    assert_eq!(hits(&["--at", "-5", "--at", "9223372036854775807", "--last", "0"]), [0, 0]);
    assert_eq!(hits(&["--at", "9223372036854775807", "--last", "9223372036854775807"]), [3], "0 is out, 1 is in");
}

#[test]
fn without_at_the_busiest_window_and_the_last() {
    let folder = Folder::new();
    let log = folder.file("a.log", [900, 10, 12, 12, 500, 501, 502].map(|second| line("a", second, "/")).join("\n"));
    let answer = json([log.as_os_str(), "--last=10".as_ref()]);
    let window = |at: i64, hits: u64| json!({"at": at, "last": 10, "hits": hits, "by_path": {"/": hits}});
    assert_eq!(answer["windows"], json!([window(12, 3), window(900, 1)]), "of two busiest the earlier");
}

#[test]
fn by_path_has_the_paths_asked_for_or_the_top() {
    let folder = Folder::new();
    let lines = [line("a", 5, "/a"), line("a", 5, "/a"), line("b", 5, "/b"), line("b", 5, "/é\\")];
    let log = folder.file(
        "a.log",
        [lines.join("\n").as_bytes(), b"\na - - [01/Jan/1970:00:00:05 +0000] \"GET /\xff\" 200 5"].concat(),
    );
    let by_path = |arguments: &[&str]| {
        let answer =
            json(["--at=5"].iter().chain(arguments).map(|text| text.to_string()).chain([log.display().to_string()]));
        answer["windows"][0]["by_path"].clone()
    };
    assert_eq!(by_path(&["--top=1"]), json!({"/a": 2}));
    assert_eq!(by_path(&["--top=0"]), json!({}));
    assert_eq!(by_path(&[]), json!({"/a": 2, "/b": 1, "/é\\": 1, r"/\xff": 1}));
    assert_eq!(by_path(&["--path=/b", "--path", "/none", "--path=/b"]), json!({"/b": 1, "/none": 0}));
    assert_eq!(by_path(&[r"--path=/\xff", "--path=/é\\"]), json!({r"/\xff": 1, "/é\\": 1}), "as they are shown");
    assert_eq!(by_path(&[r"--path=/\x62"]), json!({"/b": 1}), "any byte may be written so");
}

#[cfg(unix)]
#[test]
fn a_path_may_be_asked_for_by_its_bytes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    let log = folder.file("a.log", b"a - - [01/Jan/1970:00:00:05 +0000] \"GET /\xff\" 200 5");
    let answer = json([log.as_os_str(), OsStr::new("--path"), OsStr::from_bytes(b"/\xff")]);
    assert_eq!(answer["windows"][0]["by_path"], json!({r"/\xff": 1}));
}

#[test]
fn several_files_are_counted_together() {
    let folder = Folder::new();
    let first = folder.file("1.log", line("a", 9, "/x") + "\n" + &line("b", 1, "/x"));
    let second = folder.file("2.log", line("a", 5, "/x") + "\nbroken\n");
    let empty = folder.file("3.log", "");
    let copy = folder.file("4.log", line("a", 5, "/x") + "\nbroken\n");
    let answer = json([&first, &second, &empty, &copy]);
    assert_eq!((&answer["lines"], &answer["malformed"], &answer["events"]), (&json!(6), &json!(2), &json!(4)));
    assert_eq!((&answer["first"], &answer["last"]), (&json!(1), &json!(9)));
    assert_eq!(answer["top"], json!([{"path": "/x", "hits": 4, "unique_clients": 2}]));
}

#[test]
fn an_empty_file_is_zeros() {
    let folder = Folder::new();
    let zeros = json!({
        "lines": 0, "malformed": 0, "headers": 0, "events": 0, "first": null, "last": null,
        "distinct": {"path": 0, "client": 0}, "stripped": {}, "estimates": {}, "top": [], "windows": [],
    });
    assert_eq!(json([folder.file("empty.log", "")]), zeros);
    assert_eq!(json([folder.file("empty.gz", super::gzip(b""))]), zeros);
    let asked = json([folder.file("a.log", "").as_os_str(), "--at=5".as_ref(), "--path=/".as_ref()]);
    assert_eq!(asked["windows"], json!([{"at": 5, "last": 300, "hits": 0, "by_path": {"/": 0}}]));
    let text = replay([folder.file("empty.log", "").as_os_str()]);
    assert!(text.status.success());
    assert!(
        String::from_utf8_lossy(&text.stdout)
            .ends_with("\n\nlines      0\nmalformed  0\nhits       0\npaths      0\nclients    0\n")
    );
}

#[test]
fn the_text_report() {
    let output = replay([data("combined.log").as_os_str(), "--top=3".as_ref()]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let (title, rest) = text.split_once('\n').expect("a title");
    assert!(title.ends_with("combined.log"), "{title}");
    let expected = "
lines      12
malformed   3
hits        9
paths       5
clients     6
first hit  2000-10-10T20:55:30Z  971211330
last hit   2000-10-10T21:00:37Z  971211637

hits over time, 5 s a column, the highest 4
  ▂█▂                                                          ▆

hits in the 5 min up to T, that is (T - 300 s, T]
  T                     unix       hits
  2000-10-10T20:55:40Z  971211340     6  busiest
  2000-10-10T21:00:37Z  971211637     4  last hit

top 3 of 5 paths
  hits  clients  path
     4        3  /index.html
     2        2  /login
     1        1  /a\"b
";
    assert_eq!(rest, expected);
}

#[test]
fn the_text_report_with_windows_and_paths() {
    let output = replay([
        data("combined.log").as_os_str(),
        "--at=2000-10-10T21:00:36Z".as_ref(),
        "--path=/login".as_ref(),
        "--path=/index.html".as_ref(),
        "--top=0".as_ref(),
    ]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let windows = "hits in the 5 min up to T, that is (T - 300 s, T]
  T                     unix       hits
  2000-10-10T21:00:36Z  971211636     3
                                      0  /login
                                      2  /index.html
";
    assert!(text.ends_with(windows), "{text}");
}

#[test]
fn the_text_report_is_at_most_80_columns_wide() {
    let folder = Folder::new();
    let lines: Vec<String> =
        (0..30).map(|number| line("a", number, &format!("/{}/{number}", "é\u{65e5}".repeat(90)))).collect();
    let log = folder.file("a.log", lines.join("\n"));
    let output = replay([log.as_os_str(), "--path".as_ref(), "/long".repeat(40).as_ref()]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    // The widths: each of the characters used here takes one column except the second of the path's two.
    let width = |line: &str| line.chars().map(|character| if character == '\u{65e5}' { 2 } else { 1 }).sum::<usize>();
    assert!(text.lines().all(|line| width(line) <= 80), "{text}");
    assert!(text.lines().any(|line| line.ends_with("/26") && line.contains('…')), "both ends stay: {text}");
    assert!(text.contains("--json has them whole"));
}

#[cfg(unix)] // Elsewhere a file cannot have such a name.
#[test]
fn what_could_garble_a_terminal_is_shown_escaped() {
    let folder = Folder::new();
    let log = folder
        .file("a\x1b[31m.log", b"a - - [01/Jan/1970:00:00:05 +0000] \"GET /\x1b[2J\xc2\x9b\xff\" 200 5\nbad\x1b\x07");
    let output = replay([log.as_os_str(), "--show-malformed".as_ref()]);
    let all = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(all).expect("UTF-8");
    assert!(!text.chars().any(|character| character.is_control() && character != '\n'), "{text:?}");
    assert!(text.contains(r"/\x1b[2J\xc2\x9b\xff") && text.contains(r"bad\x1b\x07") && text.contains(r"a\x1b[31m.log"));
}
