//! Counts, at rest and in transit: cells that only grow.
//!
//! | file | what |
//! |---|---|
//! | `outcome` | the outcome of recording a hit |
//! | `hits` | an answer, and how exact it is |
//! | `totals` | all hits that were ever counted, refused and pruned |
//! | `writer` | which counter wrote a cell |
//! | `form` | how the cells of a writer are to be read |
//! | `removal` | which cells a removal voids |
//! | `merge` | states that may be joined any number of times |
//! | `frame` | cells as checksummed bytes |
//! | `file` | bytes that are written whole or not at all |
//!
//! Tests: `tests/merge`, `tests/registry/bytes.rs`.

pub(crate) mod file;
pub mod form;
pub(crate) mod writer;
pub(crate) mod frame;
pub(crate) mod hits;
pub(crate) mod merge;
pub mod outcome;
pub mod removal;
pub(crate) mod totals;
