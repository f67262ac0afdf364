//! Where the debug information of a mapped file may be.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use object::Object;

use crate::image;
use crate::mapped::{self, Bytes};
use crate::report::Problem;

/// What a file must be to be used.
pub(crate) struct Expected<'a> {
    /// In hex; `None` accepts any.
    pub(crate) build_id: Option<&'a str>,
}

/// An object file that was found and accepted.
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Bytes,
}

impl Opened {
    /// The file, which parsed when it was accepted.
    pub(crate) fn parse(&self) -> Option<object::File<'_>> {
        object::File::parse(&*self.bytes).ok()
    }
}

/// Extra places, and what is known of the files in them.
#[derive(Default)]
pub(crate) struct Search {
    files: Vec<PathBuf>,
    directories: Vec<PathBuf>,
    /// Build ids of `files`, read once.
    build_ids: HashMap<PathBuf, Option<String>>,
}

impl Search {
    pub(crate) fn add_file(&mut self, path: PathBuf) {
        self.files.push(path);
    }

    pub(crate) fn add_directory(&mut self, path: PathBuf) {
        self.directories.push(path);
    }

    /// The mapped file itself.
    pub(crate) fn binary(
        &self,
        filename: &str,
        expected: &Expected<'_>,
    ) -> Result<Opened, Problem> {
        if filename == "[vdso]" {
            let bytes = mapped::vdso().map_err(|_| Problem::NotAFile)?;
            return accept(PathBuf::from(filename), bytes, expected);
        }
        // The kernel marks a file that was replaced while it was mapped; what is there now may be a copy.
        let path = Path::new(filename.strip_suffix(" (deleted)").unwrap_or(filename));
        if filename.is_empty() || filename.starts_with('[') || filename.starts_with("//anon") {
            return Err(Problem::NotAFile);
        }
        open(path, expected)
    }

    /// Separate debug files: those that were given, then `.build-id` folders, then the debug link of
    /// `binary`. The first with debug information wins. Files of another build are reported if they were
    /// named by `binary` itself.
    pub(crate) fn debug_file(
        &mut self,
        binary: Option<&Opened>,
        expected: &Expected<'_>,
        problems: &mut Vec<Problem>,
    ) -> Option<Opened> {
        let given = self.given(expected);
        let by_build_id = expected.build_id.map(|id| self.by_build_id(id));
        let quiet = given.into_iter().chain(by_build_id.into_iter().flatten());
        if let Some(found) = quiet
            .filter_map(|path| open(&path, expected).ok())
            .find(useful)
        {
            return Some(found);
        }
        self.linked(binary?, expected, problems)
    }

    /// The given files that are the expected build. Without a build id to expect, only a sole file can be
    /// meant.
    fn given(&mut self, expected: &Expected<'_>) -> Vec<PathBuf> {
        let Some(wanted) = expected.build_id else {
            return Vec::new();
        };
        let ids = &mut self.build_ids;
        let mut matches = |path: &&PathBuf| {
            let id = ids.entry((*path).clone()).or_insert_with(|| {
                let bytes = mapped::open(path).ok()?;
                image::build_id(&object::File::parse(&*bytes).ok()?)
            });
            id.as_deref() == Some(wanted)
        };
        self.files.iter().filter(|p| matches(p)).cloned().collect()
    }

    fn by_build_id(&self, id: &str) -> Vec<PathBuf> {
        // The id comes from a file: only hex may become a path.
        if id.len() < 4 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Vec::new();
        }
        let tail = format!(".build-id/{}/{}.debug", &id[..2], &id[2..]);
        let flat = format!("{id}.debug");
        let extra = self.directories.iter();
        let mut paths: Vec<_> = extra
            .flat_map(|directory| [directory.join(&tail), directory.join(&flat)])
            .collect();
        paths.push(Path::new("/usr/lib/debug").join(&tail));
        paths
    }

    /// The `.gnu_debuglink` of the binary: beside it, in `.debug` beside it, in the given folders and in
    /// `/usr/lib/debug` under its own path.
    fn linked(
        &self,
        binary: &Opened,
        expected: &Expected<'_>,
        problems: &mut Vec<Problem>,
    ) -> Option<Opened> {
        let file = binary.parse()?;
        let (name, crc) = file.gnu_debuglink().ok()??;
        let name = std::str::from_utf8(name).ok()?;
        // The link is a plain name; anything else could point anywhere.
        if name.is_empty() || name.contains('/') {
            return None;
        }
        let folder = binary.path.parent()?;
        let relative = folder.strip_prefix("/").unwrap_or(folder);
        let mut places = vec![folder.join(name), folder.join(".debug").join(name)];
        places.extend(self.directories.iter().map(|place| place.join(name)));
        places.push(Path::new("/usr/lib/debug").join(relative).join(name));
        for path in places.into_iter().filter(|path| path.is_file()) {
            match open(&path, expected) {
                // Without build ids on both sides the checksum of the link has to do.
                Ok(found) if expected.build_id.is_none() && crc32(&found.bytes) != crc => {}
                Ok(found) if useful(&found) => return Some(found),
                Ok(_) => {}
                Err(problem) => problems.push(problem),
            }
        }
        None
    }
}

fn open(path: &Path, expected: &Expected<'_>) -> Result<Opened, Problem> {
    match mapped::open(path) {
        Ok(bytes) => accept(path.to_owned(), bytes, expected),
        Err(error) => Err(Problem::Unreadable {
            path: path.to_owned(),
            error: error.to_string(),
        }),
    }
}

fn accept(path: PathBuf, bytes: Bytes, expected: &Expected<'_>) -> Result<Opened, Problem> {
    let found = match object::File::parse(&*bytes) {
        Ok(file) => image::build_id(&file),
        Err(error) => {
            let error = error.to_string();
            return Err(Problem::Malformed { path, error });
        }
    };
    match (expected.build_id, found) {
        (Some(wanted), Some(found)) if wanted != found => {
            Err(Problem::BuildIdDiffers { path, found })
        }
        _ => Ok(Opened { path, bytes }),
    }
}

fn useful(opened: &Opened) -> bool {
    opened.parse().as_ref().is_some_and(image::has_debug_info)
}

/// The checksum of `.gnu_debuglink`: CRC-32 as in zlib, bit by bit; it is read at most once a file.
fn crc32(bytes: &[u8]) -> u32 {
    let table: [u32; 256] = std::array::from_fn(|byte| {
        (0..8).fold(byte as u32, |c, _| {
            (c >> 1) ^ (0xedb8_8320 & (c & 1).wrapping_neg())
        })
    });
    let step = |c: u32, &byte: &u8| table[usize::from(c as u8 ^ byte)] ^ (c >> 8);
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_zlibs() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn only_hex_becomes_a_path() {
        let search = Search::default();
        assert!(search.by_build_id("../../etc/passwd").is_empty());
        assert_eq!(
            search.by_build_id("abcdef01"),
            [PathBuf::from("/usr/lib/debug/.build-id/ab/cdef01.debug")]
        );
    }
}
