//! Reading access logs: from a file's bytes to hits.
//!
//! ```text
//! members  gzip data of several members                                              -> bytes
//! source   file or stdin, gz opened by its first bytes, foreign formats recognised   -> bytes
//! lines    blocks cut at line feeds, a stated longest line                            -> lines
//! clf      common and combined format                                                 -> hits
//! date     the calendar under them
//! ```
//!
//! Tests: `tests/replay`.

pub(crate) mod date;
pub(crate) mod clf;
pub(crate) mod foreign;
pub(crate) mod lines;
pub(crate) mod members;
pub(crate) mod source;
