//! `--check`: whether what a file holds fits together.
//!
//! An endpoint that is just being made looks like half a one, and the file may be in use. So a fault is what is found each time
//! of a few looks: nothing stays half made so long, and what is broken stays so.
//!
//! Tests: `tests/replay`.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::print;
use crate::cli::escape::shown;
use crate::cli::failure::{Failure, told};
use crate::error::SharedError;
use crate::shared::Inspection;

const LOOKS: usize = 3;
const PAUSE: Duration = Duration::from_millis(100);

pub(super) fn run(path: &Path) -> Result<(), Failure> {
    let (faults, cure) = match Inspection::open(path).and_then(|inspection| lasting(&inspection)) {
        Ok(faults) if faults.is_empty() => return print("ok\n"),
        Ok(faults) => (
            faults.iter().map(|fault| shown(fault.as_bytes())).collect(),
            "save what can be saved with 'hitring compact FILE NEW'",
        ),
        // A hitring file that cannot be read at all.
        Err(error @ (SharedError::Truncated { .. } | SharedError::Damaged { .. })) => {
            (vec![told(&error)], "put a whole copy in its place")
        }
        Err(error) => return Err(Failure::NothingToCheck(told(&error))),
    };
    print(&(faults.join("\n") + "\n"))?;
    let many = if faults.len() == 1 { "1 fault".to_owned() } else { format!("{} faults", faults.len()) };
    Err(Failure::Message(format!("{}: {many}; {cure}", shown(path.as_os_str().as_encoded_bytes()))))
}

fn lasting(inspection: &Inspection) -> Result<Vec<String>, SharedError> {
    let mut faults = inspection.faults()?;
    for _ in 1..LOOKS {
        if faults.is_empty() {
            break;
        }
        sleep(PAUSE);
        let again: std::collections::BTreeSet<String> = inspection.faults()?.into_iter().collect();
        faults.retain(|fault| again.contains(fault));
    }
    Ok(faults)
}
