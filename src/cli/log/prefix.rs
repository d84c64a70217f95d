//! Takes off what collectors and tools put around a line of a log, before the line is read: a prefix in front of it and
//! colour codes in it.
//!
//! | kind | a line begins with |
//! |---|---|
//! | syslog | `Feb  3 22:40:00 host nginx[7]: `, `2024-02-03T22:40:00.123+00:00 host nginx: `, `Sat 2024-02-03 22:40:00 UTC host nginx[7]: `, each with `<190>` in front or not, without host or tag or not; `<190>1 2024-02-03T22:40:00Z host nginx 7 - [id a="b"] ` |
//! | time stamp | `2024-02-03T22:40:00.123456789Z `, and a word or not (`docker logs -t`, `kubectl --timestamps`, `aws logs tail`) |
//! | docker | `{"log":"` and the rest of an object around it, as the files of Docker's containers have |
//! | compose | `web-1  \| ` (docker compose, docker service), `22:40:00 web.1 \| ` (foreman), `0\|web \| ` (pm2) |
//! | kubernetes | `2024-02-03T22:40:00Z stdout F ` (a node's files), `[pod/web-1/nginx] ` (`kubectl --prefix`) |
//! | grep | `17:`, `access.log:`, `access.log:17:`, and the same with `-` in front of a line of context |
//! | colour codes | `ESC [ 01;31 m`, `ESC [ K` and `ESC ( B`, anywhere |
//!
//! Every line is judged by itself, so that a file may change its prefix, or put several in front of one line, such as
//! `web-1  | ` and a time stamp. The least certain prefixes count only if an entry follows that could stand alone
//! ([`is_entry`]). An IPv6 address contains colons, too. `17:2001:db8::1` has the form of an address, but 17::/16 is not
//! assigned, so 17 is a line number. Where both are possible (`2001:2001:db8::1`), the text is an address.
//!
//! Tests: below, `tests/replay`.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::LazyLock;

use memchr::{memchr, memchr_iter};
use regex::bytes::Regex;

/// How many prefixes a line may have.
const MOST: usize = 4;
/// How long the name of a service or of a file may be, so that a line without an end costs no time.
const LONGEST_NAME: usize = 256;

/// Something around a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Syslog,
    TimeStamp,
    Docker,
    Compose,
    Kubernetes,
    Grep,
    Colours,
}

impl Kind {
    pub(crate) const ALL: [Kind; 7] =
        [Kind::Syslog, Kind::TimeStamp, Kind::Docker, Kind::Compose, Kind::Kubernetes, Kind::Grep, Kind::Colours];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Syslog => "syslog",
            Kind::TimeStamp => "time stamp",
            Kind::Docker => "docker",
            Kind::Compose => "compose",
            Kind::Kubernetes => "kubernetes",
            Kind::Grep => "grep",
            Kind::Colours => "colour codes",
        }
    }
}

/// In how many lines each kind was taken off, in the order of [`Kind::ALL`].
pub(crate) type Counts = [u64; Kind::ALL.len()];

/// Takes off what is around lines, and counts it.
#[derive(Default)]
pub(crate) struct Unwrapper {
    pub(crate) counts: Counts,
    /// The last line that had colour codes, without them.
    plain: Vec<u8>,
    /// What Docker's object around the last line had.
    inside: Vec<u8>,
}

/// A line of a file of a container.
#[derive(serde::Deserialize)]
struct Container<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow, rename = "stream")]
    _stream: Cow<'a, str>,
    #[serde(borrow, rename = "time")]
    _time: Cow<'a, str>,
}

