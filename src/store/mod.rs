//! Where the server keeps what it counts: a directory on the disk.
//!
//! | file | what |
//! |---|---|
//! | `data` | the directory: whose it is, and the names of the files in it |
//!
//! Tests: `tests/python/integration/test_serve.py`.

pub mod data;
