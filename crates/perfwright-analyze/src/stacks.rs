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
    selfs: Vec<i64>,
    totals: Vec<i64>,
    /// The callees of stack `n` are `children[starts[n]..starts[n + 1]]`.
    starts: Vec<u32>,
    children: Vec<u32>,
}

impl<'a> StacksDown<'a> {
    /// `weights` holds distinct stacks.
    pub(crate) fn new(
        profile: &'a Profile,
        symbols: &'a LocationSymbols,
        weights: &[(StackId, i64)],
    ) -> Self {
        let parents = needed_parents(profile, weights);
        let mut selfs = vec![0_i64; parents.len()];
        for &(stack, value) in weights {
            selfs[stack.index()] = value;
        }
        let mut totals = selfs.clone();
        let mut starts = vec![0_u32; parents.len() + 1];
        for stack in (1..parents.len()).rev() {
            if let Some(parent) = parents[stack] {
                totals[parent as usize] = totals[parent as usize].saturating_add(totals[stack]);
                starts[parent as usize + 1] += 1;
            }
        }
        for stack in 1..starts.len() {
            starts[stack] += starts[stack - 1];
        }
        Self {
            profile,
            symbols,
            selfs,
            totals,
            children: children(&parents, &starts),
            starts,
        }
    }

    pub(crate) fn start(&self) -> Start {
        let mut start = Start::default();
        start.self_value = self.callees(StackId::ROOT.index(), &mut start.items);
        start
    }

    fn callees(&self, stack: usize, next: &mut Vec<Item>) -> i64 {
        let children = self.starts[stack] as usize..self.starts[stack + 1] as usize;
        next.extend(self.children[children].iter().map(|&child| Item {
            at: child,
            frame: 0,
            weight: self.totals[child as usize],
        }));
        self.selfs[stack]
    }
}

impl Walk for StacksDown<'_> {
    fn joins_neighbours(&self) -> bool {
        self.symbols.joins_neighbours
    }

    #[inline]
    fn symbol(&self, item: &Item) -> SymbolId {
        symbols_of(self.profile, self.symbols, item.at)[item.frame as usize]
    }

    #[inline]
    fn advance(&self, item: Item, next: &mut Vec<Item>) -> i64 {
        let frame = item.frame + 1;
        if (frame as usize) < symbols_of(self.profile, self.symbols, item.at).len() {
            next.push(Item { frame, ..item });
            return 0;
        }
        self.callees(item.at as usize, next)
    }
}

/// The parent of every stack that has weight or leads to one that has.
fn needed_parents(profile: &Profile, weights: &[(StackId, i64)]) -> Vec<Option<u32>> {
    let mut needed = vec![false; profile.stack_count()];
    for &(stack, _) in weights {
        needed[stack.index()] = true;
    }
    let mut parents = vec![None; needed.len()];
    for stack in (1..needed.len()).rev() {
        if let (true, Some(node)) = (
            needed[stack],
            profile.stack_node(StackId::from_index(stack)),
        ) {
            needed[node.parent.index()] = true;
            parents[stack] = Some(node.parent.index() as u32);
        }
    }
    parents
}

fn children(parents: &[Option<u32>], starts: &[u32]) -> Vec<u32> {
    let mut next = starts.to_vec();
    let mut children = vec![0_u32; starts.last().copied().unwrap_or(0) as usize];
    for (stack, parent) in parents.iter().enumerate() {
        if let Some(parent) = parent {
            let slot = &mut next[*parent as usize];
            children[*slot as usize] = stack as u32;
            *slot += 1;
        }
    }
    children
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
