//! The `hitring` program. All of it is in [`hitring::cli`], so that the Python package can start the same program.
//!
//! Tests: `tests/replay`.

use std::process::ExitCode;

fn main() -> ExitCode {
    hitring::cli::main(std::env::args_os())
}
