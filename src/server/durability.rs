//! [`Durability`]: what a write survives once it is answered.
//!
//! Tests: `tests/python/integration/test_serve_ledger.py`.

/// What a write survives once it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of the server.
    Process,
    /// That of the machine.
    Disk,
}

impl Durability {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Process, Self::Disk];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Disk => "disk",
        }
    }
}
