//! Changing the strategy that counts: of one endpoint, or of all.
//!
//! Tests: `tests/registry`.

use super::state::Registry;
use crate::counter::strategy::Strategy;
use crate::endpoint::Shape;
use crate::error::ConfigError;
use crate::events::{Event, EventKind};

impl Registry {
    /// Swaps all endpoints, and those that are made later, to generations of `strategy`. Earlier hits stay countable
    /// until they leave the window. Returns how many endpoints were swapped.
    ///
    /// # Errors
    /// [`ConfigError`] if the strategy does not suit the window; nothing was changed.
    pub fn swap_strategy(&self, strategy: &Strategy) -> Result<usize, ConfigError> {
        strategy.check(&self.core.geometry)?;
        let old = std::mem::replace(&mut *self.core.strategy.lock(), strategy.clone());
        let mut swapped = 0;
        self.core.each(|_, endpoint| {
            swapped += usize::from(endpoint.reach().swap(strategy, self.core.shared())?.is_some());
            Ok::<(), ConfigError>(())
        })?;
        if old != *strategy || swapped > 0 {
            self.core.watch.emit(EventKind::StrategySwapped, || Event::StrategySwapped {
                endpoint: None,
                old: old.name().to_owned(),
                new: strategy.name().to_owned(),
            });
        }
        Ok(swapped)
    }

    /// Swaps one endpoint to `strategy`; returns whether it exists and had another strategy.
    ///
    /// # Errors
    /// As [`swap_strategy`](Self::swap_strategy).
    pub fn swap_endpoint(&self, endpoint: &str, strategy: &Strategy) -> Result<bool, ConfigError> {
        let guard = self.core.map.guard();
        let Some(found) = self.core.map.get(endpoint, &guard) else {
            return strategy.check(&self.core.geometry).map(|()| false);
        };
        let old = found.reach().swap(strategy, self.core.shared())?;
        if let Some(old) = &old {
            self.core.watch.emit(EventKind::StrategySwapped, || Event::StrategySwapped {
                endpoint: Some(endpoint.into()),
                old: old.name().to_owned(),
                new: strategy.name().to_owned(),
            });
        }
        Ok(old.is_some())
    }

    /// The strategy of an endpoint, and the shape that takes its hits if the strategy is adaptive.
    #[must_use]
    pub fn strategy_of(&self, endpoint: &str) -> Option<(Strategy, Shape)> {
        self.core.with(endpoint, |endpoint| (endpoint.strategy(), endpoint.shape()))
    }

    /// The strategy of new endpoints.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.core.strategy()
    }
}
