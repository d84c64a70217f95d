//! Any bytes as a log: each line is a hit, a header or malformed in every format, and a format that is recognised reads the
//! log as it does when it is given.
//!
//! The first byte of the input says which format is given. A line of that format stands in front, so that the rest is read
//! as one of it.

#![no_main]

use hitring::cli::fuzzed::{FORMATS, read};
use libfuzzer_sys::fuzz_target;

/// A line of each format, behind what names its columns.
fn start(format: &str) -> &'static str {
    match format {
        "json" => r#"{"time":1707000000,"remote_addr":"192.0.2.1","request_uri":"/a","status":200}"#,
        "w3c" => "#Fields: date time c-ip cs-uri-stem sc-status\n2024-02-03 22:40:00 192.0.2.1 /a 200",
        "elb" => r#"2024-02-03T22:40:00Z lb 192.0.2.1:1 - -1 -1 -1 200 0 0 29 "GET http://h:80/a HTTP/1.1" "x" - -"#,
        "alb" => r#"http 2024-02-03T22:40:00Z lb 192.0.2.1:1 - -1 -1 -1 200 - 0 5 "GET http://h/a HTTP/1.1" "x" - -"#,
        "s3" => r#"o b [03/Feb/2024:22:40:00 +0000] 192.0.2.1 - ID REST.GET.OBJECT k "GET /a HTTP/1.1" 200 - 1 1 7 - "-" "x" -"#,
        "haproxy" => r#"192.0.2.1:1 [03/Feb/2024:22:40:00.001] f b/s 0/0/0/0/1 200 5 - - ---- 1/1/1/1/0 0/0 "GET /a HTTP/1.1""#,
        "logfmt" => "time=2024-02-03T22:40:00Z remote_addr=192.0.2.1 path=/a status=200",
        "csv" => "time,client,path,status\n2024-02-03 22:40:00,192.0.2.1,/a,200",
        _ => r#"192.0.2.1 - - [03/Feb/2024:22:40:00 +0000] "GET /a HTTP/1.1" 200 5 "-" "x""#,
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&first, rest)) = input.split_first() else { return };
    let alone = read(rest, None);
    assert_eq!(alone.lines, alone.hits.len() + alone.headers + alone.malformed);

    let format = FORMATS[usize::from(first) % FORMATS.len()];
    let log = [start(format).as_bytes(), b"\n", rest].concat();
    let (told, given) = (read(&log, None), read(&log, Some(format)));
    assert_eq!(told, given, "{format}");
    assert_eq!(given.hits[0], (1_707_000_000, b"192.0.2.1".to_vec(), b"/a".to_vec()), "{format}");
});
