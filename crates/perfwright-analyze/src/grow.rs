//! How call trees come about: many paths are walked side by side, and those that pass the same symbols
//! become one.
//!
//! A node is made from the items that lead to it. Its children are found by moving each item one frame on
//! and sorting what comes out by symbol. They are all made at once, so they lie side by side, and no index
//! from (parent, symbol) to child is needed.

use crate::symbols::{Symbol, SymbolId};
use crate::tree::{Node, NodeId};

/// A place on one of the walked paths, at a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    /// A stack, or a node of another tree.
    pub(crate) at: u32,
    /// The frame within a stack's location.
    pub(crate) frame: u32,
    /// What the rest of the path is worth.
    pub(crate) weight: i64,
}

/// Where the walk begins: the items of the outermost frames, and what has no frame.
#[derive(Default)]
pub(crate) struct Start {
    pub(crate) items: Vec<Item>,
    pub(crate) self_value: i64,
    /// How many nodes there may be, where that is known.
    pub(crate) nodes: usize,
}

/// What is walked over.
pub(crate) trait Walk {
    /// Whether a frame that has its caller's symbol is part of it.
    fn joins_neighbours(&self) -> bool {
        false
    }

    /// The symbol at an item.
    fn symbol(&self, item: &Item) -> SymbolId;

    /// Appends the frames that follow an item, and gives what ends there.
    fn advance(&self, item: Item, next: &mut Vec<Item>) -> i64;
}

impl Node {
    pub(crate) fn root(symbol: SymbolId, value: i64) -> Self {
        Self {
            symbol,
            parent: NodeId::ROOT,
            first_child: 1,
            child_count: 0,
            self_value: value,
            total_value: value,
        }
    }
}

/// The tree of all paths from `start`, in the order that [`CallTree`](crate::CallTree) promises.
///
/// Called with `&dyn Walk` where the walk is not the hot one: each kind of walk is a copy of all this.
pub(crate) fn grow<W: Walk + ?Sized>(
    walk: &W,
    root: SymbolId,
    start: Start,
    symbols: &[Symbol],
) -> Vec<Node> {
    let mut root = Node::root(root, start.self_value);
    root.total_value = sum(root.total_value, &start.items);
    let mut nodes = Vec::with_capacity(start.nodes + 1);
    nodes.push(root);
    let mut growth = Growth {
        nodes,
        items: Vec::new(),
        open: Vec::new(),
        next: start.items,
        groups: Vec::new(),
    };
    growth.adopt(walk, 0, symbols);
    while let Some((node, begin)) = growth.open.pop() {
        growth.next.clear();
        growth.nodes[node].self_value = growth.advance(walk, node, begin);
        growth.items.truncate(begin);
        growth.adopt(walk, node, symbols);
    }
    // Where much became one, there was far too much room.
    if growth.nodes.len() < start.nodes / 2 {
        growth.nodes.shrink_to_fit();
    }
    growth.nodes
}

/// The tree so far, and the nodes whose children are still to be made.
struct Growth {
    nodes: Vec<Node>,
    /// The items of the open nodes, one after the other.
    items: Vec<Item>,
    /// The open nodes, and where the items of each begin. The last is the next: going down first keeps to
    /// stacks that were made one after the other and lie side by side in memory.
    open: Vec<(usize, usize)>,
    /// The items that follow those of one node.
    next: Vec<Item>,
    /// Its children: symbol, total, and their items' range in `next`.
    groups: Vec<(SymbolId, i64, usize, usize)>,
}

impl Growth {
    /// Fills `next` with what follows a node's items, and gives what ends at the node.
    fn advance<W: Walk + ?Sized>(&mut self, walk: &W, node: usize, begin: usize) -> i64 {
        let symbol = self.nodes[node].symbol;
        let mut self_value = 0_i64;
        for &item in &self.items[begin..] {
            self_value = self_value.saturating_add(walk.advance(item, &mut self.next));
        }
        let mut at = 0;
        while walk.joins_neighbours() && at < self.next.len() {
            if walk.symbol(&self.next[at]) == symbol {
                let item = self.next.swap_remove(at);
                self_value = self_value.saturating_add(walk.advance(item, &mut self.next));
            } else {
                at += 1;
            }
        }
        self_value
    }

