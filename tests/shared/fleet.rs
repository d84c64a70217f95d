//! Files and registries in memory that take each other in, beside the oracle of `tests/registry/fleet.rs`.

use std::cell::Cell;
use std::time::Duration;

use hitring::shared::{Wanted, compact};
use hitring::{
    Hits, ManualClock, Outcome, QueryError, Registry, RegistrySnapshot, SharedBuilder, SharedError, SharedRegistry,
    SnapshotError, Timestamp,
};
use proptest::test_runner::{Config, TestRunner};

use super::Folder;
use super::processes::{fork, wait};
use crate::registry::fleet::{Fleet, Site, WINDOW, memory, steps};

struct InFile {
    folder: Folder,
    clock: ManualClock,
    files: Cell<u32>,
    registry: Option<SharedRegistry>,
}

fn builder(clock: &ManualClock) -> SharedBuilder {
    let window = Duration::from_secs(WINDOW);
    SharedRegistry::builder().window(window).slack(4).max_endpoints(2_048).clock(clock.clone())
}

fn in_file(clock: &ManualClock) -> Box<dyn Site> {
    let folder = Folder::new();
    let registry = Some(builder(clock).create(folder.file("0.ring")).expect("it can be made"));
    Box::new(InFile { folder, clock: clock.clone(), files: Cell::new(0), registry })
}

impl InFile {
    fn registry(&self) -> &SharedRegistry {
        self.registry.as_ref().expect("there is always one between steps")
    }
}

impl Site for InFile {
    fn query(&self, name: &str, last: Duration) -> Result<Hits, QueryError> {
        self.registry().query_hits(name, last)
    }

    fn record_at(&self, name: &str, at: Timestamp, amount: u64) -> Outcome {
        self.registry().record_hit_at(name, at, amount).expect("a name")
    }

    fn has(&self, name: &str) -> bool {
        self.registry().contains(name)
    }

    fn remove(&self, name: &str) -> bool {
        self.registry().remove(name).expect("it can be written")
    }

    fn clear(&self) {
        for name in self.registry().endpoints() {
            assert!(self.remove(&name), "it was there");
        }
    }

    fn snapshot(&self) -> RegistrySnapshot {
        self.registry().snapshot()
    }

    fn restore(&self, snapshot: &RegistrySnapshot) {
        self.registry().restore(snapshot).expect("it is alone");
    }

    fn merge(&self, snapshot: &RegistrySnapshot) -> Result<u64, SnapshotError> {
        match self.registry().merge(snapshot) {
            Ok(left_out) => Ok(left_out),
            Err(SharedError::Snapshot(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }

    fn total(&self) -> u64 {
        self.registry().metrics().total_hits
    }

    fn renew(&mut self, is_compacted: bool) -> bool {
        self.files.set(self.files.get() + 1);
        let (from, to) = (self.registry().path().to_owned(), self.folder.file(&format!("{}.ring", self.files.get())));
        if is_compacted {
            self.registry = None;
            compact(&from, &to, Wanted::default()).expect("nobody has it open");
        } else {
            std::fs::copy(from, &to).expect("it can be copied");
        }
        self.registry = Some(builder(&self.clock).open(to).expect("it is whole"));
        true
    }

    fn memory(&self) -> Option<&Registry> {
        None
    }
}

fn files_and_memory() {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let run = runner.run(&steps(), |steps| Fleet::new([in_file, memory, in_file]).run(&steps));
    if let Err(error) = run {
        panic!("{error}");
    }
}

#[test]
fn files_and_memory_lose_and_double_no_hit() {
    // In a process of its own: the children that other tests fork would have its files open, too.
    assert_eq!(wait(fork(files_and_memory)), 0, "see above");
}
