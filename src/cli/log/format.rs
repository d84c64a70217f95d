//! Which format an input has, and reading its entries.
//!
//! The format is the one in which the first entry is a hit, or the one whose columns a line names. From then on the
//! input has that format, and a line that does not fit it is malformed. So a client cannot choose a format by its request,
//! and lines that a service writes before its first request do not matter.
//!
//! | tried in this order | told by |
//! |---|---|
//! | w3c | a directive: `#Version:`, `#Software:`, `#Date:`, `#Fields:` |
//! | json | `{`, and the same as of logfmt |
//! | elb, alb, s3, haproxy | their fields; S3 escapes no quotes, so a client could make its line one of clf |
//! | clf | client, ident, date in brackets, request in quotes, status |
//! | logfmt | pairs of `name=value` with a time, a path, and something that only a request has |
//! | csv | a line with known names of a time and a path |
//!
//! Tests: `tests/replay`.

use memchr::memrchr;

use super::client::Client;
use super::csv::Table;
use super::fields::{Meaning, Names};
use super::hit::{Hit, Malformed};
use super::lines::{Line, Lines};
use super::prefix::Unwrapper;
use super::w3c::Sheet;
use super::{amazon, clf, haproxy, json, logfmt, w3c};

/// A format of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Common or combined log format: Apache, nginx, and most others
    #[value(alias = "common", alias = "combined", alias = "apache", alias = "nginx")]
    Clf,
    /// JSON lines: Caddy, Traefik, Cloudflare, nginx with a format of JSON
    #[value(alias = "jsonl", alias = "ndjson", alias = "caddy", alias = "cloudflare")]
    Json,
    /// W3C extended: IIS, CloudFront
    #[value(alias = "iis", alias = "cloudfront")]
    W3c,
    /// Classic load balancers of AWS
    Elb,
    /// Application load balancers of AWS
    Alb,
    /// Server access logs of S3
    S3,
    /// HTTP logs of HAProxy
    Haproxy,
    /// Pairs of name=value
    Logfmt,
    /// A table with the names of its columns in the first line
    #[value(alias = "tsv")]
    Csv,
}

impl Format {
    /// The name by which the command line knows it.
    pub(crate) fn name(self) -> String {
        let value = clap::ValueEnum::to_possible_value(&self).expect("no format is skipped");
        value.get_name().to_owned()
    }
}

/// What is known of the entries that are to be read.
pub(crate) struct Reading {
    /// `None` if the entries decide it.
    pub(crate) format: Option<Format>,
    pub(crate) client: Option<Client>,
    pub(crate) names: Names,
}

impl Reading {
    /// With `fields`, a meaning has the one name that is given. Status, host and route are read if `wanted` says so.
    pub(crate) fn new(
        format: Option<Format>,
        client: Option<Client>,
        fields: &[(Meaning, String)],
        wanted: impl Fn(Meaning) -> bool,
    ) -> Reading {
        let names = Names::new(fields, |meaning| match meaning {
            Meaning::Status | Meaning::Host | Meaning::Route => wanted(meaning),
            _ => true,
        });
        Reading { format, client, names }
    }

    /// The format of an input that begins with `head`, if an entry there is a hit, and if every entry says by itself what
    /// it is. Those of W3C and CSV need the names of columns, which a line before them had.
    pub(crate) fn format_without_state(&self, head: &[u8]) -> Option<Format> {
        let (mut entries, mut unwrapper) = (Entries::new(self, None), Unwrapper::default());
        let whole = &head[..=memrchr(b'\n', head)?];
        let mut lines = Lines::new(whole);
        while let Ok(Some(line)) = lines.next() {
            if let Line::Whole(line) = line
                && let Ok(Entry::Hit(_)) = entries.read(unwrapper.unwrap(line))
            {
                return entries.format().filter(|format| !matches!(format, Format::W3c | Format::Csv));
            }
        }
        None
    }
}

/// What an entry is that is not malformed.
pub(crate) enum Entry<'a> {
    Hit(Hit<'a>),
    /// The names of columns, or a directive.
    Header,
}

/// Reads the entries of one input.
pub(crate) struct Entries<'r> {
    reading: &'r Reading,
    format: Option<Format>,
    sheet: Sheet,
    table: Option<Table>,
    /// The name that was read last.
    name: Vec<u8>,
}

impl<'r> Entries<'r> {
    /// The entries of an input, or of a part of one, whose `format` may be known.
    pub(crate) fn new(reading: &'r Reading, format: Option<Format>) -> Entries<'r> {
        Entries { reading, format: format.or(reading.format), sheet: Sheet::default(), table: None, name: Vec::new() }
    }

    /// The format of the input, once it is known.
    pub(crate) fn format(&self) -> Option<Format> {
        self.format
    }

    /// Reads an entry.
    pub(crate) fn read<'a>(&'a mut self, entry: &'a [u8]) -> Result<Entry<'a>, Malformed> {
        if self.format == Some(Format::Clf) {
            return self.read_as(Format::Clf, entry);
        }
        if entry.is_empty() {
            return Err(Malformed::Empty);
        }
        if self.format.is_none() {
            self.format = self.told_by(entry);
        }
        let is_json = entry.trim_ascii_start().starts_with(b"{");
        let format = self.format.unwrap_or(if is_json { Format::Json } else { Format::Clf });
        self.read_as(format, entry)
    }

    /// The format that `entry` tells.
    fn told_by(&mut self, entry: &[u8]) -> Option<Format> {
        let mut formats = [
            Format::W3c,
            Format::Json,
            Format::Elb,
            Format::Alb,
            Format::S3,
            Format::Haproxy,
            Format::Clf,
            Format::Logfmt,
            Format::Csv,
        ]
        .into_iter();
        formats.find(|&format| {
            let is_right = self.read_as(format, entry).is_ok();
            self.table = None;
            is_right
        })
    }

    fn read_as<'a>(&'a mut self, format: Format, entry: &'a [u8]) -> Result<Entry<'a>, Malformed> {
        let Reading { client, names, .. } = self.reading;
        let values = match format {
            Format::Clf => return clf::parse(entry, client.unwrap_or_default()).map(Entry::Hit),
            Format::Elb => return amazon::classic(entry).map(Entry::Hit),
            Format::Alb => return amazon::application(entry).map(Entry::Hit),
            Format::S3 => return amazon::s3(entry).map(Entry::Hit),
            Format::Haproxy => return haproxy::read(entry).map(Entry::Hit),
            Format::Json => json::read(entry, names, &mut self.name)?,
            Format::Logfmt => logfmt::read(entry, names, &mut self.name)?,
            Format::W3c => {
                if w3c::is_directive(entry) || (entry.starts_with(b"#") && self.format.is_some()) {
                    self.sheet.directive(entry, names);
                    return Ok(Entry::Header);
                }
                self.sheet.read(entry)?
            }
            Format::Csv => {
                if self.table.is_none() {
                    self.table = Some(Table::new(entry, names).ok_or(Malformed::NoColumns)?);
                    return Ok(Entry::Header);
                }
                // Tables that were joined have their first lines within.
                let table = self.table.as_mut().expect("it was looked at");
                if table.is_header(entry) {
                    return Ok(Entry::Header);
                }
                table.read(entry)?
            }
        };
        let tells = self.format.is_some() || names.are_given || values.is_request();
        let hit = values.into_hit(*client)?;
        if tells { Ok(Entry::Hit(hit)) } else { Err(Malformed::NoEvidence) }
    }
}
