//! Making endpoints, and taking them out of the map.
//!
//! # A hit by name
//! | the name | what happens |
//! |---|---|
//! | has an endpoint that takes hits | the hit goes there |
//! | has an endpoint that was removed or pruned | the endpoint is taken out of the map, and the name has no endpoint |
//! | has no endpoint | an endpoint is made if there is room, else the hit is refused |
//!
//! Room is taken from `len` before an endpoint is put into the map, and the thread that takes the endpoint out gives
//! the room back. So the map never has more than `max_endpoints`. Making room takes a bounded number of looks
//! (`prune.rs`).
//!
//! Tests: `tests/registry`.

use papaya::{Guard, LocalGuard};

use super::map::Found;
use super::state::{Core, WhenFull};
use crate::cell::outcome::Outcome;
use crate::counter::strategy::Strategy;
use crate::endpoint::{Endpoint, Reach};
use crate::error::EndpointError;
use crate::events::{Event, EventKind};
use crate::sync::Ordering;

/// The most bytes a name may have.
pub const MAX_NAME: usize = 1_024;
/// After this many new endpoints the map's outgrown tables are freed.
const FLUSH_EVERY: usize = 1 << 15;

/// Checks whether `name` is possible as the name of an endpoint.
///
/// # Errors
/// [`EndpointError::Name`].
pub fn check_name(name: &str) -> Result<(), EndpointError> {
    if (1..=MAX_NAME).contains(&name.len()) { Ok(()) } else { Err(EndpointError::Name { length: name.len() }) }
}

impl Core {
    /// Finds the endpoint of `name`, or makes it with `strategy` or else with the registry's own. It may be removed
    /// before the caller uses it.
    pub fn find_or_create<'g>(
        &self,
        name: &str,
        strategy: Option<&Strategy>,
        guard: &'g LocalGuard<'_>,
    ) -> Result<Found<'g>, EndpointError> {
        if let Some(endpoint) = self.map.get(name, guard) {
            return Ok(endpoint);
        }
        check_name(name)?;
        if !self.take_room() {
            self.watch.emit(EventKind::EndpointRefused, || Event::EndpointRefused { endpoint: name.into() });
            return Err(EndpointError::Full { max_endpoints: self.max_endpoints });
        }
        let epoch = self.epoch_of_removed(name);
        let made = match strategy {
            Some(strategy) => Endpoint::new(strategy, epoch, self.aging.forgotten(), self.shared()),
            None => Endpoint::new(&self.strategy(), epoch, self.aging.forgotten(), self.shared()),
        };
        let endpoint = made.inspect_err(|_| self.give_room()).map_err(EndpointError::Strategy)?;
        Ok(match self.insert(name, endpoint, guard) {
            Ok(endpoint) => {
                self.watch.emit(EventKind::EndpointCreated, || Event::EndpointCreated { endpoint: name.into() });
                endpoint
            }
            Err(theirs) => {
                self.give_room();
                theirs
            }
        })
    }

    /// Puts an endpoint, for which room was taken, into the map. If the name already has an endpoint, returns that one
    /// as `Err`.
    pub fn insert<'g>(
        &self,
        name: &str,
        endpoint: Endpoint,
        guard: &'g LocalGuard<'_>,
    ) -> Result<Found<'g>, Found<'g>> {
        let inserted = self.map.insert(name, endpoint, guard);
        if let Ok(endpoint) = inserted {
            let newest = endpoint.reach().newest(self.shared());
            self.aging.roll.lock().enter((newest, self.map.hash(name)));
            if self.len().is_multiple_of(FLUSH_EVERY) {
                guard.flush();
            }
        }
        inserted
    }

    /// Takes room for one endpoint, if there is room or it can be made. Looks at a bounded number of endpoints to make
    /// room.
    pub fn take_room(&self) -> bool {
        self.tend();
        loop {
            if self.len.fetch_add(1, Ordering::AcqRel) < self.max_endpoints {
                return true;
            }
            self.give_room();
            if self.when_full() != WhenFull::Prune || !self.evict() {
                return false;
            }
        }
    }

    pub fn give_room(&self) {
        self.len.fetch_sub(1, Ordering::AcqRel);
    }

    /// Takes `endpoint` out of the map and gives its room back; false if another thread did.
    pub fn unmap(&self, name: &str, endpoint: &Endpoint) -> bool {
        let removed = self.map.remove(name, endpoint, &self.map.guard());
        if removed {
            self.give_room();
        }
        removed
    }

    /// Takes `endpoint`, which takes no hits any more, out of the map and notes the outcomes of its hits; false if
    /// another thread took it out.
    pub fn take_out(&self, name: &str, endpoint: Reach<'_>) -> bool {
        let outcomes = endpoint.outcomes(self.shared());
        let taken = self.unmap(name, &endpoint);
        if taken {
            for (outcome, amount) in Outcome::ALL.into_iter().zip(outcomes.to_array()) {
                if amount > 0 {
                    self.note(outcome, amount);
                }
            }
            self.watch.forget(name);
        }
        taken
    }
}
