//! DWARF, read for a known set of addresses.
//!
//! A profile brings all its addresses at once, so nothing is indexed: `.debug_aranges` (or the root entries
//! of the units that have none) says which units matter, each of those is read once from front to back, and
//! only what covers a wanted address is kept. Memory is proportional to the addresses, not to the program.

mod files;
mod functions;
mod lines;
mod names;
mod units;

use std::num::NonZeroU32;
use std::rc::Rc;

use crate::image::TextRanges;
use files::Files;
use names::Names;

pub(crate) type Slice<'a> = gimli::EndianSlice<'a, gimli::RunTimeEndian>;
pub(crate) type Dwarf<'a> = gimli::Dwarf<Slice<'a>>;
type Unit<'a> = gimli::Unit<Slice<'a>>;
type UnitRef<'a, 'd> = gimli::UnitRef<'a, Slice<'d>>;

/// One call as the debug information tells it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RawFrame {
    /// The linkage name where there is one, else the plain one.
    pub(crate) name: Option<Rc<str>>,
    pub(crate) file: Option<Rc<str>>,
    pub(crate) line: Option<NonZeroU32>,
    pub(crate) column: Option<NonZeroU32>,
    /// Where the function is declared, if that is in `file`.
    pub(crate) start_line: Option<NonZeroU32>,
}

/// What was found for the addresses.
pub(crate) struct Found {
    /// For each address, innermost first. A lone frame without name is a line without a function.
    pub(crate) frames: Vec<Vec<RawFrame>>,
    /// Units that could not be read to their end.
    pub(crate) broken_units: usize,
    /// Units whose functions are in a `.dwo` or `.dwp` file.
    pub(crate) split_units: usize,
}

/// How many range entries, line rows and entries a file may cost: far above the largest known program, and
/// what keeps a file whose tables refer to each other from costing time without end.
const FUEL: u64 = 1 << 31;

/// The work that is left, and the reason to stop when there is none.
struct Fuel(u64);

impl Fuel {
    fn burn(&mut self, amount: usize) -> gimli::Result<()> {
        self.0 = self.0.saturating_sub(amount as u64);
        match self.0 {
            0 => Err(gimli::Error::UnexpectedEof(gimli::ReaderOffsetId(0))),
            _ => Ok(()),
        }
    }
}

/// One step of an inlined call chain.
struct Call {
    /// The entry of the function or of the inlined call.
    entry: gimli::UnitOffset,
    depth: isize,
    /// Where the surrounding function calls it; unused for the outermost.
    file: Option<u64>,
    line: Option<NonZeroU32>,
    column: Option<NonZeroU32>,
}

/// Where an address lies in the source.
struct Position {
    /// Which visited unit says so.
    unit: usize,
    file: Option<Rc<str>>,
    line: Option<NonZeroU32>,
    column: Option<NonZeroU32>,
}

/// What is known of one wanted address.
#[derive(Default)]
struct Site {
    /// The visited unit and the function entry that own the address.
    owner: Option<(usize, gimli::UnitOffset)>,
    /// Outermost first; filled and emptied again while its unit is read.
    chain: Vec<Call>,
    position: Option<Position>,
    frames: Vec<RawFrame>,
}

struct Reader<'a, 'd> {
    dwarf: &'a Dwarf<'d>,
    text: &'a TextRanges,
    wanted: &'a [u64],
    sites: Vec<Site>,
    names: Names<'a, 'd>,
    fuel: Fuel,
    /// Called after each [`RELEASE_BYTES`] of units.
    release: &'a dyn Fn(),
    unreleased: usize,
    visited: usize,
    broken_units: usize,
    split_units: usize,
}

/// As many bytes of units are read before what was read is let go. Their lines and names are about as much again,
/// and strewn over other sections.
const RELEASE_BYTES: usize = 256 << 10;
/// What Linux maps at a page fault of a file that it has in memory.
const FAULT_AROUND_BYTES: usize = 64 << 10;

/// Looks up `wanted`, which is sorted and without duplicates. Ranges that begin outside `text` belong to
/// functions that the linker dropped and are ignored. `release` is called now and then: what was read so far
/// will hardly be read again.
pub(crate) fn resolve(
    dwarf: &Dwarf<'_>,
    text: &TextRanges,
    wanted: &[u64],
    release: &dyn Fn(),
) -> Found {
    let mut reader = Reader {
        dwarf,
        text,
        wanted,
        sites: wanted.iter().map(|_| Site::default()).collect(),
        names: Names::new(dwarf),
        fuel: Fuel(FUEL),
        release,
        unreleased: 0,
        visited: 0,
        broken_units: 0,
        split_units: 0,
    };
    let listed = units::from_aranges(dwarf, text, wanted, &mut reader.fuel);
    for &offset in &listed.hit {
        reader.visit_at(offset);
    }
    // An address that has a line has met its unit, even if that has no entry for the function.
    let unmet = |site: &Site| site.owner.is_none() && site.position.is_none();
    if reader.sites.iter().any(unmet) {
        reader.visit_unlisted(&listed);
    }
    Found {
        frames: reader.sites.into_iter().map(Site::into_frames).collect(),
        broken_units: reader.broken_units,
        split_units: reader.split_units,
    }
}

