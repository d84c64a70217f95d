//! [`Later`]: an answer that another thread gives, when a write is on the disk.
//!
//! Tests: `tests/python/integration/test_serve_resources.py`.

use tokio::sync::oneshot;

use super::problem::Problem;
use super::reply::Reply;
use crate::server::durability::Durability;
use crate::service::Refusal;
use crate::store;

/// Gives an answer.
pub struct Answer {
    sender: oneshot::Sender<Result<Reply, Problem>>,
    asked: Option<Durability>,
}

/// The answer that is waited for.
pub struct Later(oneshot::Receiver<Result<Reply, Problem>>);

/// What a handler has to say.
pub enum Answered {
    /// The answer.
    Now(Reply),
    /// One that comes.
    Later(Later),
}

/// An answer that is not given yet, from both sides, to a write that asked for a durability.
pub fn later(asked: Option<Durability>) -> (Answer, Later) {
    let (sender, receiver) = oneshot::channel();
    (Answer { sender, asked }, Later(receiver))
}

impl Answer {
    /// Gives it.
    pub fn give(self, done: Result<store::Answered, Refusal>) {
        // A client that has gone is not waiting any more.
        let Self { sender, asked } = self;
        let reply =
            |store::Answered { answer, is_replay }| Reply { applied: asked, is_replay, ..Reply::of_kept(answer) };
        let _ = sender.send(done.map(reply).map_err(Problem::from));
    }
}

impl Later {
    /// Waits for the answer. If its sender was dropped, the write may or may not have been done. So the client does not get an
    /// answer, and its connection ends with the server.
    pub async fn given(self) -> Result<Reply, Problem> {
        match self.0.await {
            Ok(answer) => answer,
            Err(_) => std::future::pending().await,
        }
    }
}

impl From<Reply> for Answered {
    fn from(reply: Reply) -> Self {
        Self::Now(reply)
    }
}

impl From<Later> for Answered {
    fn from(later: Later) -> Self {
        Self::Later(later)
    }
}

impl Answered {
    /// Waits for the answer.
    pub async fn given(self) -> Result<Reply, Problem> {
        match self {
            Self::Now(reply) => Ok(reply),
            Self::Later(later) => later.given().await,
        }
    }
}
