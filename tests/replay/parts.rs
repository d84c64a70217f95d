//! Large files, which are read in parts side by side.

use super::streams::with_stdin;
use super::{Folder, gzip, json, line, replay};

/// Lines so long that a few thousand make a file that is read in parts.
fn long_line(number: usize) -> String {
    let agent = "x".repeat(8_000);
    format!("{} \"-\" \"{agent}\"\n", line(&format!("192.0.2.{}", number % 250), 0, &format!("/{}", number % 7)))
}

#[test]
fn parts_of_a_large_file_make_the_whole() {
    let folder = Folder::new();
    let mut text: String = (0..6_000).map(long_line).collect();
    for at in [0, text.len() / 2, text.len()] {
        let line_start = text[at..].find('\n').map_or(at, |end| at + end + 1);
        text.insert_str(line_start, "malformed\n\u{feff}\r\nFeb  3 22:40:00 host nginx[7]: 192.0.2.251 odd\n");
    }
    assert!(text.len() > 45 << 20, "three parts");
    let text = format!("\u{feff}{text}");
    let file = folder.file("large.log", &text);
    let in_parts = json([&file]);
    let output = with_stdin(&["--json", "-"], text.as_bytes());
    let by_one: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(in_parts, by_one, "stdin is read by one thread");
    assert_eq!((&in_parts["lines"], &in_parts["malformed"]), (&6_009.into(), &9.into()));
    assert_eq!(in_parts["distinct"]["client"], 250);
}

#[test]
fn what_is_wrong_in_a_late_part_is_told_by_its_line() {
    let folder = Folder::new();
    let mut text: Vec<u8> = (0..6_000).map(long_line).collect::<String>().into_bytes();
    text.extend(gzip(line("b", 2, "/").as_bytes()));
    let both = folder.file("both", &text);
    let output = replay([&both]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("gzip data begins in line 6001, behind text"));
}

#[test]
fn doubts_about_clients_are_those_of_the_whole_file() {
    let folder = Folder::new();
    let odd = |number| format!("pod container {}", long_line(number));
    let text: String = (0..2_500).map(odd).chain((2_500..6_000).map(long_line)).collect();
    let output = replay([folder.file("odd.log", text)]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("stands in front of the client in 2500 of 6000 hits, so the first word of these"),
        "{stderr}"
    );
}

/// The columns of both have names in the first lines, which the later parts do not have.
#[test]
fn large_tables_are_read_whole() {
    let folder = Folder::new();
    let long = "x".repeat(8_000);
    let rows = |separator: &str| -> String {
        let row = |number: usize| {
            ["2024-02-03 22:40:00", &format!("192.0.2.{}", number % 250), "GET", "/a", "200", &long].join(separator)
        };
        (0..6_000).map(|number| row(number) + "\n").collect()
    };
    let csv = folder.file("table.csv", format!("time,client,method,path,status,agent\n{}", rows(",")));
    assert_eq!(json([csv])["events"], 6_000);
    let w3c = "#Fields: date time c-ip cs-method cs-uri-stem sc-status cs(User-Agent)\n";
    let w3c = folder.file("sheet.log", format!("{w3c}{}", rows(" ")));
    assert_eq!(json([w3c])["events"], 6_000);
}
