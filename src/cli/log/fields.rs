//! Formats whose fields have names: which names mean what, and how a hit is made of them.
//!
//! Names are compared without regard to case, and without `_`, `-`, `@`, brackets and spaces, so that `remote_addr`,
//! `remoteAddr` and `Remote-Addr` are one. A dot stands between the names of objects within objects. Of several names
//! with one meaning, the one that comes first in [`NAMES`] counts, wherever it stands in the entry.
//!
//! | meaning | a hit takes |
//! |---|---|
//! | time, date | the time (`moment.rs`); if that is a time of day alone, behind the date |
//! | path, url, request | the path as it is; else the URL without scheme and host; else the path of the request line |
//! | query | behind a path that has none, with a `?` |
//! | client | as it is, without a port behind an address |
//! | forwarded | the list, if `--client` asks for it: any client may have sent it |
//! | status, host, route | as they are |
//!
//! Tests: `tests/replay`.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::clf;
use super::client::{Client, choose, without_port};
use super::hit::{Doubt, Hit, Malformed, NONE};
use super::moment;

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
}

impl Meaning {
    const WORDS: [(&'static str, Meaning); MEANINGS] = [
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

    /// Reads `time=NAME` of the command line.
    pub(crate) fn parse(text: &str) -> Result<(Meaning, String), String> {
        let (word, name) = text.split_once('=').filter(|(_, name)| !name.is_empty()).ok_or("give WHAT=NAME")?;
        let found = Meaning::WORDS.iter().find(|(other, _)| *other == word);
        let words = Meaning::WORDS.map(|(word, _)| word).join(", ");
        found.map(|(_, meaning)| (*meaning, name.to_owned())).ok_or_else(|| format!("'{word}' is none of {words}"))
    }
}

const MEANINGS: usize = Meaning::Route as usize + 1;

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
            "requesturi",
            "clientrequesturi",
            "request.uri",
            "uri",
            "requestpath",
            "clientrequestpath",
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
    (Meaning::Query, &["args", "querystring", "query", "csuriquery", "url.query"]),
    (
        Meaning::Client,
        &[
            "clientip",
            "request.clientip",
            "remoteaddr",
            "remoteip",
            "request.remoteip",
            "clienthost",
            "clientaddr",
            "clientaddress",
            "client.address",
            "client.ip",
            "source.ip",
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
        ],
    ),
    (Meaning::Route, &["route", "http.route", "httproute", "routername"]),
];

/// What a name means, and how much it counts beside other names of that meaning: 0 is most.
pub(crate) type Known = (Meaning, u8);

/// The names that mean something.
pub(crate) struct Names {
    known: HashMap<Vec<u8>, Known, RandomState>,
    /// Names of objects that hold fields with a meaning.
    objects: HashMap<Vec<u8>, (), RandomState>,
}

impl Names {
    /// The known names, where `given` has one name, and no other, for some meanings. Of a meaning that is not `wanted`
    /// nothing is known.
    pub(crate) fn new(given: &[(Meaning, String)], wanted: impl Fn(Meaning) -> bool) -> Names {
        let mut names = Names { known: HashMap::default(), objects: HashMap::default() };
        for (meaning, known) in NAMES.iter().filter(|(meaning, _)| wanted(*meaning)) {
            match given.iter().find(|(other, _)| other == meaning) {
                Some((_, name)) => names.add(name, (*meaning, 0)),
                // A path that was given stands for what else has one.
                None if *meaning == Meaning::Url || *meaning == Meaning::Request || *meaning == Meaning::Query => {
                    if given.iter().all(|(other, _)| *other != Meaning::Path) {
                        names.add_all(*meaning, known);
                    }
                }
                None if *meaning == Meaning::Date && given.iter().any(|(other, _)| *other == Meaning::Time) => {}
                None => names.add_all(*meaning, known),
            }
        }
        names
    }

    fn add_all(&mut self, meaning: Meaning, names: &[&str]) {
        for (rank, name) in (0..).zip(names) {
            self.add(name, (meaning, rank));
        }
    }

    fn add(&mut self, name: &str, known: Known) {
        let mut plain = Vec::new();
        push_plain(&mut plain, name.as_bytes());
        for (at, _) in plain.iter().enumerate().filter(|(_, byte)| **byte == b'.') {
            self.objects.insert(plain[..at].to_vec(), ());
        }
        self.known.insert(plain, known);
    }

