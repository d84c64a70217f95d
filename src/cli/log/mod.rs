//! Reading access logs: from a file's bytes to hits.
//!
//! ```text
//! members  gzip data of several members                                              -> bytes
//! source   file or stdin, gz opened by its first bytes, foreign formats recognised   -> bytes
//! parts    large files cut, so that threads read them side by side
//! lines    blocks cut at line ends, a stated longest line                             -> lines
//! prefix   what collectors put in front of a line, colour codes                       -> entries
//! format   which format the entries have                                              -> hits
//! clf      common and combined format
//! amazon   load balancers and S3
//! haproxy  HTTP logs of HAProxy
//! json, logfmt, w3c, csv   formats whose fields have names
//! fields   which names are known
//! client   which of several addresses is the client
//! moment   times in any form
//! date     the calendar under them
//! hit      what an entry says
//! key      what a hit is counted under
//! options  what a command line says about all this
//! ```
//!
//! Tests: `tests/replay`.

pub(crate) mod lines;
pub(crate) mod date;
pub(crate) mod prefix;
pub(crate) mod client;
pub(crate) mod hit;
pub(crate) mod moment;
pub(crate) mod clf;
pub(crate) mod fields;
pub(crate) mod amazon;
pub(crate) mod haproxy;
pub(crate) mod json;
pub(crate) mod logfmt;
pub(crate) mod w3c;
pub(crate) mod csv;
pub(crate) mod format;
pub(crate) mod key;
pub(crate) mod options;
pub(crate) mod foreign;
pub(crate) mod members;
pub(crate) mod parts;
pub(crate) mod source;
