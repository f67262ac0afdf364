//! Build ids: what tells one build of a file from another.

use object::elf::{ELF_NOTE_GNU, FileHeader64, NT_GNU_BUILD_ID};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, ReadCache, ReadRef};
use std::fs::File;
use std::io;
use std::path::Path;

/// The GNU build id in the bytes of an ELF file (64-bit, either byte order), or `None` if it has
/// none or isn't such a file.
#[must_use]
pub fn build_id_of_bytes(file: &[u8]) -> Option<Vec<u8>> {
    find(file)
}

/// The GNU build id of an ELF file. Reads the headers and notes only.
///
/// # Errors
/// What opening the file gives. A file without a build id, or of another kind, is `Ok(None)`.
pub fn build_id_of(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = ReadCache::new(File::open(path)?);
    Ok(find(&file))
}

/// By the notes that program headers point to: these are loaded with the program and survive
/// stripping.
pub(crate) fn find<'a, R: ReadRef<'a>>(file: R) -> Option<Vec<u8>> {
    let header = FileHeader64::<Endianness>::parse(file).ok()?;
    let endian = header.endian().ok()?;
    for segment in header.program_headers(endian, file).ok()? {
        let Ok(Some(mut notes)) = segment.notes(endian, file) else {
            continue;
        };
        while let Ok(Some(note)) = notes.next() {
            if note.name() == ELF_NOTE_GNU && note.n_type(endian) == NT_GNU_BUILD_ID {
                return Some(note.desc().to_vec());
            }
        }
    }
    None
}