impl Unwrapper {
    /// `line` without what collectors and tools put around it.
    pub(crate) fn unwrap<'a>(&'a mut self, line: &'a [u8]) -> &'a [u8] {
        let mut line = line;
        if line.starts_with(b"{\"log\":\"")
            && let Ok(container) = serde_json::from_slice::<Container<'_>>(line)
        {
            self.counts[Kind::Docker as usize] += 1;
            self.inside.clear();
            self.inside.extend_from_slice(container.log.trim_ascii_end().as_bytes());
            line = &self.inside;
        }
        if let Some(first) = memchr(b'\x1b', line)
            && without_colours(line, first, &mut self.plain)
        {
            self.counts[Kind::Colours as usize] += 1;
            line = &self.plain;
        }
        let mut seen = [false; Kind::ALL.len()];
        for _ in 0..MOST {
            let Some((kind, length)) = prefix(line) else { break };
            line = &line[length..];
            // A line counts once for a kind that it has twice, as `access.log:17:` has.
            self.counts[kind as usize] += u64::from(!std::mem::replace(&mut seen[kind as usize], true));
        }
        // rsyslog writes a carriage return so.
        if seen[Kind::Syslog as usize] { line.strip_suffix(b"#015").unwrap_or(line) } else { line }
    }
}

/// Writes `line` to `plain` without its colour codes, the first of which may begin at `first`. False if `line` is without them.
fn without_colours(line: &[u8], first: usize, plain: &mut Vec<u8>) -> bool {
    plain.clear();
    plain.extend_from_slice(&line[..first]);
    let mut rest = &line[first..];
    while let Some(&byte) = rest.first() {
        let code = code_length(rest);
        if code == 0 {
            plain.push(byte);
        }
        rest = &rest[code.max(1)..];
    }
    plain.len() < line.len()
}

/// The length of the code that `text` begins with: `ESC [`, digits and semicolons, `m` or `K`, or `ESC ( B`. 0 if it
/// begins with none.
fn code_length(text: &[u8]) -> usize {
    if text.starts_with(b"\x1b(B") {
        return 3;
    }
    let Some(parameters) = text.strip_prefix(b"\x1b[") else { return 0 };
    let length = parameters.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b';')).count();
    if matches!(parameters.get(length), Some(b'm' | b'K')) { length + 3 } else { 0 }
}

/// The prefix that `line` begins with, and its length.
fn prefix(line: &[u8]) -> Option<(Kind, usize)> {
    let word = first_word(line);
    if is_plain_address(word) {
        return None;
    }
    collectors(line).or_else(|| grep(line, word).map(|length| (Kind::Grep, length)))
}

/// A prefix of anything but grep.
fn collectors(line: &[u8]) -> Option<(Kind, usize)> {
    match line.first()? {
        b'{' => None,
        b'[' => found(&KUBECTL, line).map(|length| (Kind::Kubernetes, length)),
        b'<' => found(&RFC_5424, line).map(|length| (Kind::Syslog, length)).or_else(|| stamped(line)),
        // A line of syslog over TCP begins with its length.
        b'0'..=b'9' if line[first_word(line).len()..].starts_with(b" <") => {
            let rfc_5424 = found(&RFC_5424, line).map(|length| (Kind::Syslog, length));
            rfc_5424.or_else(|| stamped(line)).or_else(|| compose(line))
        }
        _ => stamped(line).or_else(|| compose(line)),
    }
}

/// Whether a word has the digits and dots of IPv4 alone, so that no prefix is to be looked for.
fn is_plain_address(word: &[u8]) -> bool {
    word.contains(&b'.') && word.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.'))
}

const PRIORITY: &str = "(?:(?:[0-9]+ )?<[0-9]{1,3}>)?";
const BSD: &str = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +[0-9]{1,2}(?: [0-9]{4})? CLOCK(?:\\.[0-9]+)? ";
const ISO: &str = "[0-9]{4}-[0-9]{2}-[0-9]{2}TCLOCK(?:[.,][0-9]+)?(?:Z|[+-][0-9]{2}:?[0-9]{2})? ";
const WEEKDAY: &str = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [0-9]{4}-[0-9]{2}-[0-9]{2} CLOCK(?:\\.[0-9]+)? [A-Z0-9:+-]+ ";

/// A pattern for the beginning of a line. `CLOCK` in it is a time of day.
fn pattern(text: &str) -> Regex {
    let text = text.replace("CLOCK", "[0-9]{2}:[0-9]{2}:[0-9]{2}");
    Regex::new(&format!("(?s-u)\\A(?:{text})")).expect("the pattern is constant")
}

