//! The captures on disk.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use crate::name::{Name, millis};
use crate::schedule::lock;
use crate::{Capture, Part, Sink};

/// Says what time it is: [`SystemTime::now`] but in tests.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The bounds of a [`Ring`].
#[derive(Clone)]
#[non_exhaustive]
pub struct RingOptions {
    /// The most disk space that the captures of this process take, the one being written included. Files count in
    /// blocks of 4 KiB, and a capture one block more for its folder. Default 256 MiB.
    pub max_bytes: u64,
    /// How long a capture is kept after it ended. Default 24 hours.
    pub max_age: Duration,
    /// What the ring's subfolders are called: letters, digits, `_`, `.` and `-`. Rings of other names may share the
    /// folder. Default `captures`.
    pub name: String,
    /// The clock that ages captures.
    pub clock: Clock,
}

impl Default for RingOptions {
    fn default() -> Self {
        Self {
            max_bytes: 256 << 20,
            max_age: Duration::from_secs(24 * 3_600),
            name: "captures".to_owned(),
            clock: Arc::new(SystemTime::now),
        }
    }
}

impl RingOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`RingOptions::max_bytes`].
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets [`RingOptions::max_age`].
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Sets [`RingOptions::name`].
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets [`RingOptions::clock`].
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

impl fmt::Debug for RingOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingOptions")
            .field("max_bytes", &self.max_bytes)
            .field("max_age", &self.max_age)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A capture on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// When it began, in whole milliseconds.
    pub time: SystemTime,
    /// How long it went on, in whole milliseconds.
    pub length: Duration,
    /// The names of its files, sorted.
    pub kinds: Vec<String>,
    /// The bytes of its files.
    pub bytes: u64,
    /// The folder that holds its files.
    pub path: PathBuf,
}

impl Entry {
    /// When it ended.
    pub fn until(&self) -> SystemTime {
        self.time + self.length
    }

    /// It went on at this time, both ends included.
    pub fn covers(&self, time: SystemTime) -> bool {
        self.time <= time && time <= self.until()
    }

    /// The path of one of its files.
    pub fn file(&self, kind: &str) -> PathBuf {
        self.path.join(kind)
    }
}

/// Why a ring could not be opened or a capture not be kept. Fits "failed to {error}".
#[derive(Debug)]
#[non_exhaustive]
pub enum RingError {
    /// The ring's name or a part's kind is not a file name that can be kept.
    Name {
        /// Which.
        name: String,
    },
    /// Two parts of one capture have the same kind.
    Twice {
        /// Which kind.
        kind: String,
    },
    /// One capture is larger than the whole ring.
    TooLarge {
        /// What it takes on disk.
        bytes: u64,
        /// What the ring may take.
        max_bytes: u64,
    },
    /// A file or folder could not be made, written or removed.
    Io {
        /// What was tried.
        action: &'static str,
        /// With which path.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name } => write!(
                f,
                "name a file {name:?}: use letters, digits, `_`, `.` and `-`"
            ),
            Self::Twice { kind } => {
                write!(f, "keep a capture: it has two files of the name {kind}")
            }
            Self::TooLarge { bytes, max_bytes } => {
                write!(
                    f,
                    "keep a capture: it takes {bytes} bytes, and the ring may take {max_bytes}"
                )
            }
            Self::Io {
                action,
                path,
                error,
            } => write!(f, "{action} {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for RingError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// What a [`Ring`] holds and did.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct RingAudit {
    /// Captures that this process keeps now, those that it found at the start included.
    pub kept: usize,
    /// What they take on disk, in bytes.
    pub bytes: u64,
    /// Captures written.
    pub written: u64,
    /// Captures that could not be written.
    pub failed: u64,
    /// Captures removed for their age.
    pub expired: u64,
    /// Captures removed to make room.
    pub evicted: u64,
    /// Captures of a dead process that were half written or cut by a power loss, and were removed.
    pub broken: u64,
    /// Why a capture was not written or not removed, the last time.
    pub last_error: Option<String>,
}

/// A folder of the last captures, bounded by bytes and age. Clones are the same ring.
///
/// A capture is a folder of files that appears complete: it is written beside, as `….part`, and renamed. Nothing is
/// flushed to the device, since that can stall the whole machine's writes: what a crash of the process leaves
/// is complete, and what a power loss cuts is told by the length in its name and removed at the next start.
///
/// Several processes may open one folder. Each takes a subfolder of its own (`captures-0`, `captures-1`, …) and holds
/// a lock in it, so each has its own bound and removes only its own; a process that starts again takes the first
/// that nobody holds, with what is in it. What nobody holds is removed for its age by whoever adds a capture.
/// [`Ring::list`] shows them all. Files of other names are never touched.
#[derive(Clone)]
pub struct Ring(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    options: RingOptions,
    state: Mutex<State>,
}

struct State {
    /// `None` after the folder went away: the next capture makes it again.
    slot: Option<Slot>,
    /// In the order of writing, which the clock cannot disturb.
    kept: VecDeque<Kept>,
    /// What could not be removed; it takes space until it can be.
    strays: Vec<(PathBuf, u64)>,
    next_sequence: u64,
    audit: RingAudit,
}

/// A subfolder that this process alone writes.
struct Slot {
    path: PathBuf,
    /// Unlocked when closed, by the system if need be.
    _lock: File,
}

#[derive(Clone, Copy)]
struct Kept {
    name: Name,
    disk_bytes: u64,
}

const LOCK: &str = "lock";
const PART: &str = ".part";
const BLOCK: u64 = 4_096;
/// More processes than anybody runs on one folder.
const MAX_SLOTS: u32 = 1_000;

impl Ring {
    /// Opens the ring in this folder, which is made if it is absent, and removes what is too old or too much.
    ///
    /// # Errors
    /// The name is not one of files, or the folder cannot be made, read or locked.
    pub fn open(folder: impl Into<PathBuf>, options: RingOptions) -> Result<Self, RingError> {
        if !is_file_name(&options.name) {
            return Err(RingError::Name { name: options.name });
        }
        let mut state = State {
            slot: None,
            kept: VecDeque::new(),
            strays: Vec::new(),
            next_sequence: 0,
            audit: RingAudit::default(),
        };
        let folder = folder.into();
        state.take_slot(&folder, &options.name)?;
        let ring = Self(Arc::new(Inner {
            folder,
            options,
            state: Mutex::new(state),
        }));
        ring.prune();
        Ok(ring)
    }

