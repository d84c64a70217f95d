//! [`Sending`]: large answers on their way, which together take a bounded amount of memory.
//!
//! An answer of up to [`SMALL`] bytes goes into the buffer of its connection. A larger one is handed over piece by piece, as the
//! client reads, and until its last piece is gone it counts against [`MOST`]. An answer that does not fit beside the others is
//! not sent; the client is asked to try again later.
//!
//! Tests: below, `tests/python/integration/test_serve_slow.py`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::{Either, Full};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes of an answer that needs no room, and of a piece.
pub const SMALL: usize = 16 * 1_024;
/// The bytes of all larger answers that are not sent yet.
pub const MOST: usize = 64 * 1_024 * 1_024;

/// An answer that is sent: a small one, or any other body.
pub type Sent = Either<Full<Bytes>, Body>;

/// `answer`, which is small, to be sent.
pub fn small(answer: Vec<u8>) -> Sent {
    Either::Left(Full::from(answer))
}

/// The room for large answers.
#[derive(Debug)]
pub struct Sending(Arc<Semaphore>);

/// Another large answer does not fit beside those that are being sent.
#[derive(Debug, PartialEq, Eq)]
pub struct NoRoom;

impl Sending {
    /// Without an answer on its way.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(MOST / SMALL)))
    }

    /// `answer`, to be sent.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn body(&self, answer: Vec<u8>) -> Result<Sent, NoRoom> {
        if answer.len() <= SMALL {
            return Ok(small(answer));
        }
        // One that is larger than all the room takes all of it.
        let pieces = answer.len().div_ceil(SMALL).min(MOST / SMALL) as u32;
        let room = Arc::clone(&self.0).try_acquire_many_owned(pieces).map_err(|_| NoRoom)?;
        Ok(Either::Right(Body::new(Pieces { rest: Bytes::from(answer), _room: room })))
    }
}

/// What of an answer was not handed over yet.
struct Pieces {
    rest: Bytes,
    _room: OwnedSemaphorePermit,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.rest.len().min(SMALL);
        let piece = self.rest.split_to(length);
        Poll::Ready((length > 0).then_some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn large_answers_share_the_room_until_they_are_gone() {
        let sending = Sending::new();
        let answer: Vec<u8> = (0..=u8::MAX).cycle().take(SMALL * 3 + 5).collect();
        let body = sending.body(answer.clone()).expect("there is room");
        assert_eq!(body.size_hint().exact(), Some(answer.len() as u64));
        assert_eq!(sending.0.available_permits(), MOST / SMALL - 4);
        assert_eq!(body.collect().await.expect("it cannot fail").to_bytes(), answer);
        assert_eq!(sending.0.available_permits(), MOST / SMALL);
        // One takes all of it, and small ones need none.
        let all = sending.body(vec![0; MOST + 1]).expect("there is room");
        assert_eq!(sending.body(vec![0; SMALL + 1]).err(), Some(NoRoom));
        assert!(sending.body(vec![0; SMALL]).is_ok());
        drop(all);
        assert!(sending.body(vec![0; SMALL + 1]).is_ok());
    }
}
