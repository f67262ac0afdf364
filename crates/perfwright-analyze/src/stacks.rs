//! Walks over a profile's stacks, from the roots and from the leaves.

use perfwright_model::{Profile, StackId};

use crate::grow::{Item, Start, Walk};
use crate::symbols::{LocationSymbols, SymbolId};

fn symbols_of<'a>(profile: &Profile, symbols: &'a LocationSymbols, stack: u32) -> &'a [SymbolId] {
    match profile.stack_node(StackId::from_index(stack as usize)) {
        Some(node) => symbols.of(node.location),
        None => &[],
    }
}

/// From callers to callees, over the stacks that have weight.
pub(crate) struct StacksDown<'a> {
    profile: &'a Profile,
    symbols: &'a LocationSymbols,
    /// Every location has one symbol, and rows hold it.
    is_single: bool,
    rows: Vec<Row>,
    /// How many stacks have weight or lead to one that has.
    needed: usize,
}

/// A stack. All that is needed of it lies in one place: most of the walk is waiting for memory.
#[derive(Clone, Copy)]
struct Row {
    self_value: i64,
    total: i64,
    /// The first callee with weight; 0 for none, for that is the root.
    first_callee: u32,
    /// The caller's next callee with weight.
    sibling: u32,
    symbol: SymbolId,
    /// It has weight, or leads to a stack that has.
    is_needed: bool,
}

impl Row {
    const EMPTY: Self = Self {
        self_value: 0,
        total: 0,
        first_callee: 0,
        sibling: 0,
        symbol: SymbolId::ROOT,
        is_needed: false,
    };
}

impl<'a> StacksDown<'a> {
    /// `weights` holds distinct stacks.
    pub(crate) fn new(
        profile: &'a Profile,
        symbols: &'a LocationSymbols,
        weights: &[(StackId, i64)],
    ) -> Self {
        let mut rows = vec![Row::EMPTY; profile.stack_count()];
        for &(stack, value) in weights {
            let row = &mut rows[stack.index()];
            (row.self_value, row.total, row.is_needed) = (value, value, true);
        }
        let single = symbols.single();
        let mut needed = 0;
        // Callees come behind their callers.
        for stack in (1..rows.len()).rev() {
            if rows[stack].is_needed {
                link(profile, single, &mut rows, stack);
                needed += 1;
            }
        }
        Self {
            profile,
            symbols,
            is_single: single.is_some(),
            rows,
            needed,
        }
    }

    pub(crate) fn start(&self) -> Start {
        let mut start = Start {
            nodes: self.needed,
            ..Start::default()
        };
        start.self_value = self.callees(StackId::ROOT.index(), &mut start.items);
        start
    }

    #[inline]
    fn callees(&self, stack: usize, next: &mut Vec<Item>) -> i64 {
        let mut callee = self.rows[stack].first_callee;
        while callee != 0 {
            let row = &self.rows[callee as usize];
            next.push(Item {
                at: callee,
                frame: 0,
                weight: row.total,
            });
            callee = row.sibling;
        }
        self.rows[stack].self_value
    }
}

/// Makes a stack known to its caller. Not inlined, for browsers optimise functions that are called often, not loops
/// that run for long.
#[inline(never)]
fn link(profile: &Profile, single: Option<&[SymbolId]>, rows: &mut [Row], stack: usize) {
    let Some(node) = profile.stack_node(StackId::from_index(stack)) else {
        return;
    };
    let total = rows[stack].total;
    let caller = &mut rows[node.parent.index()];
    caller.total = caller.total.saturating_add(total);
    caller.is_needed = true;
    let sibling = std::mem::replace(&mut caller.first_callee, stack as u32);
    rows[stack].sibling = sibling;
    if let Some(single) = single {
        rows[stack].symbol = single[node.location.index()];
    }
}

impl Walk for StacksDown<'_> {
    fn joins_neighbours(&self) -> bool {
        self.symbols.joins_neighbours
    }

    #[inline]
    fn symbol(&self, item: &Item) -> SymbolId {
        match self.is_single {
            true => self.rows[item.at as usize].symbol,
            false => symbols_of(self.profile, self.symbols, item.at)[item.frame as usize],
        }
    }

    #[inline]
    fn advance(&self, item: Item, next: &mut Vec<Item>) -> i64 {
        let frame = item.frame + 1;
        if !self.is_single
            && (frame as usize) < symbols_of(self.profile, self.symbols, item.at).len()
        {
            next.push(Item { frame, ..item });
            return 0;
        }
        self.callees(item.at as usize, next)
    }
}

/// From callees to callers.
pub(crate) struct StacksUp<'a> {
    profile: &'a Profile,
    symbols: &'a LocationSymbols,
}

impl<'a> StacksUp<'a> {
    pub(crate) fn new(profile: &'a Profile, symbols: &'a LocationSymbols) -> Self {
        Self { profile, symbols }
    }

    pub(crate) fn start(&self, weights: &[(StackId, i64)]) -> Start {
        let mut start = Start::default();
        for &(stack, weight) in weights {
            let value = self.innermost(stack, weight, &mut start.items);
            start.self_value = start.self_value.saturating_add(value);
        }
        start
    }

    fn innermost(&self, stack: StackId, weight: i64, next: &mut Vec<Item>) -> i64 {
        let at = stack.index() as u32;
        match symbols_of(self.profile, self.symbols, at)
            .len()
            .checked_sub(1)
        {
            Some(frame) => {
                let frame = frame as u32;
                next.push(Item { at, frame, weight });
                0
            }
            None => weight,
        }
    }
}

impl Walk for StacksUp<'_> {
    fn joins_neighbours(&self) -> bool {
        self.symbols.joins_neighbours
    }

    #[inline]
    fn symbol(&self, item: &Item) -> SymbolId {
        symbols_of(self.profile, self.symbols, item.at)[item.frame as usize]
    }

    #[inline]
    fn advance(&self, item: Item, next: &mut Vec<Item>) -> i64 {
        if let Some(frame) = item.frame.checked_sub(1) {
            next.push(Item { frame, ..item });
            return 0;
        }
        match self
            .profile
            .stack_node(StackId::from_index(item.at as usize))
        {
            Some(node) => self.innermost(node.parent, item.weight, next),
            None => item.weight,
        }
    }
}