    /// Keeps a capture, at the cost of the oldest.
    ///
    /// # Errors
    /// Why it is not kept; it is counted in [`RingAudit::failed`] too, and nothing of it is left.
    pub fn add(&self, capture: &Capture) -> Result<Entry, RingError> {
        let mut state = self.state();
        let mut added = self.try_add(&mut state, capture);
        // Somebody removed the folder: the capture goes to a new one.
        if matches!(&added, Err(RingError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound)
        {
            state.slot = None;
            added = self.try_add(&mut state, capture);
        }
        match &added {
            Ok(_) => state.audit.written += 1,
            Err(error) => {
                state.audit.failed += 1;
                state.audit.last_error = Some(error.to_string());
            }
        }
        added
    }

    /// The captures of all processes that use or used this folder and name, oldest first. Those that vanish or
    /// cannot be read meanwhile are left out.
    pub fn list(&self) -> Vec<Entry> {
        let listed = slots(&self.0.folder, |name| self.is_slot(name)).map(|slots| entries(&slots));
        listed.unwrap_or_else(|error| {
            self.state().audit.last_error = Some(at("read", &self.0.folder, error).to_string());
            Vec::new()
        })
    }

    /// The captures that cover a moment; if none does, the last that ended before and the first that began after.
    pub fn around(&self, time: SystemTime) -> Vec<Entry> {
        around(self.list(), time)
    }

    /// Removes what is too old now. Adding a capture does the same.
    pub fn prune(&self) {
        let mut state = self.state();
        self.expire(&mut state);
        if let Err(error) = state.make_room(0, self.0.options.max_bytes) {
            state.audit.last_error = Some(error.to_string());
        }
    }

    /// What it holds and did.
    pub fn audit(&self) -> RingAudit {
        let state = self.state();
        let mut audit = state.audit.clone();
        audit.kept = state.kept.len();
        audit.bytes = state.disk_bytes();
        audit
    }

    /// The folder that was given.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    fn is_slot(&self, name: &str) -> bool {
        split_slot(name).is_some_and(|(ring, _)| ring == self.0.options.name)
    }

