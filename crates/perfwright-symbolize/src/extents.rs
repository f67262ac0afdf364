//! Where functions without a name start: what unwind tables still tell of a stripped file.

use gimli::{BaseAddresses, CieOrFde, EhFrame, EndianSlice, RunTimeEndian, UnwindSection};
use object::{Object, ObjectSection};

use crate::dwarf::within;

/// How many addresses may be met, many times over in a broken file whose functions all overlap.
const MAX_HITS: usize = 1 << 26;

/// The start of the function that holds each of the sorted `svmas`, by `.eh_frame`; `None` where it does not
/// say.
pub(crate) fn starts(file: &object::File<'_>, svmas: &[u64]) -> Vec<Option<u64>> {
    let mut starts = vec![None; svmas.len()];
    let section = file.section_by_name(".eh_frame");
    let data = section.as_ref().and_then(|section| section.data().ok());
    let (Some(section), Some(data), false) = (&section, data, svmas.is_empty()) else {
        return starts;
    };
    let endian = match file.is_little_endian() {
        true => RunTimeEndian::Little,
        false => RunTimeEndian::Big,
    };
    let mut frames = EhFrame::from(EndianSlice::new(data, endian));
    frames.set_address_size(if file.is_64() { 8 } else { 4 });
    let bases = BaseAddresses::default().set_eh_frame(section.address());
    // In order and not through `.eh_frame_hdr`: gimli's search of that table overflows on broken ones, and one
    // pass costs about what a few hundred searches do.
    let (mut entries, mut left) = (frames.entries(&bases), MAX_HITS);
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else {
            continue;
        };
        let Ok(function) = partial.parse(EhFrame::cie_from_offset) else {
            continue;
        };
        let start = function.initial_address();
        let hits = within(svmas, start, start.saturating_add(function.len()));
        let Some(rest) = left.checked_sub(hits.len()) else {
            break;
        };
        left = rest;
        starts[hits].fill(Some(start));
    }
    starts
}
