//! Sums by function, of a tree and of an overlay.

use perfwright_analyze::{CallTree, NodeId, Sides, Visit};

/// Self and total of every symbol, on both sides: without a baseline, all is the candidate's.
pub(crate) struct Sums(Vec<Sides>);

impl Sums {
    /// Adds up a tree. Of a recursive function only the outermost call's total counts.
    pub(crate) fn new(tree: &CallTree, sides: Option<&[Sides]>) -> Self {
        let values = |id: NodeId| match sides {
            Some(sides) => sides[id.index()],
            None => {
                let node = tree.node(id);
                Sides {
                    self_values: [0, node.self_value],
                    total_values: [0, node.total_value],
                }
            }
        };
        let mut sums = vec![Sides::default(); tree.symbols().len()];
        let mut open = vec![0_u32; sums.len()];
        sums[0] = values(NodeId::ROOT);
        tree.walk(|visit| match visit {
            Visit::Enter(id) => {
                let symbol = tree.node(id).symbol.index();
                let (sum, values) = (&mut sums[symbol], values(id));
                add(&mut sum.self_values, values.self_values);
                if open[symbol] == 0 {
                    add(&mut sum.total_values, values.total_values);
                }
                open[symbol] += 1;
            }
            Visit::Leave(id) => open[tree.node(id).symbol.index()] -= 1,
        });
        Self(sums)
    }

    pub(crate) fn of(&self, symbol: usize) -> Sides {
        self.0.get(symbol).copied().unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn add(sums: &mut [i64; 2], values: [i64; 2]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum = sum.saturating_add(value);
    }
}