    fn try_add(&self, state: &mut State, capture: &Capture) -> Result<Entry, RingError> {
        let options = &self.0.options;
        check(&capture.parts)?;
        let disk_bytes = disk_bytes(capture.parts.iter().map(|part| part.bytes.len() as u64));
        let max_bytes = options.max_bytes;
        if disk_bytes > max_bytes {
            return Err(RingError::TooLarge {
                bytes: disk_bytes,
                max_bytes,
            });
        }
        if state.slot.is_none() {
            state.take_slot(&self.0.folder, &options.name)?;
        }
        self.expire(state);
        state.make_room(disk_bytes, max_bytes)?;
        state.write(capture, disk_bytes)
    }

    fn expire(&self, state: &mut State) {
        let now = millis((self.0.options.clock)());
        let max_age = u64::try_from(self.0.options.max_age.as_millis()).unwrap_or(u64::MAX);
        let expired = |name: &Name| {
            now.saturating_sub(name.start_ms.saturating_add(name.length_ms)) > max_age
        };
        state.expire(&expired);
        // The dead's captures have nobody else who would remove them.
        for slot in slots(&self.0.folder, |name| self.is_slot(name)).unwrap_or_default() {
            if state.slot.as_ref().is_none_or(|own| own.path != slot) {
                expire_dead(&slot, &expired);
            }
        }
    }
}

impl Sink for Ring {
    fn put(&mut self, capture: &Capture) -> Result<(), String> {
        self.add(capture)
            .map(drop)
            .map_err(|error| format!("failed to {error}"))
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("folder", &self.0.folder)
            .field("audit", &self.audit())
            .finish_non_exhaustive()
    }
}

/// The captures of all rings in a folder, oldest first, without opening one: for a command that looks at what a
/// service keeps.
///
/// # Errors
/// The folder cannot be read.
pub fn list(folder: &Path) -> io::Result<Vec<Entry>> {
    Ok(entries(&slots(folder, |name| split_slot(name).is_some())?))
}

impl State {
    fn disk_bytes(&self) -> u64 {
        let kept: u64 = self.kept.iter().map(|kept| kept.disk_bytes).sum();
        let strays: u64 = self.strays.iter().map(|(_, bytes)| bytes).sum();
        kept + strays
    }

    /// Takes the first subfolder that nobody holds and counts what is in it.
    fn take_slot(&mut self, folder: &Path, name: &str) -> Result<(), RingError> {
        for number in 0..MAX_SLOTS {
            let path = folder.join(format!("{name}-{number}"));
            fs::create_dir_all(&path).map_err(|error| at("make", &path, error))?;
            if let Some(lock) = try_lock(&path).map_err(|error| at("lock", &path, error))? {
                self.load(&path).map_err(|error| at("read", &path, error))?;
                self.slot = Some(Slot { path, _lock: lock });
                return Ok(());
            }
        }
        let error = io::Error::other("all are in use");
        Err(at("take a subfolder of", folder, error))
    }

    /// Counts the captures of a subfolder that is ours, and removes what a dead process left half done.
    fn load(&mut self, slot: &Path) -> io::Result<()> {
        self.kept.clear();
        self.strays.clear();
        for file in fs::read_dir(slot)? {
            let file = file?;
            let path = file.path();
            let text = file_name(&path);
            let name = Name::parse(text.strip_suffix(PART).unwrap_or(text));
            let Some(name) = name.filter(|_| file.file_type().is_ok_and(|kind| kind.is_dir()))
            else {
                continue;
            };
            self.next_sequence = self.next_sequence.max(name.sequence.saturating_add(1));
            let sizes: Vec<_> = files(&path).map(|(_, bytes)| bytes).collect();
            let disk_bytes = disk_bytes(sizes.iter().copied());
            if text.ends_with(PART) || sizes.iter().sum::<u64>() < name.bytes {
                self.audit.broken += 1;
                self.strays.push((path, disk_bytes));
            } else {
                self.kept.push_back(Kept { name, disk_bytes });
            }
        }
        self.kept
            .make_contiguous()
            .sort_by_key(|kept| kept.name.sequence);
        self.remove_strays();
        Ok(())
    }

    fn expire(&mut self, expired: &dyn Fn(&Name) -> bool) {
        let mut index = 0;
        while index < self.kept.len() {
            if !expired(&self.kept[index].name) {
                index += 1;
                continue;
            }
            if let Some(kept) = self.kept.remove(index) {
                self.remove(kept);
                self.audit.expired += 1;
            }
        }
    }

