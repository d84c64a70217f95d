//! Figures of registries in files, beside the ring in memory.
//!
//! `cargo bench --bench shared`, on a machine that does nothing else and has two cores. Files lie in `/dev/shm`, where nothing is
//! written back. Without `--bench`, as tests run it, every row runs once with little to do, and says nothing about speed.

#![cfg_attr(not(target_os = "linux"), allow(unused))]
#![allow(clippy::disallowed_types, clippy::disallowed_methods, missing_docs)]

#[path = "../medians/mod.rs"]
mod medians;
#[cfg(target_os = "linux")]
mod processes;
#[allow(dead_code, reason = "other benches use the rest")]
#[path = "../registry/report.rs"]
mod report;
#[allow(dead_code, reason = "other benches use the rest")]
#[path = "../row/mod.rs"]
mod row;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("Success: files are shared on Linux only");
}

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use std::hint::black_box;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    use hitring::{Handle, Registry, SharedHandle, SharedRegistry, Strategy};

    use crate::medians::Medians;
    use crate::processes::together;
    use crate::report::Report;
    use crate::row::{Alone, Row};

    const ROUNDS: usize = 31;
    const NAMES: usize = 1_000;
    const WINDOW: Duration = Duration::from_secs(300);

    /// A file that goes when the bench ends.
    struct File(PathBuf);

    impl File {
        fn new(name: &str) -> Self {
            let folder =
                if std::path::Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
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
            black_box(self.handle.record(1));
            self.total.0.fetch_add(1, Ordering::Release);
        }
    }

    fn record(handle: &SharedHandle, n: u64) {
        for _ in 0..n {
            let outcome = black_box(handle.record(1));
            debug_assert!(outcome.is_counted(), "{outcome:?}");
        }
    }

    fn rows(file: &SharedRegistry) -> Vec<Row> {
        let memory = Registry::builder().strategy(Strategy::Ring).build().expect("the defaults are valid");
        let handle = |name: &str| file.counter(name).expect("there is room");
        let names: Arc<Vec<String>> =
            Arc::new((0..NAMES).map(|number| format!("/api/v1/items/{number:06}/x")).collect());
        let mut rows = Vec::new();
        let held = memory.counter("/held").expect("there is room");
        rows.push(Row::new("memory, ring, handle", 1, move |_, n| (0..n).for_each(|_| _ = black_box(held.record(1)))));
        let both = Both::new(&memory, "/both");
        rows.push(Row::new("memory, ring and total", 1, move |_, n| (0..n).for_each(|_| both.record())));
        let both: Vec<Both> = ["/one", "/two"].map(|name| Both::new(&memory, name)).into();
        rows.push(Row::new("memory, ring and total, one each", 2, move |thread, n| {
            (0..n).for_each(|_| both[thread].record());
        }));
        let both = Both::new(&memory, "/hot");
        rows.push(Row::new("memory, ring and total, both on one", 2, move |_, n| (0..n).for_each(|_| both.record())));
        let held = handle("/held");
        rows.push(Row::new("file, handle", 1, move |_, n| record(&held, n)));
        let each = [handle("/one"), handle("/two")];
        rows.push(Row::timed("file, two processes, one each", 2, move |n| {
            together(2, |process| record(&each[process], n))
        }));
        let each = [handle("/three"), handle("/four")];
        rows.push(Row::new("file, two threads, one each", 2, move |thread, n| record(&each[thread], n)));
        let hot = handle("/warm");
        rows.push(Row::new("file, two threads, both on one", 2, move |_, n| record(&hot, n)));
        let hot = handle("/hot");
        rows.push(Row::timed("file, two processes, both on one", 2, move |n| together(2, |_| record(&hot, n))));
        let (by_name, registry) = (Arc::clone(&names), SharedRegistry::open(file.path()).expect("it is whole"));
        names.iter().for_each(|name| assert!(registry.record_hit(name, 1).is_ok()));
        rows.push(Row::new("file, by name, 1,000 in turn", 1, move |_, n| {
            for index in 0..n as usize {
                assert!(black_box(registry.record_hit(&by_name[index % NAMES], 1)).is_ok());
            }
        }));
        names.iter().for_each(|name| assert!(memory.record_hit(name, 1).is_ok()));
        rows.push(Row::new("memory, by name, 1,000 in turn", 1, move |_, n| {
            for index in 0..n as usize {
                assert!(black_box(memory.record_hit(&names[index % NAMES], 1)).is_ok());
            }
        }));
        let visited = handle("/visited");
        rows.push(Row::new("file, handle, with one of 8 visitors", 1, move |_, n| {
            for index in 0..n {
                black_box(visited.record_visit((index % 8).to_le_bytes(), 1));
            }
        }));
        let asked = handle("/held");
        rows.push(Row::new("file, handle, count of 300 seconds", 1, move |_, n| {
            for _ in 0..n {
                black_box(asked.count_last(WINDOW).expect("exact"));
            }
        }));
        rows
    }

    /// How long it takes to open a file of 10,000 endpoints and to count in one of them, median of several.
    fn attach(rounds: usize) -> (Duration, Duration) {
        let file = File::new("attach");
        let registry = file.create();
        for number in 0..10_000 {
            assert!(registry.record_hit(&format!("/api/v1/items/{number:06}"), 1).is_ok());
        }
        let mut times: Vec<(Duration, Duration)> = (0..rounds)
            .map(|_| {
                let began = Instant::now();
                let opened = SharedRegistry::open(&file.0).expect("it is whole");
                let open = began.elapsed();
                assert!(opened.record_hit("/api/v1/items/005000", 1).is_ok());
                (open, began.elapsed())
            })
            .collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    pub fn main() {
        let is_measured = std::env::args().any(|argument| argument == "--bench");
        let file = File::new("rows");
        let registry = file.create();
        let rows = rows(&registry);
        if !is_measured {
            for row in &rows {
                let _ = row.time(100);
            }
            attach(1);
            println!("Success: every row ran");
            return;
        }
        let medians = Medians::of(&rows, ROUNDS, |row| if row.threads == 1 { 200_000 } else { 500_000 });
        medians.print();
        let mut report = Report::default();
        let one = |name: &str| medians.get(name, 1);
        let two = |name: &str| medians.get(name, 2);
        report.at_most("file, handle / memory, ring, handle", one("file, handle") / one("memory, ring, handle"), 2.0);
        report.at_least(
            "two processes, one each, rate / of two threads in memory, ring and total, one each",
            two("memory, ring and total, one each") / two("file, two processes, one each"),
            0.95,
        );
        report.at_least(
            "two processes on one, rate / of two threads in memory, ring and total, on one",
            two("memory, ring and total, both on one") / two("file, two processes, both on one"),
            1.1,
        );
        let (open, first) = attach(ROUNDS);
        report.at_most("open a file of 10,000 endpoints, ms", open.as_secs_f64() * 1e3, 1.0);
        report.figure("the same, and its first hit by name, ms", first.as_secs_f64() * 1e3);
        report.figure(
            "file, by name / memory, by name",
            one("file, by name, 1,000 in turn") / one("memory, by name, 1,000 in turn"),
        );
        report.print();
    }
}
