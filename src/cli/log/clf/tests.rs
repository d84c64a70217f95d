//! Each rule at the top of `clf.rs`, by example. The rules in the large are compared with a separate matcher in
//! tests/replay/parser.rs.
//!
//! Tests: `tests/replay`.

use super::*;

const START: &[u8] = b"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] ";
const TIME: i64 = 971_211_336;

/// The path of a line that begins with [`START`], or why the line is malformed.
fn path_of(rest: impl AsRef<[u8]>) -> Result<Vec<u8>, Malformed> {
    let line = [START, rest.as_ref()].concat();
    let hit = parse(&line, Client::First)?;
    assert_eq!((hit.time, &*hit.client), (TIME, &b"192.0.2.7"[..]));
    Ok(hit.path.into_owned())
}

fn found(path: impl AsRef<[u8]>) -> Result<Vec<u8>, Malformed> {
    Ok(path.as_ref().to_vec())
}

#[test]
fn common_combined_and_more_fields() {
    assert_eq!(path_of(r#""GET /a HTTP/1.1" 200 2326"#), found("/a"));
    assert_eq!(path_of(r#""GET /a HTTP/1.1" 200 -"#), found("/a"));
    assert_eq!(path_of(r#""GET /a HTTP/1.1" 200 5 "http://example.com/" "agent (x) \"y\"""#), found("/a"));
    assert_eq!(path_of(r#""GET /a HTTP/1.1" 200 5 "-" "agent" "-" 0.003 upstream=x"#), found("/a"));
    assert_eq!(path_of(r#""GET /a HTTP/1.1" 200 5 "#), found("/a"), "a space ends the size");
}

#[test]
fn the_path_is_kept_byte_by_byte() {
    assert_eq!(path_of(r#""GET /a%20b?q=%C3%A9&r=/../ HTTP/1.1" 200 5"#), found("/a%20b?q=%C3%A9&r=/../"));
    assert_eq!(path_of(b"\"GET /\xff\x00\t\xa0 HTTP/1.1\" 200 5"), found(b"/\xff\x00\t\xa0"));
    assert_eq!(path_of(r#""GET /A HTTP/1.1" 200 5"#), found("/A"), "case is kept");
    assert_eq!(path_of(r#""GET http://example.com/ HTTP/1.1" 200 5"#), found("http://example.com/"));
}

#[test]
fn the_path_of_odd_requests() {
    assert_eq!(path_of(r#""GET /a" 200 5"#), found("/a"), "no protocol");
    assert_eq!(path_of(r#""GET /a b c HTTP/1.1" 200 5"#), found("/a b c"), "the protocol ends the path");
    assert_eq!(path_of(r#""GET /a b c" 200 5"#), found("/a"), "no protocol, so the second space does");
    assert_eq!(path_of(r#""GET /a HTTP/1.1 HTTP/2.0" 200 5"#), found("/a HTTP/1.1"));
    assert_eq!(path_of(r#""GET /a  HTTP/1.1" 200 5"#), found("/a "));
    assert_eq!(path_of(r#""GET HTTP/1.1" 200 5"#), found("HTTP/1.1"), "two words are method and path");
    assert_eq!(path_of(r#""GET  HTTP/1.1" 200 5"#), found("GET"), "an empty path");
    assert_eq!(path_of(r#""GET /a XHTTP/1.1" 200 5"#), found("/a"));
    assert_eq!(path_of(r#""GET" 200 5"#), found("GET"), "a single word");
    assert_eq!(path_of(r#""-" 408 -"#), found("-"));
    assert_eq!(path_of(r#""" 400 0"#), found(""), "an empty request");
    assert_eq!(path_of(r#""GET  /a" 200 5"#), found("GET"), "an empty second word");
    assert_eq!(path_of(r#""GET " 200 5"#), found("GET"));
    assert_eq!(path_of(r#"" /a" 200 5"#), found("/a"), "an empty first word");
    assert_eq!(path_of(r#"" " 200 5"#), found(" "));
    assert_eq!(path_of(r#""  /a b" 200 5"#), found("  /a b"), "both empty: the whole request");
    assert_eq!(path_of("\"GET\t/a\" 200 5"), found("GET\t/a"), "only spaces separate");
    assert_eq!(path_of(r#""\x16\x03\x01" 400 157"#), found(r"\x16\x03\x01"), "as nginx writes bytes");
}

#[test]
fn escaped_quotes_belong_to_the_request() {
    assert_eq!(path_of(r#""GET /a\"b HTTP/1.1" 200 5"#), found(r#"/a\"b"#));
    assert_eq!(path_of(r#""GET /a\\" 200 5"#), found(r"/a\\"), "an escaped backslash ends before the quote");
    let with_status_inside = r#""GET /a\" 200 5 HTTP/1.1" 404 6"#;
    assert_eq!(path_of(with_status_inside), found(r#"/a\" 200 5"#), "the quote behind a backslash does not end it");
}

#[test]
fn bare_quotes_run_to_the_first_one_with_a_status() {
    assert_eq!(path_of(r#""GET /a"b HTTP/1.1" 200 5"#), found(r#"/a"b"#));
    assert_eq!(path_of(r#""GET /a"b" 200 5 "-" "x""#), found(r#"/a"b"#), "quotes without a status do not count");
    assert_eq!(path_of(r#""GET "/a" 200 x" 404 6"#), found(r#""/a""#));
    assert_eq!(path_of(r#""GET /a"b" 200 5 c" 404 6"#), found(r#"/a"b"#), "the first of two");
    assert_eq!(path_of(r#""GET /a\" 200 5"#), found(r"/a\"), "the only quote is escaped, so it is taken after all");
    assert_eq!(path_of(r#""GET /a HTTP/1.1" 200 5 "x" 404 6"#), found("/a"), "the first quote has a status");
}

#[test]
fn status_and_size() {
    for good in [
        "200 0",
        "000 -",
        "999 18446744073709551616000",
        "200 5 ",
        "200 - x",
        "200 5 \"\0",
        "200",
        "- -",
        "- 5",
        "- - x",
        "200 -1",
        "200 -1 x",
        "- -5",
    ] {
        assert_eq!(path_of(format!("\"GET /a\" {good}")), found("/a"), "{good}");
    }
    for bad in [
        "", "200 ", "20 5", "2000 5", "200 5x", "200 -x", "200 --", "200  5", "200 +5", "x00 5", "200\t5", "200 5\t",
        "-", "- ", "--", "- x", "-5 5", "200 --5",
    ] {
        assert_eq!(path_of(format!("\"GET /a\" {bad}")), Err(Malformed::NoRequest), "{bad}");
    }
    assert_eq!(path_of("\"GET /a\"  200 5"), Err(Malformed::NoRequest), "two spaces");
    assert_eq!(path_of(b"\"GET /a\" 20\xb2 5"), Err(Malformed::NoRequest), "a superscript is not a digit");
    assert_eq!(path_of("\"GET /a 200 5"), Err(Malformed::NoRequest), "no second quote");
    assert_eq!(path_of("\" 200 5"), Err(Malformed::NoRequest), "one quote is not two");
    assert_eq!(path_of("\"GET /a\\"), Err(Malformed::NoRequest), "a backslash at the very end");
}

fn client_of(line: &[u8]) -> Result<Vec<u8>, Malformed> {
    parse(line, Client::First).map(|hit| hit.client.to_vec())
}

const END: &[u8] = b" [10/Oct/2000:13:55:36 -0700] \"GET /a HTTP/1.1\" 200 5";

#[test]
fn clients_are_any_bytes_but_white_space() {
    for client in [&b"192.0.2.7"[..], b"2001:db8::7", b"host.example", b"-", b"\xff\x00\"[", b"\xc3\xa9"] {
        assert_eq!(client_of(&[client, b" - -", END].concat()), found(client));
    }
    for space in [9, 10, 11, 12, 13] {
        assert_eq!(client_of(&[b"a", &[space][..], b"b - -", END].concat()), Err(Malformed::NoClient), "{space:#x}");
        assert_eq!(client_of(&[b"a b", &[space][..], b"c -", END].concat()), Err(Malformed::NoClient), "{space:#x}");
        assert_eq!(client_of(&[b"a b c", &[space][..], b"d", END].concat()), found("a"), "the user may hold it");
    }
    for other in [0, 8, 0x0e, 0x1b, 0x1c, 0x1f, 0x7f, 0x84, 0x85, 0x86, 0x9f, 0xa0, 0xa1] {
        assert_eq!(client_of(&[b"a", &[other][..], b"b - -", END].concat()), Ok(vec![b'a', other, b'b']));
    }
}

#[test]
fn client_ident_and_user_must_be_there() {
    assert_eq!(client_of(b""), Err(Malformed::Empty));
    for line in ["a", "a ", "a b", " a b [", "a\tb c ["] {
        assert_eq!(client_of(line.as_bytes()), Err(Malformed::NoClient), "{line}");
    }
    assert_eq!(client_of(&[b"a", END].concat()), Err(Malformed::NoStamp), "one word: the date is the ident");
    assert_eq!(client_of(&[b"a b", END].concat()), found("a"), "two words and no user");
    assert_eq!(client_of(&[b"a b ", END].concat()), found("a"), "an empty user");
    assert_eq!(client_of(&[b"a   b   c", END].concat()), found("a"), "columns");
    assert_eq!(client_of(b"a b[10/Oct/2000:13:55:36 -0700] \"GET /a\" 200 5"), Err(Malformed::NoStamp));
    assert_eq!(client_of(&[b"a b c d [e", END].concat()), found("a"), "a user of several words");
}

#[test]
fn the_stamp_must_be_in_its_place() {
    let rest = "\"GET /a\" 200 5";
    for (stamp, why) in [
        ("[10/Oct/2000:13:55:36 -0700] ", Ok(())),
        ("10/Oct/2000:13:55:36 -0700 ", Err(Malformed::NoStamp)),
        ("[10/Oct/2000:13:55:36 -0700]", Err(Malformed::NoStamp)),
        ("[10/Oct/2000:13:55:36 -0700]  ", Err(Malformed::NoStamp)),
        ("[10/Oct/2000:13:55:36.5 -07:00] ", Ok(())),
        ("[10/Oct/2000:13:55:60 -0700] ", Ok(())),
        ("[10/Oct/2000:13:55:61 -0700] ", Err(Malformed::UnrealDate)),
        ("[10/Oct/2000:13:55:36] ", Err(Malformed::NoStamp)),
        ("[10/Oct/2000 13:55:36 -0700] ", Err(Malformed::NoStamp)),
        ("[10/oct/2000:13:55:36 -0700] ", Err(Malformed::NoStamp)),
        ("[1/Oct/2000:13:55:36 -0700] ", Err(Malformed::NoStamp)),
        ("[31/Sep/2000:13:55:36 -0700] ", Err(Malformed::UnrealDate)),
        ("[10/Okt/2000:13:55:36 -0700] ", Err(Malformed::UnrealDate)),
    ] {
        let line = format!("a - - {stamp}{rest}");
        assert_eq!(parse(line.as_bytes(), Client::First).map(|_| ()), why, "{stamp}");
    }
    assert_eq!(client_of(b"a - -[10/Oct/2000:13:55:36 -0700] \"GET /a\" 200 5"), Err(Malformed::NoStamp));
}

#[test]
fn the_first_stamp_is_the_lines() {
    let at = |line: &str| parse(line.as_bytes(), Client::First).map(|hit| (hit.time - TIME, hit.path.to_vec()));
    let (first, second) = ("[10/Oct/2000:13:55:36 -0700]", "[10/Oct/2000:13:55:37 -0700]");
    let both = |between: &str| format!("a b c {first} \"{between} {second} \"GET /b\" 200 5");
    assert_eq!(at(&both("GET /a\" 200 5")), Ok((0, b"/a".to_vec())));
    assert_eq!(at(&both("GET /a")), Ok((0, b"/a".to_vec())), "the request holds the second");
    assert_eq!(at(&both("GET /a\" HTTP/1.1\" 404 5 \"-\" \"x")), Ok((0, b"/a\"".to_vec())), "so does the agent");
    assert_eq!(
        at(&format!("a b c {first} {second} \"GET /b\" 200 5")),
        Ok((1, b"/b".to_vec())),
        "no request follows it"
    );
    assert_eq!(at(&format!("a b c {first} \"GET /a")), Err(Malformed::NoRequest));
    // A date that does not exist is not passed over for the next stamp.
    let unreal = format!("a b c [31/Feb/2000:13:55:36 -0700] \"GET /a\" 200 5 {second} \"GET /b\" 200 5");
    assert_eq!(at(&unreal), Err(Malformed::UnrealDate));
}

#[test]
fn something_unknown_in_front_makes_the_client_unsure() {
    for (start, sure) in [
        ("192.0.2.7 - -", true),
        ("host.example - -", true),
        ("2001:db8::7 - 192.0.2.7", true),
        ("www.example.com 192.0.2.7 - -", true),
        ("192.0.2.7 x a b c", true),
        ("host.example - a b c", true),
        ("host.example - 192.0.2.7 a b", true),
        ("host.example ident user", true),
        ("host.example ident", true),
        ("pod container 192.0.2.7 - -", false),
        ("pod container host.example - -", false),
        ("pod container 192.0.2.7 - alice smith", false),
        ("Feb  3 22:40:00 host nginx:192.0.2.7 - -", false),
        ("web_1    |192.0.2.7 - -", false),
    ] {
        let line = [start.as_bytes(), END].concat();
        assert_eq!(parse(&line, Client::First).map(|hit| hit.doubt.is_none()), Ok(sure), "{start}");
    }
}

#[test]
fn repeated_messages_are_not_hits() {
    let line = [&b"message repeated 3 times: [ 192.0.2.7 - -"[..], END, b"]"].concat();
    assert_eq!(client_of(&line), Err(Malformed::Repeated));
    assert_eq!(client_of(&[&b"message x -"[..], END].concat()), found("message"));
}
