//! The server: starting, answering, draining.
//!
//! | step | if it fails |
//! |---|---|
//! | the address is bound, so that another server cannot bind it | no file was touched |
//! | the data directory is taken (`store/data.rs`) | another server has it, and is named |
//! | the database is made, or checked, opened and migrated (`store/sqlite`) | it is as it was |
//! | the ring file is made or opened; it is the one that the database knows | both are as they were |
//! | what a killed server left is done: removals end, resources get their endpoints (`store/sqlite/recover.rs`) | the next start does it |
//! | a ring that is full of removed names is made anew | the former one is there |
//! | connections are taken, and the address is printed | |
//! | every second the server checks that the ring file is still there | requests are refused until it is |
//! | SIGTERM or SIGINT: no connection is taken any more, those under way are answered, and the ring is flushed, for 10 seconds at most | a second signal ends at once |
//! | the number of hits that are not flushed to the database is logged | the next start flushes them |
//!
//! | file | what |
//! |---|---|
//! | `start` | the directory, opened in this order |
//! | `patient` | streams that do not wait for ever |
//! | `connection` | connections, and how they end |
//! | `http` | the routes |
//! | `aside` | answers that take long |
//! | `sending` | answers that are large |
//! | `durability` | what writes survive |
//! | `limits` | how many requests are answered |
//! | `journal` | the log |
//! | `tally` | what was done, for `GET /metrics` |
//! | `context` | all of that together, for the routes |
//!
//! Every answered hit is in the ring's pages, which belong to the kernel, so a killed server loses none. The flush serves machines that
//! fail, and `sqlite3`.
//!
//! Tests: `tests/python/integration/test_serve.py`.

pub mod aside;
pub mod sending;
pub mod durability;
pub mod limits;
pub mod journal;
pub mod tally;
pub mod context;
pub mod http;
mod start;
mod patient;
pub mod connection;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use self::context::Context;
pub use self::durability::Durability;
use self::journal::Journal;
use self::limits::Limits as Limiting;
pub use self::limits::Rates;
use crate::error::{LimitError, SharedError};
use crate::store::data::{DataDirectory, DataError};
pub use crate::store::sqlite::flushed::KEEP;
pub use crate::store::sqlite::keys::Limits;
use crate::store::sqlite::open::OpenError;

/// How long requests under way may take after the first signal.
const DRAIN: Duration = Duration::from_secs(10);

/// How long the orders that wait and the last flush may take after that.
const FLUSH: Duration = Duration::from_secs(4);

/// How often the ring file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A step that takes longer than this is logged.
const LONG: Duration = Duration::from_secs(1);

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its directory.
    pub data: PathBuf,
    /// How many threads answer.
    pub workers: usize,
    /// The window of the ring.
    pub window: Duration,
    /// How many places the ring has for names; `None` is 20,000, or as many as the file has that is there. A name takes one, and another
    /// one if it has hits on the disk or with a key.
    pub max_endpoints: Option<u32>,
    /// Whether the first hit of a resource makes it.
    pub auto_create: bool,
    /// What writes survive that do not ask for a durability themselves.
    pub durability: Durability,
    /// How long the answers to writes with a key are kept, and how many.
    pub keys: Limits,
    /// How often the ring is flushed to the database.
    pub flush_every: Duration,
    /// For how long the database keeps the hits of a tick, at least. As long as the window, if that is longer.
    pub keep: Duration,
    /// How many requests are answered.
    pub limit: Rates,
    /// Whether the log has the addresses of clients.
    pub log_addresses: bool,
    /// Whether the ring of the database may be missing, or be another one.
    pub new_ring: bool,
}

/// Why a server did not start, or did not end well.
#[derive(Debug)]
pub enum ServerError {
    /// The address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The data directory cannot be had.
    Data(DataError),
    /// The database cannot be used.
    Database(OpenError),
    /// The database belongs to a ring file, and that file is missing.
    RingMissing {
        /// Where it was.
        path: PathBuf,
    },
    /// The database belongs to another ring file.
    OtherRing {
        /// The one that is there.
        path: PathBuf,
    },
    /// The names whose hits the database has do not all fit the ring.
    TooSmall {
        /// The ring.
        path: PathBuf,
        /// How many.
        names: usize,
    },
    /// The ring was made without space for limits.
    NoLimits {
        /// The ring.
        path: PathBuf,
    },
    /// The ring file cannot be used.
    Ring(SharedError),
    /// What the system said to something that every process may do.
    System(io::Error),
}

/// Serves until a signal ends it; returns how many hits of the ring are not flushed to the database then. Calls `listens` with the
/// address when connections are taken. Everything else is logged.
///
/// # Errors
/// [`ServerError`].
pub fn run(settings: &Settings, listens: fn(SocketAddr)) -> Result<u64, ServerError> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(settings.workers.max(1)).enable_all().build().map_err(ServerError::System)?;
    let ended = runtime.block_on(serve(settings, listens));
    // Returns without waiting for a long answer that is still being made, because its client has stopped waiting for it.
    runtime.shutdown_background();
    ended
}

