//! Profiles made of addresses, and what they say once symbolized.

use std::num::NonZeroU64;

use perfwright_model::{Location, LocationId, Mapping, Profile, SampleType, StringId};

/// A profile with one mapping.
pub(crate) struct Fixture {
    pub(crate) profile: Profile,
    mapping: perfwright_model::MappingId,
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
