//! [`SharedRegistry`]: a registry in a file that processes share.
//!
//! ```text
//! SharedRegistry, SharedHandle --> Core --> RingFile: header | table | names | lives | rings | visitors | limits
//! ```
//! | file | what |
//! |---|---|
//! | `layout` | where what lies in the file |
//! | `header` | what the file was made for, and its checksum |
//! | `names`, `lives` | endpoints: from a name to a life, from a life to a ring |
//! | `visitors` | who came |
//! | `limits` | limits that all processes keep together |
//! | `file`, `origin`, `lock`, `fault` | making and opening; whether it is a copy; who is alone; what is cut off |
//! | `core`, `handle`, `watch`, `metrics`, `builder` | the registry |
//! | `exchange`, `others`, `frozen` | what leaves the file and comes into it, by writer |
//! | `finds`, `voids` | which hits removals void |
//! | `rewrite` | a new file from an old one |
//! | `inspect` | looking at a file without touching it |
//!
//! # Guarantees
//! | method | progress | what a reader beside writers sees |
//! |---|---|---|
//! | [`SharedHandle::record`] | lock-free on every target: an exchange is lost only to another hit; then one `fetch_add` | |
//! | `record_hit` of a known name | the same, after a wait-free look-up | |
//! | `record_hit` of a new name | lock-free: writes the name, and two exchanges | |
//! | `query_hits`, `total`, `top`, `total_ever` | wait-free: one load a slot | every hit whose call returned before it began, none whose call began after it ended |
//! | `remove` | lock-free | the same |
//! | `snapshot`, `metrics` | wait-free but for the allocator | the same, endpoint by endpoint |
//! | `merge` | one lock of the file against other merges, none against recorders | the same |
//! | `restore` | only while nobody else has the file open | |
//!
//! A process that is killed or stopped between any two instructions leaves a file that all others go on with. What it can
//! leave behind: 64 bytes of a name or a table of visitors that nobody refers to, and a total that is one hit (of whatever
//! amount) short of its slot. Steps are steps of the program: a page that the system writes back may keep a
//! writer waiting for milliseconds; in `/dev/shm` none is written back.

mod builder;
mod core;
mod exchange;
mod fault;
mod file;
pub mod finds;
mod frozen;
mod handle;
mod header;
mod inspect;
pub mod layout;
mod limits;
pub mod lives;
mod lock;
mod metrics;
pub mod names;
mod origin;
mod others;
mod registry;
mod rewrite;
mod visitors;
mod voids;
mod watch;

pub use self::{
    builder::SharedBuilder,
    handle::SharedHandle,
    inspect::{Inspection, Line, Report},
    limits::SharedLimiter,
    metrics::SharedRoom,
    registry::SharedRegistry,
    rewrite::{Wanted, compact},
};
