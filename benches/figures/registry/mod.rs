//! The registry's figures, beside those of the crates that a service might use instead.

pub mod by_name;
pub mod day;
pub mod memory;
pub mod names;
pub mod record;
pub mod top;
