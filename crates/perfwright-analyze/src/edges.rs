//! Callers and callees of one function.

use crate::grow::{Item, Start, Walk, grow};
use crate::symbols::SymbolId;
use crate::tree::{CallTree, Node, NodeId};

/// A caller or a callee, and how much of the function's total goes through it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edge {
    /// The caller's or callee's name.
    pub name: String,
    /// The part of the function's total.
    pub value: i64,
}

/// A function between its callers and its callees, the heaviest first.
///
/// Of a recursive function the callers are those of the outermost call of a sample and the callees those of
/// the innermost one, so that nothing counts twice: the callers add up to the total, less what the function
/// was the outermost frame of; the callees and the self value add up to the total.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Butterfly {
    /// What the function cost itself.
    pub self_value: i64,
    /// What it cost with all it called, a sample counting once.
    pub total_value: i64,
    /// Who called it.
    pub callers: Vec<Edge>,
    /// Whom it called.
    pub callees: Vec<Edge>,
}

/// Where a node is, as seen from the function in question.
#[derive(Clone, Copy)]
struct View {
    /// Who made the outermost call to the function; `None`: the function is not on the path.
    caller: Option<SymbolId>,
    /// What the innermost call of the function went to; `None`: it is the node itself.
    callee: Option<SymbolId>,
}

/// The callers and callees of a function; `None` if the tree has no function of this name.
pub fn butterfly(tree: &CallTree, name: &str) -> Option<Butterfly> {
    let function = tree.find_symbol(name)?;
    let mut callers = vec![0_i64; tree.symbols().len()];
    let mut callees = vec![0_i64; tree.symbols().len()];
    let (mut self_value, mut total_value) = (0_i64, 0_i64);
    for (node, view) in tree.nodes().iter().zip(views(tree, function)) {
        let Some(caller) = view.caller else {
            continue;
        };
        let callee = view.callee.map(|callee| &mut callees[callee.index()]);
        for sum in [
            &mut total_value,
            &mut callers[caller.index()],
            callee.unwrap_or(&mut self_value),
        ] {
            *sum = sum.saturating_add(node.self_value);
        }
    }
    Some(Butterfly {
        self_value,
        total_value,
        callers: edges(tree, &callers),
        callees: edges(tree, &callees),
    })
}

fn views(tree: &CallTree, function: SymbolId) -> Vec<View> {
    let outside = View {
        caller: None,
        callee: None,
    };
    let mut views: Vec<View> = Vec::with_capacity(tree.nodes().len());
    views.push(outside);
    for node in &tree.nodes()[1..] {
        let above = views[node.parent.index()];
        views.push(if node.symbol == function {
            let caller = above.caller.unwrap_or(tree.node(node.parent).symbol);
            View {
                caller: Some(caller),
                callee: None,
            }
        } else if above.caller.is_some() {
            View {
                callee: above.callee.or(Some(node.symbol)),
                ..above
            }
        } else {
            outside
        });
    }
    views
}

/// The symbols that have a value, without the root and the values of labels, which call nothing.
fn edges(tree: &CallTree, values: &[i64]) -> Vec<Edge> {
    let symbols = tree.symbols().iter().zip(values).skip(1);
    let mut edges: Vec<Edge> = symbols
        .filter(|(symbol, value)| **value != 0 && !symbol.is_label)
        .map(|(symbol, &value)| Edge {
            name: symbol.name.to_string(),
            value,
        })
        .collect();
    edges.sort_unstable_by(|a, b| b.value.cmp(&a.value).then_with(|| a.name.cmp(&b.name)));
    edges
}

impl CallTree {
    /// What a function called, merged over all its outermost calls: a tree whose root stands for the
    /// function. Together with the tree of its callers this is what viewers call a sandwich.
    pub fn callees(&self, function: SymbolId) -> CallTree {
        let mut start = Start::default();
        for id in self.outermost(function) {
            start.self_value = start.self_value.saturating_add(CalleesOf(self).advance(
                Item {
                    at: id.index() as u32,
                    frame: 0,
                    weight: 0,
                },
                &mut start.items,
            ));
        }
        self.regrown(grow(
            &CalleesOf(self) as &dyn Walk,
            SymbolId::ROOT,
            start,
            self.symbols(),
        ))
    }

    /// Who called a function: a tree whose root stands for the function's outermost calls, with its callers
    /// below, their callers below them, and so on.
    pub fn callers(&self, function: SymbolId) -> CallTree {
        let mut start = Start::default();
        for id in self.outermost(function) {
            let item = Item {
                at: id.index() as u32,
                frame: 0,
                weight: self.node(id).total_value,
            };
            let value = CallersOf(self).advance(item, &mut start.items);
            start.self_value = start.self_value.saturating_add(value);
        }
        self.regrown(grow(
            &CallersOf(self) as &dyn Walk,
            SymbolId::ROOT,
            start,
            self.symbols(),
        ))
    }

    /// The calls of a function that are not within another call of it.
    fn outermost(&self, function: SymbolId) -> Vec<NodeId> {
        let mut inside = vec![false; self.nodes().len()];
        let mut found = Vec::new();
        for (index, node) in self.nodes().iter().enumerate().skip(1) {
            let above = inside[node.parent.index()];
            inside[index] = above || node.symbol == function;
            if inside[index] && !above {
                found.push(NodeId::from_index(index));
            }
        }
        found
    }

    fn regrown(&self, nodes: Vec<Node>) -> CallTree {
        CallTree {
            sample_type: self.sample_type.clone(),
            symbols: self.symbols.clone(),
            nodes,
        }
    }
}

/// From nodes of a tree to those that they call.
struct CalleesOf<'a>(&'a CallTree);

impl Walk for CalleesOf<'_> {
    fn symbol(&self, item: &Item) -> SymbolId {
        self.0.nodes()[item.at as usize].symbol
    }

    fn advance(&self, item: Item, next: &mut Vec<Item>) -> i64 {
        let id = NodeId(item.at);
        next.extend(self.0.children(id).map(|child| Item {
            at: child.0,
            frame: 0,
            weight: self.0.node(child).total_value,
        }));
        self.0.node(id).self_value
    }
}

/// From nodes of a tree to what called them.
struct CallersOf<'a>(&'a CallTree);

impl Walk for CallersOf<'_> {
    fn symbol(&self, item: &Item) -> SymbolId {
        self.0.nodes()[item.at as usize].symbol
    }

    fn advance(&self, item: Item, next: &mut Vec<Item>) -> i64 {
        let caller = self.0.nodes()[item.at as usize].parent;
        if caller == NodeId::ROOT {
            return item.weight;
        }
        next.push(Item {
            at: caller.0,
            ..item
        });
        0
    }
}
