//! What a command line says about how logs are read: the options that `replay` and `top` share.
//!
//! Tests: `tests/replay`, `tests/top`.

use super::client::Client;
use super::fields::Meaning;
use super::format::{Format, Reading};
use super::key::Key;
use crate::cli::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct LogOptions {
    /// Count hits under this: path, route, status, client, host or regex:PATTERN
    ///
    /// route is the path without its query, with {id} for numbers and other ids, or the route that
    /// the log names. A pattern is searched in the path. The key is its first group, or the whole
    /// match if it has no group.
    #[arg(long, value_name = "KEY", default_value = "path", value_parser = Key::parse)]
    pub(crate) key: Key,

    /// Cut the query off paths
    #[arg(long)]
    pub(crate) no_query: bool,

    /// The format of the logs; without it, the first lines decide
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<Format>,

    /// The name of a field in JSON, logfmt, W3C and CSV: time=NAME, path=NAME, client=NAME, ...
    ///
    /// May be repeated. Also url, request, query, forwarded, status, host, route and date. A dot
    /// leads into an object: client=actor.login.
    #[arg(long = "field", value_name = "WHAT=NAME", value_parser = Meaning::parse)]
    pub(crate) fields: Vec<(Meaning, String)>,

    /// Which address is the client if a line has several
    ///
    /// A client can make up the first entries of a list. Default: first in the common format. In
    /// formats with named fields, the client's own field counts.
    #[arg(long, value_name = "WHICH", value_enum)]
    pub(crate) client: Option<Client>,
}

impl LogOptions {
    /// How entries are read. A status is read if the key needs it or `with_status` says so.
    pub(crate) fn reading(&self, with_status: bool) -> Result<Reading, Failure> {
        for (at, (meaning, name)) in self.fields.iter().enumerate() {
            if let Some((_, first)) = self.fields[..at].iter().find(|(other, _)| other == meaning) {
                let what = meaning.word();
                let text = format!("--field {what} is given twice, as '{first}' and as '{name}'; give it once");
                return Err(Failure::Message(text));
            }
        }
        let is_wanted = |meaning| self.key.wants(meaning) || with_status && meaning == Meaning::Status;
        Ok(Reading::new(self.format, self.client, &self.fields, is_wanted))
    }
}
