//! Making and opening a [`SharedRegistry`].
//!
//! Tests: `tests/shared`.

use std::path::Path;
use std::time::Duration;

use super::core::Core;
use super::file::{self, Access, RingFile};
use super::format::finds::room_for;
use super::format::header::Header;
use super::format::layout::{Layout, Room};
use super::registry::SharedRegistry;
use super::{renew, rewrite};
use crate::counter::query::Times;
use crate::error::{ConfigError, SharedError};
use crate::events::watch::Watch;
use crate::sketch::hyperloglog::precision::Precision;
use crate::time::Resolution;
use crate::time::clock::Clock;
use crate::window::geometry::Geometry;

/// Room for the name of an endpoint, its own 32 bytes included.
const NAME_BYTES: u64 = 128;
/// Words for the visitors of an endpoint.
const VISITORS: u64 = 64;
/// Endpoints.
const ENDPOINTS: u32 = 10_000;
/// Keys of limiters.
const LIMITS: u64 = 10_000;

/// The parts of a [`SharedRegistry`] before its file is made or opened.
///
/// The settings of a file never change: opening it takes them from the file. [`create`](Self::create) refuses a file whose window,
/// resolution, slack or precision are not those that were asked for, or whose room is not, if any was asked for.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `create`, `open` or `read` is called"]
pub struct SharedBuilder {
    window: Duration,
    resolution: Duration,
    slack: u32,
    precision: u8,
    max_endpoints: Option<u32>,
    name_bytes: Option<u64>,
    visitors: Option<u64>,
    limits: Option<u64>,
    max_skew: Option<Duration>,
    clock: Clock,
    catch_sigbus: bool,
}

impl Default for SharedBuilder {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(300),
            resolution: Duration::from_secs(1),
            slack: 20,
            precision: Precision::REDIS.bits(),
            max_endpoints: None,
            name_bytes: None,
            visitors: None,
            limits: None,
            max_skew: None,
            clock: Clock::System,
            catch_sigbus: true,
        }
    }
}

impl SharedBuilder {
    /// The longest span a query may cover, 300 seconds by default: a whole number of ticks, 1 to 2^20 of them.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// The width of a tick, one second by default: a whole number of microseconds, at least one millisecond.
    pub fn resolution(mut self, resolution: Duration) -> Self {
        self.resolution = resolution;
        self
    }

    /// How many slots there are beyond the window, 20 by default; see [`Builder::slack`](crate::Builder::slack).
    pub fn slack(mut self, slack: u32) -> Self {
        self.slack = slack;
        self
    }

    /// How finely visitors are told apart: by 4 to 18 bits, 14 by default.
    pub fn precision(mut self, precision: u8) -> Self {
        self.precision = precision;
        self
    }

    /// How many endpoints there is room for, 10,000 by default. A name that is used again after its removal takes another place,
    /// and so does each merged registry for each of its endpoints. An endpoint of 320 slots takes 3.3 KB of the file.
    pub fn max_endpoints(mut self, max_endpoints: u32) -> Self {
        self.max_endpoints = Some(max_endpoints);
        self
    }

    /// The room for names: each takes its bytes and 32 more, rounded up to 64. 128 an endpoint by default.
    pub fn name_bytes(mut self, name_bytes: u64) -> Self {
        self.name_bytes = Some(name_bytes);
        self
    }

    /// The room for visitors, in words of 8 bytes: an endpoint with visitors takes 16, and 32, 64 and so on more as
    /// different ones come. 64 an endpoint by default.
    pub fn visitors(mut self, visitors: u64) -> Self {
        self.visitors = Some(visitors);
        self
    }

    /// How many keys of limiters there is room for, 192 bytes each; 10,000 by default. See [`SharedLimiter`](crate::SharedLimiter).
    pub fn limits(mut self, limits: u64) -> Self {
        self.limits = Some(limits);
        self
    }

    /// How far ahead of the clock a hit may be stamped, and how far back the clock may step before ticks follow it; at most
    /// the slack, which is also the default. Hits from further ahead are refused as `Future`.
    pub fn max_skew(mut self, max_skew: Duration) -> Self {
        self.max_skew = Some(max_skew);
        self
    }

    /// Where the time comes from; the system clock by default.
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// Whether the process survives that the file is cut while it is open; it does by default. A handler of `SIGBUS` sees to
    /// that: it is installed when the first file is opened, stays for the life of the process, and hands on every signal that is
    /// not of a cut file. Without it, touching a page that was cut off ends the process, as with any other mapped file.
    pub fn catch_sigbus(mut self, catch_sigbus: bool) -> Self {
        self.catch_sigbus = catch_sigbus;
        self
    }

    /// Makes the file at `path`, or opens the one that is there. Of several processes that do so at a time one makes it and the
    /// others open that.
    ///
    /// # Errors
    /// [`SharedError`]; nothing was changed.
    pub fn create(self, path: impl AsRef<Path>) -> Result<SharedRegistry, SharedError> {
        let path = path.as_ref();
        let layout = self.layout(path)?;
        self.check_skew(&layout.geometry)?;
        loop {
            match renew::attach(path, false, self.catch_sigbus, |found| self.check_settings(path, &layout, found))? {
                Some((file, header)) => return self.registry(file, header),
                None => {
                    // If another process made it first, the next turn opens it. A link that leads nowhere is refused.
                    let made = rewrite::make(path, layout.clone(), self.clock.now())?;
                    if !made && std::fs::symlink_metadata(path).is_ok_and(|data| data.is_symlink()) && !path.exists() {
                        return Err(SharedError::missing(path));
                    }
                }
            }
        }
    }

