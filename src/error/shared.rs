//! [`SharedError`]: why a shared file cannot be used.
//!
//! Tests: `tests/surface`.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::{ConfigError, LimitError, SnapshotError};

/// Why a file of a [`SharedRegistry`](crate::SharedRegistry) cannot be made, opened or changed. The file is unchanged.
#[derive(Debug)]
#[non_exhaustive]
pub enum SharedError {
    /// The system refuses: the folder does not exist, a permission is missing, and the like.
    Io {
        /// The file.
        path: PathBuf,
        /// The step that failed.
        doing: &'static str,
        /// The system's error.
        error: io::Error,
    },
    /// The file is not a hitring file. Nothing was changed in it; choose another path.
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is shorter than when it was made: it was cut, or copied in part. The rest cannot be trusted; take a
    /// whole copy.
    Truncated {
        /// The file.
        path: PathBuf,
        /// How long it is.
        bytes: u64,
        /// The length with which it was made.
        wanted: u64,
    },
    /// Another version of hitring made the file. Use that version, or a later one.
    Version {
        /// The file.
        path: PathBuf,
        /// The file's format version.
        version: u32,
    },
    /// Fields in the file contradict each other. Put a whole copy in its place.
    Damaged {
        /// The file.
        path: PathBuf,
        /// The field that does not fit.
        what: &'static str,
    },
    /// The file was made with other settings. Open it as it is (`SharedRegistry::open`), or make a new file of it with
    /// `hitring compact`.
    Settings {
        /// The file.
        path: PathBuf,
        /// Which setting, as it is and as it was asked for.
        what: String,
    },
    /// The settings are not possible.
    Config(ConfigError),
    /// The disk has no room for the file. Free some space, or ask for fewer endpoints.
    NoSpace {
        /// The file.
        path: PathBuf,
        /// The bytes that it takes.
        bytes: u64,
    },
    /// The file would be larger than the largest possible one. Ask for fewer endpoints, names or visitors.
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file lies on a network file system, or on one that cannot be checked. Machines that count in one file do not
    /// see each other's hits. Put the file on a local disk or into /dev/shm.
    Network {
        /// The file.
        path: PathBuf,
        /// The kind of file system.
        filesystem: String,
    },
    /// Another process has the file open, or is changing it. Stop that process, or wait.
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file belongs to another user. If you trust that user, open it as it is (`SharedRegistry::open`).
    Owner {
        /// The file.
        path: PathBuf,
        /// The owner's number.
        uid: u32,
    },
    /// The registry was opened for reading only.
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The living endpoints do not fit into the file that was to be made. Ask for more endpoints.
    Full {
        /// The file.
        path: PathBuf,
        /// How many were asked for.
        max_endpoints: u32,
    },
    /// The snapshot cannot be taken in.
    Snapshot(SnapshotError),
    /// The limiter is not possible.
    Limit(LimitError),
}

#[cfg(target_os = "linux")]
impl SharedError {
    /// Wraps the error of the system at the step `doing`.
    pub(crate) fn io(path: impl Into<PathBuf>, doing: &'static str, error: io::Error) -> Self {
        Self::Io { path: path.into(), doing, error }
    }

    /// The file does not exist.
    pub(crate) fn missing(path: impl Into<PathBuf>) -> Self {
        Self::io(path, "it cannot be opened", io::Error::from_raw_os_error(libc::ENOENT))
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, doing, error } => write!(f, "{}: {doing}: {error}", path.display()),
            Self::Foreign { path } => {
                write!(f, "{} is not a hitring file; nothing was changed, choose another path", path.display())
            }
            Self::Truncated { path, bytes, wanted } => write!(
                f,
                "{} has {bytes} bytes of the {wanted} it was made with; it was cut or copied in part, take a whole copy",
                path.display()
            ),
            Self::Version { path, version } => write!(
                f,
                "{} has format version {version}, this hitring knows versions 1 and 2; use the hitring that made it",
                path.display()
            ),
            Self::Damaged { path, what } => {
                write!(f, "{} is damaged: its {what} is wrong; put a whole copy in its place", path.display())
            }
            Self::Settings { path, what } => write!(
                f,
                "{} was made with other settings ({what}); give those that it has, or open it as it is, or \
                 make a new file of it with 'hitring compact'",
                path.display()
            ),
            Self::Config(error) => error.fmt(f),
            Self::NoSpace { path, bytes } => write!(
                f,
                "{}: the disk has no room for its {bytes} bytes; free some, or ask for fewer endpoints or limits",
                path.display()
            ),
            Self::TooLarge { path } => write!(
                f,
                "{}: no file may be so large; ask for fewer endpoints, bytes of names, visitors or limits",
                path.display()
            ),
            Self::Network { path, filesystem } => write!(
                f,
                "{} lies on {filesystem}, where machines do not see each other's hits; put it on a local disk or into \
                 /dev/shm",
                path.display()
            ),
            Self::InUse { path } => {
                write!(f, "{}: another process has it open or is changing it; stop that one, or wait", path.display())
            }
            Self::Owner { path, uid } => write!(
                f,
                "{} belongs to another user ({uid}); if you trust that user, open it as it is",
                path.display()
            ),
            Self::ReadOnly { path } => {
                write!(f, "{} was opened for reading only; open it for writing", path.display())
            }
            Self::Full { path, max_endpoints } => {
                write!(f, "{}: {max_endpoints} endpoints are too few for what is alive; ask for more", path.display())
            }
            Self::Snapshot(error) => error.fmt(f),
            Self::Limit(error) => error.fmt(f),
        }
    }
}

impl Error for SharedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Config(error) => Some(error),
            Self::Snapshot(error) => Some(error),
            Self::Limit(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ConfigError> for SharedError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<SnapshotError> for SharedError {
    fn from(error: SnapshotError) -> Self {
        Self::Snapshot(error)
    }
}

impl From<LimitError> for SharedError {
    fn from(error: LimitError) -> Self {
        Self::Limit(error)
    }
}