    /// Removes the oldest until so many bytes more are within the bound.
    fn make_room(&mut self, bytes: u64, max_bytes: u64) -> Result<(), RingError> {
        self.remove_strays();
        while self.disk_bytes().saturating_add(bytes) > max_bytes {
            let Some(kept) = self.kept.pop_front() else {
                return Err(self.stuck());
            };
            self.remove(kept);
            self.audit.evicted += 1;
        }
        Ok(())
    }

    /// Nothing is left to remove but what cannot be removed.
    fn stuck(&self) -> RingError {
        let path = self
            .strays
            .first()
            .map(|(path, _)| path.clone())
            .unwrap_or_default();
        at(
            "remove",
            &path,
            io::Error::other("it takes the room of new captures"),
        )
    }

    /// Out of sight at once, then off the disk.
    fn remove(&mut self, kept: Kept) {
        let Some(slot) = &self.slot else { return };
        let path = slot.path.join(kept.name.to_string());
        let part = slot.path.join(format!("{}{PART}", kept.name));
        let path = match fs::rename(&path, &part) {
            Ok(()) => part,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(_) => path,
        };
        self.strays.push((path, kept.disk_bytes));
        self.remove_strays();
    }

    fn remove_strays(&mut self) {
        let audit = &mut self.audit;
        self.strays
            .retain(|(path, _)| match fs::remove_dir_all(path) {
                Ok(()) => false,
                Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                Err(error) => {
                    audit.last_error = Some(at("remove", path, error).to_string());
                    true
                }
            });
    }

