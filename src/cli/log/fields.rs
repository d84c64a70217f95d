//! Formats whose fields have names: which names mean what, and how a hit is made of them.
//!
//! Names are compared without regard to case, and without `_`, `-`, brackets and spaces, so that `remote_addr`,
//! `remoteAddr` and `Remote-Addr` are one. A dot stands between the names of objects within objects. Of several names
//! with one meaning, the one that comes first in [`NAMES`] counts, wherever it stands in the entry.
//!
//! | meaning | a hit takes |
//! |---|---|
//! | time, date | the time (`moment.rs`); if that is a time of day alone, behind the date |
//! | path, url, request | the path as it is; else the URL without scheme and host; else the path of the request line. A path whose name may stand for a rewritten one (not in [`STRONG_PATHS`]) counts less than a request line |
//! | query | behind a path without a query, with a `?` |
//! | client | as it is, without a port behind an address |
//! | forwarded | the list, only if `--client` asks for it or the client is missing, because any client may have sent the list |
//! | status, host, route | as they are; the host of a URL, if no other is known |
//!
//! Tests: `tests/replay`.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use memchr::memmem;

use super::clf;
use super::client::{Client, choose, without_port};
use super::hit::{Doubt, Hit, Malformed, NONE};
use super::moment;

type Bytes<'a> = Cow<'a, [u8]>;

/// What a field means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Time,
    Date,
    Path,
    Url,
    Request,
    Query,
    Client,
    Forwarded,
    Status,
    Host,
    Route,
    Logger,
    /// Something that only a request has.
    Evidence,
}

impl Meaning {
    const WORDS: [(&'static str, Meaning); MEANINGS - 2] = [
        ("time", Meaning::Time),
        ("date", Meaning::Date),
        ("path", Meaning::Path),
        ("url", Meaning::Url),
        ("request", Meaning::Request),
        ("query", Meaning::Query),
        ("client", Meaning::Client),
        ("forwarded", Meaning::Forwarded),
        ("status", Meaning::Status),
        ("host", Meaning::Host),
        ("route", Meaning::Route),
    ];

    /// What the command line calls it.
    pub(crate) fn word(self) -> &'static str {
        Meaning::WORDS.iter().find(|(_, meaning)| *meaning == self).map_or("", |(word, _)| word)
    }

    /// Reads `time=NAME` of the command line.
    pub(crate) fn parse(text: &str) -> Result<(Meaning, String), String> {
        let (word, name) = text.split_once('=').filter(|(_, name)| !name.is_empty()).ok_or("give WHAT=NAME")?;
        let found = Meaning::WORDS.iter().find(|(other, _)| *other == word);
        let words = Meaning::WORDS.map(|(word, _)| word).join(", ");
        found.map(|(_, meaning)| (*meaning, name.to_owned())).ok_or_else(|| format!("'{word}' is not one of {words}"))
    }
}

const MEANINGS: usize = Meaning::Evidence as usize + 1;