    /// Opens the file at `path`, with the settings that it has.
    ///
    /// # Errors
    /// [`SharedError`]; nothing was changed.
    pub fn open(self, path: impl AsRef<Path>) -> Result<SharedRegistry, SharedError> {
        let path = path.as_ref();
        let (file, header) =
            renew::attach(path, true, self.catch_sigbus, |_| Ok(()))?.ok_or_else(|| SharedError::missing(path))?;
        self.registry(file, header)
    }

    /// The same for reading only; it never writes to the file. While a file is open for reading, a process that opens it for
    /// writing as a copy, or after a boot, begins the new writer in a new file, which takes longer.
    ///
    /// # Errors
    /// [`SharedError`].
    pub fn read(self, path: impl AsRef<Path>) -> Result<SharedRegistry, SharedError> {
        let path = path.as_ref();
        let found = file::find(path, Access::Read)?.ok_or_else(|| SharedError::missing(path))?;
        let file = RingFile::map(found.file, path, Access::Read, self.catch_sigbus, found.header.layout.words)?;
        self.registry(file, found.header)
    }

    fn layout(&self, path: &Path) -> Result<Layout, SharedError> {
        let resolution = Resolution::new(self.resolution).map_err(ConfigError::from)?;
        let geometry = Geometry::new(resolution, self.window, self.slack)?;
        let given = self.precision;
        let precision = Precision::new(given).map_err(|_| ConfigError::Precision { given })?;
        let endpoints = self.max_endpoints.unwrap_or(ENDPOINTS);
        if endpoints == 0 {
            return Err(ConfigError::NoEndpoints.into());
        }
        let each = |words: u64| words.saturating_mul(endpoints.into());
        let room = Room {
            endpoints,
            names: self.name_bytes.unwrap_or_else(|| each(NAME_BYTES)),
            visitors: self.visitors.unwrap_or_else(|| each(VISITORS)),
            limits: self.limits.unwrap_or(LIMITS),
            frozen: 0,
            gap: 0,
            finds: room_for(endpoints),
        };
        Layout::new(geometry, precision, room).ok_or_else(|| SharedError::TooLarge { path: path.into() })
    }

    /// Whether an existing file has the settings that were asked for. The room matters only if it was given.
    fn check_settings(&self, path: &Path, wanted: &Layout, found: &Layout) -> Result<(), SharedError> {
        let window = |of: &Layout| of.geometry.resolution().width() * of.geometry.window();
        let duration = |length: Duration| format!("{length:?}");
        let settings = [
            ("resolution", true, [found, wanted].map(|of| duration(of.geometry.resolution().width()))),
            ("window", true, [found, wanted].map(|of| duration(window(of)))),
            ("slack", true, [found, wanted].map(|of| of.geometry.slack().to_string())),
            ("precision", true, [found, wanted].map(|of| of.precision.bits().to_string())),
            ("max_endpoints", self.max_endpoints.is_some(), [found, wanted].map(|of| of.room.endpoints.to_string())),
            ("name_bytes", self.name_bytes.is_some(), [found, wanted].map(|of| of.room.names.to_string())),
            ("visitors", self.visitors.is_some(), [found, wanted].map(|of| of.room.visitors.to_string())),
            ("limits", self.limits.is_some(), [found, wanted].map(|of| of.room.limits.to_string())),
        ];
        match settings.into_iter().find(|(_, matters, [has, wanted])| *matters && has != wanted) {
            Some((setting, _, [has, wanted])) => {
                Err(SharedError::Settings { path: path.into(), what: format!("{setting} {has}, not {wanted}") })
            }
            None => Ok(()),
        }
    }

    fn check_skew(&self, geometry: &Geometry) -> Result<(), ConfigError> {
        let limit = geometry.resolution().width() * geometry.slack();
        match self.max_skew {
            Some(max_skew) if max_skew > limit => Err(ConfigError::SkewBeyondSlack { max_skew, limit }),
            _ => Ok(()),
        }
    }

    fn registry(&self, file: RingFile, header: Header) -> Result<SharedRegistry, SharedError> {
        let geometry = header.layout.geometry;
        self.check_skew(&geometry)?;
        let width = geometry.resolution().width();
        let max_skew = self.max_skew.unwrap_or(width * geometry.slack());
        let whole = u32::try_from(max_skew.as_nanos() / width.as_nanos()).unwrap_or(geometry.slack());
        let times = Times::new(&self.clock, geometry.resolution(), width * whole, true);
        Ok(SharedRegistry::of(Core::new(file, header, times, Watch::new())))
    }
}

impl SharedRegistry {
    /// A registry of another window, resolution, clock or size.
    pub fn builder() -> SharedBuilder {
        SharedBuilder::default()
    }

    /// The registry in the file at `path`, of the last 300 seconds by the second, with room for 10,000 endpoints; made if
    /// it does not exist. See [`SharedBuilder::create`].
    ///
    /// # Errors
    /// [`SharedError`].
    pub fn create(path: impl AsRef<Path>) -> Result<Self, SharedError> {
        Self::builder().create(path)
    }

    /// The registry in the file at `path`, with the settings that it has. See [`SharedBuilder::open`].
    ///
    /// # Errors
    /// [`SharedError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SharedError> {
        Self::builder().open(path)
    }

    /// The same, for asking only. See [`SharedBuilder::read`].
    ///
    /// # Errors
    /// [`SharedError`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, SharedError> {
        Self::builder().read(path)
    }
}
