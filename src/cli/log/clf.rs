//! One line of an access log in common or combined format, or with further fields behind them.
//!
//! ```text
//! 192.0.2.7 - alice [10/Oct/2000:13:55:36 -0700] "GET /index.html?a=%20 HTTP/1.1" 200 2326 "referer" "agent" ...
//! client    ident user date and zone              request: the path is its second word  status size  anything
//! ```
//!
//! A line is bytes and is not decoded, so `%20`, query strings and bytes that are not UTF-8 stay as they are.
//!
//! 1. Client and ident are each one or more bytes without white space, and one or more spaces follow each.
//!    White space is: 09 to 0d, 20 (hex). Some lines have another client than the first word (`client.rs`).
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
//! 7. The stamp must be a real date. A stamp in the right shape that is not a date makes the line malformed.
//!
//! Tests: `tests/replay`.

use memchr::{memchr, memchr_iter, memchr2, memrchr};

use super::client::{Client, client};
use super::date::Stamp;
use super::hit::{Doubt, Hit, Malformed, NONE};
use super::prefix::is_address;

/// What stands between a stamp and the request.
const STAMP_END: &[u8] = b"] \"";

/// Reads one line, without its line end.
pub(crate) fn parse(line: &[u8], which: Client) -> Result<Hit<'_>, Malformed> {
    if line.is_empty() {
        return Err(Malformed::Empty);
    }
    let (first, behind) = word(line).ok_or(Malformed::NoClient)?;
    if first == b"message" && behind.starts_with(b"repeated ") {
        return Err(Malformed::Repeated);
    }
    let (_ident, rest) = word(behind).ok_or(Malformed::NoClient)?;
    let (stamp, after) = stamp(rest).ok_or(Malformed::NoStamp)?;
    let end = quoted(after).or_else(|| with_bare_quotes(after)).ok_or(Malformed::NoRequest)?;
    let time = stamp.unix_seconds().ok_or(Malformed::UnrealDate)?;
    let (client, host) = client(line, first, behind, which);
    let to_stamp = &line[..line.len() - after.len() - STAMP_END.len()];
    let is_doubtful = !behind.starts_with(b"- ") && !is_address(client) && has_more_in_front(to_stamp);
    // Behind the quote are a space and three digits, or a dash.
    let status = if after[end + 2] == b'-' { &b"-"[..] } else { &after[end + 2..end + 5] };
    Ok(Hit {
        time,
        client: client.into(),
        doubt: is_doubtful.then_some(Doubt::SomethingInFront),
        path: path(&after[..end]).into(),
        route: None,
        status: status.into(),
        host: host.map_or(NONE, Into::into),
    })
}

/// One or more bytes without white space, and what follows the spaces behind them (rule 1).
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| is_white_space(byte))?;
    let spaces = text[end..].iter().take_while(|&&byte| byte == b' ').count();
    (end > 0 && spaces > 0).then(|| (&text[..end], &text[end + spaces..]))
}

/// Whether more than client, ident and user stand in front of the stamp that `to_stamp` ends with. A user of several words
/// looks like it; but where there are users, the ident is a dash.
fn has_more_in_front(to_stamp: &[u8]) -> bool {
    let Some(bracket) = memrchr(b'[', to_stamp) else { return false };
    to_stamp[..bracket].split(|&byte| byte == b' ').filter(|word| !word.is_empty()).nth(3).is_some()
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
        Some((stamp, after.strip_prefix(STAMP_END)?))
    })
}

/// The length of the request up to the first quote that no backslash escapes, when status and size follow it (rule 3).
fn quoted(from_request: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr2(b'"', b'\\', from_request.get(from..)?)?;
        if from_request[at] == b'"' {
            return status_and_size_begin(&from_request[at + 1..]).then_some(at);
        }
        from = at + 2;
    }
}

/// The length of the request up to the first quote that status and size follow (rule 3).
fn with_bare_quotes(from_request: &[u8]) -> Option<usize> {
    memchr_iter(b'"', from_request).find(|&at| status_and_size_begin(&from_request[at + 1..]))
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
pub(super) fn path(request: &[u8]) -> &[u8] {
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
