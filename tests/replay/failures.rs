//! What cannot be answered: one clear line on stderr, nothing on stdout, exit code 1; 2 for a wrong command line.

use std::ffi::OsStr;
use std::fs;

use super::{Folder, data, gzip, line, program, replay};

/// Runs with `--json` and without; both must fail alike. Returns the one line without `hitring: `.
fn failure<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> String {
    let arguments: Vec<_> = arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
    let output = replay(&arguments);
    let as_json =
        replay([OsStr::new("--json")].into_iter().chain(arguments.iter().map(|argument| argument.as_os_str())));
    assert_eq!(output.stderr, as_json.stderr);
    assert!(output.stdout.is_empty() && as_json.stdout.is_empty(), "no answer that could pass for whole");
    assert_eq!((output.status.code(), as_json.status.code()), (Some(1), Some(1)));
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
    text.strip_prefix("hitring: ").expect("the program's name in front").trim_end().to_owned()
}

#[test]
fn a_file_that_is_not_there() {
    let folder = Folder::new();
    let missing = folder.0.join("missing.log");
    let expected = format!("{}: no such file", missing.display());
    assert_eq!(failure([&missing]), expected);
    assert_eq!(failure([&data("combined.log"), &missing]), expected, "also beside a good one");
    assert_eq!(failure([&missing, &data("combined.log")]), expected);
}

#[test]
fn a_folder() {
    let folder = Folder::new();
    let name = folder.0.display();
    assert_eq!(failure([&folder.0]), format!("{name}: is a folder; name the files in it, for example {name}/*.log"));
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let log = folder.file("secret.log", line("a", 1, "/"));
    fs::set_permissions(&log, fs::Permissions::from_mode(0o000)).expect("permissions");
    if fs::File::open(&log).is_ok() {
        // The superuser may read everything; a process's memory at address 0 it cannot.
        assert!(failure(["/proc/self/mem"]).starts_with("/proc/self/mem: "));
        return;
    }
    assert_eq!(failure([&log]), format!("{}: permission denied", log.display()));
}

#[test]
fn gzip_that_ends_too_early_or_is_damaged() {
    let folder = Folder::new();
    let text: Vec<u8> = (0..3_000_u32)
        .flat_map(|n| (line("a", n, &format!("/{}", n.wrapping_mul(2_654_435_761))) + "\n").into_bytes())
        .collect();
    let whole = gzip(&text);
    for length in [2, 9, 30, whole.len() / 2, whole.len() - 9, whole.len() - 8, whole.len() - 1] {
        let cut = folder.file("cut.gz", &whole[..length]);
        let text = failure([&cut]);
        assert!(text.starts_with(&format!("{}: the gzip data ends too early", cut.display())), "{length}: {text}");
    }
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 40].fill(0xff);
    assert!(failure([folder.file("damaged.gz", &damaged)]).contains("damaged gzip data"));
    let mut checksum = whole.clone();
    let last = checksum.len() - 6;
    checksum[last] ^= 1;
    assert!(failure([folder.file("checksum.gz", &checksum)]).contains("damaged gzip data"));
    let trailing = folder.file("garbage.gz", [&whole[..], b"garbage"].concat());
    assert_eq!(
        failure([&trailing]),
        format!(
            "{0}: something that is not gzip data follows the gzip data; to count what is before it: gzip -dc {0} | hitring replay -",
            trailing.display()
        )
    );
}

