//! `hitring bench` from outside: every row is there, and the table fits. What it measures is not looked at: figures are no tests.
#![cfg(feature = "cli")]

use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hitring")).arg("bench").args(arguments).output().expect("the program starts")
}

const WITH_THREADS: [&str; 9] = [
    "fetch_add",
    "Mutex + deque",
    "ring",
    "striped",
    "sliding",
    "striped, with the clock",
    "registry by name",
    "registry by handle",
    "limiter",
];
const ALONE: [&str; 3] = ["query, same second", "hit and query, new second", "clock"];
const SHARED: [&str; 2] = ["shared file by name", "shared file by handle"];

#[test]
fn every_row_is_measured_with_every_number_of_threads() {
    let output = bench(&["--quick", "--json"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("one object");
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    assert_eq!(answer["threads"], all);
    assert!(answer["processor"].as_str().is_some_and(|name| !name.is_empty()), "{answer}");
    let rows = answer["rows"].as_array().expect("rows");
    let of = |name: &str, threads: usize| {
        let mut found = rows.iter().filter(|row| row["name"] == name && row["threads"] == threads);
        let row = found.next().unwrap_or_else(|| panic!("{name} with {threads} threads"));
        assert!(found.next().is_none(), "{name} twice");
        assert!(row["nanoseconds"].as_f64() > Some(0.0), "{row}");
        row["ratio"].as_f64()
    };
    let shared = if cfg!(target_os = "linux") { &SHARED[..] } else { &[] };
    for threads in [1, all] {
        for name in WITH_THREADS.iter().chain(shared) {
            assert!(of(name, threads) > Some(0.0), "{name}");
        }
        assert_eq!(of("fetch_add", threads), Some(1.0));
    }
    for name in ALONE {
        assert!(of(name, 1) > Some(0.0));
    }
}

#[test]
fn the_table_fits_a_terminal() {
    let output = bench(&["--quick"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success() && text.lines().skip(1).all(|line| line.len() <= 80), "{text}");
    for name in WITH_THREADS.iter().chain(&ALONE) {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} in {text}");
    }
    assert_eq!(bench(&["--slowly"]).status.code(), Some(2));
}
