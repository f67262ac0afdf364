//! Where functions without a name start: what unwind tables still tell of a stripped file.

use gimli::{BaseAddresses, EhFrame, EhFrameHdr, EndianSlice, RunTimeEndian, UnwindSection};
use object::{Object, ObjectSection};

/// The start of the function that holds each of `svmas`, by `.eh_frame_hdr`; `None` where it does not say.
pub(crate) fn starts(file: &object::File<'_>, svmas: &[u64]) -> Vec<Option<u64>> {
    starts_by_table(file, svmas).unwrap_or_else(|| vec![None; svmas.len()])
}

fn starts_by_table(file: &object::File<'_>, svmas: &[u64]) -> Option<Vec<Option<u64>>> {
    let endian = match file.is_little_endian() {
        true => RunTimeEndian::Little,
        false => RunTimeEndian::Big,
    };
    let load = |name: &str| {
        let section = file.section_by_name(name)?;
        let data = section.data().ok().filter(|data| !data.is_empty())?;
        Some((EndianSlice::new(data, endian), section.address()))
    };
    let (header, header_svma) = load(".eh_frame_hdr")?;
    let (frames, frames_svma) = load(".eh_frame")?;
    let bases = BaseAddresses::default()
        .set_eh_frame_hdr(header_svma)
        .set_eh_frame(frames_svma);
    let frames = EhFrame::from(frames);
    let address_size = if file.is_64() { 8 } else { 4 };
    let header = EhFrameHdr::from(header).parse(&bases, address_size).ok()?;
    let table = header.table()?;
    let start = |&svma: &u64| {
        let cie = EhFrame::cie_from_offset;
        let entry = table.fde_for_address(&frames, &bases, svma, cie).ok()?;
        Some(entry.initial_address())
    };
    Some(svmas.iter().map(start).collect())
}
