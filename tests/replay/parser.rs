//! The program against an oracle: the parsing rules written as regular expressions, everything else as plain loops.
//!
//! Lines are put together from fragments that the rules care about, so that quotes, stamps and statuses turn up where
//! they do not belong. Prefixes of collectors are left to `differential.py`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use proptest::prelude::*;
use proptest::sample::select;
use regex::bytes::Regex;
use serde_json::{Value, json};

use super::Folder;
use super::formats::with_notes;

/// The rules of docs/replay.md.
struct Oracle(Regex);

impl Oracle {
    fn new() -> Oracle {
        let word = r"([^\x09-\x0d ]+) +";
        let digits = |number: usize| format!("([0-9]{{{number}}})");
        let stamp = format!(
            r"\[{}/([A-Z][a-z]{{2}})/{}:{}:{}:{}(?:\.[0-9]+)? ([+-]){}:?{}\]",
            digits(2),
            digits(4),
            digits(2),
            digits(2),
            digits(2),
            digits(2),
            digits(2)
        );
        // Of what fits, a regular expression prefers the shortest user, then a request without bare quotes, then the
        // shortest request.
        let request = r#"(?:[^"\\]|\\.)*|.*?"#;
        let end = r"(?: [0-9]{3}\z| (?:[0-9]{3}|-) (?:-?[0-9]+|-)(?: .*)?\z)";
        let text = format!(r#"(?s-u)\A{word}{word}(?:.*? )??{stamp} "({request})"{end}"#);
        Oracle(Regex::new(&text).expect("the pattern is constant"))
    }

    /// (time, client, path).
    fn read(&self, line: &[u8]) -> Option<(i64, Vec<u8>, Vec<u8>)> {
        let line = &line[line.iter().take_while(|&&byte| byte == 0).count()..];
        let found = self.0.captures(line)?;
        let number = |group: usize| String::from_utf8_lossy(&found[group]).parse::<i64>().expect("digits");
        let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = names.iter().position(|name| name.as_bytes() == &found[4])?;
        let (day, year, hour, minute, second) = (number(3), number(5), number(6), number(7), number(8));
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        if year < 1 || day < 1 || day > lengths[month] || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let years = year - 1;
        let days = years * 365 + years / 4 - years / 100 + years / 400 + lengths[..month].iter().sum::<i64>() + day - 1;
        let ahead = number(10) * 3_600 + number(11) * 60;
        let ahead = if &found[9] == b"-" { -ahead } else { ahead };
        let time = (days - 719_162) * 86_400 + hour * 3_600 + minute * 60 + second - ahead;
        let request = &found[12];
        let words: Vec<&[u8]> = request.split(|&byte| byte == b' ').collect();
        let between = match words[..] {
            [first, .., protocol] if words.len() > 2 && protocol.starts_with(b"HTTP/") => {
                &request[first.len() + 1..request.len() - protocol.len() - 1]
            }
            [_, second, ..] => second,
            _ => b"",
        };
        let path = if !between.is_empty() {
            between
        } else if !words[0].is_empty() {
            words[0]
        } else {
            request
        };
        Some((time, client(&found[1], &found[2], line), path.to_vec()))
    }
}

/// The client of a line whose first words are `first` and `second`. A list is a form that ends with a comma here.
fn client(first: &[u8], second: &[u8], line: &[u8]) -> Vec<u8> {
    let is_address = |word: &[u8]| std::str::from_utf8(word).is_ok_and(|word| word.parse::<IpAddr>().is_ok());
    if !first.contains(&b',') {
        return if is_address(second) { second } else { first }.to_vec();
    }
    // Words belong to the list as long as the one before ends with a comma.
    let mut entries: Vec<&[u8]> = Vec::new();
    let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    for word in words.by_ref() {
        entries.extend(word.split(|&byte| byte == b','));
        if !word.ends_with(b",") {
            break;
        }
    }
    let remote = words.next().filter(|word| is_address(word));
    let address = entries.iter().find(|entry| is_address(entry)).copied();
    let any = entries.iter().find(|entry| !entry.is_empty()).copied();
    address.or(remote).or(any).unwrap_or(first).to_vec()
}

/// Shows bytes by the rule of docs/replay.md, for the bytes that the fragments below hold.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (at, &byte) in bytes.iter().enumerate() {
        let looks_like_an_escape = byte == b'\\'
            && bytes.get(at + 1) == Some(&b'x')
            && bytes.get(at + 2..at + 4).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if (0x20..0x7f).contains(&byte) && !looks_like_an_escape {
            text.push(char::from(byte));
        } else {
            text += &format!("\\x{byte:02x}");
        }
    }
    text
}

