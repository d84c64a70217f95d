//! `hitring serve`: the server on one node.
//!
//! Tests: `tests/python/integration/test_serve.py`.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tracing::{error, info};

use super::escape::shown;
use super::failure::{Failure, told};
use crate::error::LimitError;
use crate::limit::rate::Rate;
use crate::server::journal::{self, Format};
use crate::server::{self, Durability, KEEP, Limits, Rates, ServerError, Settings};

/// Count hits over HTTP. Counts survive kill -9 and restarts.
///
/// Hits are in the file hits.ring in the data directory before they are answered. Other processes may have it open meanwhile:
/// `hitring inspect --watch`, and Python or Rust workers that count in it. Resources are in hitring.db beside it, which `sqlite3`
/// reads.
#[derive(clap::Args)]
pub(super) struct Args {
    /// A file of settings. The environment wins over it, and options win over both; `hitring config --example` prints one
    #[arg(long, value_name = "FILE", env = "HITRING_CONFIG")]
    config: Option<PathBuf>,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000", env = "HITRING_LISTEN")]
    listen: SocketAddr,
    /// The directory of the counts; made if it does not exist
    #[arg(long, value_name = "DIR", default_value = "./hitring-data", env = "HITRING_DATA")]
    data: PathBuf,
    /// How many threads answer [default: one less than there are cores]
    #[arg(long, value_name = "N", env = "HITRING_WORKERS", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    workers: Option<u16>,
    /// The seconds of which hits can be asked for by time
    #[arg(long, value_name = "SECONDS", default_value = "300", env = "HITRING_WINDOW",
          value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    window: u32,
    /// How many places for names the file is made with [default: 20000]. A name takes one, and another one if it has hits on the
    /// disk or with a key
    #[arg(long, value_name = "N", env = "HITRING_MAX_ENDPOINTS", value_parser = clap::value_parser!(u32).range(1..))]
    max_endpoints: Option<u32>,
    /// Whether the first hit of a resource makes it. If not, POST /resources does, and hits of others are refused
    #[arg(long, value_name = "BOOL", default_value = "true", action = clap::ArgAction::Set, env = "HITRING_AUTO_CREATE",
          value_parser = clap::builder::BoolishValueParser::new())]
    auto_create: bool,
    /// What a write survives before it is answered, unless it says so itself (Prefer: durability=...)
    #[arg(long, value_name = "LEVEL", default_value = "process", env = "HITRING_DURABILITY",
          value_parser = ["process", "disk"])]
    durability: String,
    /// For how many seconds of a running server a write with a key is answered as the first time
    #[arg(long, value_name = "SECONDS", default_value = "86400", env = "HITRING_KEY_AGE")]
    key_age: u32,
    /// Of how many writes with a key the answers are kept
    #[arg(long, value_name = "N", default_value = "1000000", env = "HITRING_MAX_KEYS",
          value_parser = clap::value_parser!(u32).range(1..))]
    max_keys: u32,
    /// How often hits.ring is flushed to hitring.db
    #[arg(long, value_name = "SECONDS", default_value = "1", env = "HITRING_FLUSH_EVERY",
          value_parser = clap::value_parser!(u32).range(1..))]
    flush_every: u32,
    /// For how many seconds hitring.db keeps the hits of a second; as long as the window, if that is longer
    #[arg(long, value_name = "SECONDS", default_value_t = KEEP.as_secs() as u32, env = "HITRING_KEEP")]
    keep: u32,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    log: Log,
    /// Start although hits.ring is missing, or is not the one that belongs to hitring.db. Its counts are those that hitring.db
    /// has: all but the last second
    #[arg(long)]
    new_ring: bool,
}

/// The most requests.
#[derive(clap::Args)]
#[command(next_help_heading = "Limits of requests")]
struct Limit {
    /// The most requests of a client, for example 100/second. A client is an address, or the /64 network of an IPv6 address
    #[arg(id = "limit_client", long = "limit-client", value_name = "RATE", env = "HITRING_LIMIT_CLIENT")]
    client: Option<Rate>,
    /// The most requests that a client may send at once. After that it gets what --limit-client allows
    #[arg(id = "limit_burst", long = "limit-burst", value_name = "N", env = "HITRING_LIMIT_BURST",
          value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    burst: Option<u64>,
    /// The most requests of all clients together, for example 10000/second
    #[arg(id = "limit_global", long = "limit-global", value_name = "RATE", env = "HITRING_LIMIT_GLOBAL")]
    global: Option<Rate>,
    /// The clients that a new file has room for [default: 10000]. When it is full, a new client is refused until the time of an
    /// old one's limit has passed
    #[arg(id = "limit_max_clients", long = "limit-max-clients", value_name = "N", env = "HITRING_LIMIT_MAX_CLIENTS",
          value_parser = clap::value_parser!(u32).range(1..))]
    max_clients: Option<u32>,
}

