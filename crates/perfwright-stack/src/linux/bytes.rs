//! Bytes of a file that outlive the module they describe.

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::Arc;

/// A whole file, mapped read-only. Its pages are the page cache's, shared with the loaded module;
/// they count as resident only while they are in use (see [`MappedFile::release`]).
#[derive(Debug)]
pub(crate) struct MappedFile {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is private, read-only and never remapped before Drop; sharing it is sharing a
// `&[u8]`.
unsafe impl Send for MappedFile {}
// SAFETY: as above.
unsafe impl Sync for MappedFile {}

impl MappedFile {
    pub(crate) fn open(path: &str) -> io::Result<MappedFile> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file with content",
            ));
        }
        let len = usize::try_from(metadata.len()).map_err(io::Error::other)?;
        // SAFETY: a fresh private mapping, placed by the kernel, of a file that is open; it touches
        // no existing memory.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ,
                libc::MAP_PRIVATE,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(MappedFile { start, len })
    }

    /// Gives the resident pages back; the next access faults them in again from the page cache.
    pub(crate) fn release(&self) {
        // SAFETY: the range is exactly our own mapping; it is private and never written, so
        // dropping its pages loses nothing. A failure leaves the pages resident, which is only a
        // cost.
        unsafe { libc::madvise(self.start.as_ptr().cast(), self.len, libc::MADV_DONTNEED) };
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        // SAFETY: our own mapping, and no slice of it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: mapped for `len` bytes until Drop. An executable file that is in use isn't
        // written in place (that would break the running program as well), so the bytes hold still.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

/// A part of a mapped file, or a copy of memory where there is no file to map (the vdso, a deleted
/// file).
#[derive(Clone, Debug)]
pub(crate) enum Bytes {
    Mapped(Arc<MappedFile>, Range<usize>),
    Copied(Arc<[u8]>),
}

impl Default for Bytes {
    fn default() -> Bytes {
        Bytes::Copied(Arc::from([]))
    }
}

impl Bytes {
    /// `None` if the range isn't inside these bytes.
    pub(crate) fn slice(&self, range: Range<usize>) -> Option<Bytes> {
        self.get(range.clone())?;
        Some(match self {
            Bytes::Mapped(file, whole) => Bytes::Mapped(
                file.clone(),
                whole.start + range.start..whole.start + range.end,
            ),
            Bytes::Copied(bytes) => Bytes::Copied(bytes[range].into()),
        })
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Mapped(file, range) => file.get(range.clone()).unwrap_or_default(),
            Bytes::Copied(bytes) => bytes,
        }
    }
}
