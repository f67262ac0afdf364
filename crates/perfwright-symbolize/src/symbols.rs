//! Names from symbol tables, for code without debug information.

use object::{Object, ObjectSymbol, SymbolKind};

use crate::dwarf::within;
use crate::image::TextRanges;

/// The function symbol that covers an address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbol<'d> {
    /// As in the table: mangled.
    pub(crate) name: &'d str,
    /// Where it starts.
    svma: u64,
    /// Where its segment ends; a symbol without size reaches no further.
    limit: u64,
    /// How well the name suits: of aliases, the greatest.
    rank: (bool, bool, std::cmp::Reverse<usize>),
}

/// The best symbols so far for a sorted list of addresses. One pass over each table and no copy of it.
pub(crate) struct Symbols<'d, 'w> {
    wanted: &'w [u64],
    /// Symbols with a size that the address respects.
    covering: Vec<Option<Symbol<'d>>>,
    /// For the first wanted address at or after a symbol: the last such symbol without a size.
    unsized_before: Vec<Option<Symbol<'d>>>,
    /// The same for the starts of all symbols: an unsized symbol ends where the next symbol starts.
    start_before: Vec<u64>,
}

impl<'d, 'w> Symbols<'d, 'w> {
    pub(crate) fn new(wanted: &'w [u64]) -> Self {
        Self {
            wanted,
            covering: vec![None; wanted.len()],
            unsized_before: vec![None; wanted.len()],
            start_before: vec![0; wanted.len()],
        }
    }

    /// Reads both tables of a file.
    pub(crate) fn read(&mut self, file: &object::File<'d>, text: &TextRanges) {
        for symbol in file.symbols().chain(file.dynamic_symbols()) {
            let svma = symbol.address();
            let function = matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Unknown);
            let Some(limit) = text.end_of(svma) else {
                continue;
            };
            if !function || !symbol.is_definition() {
                continue;
            }
            // Mapping symbols ($x, $d) mark instruction sets and no function.
            let Some(name) = symbol
                .name()
                .ok()
                .filter(|n| !n.is_empty() && !n.starts_with('$'))
            else {
                continue;
            };
            let underscores = name.bytes().take_while(|&b| b == b'_').count();
            let rank = (
                symbol.is_global(),
                !symbol.is_weak(),
                std::cmp::Reverse(underscores),
            );
            let found = Symbol {
                name,
                svma,
                limit,
                rank,
            };
            self.add(found, symbol.size());
        }
    }

    fn add(&mut self, symbol: Symbol<'d>, size: u64) {
        let after = self.wanted.partition_point(|&at| at < symbol.svma);
        let Some(start) = self.start_before.get_mut(after) else {
            return;
        };
        *start = symbol.svma.max(*start);
        if size == 0 {
            replace(&mut self.unsized_before[after], symbol);
            return;
        }
        let end = symbol.svma.saturating_add(size);
        for slot in &mut self.covering[within(self.wanted, symbol.svma, end)] {
            replace(slot, symbol);
        }
    }

    /// The symbol of each wanted address.
    pub(crate) fn finish(self) -> Vec<Option<Symbol<'d>>> {
        let (mut last_unsized, mut last_start): (Option<Symbol<'d>>, u64) = (None, 0);
        let mut found = self.covering;
        for (index, slot) in found.iter_mut().enumerate() {
            last_start = last_start.max(self.start_before[index]);
            if let Some(symbol) = self.unsized_before[index] {
                replace(&mut last_unsized, symbol);
            }
            let reaches = |symbol: &Symbol<'d>| {
                symbol.svma == last_start && self.wanted[index] < symbol.limit
            };
            *slot = slot.or(last_unsized.filter(reaches));
        }
        found
    }
}

/// The later start wins, being the inner one; of aliases, the better name.
fn replace<'d>(slot: &mut Option<Symbol<'d>>, symbol: Symbol<'d>) {
    let key = |s: &Symbol<'d>| (s.svma, s.rank, std::cmp::Reverse(s.name));
    if slot.as_ref().is_none_or(|old| key(&symbol) > key(old)) {
        *slot = Some(symbol);
    }
}
