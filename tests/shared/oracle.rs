//! Any steps, reopening, copying, compacting and merging among them, against a list of all hits.
//!
//! The list knows nothing of slots, lives or writers: a hit is in a span or it is not, and goes when its endpoint is removed.

use std::path::PathBuf;

use hitring::{ManualClock, Outcome, Registry, SharedRegistry};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::processes::{fork, wait};
use super::{Folder, MINUTE, START, at, small};

const NAMES: [&str; 4] =
    ["/", "/a", "/\u{fc} \u{1f522}", "/long/enough/to/take/more/than/a/line/of/the/file/by/itself"];

#[derive(Clone, Debug)]
enum Step {
    Record {
        name: usize,
        ago: u64,
        amount: u64,
    },
    /// The same in a registry of the process's own, which is merged now and then.
    Elsewhere {
        name: usize,
        amount: u64,
    },
    Advance {
        by: u64,
    },
    Remove {
        name: usize,
        /// Whether the other registry hears of it before it counts on.
        heard: bool,
    },
    Merge,
    Reopen,
    /// The file is copied, and the copy goes on.
    Copy,
    /// A new file of what is alive goes on.
    Compact,
    /// A snapshot takes the place of everything.
    Restore,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = || 0..NAMES.len();
    let step = prop_oneof![
        10 => (name(), 0u64..25, 1u64..100).prop_map(|(name, ago, amount)| Step::Record { name, ago, amount }),
        4 => (name(), 1u64..100).prop_map(|(name, amount)| Step::Elsewhere { name, amount }),
        4 => prop_oneof![4 => 1u64..5, 1 => 5u64..100].prop_map(|by| Step::Advance { by }),
        2 => (name(), any::<bool>()).prop_map(|(name, heard)| Step::Remove { name, heard }),
        2 => Just(Step::Merge),
        1 => Just(Step::Reopen),
        1 => Just(Step::Copy),
        1 => Just(Step::Compact),
        1 => Just(Step::Restore),
    ];
    proptest::collection::vec(step, 1..50)
}

/// What there is: a file, the list, and another registry with hits that are not in the file yet.
struct World {
    folder: Folder,
    files: u32,
    clock: ManualClock,
    now: u64,
    registry: Option<SharedRegistry>,
    elsewhere: Registry,
    hits: Vec<(usize, u64, u64)>,
    unmerged: Vec<(usize, u64, u64)>,
}

impl World {
    fn new() -> Self {
        let (folder, clock) = (Folder::new(), ManualClock::new(at(START)));
        let registry = small().max_endpoints(256).clock(clock.clone()).create(folder.file("0.ring"));
        let elsewhere = Registry::builder().window(MINUTE).clock(clock.clone()).build().expect("it is possible");
        let registry = Some(registry.expect("it can be made"));
        Self { folder, files: 0, clock, now: START, registry, elsewhere, hits: Vec::new(), unmerged: Vec::new() }
    }

    fn registry(&self) -> &SharedRegistry {
        self.registry.as_ref().expect("there is always one between steps")
    }

    fn next(&mut self) -> PathBuf {
        self.files += 1;
        self.folder.file(&format!("{}.ring", self.files))
    }

    fn open(&mut self, path: PathBuf) {
        self.registry = Some(small().clock(self.clock.clone()).open(path).expect("it is whole"));
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Record { name, ago, amount } => {
                let second = self.now - ago;
                let outcome = self.registry().record_hit_at(NAMES[name], at(second), amount).expect("a name");
                if outcome == Outcome::Counted {
                    self.hits.push((name, second, amount));
                } else {
                    assert_eq!(outcome, Outcome::Late, "nothing else is wrong with it");
                }
            }
            Step::Elsewhere { name, amount } => {
                assert_eq!(self.elsewhere.record_hit(NAMES[name], amount), Ok(Outcome::Counted));
                self.unmerged.push((name, self.now, amount));
            }
            Step::Advance { by } => {
                self.now += by;
                self.clock.set(at(self.now));
            }
            Step::Remove { name, heard } => {
                // At the beginning of a second: which hits of the second of a removal count is told by `registry::fleet`.
                self.now += 1;
                self.clock.set(at(self.now));
                let there = self.registry().contains(NAMES[name]);
                assert_eq!(self.registry().remove(NAMES[name]).expect("it can be written"), there);
                if heard {
                    self.elsewhere.merge(&self.registry().snapshot()).expect("it fits");
                }
                self.hits.retain(|&(of, ..)| of != name);
                if there {
                    self.unmerged.retain(|&(of, ..)| of != name);
                }
            }
            Step::Merge => {
                for _ in 0..2 {
                    self.registry().merge(&self.elsewhere.snapshot()).expect("it fits");
                }
                self.hits.append(&mut self.unmerged);
            }
            Step::Reopen => {
                let path = self.registry().path().to_owned();
                self.registry = None;
                self.open(path);
            }
            Step::Copy => {
                let (from, to) = (self.registry().path().to_owned(), self.next());
                std::fs::copy(from, &to).expect("it can be copied");
                self.open(to);
            }
            Step::Compact => {
                let (from, to) = (self.registry().path().to_owned(), self.next());
                self.registry = None;
                hitring::shared::compact(&from, &to, hitring::shared::Wanted::default()).expect("nobody has it open");
                self.open(to);
            }
            Step::Restore => {
                let snapshot = self.registry().snapshot();
                self.registry().restore(&snapshot).expect("it is alone");
            }
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let mut total = 0;
        for (index, name) in NAMES.iter().enumerate() {
            for last in [1, 10, 60] {
                let within = |second: u64| second <= self.now && second + last > self.now;
                let of = self.hits.iter().filter(|&&(of, second, _)| of == index && within(second));
                let expected: u64 = of.map(|&(.., amount)| amount).sum();
                let last = std::time::Duration::from_secs(last);
                let count = self.registry().query_hits(name, last).expect("the window is known");
                prop_assert_eq!(count.count, expected, "{} over {:?}", name, last);
                total += if last == MINUTE { expected } else { 0 };
            }
        }
        prop_assert_eq!(self.registry().total(MINUTE).expect("the window is known").count, total);
        Ok(())
    }
}

fn every_answer_is_the_lists() {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let run = runner.run(&steps(), |steps| {
        let mut world = World::new();
        for step in steps {
            world.take(step);
            world.check()?;
        }
        Ok(())
    });
    if let Err(error) = run {
        panic!("{error}");
    }
}

#[test]
fn whatever_happens_every_answer_is_the_lists() {
    // In a process of its own: the children that other tests fork would have its files open, too.
    assert_eq!(wait(fork(every_answer_is_the_lists)), 0, "see above");
}
