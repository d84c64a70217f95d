//! The HTTP log of HAProxy.
//!
//! ```text
//! 192.0.2.1:33317 [06/Feb/2009:12:14:14.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {1wt.eu} {} "GET /a HTTP/1.1"
//! client          time without a zone        front   back/server timers         status
//! ```
//!
//! The time is that of the machine, and taken for UTC. HAProxy writes quotes in captured headers as `#22`, so the first
//! quote begins the request. A long line is cut, and then no quote ends it.
//!
//! Tests: `tests/replay`.

use memchr::{memchr, memmem, memrchr};

use super::clf;
use super::client::with_port;
use super::fields::{host, without_host};
use super::hit::{Hit, Malformed, NONE};
use super::moment;

/// Reads a line.
pub(crate) fn read(line: &[u8]) -> Result<Hit<'_>, Malformed> {
    let fields = || {
        let stamp = memmem::find(line, b" [")?;
        // A listener on a socket of the machine has clients such as `unix:1`.
        let client = with_port(&line[..stamp]).or_else(|| line.starts_with(b"unix:").then_some(b"unix"))?;
        let end = stamp + memchr(b']', &line[stamp..])?;
        let time = &line[stamp + 2..end];
        let mut words = line[end + 1..].strip_prefix(b" ")?.split(|&byte| byte == b' ');
        let (_front, server, timers, status) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let is_http = memchr(b'/', server).is_some()
            && timers.iter().filter(|&&byte| byte == b'/').count() == 4
            && str::from_utf8(status).ok()?.parse::<i32>().is_ok();
        let quote = memmem::find(&line[end..], b" \"")? + end + 2;
        let request = &line[quote..];
        let request = &request[..memrchr(b'"', request).unwrap_or(request.len())];
        is_http.then_some((client, time, status, request))
    };
    let (client, time, status, request) = fields().ok_or(Malformed::NoProxy)?;
    let time = moment::stamp(time).ok_or(Malformed::UnrealDate)?;
    // Requests over HTTP/2 have a whole URL.
    let url = clf::path(request);
    let host = host(url).map_or(NONE, Into::into);
    let (client, status) = (client.into(), status.into());
    Ok(Hit { time, client, doubt: None, path: without_host(url), route: None, status, host })
}
