//! Events: what happens in a registry, delivered to subscribers.
//!
//! | file | concept |
//! |---|---|
//! | `event` | [`Event`], its [`EventKind`], and an [`EventSet`] of kinds |
//! | `bus` | [`Bus`]: from the recorders to every listener's queue |
//! | `listener` | [`Listener`]: a queue that its owner empties |
//! | `subscription` | [`Subscription`]: a thread that empties a queue into a callback |
//!
//! # Guarantees
//! - **Without a listener: one relaxed load.** [`Bus::watched`] is all that a recorder pays.
//! - **A recorder never waits for a listener.** Queues are bounded. An event that does not fit is dropped and counted,
//!   at the listener and at the bus. The only lock on the way covers the copying of one `Arc`.
//! - **Order.** A listener receives the events of one thread in the order in which the thread emitted them, even if
//!   some of them were dropped.
//! - **A listener that began before a hit was recorded receives the hit**, if recording began after `listen` or
//!   `subscribe` returned, in the same thread or in a thread that synchronised with the return.
//! - **Metrics are coalesced.** A record only marks the figures as changed; the listener fetches them when it reads the
//!   mark. Any number of records between two fetches make one mark. The fetch that follows a record includes it.
//! - **Forks.** A child has no listeners: its threads emit to no listener, the listeners and subscriptions that it
//!   inherited are closed, and dropping them touches nothing. It may listen anew. As long as it does not, a child of a
//!   process that had listeners pays one system call for each event of a kind that its parent listened to.
//!
//! Tests: `tests/events`.

mod event;
mod bus;
mod listener;
mod subscription;
pub mod threshold;
pub(crate) mod watch;

pub use bus::Bus;
pub use event::{Event, EventKind, EventSet, UnknownEvent};
pub use listener::{Listener, Received};
pub use subscription::Subscription;
