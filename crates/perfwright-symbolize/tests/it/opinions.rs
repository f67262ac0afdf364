//! Second opinions: the `addr2line` crate and binutils' program, on this test executable.

use std::collections::HashMap;
use std::process::Command;

use gimli::{EndianSlice, LittleEndian};
use object::{Object, ObjectSection};
use perfwright_model::{LocationId, Profile};
use perfwright_symbolize::{Options, Symbolizer};

use crate::need::{Tool, need};
use crate::support::{BASE, Fixture, Program};

/// This executable, symbolized at a spread of addresses in its functions.
fn symbolized(step: usize) -> (Program, Vec<(u64, LocationId)>, Profile) {
    let program = Program::read(std::env::current_exe().unwrap());
    let mut fixture = Fixture::of(&program, &program.path);
    let mut locations = Vec::new();
    for (index, (_, svma, size)) in program.functions.iter().enumerate().step_by(step) {
        let at = svma + (index as u64 * 0x9e37) % size;
        locations.push((at, fixture.add(BASE + at)));
    }
    let report = Symbolizer::new(Options::default()).symbolize(&mut fixture.profile);
    let resolved = report.resolved as f64 / locations.len() as f64;
    assert!(resolved > 0.999, "{report}");
    (program, locations, fixture.profile)
}

/// `file:line` of each frame, innermost first; `?` where unknown.
fn places(profile: &Profile, location: LocationId) -> Vec<String> {
    let place = |frame: &perfwright_model::Frame| {
        let file = profile.string(profile.function(frame.function).filename);
        match (file, frame.line) {
            ("", _) | (_, None) => "?".to_owned(),
            (file, Some(line)) => format!("{file}:{line}"),
        }
    };
    profile.frames(location).iter().map(place).collect()
}

#[test]
fn the_addr2line_crate_agrees() {
    let (program, locations, profile) = symbolized(3);
    let bytes = std::fs::read(&program.path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let load = |id: gimli::SectionId| -> Result<_, gimli::Error> {
        let section = file.section_by_name(id.name());
        let data = section
            .and_then(|section| section.data().ok())
            .unwrap_or_default();
        Ok(EndianSlice::new(data, LittleEndian))
    };
    let context = addr2line::Context::from_dwarf(gimli::Dwarf::load(load).unwrap()).unwrap();
    let (mut compared, mut inlined) = (0, 0);
    for (svma, location) in locations {
        let ours = places(&profile, location);
        let mut theirs = Vec::new();
        let mut frames = context.find_frames(svma).skip_all_loads().unwrap();
        while let Ok(Some(frame)) = frames.next() {
            theirs.push(match frame.location {
                Some(at) => match (at.file.unwrap_or("?"), at.line) {
                    (_, None | Some(0)) => "?".to_owned(),
                    (file, Some(line)) => format!("{file}:{line}"),
                },
                None => "?".to_owned(),
            });
        }
        if !theirs.is_empty() {
            assert_eq!(ours, theirs, "{svma:#x}");
            compared += 1;
            inlined += usize::from(theirs.len() > 1);
        }
    }
    println!("{compared} addresses compared, {inlined} of them in inlined code");
    assert!(compared > 1000 && inlined > 50, "{compared} {inlined}");
}

#[test]
fn binutils_agrees() {
    if !need(Tool::Binutils) {
        return;
    }
    let (program, locations, profile) = symbolized(1);
    let step = locations.len() / 500;
    let asked: Vec<_> = locations.iter().step_by(step.max(1)).collect();
    let arguments = asked.iter().map(|(svma, _)| format!("{svma:#x}"));
    let mut command = Command::new("addr2line");
    command
        .args(["-a", "-f", "-i", "-e"])
        .arg(&program.path)
        .args(arguments);
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let theirs = parse(&output);
    let differing: Vec<String> = (asked.iter())
        .filter(|(svma, location)| theirs[svma] != places(&profile, *location))
        .map(|(svma, location)| {
            format!(
                "{svma:#x}: {:?} {:?}",
                theirs[svma],
                places(&profile, *location)
            )
        })
        .collect();
    println!(
        "{} addresses compared, {} differ: {differing:#?}",
        asked.len(),
        differing.len()
    );
    assert!(asked.len() >= 400);
    assert!(differing.is_empty());
}

/// The output of `addr2line -a -f -i`: an address, then a name and a `file:line` for each frame.
fn parse(output: &str) -> HashMap<u64, Vec<String>> {
    let mut found: HashMap<u64, Vec<String>> = HashMap::new();
    let mut current = 0;
    let mut lines = output.lines();
    while let Some(line) = lines.next() {
        if let Some(hex) = line.strip_prefix("0x") {
            current = u64::from_str_radix(hex, 16).unwrap();
            continue;
        }
        let place = lines.next().unwrap();
        let place = place.split(" (discriminator").next().unwrap();
        // Without a line binutils may still name a file, such as that of the whole unit.
        let unknown = place.ends_with(":?") || place == "??:0";
        let place = if unknown { "?" } else { place };
        found.entry(current).or_default().push(place.to_owned());
    }
    found
}
