//! The suites that look behind the public names: part of the library's own tests, which reach its private modules.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

#[path = "../events/mod.rs"]
mod events;
#[cfg(all(feature = "server", target_os = "linux"))]
#[path = "../front/mod.rs"]
mod front;
#[path = "../limit/mod.rs"]
mod limit;
#[cfg(all(feature = "server", target_os = "linux"))]
#[path = "../service/mod.rs"]
mod service;
#[cfg(all(feature = "server", target_os = "linux"))]
#[path = "../store/mod.rs"]
mod store;
#[path = "../sketch/mod.rs"]
mod sketch;
#[path = "../threads/mod.rs"]
pub mod threads;
