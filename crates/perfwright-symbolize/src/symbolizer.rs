//! The walk over a profile: which addresses to look up, and what becomes of the answers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use object::Object;
use perfwright_model::{
    Frame, Function, FunctionId, LocationId, Mapping, MappingId, Profile, StringId,
};

use crate::demangle::{demangle, is_mangled};
use crate::dwarf::{self, RawFrame};
use crate::extents;
use crate::image::{self, Bias, TextRanges};
use crate::report::{MappingReport, Problem, Report};
use crate::search::{Expected, Opened, Search};
use crate::symbols::Symbols;

/// Limits of a lookup.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// How many bytes the compressed debug sections of one file may take when decompressed (default 2 GiB).
    /// Sections beyond that count as missing.
    pub max_decompressed_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_decompressed_bytes: 2 << 30,
        }
    }
}

/// Gives the addresses of profiles their functions, files and lines.
#[derive(Default)]
pub struct Symbolizer {
    options: Options,
    search: Search,
}

impl Symbolizer {
    /// A symbolizer that looks where the system keeps debug files.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            search: Search::default(),
        }
    }

    /// Adds a file with debug information. It is used for the mapping with the same build id.
    #[must_use]
    pub fn debug_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.search.add_file(path.into());
        self
    }

    /// Adds a folder of debug files: `.build-id/ab/cdef.debug`, `abcdef.debug`, or the name that the
    /// program's `.gnu_debuglink` gives.
    #[must_use]
    pub fn debug_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.search.add_directory(path.into());
        self
    }

    /// Looks up every location that has an address and no line yet, and sets its frames.
    ///
    /// Locations for which nothing is found keep the frames they had; those without any get one named after
    /// the file and an address in it: `libfoo.so!0x1234`, the SVMA where the function starts if the unwind
    /// tables tell it, else that of the instruction (a file offset when the file is missing). Outside all
    /// mappings the name is `[unknown]`. Such names are looked up again by a later call, which may have a debug
    /// file.
    pub fn symbolize(&mut self, profile: &mut Profile) -> Report {
        let mut report = Report::default();
        let mut writer = Writer::default();
        for (mapping, places) in pending(profile) {
            match mapping {
                Some(id) => self.symbolize_mapping(profile, id, &places, &mut writer, &mut report),
                None => report.add(name_unmapped(profile, &places)),
            }
        }
        report
    }

    fn symbolize_mapping(
        &mut self,
        profile: &mut Profile,
        id: MappingId,
        places: &[Place],
        writer: &mut Writer,
        report: &mut Report,
    ) {
        let mapping = *profile.mapping(id);
        let mut entry = MappingReport {
            file: profile.string(mapping.filename).to_owned(),
            build_id: profile.string(mapping.build_id).to_owned(),
            ..MappingReport::default()
        };
        let answers = self.look_up(&mapping, places, &mut entry, &mut report.mapped_bytes);
        for (place, start, answer) in answers.each(places) {
            match answer {
                Some(found) if found[0].file.is_some() => entry.from_debug_info += 1,
                Some(_) => entry.from_symbols += 1,
                None => entry.unresolved += 1,
            }
            match answer {
                Some(found) => writer.write(profile, place.location, found),
                None => name_by_address(profile, place.location, &entry.file, start),
            }
        }
        let flags = profile.mapping_mut(id);
        let lines = entry.from_debug_info > 0;
        flags.has_functions |= lines || entry.from_symbols > 0;
        flags.has_filenames |= lines;
        flags.has_lines |= lines;
        flags.has_inlines |= lines;
        report.add(entry);
    }

    /// Opens what there is for a mapping, asks it, and closes it again.
    fn look_up(
        &mut self,
        mapping: &Mapping,
        places: &[Place],
        entry: &mut MappingReport,
        mapped_bytes: &mut u64,
    ) -> Answers {
        let build_id = entry.build_id.clone();
        let known = Expected {
            build_id: (!build_id.is_empty()).then_some(build_id.as_str()),
        };
        let problems = &mut entry.problems;
        let binary = self.search.binary(&entry.file, &known);
        let binary = binary.map_err(|problem| problems.push(problem)).ok();
        // The profile may not know the build id; the file that was mapped does.
        let parsed = binary.as_ref().and_then(Opened::parse);
        let own = parsed.as_ref().and_then(image::build_id);
        let expected = Expected {
            build_id: known.build_id.or(own.as_deref()),
        };
        let debug = match parsed.as_ref().is_some_and(image::has_debug_info) {
            true => None,
            false => self.search.debug_file(binary.as_ref(), &expected, problems),
        };
        for opened in [&binary, &debug].into_iter().flatten() {
            *mapped_bytes += opened.bytes.len() as u64;
            entry.sources.push(opened.path.clone());
        }
        self.ask(mapping, places, binary.as_ref(), debug.as_ref(), entry)
    }

    fn ask(
        &self,
        mapping: &Mapping,
        places: &[Place],
        binary: Option<&Opened>,
        debug: Option<&Opened>,
        entry: &mut MappingReport,
    ) -> Answers {
        let (binary_file, debug_file) = (
            binary.and_then(Opened::parse),
            debug.and_then(Opened::parse),
        );
        let offsets = Bias::file_offsets(mapping.start, mapping.offset);
        let bias = match (&binary_file, &debug_file) {
            (Some(file), _) => Bias::of(file, mapping.start, mapping.offset),
            (None, Some(file)) => Bias::of_debug_file(file, mapping.start),
            (None, None) => return Answers::none(places, offsets),
        };
        let Some(bias) = bias else {
            let path = entry.sources.first().cloned().unwrap_or_default();
            entry.problems.push(Problem::NoSegment { path });
            return Answers::none(places, offsets);
        };
        let mut answers = Answers::none(places, bias);
        let files = [(debug_file, debug), (binary_file, binary)];
        let files: Vec<_> = files
            .iter()
            .filter_map(|(file, opened)| Some((file.as_ref()?, (*opened)?.path.as_path())))
            .collect();
        let release = || {
            let opened = [binary, debug].into_iter().flatten();
            opened.for_each(|opened| opened.bytes.release());
        };
        match files.iter().find(|(file, _)| image::has_debug_info(file)) {
            Some((file, path)) => {
                self.ask_debug_info(file, path, &release, &mut answers, entry);
                release();
            }
            None => entry.problems.push(Problem::NoDebugInfo),
        }
        ask_symbols(files.iter().map(|(file, _)| *file), &mut answers);
        if let Some((file, _)) = files.last() {
            ask_extents(file, &mut answers);
        }
        answers
    }

    fn ask_debug_info(
        &self,
        file: &object::File<'_>,
        path: &Path,
        release: &dyn Fn(),
        answers: &mut Answers,
        entry: &mut MappingReport,
    ) {
        let mut broken = Vec::new();
        let sections = image::sections(file, self.options.max_decompressed_bytes, &mut broken);
        let dwarf = image::dwarf(&sections, file.is_little_endian());
        let found = dwarf::resolve(&dwarf, &TextRanges::of(file), &answers.svmas, release);
        answers.frames = found.frames;
        let path = path.to_owned();
        entry.problems.extend(broken.into_iter().map(|error| {
            let path = path.clone();
            Problem::Malformed { path, error }
        }));
        if found.split_units > 0 {
            let units = found.split_units;
            entry.problems.push(Problem::SplitDebugInfo { units });
        }
        if found.broken_units > 0 {
            let units = found.broken_units;
            entry
                .problems
                .push(Problem::BrokenDebugInfo { path, units });
        }
    }
}

