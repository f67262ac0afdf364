//! Programs and debug files that are apart, missing, or not each other's.

use std::path::Path;

use perfwright_symbolize::{Options, Problem, Report, Symbolizer};

use crate::fixtures::compile_c;
use crate::need::{Tool, need};
use crate::support::{BASE, Fixture, Program, frames, run};

/// A stripped program and its debug file.
struct Split {
    folder: tempfile::TempDir,
    program: Program,
}

impl Split {
    fn new() -> Option<Self> {
        if !need(Tool::Binutils) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let program = compile_c(folder.path(), "whole", &["-g"]);
        let split = Self { folder, program };
        let (whole, debug, bare) = (split.at("whole"), split.at("work.debug"), split.at("bare"));
        run("objcopy", &["--only-keep-debug", &whole, &debug]);
        run("objcopy", &["--strip-all", &whole, &bare]);
        Some(split)
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// What `symbolizer` says of the middle of `work`, in the stripped program.
    fn ask(&self, mut symbolizer: Symbolizer, file: &str) -> (String, Report) {
        let mut fixture = Fixture::of(&self.program, Path::new(file));
        let (svma, size) = self.program.function("work");
        let location = fixture.add(BASE + svma + size / 2);
        let report = symbolizer.symbolize(&mut fixture.profile);
        let found = frames(&fixture.profile, location);
        (found.last().unwrap().clone(), report)
    }
}

fn symbolizer() -> Symbolizer {
    Symbolizer::new(Options::default())
}

#[test]
fn a_stripped_program_needs_its_debug_file() {
    let Some(split) = Split::new() else { return };
    let bare = split.at("bare");
    // The unwind table still knows where the function starts.
    let (svma, _) = split.program.function("work");
    let (name, report) = split.ask(symbolizer(), &bare);
    assert_eq!(name, format!("bare!{svma:#x}"));
    assert_eq!(report.mappings[0].problems, [Problem::NoDebugInfo]);

    let (name, report) = split.ask(symbolizer().debug_file(split.at("work.debug")), &bare);
    assert_eq!(name, "work work.c:12");
    assert_eq!(report.mappings[0].problems, [], "{report}");
}

#[test]
fn a_later_debug_file_replaces_names_by_address() {
    let Some(split) = Split::new() else { return };
    let mut fixture = Fixture::of(&split.program, Path::new(&split.at("bare")));
    let location = fixture.add(BASE + split.program.function("work").0);
    symbolizer().symbolize(&mut fixture.profile);
    assert!(frames(&fixture.profile, location)[0].starts_with("bare!0x"));
    let mut again = symbolizer().debug_file(split.at("work.debug"));
    assert_eq!(again.symbolize(&mut fixture.profile).resolved, 1);
    assert!(
        frames(&fixture.profile, location)
            .last()
            .unwrap()
            .starts_with("work work.c:")
    );
    assert_eq!(again.symbolize(&mut fixture.profile), Report::default());
}

#[test]
fn debug_files_are_found_by_build_id_and_by_link() {
    let Some(split) = Split::new() else { return };
    let (bare, debug) = (split.at("bare"), split.at("work.debug"));
    let id = &split.program.build_id;
    let nested = split
        .folder
        .path()
        .join(format!("store/.build-id/{}", &id[..2]));
    std::fs::create_dir_all(&nested).unwrap();
    std::fs::copy(&debug, nested.join(format!("{}.debug", &id[2..]))).unwrap();
    let (name, _) = split.ask(symbolizer().debug_dir(split.at("store")), &bare);
    assert_eq!(name, "work work.c:12");

    run("objcopy", &[&format!("--add-gnu-debuglink={debug}"), &bare]);
    assert_eq!(split.ask(symbolizer(), &bare).0, "work work.c:12");
    // Another build under the linked name is refused.
    let other = compile_c(split.folder.path(), "other", &["-g", "-DOTHER", "-O1"]);
    std::fs::copy(&other.path, &debug).unwrap();
    let (name, report) = split.ask(symbolizer(), &bare);
    assert!(name.starts_with("bare!0x"), "{name}");
    let differs = |p: &Problem| matches!(p, Problem::BuildIdDiffers { .. });
    assert!(report.mappings[0].problems.iter().any(differs), "{report}");
}

#[test]
fn a_debug_file_does_without_its_program() {
    let Some(split) = Split::new() else { return };
    let gone = split.at("gone");
    let (name, report) = split.ask(symbolizer().debug_file(split.at("work.debug")), &gone);
    assert_eq!(name, "work work.c:12");
    let [Problem::Unreadable { path, .. }] = &report.mappings[0].problems[..] else {
        panic!("{report}");
    };
    assert_eq!(path, Path::new(&gone));
}

#[test]
fn another_build_is_refused_and_said() {
    let Some(split) = Split::new() else { return };
    let other = compile_c(split.folder.path(), "other", &["-g", "-O1"]);
    let other = other.path.to_str().unwrap();
    let (name, report) = split.ask(symbolizer(), other);
    assert!(name.starts_with("other!0x"), "{name}");
    let text = report.to_string();
    assert!(text.starts_with("0 of 1 addresses resolved\n"), "{text}");
    assert!(text.contains("other is another build ("), "{text}");
    // A debug file of another build is not used either, and the right one still is.
    let both = symbolizer()
        .debug_file(other)
        .debug_file(split.at("work.debug"));
    assert_eq!(split.ask(both, &split.at("bare")).0, "work work.c:12");
}

#[test]
fn memory_without_a_file_says_so() {
    let mut fixture = Fixture::new("[heap]", 0x1000, 0x2000, 0, "");
    let location = fixture.add(0x1234);
    let report = symbolizer().symbolize(&mut fixture.profile);
    assert_eq!(frames(&fixture.profile, location), ["[heap]!0x234"]);
    assert_eq!(report.mappings[0].problems, [Problem::NotAFile]);
}
