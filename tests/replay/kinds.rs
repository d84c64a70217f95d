//! Each format of logs: how it is told, what of it counts, and lines that are made to break it.

use serde_json::{Value, json};

use super::{Folder, gzip, json, line, replay};

/// A format, three lines of it (behind headers), and what they say: two hits of `/a` and one of `/b?x=1` within the first
/// three seconds of 2024-02-03T22:40:00Z, by two clients, one of which answered 404.
struct Kind {
    name: &'static str,
    headers: &'static [&'static str],
    lines: [&'static str; 3],
}

const KINDS: &[Kind] = &[
    Kind {
        name: "clf",
        headers: &[],
        lines: [
            r#"192.0.2.1 - - [03/Feb/2024:22:40:00 +0000] "GET /a HTTP/1.1" 200 5 "-" "agent""#,
            r#"192.0.2.2 - - [03/Feb/2024:22:40:01 +0000] "GET /a HTTP/1.1" 200 5 "-" "agent""#,
            r#"192.0.2.1 - - [03/Feb/2024:22:40:02 +0000] "GET /b?x=1 HTTP/1.1" 404 5 "-" "agent""#,
        ],
    },
    // nginx, as its users write formats of JSON.
    Kind {
        name: "json",
        headers: &[],
        lines: [
            r#"{"time_local":"03/Feb/2024:22:40:00 +0000","remote_addr":"192.0.2.1","request":"GET /a HTTP/1.1","status":"200","request_time":"0.003","http_host":"h"}"#,
            r#"{"time_iso8601":"2024-02-03T22:40:01+00:00","remote_addr":"192.0.2.2","request_uri":"/a","uri":"/x","status":200,"host":"h"}"#,
            r#"{"msec":1707000002.125,"remote_addr":"192.0.2.1","uri":"/b","args":"x=1","status":404,"host":"h"},"#,
        ],
    },
    // Caddy, Traefik, Cloudflare.
    Kind {
        name: "json",
        headers: &[],
        lines: [
            r#"{"level":"info","ts":1707000000.7564995,"msg":"handled request","request":{"remote_ip":"192.0.2.9","remote_port":"1","client_ip":"192.0.2.1","method":"GET","host":"h","uri":"/a","headers":{"X-Forwarded-For":["203.0.113.9"]}},"duration":0.1,"status":200}"#,
            r#"{"ClientAddr":"192.0.2.2:39496","ClientHost":"192.0.2.2","DownstreamStatus":200,"RequestHost":"h","RequestPath":"/a","RequestAddr":"h","RouterName":"web@docker","StartLocal":"2024-02-04T00:40:01+02:00","StartUTC":"2024-02-03T22:40:01.587782192Z","time":"2024-02-03T22:40:05Z"}"#,
            r#"{"ClientIP":"192.0.2.1","ClientRequestHost":"h","ClientRequestURI":"/b?x=1","EdgeStartTimestamp":1707000002500000000,"EdgeEndTimestamp":1707000009500000000,"EdgeResponseStatus":404}"#,
        ],
    },
    // Elastic's names in objects and with dots, and Google's load balancer.
    Kind {
        name: "json",
        headers: &[],
        lines: [
            r#"{"@timestamp":"2024-02-03T22:40:00.000Z","client":{"ip":"192.0.2.1"},"url":{"path":"/a","domain":"h"},"http":{"response":{"status_code":200}}}"#,
            r#"{"@timestamp":"2024-02-03T22:40:01.000Z","client.ip":"192.0.2.2","url.path":"/a","url.domain":"h","http.response.status_code":200}"#,
            r#"{"timestamp":"2024-02-03T22:40:02.5Z","httpRequest":{"requestUrl":"https://h/b?x=1","remoteIp":"192.0.2.1","status":404},"host":"h"}"#,
        ],
    },
    // IIS.
    Kind {
        name: "w3c",
        headers: &[
            "#Software: Microsoft Internet Information Services 10.0",
            "#Version: 1.0",
            "#Date: 2024-02-03 22:40:00",
            "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) sc-status time-taken",
        ],
        lines: [
            "2024-02-03 22:40:00 10.0.0.1 GET /a - 80 - 192.0.2.1 Mozilla/5.0+(x) 200 15",
            "2024-02-03 22:40:01 10.0.0.1 GET /a - 80 - 192.0.2.2 Mozilla/5.0+(x) 200 15",
            "2024-02-03 22:40:02 10.0.0.1 GET /b x=1 80 - 192.0.2.1 Mozilla/5.0+(x) 404 15",
        ],
    },
    // CloudFront.
    Kind {
        name: "w3c",
        headers: &[
            "#Version: 1.0",
            "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs-uri-query x-host-header",
        ],
        lines: [
            "2024-02-03\t22:40:00\tFRA2\t5\t192.0.2.1\tGET\td1.cloudfront.net\t/a\t200\t-\t-\th",
            "2024-02-03\t22:40:01\tFRA2\t5\t192.0.2.2\tGET\td1.cloudfront.net\t/a\t200\t-\t-\th",
            "2024-02-03\t22:40:02\tFRA2\t5\t192.0.2.1\tGET\td2.cloudfront.net\t/b\t404\t-\tx=1\th",
        ],
    },
    Kind {
        name: "elb",
        headers: &[],
        lines: [
            r#"2024-02-03T22:40:00.945958Z my-lb 192.0.2.1:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29 "GET http://h:80/a HTTP/1.1" "curl/7.38.0" - -"#,
            r#"2024-02-03T22:40:01.945958Z my-lb 192.0.2.2:2817 - -1 -1 -1 200 0 0 29 "GET https://h/a HTTP/1.1" "curl/7.38.0" DHE-RSA TLSv1.2"#,
            r#"2024-02-03T22:40:02.945958Z my-lb 192.0.2.1:2817 10.0.0.1:80 0.000073 0.001048 0.000057 404 200 0 29 "GET http://h:80/b?x=1 HTTP/1.1""#,
        ],
    },
    Kind {
        name: "alb",
        headers: &[],
        lines: [
            r#"https 2024-02-03T22:40:00.186641Z app/my-lb/50dc6c495c0c9188 192.0.2.1:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "GET https://h:443/a HTTP/1.1" "curl/7.46.0" ECDHE TLSv1.2 arn "Root=1" "h" "arn""#,
            r#"h2 2024-02-03T22:40:01.186641Z app/my-lb/50dc6c495c0c9188 192.0.2.2:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "GET https://h:443/a HTTP/2.0" "\"" - -"#,
            r#"http 2024-02-03T22:40:02.186641Z app/my-lb/50dc6c495c0c9188 192.0.2.1:2817 - -1 -1 -1 404 - 0 57 "GET http://h:80/b?x=1 HTTP/1.1" "x" - -"#,
        ],
    },
    Kind {
        name: "s3",
        headers: &[],
        lines: [
            r#"79a59df9 h [03/Feb/2024:22:40:00 +0000] 192.0.2.1 79a59df9 3E57427F REST.GET.OBJECT a "GET /a HTTP/1.1" 200 - 113 - 7 - "-" "S3Console/0.4" -"#,
            r#"79a59df9 h [03/Feb/2024:22:40:01 +0000] 192.0.2.2 - 3E57427F REST.GET.OBJECT a "GET /a HTTP/1.1" 200 - 113 - 7 - "-" "\"" -"#,
            r#"79a59df9 h [03/Feb/2024:22:40:02 +0000] 192.0.2.1 - 3E57427F REST.GET.OBJECT b "GET /b?x=1 HTTP/1.1" 404 NoSuchKey 113 - 7 - "-" "x" -"#,
        ],
    },
    Kind {
        name: "haproxy",
        headers: &[],
        lines: [
            r#"Feb  3 22:40:00 lb haproxy[14389]: 192.0.2.1:33317 [03/Feb/2024:22:40:00.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {1wt.eu} {} "GET /a HTTP/1.1""#,
            r#"192.0.2.2:33317 [03/Feb/2024:22:40:01.655] https-in~ static/<NOSRV> -1/-1/-1/-1/109 200 2750 - - PR-- 1/1/1/1/0 0/0 "GET /a HTTP/1.1""#,
            r#"192.0.2.1:33317 [03/Feb/2024:22:40:02.655] http-in static/srv1 10/0/30/69/+109 404 +2750 - - ---- 1/1/1/1/0 0/0 "GET /b?x=1"#,
        ],
    },
    Kind {
        name: "logfmt",
        headers: &[],
        lines: [
            r#"time="2024-02-03T22:40:00Z" level=info msg="a \"b\" path=/no" path=/a remote_addr=192.0.2.1:5000 status=200 host=h"#,
            r#"ts=1707000001.5 level=info request="GET /a HTTP/1.1" client_ip=192.0.2.2 status=200 host=h"#,
            r#"2024 started timestamp=2024-02-03T22:40:02Z uri="/b?x=1" ip=192.0.2.1 status=404 host=h duration=1ms"#,
        ],
    },
    Kind {
        name: "csv",
        headers: &["timestamp,client_ip,path,status,agent,host"],
        lines: [
            r#"2024-02-03 22:40:00,192.0.2.1,/a,200,"a, ""b""",h"#,
            r#"2024-02-03T22:40:01Z,192.0.2.2,"/a",200,x,h"#,
            r#"1707000002000,192.0.2.1,/b?x=1,404,,h"#,
        ],
    },
    Kind {
        name: "csv",
        headers: &["\"Time\";\"Remote IP\";\"URL\";\"Status\";\"Host\""],
        lines: [
            "2024-02-03 22:40:00;192.0.2.1;/a;200;h",
            "2024-02-03 22:40:01;192.0.2.2;https://h/a;200;h",
            "2024-02-03 22:40:02;192.0.2.1;https://h/b?x=1;404;h",
        ],
    },
];

