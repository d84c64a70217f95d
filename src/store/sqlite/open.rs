//! [`Database`]: the open database, checked, and of this version.
//!
//! ```text
//! only the log is left --> refused   SQLite would write it into a new file
//! the file is missing  --> made under another name, brought to the disk, then given its name
//! another's file       --> refused   the first 100 bytes are read; SQLite does not open it
//! a newer version      --> refused   SQLite reads it, but leaves its log as it is
//! a damaged file       --> refused   it is never made anew
//! an earlier version   --> migrated  a step a transaction (schema.rs)
//! ```
//! Refused files stay as they were, byte for byte. A server that is killed at any step leaves a file that the next server can open.
//!
//! A copy is a separate database, because servers may write to the original and to the copy, and their decisions differ. So a
//! database notes which file it is. A server that finds another file noted begins a new ledger in the copy ([`flushed`]).
//!
//! SQLite keeps what was written last in a log beside the file (`-wal`). So the version in the file itself may be an earlier one.
//!
//! Tests: below, `tests/python/integration/test_serve_database.py`.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::flushed;
use super::schema::{self, APPLICATION, STEPS, VERSION};
use crate::cell::writer::Replica;
use crate::shared::Origin;
use crate::time::clock::SteadyClock;

/// How long another process may hold the lock of a writer, as the shell `sqlite3` does within a transaction.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long a reader waits, on a thread that answers requests.
pub const MOMENT: Duration = Duration::from_millis(20);
/// How long damage is looked for when a database is opened.
const LOOK: Duration = Duration::from_millis(500);
/// How many instructions of SQLite pass between two looks at the clock.
const INSTRUCTIONS: i32 = 10_000;
/// How a database file begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The open database.
#[derive(Debug)]
pub struct Database {
    pub connection: Connection,
    path: PathBuf,
    /// Which file it is.
    origin: [u8; 16],
}

/// Why a database cannot be used. One that is refused is as it was.
#[derive(Debug)]
pub enum OpenError {
    /// The file is not of hitring.
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A later version of hitring wrote it.
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The file is missing, and the log of what was written to it last is there.
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds the lock of a writer.
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// What the database has could not be shown in the ring.
    Ring {
        /// What the ring said.
        why: String,
    },
    /// The file belongs to another user.
    Owner {
        /// The file.
        path: PathBuf,
        /// Their number.
        owner: u32,
    },
    /// Something in it cannot be.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        why: String,
    },
    /// What the system or SQLite said.
    Failed {
        /// The file.
        path: PathBuf,
        /// What it said.
        why: String,
    },
}