fn found(pattern: &Regex, line: &[u8]) -> Option<usize> {
    pattern.find(line).map(|found| found.end())
}

static KUBECTL: LazyLock<Regex> = LazyLock::new(|| pattern(r"\[pod/[^ \]]+\] "));
static RFC_5424: LazyLock<Regex> = LazyLock::new(|| {
    let data = r#"(?:-|(?:\[(?:[^\]\\"]|"(?:[^"\\]|\\.)*")*\])+)"#;
    pattern(&format!(r"(?:[0-9]+ )?<[0-9]{{1,3}}>1 (?:{ISO}|- )(?:[^ ]+ ){{4}}{data} (?:\xef\xbb\xbf)?"))
});
static STAMP: LazyLock<Regex> = LazyLock::new(|| pattern(&format!("{PRIORITY}(?:{BSD}|{ISO}|{WEEKDAY})")));
static PRIORITY_ALONE: LazyLock<Regex> = LazyLock::new(|| pattern("(?:[0-9]+ )?<[0-9]{1,3}>"));
static CONTAINER: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?:stdout|stderr) [FP] "));
/// Up to two words, and a tag. They are not those of an entry: no dash, no quote, no JSON and no value.
static TAG: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(?:[^ "={-][^ "={]* ){0,2}?[^ "={-](?:[^ "={]*[^ "={:])?: +"#));
static HOST: LazyLock<Regex> = LazyLock::new(|| pattern(r#"[^ ,"(\[]+ "#));
static LOG_FILE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"[^ ]*(?:/[^ ]*|\.log(?:[.-][0-9]+)*(?:\.gz)?|access_log(?:[.-][0-9]+)*(?:\.gz)?)\z"));
static COMPOSE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?:CLOCK |[0-9]+\|)?[A-Za-z0-9][A-Za-z0-9_.@-]* *\| "));

/// A prefix that begins with a time stamp.
fn stamped(line: &[u8]) -> Option<(Kind, usize)> {
    if !matches!(line[0], b'<' | b'0'..=b'9' | b'A'..=b'Z') {
        return None;
    }
    let Some(stamp) = found(&STAMP, line) else {
        let priority = found(&PRIORITY_ALONE, line)?;
        return is_entry(&line[priority..]).then_some((Kind::Syslog, priority));
    };
    let behind = &line[stamp..];
    if let Some(length) = found(&CONTAINER, behind) {
        return Some((Kind::Kubernetes, stamp + length));
    }
    let kind = if line[0].is_ascii_digit() { Kind::TimeStamp } else { Kind::Syslog };
    // Behind a time stamp an address may be the host, if another one follows the tag: else it is that of a client.
    let is_tag = |length: &usize| {
        let entry = &behind[*length..];
        let is_host = entry.starts_with(b"{") || begins_with_address(entry);
        kind == Kind::Syslog || is_host || !begins_with_address(behind)
    };
    if let Some(length) = found(&TAG, behind).filter(is_tag) {
        return Some((Kind::Syslog, stamp + length));
    }
    if is_entry(behind) {
        return Some((kind, stamp));
    }
    let host = found(&HOST, behind)?;
    // Not any entry: a balancer's own line is a time stamp, its name, an address with a port, and perhaps a dash.
    let entry = &behind[host..];
    (entry.starts_with(b"{") || is_address(first_word(entry))).then_some((kind, stamp + host))
}

fn compose(line: &[u8]) -> Option<(Kind, usize)> {
    memchr(b'|', &line[..line.len().min(LONGEST_NAME)])?;
    found(&COMPOSE, line).map(|length| (Kind::Compose, length))
}

/// The length of what grep put in front of the first word, `word`, or of a part of it.
fn grep(line: &[u8], word: &[u8]) -> Option<usize> {
    let word = &word[..word.len().min(LONGEST_NAME)];
    if matches!(line.first()?, b'{' | b'[' | b'<') || matches!(address(word), Some(address) if is_given_out(address)) {
        return None;
    }
    let follows = |length: usize, numbered: bool, named: bool| {
        let entry = &line[length..];
        let is_named = |word: &[u8]| {
            // Not a number, which is a port, and not values of a table.
            let is_host =
                word.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':'));
            is_host && !word.iter().all(u8::is_ascii_digit)
        };
        let is_whole = entry.starts_with(b"{") || is_entry(entry) && is_named(first_word(entry));
        let may_follow = begins_with_address(entry) || (numbered || named) && (is_whole || collectors(entry).is_some());
        may_follow.then_some(length)
    };
    let is_digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    // A dash separates in front of lines of context. Names of hosts have dashes, too, so only an address may follow.
    let dash = memchr_iter(b'-', word).find(|&at| {
        let head = &word[..at];
        let last = head.rsplit(|&byte| byte == b'-').next().unwrap_or_default();
        (is_digits(last) || found(&LOG_FILE, head).is_some()) && begins_with_address(&line[at + 1..])
    });
    if let Some(at) = dash {
        return Some(at + 1);
    }
    let at = memchr(b':', word).filter(|at| *at > 0)?;
    let (head, rest) = (&word[..at], &word[at + 1..]);
    if begins_with_address(&line[at + 1..]) {
        return Some(at + 1);
    }
    let number = memchr(b':', rest).filter(|end| is_digits(&rest[..*end]));
    let behind_number = number.and_then(|end| follows(at + 1 + end + 1, true, false));
    behind_number.or_else(|| follows(at + 1, is_digits(head), found(&LOG_FILE, head).is_some()))
}