fn rows(answer: &Value, name: &str) -> Vec<(String, u64, Option<u64>)> {
    let rows = answer["top"].as_array().expect("an array").iter();
    rows.map(|row| {
        let key = row[name].as_str().expect("a key").to_owned();
        (key, row["hits"].as_u64().expect("hits"), row["unique_clients"].as_u64())
    })
    .collect()
}

fn row(key: &str, hits: u64, clients: u64) -> (String, u64, Option<u64>) {
    (key.to_owned(), hits, Some(clients))
}

#[test]
fn every_format_is_told_and_read() {
    let folder = Folder::new();
    for kind in KINDS {
        let text = [kind.headers, &kind.lines].concat().join("\n");
        let log = folder.file("a.log", &text);
        let by_name = json([log.as_os_str(), "--format".as_ref(), kind.name.as_ref()]);
        let answer = json([&log]);
        assert_eq!(answer, by_name, "{text}");
        let totals = ["lines", "malformed", "headers", "events", "first", "last"].map(|name| answer[name].clone());
        let (lines, headers) = (kind.headers.len() + 3, kind.headers.len());
        let expected = json!([lines, 0, headers, 3, 1_707_000_000, 1_707_000_002]);
        assert_eq!(json!(totals), expected, "{text}");
        assert_eq!(answer["distinct"], json!({"path": 2, "client": 2}), "{text}");
        assert_eq!(rows(&answer, "path"), [row("/a", 2, 2), row("/b?x=1", 1, 1)], "{text}");
        let packed = json([folder.file("a.gz", gzip(text.replace('\n', "\r\n").as_bytes()))]);
        assert_eq!(packed, answer, "{text}");
    }
}