#[test]
fn other_formats_are_named_with_their_cure() {
    let folder = Folder::new();
    let bzip2 = folder.file("a.log", b"BZh91AY&SY\x01\x02\x03");
    assert_eq!(
        failure([&bzip2]),
        format!("{0}: is compressed with bzip2; unpack it first: bzip2 -dc {0} | hitring replay -", bzip2.display())
    );
    assert!(
        failure([folder.file("b", b"\xfd7zXZ\0\0\x04")]).contains("is compressed with xz; unpack it first: xz -dc ")
    );
    assert!(failure([folder.file("c", gzip(&gzip(b"a")))]).contains("is gzip data inside gzip data"));
    assert!(failure([folder.file("d", b"\x89PNG\r\n\x1a\n")]).contains("is a PNG image; give an access log"));
    let mut tar = vec![0; 1_024];
    tar[..5].copy_from_slice(b"a.log");
    tar[257..262].copy_from_slice(b"ustar");
    tar.extend_from_slice(line("a", 1, "/").as_bytes());
    assert!(failure([folder.file("e.tar.gz", gzip(&tar))]).contains("is a tar archive; unpack it first: tar -xOf "));
    let utf16: Vec<u8> =
        [0xfeff].into_iter().chain(line("a", 1, "/").encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert!(failure([folder.file("f", utf16)]).contains("is UTF-16 text"));
    let utf32: Vec<u8> =
        [0xfeff].into_iter().chain(line("a", 1, "/").chars().map(u32::from)).flat_map(u32::to_le_bytes).collect();
    assert!(failure([folder.file("g", utf32)]).contains("is UTF-32 text; unpack it first: iconv -f UTF-32 -t UTF-8 "));
}

#[cfg(unix)]
#[test]
fn cures_can_be_typed_whatever_the_name() {
    let folder = Folder::new();
    let name = folder.0.join("my x;y'z.bz2");
    std::fs::write(&name, b"BZh91AY&SY\n").expect("a file");
    let said = failure([&name]);
    let quoted = format!("bzip2 -dc '{}/my x;y'\\''z.bz2' | hitring replay -", folder.0.display());
    assert!(said.ends_with(&quoted), "{said}");
}

/// A host may be called so: a signature alone refuses no file whose first line parses.
#[test]
fn a_log_that_begins_like_another_format_is_read() {
    let folder = Folder::new();
    let answer = super::json([folder.file("a.log", line("BZh.example", 1, "/"))]);
    assert_eq!(answer["events"], 1);
}

#[test]
fn a_file_in_which_no_line_parses() {
    let folder = Folder::new();
    let json_lines = folder.file("json.log", "{\"a\":1}\n".repeat(15));
    assert_eq!(
        failure([&json_lines]),
        format!(
            "{}: unknown format (it looks like JSON lines): none of its 15 lines is a hit: no known field has \
             a time; name it with --field time=NAME; see the reasons with --show-malformed, and the formats with --help",
            json_lines.display()
        )
    );
    let same = folder.file("same.log", "{\"a\":1}\n");
    assert!(failure([&json_lines, &same]).starts_with(&json_lines.display().to_string()), "the first is named");
    assert!(failure([folder.file("one", "a")]).contains("unknown format: its only line is not a hit in any format"));
    assert!(failure([folder.file("newline", "\n")]).contains("unknown format"));
    assert!(failure([folder.file("nul", [0; 5_000])]).contains("it looks like binary data"));
    assert!(failure([folder.file("long", vec![b'x'; (16 << 20) + 5])]).contains("its only line is not"));
}

#[test]
fn gzip_behind_text() {
    let folder = Folder::new();
    let both = folder.file("both", [line("a", 1, "/").as_bytes(), b"\n", &gzip(line("b", 2, "/").as_bytes())].concat());
    assert_eq!(
        failure([&both]),
        format!(
            "{}: gzip data begins in line 2, behind text; give the text and the gzip data as files of their own",
            both.display()
        )
    );
}

/// As images of containers link their logs: reading would wait for what the program itself writes.
#[cfg(target_os = "linux")]
#[test]
fn what_the_program_itself_writes_to() {
    let folder = Folder::new();
    let log = folder.0.join("access.log");
    std::os::unix::fs::symlink("/dev/stdout", &log).expect("a link");
    let text = failure([&log]);
    assert!(text.starts_with(&format!("{}: is what this program writes to; container", log.display())), "{text}");
    assert!(failure(["/dev/stderr"]).contains("docker logs NAME | hitring replay -"));
}

#[test]
fn stdin_named_twice() {
    assert_eq!(failure(["-", "-"]), "stdin (-) can be read only once; name it once");
}

#[test]
fn wrong_command_lines_exit_with_2() {
    let log = data("combined.log");
    let log = log.to_str().expect("UTF-8");
    for (arguments, told) in [
        (vec!["replay"], "FILE"),
        (vec!["replay", log, "--at", "yesterday"], "RFC 3339"),
        (vec!["replay", log, "--at", "2000-10-10T13:55:36"], "zone"),
        (vec!["replay", log, "--last", "-1"], "negative"),
        (vec!["replay", log, "--last", "5x"], "5m"),
        (vec!["replay", log, "--top", "-1"], "--top"),
        (vec!["replay", log, "--tpo", "1"], "--tpo"),
        (vec!["replya", log], "replay"),
        (vec![], "Usage"),
    ] {
        let output = program().args(&arguments).output().expect("the program starts");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && text.contains(told), "{arguments:?}: {text}");
    }
}

#[test]
fn version_and_help() {
    let output = program().arg("--version").output().expect("the program starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("hitring {}\n", env!("CARGO_PKG_VERSION")));
    assert!(output.status.success() && output.stderr.is_empty());
    let help = program().args(["replay", "--help"]).output().expect("the program starts");
    let text = String::from_utf8_lossy(&help.stdout);
    assert!(help.status.success());
    for option in ["--json", "--at <T>", "--last <TIME>", "--path <P>", "--top <N>", "--show-malformed", "<FILE>..."] {
        assert!(text.contains(option), "{option} is missing in {text}");
    }
}
