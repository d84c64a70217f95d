//! Registries in files, seen from outside.
//!
//! * [`behaviour`]: what the documentation promises, one by one;
//! * [`oracle`]: any steps, reopening, copying and compacting among them, against a list of all hits;
//! * [`boots`]: boots of the machine, and many merged registries;
//! * [`changed`]: the changes that a flusher reads;
//! * [`exchange`]: snapshots and merges between files and memory, copies and their writers;
//! * [`restore`]: a file in the place of another, beside threads, children and links;
//! * [`room`]: the last places of a file, beside merges;
//! * [`inspect`]: the program that looks at files
//! * [`damage`]: files that are cut, copied and damaged while others count in them;
//! * [`flips`]: each bit flipped once;
//! * [`files`]: what is foreign, cut, newer, damaged or not allowed is refused and left as it was;
//! * [`kills`]: processes that are killed while they make, restore, compact, renew and merge files;
//! * [`ledger`]: hits that a database decides on;
//! * [`limits`]: limits over boots and damage;
//! * [`many`]: very many processes, and forks among threads;
//! * [`processes`]: forked processes that count, are killed and stopped.

mod behaviour;
mod boots;
mod changed;
mod damage;
mod exchange;
mod files;
mod fleet;
mod flips;
#[cfg(feature = "cli")]
mod inspect;
mod kills;
mod ledger;
mod limits;
mod many;
mod oracle;
mod processes;
mod restore;
mod room;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hitring::{ManualClock, SharedBuilder, SharedRegistry, Timestamp};

/// Seconds since 1970.
fn at(secs: u64) -> Timestamp {
    Timestamp::try_from(secs).expect("a time of the tests is before the year 10000")
}

/// A usual time.
const START: u64 = 1_700_000_000;
const MINUTE: Duration = Duration::from_secs(60);

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self::at(&std::env::temp_dir())
    }

    /// A folder in memory, for thousands of files that are synced. Without `/dev/shm` it is an ordinary folder.
    fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self::at(memory) } else { Self::new() }
    }

    fn at(parent: &Path) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = parent.join(format!("hitring-shared-{}-{number}", std::process::id()));
        // One of a process of this number that was killed may be left.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder for temporary files can be made");
        Self(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Small files of the last minute.
fn small() -> SharedBuilder {
    SharedRegistry::builder().window(MINUTE).max_endpoints(64).limits(32)
}

/// A registry in a file of its own, by a clock that is moved by hand.
struct Made {
    registry: SharedRegistry,
    clock: ManualClock,
    folder: Folder,
}

impl Made {
    fn path(&self) -> PathBuf {
        self.folder.file("hits.ring")
    }

    fn set(&self, second: u64) {
        self.clock.set(at(second));
    }

    fn open(&self, path: &Path) -> SharedRegistry {
        small().clock(self.clock.clone()).open(path).expect("the file is whole")
    }
}

impl Deref for Made {
    type Target = SharedRegistry;

    fn deref(&self) -> &SharedRegistry {
        &self.registry
    }
}

fn made() -> Made {
    let (folder, clock) = (Folder::new(), ManualClock::new(at(START)));
    let registry = small().clock(clock.clone()).create(folder.file("hits.ring")).expect("the file can be made");
    Made { registry, clock, folder }
}