#[test]
fn every_key_of_every_format() {
    let folder = Folder::new();
    for kind in KINDS {
        let text = [kind.headers, &kind.lines].concat().join("\n");
        let log = folder.file("a.log", &text);
        let by = |key: &str| json([log.as_os_str(), "--no-query".as_ref(), "--key".as_ref(), key.as_ref()]);
        assert_eq!(rows(&by("path"), "path"), [row("/a", 2, 2), row("/b", 1, 1)], "{text}");
        assert_eq!(rows(&by("status"), "status")[0], row("200", 2, 2), "{text}");
        assert_eq!(by("status")["distinct"], json!({"status": 2, "client": 2}), "{text}");
        assert_eq!(rows(&by("client"), "client")[0], row("192.0.2.1", 2, 1), "{text}");
        assert_eq!(by("client")["distinct"], json!({"client": 2}), "{text}");
        let host = if kind.name == "clf" || kind.name == "haproxy" { "-" } else { "h" };
        let has_hosts = !text.contains("s-ip");
        assert_eq!(rows(&by("host"), "host")[0], row(if has_hosts { host } else { "-" }, 3, 2), "{text}");
        assert_eq!(rows(&by("regex:^/(a)"), "match"), [row("a", 2, 2), row("(unmatched)", 1, 1)], "{text}");
    }
}

