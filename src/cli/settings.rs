//! Settings: a file, then the environment, then the command line, of which a later one wins.
//!
//! A setting is an option of a command that can also be given by the environment. The settings are not listed a second time,
//! because a file is read into the defaults of the options. So the values of a file are checked as those of the command line are,
//! and clap itself decides which one wins.
//!
//! | option | environment | in a file |
//! |---|---|---|
//! | `--flush-every 5` | `HITRING_FLUSH_EVERY=5` | `flush_every = 5` |
//! | `--limit-client 100/second` | `HITRING_LIMIT_CLIENT=100/second` | `client = "100/second"` in the table `[limit]` |
//! | `--config FILE` | `HITRING_CONFIG=FILE` | |
//! | `--new-ring`, which is for one start | | |
//!
//! Tests: below, `tests/python/integration/test_serve_settings.py`.

use std::any::TypeId;
use std::error::Error as _;
use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::builder::{OsStr, Resettable};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgMatches, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::escape::shown;
use super::failure::{Failure, in_words};

/// The option that names the file.
pub(super) const CONFIG: &str = "config";

/// The tables of a file. The options of one begin with its name.
pub(super) const TABLES: [&str; 2] = ["limit", "log"];

/// The settings of `command`.
pub(super) fn of(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|option| option.get_env().is_some() && option.get_id() != CONFIG)
}

/// The table and the name of `option` in a file. The table is empty for what is in none.
pub(super) fn place(option: &Arg) -> (&'static str, &str) {
    let id = option.get_id().as_str();
    let inside = |table: &&'static str| Some((*table, id.strip_prefix(*table)?.strip_prefix('_')?));
    TABLES.iter().find_map(inside).unwrap_or(("", id))
}

/// What a file writes for a value of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Flag,
    Number,
    Text,
}

impl Kind {
    pub(super) fn of(option: &Arg) -> Self {
        let id = option.get_value_parser().type_id();
        if id == TypeId::of::<bool>() {
            Self::Flag
        } else if [TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<u64>()].iter().any(|known| id == *known) {
            Self::Number
        } else {
            Self::Text
        }
    }

    fn form(self) -> &'static str {
        match self {
            Self::Flag => "true or false",
            Self::Number => "a whole number",
            Self::Text => "text in quotes",
        }
    }
}

/// `command` with the values of the file at `path` as its defaults.
///
/// # Errors
/// What is wrong with the file, by line and column.
pub(super) fn with_file(command: Command, path: &Path) -> Result<Command, Failure> {
    let name = shown(path.as_os_str().as_encoded_bytes());
    let content = fs::read(path).map_err(|error| {
        Failure::Message(format!("{name}: {}; give the path of a file of settings", in_words(&error)))
    })?;
    // A mark of the byte order, which some editors write, is in no column.
    let content = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&content);
    let text =
        str::from_utf8(content).map_err(|error| wrong(&name, content, error.valid_up_to(), "the file is not UTF-8"))?;
    let at = |span: Range<usize>, what: &str| wrong(&name, content, span.start, what);
    let table = DeTable::parse(text).map_err(|error| at(error.span().unwrap_or_default(), error.message()))?;
    let mut found = Vec::new();
    for (key, value) in table.get_ref() {
        match value.get_ref() {
            DeValue::Table(inner) if TABLES.contains(&&**key.get_ref()) => {
                found.extend(inner.iter().map(|(inside, value)| (&**key.get_ref(), inside, value)));
            }
            _ => found.push(("", key, value)),
        }
    }
    // In the order of the file, so that the message is about its first fault.
    found.sort_by_key(|(_, key, _)| key.span().start);
    let mut filled = command.clone();
    for (table, key, value) in found {
        let Some(option) = of(&command).find(|option| place(option) == (table, &**key.get_ref())) else {
            return Err(at(key.span(), &unknown(&command, table, key.get_ref())));
        };
        let text = read(option, value).map_err(|what| at(value.span(), &what))?;
        check(&command, option, &text).map_err(|what| at(value.span(), &what))?;
        filled = filled.mut_arg(option.get_id(), |option| option.default_value(text));
    }
    Ok(filled)
}

/// A fault of the file `name` at the byte `at` of its content.
fn wrong(name: &str, content: &[u8], at: usize, what: &str) -> Failure {
    let before = &content[..at.min(content.len())];
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let begin = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let column = String::from_utf8_lossy(&before[begin..]).chars().count() + 1;
    Failure::Message(format!("{name}:{line}:{column}: {}", shown(what.as_bytes())))
}