    /// Makes the children of a node from `next`.
    fn adopt<W: Walk + ?Sized>(&mut self, walk: &W, parent: usize, symbols: &[Symbol]) {
        // Most callers have one callee: there is nothing to sort.
        if let &[item] = &self.next[..] {
            self.nodes[parent].first_child = self.nodes.len() as u32;
            self.nodes[parent].child_count = 1;
            self.open.push((self.nodes.len(), self.items.len()));
            self.items.push(item);
            self.nodes.push(Node {
                parent: NodeId(parent as u32),
                total_value: item.weight,
                ..Node::root(walk.symbol(&item), 0)
            });
            return;
        }
        self.next.sort_unstable_by_key(|item| walk.symbol(item));
        self.groups.clear();
        let mut begin = 0;
        for items in self.next.chunk_by(|a, b| walk.symbol(a) == walk.symbol(b)) {
            let end = begin + items.len();
            self.groups
                .push((walk.symbol(&items[0]), sum(0, items), begin, end));
            begin = end;
        }
        self.groups.sort_unstable_by(|a, b| {
            let name = |symbol: SymbolId| {
                let symbol = &symbols[symbol.index()];
                (&symbol.name, &symbol.file, symbol.line)
            };
            b.1.cmp(&a.1).then_with(|| name(a.0).cmp(&name(b.0)))
        });
        self.nodes[parent].first_child = self.nodes.len() as u32;
        self.nodes[parent].child_count = self.groups.len() as u32;
        let children = self.groups.iter().map(|&(symbol, total_value, ..)| Node {
            parent: NodeId(parent as u32),
            total_value,
            ..Node::root(symbol, 0)
        });
        let first = self.nodes.len();
        self.nodes.extend(children);
        for (index, &(_, _, begin, end)) in self.groups.iter().enumerate().rev() {
            self.open.push((first + index, self.items.len()));
            self.items.extend_from_slice(&self.next[begin..end]);
        }
    }
}

fn sum(start: i64, items: &[Item]) -> i64 {
    items
        .iter()
        .fold(start, |sum, item| sum.saturating_add(item.weight))
}

/// Puts trees side by side below a new root, the heaviest first.
pub(crate) fn below_one_root(mut trees: Vec<Vec<Node>>, symbols: &[Symbol]) -> Vec<Node> {
    trees.sort_by(|a, b| {
        let name = |tree: &[Node]| &symbols[tree[0].symbol.index()].name;
        let by_total = b[0].total_value.cmp(&a[0].total_value);
        by_total.then_with(|| name(a).cmp(name(b)))
    });
    let mut root = Node::root(SymbolId::ROOT, 0);
    root.child_count = trees.len() as u32;
    let totals = trees.iter().map(|tree| tree[0].total_value);
    root.total_value = totals.fold(0, i64::saturating_add);
    let mut nodes = vec![root];
    let mut next = 1 + trees.len() as u32;
    for tree in &trees {
        // The node at 1 of a tree goes to `next`, the others after it.
        let shift = next - 1;
        nodes.push(Node {
            first_child: tree[0].first_child + shift,
            ..tree[0]
        });
        next += tree.len() as u32 - 1;
    }
    let mut shift = trees.len() as u32;
    for (index, tree) in trees.iter().enumerate() {
        nodes.extend(tree[1..].iter().map(|node| Node {
            parent: match node.parent {
                NodeId::ROOT => NodeId(index as u32 + 1),
                NodeId(parent) => NodeId(parent + shift),
            },
            first_child: node.first_child + shift,
            ..*node
        }));
        shift += tree.len() as u32 - 1;
    }
    nodes
}
