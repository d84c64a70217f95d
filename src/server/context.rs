//! [`Context`]: what requests are answered with.
//!
//! Tests: `tests/python/integration/test_serve_metrics.py`.

use std::sync::OnceLock;

use super::aside::Aside;
use super::durability::Durability;
use super::journal::Journal;
use super::limits::Limits;
use super::sending::Sending;
use super::tally::Tally;
use crate::service::Service;

/// A server, as its routes see it.
#[derive(Debug)]
pub struct Context {
    /// The use cases.
    pub service: Service,
    /// What was done.
    pub tally: Tally,
    /// The place for questions about all endpoints, or about a long window.
    pub aside: Aside,
    /// The place for the numbers of the server itself, which are wanted most while the other place is taken.
    pub scrapes: Aside,
    /// Large answers on their way.
    pub sending: Sending,
    /// What writes survive that do not ask for a durability themselves.
    pub durability: Durability,
    /// How many requests are answered; `None` is all.
    pub limits: Option<Limits>,
    /// Writes the lines of requests into the log.
    pub journal: Journal,
    /// The OpenAPI document.
    pub document: Vec<u8>,
    ending: OnceLock<()>,
}

impl Context {
    /// A server that is not ending, without limits, and without addresses in its log.
    pub fn new(service: Service, tally: Tally, document: Vec<u8>, durability: Durability) -> Self {
        Self {
            service,
            tally,
            aside: Aside::new(),
            scrapes: Aside::new(),
            sending: Sending::new(),
            durability,
            limits: None,
            journal: Journal::new(false),
            document,
            ending: OnceLock::new(),
        }
    }

    /// No connection is taken any more.
    pub fn end(&self) {
        let _ = self.ending.set(());
    }

    /// Whether [`end`](Self::end) was called.
    pub fn is_ending(&self) -> bool {
        self.ending.get().is_some()
    }
}
