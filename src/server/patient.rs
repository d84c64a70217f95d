//! [`Patient`]: a connection's stream that does not wait for ever, and what it waits for, [`Waits`].
//!
//! | the connection | waits for a head | a read that finds nothing |
//! |---|---|---|
//! | is new, or its last answer is made | since then, or since the last of it was written | fails once that is too long ago |
//! | has a request under way | no | waits |
//! | writes, and the client reads nothing | if its last answer is made | fails once that has taken too long |
//!
//! A byte of a head does not begin the time anew: the whole head must be there in time.
//!
//! Timers of the runtime cost as much as a counted hit when each request begins one and ends it. Here a connection has one alarm, which
//! goes off at most once in its patience: a request notes a coarse time, and the alarm looks at that.
//!
//! Tests: below, `tests/python/integration/test_serve_slow.py`.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::unconstrained;
use tokio::time::{Sleep, sleep};

use crate::sync::{AtomicU64, Ordering};
use crate::time::clock::SteadyClock;

/// Since when a connection waits for a head: nanoseconds of the coarse clock, 0 if it does not. Only its own task uses it.
#[derive(Clone, Debug)]
pub struct Waits(Arc<AtomicU64>);

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub struct UnderWay(Waits);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.begin();
    }
}

impl Waits {
    /// A head is there, and no other is waited for while its request is under way.
    pub fn request(&self) -> UnderWay {
        self.0.store(0, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    fn begin(&self) {
        self.0.store(now(), Ordering::Relaxed);
    }

    fn since(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream whose reads and writes fail when the other side takes too long.
#[derive(Debug)]
pub struct Patient<S> {
    stream: S,
    patience: Duration,
    head: Waits,
    /// Since when nothing can be written; 0 if something can.
    write: u64,
    alarm: Pin<Box<Sleep>>,
    /// Whether the alarm wakes the task.
    is_armed: bool,
}

/// The time, which is never 0.
fn now() -> u64 {
    SteadyClock.nanos(true).max(1)
}

impl<S> Patient<S> {
    /// `stream`, of which the first head is waited for from now on.
    pub fn new(stream: S, patience: Duration) -> Self {
        let head = Waits(Arc::new(AtomicU64::new(now())));
        let alarm = Box::pin(sleep(patience));
        Self { stream, patience, head, write: 0, alarm, is_armed: false }
    }

    /// What it waits for.
    pub fn waits(&self) -> Waits {
        self.head.clone()
    }

    /// Whether the other side has taken too long. If not, the task is woken when it may have.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_armed && !self.alarm.is_elapsed() {
            return false;
        }
        // The coarse clock is some milliseconds behind, so the alarm may go off that much too early.
        let time = now();
        let patience = u64::try_from(self.patience.as_nanos()).unwrap_or(u64::MAX);
        let waiting = [self.head.since(), self.write].into_iter().filter(|&since| since > 0).min();
        let due = waiting.unwrap_or(time).saturating_add(patience);
        if waiting.is_some() && due <= time {
            return true;
        }
        self.alarm.as_mut().set(sleep(Duration::from_nanos(due - time)));
        // The alarm wakes the task, which is the same as long as the connection lives. `unconstrained`, because `poll` would return
        // pending without registering a task that has used up its budget, and the alarm would never wake that task.
        self.is_armed = pin!(unconstrained(self.alarm.as_mut())).poll(cx).is_pending();
        if !self.is_armed {
            cx.waker().wake_by_ref();
        }
        false
    }

    fn written(&mut self, wrote: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match wrote {
            Poll::Ready(wrote) => {
                self.write = 0;
                // While the last answer is still written, the next head is not waited for.
                if self.head.since() > 0 {
                    self.head.begin();
                }
                Poll::Ready(wrote)
            }
            Poll::Pending => {
                if self.write == 0 {
                    self.write = now();
                }
                if self.is_late(cx) { Poll::Ready(Err(ErrorKind::TimedOut.into())) } else { Poll::Pending }
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, into) {
            Poll::Pending if self.is_late(cx) => Poll::Ready(Err(ErrorKind::TimedOut.into())),
            read => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(wrote, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.written(wrote, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::coop::{consume_budget, has_budget_remaining};
    use tokio::time::{Instant, timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(300);
    const MOST: Duration = Duration::from_secs(20);

    fn pair(room: usize) -> (Patient<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(room);
        (Patient::new(ours, PATIENCE), theirs)
    }

    async fn read(stream: &mut Patient<DuplexStream>) -> io::Result<u8> {
        timeout(MOST, stream.read_u8()).await.expect("it ends")
    }

    fn seconds(since: Instant) -> f64 {
        since.elapsed().as_secs_f64()
    }

    #[tokio::test]
    async fn a_head_must_be_there_in_time_as_a_whole() {
        let (mut stream, mut theirs) = pair(64);
        let begun = Instant::now();
        let dripping = tokio::spawn(async move {
            while theirs.write_u8(b'x').await.is_ok() {
                tokio::time::sleep(PATIENCE / 10).await;
            }
        });
        let mut bytes = 0;
        let failed = loop {
            match read(&mut stream).await {
                Ok(_) => bytes += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(failed.kind(), ErrorKind::TimedOut);
        let took = seconds(begun);
        assert!(bytes > 3 && (0.28..5.0).contains(&took), "{bytes} bytes, {took} s");
        drop(stream);
        dripping.await.expect("it ends");
    }

    #[tokio::test]
    async fn a_request_under_way_may_take_long() {
        let (mut stream, mut theirs) = pair(64);
        let under_way = stream.waits().request();
        tokio::spawn(async move {
            tokio::time::sleep(PATIENCE * 3).await;
            theirs.write_u8(b'x').await.expect("it is read");
            std::future::pending::<()>().await;
        });
        assert_eq!(read(&mut stream).await.expect("it waits"), b'x');
        // From the answer on it is waited for another.
        let begun = Instant::now();
        drop(under_way);
        assert_eq!(read(&mut stream).await.map_err(|error| error.kind()), Err(ErrorKind::TimedOut));
        assert!((0.28..5.0).contains(&seconds(begun)));
    }

    /// A task that answers many requests without a pause has used up its budget.
    #[tokio::test]
    async fn a_task_without_a_budget_is_woken_as_well() {
        let (mut stream, theirs) = pair(64);
        let reading = tokio::spawn(async move {
            while has_budget_remaining() {
                consume_budget().await;
            }
            stream.read_u8().await
        });
        let read = timeout(MOST, reading).await.expect("it is woken").expect("it does not panic");
        assert_eq!(read.map_err(|error| error.kind()), Err(ErrorKind::TimedOut));
        drop(theirs);
    }

    #[tokio::test]
    async fn an_answer_must_be_read() {
        let (mut stream, mut theirs) = pair(4);
        let _under_way = stream.waits().request();
        let begun = Instant::now();
        // Some of it is read now and then: that is in time, however long all of it takes.
        let reader = tokio::spawn(async move {
            for _ in 0..6 {
                tokio::time::sleep(PATIENCE / 2).await;
                theirs.read_u8().await.expect("there is some");
            }
            theirs
        });
        let wrote = timeout(MOST, stream.write_all(&[0; 64])).await.expect("it ends");
        assert_eq!(wrote.map_err(|error| error.kind()), Err(ErrorKind::TimedOut));
        assert!((1.1..6.0).contains(&seconds(begun)), "{}", seconds(begun));
        drop(reader.await.expect("it ends"));
    }

    #[tokio::test]
    async fn the_next_head_is_waited_for_once_an_answer_is_written() {
        let (mut stream, mut theirs) = pair(1);
        stream.waits().begin();
        let reader = tokio::spawn(async move {
            for _ in 0..6 {
                tokio::time::sleep(PATIENCE / 2).await;
                theirs.read_u8().await.expect("there is some");
            }
            theirs.write_u8(b'x').await.expect("it is read");
            theirs
        });
        // Longer than the patience, and then the head comes.
        timeout(MOST, stream.write_all(&[0; 6])).await.expect("it ends").expect("it is read in time");
        assert_eq!(read(&mut stream).await.expect("it waits"), b'x');
        drop(reader.await.expect("it ends"));
    }
}
