//! Two call trees laid over each other, for pictures: [`DiffTree`](crate::DiffTree) in columns.

use std::collections::HashMap;

use crate::grow::{Item, Start, Walk, grow};
use crate::symbols::{Symbol, SymbolId};
use crate::tree::{CallTree, NodeId};

/// What a node has in the baseline (0) and in the candidate (1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sides {
    /// What it cost itself.
    pub self_values: [i64; 2],
    /// What it cost with all it called.
    pub total_values: [i64; 2],
}

/// Two call trees as one: a path that either has is there once.
#[derive(Clone, Debug)]
pub struct Overlay {
    /// The values of both, scaled and added: the widths of a picture in which each path has its place.
    pub tree: CallTree,
    /// By node of `tree`, what each has.
    pub sides: Vec<Sides>,
}

impl Overlay {
    /// Lays a candidate over a baseline. `scales` multiply the values of each in `tree`, so that profiles
    /// of different length weigh alike; symbols are the same if all that is known of them is.
    pub fn new(baseline: &CallTree, candidate: &CallTree, scales: [f64; 2]) -> Self {
        let pair = Pair::new([baseline, candidate], scales);
        let nodes = grow(
            &pair as &dyn Walk,
            SymbolId::ROOT,
            pair.start(),
            &pair.symbols,
        );
        let tree = CallTree {
            sample_type: candidate.sample_type.clone(),
            nodes,
            symbols: pair.symbols.clone(),
        };
        let mut sides = vec![Sides::default(); tree.nodes.len()];
        for side in 0..2 {
            pair.add(side, &tree, &mut sides);
        }
        Self { tree, sides }
    }
}

struct Pair<'a> {
    trees: [&'a CallTree; 2],
    scales: [f64; 2],
    symbols: Vec<Symbol>,
    /// By side and symbol of its tree, the symbol of both.
    symbol_of: [Vec<SymbolId>; 2],
}

impl<'a> Pair<'a> {
    fn new(trees: [&'a CallTree; 2], scales: [f64; 2]) -> Self {
        // A file that only one of them knows does not make two functions of one.
        let key = |symbol: &Symbol| (symbol.name.clone(), symbol.line, symbol.is_label);
        let mut symbols: Vec<Symbol> = Vec::new();
        let mut known = HashMap::new();
        let symbol_of = trees.map(|tree| {
            let ids = tree.symbols().iter().map(|symbol| {
                *known.entry(key(symbol)).or_insert_with(|| {
                    symbols.push(symbol.clone());
                    SymbolId(symbols.len() as u32 - 1)
                })
            });
            ids.collect()
        });
        Self {
            trees,
            scales,
            symbols,
            symbol_of,
        }
    }

    fn item(&self, side: usize, id: NodeId) -> Item {
        Item {
            at: id.0,
            frame: side as u32,
            weight: self.scaled(side, self.trees[side].node(id).total_value),
        }
    }

    fn scaled(&self, side: usize, value: i64) -> i64 {
        (value as f64 * self.scales[side]).round() as i64
    }

    fn start(&self) -> Start {
        let mut start = Start::default();
        for side in 0..2 {
            let root = self.item(side, NodeId::ROOT);
            let value = self.advance(root, &mut start.items);
            start.self_value = start.self_value.saturating_add(value);
        }
        start
    }

    /// Adds what one tree has to the nodes of both.
    fn add(&self, side: usize, both: &CallTree, sides: &mut [Sides]) {
        let tree = self.trees[side];
        let mut place = vec![NodeId::ROOT; self.symbols.len()];
        let mut open = vec![(NodeId::ROOT, NodeId::ROOT)];
        while let Some((from, to)) = open.pop() {
            let node = tree.node(from);
            let sum = &mut sides[to.index()];
            sum.self_values[side] = sum.self_values[side].saturating_add(node.self_value);
            sum.total_values[side] = sum.total_values[side].saturating_add(node.total_value);
            for child in both.children(to) {
                place[both.node(child).symbol.index()] = child;
            }
            for child in tree.children(from) {
                let symbol = self.symbol_of[side][tree.node(child).symbol.index()];
                open.push((child, place[symbol.index()]));
            }
        }
    }
}

impl Walk for Pair<'_> {
    fn symbol(&self, item: &Item) -> SymbolId {
        let side = item.frame as usize;
        self.symbol_of[side][self.trees[side].nodes()[item.at as usize].symbol.index()]
    }

    fn advance(&self, item: Item, next: &mut Vec<Item>) -> i64 {
        let side = item.frame as usize;
        let (tree, id) = (self.trees[side], NodeId(item.at));
        next.extend(tree.children(id).map(|child| self.item(side, child)));
        self.scaled(side, tree.node(id).self_value)
    }
}
