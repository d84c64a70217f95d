//! The house rules that a machine can check, over every file of `src`.

mod imports;

use std::path::{Path, PathBuf};

use imports::Files;

/// The modules in the order of the table of floors in `src/lib.rs`, the one place where it stands: a module uses only those before
/// it.
fn floors() -> Vec<&'static str> {
    const TABLE: &str = "\n// | floor | modules |";
    let (_, table) = include_str!("../../src/lib.rs").split_once(TABLE).expect("src/lib.rs has the table of floors");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with("// |"));
    // A name is in backticks, and a link may follow it.
    let modules: Vec<_> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
    assert!(modules.len() > 10, "the table has {} modules", modules.len());
    modules
}

fn height(module: &str) -> Option<usize> {
    floors().into_iter().position(|name| name == module)
}

/// What is wrong with the `crate::` paths of a file of `module`.
fn upward_imports(module: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let Some(ours) = height(module) else { return vec![format!("{module} is on no floor")] };
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for (at, _) in line.match_indices("crate::") {
            let path: String =
                line[at + 7..].chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
            let theirs = path.split("::").next().unwrap_or_default();
            // The console script of the Python package is the program.
            let console_script = module == "python" && path.starts_with("cli::run");
            // What the crate root exports again, or a macro of its own.
            let reexported = theirs.starts_with(char::is_uppercase) || theirs.is_empty();
            if theirs == module || console_script || reexported {
                continue;
            }
            match height(theirs) {
                Some(height) if height < ours && !(module == "python" && theirs == "cli") => {}
                Some(_) => wrong.push(format!("{module} uses {theirs}, which is above it: {}", line.trim())),
                None => wrong.push(format!("{theirs} is on no floor: {}", line.trim())),
            }
        }
    }
    wrong
}

/// What else is wrong with a file; `name` is its path below `src`.
fn broken_rules(name: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut rule = |broken: bool, what: &str| {
        if broken {
            wrong.push(format!("{name}: {what}"));
        }
    };
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let product = code.split("mod tests {").next().unwrap_or_default();
    rule(!text.starts_with("//!"), "does not say in its first line what it is");
    rule(text.lines().count() > 600, "is longer than 600 lines");
    let header = text.lines().take_while(|line| line.starts_with("//!")).last().unwrap_or_default();
    let tests = header.strip_prefix("//! Tests: ").and_then(|tests| tests.strip_suffix('.'));
    rule(tests.is_none(), "does not say in the last line of its header where its tests are");
    for tests in tests.into_iter().flat_map(|tests| tests.split(", ")) {
        let there = match tests.trim_matches('`') {
            "below" => text.contains("mod tests {"),
            path => path.starts_with("tests") && Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(),
        };
        rule(!there, "names tests that are not there");
    }
    rule(
        !name.starts_with("sync/")
            && ["std::sync::atomic", "core::sync::atomic"].iter().any(|door| product.contains(door)),
        "atomics come from sync/mod.rs alone",
    );
    rule(
        name != "time/clock.rs"
            && ["SystemTime::now", "Instant::now", "clock_gettime"].iter().any(|door| product.contains(door)),
        "the clock is read by time/clock.rs alone",
    );
    // The one exception is the order of a load under a collector's guard, which has a name.
    let seq_cst = code.matches("SeqCst").count()
        - usize::from(name == "sync/mod.rs" && code.contains("PROTECTED: Ordering = Ordering::SeqCst;"));
    rule(seq_cst > 0, "nothing is SeqCst: loom cannot check it");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for named in header_paths(text).filter(|path| !root.join(path).exists()) {
        rule(true, &format!("its header names {named}, which is not there"));
    }
    let riddles = text.lines().enumerate().filter(|(_, line)| is_riddle(line)).map(|(at, _)| at + 1);
    for line in riddles {
        rule(
            true,
            &format!("line {line} negates a noun or has nobody for a subject: say what a thing does or does not do"),
        );
    }
    rule(name.contains("util") || name.contains("common"), "is named after nothing");
    wrong
}

