//! [`Connections`]: taking connections, and letting them end.
//!
//! | a connection | |
//! |---|---|
//! | sends no whole head for 30 seconds, or is idle for as long | is closed |
//! | reads nothing for 30 seconds while an answer waits for it | is closed |
//! | sends a head of more than 16 KiB | is answered 431, and closed |
//! | comes when 10,000 are open, or as many as the system allows | waits in the listener's queue |
//! | is open when the server drains | ends after the request under way, even if only a part of that has come; without a request it ends at once |
//!
//! So a connection takes at most 16 KiB for requests that were not looked at, 16 KiB for answers that were not read and 64 KiB
//! for a body. Larger answers share a separate limit (`sending`).
//!
//! Tests: `tests/python/integration/test_serve_slow.py`, `tests/python/integration/test_serve_hostile.py`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use prometheus::IntGauge;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::http::front::Front;
use super::patient::Patient;

/// The most connections at a time.
const MOST: usize = 10_000;
/// The most bytes of a head, and of answers that wait to be sent.
const MOST_OF_HEAD: usize = 16 * 1_024;
/// How long the head of a request may take, how long a connection may be idle, and how long an answer may wait to be read.
const PATIENCE: Duration = Duration::from_secs(30);
/// The bytes of answers, and those of requests, that the kernel keeps for a connection; it may double them.
const KERNEL: u32 = 64 * 1_024;
/// How many connections the system may make that are not taken yet.
const QUEUE: u32 = 4_096;
/// How long the server waits after it could not accept a connection, for want of descriptors say.
const PAUSE: Duration = Duration::from_millis(20);

/// A socket that has `address`, and does not listen yet.
///
/// # Errors
/// What the system says.
pub fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As a server that is started again soon needs it: connections of the former one may not be forgotten yet.
    socket.set_reuseaddr(true)?;
    // Connections inherit them. Otherwise the kernel takes megabytes for one that does not read.
    socket.set_send_buffer_size(KERNEL)?;
    socket.set_recv_buffer_size(KERNEL)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Lets it listen.
///
/// # Errors
/// What the system says.
pub fn listen(socket: TcpSocket) -> io::Result<TcpListener> {
    socket.listen(QUEUE)
}

/// Lets this process have as many connections as the system allows it to.
pub fn raise_limit() {
    // If it may not, connections wait earlier.
    let _ = rlimit::increase_nofile_limit(rlimit::INFINITY);
}

/// How requests are read and answers are written.
pub fn http() -> http1::Builder {
    // Not `pipeline_flush`: it sends nothing while requests wait to be parsed, and keeps answers without a bound.
    let mut http = http1::Builder::new();
    // `Patient` closes a connection whose head does not come.
    http.header_read_timeout(None).max_buf_size(MOST_OF_HEAD);
    // An answer of some bytes is copied behind its head sooner than it is sent beside it.
    http.writev(false);
    http
}

/// The connections of a server.
pub struct Connections {
    front: Arc<Front>,
    room: Arc<Semaphore>,
    ending: GracefulShutdown,
    open: IntGauge,
}

/// Counts an open connection until it is dropped, also by a panic.
struct Open(IntGauge);

impl Open {
    fn new(open: &IntGauge) -> Self {
        open.inc();
        Self(open.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Connections {
    /// Connections that `front` answers, and `open` counts.
    pub fn new(front: Front, open: IntGauge) -> Self {
        Self { front: Arc::new(front), room: Arc::new(Semaphore::new(MOST)), ending: GracefulShutdown::new(), open }
    }

    /// Takes connections, for ever.
    pub async fn accept(&self, listener: TcpListener) {
        loop {
            let Ok(permit) = Arc::clone(&self.room).acquire_owned().await else { return };
            let Ok((stream, address)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            // Without it answers may leave late; they leave all the same.
            let _ = stream.set_nodelay(true);
            let stream = Patient::new(stream, PATIENCE);
            let waits = stream.waits();
            let http = http();
            let front = Arc::clone(&self.front);
            let service = service_fn(move |request| front.call(request, address.ip(), waits.request()));
            let connection = self.ending.watch(http.serve_connection(TokioIo::new(stream), service));
            let open = Open::new(&self.open);
            tokio::spawn(async move {
                // An error is the client's: it went away, or did not speak HTTP, which hyper has answered.
                let _ = connection.await;
                drop((open, permit));
            });
        }
    }

    /// Lets all connections end, for `patience` at most.
    pub async fn drain(self, patience: Duration) {
        let _ = timeout(patience, self.ending.shutdown()).await;
    }
}