/// The names that are known, without what is not compared; the first of a meaning counts most.
///
/// They are those of Caddy, Cloudflare, CloudFront, ECS, Envoy, Google's load balancer, IIS, nginx as its users write it,
/// OpenTelemetry, pino and Traefik.
const NAMES: [(Meaning, &[&str]); MEANINGS] = [
    (
        Meaning::Time,
        &[
            "edgestarttimestamp",
            "startutc",
            "startlocal",
            "starttime",
            "timestamp",
            "time",
            "ts",
            "@timestamp",
            "datetime",
            "timeiso8601",
            "timelocal",
            "msec",
            "requesttimestamp",
            "eventtime",
            "createdat",
            "edgeendtimestamp",
        ],
    ),
    (Meaning::Date, &["date"]),
    (
        Meaning::Path,
        &[
            "requestpath",
            "clientrequesturi",
            "clientrequestpath",
            "request.uri",
            "requesturi",
            "uri",
            "path",
            "url.path",
            "urlpath",
            "csuri",
            "csuristem",
            "http.target",
            "httptarget",
            "request.path",
        ],
    ),
    (
        Meaning::Url,
        &[
            "url",
            "requesturl",
            "url.original",
            "url.full",
            "http.url",
            "httpurl",
            "req.url",
            "request.url",
            "httprequest.requesturl",
        ],
    ),
    (Meaning::Request, &["request", "requestline", "http.request"]),
    (Meaning::Query, &["args", "querystring", "query", "csuriquery", "url.query", "requestquery"]),
    (
        Meaning::Client,
        &[
            "clientip",
            "request.clientip",
            "remoteaddr",
            "remoteip",
            "request.remoteip",
            "request.remoteaddr",
            "clienthost",
            "clientaddr",
            "clientaddress",
            "client.address",
            "client.ip",
            "source.ip",
            "http.clientip",
            "net.peer.ip",
            "net.sock.peer.addr",
            "httprequest.remoteip",
            "downstreamremoteaddress",
            "cip",
            "client",
            "remotehost",
            "remoteaddress",
            "req.remoteaddress",
            "remote",
            "ip",
        ],
    ),
    (
        Meaning::Forwarded,
        &[
            "xforwardedfor",
            "httpxforwardedfor",
            "requestxforwardedfor",
            "request.headers.xforwardedfor",
            "csxforwardedfor",
            "forwardedfor",
            "xff",
        ],
    ),
    (
        Meaning::Status,
        &[
            "status",
            "statuscode",
            "edgeresponsestatus",
            "downstreamstatus",
            "responsestatus",
            "responsecode",
            "response.status",
            "http.response.statuscode",
            "httprequest.status",
            "res.statuscode",
            "scstatus",
            "http.statuscode",
            "code",
            "response",
        ],
    ),
    (
        Meaning::Host,
        &[
            "host",
            "httphost",
            "requesthost",
            "clientrequesthost",
            "request.host",
            "xhostheader",
            "cshost",
            "authority",
            "servername",
            "vhost",
            "url.domain",
            "server.address",
            "http.host",
        ],
    ),
    (Meaning::Route, &["route", "http.route", "httproute", "routername"]),
    (Meaning::Logger, &["logger"]),
    (
        Meaning::Evidence,
        &[
            "method",
            "requestmethod",
            "clientrequestmethod",
            "request.method",
            "csmethod",
            "http.method",
            "http.request.method",
            "httprequest.requestmethod",
            "req.method",
            "verb",
        ],
    ),
];

/// How many names of a path come before `uri`. A path under `uri` or a later name may have been rewritten, or may not be the
/// path of a request, so the path of the request line counts more.
const STRONG_PATHS: u8 = 5;
const _: () = assert!(matches!(NAMES[Meaning::Path as usize].1[STRONG_PATHS as usize].as_bytes(), b"uri"));

/// What a name means, and how much it counts beside other names of that meaning: 0 is most.
pub(crate) type Known = (Meaning, u8);

/// What is known of a name.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct About {
    pub(crate) known: Option<Known>,
    /// Whether an object of this name holds fields with a meaning.
    pub(crate) is_object: bool,
}

/// The names that mean something.
pub(crate) struct Names {
    about: HashMap<Vec<u8>, About, RandomState>,
    /// A bit for each known name ([`shape`]), because most names of a log are not among the known ones.
    shapes: [u64; 64],
    /// Whether the user gave names.
    pub(crate) are_given: bool,
}

impl Names {
    /// The known names, where `given` has one name, and no other, for some meanings. Those that are not `wanted` are left
    /// out; of a status it is known that only requests have one.
    pub(crate) fn new(given: &[(Meaning, String)], wanted: impl Fn(Meaning) -> bool) -> Names {
        let mut names = Names { about: HashMap::default(), shapes: [0; 64], are_given: !given.is_empty() };
        for (meaning, name) in given {
            names.add(name, (*meaning, 0));
        }
        let has = |meaning| given.iter().any(|(other, _)| *other == meaning);
        let paths = [Meaning::Path, Meaning::Url, Meaning::Request, Meaning::Query];
        for (meaning, known) in NAMES {
            let is_given = has(meaning)
                // A path that is given stands for all that has one, and a time for the date.
                || paths.contains(&meaning) && paths.into_iter().any(has)
                || meaning == Meaning::Date && has(Meaning::Time);
            let meaning = match meaning {
                _ if is_given => continue,
                _ if wanted(meaning) => meaning,
                Meaning::Status => Meaning::Evidence,
                _ => continue,
            };
            for (rank, name) in (0..).zip(known) {
                names.add(name, (meaning, rank));
            }
        }
        names
    }

    fn add(&mut self, name: &str, known: Known) {
        let mut plain = Vec::new();
        push_plain(&mut plain, name.as_bytes());
        for (at, _) in plain.iter().enumerate().filter(|(_, byte)| **byte == b'.') {
            self.entry(&plain[..at]).is_object = true;
        }
        // The one that is added first counts.
        self.entry(&plain).known.get_or_insert(known);
    }

