//! Rows of registries in files, beside the ring in memory.
//!
//! Files lie in `/dev/shm`, where nothing is written back.

mod processes;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hitring::{Handle, Outcome, Registry, SharedHandle, SharedRegistry, Strategy};

use crate::harness::Reach::{AtLeast, AtMost, Nothing};
use crate::harness::Run;
use crate::registry::names::names;
use crate::row::{Alone, Row, counted, several};
use processes::together;

const NAMES: usize = 1_000;
const WINDOW: Duration = Duration::from_secs(300);

/// Measures and judges the rows.
pub fn figures(run: &mut Run) {
    let (file, many) = (File::new("rows"), File::new("attach"));
    let mut rows = rows(&file.create());
    rows.extend(opening(&many));
    run.measure(&rows);
    for (what, figure, reach) in [
        ("file, handle / memory, ring, handle", run.one("file, handle") / run.one("memory, ring, handle"), AtMost(2.0)),
        (
            "two processes, one each, rate / of two threads in memory, ring and total, one each",
            run.two("memory, ring and total, one each") / run.two("file, processes, one each"),
            AtLeast(0.95),
        ),
        (
            "two processes on one, rate / of two threads in memory, ring and total, on one",
            run.two("memory, ring and total, all on one") / run.two("file, processes, all on one"),
            AtLeast(1.1),
        ),
        ("open a file of 10,000 endpoints, ms", run.one(OPEN) / 1e6, AtMost(1.0)),
        ("the same, and its first hit by name, ms", run.one(FIRST_HIT) / 1e6, Nothing),
        (
            "file, by name / memory, by name",
            run.one("file, by name, 1,000 in turn") / run.one("memory, by name, 1,000 in turn"),
            Nothing,
        ),
    ] {
        run.figure(what, figure, reach);
    }
}

/// A file that goes when the bench ends.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let folder = if Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
        Self(folder.join(format!("hitring-bench-{}-{name}.ring", std::process::id())))
    }

    fn create(&self) -> SharedRegistry {
        SharedRegistry::create(&self.0).expect("the file can be made")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Hits, and their number of all time beside them: what the file has, in memory.
struct Both {
    handle: Handle,
    total: Arc<Alone<AtomicU64>>,
}

impl Both {
    fn new(registry: &Registry, name: &str) -> Self {
        let handle = registry.counter(name).expect("there is room");
        Self { handle, total: Arc::new(Alone(AtomicU64::new(0))) }
    }

    #[inline]
    fn record(&self) {
        black_box(counted(self.handle.record(1)));
        self.total.0.fetch_add(1, Ordering::Release);
    }
}

fn hit(handle: &SharedHandle) -> Outcome {
    counted(handle.record(1))
}

fn rows(file: &SharedRegistry) -> Vec<Row> {
    let memory = Registry::builder().strategy(Strategy::Ring).build().expect("the defaults are valid");
    let handle = |name: &str| file.counter(name).expect("there is room");
    let mut rows = Vec::new();
    let held = memory.counter("/held").expect("there is room");
    rows.push(Row::of("memory, ring, handle", 1, vec![held], |handle| counted(handle.record(1))));
    rows.push(Row::of("memory, ring and total", 1, vec![Both::new(&memory, "/both")], Both::record));
    rows.push(Row::of("file, handle", 1, vec![handle("/held")], hit));
    for many in several() {
        for (what, names) in [("one each", names(many)), ("all on one", names(1))] {
            let both = names.iter().map(|name| Both::new(&memory, name)).collect();
            rows.push(Row::of(format!("memory, ring and total, {what}"), many, both, Both::record));
            let handles = || -> Vec<_> { names.iter().map(|name| handle(name)).collect() };
            rows.push(Row::of(format!("file, threads, {what}"), many, handles(), hit));
            let handles = handles();
            rows.push(Row::timed(format!("file, processes, {what}"), many, move |calls| {
                together(many, |process| {
                    let handle = &handles[process % handles.len()];
                    (0..calls).for_each(|_| _ = black_box(hit(handle)));
                })
            }));
        }
    }
    let (paths, registry) = (names(NAMES), SharedRegistry::open(file.path()).expect("it is whole"));
    rows.push(Row::new("file, by name, 1,000 in turn", 1, move |_, index| {
        let outcome = registry.record_hit(&paths[index % NAMES], 1);
        assert!(outcome.is_ok());
        outcome
    }));
    let paths = names(NAMES);
    rows.push(Row::new("memory, by name, 1,000 in turn", 1, move |_, index| {
        let outcome = memory.record_hit(&paths[index % NAMES], 1);
        assert!(outcome.is_ok());
        outcome
    }));
    let visited = handle("/visited");
    rows.push(Row::new("file, handle, with one of 8 visitors", 1, move |_, index| {
        visited.record_visit((index % 8).to_le_bytes(), 1)
    }));
    let counted = |handle: &SharedHandle| handle.count_last(WINDOW).expect("exact");
    rows.push(Row::of("file, handle, count of 300 seconds", 1, vec![handle("/held")], counted));
    rows
}

/// So many a round that most find their memory in the cache.
const OPENINGS: u64 = 20;
const OPEN: &str = "open a file of 10,000 endpoints";
const FIRST_HIT: &str = "open a file of 10,000 endpoints, and its first hit by name";

fn opening(file: &File) -> [Row; 2] {
    let registry = file.create();
    let names = names(10_000);
    names.iter().for_each(|name| assert!(registry.record_hit(name, 1).is_ok()));
    let (path, same) = (file.0.clone(), file.0.clone());
    let open = |path: &Path| SharedRegistry::open(path).expect("it is whole");
    let timed = |call: &dyn Fn() -> SharedRegistry| {
        let start = Instant::now();
        // Closed when its time is taken.
        let _opened = call();
        start.elapsed()
    };
    [
        Row::once(OPEN, move || timed(&|| open(&path))).calls(OPENINGS),
        Row::once(FIRST_HIT, move || {
            timed(&|| {
                let opened = open(&same);
                assert!(opened.record_hit(&names[5_000], 1).is_ok());
                opened
            })
        })
        .calls(OPENINGS),
    ]
}
