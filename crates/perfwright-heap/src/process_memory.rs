//! What the system says about the memory of this process and of the cgroup it runs in.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// From here on a cgroup v1's limit means that there is none: the kernel rounds `i64::MAX` down to pages.
const NO_LIMIT: u64 = 1 << 62;
/// Cgroups that are looked at, from the process's own upwards.
const MAX_LEVELS: usize = 16;

/// The memory of the process at one moment, in bytes. `None` is unknown, never 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ProcessMemory {
    /// Resident set size: what lies in physical memory.
    pub resident_bytes: Option<u64>,
    /// Virtual size: all that is mapped, touched or not.
    pub virtual_bytes: Option<u64>,
    /// The highest resident set size since the process began. Linux only.
    pub peak_resident_bytes: Option<u64>,
    /// What the cgroup is charged with: all its processes, their page cache included. Of the process's
    /// cgroup and those above it this is the one that is nearest its limit; without any limit, its own.
    pub cgroup_used_bytes: Option<u64>,
    /// The part of that which the kernel takes back before anything is killed: page cache not in use.
    pub cgroup_reclaimable_bytes: Option<u64>,
    /// The limit of the same cgroup; `None` also where there is no limit.
    pub cgroup_limit_bytes: Option<u64>,
}

impl ProcessMemory {
    /// The cgroup's use without what can be reclaimed: what the limit will kill for, and what Kubernetes
    /// calls the working set.
    pub fn cgroup_working_set_bytes(&self) -> Option<u64> {
        let reclaimable = self.cgroup_reclaimable_bytes.unwrap_or(0);
        Some(self.cgroup_used_bytes?.saturating_sub(reclaimable))
    }

    /// The working set as a share of the limit, 0 to 1.
    pub fn cgroup_share(&self) -> Option<f64> {
        let limit = self.cgroup_limit_bytes.filter(|&limit| limit > 0)?;
        Some(self.cgroup_working_set_bytes()? as f64 / limit as f64)
    }
}

/// Reads [`ProcessMemory`].
///
/// Finds the cgroup when it is made, so a reading is a few small files of `/proc` and `/sys`: some tens of
/// microseconds on Linux. It takes no lock of the process and next to no heap.
#[derive(Clone, Debug)]
pub struct MemoryReader {
    status: PathBuf,
    /// The process's own cgroup first, then those above it.
    levels: Vec<Level>,
}

/// The files of one cgroup.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Level {
    used: PathBuf,
    limit: PathBuf,
    stat: PathBuf,
    /// The key of the reclaimable bytes in `stat`.
    reclaimable: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Charge {
    used: Option<u64>,
    reclaimable: Option<u64>,
    limit: Option<u64>,
}

impl Default for MemoryReader {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryReader {
    /// A reader of this process. What does not exist here is `None` in every reading.
    pub fn new() -> Self {
        Self::rooted(Path::new("/"))
    }

    /// A reader of the `proc` and `sys` below `root`.
    fn rooted(root: &Path) -> Self {
        let process = root.join("proc/self");
        let text = |name| std::fs::read_to_string(process.join(name)).unwrap_or_default();
        Self {
            levels: levels(root, &text("cgroup"), &text("mountinfo")),
            status: process.join("status"),
        }
    }

    /// The memory now.
    pub fn read(&self) -> ProcessMemory {
        let size = memory_stats::memory_stats();
        let charge = self.charge();
        ProcessMemory {
            resident_bytes: size.map(|size| size.physical_mem as u64),
            virtual_bytes: size.map(|size| size.virtual_mem as u64),
            peak_resident_bytes: peak(&self.status),
            cgroup_used_bytes: charge.used,
            cgroup_reclaimable_bytes: charge.reclaimable,
            cgroup_limit_bytes: charge.limit,
        }
    }

