//! Files that are written whole or not at all.
//!
//! The bytes are written to a new file beside the old one, brought to the disk, and the new file takes the old one's
//! name in one step. Then the directory is brought to the disk, so that the new name survives a crash. A process that
//! reads meanwhile sees the old file or the new one. When anything fails, the new file is removed and the old one is
//! unchanged.
//!
//! A new file may be read and written only by its owner, because names of endpoints can be private. A file that was
//! there keeps its permissions.
//!
//! Tests: below, `tests/merge`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::sync::{Ordering, process};

/// Replaces the contents of the file at `path` by `bytes`.
///
/// # Errors
/// The system's error; the file is unchanged.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "the path names no file");
    let name = path.file_name().ok_or_else(no_name)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (new, mut file) = create(folder, name)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| keep_permissions(path, &file))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // The error to report is that of the write, not of this removal.
        let _ = fs::remove_file(&new);
    }
    written?;
    sync(folder)
}

/// Creates a file in `folder` that did not exist.
fn create(folder: &Path, name: &std::ffi::OsStr) -> io::Result<(PathBuf, File)> {
    static NUMBER: process::AtomicU64 = process::AtomicU64::new(0);
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut new = std::ffi::OsString::from(".");
        new.push(name);
        new.push(format!(".{}-{number}.new", std::process::id()));
        let new = folder.join(new);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&new) {
            Ok(file) => return Ok((new, file)),
            // A killed process of the same number left this file behind; try the next name.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

fn keep_permissions(path: &Path, file: &File) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(old) => file.set_permissions(old.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Brings a folder's names to the disk, where folders can be opened.
fn sync(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    let _ = folder;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("hitring-file-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder for temporary files can be made");
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("the folder can be read");
        entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = folder("replaced");
        let path = folder.join("counts");
        for bytes in [&b"one"[..], b"", b"three"] {
            write(&path, bytes).expect("the folder can be written");
            assert_eq!(fs::read(&path).expect("the file is there"), bytes);
        }
        assert_eq!(names(&folder), ["counts"], "nothing is left beside it");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = || fs::metadata(&path).expect("the file is there").permissions().mode() & 0o777;
            assert_eq!(mode(), 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("it is ours");
            write(&path, b"four").expect("the folder can be written");
            assert_eq!(mode(), 0o640);
        }
        fs::remove_dir_all(folder).expect("it is ours");
    }

    #[test]
    fn what_fails_leaves_everything_as_it_was() {
        let folder = folder("fails");
        // A folder cannot be replaced by a file.
        let taken = folder.join("taken");
        fs::create_dir_all(taken.join("inside")).expect("it is ours");
        assert!(write(&taken, b"bytes").is_err());
        assert_eq!(names(&folder), ["taken"]);
        assert!(write(&folder.join("nowhere").join("counts"), b"bytes").is_err());
        assert!(write(Path::new("/"), b"bytes").is_err());
        assert!(write(Path::new(".."), b"bytes").is_err());
        fs::remove_dir_all(folder).expect("it is ours");
    }
}
