//! The handles that a restored endpoint takes over.
//!
//! A restore ends an endpoint as [`Gone::Replaced`](super::Gone::Replaced) and puts another endpoint of the name in its
//! place. The new endpoint is the *heir* of the ended one. The name alone does not identify the heir, because a later
//! removal gives the name a new life that the old handles must not reach. So the heir keeps a list of the endpoints
//! whose handles it took over:
//!
//! | the endpoint of the name | a handle of the replaced endpoint |
//! |---|---|
//! | lists the handle's endpoint | continues with it |
//! | does not list it, or does not exist | is dead, for good: numbers are never given twice, and a list never grows |
//!
//! An heir passes its list on to the next heir, so a handle outlives any number of restores.
//!
//! A handle keeps its endpoint from being pruned. The handles that an heir took over keep the heir, as its own handles
//! do. A replaced endpoint gets no new handles, apart from clones of those that it has. So when its last handle is
//! dropped it never has a handle again, and the heir releases its memory.
//!
//! Tests: `tests/registry`, `tests/models/endpoint.rs`.

use std::sync::Arc;

use super::state::{Endpoint, Former, Rare, handles};
use crate::sync::{Mutex, Ordering};

impl Former {
    /// The endpoint, if it still has handles.
    fn used(&self) -> Option<Arc<Endpoint>> {
        let mut used = self.used.lock();
        if !used.as_ref()?.has_handles() {
            *used = None;
        }
        used.clone()
    }
}

impl Endpoint {
    /// The endpoints whose handles the next heir takes over: this endpoint, and those that it took over itself. The
    /// endpoint has ended, so none of them gets a new handle.
    pub fn bequeath(this: &Arc<Self>) -> Vec<Arc<Self>> {
        let own = this.has_handles().then(|| Arc::clone(this));
        own.into_iter().chain(this.formers().iter().filter_map(Former::used)).collect()
    }

    /// Takes over the handles of `formers`. Only the first call has an effect.
    pub fn inherit(&self, formers: &[Arc<Self>]) {
        if formers.is_empty() {
            return;
        }
        let former =
            |endpoint: &Arc<Self>| Former { number: endpoint.first, used: Mutex::new(Some(Arc::clone(endpoint))) };
        let _ = self.rare.get_or_make(Rare::default).formers.get_or_make(|| formers.iter().map(former).collect());
    }

    /// Whether handles of `former` continue with this endpoint.
    pub fn is_heir_of(&self, former: &Self) -> bool {
        self.formers().iter().any(|known| known.number == former.first)
    }

    /// Whether an endpoint that was taken over still has a handle.
    pub(super) fn has_inherited_handles(&self) -> bool {
        self.formers().iter().any(|former| former.used().is_some())
    }

    /// Whether this endpoint itself has a handle.
    fn has_handles(&self) -> bool {
        // A read-modify-write, as in `acquire`: if this one is first, `acquire` sees that the endpoint has ended; if
        // `acquire` is first, this one sees its handle.
        handles(self.uses.fetch_add(0, Ordering::AcqRel)) != 0
    }

    fn formers(&self) -> &[Former] {
        self.rare.get().and_then(|rare| rare.formers.get()).map_or(&[], Vec::as_slice)
    }
}
