//! [`SharedRegistry`]: a registry in a file that processes share; [`Inspection`] looks at such a file, [`compact`] makes a new one of it.
//!
//! ```text
//! SharedRegistry, SharedHandle --> Core --> RingFile: header | table | names | lives | rings | visitors | limits | ...
//! ```
//!
//! # Words
//! | word | means |
//! |---|---|
//! | name, unit | an endpoint's name; where its record lies |
//! | life | an endpoint from its first hit to its removal, with a ring of its own; a name may have many, one after the other |
//! | merged life | hits of one other writer that belong to a life, in a ring of their own |
//! | row | the slots of a life's ring |
//! | lane | one of the words that together are the total of a life: processes write different ones |
//! | epoch | how often something was removed; each life and each writer's hits are of one |
//! | writer | a registry, here a file, and one of its lives (cell/writer.rs) |
//! | share | the hits of a former writer of this file in the slots of a life |
//! | find | how many hits of a writer and a tick a removal elsewhere found |
//! | void | removed, though the slot still counts it |
//! | copy | a file that was made under another inode, or on another boot; it gets a new writer |
//!
//! # Files
//! From the bottom up; a file uses only those above it in this table.
//!
//! | file | what |
//! |---|---|
//! | `format` | the layout of a file, and what its words mean |
//! | `file` | making, opening and mapping; locks; files that were cut |
//! | `book` | the file as a reader finds it |
//! | `voids` | which hits in the slots are void |
//! | `exchange` | merges |
//! | `rewrite` | a new file from an old one |
//! | `check` | faults in a file |
//! | `renew` | a new writer in a copy, or after a boot |
//! | `core`, `metrics` | recording and querying, by name and by life; metrics |
//! | `handle`, `registry`, `builder` | the public types |
//! | `limits`, `watch` | limits that all processes keep together; thresholds and events |
//! | `changed` | endpoints whose totals have changed, for callers that keep counts elsewhere |
//! | `inspect` | inspecting a file without writing to it |
//!
//! # Guarantees
//! | method | progress | what a reader beside writers sees |
//! |---|---|---|
//! | [`SharedHandle::record`] | lock-free on every target: an exchange fails only because of another hit; then one `fetch_add` | |
//! | `record_hit` of a known name | the same, after a wait-free look-up | |
//! | `record_hit` of a new name | lock-free: writes the name, and two exchanges | |
//! | `query_hits`, `total`, `top`, `total_ever` | wait-free: one load a slot | every hit whose call returned before it began, none whose call began after it ended |
//! | `remove` | lock-free | the same |
//! | `changed`, `buckets`, `totals_ever` | wait-free but for the allocator | the same, endpoint by endpoint |
//! | `snapshot`, `metrics` | the same, and the totals of merged registries are read again if a merge was done meanwhile | the same |
//! | `merge` | a lock of the file against other merges, which recorders do not take | the same |
//! | `restore` | only while no other process has the file open | |
//!
//! A process that is killed or stopped between any two instructions leaves a file in which all others keep counting. It can leave
//! behind 64 bytes of a name or a table of visitors that nothing refers to, and a total that is one hit (of whatever amount) short
//! of its slot. A step is a step of the program: a page that the system writes back may keep a writer waiting for milliseconds;
//! pages in `/dev/shm` are not written back.
//!
//! Tests: `tests/shared`, `tests/models/shared.rs`, `tests/models/finds.rs`.

cfg_if::cfg_if! {
    if #[cfg(hitring_model)] {
        pub mod format;
    } else {
        mod format;
    }
}
mod file;
mod book;
mod voids;
mod exchange;
mod rewrite;
mod check;
mod renew;
mod core;
mod metrics;
mod handle;
mod registry;
mod builder;
mod limits;
mod watch;
mod changed;
mod ledger;
#[cfg(feature = "server")]
mod life_cells;
#[cfg(feature = "server")]
mod take_back;
mod inspect;

#[cfg(feature = "cli")]
pub(crate) use self::voids::Voids;
pub use self::{
    builder::SharedBuilder,
    changed::{Changed, Marks},
    handle::SharedHandle,
    inspect::{Inspection, Line, Report},
    ledger::{LedgerEntry, NoEntry, SharedLedger},
    limits::SharedLimiter,
    metrics::SharedRoom,
    registry::SharedRegistry,
    rewrite::{Wanted, compact},
};
#[cfg(feature = "server")]
pub(crate) use self::{format::origin::Origin, life_cells::LifeCells, renew::tidy, take_back::Told};
