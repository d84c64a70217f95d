//! Logs of Amazon's load balancers and of S3: fields in fixed places, separated by spaces, some in quotes.
//!
//! ```text
//! ELB  2015-05-13T23:39:43.945958Z my-lb 192.0.2.1:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29 "GET http://example.com:80/a HTTP/1.1" ...
//! ALB  https 2018-07-02T22:23:00.186641Z app/my-lb/50dc 192.0.2.1:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "GET https://example.com:443/a HTTP/1.1" ...
//! S3   79a5... bucket [06/Feb/2019:00:00:38 +0000] 192.0.2.3 79a5... 3E57... REST.GET.OBJECT a.txt "GET /bucket/a.txt HTTP/1.1" 200 - ...
//! ```
//!
//! Balancers log whole URLs, of which the path is what is behind the host. A request that was none (`- - - `, `-`) has the
//! path `-`. The host of an S3 log is its bucket.
//!
//! Tests: `tests/replay`.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter};

use super::clf;
use super::client::with_port;
use super::fields::{host, without_host};
use super::hit::{Hit, Malformed, NONE};
use super::moment;
use super::prefix::is_address;

/// Reads a line of a classic load balancer.
pub(crate) fn classic(line: &[u8]) -> Result<Hit<'_>, Malformed> {
    balancer(&mut Words(line)).ok_or(Malformed::NoBalancer)?
}

/// Reads a line of an application load balancer.
pub(crate) fn application(line: &[u8]) -> Result<Hit<'_>, Malformed> {
    let mut words = Words(line);
    match words.next() {
        Some(b"http" | b"https" | b"h2" | b"grpcs" | b"ws" | b"wss") => {
            balancer(&mut words).ok_or(Malformed::NoBalancer)?
        }
        _ => Err(Malformed::NoBalancer),
    }
}

/// Reads what both kinds have from the time on. `None` if the fields are others.
fn balancer<'a>(words: &mut Words<'a>) -> Option<Result<Hit<'a>, Malformed>> {
    let (time, _name, client, _target) = (words.next()?, words.next()?, words.next()?, words.next()?);
    for _ in 0..3 {
        str::from_utf8(words.next()?).ok()?.parse::<f64>().ok()?;
    }
    let (status, _of_target, _received, _sent) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let request = words.next_quoted()?;
    let client = with_port(client)?.into();
    let url = clf::path(request);
    let Some(time) = moment::read(time) else { return Some(Err(Malformed::UnrealDate)) };
    let host = host(url).map_or(NONE, Cow::Borrowed);
    Some(Ok(Hit { time, client, doubt: None, path: without_host(url), route: None, status: status.into(), host }))
}

/// Reads a line of an S3 server access log.
pub(crate) fn s3(line: &[u8]) -> Result<Hit<'_>, Malformed> {
    let mut words = Words(line);
    let mut fields = || {
        let (_owner, bucket, time, client) = (words.next()?, words.next()?, words.next_bracketed()?, words.next()?);
        let (_requester, _id, operation, _key) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let (request, status) = words.next_request()?;
        // REST.GET.OBJECT, SOAP.CreateBucket, S3.EXPIRE.OBJECT, BATCH.DELETE.OBJECT
        memchr(b'.', operation)?;
        (client == b"-" || is_address(client)).then_some((bucket, time, client, request, status))
    };
    let (bucket, time, client, request, status) = fields().ok_or(Malformed::NoBucket)?;
    let time = moment::stamp(time).ok_or(Malformed::UnrealDate)?;
    let (path, client) = (clf::path(request).into(), client.into());
    Ok(Hit { time, client, doubt: None, path, route: None, status: status.into(), host: bucket.into() })
}

/// The fields of a line that are left.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    /// A field without spaces.
    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr(b' ', self.0).unwrap_or(self.0.len());
        self.take(0, end, 0).filter(|word| !word.is_empty())
    }

    /// A field in quotes, or `-`. A backslash in front of a quote makes it a part of the field.
    fn next_quoted(&mut self) -> Option<&'a [u8]> {
        if self.0.first()? != &b'"' {
            return self.next().filter(|word| word == b"-");
        }
        let mut from = 1;
        loop {
            let at = from + memchr::memchr2(b'"', b'\\', self.0.get(from..)?)?;
            if self.0[at] == b'"' {
                return self.take(1, at, 1);
            }
            from = at + 2;
        }
    }

    /// A request and its status. S3 escapes no quotes in URLs, so the request ends at the first one that a status follows.
    fn next_request(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        if self.0.first()? != &b'"' {
            return Some((self.next().filter(|word| word == b"-")?, self.next()?));
        }
        let line = self.0;
        let mut quotes = memchr_iter(b'"', &line[1..]).map(|at| at + 1);
        quotes.find_map(|quote| match &line[quote + 1..] {
            [b' ', b'-', b' ', ..] => Some((&line[1..quote], &line[quote + 2..quote + 3])),
            [b' ', s1, s2, s3, b' ', ..] if [s1, s2, s3].iter().all(|byte| byte.is_ascii_digit()) => {
                Some((&line[1..quote], &line[quote + 2..quote + 5]))
            }
            _ => None,
        })
    }

    fn next_bracketed(&mut self) -> Option<&'a [u8]> {
        if self.0.first()? != &b'[' {
            return None;
        }
        let end = memchr(b']', self.0)?;
        self.take(1, end, 1)
    }

    /// Takes the bytes from `start` to `end`, and `behind` bytes and a space behind them.
    fn take(&mut self, start: usize, end: usize, behind: usize) -> Option<&'a [u8]> {
        let field = &self.0[start..end];
        let rest = &self.0[end + behind..];
        self.0 = if rest.is_empty() { rest } else { rest.strip_prefix(b" ")? };
        Some(field)
    }
}