/// What is told on stderr.
#[derive(clap::Args)]
#[command(next_help_heading = "Log")]
struct Log {
    /// How much is told: `debug` tells of each request
    #[arg(id = "log_level", long = "log-level", value_name = "LEVEL", default_value = "info", env = "HITRING_LOG_LEVEL",
          value_parser = ["error", "warn", "info", "debug"])]
    level: String,
    /// How a line is written: `auto` is text on a terminal, and JSON elsewhere
    #[arg(id = "log_format", long = "log-format", value_name = "FORMAT", default_value = "auto", env = "HITRING_LOG_FORMAT",
          value_parser = ["auto", "text", "json"])]
    format: String,
    /// Whether a line of a request has the address of the client
    #[arg(id = "log_addresses", long = "log-addresses", value_name = "BOOL", default_value = "false", action = clap::ArgAction::Set,
          env = "HITRING_LOG_ADDRESSES", value_parser = clap::builder::BoolishValueParser::new())]
    addresses: bool,
}

/// The command, with its options.
pub(super) fn command() -> clap::Command {
    <Args as clap::Args>::augment_args(clap::Command::new("serve"))
}

/// What `args` ask for.
///
/// # Errors
/// Settings that do not fit together.
pub(super) fn settings(args: Args) -> Result<Settings, Failure> {
    let Limit { client, burst, global, max_clients } = args.limit;
    if burst.is_some() && client.is_none() {
        let text = "--limit-burst needs --limit-client; in a file, limit.burst needs limit.client";
        return Err(Failure::Message(text.to_owned()));
    }
    let limit = Rates { client, global, burst, max_clients };
    limit.check().map_err(|(name, error)| {
        let why = match error {
            LimitError::TooFine { .. } if name == "client" => {
                "too many in too short a time; give a longer time, or --limit-burst".to_owned()
            }
            LimitError::TooFine { .. } => "too many in too short a time; give a longer time".to_owned(),
            LimitError::Burst { .. } => {
                "a burst of so many takes too long to come again; give a smaller --limit-burst".to_owned()
            }
            error => error.to_string(),
        };
        Failure::Message(format!("--limit-{name} (in a file, limit.{name}) cannot be kept: {why}"))
    })?;
    if args.flush_every > 1 && args.flush_every > args.window / 2 {
        return Err(Failure::Message(format!(
            "--flush-every (in a file, flush_every) is {}, which is too rare for a window of {} s; flush at least twice a window, every {} s",
            args.flush_every,
            args.window,
            (args.window / 2).max(1)
        )));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Settings {
        listen: args.listen,
        data: args.data,
        workers: args.workers.map_or_else(|| cores.saturating_sub(1).max(1), usize::from),
        window: Duration::from_secs(args.window.into()),
        max_endpoints: args.max_endpoints,
        auto_create: args.auto_create,
        durability: if args.durability == "disk" { Durability::Disk } else { Durability::Process },
        keys: Limits { age: Duration::from_secs(args.key_age.into()), most: args.max_keys.into() },
        flush_every: Duration::from_secs(args.flush_every.into()),
        keep: Duration::from_secs(args.keep.into()),
        limit,
        log_addresses: args.log.addresses,
        new_ring: args.new_ring,
    })
}

/// Runs the command.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let level = args.log.level.parse().expect("one of the levels");
    let format = match &*args.log.format {
        "text" => Format::Text,
        "json" => Format::Json,
        _ => Format::Auto,
    };
    let _log = journal::begin(level, format);
    let settings = settings(args).inspect_err(|failure| {
        if let Failure::Message(text) = failure {
            error!("{text}");
        }
    });
    let Ok(settings) = settings else { return Err(Failure::Logged) };
    match server::run(&settings, started) {
        Ok(0) => {
            info!("stopped: 0 hits not flushed");
            Ok(())
        }
        Ok(unflushed) => {
            error!(
                "stopped: {unflushed} hits not flushed to hitring.db; they are in hits.ring, and the next start writes them down"
            );
            Err(Failure::Logged)
        }
        Err(failed) => {
            let text = match failed {
                ServerError::Ring(error) => told(&error),
                error => shown(error.to_string().as_bytes()),
            };
            error!("{text}");
            Err(Failure::Logged)
        }
    }
}

/// Says where the server listens, and what to try.
fn started(address: SocketAddr) {
    let text = format!("hitring: listening on http://{address}\ntry: curl -X POST http://{address}/visits/home\n");
    // A program that reads that the server listens finds in the log what happened before.
    journal::drain();
    let mut out = std::io::stdout().lock();
    // stdout may be closed. The server serves all the same, so a failed write is ignored.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
