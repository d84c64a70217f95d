//! Estimates: what takes less room than a count and says how far it may be off.
//!
//! | sketch | what it estimates | memory | stated error |
//! |---|---|---|---|
//! | [`morris`] | how many hits | 6 to 24 bits | relative standard error of one estimate |
//! | [`morris_ring`] | how many hits in each tick, and of all time | as many bits a tick, and a share of a lap | the same, of any sum of ticks |
//!
//! [`draw`] is where their random numbers come from.

pub mod draw;
pub mod morris;
pub mod morris_ring;