/// Names the functions that debug information left without a name, or with a plain one where the symbol
/// table has the mangled and therefore whole one.
fn ask_symbols<'f, 'd: 'f>(
    files: impl Iterator<Item = &'f object::File<'d>>,
    answers: &mut Answers,
) {
    let plain = |frames: &[RawFrame]| {
        let name = frames
            .last()
            .and_then(|outermost| outermost.name.as_deref());
        !name.is_some_and(is_mangled)
    };
    let wants = answers.frames.iter().map(|frames| plain(frames));
    let asked: Vec<usize> = wants.enumerate().filter(|w| w.1).map(|w| w.0).collect();
    if asked.is_empty() {
        return;
    }
    let svmas: Vec<u64> = asked.iter().map(|&index| answers.svmas[index]).collect();
    let mut symbols = Symbols::new(&svmas);
    for file in files {
        symbols.read(file, &TextRanges::of(file));
    }
    for (&index, symbol) in asked.iter().zip(symbols.finish()) {
        let Some(symbol) = symbol else { continue };
        let frames = &mut answers.frames[index];
        match frames.last_mut() {
            Some(outermost) if outermost.name.is_some() && !is_mangled(symbol.name) => {}
            Some(outermost) => outermost.name = Some(symbol.name.into()),
            None => frames.push(RawFrame {
                name: Some(symbol.name.into()),
                ..RawFrame::default()
            }),
        }
    }
}

/// Finds where the functions start that are still without a name.
fn ask_extents(file: &object::File<'_>, answers: &mut Answers) {
    let nameless = |index: &usize| answers.named(*index).is_none();
    let asked: Vec<usize> = (0..answers.svmas.len()).filter(nameless).collect();
    let svmas: Vec<u64> = asked.iter().map(|&index| answers.svmas[index]).collect();
    for (index, start) in asked.into_iter().zip(extents::starts(file, &svmas)) {
        answers.starts[index] = start.unwrap_or(answers.svmas[index]);
    }
}

/// A location to look up.
struct Place {
    location: LocationId,
    avma: u64,
}

