//! The hit that an entry of any format holds, or the reason why a line is not a hit.
//!
//! Tests: `tests/replay`.

use std::borrow::Cow;

/// What stands for a value that an entry does not have.
pub(crate) const NONE: Cow<'static, [u8]> = Cow::Borrowed(b"-");

/// A request that was answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hit<'a> {
    /// Unix seconds in UTC.
    pub(crate) time: i64,
    pub(crate) client: Cow<'a, [u8]>,
    pub(crate) doubt: Option<Doubt>,
    pub(crate) path: Cow<'a, [u8]>,
    /// The route as the server names it.
    pub(crate) route: Option<Cow<'a, [u8]>>,
    pub(crate) status: Cow<'a, [u8]>,
    pub(crate) host: Cow<'a, [u8]>,
}

/// Why a hit's client may not be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// Something unknown stands in front of an address.
    SomethingInFront,
    /// The entry names no client.
    NoClient,
}

/// Why a line is not a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    Empty,
    NoClient,
    NoStamp,
    NoRequest,
    UnrealDate,
    NoTime,
    NoPath,
    NoJson,
    NoColumns,
    OtherColumns,
    NoPairs,
    NoBalancer,
    NoBucket,
    NoProxy,
    Repeated,
    UnknownTime,
    ErrorLog,
    NoEvidence,
}

impl Malformed {
    /// The reason in the reader's words.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Malformed::Empty => "empty line",
            Malformed::NoClient => "does not begin with a client and an ident, each followed by a space",
            Malformed::NoStamp => "no user and [day/Mon/year:hour:minute:second zone] \" behind client and ident",
            Malformed::NoRequest => "no \"request\" with a three-digit status and a size behind it",
            Malformed::UnrealDate => "no such date or time of day",
            Malformed::NoTime => "no known field has a time; name it with --field time=NAME",
            Malformed::NoPath => "no known field has a path; name it with --field path=NAME",
            Malformed::NoJson => "no JSON object, or not a whole one",
            Malformed::NoColumns => "no line before it names the columns",
            Malformed::OtherColumns => "not as many columns as there are names",
            Malformed::NoPairs => "no pairs of name=value",
            Malformed::NoBalancer => "not the fields of a load balancer's log",
            Malformed::NoBucket => "not the fields of an S3 server access log",
            Malformed::UnknownTime => "no such date or time of day, or one in a form that is not read",
            Malformed::ErrorLog => "of Caddy's log of errors, which stands beside a line of its access log",
            Malformed::NoEvidence => {
                "a time and a path, but no client, status or method; if it is a request, give --format"
            }
            Malformed::Repeated => "stands for several requests (message repeated), which are not counted",
            Malformed::NoProxy => "not the fields of an HTTP log of HAProxy",
        }
    }
}
