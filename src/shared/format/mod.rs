//! The layout of a file, and what its words mean. Everything here works on words, not on files.
//!
//! | file | what |
//! |---|---|
//! | `checksum` | of words that are written at once |
//! | `layout` | where each section lies in the file |
//! | `origin`, `header` | where and when the file was made; what it was made for, and a checksum |
//! | `names`, `tail`, `lives` | endpoints: from a name to a life, from a life to a ring; how many there are |
//! | `frozen`, `others`, `finds` | the cells of former writers; the totals of merged registries; the finds of removals |
//! | `visitors` | different visitors of an endpoint |
//! | `sections` | all of it together |
//!
//! Tests: `tests/shared`.

pub mod checksum;
pub mod finds;
pub mod layout;
pub mod names;
pub mod tail;
pub mod lives;
pub mod frozen;
pub mod others;
pub mod visitors;
pub mod origin;
pub mod header;
pub mod sections;
