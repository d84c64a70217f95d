//! Snapshots, clones and merges lose nothing: what they answer is what the original answers.

mod fleet;
mod laws;
mod nothing_lost;
mod refused;
mod removals;
mod sketches;