/// The message for a `key` that `table` does not have.
fn unknown(command: &Command, table: &str, key: &str) -> String {
    if table.is_empty() && tables(command).any(|known| known == key) {
        return format!("{key} is a table; write [{key}] on a line of its own, and its settings below");
    }
    // A setting of another place, or one that is written as an option.
    let wanted = key.trim_start_matches('-').replace('-', "_");
    let full = |option: &&Arg| {
        let (its, name) = place(option);
        option.get_id() == &*wanted || name == wanted && (table.is_empty() || table == its)
    };
    if let Some((table, name)) = of(command).find(full).map(place) {
        let within = if table.is_empty() { "before all tables".to_owned() } else { format!("in the table [{table}]") };
        return format!("the setting {key:?} is not known here; write {name} {within}");
    }
    if let Some(long) = command.get_arguments().find(|option| option.get_id() == key).and_then(Arg::get_long) {
        return format!("{key} is not a setting of a file; give --{long} on the command line");
    }
    let here = of(command).map(place).filter(|(known, _)| *known == table).map(|(_, name)| name.to_owned());
    let below = tables(command).filter(|_| table.is_empty()).map(|table| format!("[{table}]"));
    let within = if table.is_empty() { String::new() } else { format!(" in [{table}]") };
    format!("the setting {key:?}{within} is not known; there are {}", here.chain(below).collect::<Vec<_>>().join(", "))
}

/// The tables that have settings of `command`.
fn tables(command: &Command) -> impl Iterator<Item = &'static str> {
    TABLES.into_iter().filter(|table| of(command).any(|option| place(option).0 == *table))
}

/// The name of `option` in a file, with its table.
fn full_name(option: &Arg) -> String {
    match place(option) {
        ("", name) => name.to_owned(),
        (table, name) => format!("{table}.{name}"),
    }
}

/// What `value` is on the command line.
fn read(option: &Arg, value: &Spanned<DeValue<'_>>) -> Result<String, String> {
    let (kind, name) = (Kind::of(option), full_name(option));
    match (kind, value.get_ref()) {
        (Kind::Flag, DeValue::Boolean(value)) => Ok(value.to_string()),
        (Kind::Text, DeValue::String(value)) => Ok(value.clone().into_owned()),
        // Of another radix it is written otherwise on the command line.
        (Kind::Number, DeValue::Integer(value)) if value.radix() == 10 => Ok(value.as_str().to_owned()),
        (Kind::Number, DeValue::Integer(value)) => i64::from_str_radix(value.as_str(), value.radix())
            .map(|value| value.to_string())
            .map_err(|_| format!("{name} is too large a number")),
        (_, value) => Err(format!("{name} is of the type {}; give {}", value.type_str(), kind.form())),
    }
}

/// Whether the command line would take `text` for `option`, and if not why.
fn check(command: &Command, option: &Arg, text: &str) -> Result<(), String> {
    let name = command.get_name().to_owned();
    let long = option.get_long().unwrap_or_default();
    // Only this value is looked at, not those of the environment.
    let alone = command.clone().mut_args(|option| option.env(Resettable::<OsStr>::Reset)).no_binary_name(true);
    let given = OsString::from(format!("--{long}={text}"));
    let Err(error) = alone.try_get_matches_from([given]) else { return Ok(()) };
    let setting = full_name(option);
    if text.is_empty() {
        return Err(format!("{setting} is empty; give a value, or leave it out"));
    }
    let why = match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(source), _) => source.to_string(),
        (None, Some(ContextValue::Strings(values))) => format!("give one of {}", values.join(", ")),
        (None, _) => format!("`{name} --{long}` does not take it"),
    };
    Err(format!("{setting} is {text:?}: {why}"))
}

/// The variable of the environment whose value `error` is about, of all options of `program`.
pub(super) fn variable(program: &Command, error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return None };
    let long = shown.strip_prefix("--")?.split([' ', '=']).next()?;
    let mut options = program.get_subcommands().flat_map(Command::get_arguments);
    let option = options.find(|option| option.get_long() == Some(long) && option.get_env().is_some())?;
    let variable = option.get_env()?;
    let given = std::env::var_os(variable)?;
    // An option on the command line wins, and its value is another one.
    let value = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => value == &*given.to_string_lossy(),
        _ => given.is_empty(),
    };
    value.then(|| variable.to_string_lossy().into_owned())
}

