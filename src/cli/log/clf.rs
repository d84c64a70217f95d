//! One line of an access log in common or combined format, or with further fields behind them.
//!
//! ```text
//! 192.0.2.7 - alice [10/Oct/2000:13:55:36 -0700] "GET /index.html?a=%20 HTTP/1.1" 200 2326 "referer" "agent" ...
//! client    ident user date and zone              request: the path is its second word  status size  anything
//! ```
//!
//! A line is bytes; nothing is decoded, so `%20`, query strings and bytes that are no UTF-8 stay what they are.
//!
//! 1. Client and ident are each one or more bytes without white space, and one or more spaces follow each.
//!    White space is: 09 to 0d, 20 (hex). Two forms stand for another client than the first word ([`client`]).
//! 2. The user is any bytes, or none, up to a stamp in brackets ([`Stamp`]) that a space precedes and `] "` ends.
//! 3. The request ends at the first `"` that no backslash escapes, if status and size follow it; else it holds bare
//!    quotes, and ends at the first `"` of any kind that status and size follow.
//! 4. Status and size are a space, three digits or `-`, a space, and digits (with a `-` in front or not) or `-`; then the
//!    line ends, or a space follows. Behind a status of three digits the line may end without a size.
//! 5. No later stamp is tried. A client chooses its agent and its referer, and must not choose its time.
//! 6. If the request ends with a space and a protocol (`HTTP/` and what follows, without spaces), the path is what stands
//!    between the first space and that one. Else it is what stands between the first and the second space (protocol and
//!    method are not needed). When that is empty or missing, it is what stands before the first space; when that is
//!    empty too, the whole request.
//! 7. The stamp must be a real date. A stamp in the right shape that is no date makes the line malformed.
//!
//! Tests: `tests/replay`.

use std::net::IpAddr;

use memchr::{memchr, memchr_iter, memchr2, memrchr};

use super::date::Stamp;

/// What a well-formed line says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hit<'a> {
    /// Unix seconds in UTC.
    pub(crate) time: i64,
    pub(crate) client: &'a [u8],
    pub(crate) path: &'a [u8],
}

/// Why a line is no hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    Empty,
    NoClient,
    NoStamp,
    NoRequest,
    UnrealDate,
}

impl Malformed {
    /// The reason in the reader's words.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Malformed::Empty => "empty line",
            Malformed::NoClient => "does not begin with client, ident and spaces behind each",
            Malformed::NoStamp => "no user and [day/Mon/year:hour:minute:second zone] \" behind client and ident",
            Malformed::NoRequest => "no \"request\" with a three-digit status and a size behind it",
            Malformed::UnrealDate => "no such date or time of day",
        }
    }
}

/// Reads one line, without its line end.
pub(crate) fn parse(line: &[u8]) -> Result<Hit<'_>, Malformed> {
    if line.is_empty() {
        return Err(Malformed::Empty);
    }
    let (client, rest) = word(line).ok_or(Malformed::NoClient)?;
    let client = self::client(client, rest);
    let (_ident, rest) = word(rest).ok_or(Malformed::NoClient)?;
    let (stamp, after) = stamp(rest).ok_or(Malformed::NoStamp)?;
    let request = quoted(after).or_else(|| with_bare_quotes(after)).ok_or(Malformed::NoRequest)?;
    let time = stamp.unix_seconds().ok_or(Malformed::UnrealDate)?;
    Ok(Hit { time, client, path: path(request) })
}

/// One or more bytes without white space, and what follows the spaces behind them (rule 1).
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| is_white_space(byte))?;
    let spaces = text[end..].iter().take_while(|&&byte| byte == b' ').count();
    (end > 0 && spaces > 0).then(|| (&text[..end], &text[end + spaces..]))
}