/// Whether `text` begins as an entry does: with a JSON object, with an address or a list of them, with a word and a dash,
/// or with a word that has a value.
fn is_entry(text: &[u8]) -> bool {
    let word = first_word(text);
    text.starts_with(b"{")
        || text[word.len()..].starts_with(b" - ")
        || begins_with_address(text)
        || (word.first().is_some_and(u8::is_ascii_lowercase) && word.contains(&b'='))
}

/// Whether `text` begins with an address that can be assigned, perhaps in brackets or quotes or in front of a comma.
fn begins_with_address(text: &[u8]) -> bool {
    let text = text
        .strip_prefix(b"\"")
        .or_else(|| text.strip_prefix(b"("))
        .or_else(|| text.strip_prefix(b"["))
        .unwrap_or(text);
    let end = text.iter().take(46).position(|byte| matches!(byte, b' ' | b',' | b'"' | b')' | b']'));
    address(&text[..end.unwrap_or(text.len())]).is_some_and(is_given_out)
}

/// The bytes up to the first space.
pub(crate) fn first_word(text: &[u8]) -> &[u8] {
    &text[..memchr(b' ', text).unwrap_or(text.len())]
}

/// The address of IPv4 or IPv6 that a word is.
pub(crate) fn address(word: &[u8]) -> Option<IpAddr> {
    // An address is not longer than this, and most words that are not addresses begin with another byte.
    if word.len() > 45 || !word.first()?.is_ascii_hexdigit() && word[0] != b':' {
        return None;
    }
    str::from_utf8(word).ok()?.parse().ok()
}

/// Whether a word is an address of IPv4 or IPv6.
pub(crate) fn is_address(word: &[u8]) -> bool {
    address(word).is_some()
}

