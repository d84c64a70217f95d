//! [`SqliteStore`]: the database of one server, and the one thread that writes it.
//!
//! ```text
//! create, delete, set, hit --> queue --> thread: all that wait, in one transaction --> ring --> done
//! resource, resources --> a connection for reading; no reader waits for a writer, and no writer for a reader
//! ```
//!
//! | file | what |
//! |---|---|
//! | `schema`, `1.sql` | the tables, and how earlier versions become this one |
//! | `open` | which files are opened, made and refused |
//! | `resources` | resources and removals as rows |
//! | `keys` | what writes with a key were answered |
//! | `endpoints` | in which epoch the hits of a name count, and how many there are |
//! | `ledger` | hits that the database decides on |
//! | `flushed` | the cells of the ring, as it was written down |
//! | `commit` | one batch of writes: the transaction, then the ring |
//! | `flush`, `flush_rows` | writing the ring down: reading it, and the transactions |
//! | `recover` | what a start makes good |
//! | `thread` | the queue, and what follows a commit that failed |
//!
//! Tests: `tests/python/integration/test_serve_resources.py`.

pub mod schema;
pub mod flushed;
pub mod open;
pub mod resources;
pub mod keys;
pub mod endpoints;
pub mod ledger;
pub mod flush;
pub mod commit;
pub mod flush_rows;
pub mod recover;
pub mod thread;
