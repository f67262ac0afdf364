//! Functions and the calls inlined into them, in one pass over a unit's entries.

use gimli::{Abbreviation, AttributeValue, EntriesRaw};

use super::{Call, Fuel, Reader, Slice, UnitRef, number, within};

/// Calls inlined into each other at one address that are kept; compilers stop long before.
const MAX_INLINED: usize = 512;

/// What an entry says about the addresses it covers and about the call it stands for.
#[derive(Default)]
pub(super) struct Scope {
    low: Option<u64>,
    /// Where the range ends, as an address or as a length.
    high: Option<u64>,
    length: Option<u64>,
    ranges: Option<gimli::RangeListsOffset>,
    call_file: Option<u64>,
    call_line: u64,
    call_column: u64,
}

impl Scope {
    pub(super) fn read<'d>(
        unit: UnitRef<'_, 'd>,
        entries: &mut EntriesRaw<'_, Slice<'d>>,
        abbreviation: &Abbreviation,
    ) -> gimli::Result<Self> {
        let mut scope = Self::default();
        for &specification in abbreviation.attributes() {
            let attribute = entries.read_attribute(specification)?;
            let value = attribute.value();
            match attribute.name() {
                gimli::DW_AT_low_pc => scope.low = unit.attr_address(value)?,
                gimli::DW_AT_high_pc => match value.udata_value() {
                    Some(length) => scope.length = Some(length),
                    None => scope.high = unit.attr_address(value)?,
                },
                gimli::DW_AT_ranges => scope.ranges = unit.attr_ranges_offset(value)?,
                gimli::DW_AT_call_file => scope.call_file = file_index(value),
                gimli::DW_AT_call_line => scope.call_line = value.udata_value().unwrap_or(0),
                gimli::DW_AT_call_column => scope.call_column = value.udata_value().unwrap_or(0),
                _ => {}
            }
        }
        Ok(scope)
    }

    pub(super) fn has_addresses(&self) -> bool {
        self.ranges.is_some() || (self.low.is_some() && (self.high.or(self.length)).is_some())
    }

    /// Calls `see(begin, end)` for each range of addresses; it returns what it cost.
    pub(super) fn each_range(
        &self,
        unit: UnitRef<'_, '_>,
        fuel: &mut Fuel,
        mut see: impl FnMut(u64, u64) -> usize,
    ) -> gimli::Result<()> {
        if let Some(offset) = self.ranges {
            let mut ranges = unit.ranges(offset)?;
            while let Some(range) = ranges.next()? {
                fuel.burn(1 + see(range.begin, range.end))?;
            }
            return Ok(());
        }
        let Some(low) = self.low else { return Ok(()) };
        let end = self
            .high
            .or(self.length.and_then(|length| low.checked_add(length)));
        match end {
            Some(end) => fuel.burn(see(low, end)),
            None => Ok(()),
        }
    }

    fn call(&self, entry: gimli::UnitOffset, depth: isize) -> Call {
        Call {
            entry,
            depth,
            file: self.call_file,
            line: number(self.call_line),
            column: number(self.call_column),
        }
    }
}

fn file_index(value: AttributeValue<Slice<'_>>) -> Option<u64> {
    match value {
        AttributeValue::FileIndex(index) => Some(index),
        other => other.udata_value(),
    }
}

impl<'d> Reader<'_, 'd> {
    /// Gives each wanted address the chain of calls that covers it. `claimed` receives the addresses that
    /// belong to this unit.
    pub(super) fn read_functions(
        &mut self,
        unit: UnitRef<'_, 'd>,
        claimed: &mut Vec<usize>,
    ) -> gimli::Result<()> {
        let mut entries = unit.entries_raw(None)?;
        // The function whose children matter, and its depth. Nothing recurses, so nesting costs no stack.
        let mut current: Option<(gimli::UnitOffset, isize)> = None;
        while !entries.is_empty() {
            self.fuel.burn(1)?;
            let (entry, depth) = (entries.next_offset(), entries.next_depth());
            let Some(abbreviation) = entries.read_abbreviation()? else {
                continue;
            };
            current = current.filter(|(_, outer)| depth > *outer);
            match (abbreviation.tag(), current) {
                (gimli::DW_TAG_subprogram, _) => {
                    let scope = Scope::read(unit, &mut entries, abbreviation)?;
                    if self.claim(unit, &scope, scope.call(entry, depth), claimed)? {
                        current = Some((entry, depth));
                    }
                }
                (gimli::DW_TAG_inlined_subroutine, Some((function, _))) => {
                    let scope = Scope::read(unit, &mut entries, abbreviation)?;
                    self.extend(unit, &scope, function, || scope.call(entry, depth))?;
                }
                _ => entries.skip_attributes(abbreviation.attributes())?,
            }
        }
        Ok(())
    }

    /// Makes the function the owner of the wanted addresses that it covers and that have none. Where
    /// identical code was folded, the first function wins.
    fn claim(
        &mut self,
        unit: UnitRef<'_, 'd>,
        scope: &Scope,
        call: Call,
        claimed: &mut Vec<usize>,
    ) -> gimli::Result<bool> {
        let (text, wanted, sites) = (self.text, self.wanted, &mut self.sites);
        let owner = (self.visited, call.entry);
        let before = claimed.len();
        scope.each_range(unit, &mut self.fuel, |begin, end| {
            if !text.contains(begin) {
                return 0;
            }
            let hits = within(wanted, begin, end);
            for index in hits.clone() {
                if sites[index].owner.is_none() {
                    sites[index].owner = Some(owner);
                    sites[index].chain.push(Call { ..call });
                    claimed.push(index);
                }
            }
            hits.len()
        })?;
        Ok(claimed.len() > before)
    }

    /// Appends an inlined call to the chains of the addresses that it covers inside `function`.
    fn extend(
        &mut self,
        unit: UnitRef<'_, 'd>,
        scope: &Scope,
        function: gimli::UnitOffset,
        call: impl Fn() -> Call,
    ) -> gimli::Result<()> {
        let (wanted, sites) = (self.wanted, &mut self.sites);
        let owner = Some((self.visited, function));
        scope.each_range(unit, &mut self.fuel, |begin, end| {
            let hits = within(wanted, begin, end);
            for site in &mut sites[hits.clone()] {
                let call = call();
                // A sibling that overlaps is broken debug information: the first one wins.
                let deeper = site
                    .chain
                    .last()
                    .is_some_and(|last| last.depth < call.depth);
                if site.owner == owner && deeper && site.chain.len() < MAX_INLINED {
                    site.chain.push(call);
                }
            }
            hits.len()
        })
    }
}
