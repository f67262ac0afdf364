//! An object file as the symbolizer sees it: where its code is, its build id, its debug sections.

use std::borrow::Cow;

use gimli::SectionId;
use object::{CompressionFormat, Object, ObjectSection, ObjectSegment};

use crate::dwarf::Slice;

pub(crate) type Sections<'d> = gimli::DwarfSections<Cow<'d, [u8]>>;

/// The SVMA ranges that hold code.
pub(crate) struct TextRanges(Vec<(u64, u64)>);

impl TextRanges {
    pub(crate) fn of(file: &object::File<'_>) -> Self {
        let code = |segment: &object::Segment<'_, '_>| segment.permissions().executable();
        let range = |at: u64, size: u64| (at, at.saturating_add(size));
        let segments = file.segments().filter(code);
        Self(segments.map(|s| range(s.address(), s.size())).collect())
    }

    pub(crate) fn contains(&self, svma: u64) -> bool {
        self.end_of(svma).is_some()
    }

    /// Where the range around `svma` ends.
    pub(crate) fn end_of(&self, svma: u64) -> Option<u64> {
        let holds = |range: &&(u64, u64)| (range.0..range.1).contains(&svma);
        self.0.iter().find(holds).map(|range| range.1)
    }
}

/// How addresses of one mapping become addresses of the file (SVMA).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bias {
    /// To add, wrapping, to an AVMA.
    shift: u64,
}

impl Bias {
    /// `start` and `offset` are the mapping's. The segment is the one whose bytes in the file the mapping
    /// shows.
    pub(crate) fn of(file: &object::File<'_>, start: u64, offset: u64) -> Option<Self> {
        let shows = |segment: &object::Segment<'_, '_>| {
            let (begin, size) = segment.file_range();
            // A mapping starts at a page boundary, which may be before the segment's first byte.
            let page = begin & !0xfff;
            size > 0 && (page..begin.saturating_add(size)).contains(&offset)
        };
        let best = |file: &object::File<'_>, code: bool| {
            file.segments()
                .filter(|s| !code || s.permissions().executable())
                .find(shows)
                .map(|s| s.address().wrapping_sub(s.file_range().0))
        };
        let svma_of_offset = best(file, true).or_else(|| best(file, false))?;
        Some(Self {
            shift: offset.wrapping_add(svma_of_offset).wrapping_sub(start),
        })
    }

    /// For a file that has only debug information, whose file offsets say nothing: the mapping is taken for
    /// that of the only code segment.
    pub(crate) fn of_debug_file(file: &object::File<'_>, start: u64) -> Option<Self> {
        let mut code = file.segments().filter(|s| s.permissions().executable());
        let only = code.next().filter(|_| code.next().is_none())?;
        Some(Self {
            shift: (only.address() & !0xfff).wrapping_sub(start),
        })
    }

    /// Without the file: addresses are told as offsets in it.
    pub(crate) fn file_offsets(start: u64, offset: u64) -> Self {
        Self {
            shift: offset.wrapping_sub(start),
        }
    }

    pub(crate) fn svma(self, avma: u64) -> u64 {
        avma.wrapping_add(self.shift)
    }
}

/// The build id in lower-case hex.
pub(crate) fn build_id(file: &object::File<'_>) -> Option<String> {
    let bytes = file.build_id().ok().flatten()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether there is anything for [`crate::dwarf`] to read.
pub(crate) fn has_debug_info(file: &object::File<'_>) -> bool {
    [SectionId::DebugInfo, SectionId::DebugLine]
        .iter()
        .all(|id| section(file, id.name()).is_some_and(|section| section.size() > 0))
}

fn section<'f, 'd>(file: &'f object::File<'d>, name: &str) -> Option<object::Section<'d, 'f>> {
    // `section_by_name` also finds `.zdebug_*` and `__debug_*`. A section without bytes in the file is what
    // a debug file has in place of the code.
    file.section_by_name(name)
        .filter(|section| section.file_range().is_some())
}

/// The sections that a lookup reads, decompressed where need be. A section that cannot be had is empty, and
/// adds to `problems`.
pub(crate) fn sections<'d>(
    file: &object::File<'d>,
    max_decompressed: u64,
    problems: &mut Vec<String>,
) -> Sections<'d> {
    let mut left = max_decompressed;
    let mut load = |id: SectionId| -> Result<Cow<'d, [u8]>, std::convert::Infallible> {
        let found = section(file, id.name()).filter(|_| is_read(id));
        let bytes = found.map(|section| bytes(&section, &mut left));
        Ok(bytes.unwrap_or(Ok(Cow::default())).unwrap_or_else(|error| {
            problems.push(format!("section {}: {error}", id.name()));
            Cow::default()
        }))
    };
    match Sections::load(&mut load) {
        Ok(sections) => sections,
        Err(never) => match never {},
    }
}

/// Variables, macros and name indexes are not looked at, so they are not decompressed either.
fn is_read(id: SectionId) -> bool {
    use SectionId::*;
    !matches!(
        id,
        DebugLoc | DebugLocLists | DebugMacinfo | DebugMacro | DebugNames | DebugTypes
    )
}

fn bytes<'d>(section: &object::Section<'d, '_>, left: &mut u64) -> Result<Cow<'d, [u8]>, String> {
    let data = section.compressed_data().map_err(|e| e.to_string())?;
    if data.format != CompressionFormat::None {
        // Deflate expands at most 1,032 times; the header's word for more is a lie.
        let lie = data.format == CompressionFormat::Zlib
            && data.uncompressed_size / 1032 > data.data.len() as u64;
        if lie || data.uncompressed_size > *left {
            let size = data.uncompressed_size;
            return Err(format!(
                "says it has {size} bytes, more than can be or may be decompressed"
            ));
        }
        *left -= data.uncompressed_size;
    }
    data.decompress().map_err(|e| e.to_string())
}

/// A view of loaded sections for gimli.
pub(crate) fn dwarf<'a>(
    sections: &'a Sections<'_>,
    little_endian: bool,
) -> gimli::Dwarf<Slice<'a>> {
    let endian = match little_endian {
        true => gimli::RunTimeEndian::Little,
        false => gimli::RunTimeEndian::Big,
    };
    sections.borrow(|bytes| Slice::new(bytes, endian))
}
