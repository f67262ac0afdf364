//! Names of functions, followed through abstract origins and specifications.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::rc::Rc;

use gimli::{AttributeValue, DebugInfoOffset, UnitOffset};

use super::{Dwarf, Slice, Unit, UnitRef, files::Files, number, text};

/// What the entries of a function say of it.
#[derive(Clone, Default)]
pub(super) struct Declared {
    /// The linkage name, else the plain name.
    pub(super) name: Option<Rc<str>>,
    pub(super) file: Option<Rc<str>>,
    pub(super) line: Option<NonZeroU32>,
}

/// References between entries that are followed for a name; more is a cycle.
const MAX_HOPS: usize = 16;
/// Other units that are kept open for references into them.
const MAX_OPEN_UNITS: usize = 64;

pub(super) struct Names<'a, 'd> {
    dwarf: &'a Dwarf<'d>,
    /// By the entry's place in `.debug_info`.
    known: HashMap<usize, Declared>,
    /// Where units start, read at the first reference that leaves its unit.
    starts: Option<Vec<usize>>,
    open: HashMap<usize, Rc<Unit<'d>>>,
}

/// Where an entry is.
enum Target {
    Here(UnitOffset),
    Elsewhere(DebugInfoOffset),
}

/// What one entry says.
#[derive(Default)]
struct Entry<'d> {
    linkage_name: Option<Slice<'d>>,
    name: Option<Slice<'d>>,
    file: Option<u64>,
    line: Option<NonZeroU32>,
    origin: Option<Target>,
}

impl<'a, 'd> Names<'a, 'd> {
    pub(super) fn new(dwarf: &'a Dwarf<'d>) -> Self {
        Self {
            dwarf,
            known: HashMap::new(),
            starts: None,
            open: HashMap::new(),
        }
    }

    /// What is declared for the function (or inlined call) at `entry`.
    pub(super) fn function(&mut self, unit: UnitRef<'_, 'd>, entry: UnitOffset) -> Declared {
        let Some(start) = unit.header.debug_info_offset() else {
            return Declared::default();
        };
        // An inlined call has its name from elsewhere: remember that place, which many calls share.
        let Ok(first) = read(unit, entry) else {
            return Declared::default();
        };
        let key = match (&first.linkage_name, &first.origin) {
            (None, Some(Target::Here(offset))) => start.0.saturating_add(offset.0),
            (None, Some(Target::Elsewhere(offset))) => offset.0,
            _ => start.0.saturating_add(entry.0),
        };
        if let Some(declared) = self.known.get(&key) {
            return declared.clone();
        }
        let declared = self.follow(unit, first);
        self.known.insert(key, declared.clone());
        declared
    }

    fn follow(&mut self, unit: UnitRef<'_, 'd>, first: Entry<'d>) -> Declared {
        let mut declared = Declared::default();
        declared.take(unit, &first);
        let mut done = first.linkage_name.is_some();
        let mut next = first.origin;
        // The unit that `next` is relative to, once it is not the first one.
        let mut other: Option<Rc<Unit<'d>>> = None;
        for _ in 0..MAX_HOPS {
            let offset = match next.take() {
                _ if done => break,
                None => break,
                Some(Target::Here(offset)) => offset,
                Some(Target::Elsewhere(place)) => {
                    let Some((opened, offset)) = self.open(place) else {
                        break;
                    };
                    other = Some(opened);
                    offset
                }
            };
            let at = match &other {
                Some(opened) => opened.unit_ref(self.dwarf),
                None => unit,
            };
            let Ok(entry) = read(at, offset) else { break };
            declared.take(at, &entry);
            done = entry.linkage_name.is_some();
            next = entry.origin;
        }
        declared
    }

    fn open(&mut self, place: DebugInfoOffset) -> Option<(Rc<Unit<'d>>, UnitOffset)> {
        let starts = self.starts.get_or_insert_with(|| unit_starts(self.dwarf));
        let after = starts.partition_point(|&start| start <= place.0);
        let start = *starts.get(after.checked_sub(1)?)?;
        let offset = UnitOffset(place.0 - start);
        if let Some(unit) = self.open.get(&start) {
            return Some((Rc::clone(unit), offset));
        }
        let header = self.dwarf.unit_header(DebugInfoOffset(start)).ok()?;
        let unit = Rc::new(self.dwarf.unit(header).ok()?);
        if self.open.len() >= MAX_OPEN_UNITS {
            self.open.clear();
        }
        self.open.insert(start, Rc::clone(&unit));
        Some((unit, offset))
    }
}

impl Declared {
    /// Adds what `entry` knows and we don't.
    fn take(&mut self, unit: UnitRef<'_, '_>, entry: &Entry<'_>) {
        let owned = |name: Slice<'_>| Rc::from(text(name).as_ref());
        if let Some(name) = entry.linkage_name {
            self.name = Some(owned(name));
        } else if self.name.is_none() {
            self.name = entry.name.map(owned);
        }
        if self.line.is_none() && entry.line.is_some() {
            self.line = entry.line;
            self.file = entry.file.and_then(|index| Files::new().path(unit, index));
        }
    }
}

fn unit_starts(dwarf: &Dwarf<'_>) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut headers = dwarf.units();
    while let Ok(Some(header)) = headers.next() {
        starts.extend(header.debug_info_offset().map(|at| at.0));
    }
    starts
}

fn read<'d>(unit: UnitRef<'_, 'd>, offset: UnitOffset) -> gimli::Result<Entry<'d>> {
    let mut entry = Entry::default();
    let mut entries = unit.entries_raw(Some(offset))?;
    let Some(abbreviation) = entries.read_abbreviation()? else {
        return Ok(entry);
    };
    for &specification in abbreviation.attributes() {
        let attribute = entries.read_attribute(specification)?;
        let value = attribute.value();
        match attribute.name() {
            gimli::DW_AT_linkage_name | gimli::DW_AT_MIPS_linkage_name => {
                entry.linkage_name = unit.attr_string(value).ok();
            }
            gimli::DW_AT_name => entry.name = unit.attr_string(value).ok(),
            gimli::DW_AT_decl_line => entry.line = value.udata_value().and_then(number),
            gimli::DW_AT_decl_file => {
                entry.file = match value {
                    AttributeValue::FileIndex(index) => Some(index),
                    other => other.udata_value(),
                }
            }
            gimli::DW_AT_abstract_origin | gimli::DW_AT_specification => {
                entry.origin = match value {
                    AttributeValue::UnitRef(offset) => Some(Target::Here(offset)),
                    AttributeValue::DebugInfoRef(place) => Some(Target::Elsewhere(place)),
                    _ => None,
                }
            }
            _ => {}
        }
    }
    Ok(entry)
}
