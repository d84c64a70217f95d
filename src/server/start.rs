//! Opening a data directory: the database, the ring, and what a killed server left to do.
//!
//! The database comes first, because it tells whether there ought to be a ring. A ring that is missing is not made silently, as
//! all counts would begin at 0.
//!
//! Tests: `tests/python/integration/test_serve_database.py`.

use std::sync::Arc;

use crossbeam_channel::{RecvTimeoutError, bounded};
use tracing::{info, warn};

use super::{LONG, ServerError, Settings};
use crate::service::resources::{endpoint_of, is_made};
use crate::service::{LARGER, Service};
use crate::shared::{Inspection, SharedRegistry, tidy};
use crate::store::data::DataDirectory;
use crate::store::sqlite::commit::Committer;
use crate::store::sqlite::open::Database;
use crate::store::sqlite::thread::{QUEUE, SqliteStore};

/// The places of a new ring, for 10,000 names that also have hits of the ledger.
const PLACES: u32 = 20_000;

/// The use cases over what is in `data`.
///
/// # Errors
/// [`ServerError`].
pub fn open(settings: &Settings, data: &DataDirectory) -> Result<Service, ServerError> {
    let path = data.database();
    let is_new = !path.exists() && data.ring().exists();
    let database = step("opening hitring.db", || Database::open(&path)).map_err(ServerError::Database)?;
    let known = database.ring().map_err(ServerError::Database)?;
    let ring = step("opening hits.ring", || ring(settings, data, known))?;
    if is_new {
        warn!(
            "there is a ring and no hitring.db, so a new one is made; resources that were in a former one have no names"
        );
    }
    let complete = |database, ring: SharedRegistry| {
        let completed = step("completing hitring.db", || {
            let mut committer = Committer::new(database, Arc::new(ring), settings.keys, settings.keep)?;
            let recovered = committer.recover(|id| endpoint_of(id).ok(), is_made)?;
            Ok((committer, recovered))
        });
        completed.map_err(ServerError::Database)
    };
    let (mut committer, mut recovered) = complete(database, ring)?;
    // Now that no row is of a name that was removed: a ring that is made anew need not remember these.
    if committer.ring().is_wasteful() {
        let before = committer.ring().room();
        let database = committer.into_database();
        let known = database.ring().map_err(ServerError::Database)?;
        let tidied = step("compacting hits.ring", || tidy(&data.ring(), true));
        // It is as it was then, and serves.
        let is_done = tidied.unwrap_or_else(|error| {
            warn!("hits.ring is full of removed names, and could not be compacted: {error}");
            false
        });
        let lost = recovered.lost;
        (committer, recovered) = complete(database, self::ring(settings, data, known)?)?;
        recovered.lost += lost;
        if is_done {
            let (before, after) = (before.lives, committer.ring().room().lives);
            info!("hits.ring was full of removed names; {after} of its places are taken now, {before} were");
        }
    }
    if recovered.unshown > 0 {
        return Err(ServerError::TooSmall { path: data.ring(), names: recovered.unshown });
    }
    let ring = Arc::clone(committer.ring());
    if recovered.without_room > 0 {
        let resources = recovered.without_room;
        warn!("the ring has no room for {resources} resources; {LARGER}");
    }
    if recovered.lost > 0 {
        let hits = recovered.lost;
        warn!("hits.ring had lost {hits} hits, which were restored from hitring.db");
    }
    let store = SqliteStore::start(committer, QUEUE, settings.flush_every).map_err(ServerError::Database)?;
    Ok(Service::new(ring, Box::new(store), settings.auto_create))
}

/// Opens the ring, or makes it if it does not exist. `known` is the id of the ring that the database belongs to.
fn ring(settings: &Settings, data: &DataDirectory, known: Option<[u8; 16]>) -> Result<SharedRegistry, ServerError> {
    let path = data.ring();
    if known.is_some() && !settings.new_ring {
        if !path.exists() {
            return Err(ServerError::RingMissing { path });
        }
        // Before it is opened for writing, which may begin a new writer in it.
        let found = Inspection::open(&path).map_err(ServerError::Ring)?;
        if known != Some(found.lineage()) {
            return Err(ServerError::OtherRing { path });
        }
    }
    let mut ring = SharedRegistry::builder().window(settings.window);
    if let Some(max_endpoints) = settings.max_endpoints.or_else(|| (!path.exists()).then_some(PLACES)) {
        ring = ring.max_endpoints(max_endpoints);
    }
    if let Some(max_clients) = settings.limit.max_clients {
        ring = ring.limits(max_clients.into());
    }
    ring.create(&path).map_err(ServerError::Ring)
}

/// Does `work`, and says what it is if it takes long.
fn step<T>(what: &'static str, work: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let (done, is_done) = bounded::<()>(0);
        scope.spawn(move || {
            if is_done.recv_timeout(LONG) == Err(RecvTimeoutError::Timeout) {
                info!("{what} takes longer than a second; the server listens afterwards");
            }
        });
        // Dropped at the end, also by a panic.
        let _done = done;
        work()
    })
}
