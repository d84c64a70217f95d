//! Opening a data directory: the database, the ring, and what a killed server left to do.
//!
//! The database comes first, because it tells whether there ought to be a ring. A ring that is missing is not made silently, as
//! all counts would begin at 0.
//!
//! Tests: `tests/python/integration/test_serve_database.py`.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};

use super::{Says, ServerError, Settings};
use crate::service::Service;
use crate::service::resources::endpoint_of;
use crate::shared::SharedRegistry;
use crate::store::data::DataDirectory;
use crate::store::sqlite::commit::recover;
use crate::store::sqlite::open::Database;
use crate::store::sqlite::thread::{QUEUE, SqliteStore};

/// After which time a step is told.
const LONG: Duration = Duration::from_secs(1);

/// The use cases over what is in `data`.
///
/// # Errors
/// [`ServerError`].
pub fn open(settings: &Settings, data: &DataDirectory, says: &(impl Fn(Says) + Sync)) -> Result<Service, ServerError> {
    let path = data.database();
    let mut database = step("opening hitring.db", says, || Database::open(&path)).map_err(ServerError::Database)?;
    let known = database.ring().map_err(ServerError::Database)?;
    let ring = step("opening hits.ring", says, || ring(settings, data, known))?;
    let recovered = step("completing hitring.db", says, || {
        if known != Some(ring.lineage()) {
            database.set_ring(ring.lineage())?;
        }
        recover(&mut database, &ring, |id| endpoint_of(id).ok())
    });
    let recovered = recovered.map_err(ServerError::Database)?;
    if recovered.without_room > 0 {
        says(Says::WithoutRoom(recovered.without_room));
    }
    let ring = Arc::new(ring);
    let store = SqliteStore::start(database, Arc::clone(&ring), QUEUE).map_err(ServerError::Database)?;
    Ok(Service::new(ring, Box::new(store), settings.auto_create))
}

/// The ring, which is made if there is none. `known` is the one that the database belongs to.
fn ring(settings: &Settings, data: &DataDirectory, known: Option<[u8; 16]>) -> Result<SharedRegistry, ServerError> {
    let path = data.ring();
    if known.is_some() && !settings.new_ring && !path.exists() {
        return Err(ServerError::RingMissing { path });
    }
    let mut ring = SharedRegistry::builder().window(settings.window);
    if let Some(max_endpoints) = settings.max_endpoints {
        ring = ring.max_endpoints(max_endpoints);
    }
    let ring = ring.create(&path).map_err(ServerError::Ring)?;
    if known.is_some_and(|known| known != ring.lineage()) && !settings.new_ring {
        return Err(ServerError::OtherRing { path });
    }
    Ok(ring)
}

/// Does `work`, and says what it is if it takes long.
fn step<T>(what: &'static str, says: &(impl Fn(Says) + Sync), work: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let (done, is_done) = bounded::<()>(0);
        scope.spawn(move || {
            if is_done.recv_timeout(LONG) == Err(RecvTimeoutError::Timeout) {
                says(Says::Takes(what));
            }
        });
        // Dropped at the end, also by a panic.
        let _done = done;
        work()
    })
}
