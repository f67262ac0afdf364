//! Files of other makers: whatever is read can be written and read again.
//!
//! `PERFWRIGHT_SAMPLES=DIR cargo test -p perfwright-format -- --nocapture samples` tries all files under a
//! folder, such as google/pprof's or inferno's test data, and prints which were refused and why. Without the
//! variable it tries those of `tests/data`, which must all be read, and makes some.

use std::{env, fs, path::Path};

use perfwright_format::{Format, Limits, Read, folded, pprof, read};

use crate::{
    canon,
    pprof::{encode, gzip, rich_profile},
};

#[test]
fn samples_survive_a_round_trip() {
    let files = match env::var_os("PERFWRIGHT_SAMPLES") {
        Some(folder) => files_under(Path::new(&folder)),
        None => {
            let written: Vec<_> = [own_files(), profiles()].concat();
            assert!(written.len() >= 18, "only {}", written.len());
            for (name, bytes) in &written {
                let read = read(bytes, &Limits::default());
                assert!(read.is_ok(), "{name}: {:?}", read.err());
            }
            written
        }
    };
    let mut accepted = 0;
    for (name, bytes) in &files {
        match read(bytes, &Limits::default()) {
            Ok(read) => {
                accepted += 1;
                println!(
                    "{name}: {}, {} samples",
                    read.format,
                    read.profile.sample_count()
                );
                for warning in &read.warnings {
                    println!("    {warning}");
                }
                round_trip(name, &read);
            }
            Err(error) => println!("{name}: {error}"),
        }
    }
    println!("{accepted} of {} files are profiles", files.len());
    assert!(accepted > 0, "none of {} files is a profile", files.len());
}

fn round_trip(name: &str, first: &Read) {
    let mut bytes = Vec::new();
    pprof::write_gzip(&first.profile, &mut bytes).unwrap();
    let second = read(&bytes, &Limits::default()).unwrap();
    assert_eq!(second.warnings, []);
    assert_eq!(
        canon::of_model(&second.profile),
        canon::of_model(&first.profile),
        "{name}"
    );

    let mut options = folded::Options::default();
    if first.format == Format::Folded {
        options.second_sample_type = (first.profile.sample_types().len() > 1).then_some(1);
    }
    let mut lines = Vec::new();
    folded::write_with(&first.profile, &options, &mut lines).unwrap();
    if lines.is_empty() {
        return;
    }
    let third = folded::read(&lines, &Limits::default()).unwrap();
    assert_eq!(third.profile.total(0), first.profile.total(0), "{name}");
    if first.format == Format::Folded {
        let sorted = |read: &Read| {
            let text = canon::of_model(&read.profile);
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines.retain(|line| !line.contains(" [0] ") && !line.contains(" [0, 0] "));
            lines
        };
        assert_eq!(sorted(&third), sorted(first), "{name}");
    }
}

fn own_files() -> Vec<(String, Vec<u8>)> {
    let plain = encode(&rich_profile());
    let named = [
        ("gzipped", gzip(&plain)),
        ("plain", plain),
        ("folded", b"main;a b 1.5\nmain;c_[k] 2\n".to_vec()),
        ("differential", b"main;a 1 2\nmain;b 3 4\n".to_vec()),
        ("gzipped folded", gzip(b"main;a 1\n")),
    ];
    named.map(|(name, bytes)| (name.to_owned(), bytes)).to_vec()
}

/// The profiles of `tests/data`, without the programs that they are of.
pub(crate) fn profiles() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data"));
    let mut files = files_under(folder);
    let sources = ["md", "c", "js", "py", "html"];
    files.retain(|(name, _)| {
        sources
            .iter()
            .all(|source| !name.ends_with(&format!(".{source}")))
    });
    #[cfg(not(feature = "zstd"))]
    files.retain(|(name, _)| !name.ends_with(".zst"));
    files
}

fn files_under(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    let mut files = Vec::new();
    for path in entries {
        if path.is_dir() {
            files.extend(files_under(&path));
        } else {
            files.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    files
}