    fn write(&mut self, capture: &Capture, disk_bytes: u64) -> Result<Entry, RingError> {
        let Some(slot) = &self.slot else {
            return Err(at("find", Path::new(""), io::ErrorKind::NotFound.into()));
        };
        let name = Name {
            start_ms: millis(capture.time),
            sequence: self.next_sequence,
            length_ms: u64::try_from(capture.length.as_millis()).unwrap_or(u64::MAX),
            bytes: capture
                .parts
                .iter()
                .map(|part| part.bytes.len() as u64)
                .sum(),
        };
        let path = slot.path.join(name.to_string());
        let part = slot.path.join(format!("{name}{PART}"));
        self.next_sequence = self.next_sequence.saturating_add(1);
        let written = fill(&part, &capture.parts)
            .and_then(|()| fs::rename(&part, &path).map_err(|error| at("rename", &part, error)));
        if let Err(error) = written {
            self.strays.push((part, disk_bytes));
            self.remove_strays();
            return Err(error);
        }
        self.kept.push_back(Kept { name, disk_bytes });
        let mut kinds: Vec<_> = capture.parts.iter().map(|part| part.kind.clone()).collect();
        kinds.sort();
        let (time, length) = (name.start(), name.length());
        Ok(Entry {
            time,
            length,
            kinds,
            bytes: name.bytes,
            path,
        })
    }
}

fn fill(folder: &Path, parts: &[Part]) -> Result<(), RingError> {
    fs::create_dir(folder).map_err(|error| at("make", folder, error))?;
    for part in parts {
        let path = folder.join(&part.kind);
        let written = File::create_new(&path).and_then(|mut file| file.write_all(&part.bytes));
        written.map_err(|error| at("write", &path, error))?;
    }
    Ok(())
}

/// Removes expired captures and half-written ones where no process holds the subfolder. What cannot be removed
/// stays: it is not this process's.
fn expire_dead(slot: &Path, expired: &dyn Fn(&Name) -> bool) {
    let Ok(Some(_lock)) = try_lock(slot) else {
        return;
    };
    let Ok(files) = fs::read_dir(slot) else {
        return;
    };
    for path in files.flatten().map(|file| file.path()) {
        let text = file_name(&path);
        let name = Name::parse(text.strip_suffix(PART).unwrap_or(text));
        if name.is_some_and(|name| text.ends_with(PART) || expired(&name)) && path.is_dir() {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// The lock of a subfolder, until the file is closed; `None`: another process or ring has it.
fn try_lock(slot: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(slot.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The subfolders of these names.
fn slots(folder: &Path, is_slot: impl Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)?.flatten().map(|file| file.path());
    Ok(paths
        .filter(|path| is_slot(file_name(path)) && path.is_dir())
        .collect())
}

fn entries(slots: &[PathBuf]) -> Vec<Entry> {
    let paths = slots.iter().filter_map(|slot| fs::read_dir(slot).ok());
    let paths = paths.flatten().flatten().map(|file| file.path());
    let mut entries: Vec<_> = paths
        .filter_map(|path| Some((Name::parse(file_name(&path))?, path)))
        .collect();
    entries.sort();
    entries
        .into_iter()
        .filter_map(|(name, path)| entry(name, path))
        .collect()
}

/// What is on disk; `None` if it is not complete (any more).
fn entry(name: Name, path: PathBuf) -> Option<Entry> {
    let mut files: Vec<_> = files(&path).collect();
    files.sort();
    let bytes = files.iter().map(|(_, bytes)| bytes).sum();
    let kinds = files.into_iter().map(|(kind, _)| kind).collect();
    let (time, length) = (name.start(), name.length());
    (bytes >= name.bytes && path.is_dir()).then_some(Entry {
        time,
        length,
        kinds,
        bytes,
        path,
    })
}

fn around(entries: Vec<Entry>, time: SystemTime) -> Vec<Entry> {
    let covers = entries.iter().any(|entry| entry.covers(time));
    if covers {
        return entries
            .into_iter()
            .filter(|entry| entry.covers(time))
            .collect();
    }
    let before = entries
        .iter()
        .filter(|entry| entry.until() < time)
        .max_by_key(|entry| entry.until());
    let after = entries.iter().find(|entry| entry.time > time);
    before.into_iter().chain(after).cloned().collect()
}

/// The names and lengths of a folder's files.
fn files(folder: &Path) -> impl Iterator<Item = (String, u64)> + use<> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| {
        let metadata = file.metadata().ok().filter(fs::Metadata::is_file)?;
        Some((file.file_name().into_string().ok()?, metadata.len()))
    })
}

/// What files of these lengths take on disk, with their folder.
fn disk_bytes(lengths: impl Iterator<Item = u64>) -> u64 {
    lengths.fold(BLOCK, |sum, bytes| {
        sum.saturating_add(bytes.div_ceil(BLOCK).saturating_mul(BLOCK))
    })
}

fn check(parts: &[Part]) -> Result<(), RingError> {
    for (index, part) in parts.iter().enumerate() {
        if !is_file_name(&part.kind) {
            return Err(RingError::Name {
                name: part.kind.clone(),
            });
        }
        if parts[..index].iter().any(|other| other.kind == part.kind) {
            return Err(RingError::Twice {
                kind: part.kind.clone(),
            });
        }
    }
    Ok(())
}

/// A name that every file system takes and that no shell stumbles over.
fn is_file_name(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=100).contains(&name.len()) && name.bytes().all(known) && !name.starts_with(['.', '-'])
}

/// `captures-12`: the name of the ring and the number.
fn split_slot(name: &str) -> Option<(&str, u32)> {
    let (ring, number) = name.rsplit_once('-')?;
    let value: u32 = number.parse().ok()?;
    (value < MAX_SLOTS && value.to_string() == number && is_file_name(ring))
        .then_some((ring, value))
}

/// The last word of a path, if it is UTF-8; names of ours are.
fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("")
}

fn at(action: &'static str, path: &Path, error: io::Error) -> RingError {
    let path = path.to_owned();
    RingError::Io {
        action,
        path,
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_removed_takes_the_room_of_new_captures() {
        let folder = tempfile::tempdir().unwrap();
        let ring = Ring::open(folder.path(), RingOptions::new().max_bytes(2 * BLOCK)).unwrap();
        // A file is no folder, so it is not removed as one.
        let stray = folder.path().join("stray");
        fs::write(&stray, "x").unwrap();
        ring.state().strays.push((stray.clone(), BLOCK));
        let parts = vec![Part::new("cpu.pb.gz", vec![1])];
        let capture = Capture::new((ring.0.options.clock)(), Duration::ZERO, parts);
        let error = ring.add(&capture).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "remove {}: it takes the room of new captures",
                stray.display()
            )
        );
        assert_eq!((ring.audit().failed, ring.audit().bytes), (1, BLOCK));
        fs::remove_file(&stray).unwrap();
        ring.add(&capture).unwrap();
        assert_eq!((ring.audit().kept, ring.audit().bytes), (1, 2 * BLOCK));
    }
}