/// Whether the address can be assigned, because only a few blocks of IPv6 are assigned.
fn is_given_out(address: IpAddr) -> bool {
    let IpAddr::V6(address) = address else { return true };
    // Loopback and the like, global unicast, local ones, and the well-known prefix of NAT64.
    matches!(address.segments(), [0 | 0x2000..=0x3fff | 0xfc00.., ..] | [0x64, 0xff9b, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of a line, and the kinds that were taken off, in order of [`Kind::ALL`].
    fn unwrapped(line: &str) -> (String, Vec<&'static str>) {
        let mut unwrapper = Unwrapper::default();
        let rest = String::from_utf8(unwrapper.unwrap(line.as_bytes()).to_vec()).expect("UTF-8");
        let kinds = Kind::ALL.iter().zip(unwrapper.counts).filter(|(_, count)| *count > 0);
        (rest, kinds.map(|(kind, count)| if count == 1 { kind.name() } else { "twice" }).collect())
    }

    const IPV4: &str = "192.0.2.1 - - [03/Feb/2024:22:40:00 +0000] \"GET /a HTTP/1.1\" 200 5";
    const IPV6: &str = "2001:db8::1 - - [03/Feb/2024:22:40:00 +0000] \"GET /a HTTP/1.1\" 200 5";
    const HOST: &str = "host.example - - [03/Feb/2024:22:40:00 +0000] \"GET /a HTTP/1.1\" 200 5";
    const JSON: &str = r#"{"time": "2024-02-03T22:40:00Z", "a": "b | c: 192.0.2.1"}"#;

    #[test]
    fn prefixes_are_taken_off() {
        for (prefix, kinds) in [
            ("Feb  3 22:40:00 edge1 nginx: ", vec!["syslog"]),
            ("Feb 13 22:40:00.123456 edge1 nginx[77]: ", vec!["syslog"]),
            ("Feb 13 2024 22:40:00 192.0.2.9 nginx: ", vec!["syslog"]),
            ("<190>Feb  3 22:40:00 edge1 nginx: ", vec!["syslog"]),
            ("<190>Feb  3 22:40:00 nginx: ", vec!["syslog"]),
            ("Feb  3 22:40:00 edge1 user.info nginx: ", vec!["syslog"]),
            ("Feb  3 22:40:00 2001:db8::9 nginx[7]: ", vec!["syslog"]),
            ("2024-02-03T22:40:00.000+00:00 edge1 nginx: ", vec!["syslog"]),
            ("<13>2024-02-03T22:40:00Z edge1 nginx: ", vec!["syslog"]),
            ("2024-02-03T22:40:00+0000 edge1 docker/web[1]: ", vec!["syslog"]),
            ("2024-02-03T22:40:00.677020+00:00 app[web.1]: ", vec!["syslog"]),
            ("Sat 2024-02-03 22:40:00 UTC edge1 nginx[77]: ", vec!["syslog"]),
            ("Sat 2024-02-03 22:40:00.123 CEST edge1 nginx[77]: ", vec!["syslog"]),
            ("<190>1 2024-02-03T22:40:00.003Z edge1 nginx 77 - - ", vec!["syslog"]),
            ("<190>1 - - nginx - - - ", vec!["syslog"]),
            ("<34>1 2024-02-03T22:40:00Z edge1 nginx - ID47 [a@1 b=\"]\" c=\"\\\"\"][d] \u{feff}", vec!["syslog"]),
            ("2024-02-03T22:40:00.123456789Z ", vec!["time stamp"]),
            ("2024-02-03T22:40:00,123+01:00 ", vec!["time stamp"]),
            ("2024-02-03T22:40:00.123456789Z stdout F ", vec!["kubernetes"]),
            ("2024-02-03T22:40:00.123456789+01:00 stderr P ", vec!["kubernetes"]),
            ("[pod/web-6d4b75cb6d-hnc9k/nginx] ", vec!["kubernetes"]),
            ("[pod/web/nginx] 2024-02-03T22:40:00.1Z ", vec!["time stamp", "kubernetes"]),
            ("shop_1  | ", vec!["compose"]),
            ("shop-web-1 | ", vec!["compose"]),
            ("web.1.ks4jq0@node-1    | ", vec!["compose"]),
            ("0|web | ", vec!["compose"]),
            ("7| <6>", vec!["syslog", "compose"]),
            ("22:40:00 web.1  | ", vec!["compose"]),
            ("web-1  | 2024-02-03T22:40:00.1Z ", vec!["time stamp", "compose"]),
            ("17:", vec!["grep"]),
            ("access.log:17:", vec!["grep"]),
            ("/var/log/nginx/access.log.1:", vec!["grep"]),
            ("/var/log/access_log:17:", vec!["grep"]),
            ("17:<190>Feb  3 22:40:00 edge1 nginx: ", vec!["syslog", "grep"]),
            ("web.log:17:web-1  | ", vec!["compose", "grep"]),
            ("web.log:2024-02-03T22:40:00.1Z stdout F ", vec!["kubernetes", "grep"]),
            ("181 <190>1 2024-02-03T22:40:00Z edge1 nginx 77 - - ", vec!["syslog"]),
            ("<6>", vec!["syslog"]),
            ("", vec![]),
        ] {
            for entry in [IPV4, IPV6, HOST, JSON] {
                assert_eq!(
                    unwrapped(&format!("{prefix}{entry}")),
                    (entry.to_owned(), kinds.clone()),
                    "{prefix}{entry}"
                );
            }
        }
        let prefixes = [
            "2024-02-03T22:40:00.1Z web/nginx/7 ",
            "access:",
            "17-",
            "access.log-17-",
            "access.log-",
            "2024-02-03T22:40:00Z 192.0.2.9 nginx: ",
        ];
        for prefix in prefixes {
            for entry in [IPV4, IPV6] {
                assert_eq!(unwrapped(&format!("{prefix}{entry}")).0, entry, "{prefix}");
            }
        }
        for list in
            ["203.0.113.7, 198.51.100.2 - -", "\"203.0.113.7\" 192.0.2.9 - -", "203.0.113.7,198.51.100.2 192.0.2.9 -"]
        {
            for prefix in ["2024-02-03T22:40:00.1Z ", "Feb  3 22:40:00 ", "access.log:", "17:", "web-1  | "] {
                assert_eq!(unwrapped(&format!("{prefix}{list}")).0, list, "{prefix}");
            }
        }
        assert_eq!(unwrapped(&format!("<6>Feb  3 22:40:00 edge1 nginx: {IPV4}#015")).0, IPV4);
        assert_eq!(unwrapped(&format!("{IPV4}#015")).0, format!("{IPV4}#015"));
    }

    #[test]
    fn the_object_that_docker_puts_around_a_line_is_taken_off() {
        let around = |log: &str| {
            format!("{{\"log\":{},\"stream\":\"stdout\",\"time\":\"2024-02-03T22:40:00.1Z\"}}", serde_json::json!(log))
        };
        for entry in [IPV4, IPV6, HOST, JSON] {
            assert_eq!(unwrapped(&around(&format!("{entry}\r\n"))), (entry.to_owned(), vec!["docker"]));
            let coloured = around(&format!("\x1b[32m{entry}\x1b[0m\n"));
            assert_eq!(unwrapped(&coloured), (entry.to_owned(), vec!["docker", "colour codes"]));
        }
        for line in ["{\"log\":\"a\"}", "{\"log\":\"a", "{\"log\":1,\"stream\":\"\",\"time\":\"\"}"] {
            assert_eq!(unwrapped(line), (line.to_owned(), vec![]));
        }
    }

    #[test]
    fn lines_that_only_look_like_it_stay() {
        for line in [
            "",
            " ",
            "Feb",
            "2024-02-03T22:40:00Z",
            "Feb - - [03/Feb/2024:22:40:00 +0000] \"GET /a: HTTP/1.1\" 200 5",
            "2001:db8::1 17: - [03/Feb/2024:22:40:00 +0000] \"GET /a HTTP/1.1\" 200 5",
            "www.example.com:443 192.0.2.1 - - [03/Feb/2024:22:40:00 +0000] \"GET /a HTTP/1.1\" 200 5",
            "www.example.com:443 - - [03/Feb/2024:22:40:00 +0000] \"GET /a HTTP/1.1\" 200 5",
            "64:ff9b::1 - - [03/Feb/2024:22:40:00 +0000] \"GET /a HTTP/1.1\" 200 5",
            "::1 - - [03/Feb/2024:22:40:00 +0000] \"GET /a HTTP/1.1\" 200 5",
            "::ffff:192.0.2.1 - - [03/Feb/2024:22:40:00 +0000] \"GET /a HTTP/1.1\" 200 5",
            "2001:2001:db8::1 - - [03/Feb/2024:22:40:00 +0000] \"GET /a HTTP/1.1\" 200 5",
            "10.0.1.2:33317 [06/Feb/2009:12:14:14.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ----",
            "2001:db8::1:3331 [06/Feb/2009:12:14:14.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ----",
            "2015-05-13T23:39:43.945958Z my-lb 192.0.2.1:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29",
            "2015-05-13T23:39:43.945958Z my-lb 192.0.2.1:2817 - -1 -1 -1 503 0 0 0 \"GET http://a: HTTP/1.1\"",
            "https 2018-07-02T22:23:00.186641Z app/my-lb/50dc6c495c0c9188 192.0.2.1:2817 10.0.0.1:80 0.000 0.001",
            "2024-02-03 22:40:00 192.0.2.1 GET /a - 80 - 192.0.2.1 agent 200 0 0 15",
            "time=\"2024-02-03T22:40:00Z\" level=info msg=\"a: b\" addr=192.0.2.1:5 x=1 | y",
            "2024-02-03T22:40:00Z,192.0.2.1,/a",
            "\"\",2024-02-03T22:00:00Z,\"a - b\"",
            "2024-02-03T22:40:00Z,a - b",
            "-:192.0.2.1:",
            "crawl-66-249-66-1.googlebot.com - - [03/Feb/2024:22:40:00 +0000] \"GET /a HTTP/1.1\" 200 5",
            "ec2-54-1-2-3.compute-1.amazonaws.com - - [03/Feb/2024:22:40:00 +0000] \"GET /a HTTP/1.1\" 200 5",
            "pc1.logistics-b.example.com - - [03/Feb/2024:22:40:00 +0000] \"GET /a HTTP/1.1\" 200 5",
            "123e4567-1234-12d3-a456-426614174000 - - [03/Feb/2024:22:40:00 +0000] \"GET /a HTTP/1.1\" 200 5",
            "www.logistics.example:443 - - [03/Feb/2024:22:40:00 +0000] \"GET /a HTTP/1.1\" 200 5",
        ] {
            assert_eq!(unwrapped(line), (line.to_owned(), vec![]));
        }
    }

    #[test]
    fn colour_codes_are_taken_off() {
        for (line, rest) in [
            ("\x1b[01;31m\x1b[K192.0.2.1\x1b[m\x1b[K - -", "192.0.2.1 - -"),
            ("\x1b[33mweb-1  |\x1b[0m 192.0.2.1 - -", "192.0.2.1 - -"),
            ("\x1b[35m\x1b[Ka.log\x1b[m\x1b[K\x1b[36m\x1b[K:\x1b[m\x1b[K192.0.2.1 - -", "192.0.2.1 - -"),
            ("a\x1b[32mb", "ab"),
            ("\x1b[m", ""),
        ] {
            let (found, kinds) = unwrapped(line);
            assert_eq!(found, rest);
            assert!(kinds.contains(&"colour codes"));
        }
        for line in ["\x1b[2Ja", "\x1b", "a\x1b[", "a\x1b[31", "\x1b[3:1ma", "\x1bma"] {
            assert_eq!(unwrapped(line), (line.to_owned(), vec![]));
        }
    }

    /// A word of a megabyte that could have a prefix at each byte: minutes, if each were looked for to the end.
    #[test]
    fn a_long_word_takes_no_time() {
        for part in ["2024-02-03T22:40:00Z,", "-", "17-", "a:", "a-1:", "\x1b["] {
            let line = part.repeat((1 << 20) / part.len());
            assert_eq!(unwrapped(&line), (line.clone(), vec![]));
        }
    }

    #[test]
    fn a_line_has_four_prefixes_at_most() {
        let line = "a | b | c | d | e | 192.0.2.1 - -";
        assert_eq!(unwrapped(line), ("e | 192.0.2.1 - -".to_owned(), vec!["compose"]));
    }
}
