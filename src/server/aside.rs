//! [`Aside`]: a place for answers that take long, away from the threads that answer hits.
//!
//! | asked for | happens |
//! |---|---|
//! | while no other is answered | it is answered on a thread of its own |
//! | while another is answered | it waits |
//! | while [`WAITING`] wait | it is refused at once |
//!
//! A client that disconnects frees its place in the queue. An answer under way is finished all the same.
//!
//! Tests: below, `tests/python/integration/test_serve_queries.py`.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// How many wait at most.
pub const WAITING: usize = 8;

/// The place.
#[derive(Debug)]
pub struct Aside {
    /// Places for the one under way and those that wait.
    room: Arc<Semaphore>,
    /// The one under way.
    turn: Arc<Semaphore>,
}

/// No more may wait.
#[derive(Debug, PartialEq, Eq)]
pub struct Busy;

impl Aside {
    /// With nothing under way.
    pub fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(1 + WAITING)), turn: Arc::new(Semaphore::new(1)) }
    }

    /// The answer of `work`; `None` if it panicked.
    ///
    /// # Errors
    /// [`Busy`], and then `work` was not begun.
    pub async fn answer<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Option<T>, Busy> {
        let place = Arc::clone(&self.room).try_acquire_owned().map_err(|_| Busy)?;
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(|_| Busy)?;
        let work = spawn_blocking(move || {
            let answer = work();
            drop((turn, place));
            answer
        });
        Ok(work.await.ok())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn one_is_under_way_eight_wait_and_the_rest_is_refused() {
        let aside = Arc::new(Aside::new());
        let (tell, told) = channel();
        let (end, ended) = channel::<()>();
        let spawn = |work: Box<dyn FnOnce() + Send>| {
            let aside = Arc::clone(&aside);
            tokio::spawn(async move { aside.answer(work).await })
        };
        let first = spawn(Box::new(move || {
            let _ = ended.recv();
        }));
        while aside.turn.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let waiting: Vec<_> = (0..WAITING)
            .map(|number| {
                let tell = tell.clone();
                spawn(Box::new(move || tell.send(number).expect("it is waited for")))
            })
            .collect();
        while aside.room.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(aside.answer(|| ()).await, Err(Busy));
        assert!(told.try_recv().is_err(), "none of them has begun");
        // A client that disconnects frees its place.
        waiting[3].abort();
        while aside.room.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        drop(end);
        assert_eq!(first.await.expect("it ends"), Ok(Some(())));
        for (number, waiting) in waiting.into_iter().enumerate() {
            assert_eq!(waiting.await.is_ok(), number != 3);
        }
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [0, 1, 2, 4, 5, 6, 7]);
        assert_eq!((aside.room.available_permits(), aside.turn.available_permits()), (1 + WAITING, 1));
        // A panic frees its place.
        assert_eq!(aside.answer(|| panic!("on purpose")).await, Ok(None::<()>));
        assert_eq!(aside.room.available_permits(), 1 + WAITING);
    }
}
