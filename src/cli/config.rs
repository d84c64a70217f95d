//! `hitring config`: files of settings, for `hitring serve --config`.
//!
//! Tests: below, `tests/python/integration/test_serve_settings.py`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Arg, Command, FromArgMatches};

use super::failure::Failure;
use super::serve;
use super::settings::{self, Kind};

/// What the settings without a fixed default look like.
const EXAMPLES: [(&str, &str); 6] = [
    ("workers", "1"),
    ("max_endpoints", "20000"),
    ("limit_client", "\"100/second\""),
    ("limit_burst", "200"),
    ("limit_global", "\"10000/second\""),
    ("limit_max_clients", "10000"),
];

/// The width of a comment.
const WIDTH: usize = 100;

/// Print a file of settings for the server, or check one.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Args {
    /// Print every setting, with what it means and its default
    #[arg(long)]
    example: bool,
    /// Check this file, as `hitring serve --config FILE` would, and start nothing
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let command = serve::command();
    let text = match args.check {
        Some(path) => {
            check(settings::with_file(command, &path)?)?;
            "hitring: the file has no fault\n".to_owned()
        }
        None => example(&command),
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::of_output(&error))
}

/// Checks that the settings of `command`, those of the environment among them, fit together.
fn check(command: Command) -> Result<(), Failure> {
    let matches = command.no_binary_name(true).try_get_matches_from([""; 0]);
    let args = matches.and_then(|matches| serve::Args::from_arg_matches(&matches));
    // Of the environment: the file alone was looked at before.
    let args = args.map_err(|error| {
        let text = error.to_string();
        let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
        let variable = settings::variable(&Command::new("hitring").subcommand(serve::command()), &error);
        let of = variable.map(|variable| format!(" (of the environment variable {variable})")).unwrap_or_default();
        Failure::Message(lines.join(" ").trim_start_matches("error: ").to_owned() + &of)
    })?;
    serve::settings(args).map(drop)
}

/// A file with every setting of `command` as it is without the file.
fn example(command: &Command) -> String {
    let mut text = comment(
        "Settings of `hitring serve --config FILE`. The environment wins over this file, and options win over both. The values \
         below are the defaults. A setting that has no default is commented out, with an example.",
    );
    let mut last = "";
    for option in settings::of(command) {
        let (table, name) = settings::place(option);
        text.push('\n');
        if table != last {
            last = table;
            text += &format!("[{table}]\n");
        }
        text += &comment(&option.get_help().map(ToString::to_string).unwrap_or_default());
        let variable = option.get_env().unwrap_or_default().to_string_lossy();
        text += &comment(&format!("--{}, {variable}", option.get_long().unwrap_or_default()));
        text += &match default(option) {
            Some(value) => format!("{name} = {value}\n"),
            None => format!("# {name} = {}\n", shape(option)),
        };
    }
    text
}

/// The default of `option`, as a file writes it.
fn default(option: &Arg) -> Option<String> {
    let value = option.get_default_values().first()?.to_string_lossy().into_owned();
    Some(if Kind::of(option) == Kind::Text { format!("{value:?}") } else { value })
}

/// The form of a value of `option`, for an option without a fixed default.
fn shape(option: &Arg) -> &'static str {
    let found = EXAMPLES.into_iter().find(|(id, _)| option.get_id() == id);
    found.map_or("", |(_, value)| value)
}

/// `text` in comments of at most [`WIDTH`] columns.
fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines += &line;
            lines.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line += word;
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What a server would be started with: each setting, with its value.
    fn taken(command: Command) -> BTreeMap<String, Option<String>> {
        let names: Vec<String> = settings::of(&command).map(|option| option.get_id().to_string()).collect();
        let alone = command.mut_args(|option| option.env(None::<&str>)).no_binary_name(true);
        let matches = alone.try_get_matches_from([""; 0]).expect("nothing has to be given");
        let value = |name: &String| {
            let given: Vec<_> = matches.get_raw(name)?.map(|value| value.to_string_lossy().into_owned()).collect();
            Some(given.concat())
        };
        names.iter().map(|name| (name.clone(), value(name))).collect()
    }

    fn written(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("hitring-config-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).expect("it can be written");
        path
    }

    #[test]
    fn the_example_is_what_the_defaults_are() {
        let path = written("defaults", &example(&serve::command()));
        let filled = settings::with_file(serve::command(), &path).expect("it has no fault");
        assert_eq!(taken(filled), taken(serve::command()));
        std::fs::remove_file(path).expect("it is ours");
    }

    #[test]
    fn the_example_has_every_setting() {
        let command = serve::command();
        let text = example(&command);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        // Also those without a default: a line of the form `# name = value`.
        let set = |line: &str| line.strip_prefix("# ").filter(|line| line.contains(" = ")).map(str::to_owned);
        let all: Vec<String> = text.lines().map(|line| set(line).unwrap_or_else(|| line.to_owned())).collect();
        let path = written("every", &all.join("\n"));
        let filled = settings::with_file(command, &path).expect("the forms are right");
        let taken = taken(filled);
        assert!(
            taken.len() > 10 && taken.values().all(|value| value.as_ref().is_some_and(|value| !value.is_empty())),
            "{taken:?}"
        );
        std::fs::remove_file(path).expect("it is ours");
    }

    /// The table of docs/server.md has each option, its variable, its place in a file, and its default.
    #[test]
    fn the_documentation_has_every_setting() {
        let text = include_str!("../../docs/server.md");
        let rows: Vec<Vec<&str>> = text
            .lines()
            .filter(|line| line.starts_with("| `--"))
            .map(|line| line.split('|').skip(1).map(str::trim).collect())
            .collect();
        let command = serve::command();
        let code = |text: &str| format!("`{text}`");
        let mut options = command.get_arguments();
        for row in &rows {
            let option = options.next().expect("no option of the table is unknown");
            let long = option.get_long().expect("an option");
            let takes = option.get_value_names().map(|names| format!(" {}", names[0])).unwrap_or_default();
            assert_eq!(
                row[0],
                code(&format!("--{long}{}", if option.get_action().takes_values() { &*takes } else { "" }))
            );
            let variable = option.get_env().map(|name| code(&name.to_string_lossy())).unwrap_or_default();
            assert_eq!(row[1], variable, "{long}");
            let is_setting = settings::of(&command).any(|setting| setting.get_id() == option.get_id());
            let (table, name) = settings::place(option);
            let place = if table.is_empty() { code(name) } else { code(&format!("{table}.{name}")) };
            assert_eq!(row[2], if is_setting { &*place } else { "" }, "{long}");
            match option.get_default_values().first() {
                Some(value) if is_setting => assert_eq!(row[3], code(&value.to_string_lossy()), "{long}"),
                _ => assert!(!row[3].starts_with('`'), "{long} has no default"),
            }
        }
        assert_eq!(options.next().map(Arg::get_id), None, "the table has every option");
    }
}
