//! Files in memory. The only module with `unsafe`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

/// The bytes of an object file.
pub(crate) enum Bytes {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl Bytes {
    /// Lets go of what was read so far: it counts as this process's memory until then, though the kernel can
    /// have it back any time. Reading it again costs a page fault.
    pub(crate) fn release(&self) {
        #[cfg(unix)]
        if let Self::Mapped(map) = self {
            // SAFETY: nothing is lost: the map is read-only, so its pages are the file's, and the next access
            // finds the same bytes there.
            let _ = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }
    }
}

/// Maps a regular file.
pub(crate) fn open(path: &Path) -> io::Result<Bytes> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    // SAFETY: the map is private, read-only and dropped before `symbolize` returns. What could change its
    // bytes under us is a writer of the same inode: the kernel refuses to write a file that runs as a program
    // (ETXTBSY), and linkers, cargo and package managers put a new file in place of the old one rather than
    // write into it. A file that is truncated all the same gives SIGBUS; the crate's documentation says so.
    let map = unsafe { Mmap::map(&file)? };
    Ok(Bytes::Mapped(map))
}

/// The kernel's `[vdso]`, which is no file: a copy of this process's own. It is the profiled one's too if
/// that ran on the same kernel, which its build id tells.
pub(crate) fn vdso() -> io::Result<Bytes> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let line = maps.lines().find(|line| line.ends_with("[vdso]"));
    let range = line.and_then(|line| line.split_whitespace().next()?.split_once('-'));
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let Some((Some(start), Some(end))) = range.map(|(a, b)| (hex(a), hex(b))) else {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    };
    let mut memory = File::open("/proc/self/mem")?;
    memory.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    memory.take(end - start).read_to_end(&mut bytes)?;
    Ok(Bytes::Owned(bytes))
}