    /// What the plain name means.
    pub(crate) fn known(&self, plain: &[u8]) -> Option<Known> {
        self.known.get(plain).copied()
    }

    /// Whether an object of this plain name holds fields with a meaning.
    pub(crate) fn is_object(&self, plain: &[u8]) -> bool {
        self.objects.contains_key(plain)
    }
}

/// Appends a name without what is not compared.
pub(crate) fn push_plain(plain: &mut Vec<u8>, name: &[u8]) {
    let compared = name.iter().filter(|byte| !matches!(byte, b'_' | b'-' | b'@' | b'(' | b')' | b' ' | b'"'));
    plain.extend(compared.map(u8::to_ascii_lowercase));
}

/// The values of an entry that have a meaning.
#[derive(Default)]
pub(crate) struct Values<'a> {
    found: [Option<(u8, Cow<'a, [u8]>)>; MEANINGS],
    /// A time that was a number.
    time: Option<(u8, i64)>,
}

impl<'a> Values<'a> {
    /// Keeps a value, unless one that counts more is known.
    pub(crate) fn add(&mut self, (meaning, rank): Known, value: Cow<'a, [u8]>) {
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
        Values { found, time: self.time }
    }

    /// The value of a meaning. `-` and nothing stand for none.
    fn take(&mut self, meaning: Meaning) -> Option<Cow<'a, [u8]>> {
        self.found[meaning as usize].take().map(|(_, value)| value).filter(|value| !matches!(&**value, b"" | b"-"))
    }

    /// The hit that the values make.
    pub(crate) fn into_hit(mut self, which: Option<Client>) -> Result<Hit<'a>, Malformed> {
        let time = self.time()?;
        let path = self.path().ok_or(Malformed::NoPath)?;
        let client = self.client(which);
        Ok(Hit {
            time,
            doubt: client.is_none().then_some(Doubt::NoClient),
            client: client.unwrap_or(NONE),
            path,
            route: self.take(Meaning::Route),
            status: self.take(Meaning::Status).unwrap_or(NONE),
            host: self.take(Meaning::Host).unwrap_or(NONE),
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
        moment::read(&text).ok_or(Malformed::UnrealDate)
    }

    fn path(&mut self) -> Option<Cow<'a, [u8]>> {
        let path = self.take(Meaning::Path).or_else(|| self.take(Meaning::Url).map(|url| map(url, without_host)));
        let path = path.or_else(|| self.take(Meaning::Request).map(|line| map(line, clf::path)))?;
        let Some(query) = self.take(Meaning::Query) else { return Some(path) };
        let query = query.strip_prefix(b"?").unwrap_or(&query);
        Some(if path.contains(&b'?') { path } else { [&path, &b"?"[..], query].concat().into() })
    }

    fn client(&mut self, which: Option<Client>) -> Option<Cow<'a, [u8]>> {
        let client = self.take(Meaning::Client).map(|client| map(client, without_port));
        let forwarded = self.take(Meaning::Forwarded);
        let (Some(which), Some(forwarded)) = (which, forwarded) else { return client };
        choose(which, client.as_deref(), Some(&forwarded)).map(|chosen| Cow::Owned(chosen.to_vec())).or(client)
    }
}

/// Applies `part`, which returns a part of its argument.
fn map<'a>(value: Cow<'a, [u8]>, part: impl Fn(&[u8]) -> &[u8]) -> Cow<'a, [u8]> {
    match value {
        Cow::Borrowed(value) => Cow::Borrowed(part(value)),
        Cow::Owned(value) => Cow::Owned(part(&value).to_vec()),
    }
}

fn is_time_of_day(text: &[u8]) -> bool {
    matches!(text, [_, _, b':', _, _, b':', ..])
}

/// A URL without scheme and host. The path of a URL without one is `/`.
pub(crate) fn without_host(url: &[u8]) -> &[u8] {
    let Some(scheme) = memchr::memmem::find(url, b"://") else { return url };
    if !url[..scheme].iter().all(u8::is_ascii_alphabetic) {
        return url;
    }
    let behind = &url[scheme + 3..];
    match behind.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')) {
        Some(at) if behind[at] == b'/' => &behind[at..],
        _ => b"/",
    }
}