async fn serve(settings: &Settings, listens: fn(SocketAddr)) -> Result<u64, ServerError> {
    let address = settings.listen;
    let in_use = |error| ServerError::Listen { address, error };
    let socket = connection::bind(address).map_err(in_use)?;
    let bound = socket.local_addr().map_err(ServerError::System)?;
    let data = DataDirectory::take(&settings.data, &bound.to_string()).map_err(ServerError::Data)?;
    let service = start::open(settings, &data)?;
    let tally = http::tally().expect("no two routes are one, and names of metrics are as Prometheus wants them");
    let limits = Limiting::new(service.ring(), &settings.limit).map_err(|error| match error {
        SharedError::Limit(LimitError::NoKeys) => ServerError::NoLimits { path: data.ring() },
        error => ServerError::Ring(error),
    })?;
    let mut context = Context::new(service, tally, http::document(), settings.durability);
    context.limits = limits;
    context.journal = Journal::new(settings.log_addresses);
    let context = Arc::new(context);
    let listen_to = |kind| signal(kind).map_err(ServerError::System);
    let (mut terminate, mut interrupt) = (listen_to(SignalKind::terminate())?, listen_to(SignalKind::interrupt())?);
    let connections =
        connection::Connections::new(http::front::Front::new(Arc::clone(&context)), context.tally.connections.clone());
    connection::raise_limit();
    let listener = connection::listen(socket).map_err(in_use)?;
    tokio::spawn(looking(Arc::clone(&context)));
    let (version, data) = (env!("CARGO_PKG_VERSION"), settings.data.display().to_string());
    info!(version, address = %bound, data, workers = settings.workers, "listening");
    listens(bound);
    tokio::select! {
        () = connections.accept(listener) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    context.end();
    let last = Arc::clone(&context);
    let ended = async {
        connections.drain(DRAIN).await;
        // Orders that wait for the disk are done, and the ring is flushed, but not for longer.
        let closed = tokio::task::spawn_blocking(move || last.service.store().close());
        let _ = tokio::time::timeout(FLUSH, closed).await;
    };
    let told = async {
        tokio::time::sleep(LONG).await;
        info!("stopping takes longer than a second; requests under way are answered, and hits are flushed");
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = ended => {}
        () = told => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    journal::drain();
    context.journal.rest();
    Ok(context.service.store().unflushed())
}

/// Checks the files once a second, and tells when they begin or cease to serve, and of a flush that takes long.
async fn looking(context: Arc<Context>) {
    let mut interval = tokio::time::interval(LOOK);
    let mut before = Ok(());
    loop {
        interval.tick().await;
        context.journal.rest();
        let service = &context.service;
        service.look();
        let now = service.check().map_err(|refusal| refusal.to_string());
        let now = now.and_then(|()| service.store().check().map_err(|error| error.to_string()));
        if now != before {
            match &now {
                Err(why) => warn!("{why}"),
                Ok(()) => info!("the ring and the database serve again"),
            }
            before = now;
        }
        if let Some((time, endpoints)) = service.store().pass().filter(|&(time, _)| time >= LONG) {
            let seconds = time.as_secs();
            info!(seconds, endpoints, "a flush takes longer than a second");
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, error } if error.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "{address} is in use by another process; stop it, or give another address (--listen)")
            }
            Self::Listen { address, error } => {
                write!(f, "{address} cannot be listened on: {error}; give another address (--listen)")
            }
            Self::Data(DataError::Taken { path, by }) => {
                let by = if by.is_empty() { "it is just starting" } else { by };
                write!(f, "{}: another server has this directory ({by}); give another one (--data)", path.display())
            }
            Self::Data(DataError::Io { path, doing, error }) => {
                write!(f, "{}: {doing}: {error}; give another directory (--data)", path.display())
            }
            Self::Database(error) => error.fmt(f),
            Self::RingMissing { path } => write!(
                f,
                "{} is missing, and the database beside it belongs to it; put it back, or begin with an empty one (--new-ring)",
                path.display()
            ),
            Self::OtherRing { path } => write!(
                f,
                "{} is not the ring that the database beside it belongs to; put that back, or keep this one (--new-ring)",
                path.display()
            ),
            Self::TooSmall { path, names } => write!(
                f,
                "{} has no room for {names} names whose hits the database has; make a larger file with `hitring compact {0} NEW \
                 --max-endpoints N`, and put it in its place",
                path.display()
            ),
            Self::NoLimits { path } => write!(
                f,
                "{} has no room for limits; make another file with `hitring compact {0} NEW --max-limits N`, and put it in its place",
                path.display()
            ),
            Self::Ring(error) => error.fmt(f),
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ServerError {}