/// The file that `matches` name, if they do.
pub(super) fn file(matches: &ArgMatches) -> Option<&Path> {
    // `try_get_one` returns an error if the command lacks this option.
    let file = matches.try_get_one::<PathBuf>(CONFIG).ok()?;
    file.map(PathBuf::as_path)
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    /// Some settings.
    #[derive(clap::Args)]
    struct Some {
        #[arg(long, env = "HITRING_TEST_CONFIG")]
        config: Option<PathBuf>,
        #[arg(long, default_value = "300", env = "HITRING_TEST_WINDOW", value_parser = clap::value_parser!(u32).range(1..=1_000))]
        window: u32,
        #[arg(long, default_value = "true", action = clap::ArgAction::Set, env = "HITRING_TEST_CREATE")]
        create: bool,
        #[arg(long, default_value = "process", env = "HITRING_TEST_LEVEL", value_parser = ["process", "disk"])]
        level: String,
        #[arg(id = "limit_rate", long = "limit-rate", env = "HITRING_TEST_RATE", value_parser = clap::value_parser!(u32).range(1..=9))]
        rate: Option<u32>,
        #[arg(id = "limit_max_keys", long = "limit-max-keys", env = "HITRING_TEST_MAX_KEYS")]
        max_keys: Option<u32>,
        #[arg(long)]
        once: bool,
    }

    fn command() -> Command {
        Some::augment_args(Command::new("serve")).no_binary_name(true)
    }

    /// What a file of `content` does; a fault of it without the file's name.
    fn filled(content: &[u8]) -> Result<Command, String> {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default().replace("::", "-");
        let path = std::env::temp_dir().join(format!("hitring-{name}-{}.toml", std::process::id()));
        fs::write(&path, content).expect("it can be written");
        let filled = with_file(command(), &path).map_err(|failure| match failure {
            Failure::Message(text) => text.strip_prefix(path.to_str().expect("UTF-8")).expect("its name").to_owned(),
            other => panic!("{other:?}"),
        });
        fs::remove_file(path).expect("it is ours");
        filled
    }

    #[test]
    fn a_file_fills_what_the_command_line_leaves_out() {
        let filled = filled(b"window = 600\ncreate = false\nlevel = 'disk'").expect("it has no fault");
        let taken = |line: &[&str]| {
            let matches = filled.clone().try_get_matches_from(line).expect("it is understood");
            (
                *matches.get_one::<u32>("window").expect("a default"),
                *matches.get_one::<bool>("create").expect("a default"),
            )
        };
        assert_eq!(taken(&[]), (600, false));
        assert_eq!(taken(&["--window", "7"]), (7, false));
        assert_eq!(taken(&["--create=true"]), (600, true));
    }

    #[test]
    fn faults_are_told_with_line_and_column() {
        for (content, fault) in [
            ("window = 0", ":1:10: window is \"0\": 0 is not in 1..=1000"),
            ("# \u{fc}\n\n  window = \"300\"", ":3:12: window is of the type string; give a whole number"),
            ("window = 1.5", ":1:10: window is of the type float; give a whole number"),
            ("window = 0xffffffffffffffffff", ":1:10: window is too large a number"),
            ("create = 1", ":1:10: create is of the type integer; give true or false"),
            ("level = true", ":1:9: level is of the type boolean; give text in quotes"),
            ("level = 'tape'", ":1:9: level is \"tape\": give one of process, disk"),
            ("windows = 300", ":1:1: the setting \"windows\" is not known; there are window, create, level, [limit]"),
            ("level = ''", ":1:9: level is empty; give a value, or leave it out"),
            ("\u{feff}window = 0", ":1:10: window is \"0\": 0 is not in 1..=1000"),
            ("window = 0\ncreate = 1", ":1:10: window is \"0\": 0 is not in 1..=1000"),
            ("limit_rate = 1", ":1:1: the setting \"limit_rate\" is not known here; write rate in the table [limit]"),
            ("rate = 1", ":1:1: the setting \"rate\" is not known here; write rate in the table [limit]"),
            ("[limit]\nwindow = 1", ":2:1: the setting \"window\" is not known here; write window before all tables"),
            ("[limit]\nrates = 1", ":2:1: the setting \"rates\" in [limit] is not known; there are rate, max_keys"),
            ("[limit]\nrate = 0", ":2:8: limit.rate is \"0\": 0 is not in 1..=9"),
            (
                "[limit]\nmax-keys = 0",
                ":2:1: the setting \"max-keys\" is not known here; write max_keys in the table [limit]",
            ),
            ("limit = 1", ":1:1: limit is a table; write [limit] on a line of its own, and its settings below"),
            ("[[limit]]", ":1:3: limit is a table; write [limit] on a line of its own, and its settings below"),
            ("[window]\na = 1", ":1:1: window is of the type table; give a whole number"),
            ("once = true", ":1:1: once is not a setting of a file; give --once on the command line"),
            ("config = 'a'", ":1:1: config is not a setting of a file; give --config on the command line"),
        ] {
            assert_eq!(filled(content.as_bytes()).expect_err(content), fault, "{content}");
        }
        // What the library says of TOML.
        for (content, place) in
            [("window = 1\nwindow = 2", ":2:1: "), ("\u{fc} = 1", ":1:1: "), ("a = [1,\n", ":1:8: ")]
        {
            let fault = filled(content.as_bytes()).expect_err(content);
            assert!(fault.starts_with(place) && fault.len() > place.len() && !fault.contains('\n'), "{fault}");
        }
        assert_eq!(filled(b"window = 1\n# \xff").expect_err("no text"), ":2:3: the file is not UTF-8");
    }

    #[test]
    fn numbers_of_another_radix_are_numbers() {
        let filled = filled(b"window = 0x1_0").expect("it has no fault");
        let matches = filled.try_get_matches_from([""; 0]).expect("it is understood");
        assert_eq!(matches.get_one::<u32>("window"), Some(&16));
    }
}