/// The client of a line that begins with the word `first`, with `rest` behind its spaces.
///
/// | the line begins with | the client |
/// |---|---|
/// | a list with commas, as proxies write it: `unknown, 203.0.113.7, 198.51.100.2 - -` | its first address; its first entry if there is none |
/// | any word and an address, where the ident should be: `www.example.com:443 192.0.2.1 - -` | the address: a virtual host stands in front |
/// | anything else | the first word |
fn client<'a>(first: &'a [u8], rest: &'a [u8]) -> &'a [u8] {
    if memchr(b',', first).is_none() {
        let next = rest.split(|&byte| is_white_space(byte)).next().unwrap_or_default();
        // Nearly every ident is a dash, so that nothing is parsed.
        return if next != b"-" && is_address(next) { next } else { first };
    }
    let mut entries = first.split(|&byte| byte == b',');
    let first_entry = entries.clone().find(|entry| !entry.is_empty()).unwrap_or(first);
    let mut found = entries.find(|entry| is_address(entry));
    let mut words = rest.split(|&byte| byte == b' ');
    let mut goes_on = first.ends_with(b",");
    while let (None, true, Some(word)) = (found, goes_on, words.next()) {
        found = word.split(|&byte| byte == b',').find(|entry| is_address(entry));
        goes_on = word.is_empty() || word.ends_with(b",");
    }
    found.unwrap_or(first_entry)
}

/// Whether a word is an address of IPv4 or IPv6.
fn is_address(word: &[u8]) -> bool {
    str::from_utf8(word).is_ok_and(|word| word.parse::<IpAddr>().is_ok())
}

fn is_white_space(byte: u8) -> bool {
    matches!(byte, 0x09..=0x0d | b' ')
}

/// The first stamp of the line, with what follows its `] "` (rule 2). `from_user` begins behind the ident's spaces.
fn stamp(from_user: &[u8]) -> Option<(Stamp, &[u8])> {
    memchr_iter(b'[', from_user).find_map(|bracket| {
        if bracket > 0 && from_user[bracket - 1] != b' ' {
            return None;
        }
        let (stamp, after) = Stamp::read(&from_user[bracket + 1..])?;
        Some((stamp, after.strip_prefix(b"] \"")?))
    })
}

/// The request up to the first quote that no backslash escapes, when status and size follow it (rule 3).
fn quoted(from_request: &[u8]) -> Option<&[u8]> {
    let mut from = 0;
    loop {
        let at = from + memchr2(b'"', b'\\', from_request.get(from..)?)?;
        if from_request[at] == b'"' {
            return status_and_size_begin(&from_request[at + 1..]).then(|| &from_request[..at]);
        }
        from = at + 2;
    }
}

/// The request up to the first quote that status and size follow (rule 3).
fn with_bare_quotes(from_request: &[u8]) -> Option<&[u8]> {
    let mut quotes = memchr_iter(b'"', from_request);
    quotes.find(|&at| status_and_size_begin(&from_request[at + 1..])).map(|at| &from_request[..at])
}

/// Whether the text begins with status and size (rule 4).
fn status_and_size_begin(text: &[u8]) -> bool {
    let (has_status, size) = match text {
        [b' ', b'-', size @ ..] => (false, size),
        [b' ', s1, s2, s3, size @ ..] if [s1, s2, s3].iter().all(|byte| byte.is_ascii_digit()) => (true, size),
        _ => return false,
    };
    let number = match size {
        [] => return has_status,
        [b' ', b'-', number @ ..] | [b' ', number @ ..] => number,
        _ => return false,
    };
    let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0 || size.starts_with(b" -")) && matches!(number.get(digits), None | Some(b' '))
}

/// The path of a request (rule 6).
fn path(request: &[u8]) -> &[u8] {
    let Some(first_end) = memchr(b' ', request) else {
        return request;
    };
    let behind = &request[first_end + 1..];
    let second = match memrchr(b' ', behind) {
        Some(protocol) if behind[protocol + 1..].starts_with(b"HTTP/") => &behind[..protocol],
        _ => &behind[..memchr(b' ', behind).unwrap_or(behind.len())],
    };
    match (second, &request[..first_end]) {
        ([], []) => request,
        ([], first) => first,
        (second, _) => second,
    }
}

#[cfg(test)]
mod tests;
