//! Which units matter for the wanted addresses.

use super::functions::Scope;
use super::{Dwarf, Fuel, Slice, UnitRef, within};
use crate::image::TextRanges;

/// What `.debug_aranges` says, as offsets of units in `.debug_info`, sorted.
#[derive(Default)]
pub(super) struct Listed {
    /// All units that it describes.
    pub(super) all: Vec<usize>,
    /// Those that hold a wanted address.
    pub(super) hit: Vec<usize>,
}

pub(super) fn from_aranges(
    dwarf: &Dwarf<'_>,
    text: &TextRanges,
    wanted: &[u64],
    fuel: &mut Fuel,
) -> Listed {
    let mut listed = Listed::default();
    let mut headers = dwarf.debug_aranges.headers();
    while let Ok(Some(header)) = headers.next() {
        let (mut any, mut hit) = (false, false);
        let mut entries = header.entries();
        // An entry that overflows is an error of its own, after which the iterator goes on; after any other
        // error it ends.
        while let Some(entry) = entries.next().transpose() {
            if fuel.burn(1).is_err() {
                return listed;
            }
            let Ok(entry) = entry else { continue };
            let range = entry.range();
            any |= range.begin < range.end;
            hit |= text.contains(range.begin) && !within(wanted, range.begin, range.end).is_empty();
        }
        if any {
            listed.all.push(header.debug_info_offset().0);
        }
        if hit {
            listed.hit.push(header.debug_info_offset().0);
        }
    }
    for offsets in [&mut listed.all, &mut listed.hit] {
        offsets.sort_unstable();
        offsets.dedup();
    }
    listed
}

/// Type and partial units hold no code of their own.
pub(super) fn holds_code(header: &gimli::UnitHeader<Slice<'_>>) -> bool {
    use gimli::UnitType::{Compilation, Skeleton, SplitCompilation};
    matches!(
        header.type_(),
        Compilation | Skeleton(_) | SplitCompilation(_)
    )
}

/// Whether the unit's root entry covers a wanted address; true as well if it names no addresses.
pub(super) fn covers(
    unit: UnitRef<'_, '_>,
    text: &TextRanges,
    wanted: &[u64],
    fuel: &mut Fuel,
) -> bool {
    let root = || -> gimli::Result<Option<Scope>> {
        let mut entries = unit.entries_raw(None)?;
        let Some(abbreviation) = entries.read_abbreviation()? else {
            return Ok(None);
        };
        Scope::read(unit, &mut entries, abbreviation).map(Some)
    };
    let Ok(Some(scope)) = root() else {
        return false;
    };
    if !scope.has_addresses() {
        return true;
    }
    let mut hit = false;
    let read = scope.each_range(unit, fuel, |begin, end| {
        hit |= text.contains(begin) && !within(wanted, begin, end).is_empty();
        0
    });
    hit || read.is_err()
}
