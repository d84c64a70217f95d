//! [`Names`]: the names in a path, decoded.
//!
//! Tests: `tests/front`.

use std::borrow::Cow;

/// The most names that a path has.
pub const MOST: usize = 2;

/// Names, in the order of the path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names<'p> {
    names: [Cow<'p, str>; MOST],
    length: usize,
}

impl<'p> Names<'p> {
    /// Adds the next one. A path in the table of routes has at most [`MOST`] names.
    pub fn push(&mut self, name: Cow<'p, str>) {
        self.names[self.length] = name;
        self.length += 1;
    }

    /// The same, of no other text.
    pub fn into_owned(self) -> Names<'static> {
        Names { names: self.names.map(|name| Cow::Owned(name.into_owned())), length: self.length }
    }

    /// Calls `read` with them.
    pub fn with<R>(&self, read: impl FnOnce(&[&str]) -> R) -> R {
        let names = self.names.each_ref().map(|name| &**name);
        read(&names[..self.length])
    }
}