/// The paths from the root of the repository that a header has in backticks, without links to items.
fn header_paths(text: &str) -> impl Iterator<Item = &str> {
    let header = text.lines().take_while(|line| line.starts_with("//!"));
    let quoted = header.flat_map(|line| line.split('`').skip(1).step_by(2));
    quoted.filter(|path| path.starts_with("src/") && !path.contains(['*', ' ', '<', ':']))
}

/// Whether a line has words by which sentences of this project became riddles (docs/testing.md, "Language").
fn is_riddle(line: &str) -> bool {
    const WORDS: [&str; 8] = ["whoever", "Whoever", "nobody", "Nobody", "is no ", "is none", "of ours", "unheard"];
    let begins_word = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    WORDS.iter().any(|words| line.match_indices(words).any(|(at, _)| begins_word(at)))
}

#[test]
fn a_riddle_is_found() {
    assert!(["    // Nobody reads it.", "/// it is no rate", "it is none of ours"].into_iter().all(is_riddle));
    assert!(!["this no longer holds", "is not a rate", "// a unit of Morris's"].into_iter().any(is_riddle));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the entry can be read").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn below(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let named = |path: PathBuf| {
        let name = path.strip_prefix(&root).expect("the file is below").to_string_lossy().replace('\\', "/");
        (name, std::fs::read_to_string(&path).expect("the file is text"))
    };
    files(&root).into_iter().map(named).collect()
}

