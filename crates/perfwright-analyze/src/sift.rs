//! Parts of a call tree, as call trees: what [`Filter`](crate::Filter) does to profiles, where the profile
//! is too large to be copied for every question.

use crate::grow::{Item, Start, Walk, grow};
use crate::symbols::{Symbol, SymbolId};
use crate::tree::{CallTree, NodeId};

/// What is done with the functions that match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sift {
    /// Only paths with a match on them stay.
    Focus,
    /// Paths with a match on them go.
    Ignore,
    /// Matches go; their cost is their callers'.
    Hide,
    /// Paths begin at their outermost match; those without one go.
    ShowFrom,
    /// What matches called goes; its cost is theirs.
    Collapse,
    /// A match that a function of the same name called goes; its cost is the caller's.
    Recursion,
}

impl CallTree {
    /// The tree that is left. Nodes that become alike become one.
    pub fn sifted(&self, sift: Sift, matches: impl Fn(&Symbol) -> bool) -> CallTree {
        let matched: Vec<bool> = (self.symbols().iter().enumerate())
            .map(|(index, symbol)| index > 0 && !symbol.is_label && matches(symbol))
            .collect();
        let sieve = Sieve::new(self, sift, matched);
        CallTree {
            nodes: grow(
                &sieve as &dyn Walk,
                SymbolId::ROOT,
                sieve.start(),
                self.symbols(),
            ),
            sample_type: self.sample_type.clone(),
            symbols: self.symbols.clone(),
        }
    }
}

/// A tree while it is sifted.
struct Sieve<'a> {
    tree: &'a CallTree,
    sift: Sift,
    /// By symbol.
    matched: Vec<bool>,
    /// By node: what is left of self and total. Empty: all of it.
    kept: Vec<[i64; 2]>,
}

impl<'a> Sieve<'a> {
    fn new(tree: &'a CallTree, sift: Sift, matched: Vec<bool>) -> Self {
        let mut sieve = Self {
            tree,
            sift,
            matched,
            kept: Vec::new(),
        };
        if matches!(sift, Sift::Focus | Sift::Ignore | Sift::ShowFrom) {
            sieve.kept = sieve.weigh();
        }
        sieve
    }

    /// What is left of every node.
    fn weigh(&self) -> Vec<[i64; 2]> {
        let nodes = self.tree.nodes();
        let mut below = vec![false; nodes.len()];
        let mut kept = vec![[0_i64; 2]; nodes.len()];
        for (index, node) in nodes.iter().enumerate() {
            below[index] = below[node.parent.index()] || self.matched[node.symbol.index()];
            if below[index] != (self.sift == Sift::Ignore) {
                kept[index] = [node.self_value; 2];
            }
        }
        for index in (1..nodes.len()).rev() {
            let value = kept[index][1];
            let total = &mut kept[nodes[index].parent.index()][1];
            *total = total.saturating_add(value);
        }
        kept
    }

    fn self_value(&self, id: NodeId) -> i64 {
        match self.kept.get(id.index()) {
            Some(kept) => kept[0],
            None => self.tree.node(id).self_value,
        }
    }

    fn total_value(&self, id: NodeId) -> i64 {
        match self.kept.get(id.index()) {
            Some(kept) => kept[1],
            None => self.tree.node(id).total_value,
        }
    }

    fn is_match(&self, id: NodeId) -> bool {
        self.matched[self.tree.node(id).symbol.index()]
    }

    fn item(&self, id: NodeId) -> Item {
        Item {
            at: id.0,
            frame: 0,
            weight: self.total_value(id),
        }
    }

    fn start(&self) -> Start {
        let mut start = Start::default();
        if self.sift == Sift::ShowFrom {
            self.outermost(&mut start.items);
        } else {
            start.self_value = self.callees(NodeId::ROOT, &mut start.items);
        }
        start
    }

    /// The matches that no match called.
    fn outermost(&self, items: &mut Vec<Item>) {
        let mut below = vec![false; self.tree.nodes().len()];
        for index in 1..below.len() {
            let id = NodeId::from_index(index);
            let inside = below[self.tree.node(id).parent.index()];
            below[index] = inside || self.is_match(id);
            if below[index] && !inside {
                items.push(self.item(id));
            }
        }
    }

    /// What is called from a node and left; hidden callees are replaced by theirs. Gives what ends there.
    fn callees(&self, id: NodeId, next: &mut Vec<Item>) -> i64 {
        if self.sift == Sift::Collapse && self.is_match(id) {
            return self.tree.node(id).total_value;
        }
        let mut ends = 0_i64;
        let mut open = vec![id];
        while let Some(at) = open.pop() {
            ends = ends.saturating_add(self.self_value(at));
            for child in self.tree.children(at) {
                if !self.kept.is_empty() && self.kept[child.index()] == [0; 2] {
                    continue;
                }
                if self.is_gone(id, child) {
                    open.push(child);
                } else {
                    next.push(self.item(child));
                }
            }
        }
        ends
    }

    fn is_gone(&self, caller: NodeId, callee: NodeId) -> bool {
        let same = || self.tree.node(caller).symbol == self.tree.node(callee).symbol;
        match self.sift {
            Sift::Hide => self.is_match(callee),
            Sift::Recursion => self.is_match(callee) && same(),
            _ => false,
        }
    }
}

impl Walk for Sieve<'_> {
    fn symbol(&self, item: &Item) -> SymbolId {
        self.tree.nodes()[item.at as usize].symbol
    }

    fn advance(&self, item: Item, next: &mut Vec<Item>) -> i64 {
        self.callees(NodeId(item.at), next)
    }
}
