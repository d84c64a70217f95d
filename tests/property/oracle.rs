//! The oracle: a list of every hit that was counted, and nothing clever. It shares no code with `src`.
//!
//! Times are in grains: ticks, or microseconds for the sliding log, of which a tick has `grains`. A slot belongs to the
//! newest tick that was counted in it; an older tick of the same slot is gone. Hits that a clone took over are a layer of
//! their own: they are gone by their own slots.

use hitring::Outcome;
use std::collections::HashMap;

#[derive(Clone, Default)]
struct Layer {
    hits: Vec<(u64, u64)>,
    newest: HashMap<u64, u64>,
}

#[derive(Clone)]
pub struct Oracle {
    pub slots: u64,
    pub grains: u64,
    /// The most hits of one tick.
    pub most: u64,
    layers: Vec<Layer>,
    /// How many hits were counted, late and saturated in all.
    pub told: [u64; 3],
}

/// What a query must answer.
pub struct Answer {
    /// All hits that were counted in the span.
    pub exact: u64,
    /// Those of ticks that are not gone.
    pub left: u64,
    /// Whether a tick of the span is gone.
    pub gone: bool,
}

impl Oracle {
    pub fn new(slots: u64, grains: u64, most: u64) -> Self {
        Self { slots, grains, most, layers: vec![Layer::default()], told: [0; 3] }
    }

    pub fn record(&mut self, at: u64, amount: u64) -> Outcome {
        if amount == 0 {
            return Outcome::Counted;
        }
        let tick = at / self.grains;
        let layer = self.layers.last_mut().expect("there is always a layer");
        let newest = layer.newest.get(&(tick % self.slots)).copied();
        if newest.is_some_and(|newest| newest > tick) {
            self.told[1] = self.told[1].saturating_add(amount);
            return Outcome::Late;
        }
        let grains = self.grains;
        let so_far: u64 = layer.hits.iter().filter(|(other, _)| other / grains == tick).map(|(_, n)| n).sum();
        if amount > self.most - so_far {
            self.told[2] = self.told[2].saturating_add(amount);
            return Outcome::Saturated;
        }
        layer.newest.insert(tick % self.slots, tick);
        layer.hits.push((at, amount));
        self.told[0] = self.told[0].saturating_add(amount);
        Outcome::Counted
    }

    /// The hits after `at - len` up to `at`.
    pub fn query(&self, at: u64, len: u64) -> Answer {
        let mut answer = Answer { exact: 0, left: 0, gone: false };
        if len == 0 {
            return answer;
        }
        let first = (at + 1).saturating_sub(len);
        for layer in &self.layers {
            for &(hit, amount) in &layer.hits {
                let lives = layer.newest[&(hit / self.grains % self.slots)] == hit / self.grains;
                if (first..=at).contains(&hit) {
                    answer.exact += amount;
                    answer.left += if lives { amount } else { 0 };
                }
            }
            for tick in first / self.grains..=at / self.grains {
                answer.gone |= layer.newest.get(&(tick % self.slots)).is_some_and(|&newest| newest > tick);
            }
        }
        answer
    }

    pub fn newest(&self) -> u64 {
        self.layers.iter().flat_map(|layer| &layer.hits).map(|(at, _)| *at).max().unwrap_or(0)
    }

    pub fn reset(&mut self) {
        self.layers = vec![Layer::default()];
    }

    pub fn copied(&mut self) {
        self.layers.push(Layer::default());
    }
}