/// The locations to look up, by mapping and sorted by address.
fn pending(profile: &Profile) -> Vec<(Option<MappingId>, Vec<Place>)> {
    let mut by_mapping: HashMap<Option<MappingId>, Vec<Place>> = HashMap::new();
    for (index, row) in profile.locations().enumerate() {
        let location = LocationId::from_index(index);
        let Some(address) = row.address else { continue };
        let frames = profile.frames(location);
        let improvable = row.mapping.is_some() && frames.iter().all(|frame| frame.line.is_none());
        if frames.is_empty() || improvable {
            let avma = address.get();
            let places = by_mapping.entry(row.mapping).or_default();
            places.push(Place { location, avma });
        }
    }
    let mut all: Vec<_> = by_mapping.into_iter().collect();
    all.sort_unstable_by_key(|(mapping, _)| mapping.map_or(usize::MAX, MappingId::index));
    for (_, places) in &mut all {
        places.sort_unstable_by_key(|place| (place.avma, place.location));
    }
    all
}

/// The distinct addresses of a mapping, and what was found for each.
struct Answers {
    bias: Bias,
    svmas: Vec<u64>,
    /// What to name an address after that nothing is found for.
    starts: Vec<u64>,
    /// Innermost first; empty where nothing was found.
    frames: Vec<Vec<RawFrame>>,
}

impl Answers {
    fn none(places: &[Place], bias: Bias) -> Self {
        let mut svmas: Vec<u64> = places.iter().map(|place| bias.svma(place.avma)).collect();
        svmas.sort_unstable();
        svmas.dedup();
        let frames = vec![Vec::new(); svmas.len()];
        Self {
            bias,
            starts: svmas.clone(),
            svmas,
            frames,
        }
    }

    /// The frames of an address, if they have a name for its function.
    fn named(&self, index: usize) -> Option<&[RawFrame]> {
        let frames = self.frames.get(index)?.as_slice();
        frames.last()?.name.is_some().then_some(frames)
    }

    /// Each place with what to name it after, and its frames.
    fn each<'a>(
        &'a self,
        places: &'a [Place],
    ) -> impl Iterator<Item = (&'a Place, u64, Option<&'a [RawFrame]>)> {
        places.iter().map(|place| {
            let svma = self.bias.svma(place.avma);
            match self.svmas.binary_search(&svma) {
                Ok(index) => (place, self.starts[index], self.named(index)),
                Err(_) => (place, svma, None),
            }
        })
    }
}

/// Puts answers into a profile, each distinct name demangled once.
#[derive(Default)]
struct Writer {
    names: HashMap<Rc<str>, StringId>,
    /// By name and file.
    functions: HashMap<[Option<Rc<str>>; 2], FunctionId>,
}

impl Writer {
    fn write(&mut self, profile: &mut Profile, location: LocationId, found: &[RawFrame]) {
        let frames: Vec<Frame> = found
            .iter()
            .map(|raw| Frame {
                function: self.function(profile, raw),
                line: raw.line,
                column: raw.column,
            })
            .collect();
        profile.set_frames(location, &frames);
    }

    fn function(&mut self, profile: &mut Profile, raw: &RawFrame) -> FunctionId {
        let key = [raw.name.clone(), raw.file.clone()];
        if let Some(&known) = self.functions.get(&key) {
            return known;
        }
        let name = match &raw.name {
            Some(name) => self.name(profile, name),
            None => profile.intern("[inlined]"),
        };
        let system_name = profile.intern(raw.name.as_deref().unwrap_or_default());
        let filename = profile.intern(raw.file.as_deref().unwrap_or_default());
        let id = profile.add_function(Function {
            name,
            system_name,
            filename,
            start_line: raw.start_line,
        });
        self.functions.insert(key, id);
        id
    }

    fn name(&mut self, profile: &mut Profile, mangled: &Rc<str>) -> StringId {
        if let Some(&known) = self.names.get(mangled) {
            return known;
        }
        let id = profile.intern(&demangle(mangled));
        self.names.insert(Rc::clone(mangled), id);
        id
    }
}

/// A name that says where, for an address that has none. Frames that a file brought along stay.
fn name_by_address(profile: &mut Profile, location: LocationId, file: &str, svma: u64) {
    if profile.frames(location).is_empty() {
        let base = Path::new(file).file_name().and_then(|name| name.to_str());
        set_name(
            profile,
            location,
            &format!("{}!{svma:#x}", base.unwrap_or("[anonymous]")),
        );
    }
}

fn name_unmapped(profile: &mut Profile, places: &[Place]) -> MappingReport {
    for place in places {
        set_name(profile, place.location, "[unknown]");
    }
    MappingReport {
        unresolved: places.len(),
        problems: vec![Problem::NoMapping],
        ..MappingReport::default()
    }
}

fn set_name(profile: &mut Profile, location: LocationId, name: &str) {
    let name = profile.intern(name);
    let function = profile.add_function(Function::named(name));
    let frame = Frame {
        function,
        line: None,
        column: None,
    };
    profile.set_frames(location, &[frame]);
}
