//! Captures as files.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use perfwright_cpu::Capture;
use perfwright_format::{folded, pprof};
use perfwright_model::Profile;

/// Why [`crate::Perfwright::write`] wrote nothing, or not all. Fits "failed to {error}".
#[derive(Debug)]
#[non_exhaustive]
pub enum WriteError {
    /// Nothing is sampled, so there is nothing to write.
    NotRunning {
        /// Why nothing is sampled.
        why: String,
    },
    /// A file or folder could not be written.
    Io {
        /// Which.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::NotRunning { why } => write!(f, "write a profile: {why}"),
            WriteError::Io { path, error } => write!(f, "write {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            WriteError::NotRunning { .. } => None,
            WriteError::Io { error, .. } => Some(error),
        }
    }
}

/// Writes a capture for people and their tools, with names.
pub(crate) fn write_capture(capture: Capture, folder: &Path) -> Result<(), WriteError> {
    let mut profile = capture.profile;
    resolve(&mut profile);
    write_profile(&profile, folder, "cpu")
}

/// Writes `NAME.pb.gz`, `NAME.folded` and, with the feature, `NAME.svg`.
fn write_profile(profile: &Profile, folder: &Path, name: &str) -> Result<(), WriteError> {
    fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
    let path = |extension: &str| folder.join(format!("{name}.{extension}"));
    write_beside(&path("pb.gz"), |file| pprof::write_gzip(profile, file))?;
    let sample_type = profile.meta.default_sample_type.unwrap_or(0);
    write_beside(&path("folded"), |file| {
        folded::write(profile, sample_type, file)
    })?;
    #[cfg(feature = "flamegraph")]
    write_beside(&path("svg"), |file| {
        let options = perfwright_flamegraph::Options::default();
        perfwright_flamegraph::write_svg(profile, &options, file)
            .map(drop)
            .map_err(io::Error::other)
    })?;
    Ok(())
}

/// Writes a capture of the heap for people and their tools, with names.
#[cfg(feature = "heap")]
pub(crate) fn write_heap(
    capture: perfwright_heap::Capture,
    folder: &Path,
) -> Result<(), WriteError> {
    let mut profile = capture.profile;
    resolve(&mut profile);
    write_profile(&profile, folder, "heap")
}

/// Writes a capture as it is: addresses and mappings, for a command that resolves them elsewhere.
pub(crate) fn write_raw(profile: &Profile, path: &Path) -> Result<(), WriteError> {
    write_beside(path, |file| pprof::write_gzip(profile, file))
}

/// A profile as gzipped pprof.
#[cfg(feature = "continuous")]
pub(crate) fn pprof_bytes(profile: &Profile) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pprof::write_gzip(profile, &mut bytes)?;
    Ok(bytes)
}

#[cfg(feature = "symbolize")]
pub(crate) fn resolve(profile: &mut Profile) {
    use perfwright_symbolize::{Options, Symbolizer};
    // What stays unresolved has a name such as `libfoo.so!0x1234`, so nothing is lost without the report.
    let _report = Symbolizer::new(Options::default()).symbolize(profile);
}

#[cfg(not(feature = "symbolize"))]
pub(crate) fn resolve(_profile: &mut Profile) {}

/// Writes beside the file and renames, so that a reader sees all of it or nothing.
pub(crate) fn write_beside(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), WriteError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = fill(&part, write).and_then(|()| fs::rename(&part, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&part);
        at(path, error)
    })
}

fn fill(part: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(part)?);
    write(&mut file)?;
    file.flush()
}

fn at(path: &Path, error: io::Error) -> WriteError {
    WriteError::Io {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_is_whole_or_absent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cpu.folded");
        let broken = |file: &mut BufWriter<File>| {
            file.write_all(b"a;b 1")?;
            Err(io::Error::other("no more"))
        };
        let error = write_beside(&path, broken).unwrap_err().to_string();
        assert_eq!(error, format!("write {}: no more", path.display()));
        assert_eq!(names(folder.path()), [""; 0]);

        write_beside(&path, |file| file.write_all(b"a;b 1\n")).unwrap();
        assert_eq!(names(folder.path()), ["cpu.folded"]);
        assert_eq!(fs::read(&path).unwrap(), b"a;b 1\n");
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent/cpu.folded");
        let error = write_beside(&path, |_| Ok(())).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("write {}: ", path.display())),
            "{error}"
        );
    }
}
