//! What the answer is written as besides text and JSON: CSV, and pictures.

use std::fs;

use super::{Folder, line, replay};

#[test]
fn csv() {
    let folder = Folder::new();
    let log = folder.file(
        "a.log",
        [
            line("a", 1, "/a"),
            line("b", 9, "/a"),
            line("a", 1, "/b,c"),
            line("a", 2, "/\u{22}q\u{22}"),
            line("a", 2, "=cmd|' /C calc'!A0"),
        ]
        .join("\n"),
    );
    let table = |options: &[&str]| {
        let arguments =
            [log.as_os_str(), "--csv".as_ref()].into_iter().chain(options.iter().map(|option| (*option).as_ref()));
        let output = replay(arguments);
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let expected = "path,hits,unique_clients,hits_until_1,hits_until_2\r\n\
                    /a,2,2,1,1\r\n\"/\"\"q\"\"\",1,1,0,1\r\n\"/b,c\",1,1,1,1\r\n'=cmd|' /C calc'!A0,1,1,0,1\r\n";
    assert_eq!(table(&["--at=1", "--at=2"]), expected);
    assert_eq!(table(&["--key=client", "--top=1"]), "client,hits,unique_clients\r\na,4,1\r\n");
    let unknown = folder.file("b.log", "x y ".to_owned() + &line("192.0.2.1", 1, "/a"));
    let output = replay([unknown.as_os_str(), "--csv".as_ref()]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "path,hits,unique_clients\r\n/a,1,\r\n", "not known, not 0");
    let named =
        "path,hits,unique_clients,hits_until_1\r\n/b\u{2c}c".replace("/b\u{2c}c", "\"/b,c\",1,1,1\r\n/none,0,0,0\r\n");
    assert_eq!(table(&["--path=/b,c", "--path=/none", "--at=1", "--top=1"]), named);
    let both = replay([log.as_os_str(), "--csv".as_ref(), "--json".as_ref()]);
    assert_eq!(both.status.code(), Some(2));
}

/// 30 hits of 20 paths within an hour, of which the first has most.
fn hour() -> String {
    let hit = |n: u32| line("a", n * 120, &if n < 10 { "/<most>&".to_owned() } else { format!("/{n}") });
    (0..30).map(hit).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_picture_as_svg() {
    let folder = Folder::new();
    let (log, plot) = (folder.file("a.log", hour()), folder.0.join("out.SVG"));
    let output = replay([log.as_os_str(), "--plot".as_ref(), plot.as_os_str()]);
    assert!(output.status.success() && output.stderr.is_empty());
    assert!(String::from_utf8_lossy(&output.stdout).contains("hits       30"), "the report is printed, too");
    let svg = fs::read_to_string(&plot).expect("UTF-8");
    assert!(svg.starts_with("<svg width=\"1200\" height=\"810\""), "{}", &svg[..100]);
    for text in
        ["30 hits, 10 s a bar, UTC, from 1970-01-01", "top 15 of 21 paths", "/&lt;most&gt;&amp;", "00:30", "/12"]
    {
        assert!(svg.contains(text), "{text}");
    }
    let bars = svg.matches("fill=\"#2F6F9F\"").count();
    assert_eq!(bars, 30 + 15, "one for each time, and one for each path");
    let empty = folder.file("empty.log", "");
    assert!(replay([empty.as_os_str(), "--plot".as_ref(), plot.as_os_str()]).status.success());
    assert!(fs::read_to_string(&plot).expect("UTF-8").contains("empty.log: no hits"), "the file is replaced");
}

#[test]
fn a_picture_as_png() {
    let folder = Folder::new();
    let (log, plot) = (folder.file("a.log", hour()), folder.0.join("out.png"));
    assert!(replay([log.as_os_str(), "--plot".as_ref(), plot.as_os_str()]).status.success());
    let png = fs::read(&plot).expect("a file");
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four bytes"));
    assert_eq!((number(16), number(20)), (1_200, 810));
    assert!(png.len() > 5_000, "{} bytes: it is not blank", png.len());
}

#[test]
fn a_picture_that_cannot_be_written() {
    let folder = Folder::new();
    let log = folder.file("a.log", hour());
    let output = replay([log.as_os_str(), "--plot".as_ref(), "out.pdf".as_ref()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("a file that ends with .svg or .png"));
    let nowhere = folder.0.join("nowhere/out.png");
    let output = replay([log.as_os_str(), "--plot".as_ref(), nowhere.as_os_str()]);
    assert!(output.status.code() == Some(1) && output.stdout.is_empty());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("nowhere/out.png: the plot cannot be written: the folder does not exist"), "{stderr}");
}

#[test]
fn dates_that_lie_far_apart() {
    let folder = Folder::new();
    let far = line("a", 1, "/a")
        + "\n"
        + &line("a", 1, "/b").replace("1970", "9999")
        + "\n"
        + &line("a", 1, "/b").replace("1970", "0001");
    let (log, plot) = (folder.file("a.log", far), folder.0.join("out.svg"));
    assert!(replay([log.as_os_str(), "--plot".as_ref(), plot.as_os_str()]).status.success());
    assert!(fs::read_to_string(&plot).expect("UTF-8").contains("3 hits, "));
}