impl Database {
    /// Opens the database at `path`, or makes it if it does not exist.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |error: io::Error| OpenError::Failed { path: path.into(), why: error.to_string() };
        sweep(path).map_err(failed)?;
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::metadata(log_of(path)).is_ok_and(|log| log.len() > 0) {
                    return Err(OpenError::Missing { path: path.into() });
                }
                create(path)?;
            }
            Err(error) => return Err(failed(error)),
            Ok(_) => {}
        }
        let origin = refuse(path)?;
        // From here on this process does not open the file itself: to close it would give back the locks that SQLite has.
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(error_of(path))?;
        // Until it is clear that the file may be changed (`accept`). SQLite would write its log into it at the end.
        let config = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        connection.set_db_config(config, true).map_err(error_of(path))?;
        // Once more, as the log may have other numbers.
        let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let application = number("application_id").map_err(error_of(path))?;
        let version = number("user_version").map_err(error_of(path))?;
        accept(path, application, version)?;
        let damage = look(&mut connection).and_then(|damage| match damage {
            None if version == i64::from(VERSION) => schema::differs(&connection),
            damage => Ok(damage),
        });
        if let Some(why) = damage.map_err(error_of(path))? {
            return Err(OpenError::Damaged { path: path.into(), why });
        }
        // A copy that was made by `VACUUM INTO` has another: its writers wait for readers.
        let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        let mode = mode.map_err(error_of(path))?;
        if mode != "wal" {
            return Err(OpenError::Failed {
                path: path.into(),
                why: format!("its journal mode stays {mode}, not WAL"),
            });
        }
        connection.pragma_update(None, "synchronous", "FULL").map_err(error_of(path))?;
        schema::migrate(&mut connection, STEPS).map_err(error_of(path))?;
        Ok(Self { connection, path: path.into(), origin })
    }

    /// Begins a new ledger if this database is a copy. This is called only once the start has accepted the ring, because the log of
    /// a refused start would not fit a file that is put in the place of this one.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn own(&mut self) -> Result<(), OpenError> {
        flushed::own(&mut self.connection, self.origin).map_err(error_of(&self.path))
    }

    /// Lets SQLite write its log into the file when the database is closed. Before this call the file is not written, because the
    /// start may still refuse it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn accept(&self) -> Result<(), OpenError> {
        let config = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        let set = self.connection.set_db_config(config, false);
        set.map(drop).map_err(|error| self.error(error))
    }

    /// Opens it once more, for reading alone. In a log for writers ahead a reader waits for nothing, so it does not wait for long.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn reader(&self) -> Result<Connection, OpenError> {
        let reader = connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(error_of(&self.path))?;
        reader.busy_timeout(MOMENT).map_err(error_of(&self.path))?;
        Ok(reader)
    }

    /// Opens it once more, for writing.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn again(&self) -> rusqlite::Result<Connection> {
        connect(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    /// Under which replica the ring shows the hits of the ledger.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn ledger(&self) -> Result<Replica, OpenError> {
        let ledger = self.connection.query_row("SELECT ledger FROM meta", [], |row| row.get(0));
        ledger.map(Replica::from_bytes).map_err(|error| self.error(error))
    }

    /// Which ring file belongs to it; `None` if none was made yet.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn ring(&self) -> Result<Option<[u8; 16]>, OpenError> {
        let ring = self.connection.query_row("SELECT ring FROM meta", [], |row| row.get(0));
        ring.map_err(|error| self.error(error))
    }

    /// Under which replica that counted when it was last written down; `None` if it never was.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn writer(&self) -> Result<Option<Replica>, OpenError> {
        flushed::writer(&self.connection).map_err(|error| self.error(error))
    }

    /// What an error of SQLite says of this database.
    #[must_use]
    pub fn error(&self, error: rusqlite::Error) -> OpenError {
        error_of(&self.path)(error)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

fn error_of(path: &Path) -> impl Fn(rusqlite::Error) -> OpenError {
    move |error| {
        let why = match &error {
            rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
            error => error.to_string(),
        };
        let path = path.into();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => OpenError::Damaged { path, why },
            // A schema that lacks what this version has, or a value that is not of its type.
            _ if matches!(error, rusqlite::Error::SqlInputError { .. } | rusqlite::Error::QueryReturnedNoRows) => {
                OpenError::Damaged { path, why }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Locked { path },
            _ => OpenError::Failed { path, why },
        }
    }
}

/// Refuses the numbers of another program, or of a later version.
fn accept(path: &Path, application: i64, version: i64) -> Result<(), OpenError> {
    if application != i64::from(APPLICATION) {
        return Err(OpenError::Foreign { path: path.into() });
    }
    match u32::try_from(version) {
        Ok(1..=VERSION) => Ok(()),
        Ok(version) if version > VERSION => Err(OpenError::Newer { path: path.into(), version }),
        _ => Err(OpenError::Damaged { path: path.into(), why: format!("its version is {version}") }),
    }
}

/// Refuses what is not ours to open; answers which file it is.
fn refuse(path: &Path) -> Result<[u8; 16], OpenError> {
    let failed = |error: io::Error| OpenError::Failed { path: path.into(), why: error.to_string() };
    let foreign = || OpenError::Foreign { path: path.into() };
    let data = fs::symlink_metadata(path).map_err(failed)?;
    if data.is_symlink() {
        return Err(OpenError::Failed {
            path: path.into(),
            why: "it is a link; give the directory that has the file".to_owned(),
        });
    }
    if !data.is_file() {
        return Err(foreign());
    }
    // SAFETY: it only answers a number.
    let own = unsafe { libc::geteuid() };
    if data.uid() != own && data.uid() != 0 {
        return Err(OpenError::Owner { path: path.into(), owner: data.uid() });
    }
    // For writing, so that a file that cannot be written is reported here, in the words of the system.
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
    let mut head = [0; 100];
    file.read_exact(&mut head).map_err(|_| foreign())?;
    let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if &head[..16] != MAGIC {
        return Err(foreign());
    }
    accept(path, number(68).into(), i64::from(number(60).cast_signed()))?;
    // Not of the boot: the database does not depend on what the kernel had in its memory.
    let Origin { inode, birth, .. } = Origin::of(&file).map_err(failed)?;
    Ok((u128::from(inode) << 64 | u128::from(birth)).to_be_bytes())
}

/// Makes a database at `path`, which does not exist yet.
fn create(path: &Path) -> Result<(), OpenError> {
    let draft = draft_of(path, std::process::id());
    let failed = |error: io::Error| OpenError::Failed { path: path.into(), why: error.to_string() };
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(failed)?;
    let filled = fill(&draft).map_err(error_of(path));
    let made = filled.and_then(|()| {
        // SQLite has brought it to the disk. A link does not replace a file that came meanwhile.
        File::open(&draft).and_then(|file| file.sync_all()).map_err(failed)?;
        fs::hard_link(&draft, path).map_err(failed)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    });
    let _ = sweep(path);
    made
}

fn fill(draft: &Path) -> rusqlite::Result<()> {
    let mut connection = connect(draft, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // It stays so, and is in the file when that gets its name.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    schema::migrate(&mut connection, STEPS)?;
    let (secret, ledger) = (random(), Replica::new());
    let ledger = ledger.to_bytes();
    let meta = "INSERT INTO meta (id, batch, ledger, secret, age) VALUES (1, 0, ?1, ?2, 0)";
    connection.execute(meta, (ledger, secret))?;
    connection.close().map_err(|(_, error)| error)
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    if SysRng.try_fill_bytes(&mut bytes).is_err() {
        // Old kernels without a source of random numbers: a number of this machine and moment.
        bytes[..8].copy_from_slice(&SteadyClock.nanos(false).to_le_bytes());
        bytes[8..12].copy_from_slice(&std::process::id().to_le_bytes());
    }
    bytes
}

/// Where SQLite keeps what was written last.
fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// The name under which a process makes a database.
fn draft_of(path: &Path, process: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".new-{process}"));
    name.into()
}