impl<'d> Reader<'_, 'd> {
    /// The units that `.debug_aranges` does not know: clang writes none, for example.
    fn visit_unlisted(&mut self, listed: &units::Listed) {
        let mut headers = self.dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            let offset = header.debug_info_offset().map_or(usize::MAX, |at| at.0);
            if listed.all.binary_search(&offset).is_ok() || !units::holds_code(&header) {
                continue;
            }
            let Ok(unit) = self.dwarf.unit(header) else {
                self.broken_units += 1;
                continue;
            };
            let unit_ref = unit.unit_ref(self.dwarf);
            // Its root entry alone, but the kernel maps the pages around it too.
            self.has_read(FAULT_AROUND_BYTES.min(unit.header.length_including_self()));
            if units::covers(unit_ref, self.text, self.wanted, &mut self.fuel) {
                self.visit(unit_ref);
            }
        }
    }

    fn visit_at(&mut self, offset: usize) {
        let header = self.dwarf.unit_header(gimli::DebugInfoOffset(offset));
        match header.and_then(|header| self.dwarf.unit(header)) {
            Ok(unit) => self.visit(unit.unit_ref(self.dwarf)),
            Err(_) => self.broken_units += 1,
        }
    }

    fn has_read(&mut self, bytes: usize) {
        self.unreleased += bytes;
        if self.unreleased > RELEASE_BYTES {
            self.unreleased = 0;
            (self.release)();
        }
    }

    /// Reads one unit. What was found before an error stays.
    fn visit(&mut self, unit: UnitRef<'_, 'd>) {
        self.visited += 1;
        self.has_read(unit.header.length_including_self());
        let mut files = Files::new();
        let mut claimed = Vec::new();
        let functions = self.read_functions(unit, &mut claimed);
        let lines = self.read_lines(unit, &mut files);
        if functions.and(lines).is_err() {
            self.broken_units += 1;
        }
        if unit.dwo_id.is_some() {
            self.split_units += 1;
        }
        for site in claimed {
            let chain = std::mem::take(&mut self.sites[site].chain);
            let frames = self.frames_of(unit, &mut files, &chain, site);
            self.sites[site].frames = frames;
        }
    }

    /// Turns a chain of calls around: innermost first, each with the place where it was executing.
    fn frames_of(
        &mut self,
        unit: UnitRef<'_, 'd>,
        files: &mut Files,
        chain: &[Call],
        site: usize,
    ) -> Vec<RawFrame> {
        let position = self.sites[site].position.as_ref();
        let mut at = match position {
            Some(at) => (at.file.clone(), at.line, at.column),
            None => (None, None, None),
        };
        let mut frames = Vec::with_capacity(chain.len());
        for call in chain.iter().rev() {
            let function = self.names.function(unit, call.entry);
            let (file, line, column) = at;
            let start_line = function.line.filter(|_| function.file == file);
            frames.push(RawFrame {
                name: function.name,
                file,
                line,
                column,
                start_line,
            });
            let caller_file = call.file.and_then(|index| files.path(unit, index));
            at = (caller_file, call.line, call.column);
        }
        frames
    }
}

impl Site {
    fn into_frames(self) -> Vec<RawFrame> {
        match self.position {
            Some(at) if self.frames.is_empty() => vec![RawFrame {
                file: at.file,
                line: at.line,
                column: at.column,
                ..RawFrame::default()
            }],
            _ => self.frames,
        }
    }
}

/// The part of the sorted `wanted` that lies in `begin..end`.
pub(crate) fn within(wanted: &[u64], begin: u64, end: u64) -> std::ops::Range<usize> {
    let low = wanted.partition_point(|&at| at < begin);
    let length = wanted[low..].partition_point(|&at| at < end);
    low..low + length
}

/// The longest name and the longest path that are kept.
const MAX_TEXT: usize = 1 << 16;

/// A string of the file, cut at [`MAX_TEXT`] so that strings used many times over cannot add up.
fn text(bytes: Slice<'_>) -> std::borrow::Cow<'_, str> {
    let bytes = bytes.slice();
    String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_TEXT)])
}

/// A line or column, in which 0 says unknown.
fn number(value: u64) -> Option<NonZeroU32> {
    u32::try_from(value).ok().and_then(NonZeroU32::new)
}
