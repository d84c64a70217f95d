//! One line of an access log in common or combined format, or with further fields behind them.
//!
//! ```text
//! 192.0.2.7 - alice [10/Oct/2000:13:55:36 -0700] "GET /index.html?a=%20 HTTP/1.1" 200 2326 "referer" "agent" ...
//! client    ident user date and zone              request: the path is its second word  status size  anything
//! ```
//!
//! A line is bytes; nothing is decoded, so `%20`, query strings and bytes that are no UTF-8 stay what they are.
//!
//! 1. Client and ident are each one or more bytes without white space, and one space follows each.
//!    White space is: 09 to 0d, 1c to 20, 85, a0 (hex).
//! 2. The user is one or more bytes of any kind, as few as possible, up to ` [`, a stamp ([`Stamp`]), `] "`.
//! 3. The request ends at the first `"` that no backslash escapes, and space, three digits (status), space, digits or
//!    `-` (size) and the line's end or a space must follow it. When they do not, a later stamp in the line is tried.
//! 4. When no stamp satisfies rule 3 the request is taken to hold bare quotes: from the first stamp of the line to the
//!    **last** `"` that status and size follow.
//! 5. The path is what stands between the first and the second space of the request (protocol and method are not
//!    needed); when that is empty or missing, what stands before the first space; when that is empty too, the whole request.
//! 6. The stamp must be a real date. A stamp in the right shape that is no date makes the line malformed; no other
//!    stamp is tried for it.
//!
//! Tests: `tests/replay`.

use memchr::{memchr, memchr_iter, memchr2, memrchr_iter};

use super::date::{STAMP_LEN, Stamp};

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
            Malformed::NoClient => "does not begin with client, ident and a space behind each",
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
    let (_ident, rest) = word(rest).ok_or(Malformed::NoClient)?;
    let quoted_request = stamps(rest).find_map(|(stamp, after)| Some((stamp, quoted(after)?)));
    let (stamp, request) = match quoted_request {
        Some(found) => found,
        None => {
            let (stamp, after) = stamps(rest).next().ok_or(Malformed::NoStamp)?;
            (stamp, with_bare_quotes(after).ok_or(Malformed::NoRequest)?)
        }
    };
    let time = stamp.unix_seconds().ok_or(Malformed::UnrealDate)?;
    Ok(Hit { time, client, path: path(request) })
}

/// One or more bytes without white space, and what follows the space behind them (rule 1).
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| is_white_space(byte))?;
    (end > 0 && text[end] == b' ').then(|| (&text[..end], &text[end + 1..]))
}

fn is_white_space(byte: u8) -> bool {
    matches!(byte, 0x09..=0x0d | 0x1c..=0x20 | 0x85 | 0xa0)
}

/// Each stamp of the line that a user stands before, with what follows its `] "` (rule 2).
fn stamps(from_user: &[u8]) -> impl Iterator<Item = (Stamp, &[u8])> {
    memchr_iter(b'[', from_user).filter_map(|bracket| {
        if bracket < 2 || from_user[bracket - 1] != b' ' {
            return None;
        }
        let (text, after) = from_user[bracket + 1..].split_first_chunk::<STAMP_LEN>()?;
        Some((Stamp::read(text)?, after.strip_prefix(b"] \"")?))
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

/// The request up to the last quote that status and size follow (rule 4).
fn with_bare_quotes(from_request: &[u8]) -> Option<&[u8]> {
    let mut quotes = memrchr_iter(b'"', from_request);
    quotes.find(|&at| status_and_size_begin(&from_request[at + 1..])).map(|at| &from_request[..at])
}

/// Whether the text begins with ` 200 2326` or ` 200 -` and then ends or goes on with a space.
fn status_and_size_begin(text: &[u8]) -> bool {
    let [b' ', s1, s2, s3, b' ', size @ ..] = text else {
        return false;
    };
    if ![s1, s2, s3].iter().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let length = match size {
        [b'-', ..] => 1,
        _ => size.iter().take_while(|byte| byte.is_ascii_digit()).count(),
    };
    length > 0 && matches!(size.get(length), None | Some(b' '))
}

/// The path of a request (rule 5).
fn path(request: &[u8]) -> &[u8] {
    let Some(first_end) = memchr(b' ', request) else {
        return request;
    };
    let behind = &request[first_end + 1..];
    let second = &behind[..memchr(b' ', behind).unwrap_or(behind.len())];
    match (second, &request[..first_end]) {
        ([], []) => request,
        ([], first) => first,
        (second, _) => second,
    }
}

#[cfg(test)]
mod tests;