#[test]
fn no_file_breaks_a_rule() {
    let mut wrong = Vec::new();
    for (name, text) in below("src") {
        wrong.extend(broken_rules(&name, &text));
        let module = name.split(['/', '.']).next().unwrap_or_default();
        if !["lib.rs", "main.rs"].contains(&&*name) {
            if !name.contains('/') {
                wrong.push(format!("{name}: lies loose at the root of src; each file has a room"));
            }
            wrong.extend(upward_imports(module, &text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_import_downwards_and_in_no_circle() {
    let files = Files::new(below("src"));
    assert!(files.edges().len() > 100);
    let wrong = files.upwards();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(files.circle(), None);
}

#[test]
fn every_mutant_is_asked_for_and_modelled() {
    let text = |files: Vec<(String, String)>| files.into_iter().map(|(_, text)| text).collect::<String>();
    let (source, models) = (text(below("src")), text(below("tests/models")));
    let (_, list) = source.split_once("pub enum Mutant {").expect("src/sync/mutant.rs lists the mutants");
    let (list, _) = list.split_once("\n}").expect("the list ends");
    let mutants: Vec<_> = list
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//") && !line.is_empty())
        .map(|line| line.trim_end_matches(','))
        .collect();
    assert!(mutants.len() > 10, "{mutants:?}");
    for mutant in mutants {
        // The product asks for it, or the part of a model that stands for a library.
        let asked =
            source.contains(&format!("mutated!({mutant})")) || models.contains(&format!("is_on(Mutant::{mutant})"));
        assert!(asked, "{mutant} is never asked for");
        assert!(models.contains(&format!("Mutant::{mutant}")), "no model fails on {mutant}");
    }
}

/// The modules that a file of tests has, but for those that only help others.
fn modules(text: &str) -> Vec<&str> {
    let modules =
        text.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'));
    modules.filter(|&module| module != "threads").collect()
}

#[test]
fn every_folder_of_tests_has_tests() {
    let suites = [include_str!("../tests.rs"), include_str!("../internals/mod.rs")].map(modules).concat();
    assert!(suites.len() > 10, "{suites:?}");
    for module in suites {
        let tests: usize =
            below(&format!("tests/{module}")).iter().map(|(_, text)| text.matches("#[test]").count()).sum();
        assert!(tests > 0, "tests/{module} has no test");
    }
}

/// A crate of these files.
fn planted(files: &[(&str, &str)]) -> Files {
    Files::new(files.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect())
}

#[test]
fn planted_circles_and_upward_imports_are_found() {
    let fine = [
        ("lib.rs", "mod a;\nmod b;"),
        ("a/mod.rs", "mod low;\nmod high;\npub use high::High;\npub use low::{Low, Other as Another};"),
        ("a/low.rs", "pub struct Low;\npub struct Other;"),
        ("a/high.rs", "use super::low::{self, Low};\nmod tests { use super::super::High; }"),
        ("b/mod.rs", "use crate::a::{Another, High}; // use crate::b"),
    ];
    let with = |name: &str, text: &'static str| {
        let files = fine.map(|(of, before)| if of == name { (of, text) } else { (of, before) });
        let files = planted(&files);
        (files.upwards().len(), files.circle())
    };
    assert_eq!(with("lib.rs", "mod a;\nmod b;"), (0, None));
    let circle = |way: &str| Some(way.to_owned());
    let both = "a/high.rs -> a/low.rs -> a/high.rs";
    assert_eq!(with("a/low.rs", "use super::high::High;"), (1, circle(both)));
    assert_eq!(with("a/low.rs", "use crate::a::High;"), (1, circle(both)), "by the name that mod.rs exports");
    assert_eq!(with("a/low.rs", "fn low() -> super::High {}"), (1, circle(both)), "by a path");
    assert!(with("a/low.rs", "use crate::b::B;").1.is_some(), "over another folder");
    assert_eq!(with("a/mod.rs", "mod high;\nmod low;"), (1, None));
    let parent = with("a/mod.rs", "mod low;\nmod high;\nuse self::low::Low;\nstruct Own;");
    assert_eq!(parent, (0, None));
    let files = planted(&[("lib.rs", ""), ("a/mod.rs", "mod low;\nuse low::Low;"), ("a/low.rs", "use super::Own;")]);
    assert_eq!(files.circle(), circle("a/mod.rs -> a/low.rs -> a/mod.rs"));
}

#[test]
fn the_checks_can_fail() {
    assert_eq!(upward_imports("window", "use crate::time::Tick;").len(), 0);
    assert_eq!(upward_imports("window", "use crate::counter::Strategy;").len(), 1);
    assert_eq!(upward_imports("sync", "let x = crate::time::Tick(0);").len(), 1);
    assert_eq!(upward_imports("cli", "use crate::python::x;").len(), 1);
    assert_eq!(upward_imports("python", "use crate::cli::log;\nuse crate::cli::run;").len(), 1);
    assert_eq!(upward_imports("nowhere", "").len(), 1);
    assert_eq!(upward_imports("window", "use crate::nowhere::x;").len(), 1);
    let fine = "//! Says.\n//! Tests: `tests/floors`.\n";
    assert_eq!(broken_rules("a.rs", fine).len(), 0);
    assert_eq!(broken_rules("a.rs", "use x;").len(), 2, "neither what it is nor where its tests are");
    assert_eq!(broken_rules("a.rs", "//! Says.\n").len(), 1);
    assert_eq!(broken_rules("a.rs", "//! Says.\n//! Tests: below, `tests/nowhere`.\n").len(), 2);
    assert_eq!(broken_rules("a.rs", "//! Says.\n//! Tests: below.\nmod tests {").len(), 0);
    assert_eq!(broken_rules("utils.rs", fine).len(), 1);
    for bad in ["use std::sync::atomic::AtomicU8;", "Instant::now()", "Ordering::SeqCst", &"\n".repeat(600)] {
        assert_eq!(broken_rules("a.rs", &format!("{fine}{bad}\n")).len(), 1, "{bad:?}");
    }
    assert_eq!(broken_rules("sync/mod.rs", &format!("{fine}use std::sync::atomic::AtomicU8;")).len(), 0);
    let protected = format!("{fine}const PROTECTED: Ordering = Ordering::SeqCst;");
    assert_eq!(broken_rules("sync/mod.rs", &protected).len(), 0);
    assert_eq!(broken_rules("a.rs", &protected).len(), 1);
    assert_eq!(broken_rules("sync/mod.rs", &format!("{protected}\nx.load(SeqCst)")).len(), 1);
}
