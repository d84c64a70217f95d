//! The `hitring` program: its commands and how they end.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | the answer was printed whole |
//! | 1 | no answer: one line `hitring: ...` on stderr says why and what to do; of `serve`, a line of its log |
//! | 2 | the command line was not understood (clap's message on stderr); `inspect --check`: there was nothing to check |
//! | 141 | the reader of the output closed it early (`| head`); quiet, the code a shell shows for SIGPIPE |
//!
//! Nothing here ends the process: [`run`] returns the code, so the same program also runs inside a Python interpreter.
//! A command is one module with an `Args` and a `run`, one variant of `Command`, one arm of `Command::run`.
//!
//! Tests: below, `tests/replay`.

mod columns;
mod escape;
mod failure;
mod span;
#[cfg(target_os = "linux")]
mod compact;
mod demo;
mod log;
#[cfg(fuzzing)]
pub mod fuzzed;
mod utc;
#[cfg(target_os = "linux")]
mod inspect;
mod progress;
mod replay;
mod top;
mod bench;
#[cfg(all(feature = "server", target_os = "linux"))]
mod settings;
#[cfg(all(feature = "server", target_os = "linux"))]
mod serve;
#[cfg(all(feature = "server", target_os = "linux"))]
mod config;

use std::ffi::OsString;
#[cfg(all(feature = "server", target_os = "linux"))]
use std::io::Write;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use failure::Failure;

/// Count hits and ask how many there were in the last N seconds.
#[derive(Parser)]
#[command(name = "hitring", bin_name = "hitring", version, arg_required_else_help = true)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Bench(bench::Args),
    #[cfg(target_os = "linux")]
    Compact(compact::Args),
    #[cfg(all(feature = "server", target_os = "linux"))]
    Config(config::Args),
    Demo(demo::Args),
    #[cfg(target_os = "linux")]
    Inspect(inspect::Args),
    Replay(replay::Args),
    #[cfg(all(feature = "server", target_os = "linux"))]
    Serve(serve::Args),
    Top(top::Args),
}

impl Command {
    fn run(self) -> Result<(), Failure> {
        match self {
            Command::Bench(args) => bench::run(args),
            #[cfg(target_os = "linux")]
            Command::Compact(args) => compact::run(args),
            #[cfg(all(feature = "server", target_os = "linux"))]
            Command::Config(args) => config::run(args),
            Command::Demo(args) => demo::run(args),
            #[cfg(target_os = "linux")]
            Command::Inspect(args) => inspect::run(args),
            Command::Replay(args) => replay::run(args),
            #[cfg(all(feature = "server", target_os = "linux"))]
            Command::Serve(args) => serve::run(args),
            Command::Top(args) => top::run(args),
        }
    }
}

/// Runs the program with the command line `args` (the program's own name first) and returns its exit code.
///
/// Reads stdin when asked to, writes to stdout and stderr, and never ends the process. The codes: 0 answered, 1 failed
/// with one line on stderr, 2 command line not understood, 141 the output was closed early.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let ended = Program::command().try_get_matches_from(&args).map_err(Ended::Usage).and_then(|matches| {
        let program = Program::from_arg_matches(&with_settings(matches, &args)?).map_err(Ended::Usage)?;
        program.command.run().map_err(Ended::Failed)
    });
    match ended {
        Ok(()) => 0,
        Err(Ended::Failed(failure)) => failure.report(),
        // Help and version also arrive here, with code 0. A failed write is ignored, because stdout may be closed.
        Err(Ended::Usage(usage)) => {
            let _ = usage.print();
            tell_variable(&usage);
            u8::try_from(usage.exit_code()).unwrap_or(2)
        }
    }
}

/// Why the program ended without an answer.
enum Ended {
    /// The command line was not understood, or asked for help.
    Usage(clap::Error),
    /// The command failed.
    Failed(Failure),
}

/// Names the variable of the environment that `usage` complains of.
#[cfg(all(feature = "server", target_os = "linux"))]
fn tell_variable(usage: &clap::Error) {
    if let Some(variable) = settings::variable(&Program::command(), usage) {
        let _ = writeln!(std::io::stderr(), "\nThe value is that of the environment variable {variable}.");
    }
}

#[cfg(not(all(feature = "server", target_os = "linux")))]
fn tell_variable(_: &clap::Error) {}

/// What `args` and the file of settings that they name say. `matches` is what `args` say alone.
#[cfg(all(feature = "server", target_os = "linux"))]
fn with_settings(matches: ArgMatches, args: &[OsString]) -> Result<ArgMatches, Ended> {
    let Some((name, file)) = matches.subcommand().and_then(|(name, matches)| Some((name, settings::file(matches)?)))
    else {
        return Ok(matches);
    };
    let mut program = Program::command();
    let command = program.find_subcommand(name).cloned().expect("it was matched");
    let filled = settings::with_file(command, file).map_err(Ended::Failed)?;
    program = program.mut_subcommand(name, |_| filled);
    program.try_get_matches_from(args).map_err(Ended::Usage)
}

#[cfg(not(all(feature = "server", target_os = "linux")))]
fn with_settings(matches: ArgMatches, _: &[OsString]) -> Result<ArgMatches, Ended> {
    Ok(matches)
}

/// [`run`] as the body of a `main` function.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    ExitCode::from(run(args))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Program::command().debug_assert();
    }
}