/// Lines that a format must survive: each is malformed, whatever else it does.
fn hostile(kind: &Kind) -> Vec<Vec<u8>> {
    let good = kind.lines[0].as_bytes();
    let mut lines = vec![
        b"\xff\xfe\x00\x01".to_vec(),
        vec![b'{'; 100_000],
        vec![b'"'; 100_000],
        vec![b'['; 100_000],
        b"a=".repeat(50_000),
        b", ".repeat(50_000),
        good[..good.len() / 3].to_vec(),
        b"{\"time\":".to_vec(),
        b"[error] 2024/02/03 22:40:00 connect() failed".to_vec(),
    ];
    for (from, to) in [
        ("2024-02-03", "2024-02-30"),
        ("03/Feb/2024", "30/Feb/2024"),
        ("2024-02-03 22", "2024-02-30 22"),
        (":1707000000.7564995", ":\"soon\""),
        ("1707000001.5", "soon"),
    ] {
        if kind.lines[0].contains(from) && (kind.name != "haproxy" || from.starts_with("03")) {
            lines.push(kind.lines[0].replace(from, to).into_bytes());
        }
    }
    lines
}

#[test]
fn hostile_lines_of_every_format_are_malformed_and_lose_no_hit() {
    let folder = Folder::new();
    for kind in KINDS {
        let bad = hostile(kind);
        let mut text = Vec::new();
        for header in kind.headers {
            text.extend_from_slice(header.as_bytes());
            text.push(b'\n');
        }
        for line in kind.lines {
            text.extend_from_slice(line.as_bytes());
            text.extend_from_slice(b"\r\n");
            for line in &bad {
                text.extend_from_slice(line);
                text.push(b'\n');
            }
        }
        let answer = json([folder.file("a.log", &text)]);
        assert_eq!(answer["events"], 3, "{}", kind.lines[0]);
        assert_eq!(answer["malformed"], bad.len() * 3, "{}", kind.lines[0]);
        let packed = gzip(&text);
        let output = replay([folder.file("cut.gz", &packed[..packed.len() / 2])]);
        assert_eq!(output.status.code(), Some(1), "{}", kind.lines[0]);
    }
}

/// A service's messages before its first request do not decide the format, and later messages do not change it.
#[test]
fn the_first_hit_tells_the_format() {
    let folder = Folder::new();
    let started = r#"time="2024-02-03T22:39:59Z" level=info msg="listening" port=80"#;
    let forged = r#"time="2024-02-03T22:39:59Z" path=/forged remote_addr=192.0.2.66"#;
    let error = "2024/02/03 22:40:00 [error] 7#7: *1 open() failed";
    for kind in KINDS.iter().filter(|kind| kind.name != "logfmt") {
        let mut lines = vec![started, error, "{\"level\":\"info\",\"ts\":1,\"msg\":\"x\"}"];
        lines.extend(kind.headers);
        lines.extend(kind.lines);
        lines.extend([forged, error]);
        let answer = json([folder.file("a.log", lines.join("\n"))]);
        assert_eq!((&answer["events"], &answer["malformed"]), (&json!(3), &json!(5)), "{}", kind.lines[0]);
    }
}

