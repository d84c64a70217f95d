//! `hitring demo` from outside: the five scenarios say what DESIGN and the strategies' own pages say.
//!
//! The numbers here are worked out by hand from what each scenario records, not taken from its output.

use std::process::{Command, Output, Stdio};

fn demo(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hitring"));
    command.arg("demo").args(arguments).stdin(Stdio::null());
    command.output().expect("the program starts")
}

/// What a run that must succeed prints.
fn shown(arguments: &[&str]) -> String {
    let output = demo(arguments);
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The page in one line, so that it does not matter where a sentence is broken.
fn joined(page: &str) -> String {
    page.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The rows of a table below the head that begins with `at`, as words.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let table = page.lines().skip_while(|line| !line.trim_start().starts_with("at "));
    table.skip(1).take_while(|line| line.starts_with("    ")).map(|line| line.split_whitespace().collect()).collect()
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("{word} is no number"))
}

/// The number behind the only place where `text` stands.
fn after(page: &str, text: &str) -> f64 {
    let (_, rest) = page.split_once(text).unwrap_or_else(|| panic!("no {text:?} in {page}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number behind {text:?} in {page}"))
}

#[test]
fn all_five_fit_a_terminal_and_each_says_why() {
    let page = shown(&[]);
    for (line, text) in page.lines().enumerate() {
        assert!(text.chars().count() < 80 && text.trim_end() == text, "line {}: {text:?}", line + 1);
    }
    let titles: Vec<&str> = page.lines().filter(|line| line.get(1..3) == Some(". ")).collect();
    assert_eq!(titles.len(), 5, "{titles:?}");
    assert!(titles.iter().zip(1..).all(|(title, number)| title.starts_with(&format!("{number}. "))), "{titles:?}");
    assert_eq!(page.matches("\nWhy: ").count(), 5);
}

#[test]
fn some_of_them_in_the_order_that_was_asked_for() {
    let page = shown(&["5", "1"]);
    let fifth = page.find("5. Snapshot").expect("scenario 5");
    assert!(page.find("1. A fixed").expect("scenario 1") > fifth && !page.contains("2. "), "{page}");
    assert!(page.starts_with(&shown(&["5"])) && page.ends_with(&shown(&["1"])));
}

#[test]
fn a_fixed_window_forgets_a_bucket_at_once() {
    let page = joined(&shown(&["1"]));
    for (second, home, about) in [(70, 28, 1), (100, 28, 1), (118, 28, 1), (119, 3, 0)] {
        let line = format!("at {second} s hits of the last 60 s: /home {home}, /about {about}");
        assert!(page.contains(&line), "no {line:?} in {page}");
    }
    assert!(page.contains("29 hits of 2 endpoints in 3 buckets, strategy fixed"), "{page}");
}

#[test]
fn sliding_and_ring_are_exact_where_buckets_are_not() {
    let page = shown(&["2"]);
    let rows = rows(&page);
    assert_eq!(rows.len(), 9, "{rows:?}");
    for row in &rows {
        let second = number(row[0]);
        // One hit a second from 0 to 89.
        let hits = |from: u64| second.min(89).saturating_add(1).saturating_sub(from);
        let exact = hits((second + 1).saturating_sub(60));
        let buckets = hits((second + 1).saturating_sub(60) / 60 * 60);
        assert_eq!([row[2], row[3], row[4]].map(number), [buckets, exact, exact], "{row:?}");
    }
}

#[test]
fn a_swap_keeps_what_was_counted() {
    let page = joined(&shown(&["3"]));
    assert!(page.contains("ring: 1000 hits recorded, query_hits says 1000, exactly"), "{page}");
    assert!(page.contains("swap_strategy(morris:base=1.005): query_hits says 1000, exactly"), "{page}");
    assert!(page.contains("(standard error 5 %)") && page.contains("(standard error 71 %)"), "{page}");
    for (old, new) in [("ring", "morris"), ("morris", "morris")] {
        assert!(page.contains(&format!("an event: StrategySwapped, from {old} to {new}")), "{page}");
    }
    // Estimates, of which one in a million is more than five standard errors off.
    let (both, first_left) =
        (after(&page, "100000 hits more: query_hits says about "), after(&page, "left the window: about "));
    assert!((both - 101_000.0).abs() < 25_000.0, "{page}");
    assert!((both - first_left - 1_000.0).abs() < 0.5, "the exact part leaves and the estimate stays: {page}");
}

#[test]
fn a_log_is_pruned_as_it_records() {
    let page = shown(&["4"]);
    let rows = rows(&page);
    assert_eq!(rows.len(), 11, "{rows:?}");
    for row in &rows {
        let [second, recorded, within, pruned, kept] = [row[0], row[2], row[3], row[4], row[5]].map(number);
        // 200 hits in each second until 600; at a full second only the first of its hits has happened.
        assert_eq!(recorded, 200 * (second + 1).min(600));
        let happened = |until: u64| (200 * until + 1).min(120_000);
        assert_eq!(within, happened(second) - if second < 300 { 0 } else { happened(second - 300) }, "{row:?}");
        assert_eq!(pruned + kept, recorded, "{row:?}");
        assert!(kept <= 321 * 200, "{row:?}");
    }
    let page = joined(&page);
    assert!(
        page.contains("prune() at 1000 s: 0 endpoints are left") && page.contains("so only the first of them is in it")
    );
}

#[test]
fn a_restore_brings_everything_back_and_a_merge_nothing_twice() {
    let page = joined(&shown(&["5"]));
    for line in [
        "recorded: /about 2, /home 40 (total_hits 42)",
        "at 60 s more hits, /about removed: /home 1040, /new 7 (total_hits 1049)",
        "restore(): /about 2, /home 40 (total_hits 42)",
        "a hit by the handle from before: /about 2, /home 41 (total_hits 43)",
        "with 100 hits of /home: /about 2, /home 140 (total_hits 142)",
        "one bit of the snapshot flipped: this snapshot fails its checksum",
    ] {
        assert!(page.contains(line), "no {line:?} in {page}");
    }
}

#[test]
fn an_unknown_scenario_is_refused_by_name() {
    for wrong in ["0", "6", "swap", "-1"] {
        let output = demo(&[wrong]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{told}");
        assert!(told.contains(wrong), "{told}");
    }
    assert!(String::from_utf8_lossy(&demo(&["6"]).stderr).contains("1..=5"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_page_that_cannot_be_written_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device that is always full");
    let output = Command::new(env!("CARGO_BIN_EXE_hitring")).arg("demo").stdout(full).output().expect("it starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code().is_some_and(|code| code != 0) && told.contains("No space left"), "{told}");
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_not_an_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hitring"));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = command.arg("demo").stdout(writer).stderr(Stdio::piped()).output().expect("the program starts");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(141), 0));
}