fn expected(oracle: &Oracle, lines: &[Vec<u8>], at: i64, last: i64) -> Value {
    let hits: Vec<_> = lines.iter().filter_map(|line| oracle.read(line)).collect();
    let mut paths: BTreeMap<&[u8], Vec<(i64, &[u8])>> = BTreeMap::new();
    for (time, client, path) in &hits {
        paths.entry(path).or_default().push((*time, client));
    }
    let mut top: Vec<_> = paths.iter().collect();
    top.sort_by_key(|(_, hits)| std::cmp::Reverse(hits.len())); // Stable: the bytes decide between equals.
    let clients = |hits: &[(i64, &[u8])]| hits.iter().map(|hit| hit.1).collect::<BTreeSet<_>>().len();
    let in_window = |time: i64| at - last < time && time <= at;
    let by_path = |hits: &[(i64, &[u8])]| hits.iter().filter(|hit| in_window(hit.0)).count();
    json!({
        "lines": lines.len(), "malformed": lines.len() - hits.len(), "headers": 0, "events": hits.len(),
        "first": hits.iter().map(|hit| hit.0).min(), "last": hits.iter().map(|hit| hit.0).max(),
        "distinct": {
            "path": paths.len(),
            "client": hits.iter().map(|hit| &hit.1).collect::<BTreeSet<_>>().len(),
        },
        "stripped": {}, "estimates": {},
        "top": top.iter()
            .map(|(path, hits)| json!({"path": shown(path), "hits": hits.len(), "unique_clients": clients(hits)}))
            .collect::<Vec<_>>(),
        "windows": [{
            "at": at, "last": last,
            "hits": hits.iter().filter(|hit| in_window(hit.0)).count(),
            "by_path": top.iter().map(|(path, hits)| (shown(path), json!(by_path(hits))))
                .collect::<serde_json::Map<_, _>>(),
        }],
    })
}

/// Every fragment holds ASCII or bytes that are never part of valid UTF-8 next to each other.
fn fragment() -> impl Strategy<Value = &'static [u8]> {
    const FRAGMENTS: &[&[u8]] = &[
        b" ",
        b"\"",
        b"\\",
        b"\\\"",
        b"[",
        b"] \"",
        b" - ",
        b"\" 200 5",
        b"\" 404 - ",
        b"200",
        b"/a",
        b"/b?c=%20",
        b"GET ",
        b"\x00",
        b"\t",
        b"\x1c",
        b"\xff",
        b"\xa0",
        b"\x85",
        b"\\x16",
        b"\r",
        b"0",
        b"",
        b"a",
        b" [10/Oct/2000:13:55:36 -0700] \"",
        b" [10/Oct/2000:13:55:40 -0700] \"",
        b" [31/Feb/2000:13:55:36 -0700] \"",
        b" [29/Feb/2000:00:00:00 +9999] \"",
        b" [1/Oct/2000:13:55:36 -0700] \"",
        b" [10/Oct/2000:13:55:41.250 -07:00] \"",
        b" [10/Oct/2000:13:55:60 -0700] \"",
        b"\" - -",
        b"\" 200 -1 ",
        b"\" 304",
        b" HTTP/1.1",
        b" HTTP/1.1\" 200 5",
        b"  ",
    ];
    select(FRAGMENTS)
}

fn words(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(fragment(), 0..most).prop_map(|fragments| fragments.concat())
}

fn log_line() -> impl Strategy<Value = Vec<u8>> {
    const CLIENTS: &[&[u8]] = &[
        b"192.0.2.1",
        b"192.0.2.2",
        b"2001:db8::1",
        b"\xff",
        b"-",
        b"www.example.com:443 192.0.2.1",
        b"192.0.2.1, 198.51.100.2",
        b"unknown, -,192.0.2.2,",
        b"unknown,\t192.0.2.2",
    ];
    const ENDS: &[&[u8]] = &[b"\" 200 5", b" HTTP/1.1\" 200 5", b"\" 404 -", b"\" - -", b"\" 200", b"\" 20 5", b""];
    let near = (select(CLIENTS), words(3), 0..90_u32, words(6), select(ENDS), words(6));
    let near = near.prop_map(|(client, user, second, request, status, rest)| {
        let stamp = format!(" [10/Oct/2000:13:55:{second:02} -0700] \"");
        [client, b" - -", &user, stamp.as_bytes(), &request, status, &rest].concat()
    });
    prop_oneof![6 => near, 1 => words(20)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_answer_is_that_of_the_rules(
        lines in proptest::collection::vec(log_line(), 1..80),
        at in 971_211_330_i64..971_211_400,
        last in 0_i64..90,
    ) {
        thread_local!(static ORACLE: Oracle = Oracle::new());
        let line_end = Regex::new("\r?\r?\n|\r").expect("the pattern is constant");
        // One good line keeps the file from being of an unknown format, and every line end in place.
        let good = br#"192.0.2.9 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 5"#.to_vec();
        let text = lines.into_iter().chain([good]).collect::<Vec<_>>().join(&b"\n"[..]);
        let lines: Vec<Vec<u8>> = line_end.split(&text).map(<[u8]>::to_vec).collect();
        let folder = Folder::new();
        let log = folder.file("a.log", text);
        let arguments = [log.display().to_string(), format!("--at={at}"), format!("--last={last}"), "--top=1000".to_owned()];
        let expected = ORACLE.with(|oracle| expected(oracle, &lines, at, last));
        // Some lines have something unknown in front of the client, which a note says.
        prop_assert_eq!(with_notes(arguments).0, expected);
    }
}
