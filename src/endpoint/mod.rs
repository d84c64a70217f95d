//! The hits of one name: a chain of generations, of which one takes the hits.
//!
//! ```text
//! head --> Generation 7 (ring) --> Generation 3 (16 cells) --> end        the first takes the hits
//! head --> few cells in line,      Generation 7 --> Generation 3          with FEW set: the cells in line take them
//! ```
//!
//! A swap, a promotion and a demotion are one exchange of `head`. The hits stay where they are: every query adds up the
//! cells in line and all generations, each hit is in exactly one of them, and no hit is ever moved. A generation leaves
//! the chain when all its hits have left the window.
//!
//! | head | hits go to | who moves it |
//! |---|---|---|
//! | generation | it | swap, promotion: to a new generation in front of it |
//! | chain, `FEW` | the cells in line | a hit that finds them full: to a new generation in front of the chain |
//! | `REMOVED` set | nowhere; the endpoint was removed or pruned | remove, prune, for good |
//! | `REPLACED` set | the endpoint that the restore put in its place, as long as that exists (`heir.rs`) | restore, for good |
//!
//! # Two ways in
//! The **short way** adds to a tick that has hits already, in the generation that `head` names. The **long way** brings new
//! ticks; it passes the `Gate` first and reads `head` behind it.
//!
//! # When a generation may be dropped
//! A thread that read `head` long ago may still write to a generation that has been swapped out. The generation is
//! dropped when
//! 1. it is not the first any more, and the gate was seen empty after that, so no thread that may know it is on the
//!    long way;
//! 2. all its hits lie at least one ring behind. The short way adds only to ticks that have hits, so the hits that a
//!    straggler may still bring lie as far behind.
//!
//! So no other thread's ring is ever frozen, folded or emptied, striped ones included. An idle endpoint is dropped by
//! the same rule, with the gate sealed: a hit that comes too late is turned away and is counted in a new endpoint of
//! the name. (Mutants `EndpointDropsUnseen`, `EndpointDropsInside`.)
//!
//! # Memory
//! Dropping a generation from the chain does not free it, because short ways and readers may still be inside. A thread
//! that found the endpoint by name holds a guard of the registry's collector, which waits for it. A thread that uses a
//! handle holds no guard, so no generation is unlinked while the endpoint has a handle: `uses` counts the handles, and
//! unlinking locks it at 0. Every method that follows a pointer of the chain is a method of [`Reach`], the proof of a
//! guard or a handle.
//!
//! # Guarantees
//! | method | progress | steps |
//! |---|---|---|
//! | `record_current` | that of the strategy | two loads more |
//! | `record` | that of the strategy, and lock-free over swaps: it starts again when another thread changed `head` | two read-modify-writes more |
//! | `sum`, `cells`, `newest` | that of the strategies; one lock where hits of other registries were merged in | the cells in line and one load a generation more |
//! | `acquire` | waits while generations are being unlinked (bounded by the chain) | one read-modify-write |
//! | all others | lock-free | |
//!
//! Tests: `tests/models/endpoint.rs`.

mod outlived;
pub mod generation;
mod state;
mod reach;
mod heir;
mod leaving;
mod reading;
mod recording;

pub use generation::{Gone, Shared, Unlinked};
pub use reach::Reach;
pub use state::{Endpoint, Other, Shape};
