//! Every strategy against a separate oracle, on hits and queries in any order.

mod conformance;
mod laws;
mod oracle;
