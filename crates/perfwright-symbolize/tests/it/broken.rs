//! Hostile files: whatever they hold, the answer is a report.

use perfwright_symbolize::{Options, Symbolizer};

use crate::fixtures::compile_c;
use crate::support::{BASE, Fixture, Program};

/// xorshift: enough to break files the same way each time.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

/// Symbolizes all of `work` and `main` from `bytes`; every location must end up with a frame.
fn survive(program: &Program, bytes: &[u8], what: &str) {
    let file = program.path.with_extension("broken");
    std::fs::write(&file, bytes).unwrap();
    let mut fixture = Fixture::of(program, &file);
    let mut locations = Vec::new();
    for name in ["work", "main", "_start"] {
        let (svma, size) = program.function(name);
        locations.extend(
            (svma..svma + size)
                .step_by(3)
                .map(|at| fixture.add(BASE + at)),
        );
    }
    let report = Symbolizer::new(Options::default()).symbolize(&mut fixture.profile);
    assert_eq!(
        report.resolved + report.unresolved,
        locations.len(),
        "{what}"
    );
    for location in locations {
        assert!(!fixture.profile.frames(location).is_empty(), "{what}");
    }
}

fn fuzz(seed: u64, flags: &[&str], rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let program = compile_c(folder.path(), "work", flags);
    let good = std::fs::read(&program.path).unwrap();
    let mut rng = Rng(seed);
    for round in 0..rounds {
        let mut bytes = good.clone();
        match round % 4 {
            0 => bytes.truncate(rng.below(good.len())),
            // The ends hold what matters most: file and section headers.
            1 => flip(&mut rng, &mut bytes, 0..1024),
            2 => flip(&mut rng, &mut bytes, good.len() - 2048..good.len()),
            _ => flip(&mut rng, &mut bytes, 0..good.len()),
        }
        survive(&program, &bytes, &format!("seed {seed}, round {round}"));
    }
}

fn flip(rng: &mut Rng, bytes: &mut [u8], range: std::ops::Range<usize>) {
    for _ in 0..1 + rng.below(24) {
        let at = range.start + rng.below(range.len());
        bytes[at] = match rng.below(4) {
            0 => 0,
            1 => 0xff,
            2 => bytes[at].wrapping_add(1),
            _ => rng.below(256) as u8,
        };
    }
}

#[test]
fn truncated_and_flipped_files_are_survived() {
    fuzz(1, &["-gdwarf-5"], 300);
    fuzz(2, &["-gdwarf-4"], 150);
    fuzz(3, &["-gdwarf-5", "-gz=zlib"], 150);
}

#[test]
fn noise_in_debug_sections_is_survived() {
    use object::{Object, ObjectSection};
    let folder = tempfile::tempdir().unwrap();
    let program = compile_c(folder.path(), "work", &["-gdwarf-5", "-g3"]);
    let good = std::fs::read(&program.path).unwrap();
    let file = object::File::parse(&*good).unwrap();
    let ranges: Vec<_> = (file.sections())
        .filter(|section| section.name().is_ok_and(|name| name.starts_with(".debug_")))
        .filter_map(|section| section.file_range())
        .collect();
    let mut rng = Rng(4);
    for round in 0..300 {
        let (start, size) = ranges[rng.below(ranges.len())];
        let mut bytes = good.clone();
        flip(
            &mut rng,
            &mut bytes,
            start as usize..(start + size) as usize,
        );
        survive(&program, &bytes, &format!("round {round}"));
    }
}

#[test]
fn files_of_other_kinds_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile_c(folder.path(), "work", &["-g"]);
    for bytes in [
        &b""[..],
        b"#!/bin/sh\n",
        &[0x7f, b'E', b'L', b'F'],
        &[0; 4096],
    ] {
        survive(&program, bytes, &format!("{} bytes", bytes.len()));
    }
    let mut fixture = Fixture::of(&program, folder.path());
    fixture.add(BASE + program.function("work").0);
    let report = Symbolizer::new(Options::default()).symbolize(&mut fixture.profile);
    assert!(
        report.to_string().contains("not a regular file"),
        "{report}"
    );
}