    fn entry(&mut self, plain: &[u8]) -> &mut About {
        let (word, bit) = shape(plain);
        self.shapes[word] |= bit;
        self.about.entry(plain.to_vec()).or_default()
    }

    /// What is known of a plain name.
    pub(crate) fn about(&self, plain: &[u8]) -> About {
        let (word, bit) = shape(plain);
        if self.shapes[word] & bit == 0 {
            return About::default();
        }
        self.about.get(plain).copied().unwrap_or_default()
    }

    /// What a plain name means.
    pub(crate) fn known(&self, plain: &[u8]) -> Option<Known> {
        self.about(plain).known
    }
}

/// Some of what tells names apart: the length, up to 63, and the bit of a few letters.
fn shape(plain: &[u8]) -> (usize, u64) {
    let letter = |at: usize| plain.get(at).map_or(0, |&byte| u32::from(byte));
    let last = plain.len().saturating_sub(1);
    let letters = letter(0) + 5 * letter(last) + 11 * letter(plain.len() / 2);
    (plain.len().min(63), 1 << (letters % u64::BITS))
}

/// For each byte, the byte that is compared in its place. A 0 means that the byte is skipped.
const PLAIN: [u8; 256] = {
    let mut plain = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        plain[byte] = match byte as u8 {
            b'_' | b'-' | b'(' | b')' | b' ' | b'"' => 0,
            other => other.to_ascii_lowercase(),
        };
        byte += 1;
    }
    plain
};

/// Appends a name without what is not compared.
pub(crate) fn push_plain(plain: &mut Vec<u8>, name: &[u8]) {
    let mut end = plain.len();
    plain.resize(end + name.len(), 0);
    for &byte in name {
        let compared = PLAIN[usize::from(byte)];
        plain[end] = compared;
        end += usize::from(compared != 0);
    }
    plain.truncate(end);
}

