//! Profiles made of addresses, programs to look them up in, and what they say once symbolized.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};
use perfwright_model::{Location, LocationId, Mapping, MappingId, Profile, SampleType, StringId};

/// Where fixtures pretend to be loaded.
pub(crate) const BASE: u64 = 0x5555_0000_0000;

/// A profile with one mapping.
pub(crate) struct Fixture {
    pub(crate) profile: Profile,
    mapping: MappingId,
}

impl Fixture {
    pub(crate) fn new(file: &str, start: u64, limit: u64, offset: u64, build_id: &str) -> Self {
        let mut profile = Profile::new([SampleType::new("samples", "count")]);
        let filename = profile.intern(file);
        let build_id = match build_id {
            "" => StringId::EMPTY,
            id => profile.intern(id),
        };
        let mapping = profile.add_mapping(Mapping {
            offset,
            filename,
            build_id,
            ..Mapping::new(start, limit)
        });
        Self { profile, mapping }
    }

    /// The code of `program`, mapped at [`BASE`] from the path `file`.
    pub(crate) fn of(program: &Program, file: &Path) -> Self {
        let (svma, offset) = program.code;
        Self::new(
            file.to_str().unwrap(),
            BASE + svma,
            BASE + svma + (1 << 30),
            offset,
            &program.build_id,
        )
    }

    pub(crate) fn add(&mut self, avma: u64) -> LocationId {
        let location = Location {
            mapping: Some(self.mapping),
            address: NonZeroU64::new(avma),
            ..Location::default()
        };
        self.profile.add_location(location, &[])
    }

    pub(crate) fn mapping(&self) -> &Mapping {
        self.profile.mapping(self.mapping)
    }
}

/// An executable, as `object` reads it: the tests' own view, without the library's.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// SVMA and file offset of the page where its code starts.
    code: (u64, u64),
    pub(crate) build_id: String,
    /// Function symbols: name, SVMA, size.
    pub(crate) functions: Vec<(String, u64, u64)>,
}

impl Program {
    pub(crate) fn read(path: PathBuf) -> Self {
        let bytes = std::fs::read(&path).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let code = file.segments().find(|s| s.permissions().executable());
        let code = code.unwrap();
        let functions = file
            .symbols()
            .filter(|s| s.kind() == SymbolKind::Text && s.size() > 0);
        let id = file.build_id().unwrap().unwrap_or_default();
        Self {
            code: (code.address() & !0xfff, code.file_range().0 & !0xfff),
            build_id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
            functions: functions
                .map(|s| (s.name().unwrap().to_owned(), s.address(), s.size()))
                .collect(),
            path,
        }
    }

    /// The SVMA and size of a function whose symbol contains `name`.
    #[track_caller]
    pub(crate) fn function(&self, name: &str) -> (u64, u64) {
        let mut found = self.functions.iter().filter(|f| f.0.contains(name));
        let (_, svma, size) = found.next().unwrap_or_else(|| panic!("no function {name}"));
        (*svma, *size)
    }
}

/// Runs a tool of the toolchain, which must succeed.
#[track_caller]
pub(crate) fn run(tool: &str, arguments: &[&str]) {
    let status = Command::new(tool).args(arguments).status();
    let status = status.unwrap_or_else(|error| panic!("{tool}: {error}"));
    assert!(status.success(), "{tool} {arguments:?}: {status}");
}

/// The mapping of this process that holds `avma`: file, start, limit, offset.
pub(crate) fn own_mapping(avma: u64) -> (String, u64, u64, u64) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (start, limit) = words.next().unwrap().split_once('-').unwrap();
        if (hex(start)..hex(limit)).contains(&avma) {
            let offset = hex(words.nth(1).unwrap());
            let file = words.nth(2).unwrap_or_default().to_owned();
            return (file, hex(start), hex(limit), offset);
        }
    }
    panic!("{avma:#x} is in no mapping");
}

/// Frames innermost first, as `name file:line`, with the file's last part.
pub(crate) fn frames(profile: &Profile, location: LocationId) -> Vec<String> {
    let show = |frame: &perfwright_model::Frame| {
        let function = profile.function(frame.function);
        let name = profile.string(function.name);
        let file = profile.string(function.filename);
        let file = file.rsplit('/').next().unwrap();
        match frame.line {
            Some(line) => format!("{name} {file}:{line}"),
            None => name.to_owned(),
        }
    };
    profile.frames(location).iter().map(show).collect()
}