/// Removes what servers left that were killed while they made a database. The caller has the directory's lock.
fn sweep(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut beginning = path.file_name().unwrap_or_default().to_owned();
    beginning.push(".new-");
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let rest = name.as_encoded_bytes().strip_prefix(beginning.as_encoded_bytes()).unwrap_or_default();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 && [&b""[..], b"-wal", b"-shm", b"-journal"].contains(&&rest[digits..]) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Looks for damage, for half a second at most, and answers what it found.
fn look(connection: &mut Connection) -> rusqlite::Result<Option<String>> {
    let begun = SteadyClock.nanos(true);
    let is_over = move || u128::from(SteadyClock.nanos(true).saturating_sub(begun)) > LOOK.as_nanos();
    connection.progress_handler(INSTRUCTIONS, Some(is_over))?;
    let found = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    connection.progress_handler(0, None::<fn() -> bool>)?;
    match found {
        Ok(found) => Ok(Some(found).filter(|found| found != "ok")),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(None),
        Err(error) => Err(error),
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { path } => write!(
                f,
                "{} is not a database of hitring; it was not changed. Move it away, or give another directory",
                path.display()
            ),
            Self::Newer { path, version } => write!(
                f,
                "{} was written by a later version of hitring (its format is {version}, and this program knows up to \
                 {VERSION}); it was not changed. Update hitring",
                path.display()
            ),
            Self::Missing { path } => write!(
                f,
                "{} is missing, but its log {} is there. Put the file back, or move the log away to begin anew",
                path.display(),
                log_of(path).display()
            ),
            Self::Ring { why } => f.write_str(why),
            Self::Locked { path } => write!(
                f,
                "{}: another process holds its lock, as `sqlite3` does within a transaction; end that, and start again",
                path.display()
            ),
            Self::Owner { path, owner } => write!(
                f,
                "{} belongs to user {owner}; run the server as that user, or give another directory",
                path.display()
            ),
            Self::Damaged { path, why } => write!(
                f,
                "{} is damaged ({why}); it was not changed. Put a backup of it in its place and remove hitring.db-wal, \
                 or save what can be read with `sqlite3 hitring.db .recover`",
                path.display()
            ),
            Self::Failed { path, why } => write!(f, "{}: {why}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of the test's own.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("hitring-open-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("it can be made");
        folder
    }

    fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("an entry"));
        let entries = entries.filter(|entry| !entry.path().to_string_lossy().ends_with("-shm"));
        let content = |path: &Path| fs::read(path).unwrap_or_default();
        let mut files: Vec<_> =
            entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), content(&entry.path()))).collect();
        files.sort();
        files
    }

    #[test]
    fn a_database_is_made_once_for_its_owner_alone() {
        let folder = folder("made");
        let path = folder.join("hitring.db");
        fs::write(folder.join("hitring.db.new-1"), "left by a killed server").expect("it can be written");
        let secret = |database: &Database| -> Vec<u8> {
            database.connection.query_row("SELECT secret FROM meta", [], |row| row.get(0)).expect("one row")
        };
        let database = Database::open(&path).expect("it can be made");
        let first = secret(&database);
        assert_eq!((first.len(), fs::metadata(&path).expect("it is there").mode() & 0o777), (16, 0o600));
        database.accept().expect("it is open");
        drop(database);
        let names = |files: Vec<(String, Vec<u8>)>| files.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(files(&folder)), ["hitring.db"]);
        assert_eq!(secret(&Database::open(&path).expect("it is there")), first);
        fs::remove_dir_all(folder).expect("it is ours");
    }

    #[test]
    fn what_is_refused_stays_as_it_was() {
        let folder = folder("refused");
        let path = folder.join("hitring.db");
        let refused = |what: &str, is_right: fn(&OpenError) -> bool| {
            let before = files(&folder);
            let error = Database::open(&path).expect_err(what);
            assert!(is_right(&error), "{what}: {error:?}");
            assert!(error.to_string().contains("hitring.db"), "{error}");
            assert!(files(&folder) == before, "{what} was changed");
        };
        let is_foreign = |error: &OpenError| matches!(error, OpenError::Foreign { .. });
        fs::write(&path, "").expect("it can be written");
        refused("an empty file", is_foreign);
        fs::write(&path, "x".repeat(4_096)).expect("it can be written");
        refused("a text", is_foreign);
        fs::remove_file(&path).expect("it is there");
        let other = Connection::open(&path).expect("it can be made");
        other.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE theirs (a)").expect("it can be written");
        refused("another's database, open", is_foreign);
        drop(other);
        refused("another's database", is_foreign);
        fs::remove_file(&path).expect("it is there");
        fs::create_dir(&path).expect("it can be made");
        refused("a folder", is_foreign);
        fs::remove_dir(&path).expect("it is there");

        let is_newer = |error: &OpenError| matches!(error, OpenError::Newer { version: 99, .. });
        let database = Database::open(&path).expect("it can be made");
        database.connection.pragma_update(None, "user_version", 99).expect("it can be written");
        // Its version is in the log alone, as a server leaves it that is killed right after it has migrated.
        drop(database);
        assert_eq!(files(&folder).len(), 2, "the file and its log");
        refused("a newer version in the log", is_newer);
        fs::rename(&path, folder.join("away")).expect("it is there");
        refused("a log without its file", |error| matches!(error, OpenError::Missing { .. }));
        fs::rename(folder.join("away"), &path).expect("it is there");
        Connection::open(&path).expect("it opens").execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("it fits");
        refused("a newer version", is_newer);
        fs::remove_dir_all(folder).expect("it is ours");
    }

    #[test]
    fn a_damaged_file_is_named_and_stays_as_it_was() {
        let folder = folder("damaged");
        let path = folder.join("hitring.db");
        let database = Database::open(&path).expect("it can be made");
        let insert = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
            INSERT INTO resource SELECT printf('%05d', i), 'name', i FROM n";
        database.connection.execute(insert, []).expect("it fits");
        database.accept().expect("it is open");
        drop(database);
        let whole = fs::read(&path).expect("it is there");
        assert!(whole.len() > 20 * 4_096);
        let cut = |bytes: &mut Vec<u8>| bytes.truncate(5 * 4_096);
        let scribbled = |bytes: &mut Vec<u8>| bytes[4_096 * 3..4_096 * 4].fill(0x5a);
        let without_schema = |bytes: &mut Vec<u8>| bytes[100..4_096].fill(0);
        for damage in [cut, scribbled, without_schema] as [fn(&mut Vec<u8>); 3] {
            let mut bytes = whole.clone();
            damage(&mut bytes);
            fs::write(&path, &bytes).expect("it can be written");
            let error = Database::open(&path).expect_err("it is damaged");
            assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
            assert!(fs::read(&path).expect("it is there") == bytes, "it was changed");
        }
        fs::write(&path, &whole).expect("it can be written");
        assert!(Database::open(&path).is_ok());
        fs::remove_dir_all(folder).expect("it is ours");
    }
}
