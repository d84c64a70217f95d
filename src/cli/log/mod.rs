//! Reading access logs: from a file's bytes to hits.
//!
//! ```text
//! members  gzip data of several members                                              -> bytes
//! source   file or stdin, gz opened by its first bytes, foreign formats recognised   -> bytes
//! lines    blocks cut at line ends, a stated longest line                             -> lines
//! prefix   what collectors put in front of a line, colour codes                       -> entries
//! clf      common and combined format                                                 -> hits
//! client   which of several addresses is the client
//! date     the calendar under them
//! ```
//!
//! Tests: `tests/replay`.

pub(crate) mod date;
pub(crate) mod prefix;
pub(crate) mod client;
pub(crate) mod clf;
pub(crate) mod foreign;
pub(crate) mod lines;
pub(crate) mod members;
pub(crate) mod source;
