//! What lies where in a file, and what its words mean: everything here is words, and no file.
//!
//! | file | what |
//! |---|---|
//! | `checksum` | of words that are written at once |
//! | `layout` | where what lies in the file |
//! | `origin`, `header` | where and when the file was made; what for, and a checksum |
//! | `names`, `tail`, `lives` | endpoints: from a name to a life, from a life to a ring; how many there are |
//! | `frozen`, `others`, `finds` | who counted what before this writer; the totals of merged registries; what removals found |
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
