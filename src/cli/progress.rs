//! The progress bar: on stderr, and only if stdout and stderr are terminals.
//!
//! Tests: `tests/replay`.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over `total` bytes to read; without a total (a pipe among the inputs) it shows only how far it has come.
///
/// Hidden unless both stdout and stderr are terminals, so that neither a pipe nor a script's log ever holds a bar.
pub(crate) fn bar(total: Option<u64>) -> ProgressBar {
    let watched = io::stdout().is_terminal() && io::stderr().is_terminal();
    let target = if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let template = match total {
        Some(_) => "{wide_bar} {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left",
        None => "{spinner} {binary_bytes}  {binary_bytes_per_sec}  {elapsed}",
    };
    let style = ProgressStyle::with_template(template).expect("the template is constant and correct");
    ProgressBar::with_draw_target(total, target).with_style(style)
}
