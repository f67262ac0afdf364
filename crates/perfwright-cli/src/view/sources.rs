//! The text of source files, for a page that shows the costs of their lines.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::{Compression, write::GzEncoder};
use perfwright_analyze::{By, Origin, top};
use perfwright_model::Profile;

/// No more text than this goes into a page: the hottest hundred files of a service, a few times over.
const MAX_BYTES: u64 = 2_000_000;

/// A larger file is generated, and nobody reads it: SQLite's amalgamation alone has 9 MB.
const MAX_FILE_BYTES: u64 = 500_000;

/// A source file, gzipped, under its path in the profile.
pub(crate) type Source = (String, Vec<u8>);

/// The files that cost most themselves, as far as they are on this disk and within the bounds.
pub(crate) fn hottest(profiles: &[&Profile]) -> Vec<Source> {
    let library = standard_library();
    let (mut found, mut left) = (Vec::<Source>::new(), MAX_BYTES);
    for file in profiles.iter().flat_map(|profile| files(profile)) {
        if found.iter().any(|(known, _)| *known == file) {
            continue;
        }
        let place = place(&file, library.as_deref());
        if let Ok((packed, size)) = pack(&place, left.min(MAX_FILE_BYTES)) {
            left -= size;
            found.push((file, packed));
        }
    }
    found
}

/// The source files of a profile: the workspace's own by all that they cost, among the others by what those cost
/// themselves.
fn files(profile: &Profile) -> Vec<String> {
    let Some(at) = profile.default_sample_type() else {
        return Vec::new();
    };
    let mut rows = top(profile, at, By::File);
    rows.sort_by_key(|row| {
        let is_own = Origin::of("", row.file.as_deref()) == Origin::Own;
        std::cmp::Reverse(if is_own {
            row.total_value
        } else {
            row.self_value
        })
    });
    rows.into_iter().filter_map(|row| row.file).collect()
}

/// Where a file is on this disk: the standard library's paths begin where it was built.
fn place(file: &str, library: Option<&Path>) -> PathBuf {
    let built = file
        .strip_prefix("/rustc/")
        .and_then(|rest| rest.split_once('/'));
    match (built, library) {
        (Some((_, below)), Some(library)) => library.join(below),
        _ => PathBuf::from(file),
    }
}

/// The folder that holds the sources of the compiler's own library, where they are installed.
fn standard_library() -> Option<PathBuf> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .ok()?;
    let sysroot = String::from_utf8(output.stdout).ok()?;
    Some(Path::new(sysroot.trim()).join("lib/rustlib/src/rust"))
}

/// A file gzipped, and its size; an error if it is larger than that, or no text.
fn pack(place: &Path, max: u64) -> io::Result<(Vec<u8>, u64)> {
    let mut bytes = Vec::new();
    fs::File::open(place)?
        .take(max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    let size = bytes.len() as u64;
    if size > max || std::str::from_utf8(&bytes).is_err() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(&bytes)?;
    Ok((packer.finish()?, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_standard_library_lie_in_its_sources() {
        let library = Path::new("/toolchain/lib/rustlib/src/rust");
        let std = "/rustc/59807616e1fa/library/core/src/option.rs";
        let expected = library.join("library/core/src/option.rs");
        assert_eq!(place(std, Some(library)), expected);
        assert_eq!(
            place("src/main.rs", Some(library)),
            Path::new("src/main.rs")
        );
        assert_eq!(place(std, None), Path::new(std));
    }

    #[test]
    fn what_is_large_or_no_text_stays_out() {
        let folder =
            std::env::temp_dir().join(format!("perfwright-sources-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let text = file("a.rs", b"fn main() {}\n");
        assert_eq!(pack(&text, 13).unwrap().1, 13);
        assert!(pack(&text, 12).is_err());
        assert!(pack(&file("b.rs", &[0xff, 0xfe]), 100).is_err());
        assert!(pack(&folder.join("none.rs"), 100).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_hottest_files_come_first() {
        let mut profile = Profile::new([perfwright_model::SampleType::new("samples", "count")]);
        for (file, cost) in [("cold.rs", 1), ("hot.rs", 9)] {
            let name = profile.intern(file);
            let function = profile.add_function(perfwright_model::Function {
                filename: name,
                ..perfwright_model::Function::named(name)
            });
            let frame = perfwright_model::Frame {
                function,
                line: None,
                column: None,
            };
            let place = profile.add_location(perfwright_model::Location::default(), &[frame]);
            let stack = profile.intern_stack_root_first([place]);
            profile.record(stack, perfwright_model::LabelSetId::EMPTY, &[cost]);
        }
        assert_eq!(files(&profile), ["hot.rs", "cold.rs"]);
    }
}
