//! The few facts of an ELF file that stacks need: segments, build id, call frame information.

use crate::build_id;
use gimli::{BaseAddresses, EhFrameHdr, EndianSlice, NativeEndian, Pointer};
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, ReadRef};
use std::ops::Range;

type Header = elf::FileHeader64<Endianness>;
type Segment = elf::ProgramHeader64<Endianness>;

/// A `PT_LOAD` segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) file: Range<u64>,
    pub(crate) svma: Range<u64>,
    pub(crate) is_executable: bool,
}

/// A section by address, with its bytes' place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) svma: u64,
    pub(crate) file: Range<u64>,
}

/// What [`parse`] found.
#[derive(Clone, Debug, Default)]
pub(crate) struct ElfFacts {
    pub(crate) loads: Vec<Load>,
    pub(crate) build_id: Vec<u8>,
    pub(crate) eh_frame: Option<Section>,
    pub(crate) eh_frame_hdr: Option<Section>,
}

impl ElfFacts {
    /// From the lowest to the highest executable address; empty if there is none.
    pub(crate) fn code_svma(&self) -> Range<u64> {
        let code = || self.loads.iter().filter(|load| load.is_executable);
        let start = code().map(|load| load.svma.start).min().unwrap_or(0);
        start..code().map(|load| load.svma.end).max().unwrap_or(start)
    }

    /// What to add to an SVMA to get the AVMA, given that `file_offset` is mapped executable at
    /// `avma`.
    pub(crate) fn bias(&self, avma: u64, file_offset: u64) -> Option<u64> {
        let page = |offset: u64| offset & !0xFFF;
        let mut code = self.loads.iter().filter(|load| load.is_executable);
        let load =
            code.find(|load| (page(load.file.start)..load.file.end).contains(&file_offset))?;
        Some(
            avma.wrapping_sub(
                load.svma
                    .start
                    .wrapping_sub(load.file.start)
                    .wrapping_add(file_offset),
            ),
        )
    }

    fn offset_of(&self, svma: u64) -> Option<(u64, &Load)> {
        let load = self.loads.iter().find(|load| load.svma.contains(&svma))?;
        Some((load.file.start.wrapping_add(svma - load.svma.start), load))
    }
}

/// Parses by program headers, which describe what is loaded and which no tool strips; section
/// headers are asked only for what these can't tell. `file` needs to hold only what is loaded, at
/// the file's offsets.
pub(crate) fn parse<'a, R: ReadRef<'a>>(file: R) -> Option<ElfFacts> {
    let header = Header::parse(file).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, file).ok()?;
    let mut facts = ElfFacts {
        loads: loads(endian, segments),
        ..ElfFacts::default()
    };
    facts.build_id = build_id::find(file).unwrap_or_default();
    facts.eh_frame_hdr = segments
        .iter()
        .find(|segment| segment.p_type(endian) == elf::PT_GNU_EH_FRAME)
        .and_then(|segment| section(segment.p_vaddr(endian), segment.file_range(endian)));
    facts.eh_frame =
        eh_frame_section(header, endian, file).or_else(|| eh_frame_by_index(&facts, file));
    Some(facts)
}

fn loads(endian: Endianness, segments: &[Segment]) -> Vec<Load> {
    let load = |segment: &Segment| {
        let (offset, size) = segment.file_range(endian);
        let start = segment.p_vaddr(endian);
        Some(Load {
            file: offset..offset.checked_add(size)?,
            svma: start..start.checked_add(segment.p_memsz(endian))?,
            is_executable: segment.p_flags(endian).contains(elf::PF_X),
        })
    };
    let is_load = |segment: &&Segment| segment.p_type(endian) == elf::PT_LOAD;
    segments.iter().filter(is_load).filter_map(load).collect()
}

fn section(svma: u64, (offset, size): (u64, u64)) -> Option<Section> {
    Some(Section {
        svma,
        file: offset..offset.checked_add(size)?,
    })
}

fn eh_frame_section<'a, R: ReadRef<'a>>(
    header: &Header,
    endian: Endianness,
    file: R,
) -> Option<Section> {
    let sections = header.sections(endian, file).ok()?;
    let (_, found) = sections.section_by_name(endian, b".eh_frame")?;
    section(
        found.sh_addr.get(endian),
        (found.sh_offset.get(endian), found.sh_size.get(endian)),
    )
}

/// `.eh_frame_hdr` points to `.eh_frame`; its end isn't told, but a terminator or the end of the
/// segment ends it.
fn eh_frame_by_index<'a, R: ReadRef<'a>>(facts: &ElfFacts, file: R) -> Option<Section> {
    let index = facts.eh_frame_hdr.as_ref()?;
    let bytes = file
        .read_bytes_at(index.file.start, index.file.end - index.file.start)
        .ok()?;
    let bases = BaseAddresses::default().set_eh_frame_hdr(index.svma);
    let parsed = EhFrameHdr::from(EndianSlice::new(bytes, NativeEndian))
        .parse(&bases, 8)
        .ok()?;
    let Pointer::Direct(svma) = parsed.eh_frame_ptr() else {
        return None;
    };
    let (offset, load) = facts.offset_of(svma)?;
    Some(Section {
        svma,
        file: offset..load.file.end.max(offset),
    })
}