    /// The cgroup that is nearest its limit; without limits the process's own.
    fn charge(&self) -> Charge {
        let mut nearest = Charge::default();
        let mut highest = None;
        for (index, level) in self.levels.iter().enumerate() {
            let limit = number(&level.limit).filter(|&limit| limit < NO_LIMIT);
            if index > 0 && limit.is_none() {
                continue;
            }
            let used = number(&level.used);
            let share = used
                .zip(limit)
                .map(|(used, limit)| used as f64 / limit.max(1) as f64);
            if index > 0 && share <= highest {
                continue;
            }
            highest = share;
            nearest = Charge {
                used,
                limit,
                reclaimable: field(&level.stat, level.reclaimable),
            };
        }
        nearest
    }
}

/// The cgroup's folders, from the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`. Version 1's memory
/// controller goes before version 2: where both are mounted, memory is charged to the former.
fn levels(root: &Path, cgroup: &str, mounts: &str) -> Vec<Level> {
    let own = |is_v1: bool| {
        cgroup.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let found = match is_v1 {
                true => controllers.split(',').any(|name| name == "memory"),
                false => controllers.is_empty(),
            };
            found.then_some(path)
        })
    };
    let folders = |is_v1: bool| -> Option<Vec<Level>> {
        let path = own(is_v1)?;
        let (mounted, point) = mounts.lines().find_map(|line| mount(line, is_v1))?;
        // A path that is not below what is mounted is another namespace's: what is mounted is ours then.
        let below = Path::new(path)
            .strip_prefix(mounted)
            .ok()
            .filter(|below| !below.starts_with(".."))
            .unwrap_or(Path::new(""));
        let point = root.join(point.trim_start_matches('/'));
        let own = point.join(below);
        let above = own
            .ancestors()
            .take_while(|folder| folder.starts_with(&point));
        let levels = above
            .take(MAX_LEVELS)
            .map(|folder| Level::new(folder, is_v1));
        let levels: Vec<_> = levels
            .filter(|level| number(&level.used).is_some())
            .collect();
        (!levels.is_empty()).then_some(levels)
    };
    folders(true).or_else(|| folders(false)).unwrap_or_default()
}

/// What part of the cgroup tree a line of mountinfo mounts, and where: `31 23 0:28 /part /point options - type ...`.
fn mount(line: &str, is_v1: bool) -> Option<(&str, &str)> {
    let (place, kind) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (mounted, point) = (place.next()?, place.next()?);
    let mut kind = kind.split(' ');
    let found = match is_v1 {
        true => {
            kind.next()? == "cgroup" && kind.next_back()?.split(',').any(|name| name == "memory")
        }
        false => kind.next()? == "cgroup2",
    };
    found.then_some((mounted, point))
}

impl Level {
    fn new(folder: &Path, is_v1: bool) -> Self {
        let (used, limit, reclaimable) = match is_v1 {
            true => (
                "memory.usage_in_bytes",
                "memory.limit_in_bytes",
                "total_inactive_file",
            ),
            false => ("memory.current", "memory.max", "inactive_file"),
        };
        Self {
            used: folder.join(used),
            limit: folder.join(limit),
            stat: folder.join("memory.stat"),
            reclaimable,
        }
    }
}

/// `VmHWM:    1234 kB` of a process's status.
fn peak(status: &Path) -> Option<u64> {
    let mut buffer = [0; 4096];
    let text = read_start(status, &mut buffer)?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The number that is a file's content; `max` is none.
fn number(path: &Path) -> Option<u64> {
    let mut buffer = [0; 64];
    read_start(path, &mut buffer)?.trim().parse().ok()
}

/// The number after a key in lines of `key number`.
fn field(path: &Path, key: &str) -> Option<u64> {
    let mut buffer = [0; 8192];
    let text = read_start(path, &mut buffer)?;
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(name, _)| *name == key)?.1.trim().parse().ok()
}

/// The beginning of a file, as much as the buffer takes. Nothing on the heap: what observes memory should
/// not move it.
fn read_start<'b>(path: &Path, buffer: &'b mut [u8]) -> Option<&'b str> {
    let mut file = File::open(path).ok()?;
    let mut len = 0;
    while len < buffer.len() {
        match file.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    let text = &buffer[..len];
    // A buffer that is full may end inside a character.
    let valid = match std::str::from_utf8(text) {
        Ok(_) => len,
        Err(error) => error.valid_up_to(),
    };
    std::str::from_utf8(&text[..valid]).ok()
}