#[test]
fn fields_can_be_named() {
    let folder = Folder::new();
    let events = [
        r#"{"id":"1","type":"Push","actor":{"login":"ann"},"created":"2024-01-01T15:00:00Z","path":"/no"}"#,
        r#"{"id":"2","type":"Push","actor":{"login":"bob"},"created":"2024-01-01T15:00:01Z"}"#,
        r#"{"id":"3","type":"Fork","actor":{"login":"ann"},"created":"2024-01-01T15:00:01Z"}"#,
    ];
    let log = folder.file("a.jsonl", events.join("\n"));
    let fields = ["--field=time=created", "--field=path=type", "--field=client=actor.login"];
    let answer = json([log.as_os_str()].into_iter().chain(fields.iter().map(|field| (*field).as_ref())));
    assert_eq!(rows(&answer, "path"), [row("Push", 2, 2), row("Fork", 1, 1)]);
    assert_eq!((&answer["first"], &answer["distinct"]["client"]), (&json!(1_704_121_200), &json!(2)));

    let table = folder.file("a.csv", "TIMESTAMP,Tokens,Size\r\n2023-11-16 18:17:03.9799600,4808,10\r\n");
    let answer = json([table.as_os_str(), "--field=path=Size".as_ref(), "--field=client=Tokens".as_ref()]);
    assert_eq!((rows(&answer, "path"), &answer["first"]), (vec![row("10", 1, 1)], &json!(1_700_158_623)));

    let output = replay([log.as_os_str(), "--field=colour=type".as_ref()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("'colour' is not one of time, date, path, url"));
    let output = replay([log.as_os_str(), "--field=path".as_ref()]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("give WHAT=NAME"));
}

#[test]
fn bytes_that_are_no_utf_8_stay_what_they_are() {
    let folder = Folder::new();
    let log = folder.file("a.log", b"{\"ts\":1,\"uri\":\"/\xff\\u00e9\xc3\xa9\",\"ip\":\"192.0.2.1\"}");
    assert_eq!(rows(&json([log]), "path"), [row("/\\xff\u{e9}\u{e9}", 1, 1)]);
    let signed = folder.file("a.log", r#"{"ts":1,"uri":"/\x+1","ip":"192.0.2.1"}"#);
    assert_eq!(replay([signed]).status.code(), Some(1), "no byte has a sign");
    // The characters that stand for such bytes are taken for nothing else.
    let private = "{\"ts\":1,\"uri\":\"/\u{10ffff}\",\"ip\":\"192.0.2.1\"";
    let log = [private.as_bytes(), b"}\n", private.as_bytes(), b",\"agent\":\"\xff\"}"].concat();
    assert_eq!(rows(&json([folder.file("a.log", log)]), "path"), [row("/\u{10ffff}", 2, 1)]);
}

#[test]
fn forwarded_lists_of_named_fields_count_only_if_asked() {
    let folder = Folder::new();
    let entry =
        |list: &str| format!(r#"{{"ts":1,"uri":"/","remote_addr":"192.0.2.9","http_x_forwarded_for":"{list}"}}"#);
    let log = folder.file("a.log", [entry("203.0.113.7, 198.51.100.2"), entry("203.0.113.8, 198.51.100.2")].join("\n"));
    let client = |options: &[&str]| {
        let options = options.iter().map(|option| (*option).as_ref());
        rows(&json([log.as_os_str(), "--key=client".as_ref()].into_iter().chain(options)), "client")
    };
    assert_eq!(client(&[]), [row("192.0.2.9", 2, 1)]);
    assert_eq!(client(&["--client=remote"]), [row("192.0.2.9", 2, 1)]);
    assert_eq!(client(&["--client=last"]), [row("198.51.100.2", 2, 1)]);
    assert_eq!(client(&["--client=first"]), [row("203.0.113.7", 1, 1), row("203.0.113.8", 1, 1)]);
}

#[test]
fn entries_without_a_client_are_told() {
    let folder = Folder::new();
    let log = folder.file("a.log", "{\"ts\":1,\"uri\":\"/\",\"status\":200}\n{\"ts\":1,\"uri\":\"/\",\"ip\":\"-\"}");
    let output = replay([log.as_os_str(), "--json".as_ref()]);
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["distinct"]["client"], json!(null));
    let expected = format!(
        "hitring: note: {}: no client is known in 2 of 2 hits, so clients are not counted; name the field with --field \
         client=NAME if there is one\n",
        log.display()
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
}

#[test]
fn what_is_not_read_is_named_with_what_is_nearest() {
    let folder = Folder::new();
    for (text, said) in [
        (
            "{\"a\":1}",
            "unknown format (it looks like JSON lines): its only line is not a hit: no known field has a time",
        ),
        ("{\"time\":1}", "no known field has a path; name it with --field path=NAME"),
        (
            "TIMESTAMP,Tokens\n1,2",
            "it looks like a table): none of its 2 lines is a hit; name its time and its path with --field time=NAME",
        ),
        ("level=info msg=x", "it looks like logfmt): its only line is not a hit; name its time"),
        (
            "[Sat Feb 03 22:40:00 2024] [error] x",
            "(it looks like an error log of Apache): its only line is not a hit; give the access log of the server (clf) instead",
        ),
        ("#Fields: a b\n1 2", "none of its 2 lines is a hit in the format w3c: no known field has a time"),
    ] {
        let output = replay([folder.file("a.log", text)]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && stderr.contains(said), "{stderr}");
    }
    let output = replay(["--format=jsno", "a.log"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("'jsno'") && stderr.contains("'json'"), "{stderr}");
    let wrong = folder.file("a.log", line("a", 1, "/"));
    let output = replay([wrong.as_os_str(), "--format=haproxy".as_ref()]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("not a hit in the format haproxy: not the fields of an HTTP log of HAProxy"), "{stderr}");
}

/// The only path, client, status and host of a log of one line.
fn only(text: &str, options: &[&str]) -> [String; 4] {
    let folder = Folder::new();
    let log = folder.file("a.log", text);
    ["path", "client", "status", "host"].map(|key| {
        let options = options.iter().map(|option| (*option).as_ref());
        let answer = json([log.as_os_str(), "--key".as_ref(), key.as_ref()].into_iter().chain(options));
        assert_eq!(answer["events"], 1, "{text}");
        answer["top"][0][key].as_str().expect("a key").to_owned()
    })
}

#[test]
fn odd_lines_of_real_servers() {
    for (text, expected) in [
        // Addresses of IPv6 without brackets.
        (
            r#"h2 2023-09-10T23:55:00.361692Z app/lb/63 2a02:a33c:4538:1::215:50718 10.0.0.0:80 0.0 0.003 0.0 401 401 29 805 "GET https://h:443/a HTTP/2.0" "x" - -"#,
            ["/a", "2a02:a33c:4538:1::215", "401", "h"],
        ),
        (
            r#"::ffff:10.0.1.2:34549 [15/Oct/2003:15:19:06.103] px px/s 0/0/0/0/1 200 0 - - ---- 2/2/2/0/0 0/0 "GET https://h/a HTTP/2.0""#,
            ["/a", "::ffff:10.0.1.2", "200", "h"],
        ),
        (
            r#"unix:1 [15/Oct/2003:15:19:06.103] px px/s 0/0/0/0/1 200 0 - - ---- 2/2/2/0/0 0/0 "GET /a HTTP/1.1""#,
            ["/a", "unix", "200", "-"],
        ),
        // S3 escapes no quotes.
        (
            r#"o b [06/Feb/2019:00:00:38 +0000] 1.2.3.4 - ID REST.GET.OBJECT k "GET /a"b" HTTP/1.1" 403 AccessDenied 243 - 8 - "-" "x" -"#,
            [r#"/a"b""#, "1.2.3.4", "403", "b"],
        ),
        (
            r#"o b [06/Feb/2019:00:00:38 +0000] 1.2.3.4 - ID REST.GET.OBJECT k "GET /k HTTP/1.1" 200 - 243 - 8 - "-" "a [01/Jan/2000:00:00:00 +0000] "GET /forged HTTP/1.1" 200 5 " -"#,
            ["/k", "1.2.3.4", "200", "b"],
        ),
        ("o b [06/Feb/2019:00:00:38 +0000] - - ID S3.EXPIRE.OBJECT k - - - 243 - 8 - - - -", ["-", "-", "-", "b"]),
        // A header of Traefik with the prefix of headers.
        (
            r#"{"ClientHost":"192.0.2.2","DownstreamStatus":200,"RequestHost":"h","RequestPath":"/real","StartUTC":"2024-02-03T22:40:01Z","request_Uri":"/forged","request_Path":"/forged"}"#,
            ["/real", "192.0.2.2", "200", "h"],
        ),
        // A request line and a path that was rewritten.
        (
            r#"{"time":1707000000,"remote_addr":"1.2.3.4","request":"GET /blog?id=1 HTTP/1.1","uri":"/index.php","args":"id=1","status":"200"}"#,
            ["/blog?id=1", "1.2.3.4", "200", "-"],
        ),
        // Escapes that are not JSON's.
        (
            r#" {"time":"03/Feb/2024:22:40:00 +0000","ip":"1.2.3.4","uri":"/\xe9\x22\u00e9\\x41\ud800\ud83d\ude00","agent":"\xc3\xa9\x22","status":200}"#,
            ["/\\xe9\"\u{e9}\\x5cx41\u{fffd}\u{1f600}", "1.2.3.4", "200", "-"],
        ),
        // Values that are empty, and a client that only a proxy knows (ingress-nginx).
        (
            r#"{"time":"","ts":1707000000,"client_ip":"-","remote_addr":"","x_forwarded_for":"203.0.113.5","request_uri":"","uri":"/a","request_query":"x=1","status":200}"#,
            ["/a?x=1", "203.0.113.5", "200", "-"],
        ),
        // A file of a container.
        (
            r#"{"log":"192.0.2.1 - - [03/Feb/2024:22:40:00 +0000] \"GET /a HTTP/1.1\" 200 5\n","stream":"stdout","time":"2024-02-03T22:40:00.1Z"}"#,
            ["/a", "192.0.2.1", "200", "-"],
        ),
        // Escapes of logfmt.
        (r#"ts=1 path="/a\"b\\c\n" ip=192.0.2.1 status=200"#, [r#"/a"b\c\n"#, "192.0.2.1", "200", "-"]),
        // Two times, and a host in a URL.
        (
            r#"{"@timestamp":"2030-01-01T00:00:00Z","clientip":"1.1.1.1","timestamp":"03/Feb/2024:22:40:00 +0000","url":"http://h?x=1","response":"200"}"#,
            ["/?x=1", "1.1.1.1", "200", "h"],
        ),
        // IIS of old, and a time without seconds.
        (
            "#Date: 2024-02-03 22:48:39\n#Fields: time c-ip cs-method cs-uri-stem sc-status cs-host\n22:40:00 1.2.3.4 GET /a 200 h",
            ["/a", "1.2.3.4", "200", "h"],
        ),
        ("time, client, path, status\n2024-02-03 22:40, 1.2.3.4, /a, 200", ["/a", "1.2.3.4", "200", "-"]),
    ] {
        assert_eq!(only(text, &[]), expected, "{text}");
    }
}

#[test]
fn a_line_that_is_not_a_request_does_not_decide_the_format() {
    let folder = Folder::new();
    let clf = line("192.0.2.1", 1, "/a");
    for start in [
        r#"{"level":30,"time":1706999999000,"msg":"config loaded","path":"/etc/app.yml"}"#,
        r#"time=2024-02-03T22:39:59Z msg="config loaded" path=/etc/app.yml"#,
        r#"{"time":1706999999000,"msg":"config loaded","path":"/etc/app.yml","host":"web-1","route":"x"}"#,
    ] {
        let answer = json([folder.file("a.log", [start, &clf, &clf].join("\n"))]);
        assert_eq!((&answer["events"], &answer["malformed"]), (&json!(2), &json!(1)), "{start}");
    }
    // Caddy writes a request that failed to both of its logs.
    let error = r#"{"ts":1,"logger":"http.log.error","request":{"remote_ip":"1.2.3.4","uri":"/a"},"status":502}"#;
    let access = error.replace("http.log.error", "http.log.access");
    let answer = json([folder.file("a.log", [error, &access].join("\n"))]);
    assert_eq!((&answer["events"], &answer["malformed"]), (&json!(1), &json!(1)));
}

/// The first line tells what separates the columns: later ones may hold as many of the other.
#[test]
fn columns_have_one_separator() {
    let folder = Folder::new();
    let text = "#Fields: date time c-ip cs-uri-stem sc-status\n2024-02-03 22:40:00 192.0.2.1 /a 200\n\
                2024-02-03 22:40:00 192.0.2.1 /a\tb\tc\td\te 200\n";
    let answer = json([folder.file("a.log", text)]);
    assert_eq!(rows(&answer, "path"), [row("/a", 1, 1), row(r"/a\x09b\x09c\x09d\x09e", 1, 1)]);
}

#[test]
fn tables_may_be_joined() {
    let folder = Folder::new();
    let table = "time,client,path\n1,1.2.3.4,/a\n";
    let answer = json([folder.file("a.csv", table.repeat(2))]);
    assert_eq!((&answer["events"], &answer["headers"], &answer["malformed"]), (&json!(2), &json!(2), &json!(0)));
}

#[test]
fn a_name_that_is_given_counts_alone() {
    let text = r#"{"time":1,"remote_addr":"1.2.3.4","path":"/no","url":"/no","line":"GET /a HTTP/1.1","state":200,"host":"9.9.9.9"}"#;
    let given = ["--field=request=line", "--field=status=state", "--field=client=host"];
    assert_eq!(only(text, &given), ["/a", "9.9.9.9", "200", "-"]);
    let folder = Folder::new();
    let log = folder.file("a.log", text);
    let output = replay([log.as_os_str(), "--field=path=a".as_ref(), "--field=path=b".as_ref()]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("--field path is given twice, as 'a' and as 'b'; give it once"), "{stderr}");
    let output = replay([log.as_os_str(), "--field=path=nosuch".as_ref()]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("no known field has a path; name it with --field path=NAME"), "{stderr}");
}