/// The values of an entry that have a meaning.
#[derive(Default)]
pub(crate) struct Values<'a> {
    found: [Option<(u8, Cow<'a, [u8]>)>; MEANINGS],
    /// A time that was a number.
    time: Option<(u8, i64)>,
    /// Whether there is something that only a request has.
    is_request: bool,
}

impl<'a> Values<'a> {
    /// Keeps a value, unless a value that counts more is known. `-` and an empty value count as missing.
    pub(crate) fn add(&mut self, (meaning, rank): Known, value: Cow<'a, [u8]>) {
        self.is_request |= matches!(meaning, Meaning::Evidence | Meaning::Client | Meaning::Status | Meaning::Request);
        if meaning == Meaning::Evidence || matches!(&*value, b"" | b"-") {
            return;
        }
        let place = &mut self.found[meaning as usize];
        if place.as_ref().is_none_or(|(other, _)| rank < *other) {
            *place = Some((rank, value));
        }
    }

    /// Keeps a time in unix seconds, unless one that counts more is known.
    pub(crate) fn add_time(&mut self, rank: u8, time: i64) {
        if self.time.is_none_or(|(other, _)| rank < other) {
            self.time = Some((rank, time));
        }
    }

    /// The values, changed, so that they borrow nothing.
    pub(crate) fn map<'b>(self, change: impl Fn(&[u8]) -> Vec<u8>) -> Values<'b> {
        let found = self.found.map(|found| found.map(|(rank, value)| (rank, change(&value).into())));
        Values { found, time: self.time, is_request: self.is_request }
    }

    /// The value of a meaning.
    fn take(&mut self, meaning: Meaning) -> Option<Cow<'a, [u8]>> {
        self.found[meaning as usize].take().map(|(_, value)| value)
    }

    /// Whether there is something that only a request has: a client, a status, a method.
    pub(crate) fn is_request(&self) -> bool {
        self.is_request
    }

    /// The hit that the values make.
    pub(crate) fn into_hit(mut self, which: Option<Client>) -> Result<Hit<'a>, Malformed> {
        // Caddy writes it beside the line of its access log.
        if self.take(Meaning::Logger).is_some_and(|logger| logger.starts_with(b"http.log.error")) {
            return Err(Malformed::ErrorLog);
        }
        let time = self.time()?;
        let (path, url_host) = self.path().ok_or(Malformed::NoPath)?;
        let client = self.client(which);
        Ok(Hit {
            time,
            doubt: client.is_none().then_some(Doubt::NoClient),
            client: client.unwrap_or(NONE),
            path,
            route: self.take(Meaning::Route),
            status: self.take(Meaning::Status).unwrap_or(NONE),
            host: self.take(Meaning::Host).or(url_host).unwrap_or(NONE),
        })
    }

    fn time(&mut self) -> Result<i64, Malformed> {
        let text = self.found[Meaning::Time as usize].take();
        let date = self.take(Meaning::Date);
        let (text, number) = match (text, self.time) {
            (Some((rank, text)), number) if number.is_none_or(|(other, _)| rank < other) => (Some(text), None),
            (_, number) => (None, number),
        };
        if let Some((_, time)) = number {
            return Ok(time);
        }
        let text = match (text, date) {
            (Some(time), Some(date)) if is_time_of_day(&time) => [&date, &b" "[..], &time].concat().into(),
            (Some(time), _) => time,
            (None, Some(date)) => date,
            (None, None) => return Err(Malformed::NoTime),
        };
        moment::read(&text).ok_or(Malformed::UnknownTime)
    }

    /// The path, and the host if it was in a URL.
    fn path(&mut self) -> Option<(Bytes<'a>, Option<Bytes<'a>>)> {
        let is_weak = matches!(&self.found[Meaning::Path as usize], Some((rank, _)) if *rank >= STRONG_PATHS);
        let request = self.take(Meaning::Request).map(|line| map(line, |line| clf::path(line).into()));
        let path = self.take(Meaning::Path);
        let url = self.take(Meaning::Url);
        let host = url.as_ref().and_then(|url| host(url).map(|host| Cow::Owned(host.to_vec())));
        let url = url.map(|url| map(url, without_host));
        let path = if is_weak { request.or(path).or(url) } else { path.or(url).or(request) }?;
        let Some(query) = self.take(Meaning::Query) else { return Some((path, host)) };
        let query = query.strip_prefix(b"?").unwrap_or(&query);
        let with_query = if path.contains(&b'?') { path } else { [&path, &b"?"[..], query].concat().into() };
        Some((with_query, host))
    }

    fn client(&mut self, which: Option<Client>) -> Option<Cow<'a, [u8]>> {
        let client = self.take(Meaning::Client).map(|client| map(client, |client| without_port(client).into()));
        let forwarded = self.take(Meaning::Forwarded);
        let Some(forwarded) = forwarded.filter(|_| which.is_some() || client.is_none()) else { return client };
        let which = which.unwrap_or_default();
        choose(which, client.as_deref(), Some(&forwarded)).map(|chosen| Cow::Owned(chosen.to_vec())).or(client)
    }
}

/// Applies `change` to a value, borrowed where that can be.
fn map<'a>(value: Cow<'a, [u8]>, change: impl Fn(&[u8]) -> Cow<'_, [u8]>) -> Cow<'a, [u8]> {
    match value {
        Cow::Borrowed(value) => change(value),
        Cow::Owned(value) => Cow::Owned(change(&value).into_owned()),
    }
}

fn is_time_of_day(text: &[u8]) -> bool {
    matches!(text, [_, _, b':', _, _, b':', ..])
}

/// What is behind `scheme://` in a URL, and the length of the host there, with its port.
fn behind_scheme(url: &[u8]) -> Option<(&[u8], usize)> {
    let scheme = memmem::find(url, b"://").filter(|&end| url[..end].iter().all(u8::is_ascii_alphabetic))?;
    let behind = &url[scheme + 3..];
    let end = behind.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(behind.len());
    Some((behind, end))
}

/// A URL without scheme and host. The path of a URL without one is `/`.
pub(crate) fn without_host(url: &[u8]) -> Cow<'_, [u8]> {
    match behind_scheme(url) {
        None => url.into(),
        Some((behind, end)) if behind.get(end) == Some(&b'/') => (&behind[end..]).into(),
        Some((behind, end)) => [b"/", &behind[end..]].concat().into(),
    }
}

/// The host of a URL, without its port.
pub(crate) fn host(url: &[u8]) -> Option<&[u8]> {
    let (behind, end) = behind_scheme(url)?;
    let authority = &behind[..end];
    let port = authority.iter().rposition(|&byte| byte == b':');
    Some(match port {
        Some(colon) if authority[colon + 1..].iter().all(u8::is_ascii_digit) => &authority[..colon],
        _ => authority,
    })
}
