//! What hits are counted under.
//!
//! | key | of a hit |
//! |---|---|
//! | path | its path, with its query unless that is cut off |
//! | route | the route as the server names it; else the path without query, with `{id}` for what looks like an id |
//! | status, client, host | as the log has them; `-` if it lacks them |
//! | regex:PATTERN | the part of the path that the first group matched, or the whole match if the pattern lacks a group; `(unmatched)` if the pattern does not match |
//!
//! A segment of a path looks like an id if it is made of digits, is a UUID, or has 16 hex digits or more and no other
//! character.
//!
//! Tests: below, `tests/replay`.

use std::borrow::Cow;

use memchr::memchr;
use regex::bytes::Regex;

use super::fields::Meaning;
use super::hit::Hit;

/// The name of a client in the report.
pub(crate) const CLIENT: &str = "client";
/// What stands for a path that a pattern does not match.
const UNMATCHED: &[u8] = b"(unmatched)";

#[derive(Debug, Clone)]
pub(crate) enum Key {
    Path,
    Route,
    Status,
    Client,
    Host,
    Pattern(Regex),
}

impl Key {
    /// Reads the form of the command line.
    pub(crate) fn parse(text: &str) -> Result<Key, String> {
        match text {
            "path" => Ok(Key::Path),
            "route" => Ok(Key::Route),
            "status" => Ok(Key::Status),
            "client" => Ok(Key::Client),
            "host" => Ok(Key::Host),
            _ => match text.strip_prefix("regex:") {
                // Bytes, so that a path that is not UTF-8 can match, too.
                Some(pattern) => Regex::new(pattern).map(Key::Pattern).map_err(|error| error.to_string()),
                None => Err("give path, route, status, client, host or regex:PATTERN".to_owned()),
            },
        }
    }

    /// What the key is called in the report.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Key::Path => "path",
            Key::Route => "route",
            Key::Status => "status",
            Key::Client => CLIENT,
            Key::Host => "host",
            Key::Pattern(_) => "match",
        }
    }

    /// The name for several.
    pub(crate) fn plural(&self) -> &'static str {
        match self {
            Key::Path => "paths",
            Key::Route => "routes",
            Key::Status => "statuses",
            Key::Client => "clients",
            Key::Host => "hosts",
            Key::Pattern(_) => "matches",
        }
    }

    /// Whether a field of this meaning is needed, of those that only keys need.
    pub(crate) fn wants(&self, meaning: Meaning) -> bool {
        match self {
            Key::Route => meaning == Meaning::Route,
            Key::Status => meaning == Meaning::Status,
            Key::Host => meaning == Meaning::Host,
            Key::Path | Key::Client | Key::Pattern(_) => false,
        }
    }

    /// The key of a hit.
    pub(crate) fn of<'h>(&self, hit: &'h Hit<'_>, without_query: bool) -> Cow<'h, [u8]> {
        let path = || if without_query { before_query(&hit.path) } else { &hit.path };
        match self {
            Key::Path => path().into(),
            Key::Route => hit.route.as_deref().map_or_else(|| route(before_query(&hit.path)), Cow::Borrowed),
            Key::Status => (*hit.status).into(),
            Key::Client => (*hit.client).into(),
            Key::Host => (*hit.host).into(),
            Key::Pattern(pattern) => {
                let found = pattern.captures(path());
                let part = found.and_then(|found| found.get(1).or(found.get(0)));
                part.map_or(UNMATCHED, |part| part.as_bytes()).into()
            }
        }
    }
}

fn before_query(path: &[u8]) -> &[u8] {
    &path[..memchr(b'?', path).unwrap_or(path.len())]
}

/// A path with `{id}` for segments that look like ids.
fn route(path: &[u8]) -> Cow<'_, [u8]> {
    if !path.split(|&byte| byte == b'/').any(is_id) {
        return path.into();
    }
    let segments = path.split(|&byte| byte == b'/').map(|segment| if is_id(segment) { b"{id}" } else { segment });
    segments.collect::<Vec<_>>().join(&b'/').into()
}

fn is_id(segment: &[u8]) -> bool {
    let are = |is: fn(&u8) -> bool| segment.iter().all(is);
    match segment.len() {
        0 => false,
        36 if [8, 13, 18, 23].iter().all(|&at| segment[at] == b'-') => {
            segment.iter().filter(|&&byte| byte == b'-').count() == 4
                && are(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
        }
        16.. => are(u8::is_ascii_hexdigit),
        _ => are(u8::is_ascii_digit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::log::hit::NONE;

    fn hit(path: &str) -> Hit<'_> {
        let (status, host) = ((&b"200"[..]).into(), (&b"example.com"[..]).into());
        Hit { time: 0, client: NONE, doubt: None, path: path.as_bytes().into(), route: None, status, host }
    }

    fn key(text: &str, path: &str, without_query: bool) -> String {
        let key = Key::parse(text).expect("a key");
        String::from_utf8(key.of(&hit(path), without_query).into_owned()).expect("UTF-8")
    }

    #[test]
    fn each_key() {
        let path = "/users/17/files?page=2";
        for (text, with, without) in [
            ("path", path, "/users/17/files"),
            ("route", "/users/{id}/files", "/users/{id}/files"),
            ("status", "200", "200"),
            ("client", "-", "-"),
            ("host", "example.com", "example.com"),
            ("regex:^/([a-z]+)/", "users", "users"),
            ("regex:page=.", "page=2", "(unmatched)"),
            ("regex:(?:x(y))?/users", "/users", "/users"),
            ("regex:", "", ""),
        ] {
            assert_eq!(
                (key(text, path, false), key(text, path, true)),
                (with.to_owned(), without.to_owned()),
                "{text}"
            );
        }
        assert!(Key::parse("paths").is_err_and(|why| why.contains("regex:PATTERN")));
        assert!(Key::parse("regex:(").is_err_and(|why| why.contains("unclosed group")));
    }

    #[test]
    fn routes() {
        for (path, expected) in [
            ("/", "/"),
            ("", ""),
            ("/a/1", "/a/{id}"),
            ("/a/1/", "/a/{id}/"),
            ("/1/2/3", "/{id}/{id}/{id}"),
            ("/a/1x", "/a/1x"),
            ("/a/deadbeef", "/a/deadbeef"),
            ("/a/deadbeefdeadbeef", "/a/{id}"),
            ("/a/DEADBEEFDEADBEEF00", "/a/{id}"),
            ("/a/123e4567-e89b-12d3-a456-426614174000", "/a/{id}"),
            ("/a/123e4567-e89b-12d3-a456-42661417400-", "/a/123e4567-e89b-12d3-a456-42661417400-"),
            ("/a/123e4567-e89b-12d3-a456-42661417400g", "/a/123e4567-e89b-12d3-a456-42661417400g"),
        ] {
            assert_eq!(key("route", path, false), expected, "{path}");
        }
    }
}
