//! The call tree as rows that open and close.

use perfwright_analyze::{CallTree, NodeId};

/// A visible row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) node: NodeId,
    /// 1 for the outermost calls.
    pub(crate) level: u32,
    pub(crate) is_open: bool,
}

/// The rows that are visible, in their order.
#[derive(Default)]
pub(crate) struct Outline {
    rows: Vec<Row>,
}

impl Outline {
    /// The outermost calls, and the heaviest path opened as long as there is no question which it is.
    pub(crate) fn new(tree: &CallTree) -> Self {
        let mut outline = Self {
            rows: children(tree, NodeId::ROOT, 1),
        };
        let mut at = 0;
        while let Some(row) = outline.rows.get(at).copied() {
            let share = tree.node(row.node).total_value.saturating_mul(2);
            if share < tree.total_value() || row.level > 40 {
                break;
            }
            outline.toggle(tree, at);
            at += 1;
        }
        outline
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row of a node, if it is visible.
    pub(crate) fn position(&self, node: NodeId) -> Option<usize> {
        self.rows.iter().position(|row| row.node == node)
    }

    /// Opens or closes a row.
    pub(crate) fn toggle(&mut self, tree: &CallTree, at: usize) {
        let Some(row) = self.rows.get_mut(at) else {
            return;
        };
        if row.is_open {
            row.is_open = false;
            let level = row.level;
            let below = self.rows[at + 1..]
                .iter()
                .take_while(|row| row.level > level)
                .count();
            self.rows.drain(at + 1..at + 1 + below);
            return;
        }
        let added = children(tree, row.node, row.level + 1);
        row.is_open = !added.is_empty();
        self.rows.splice(at + 1..at + 1, added);
    }

    /// Opens what leads to a node, and gives its row.
    pub(crate) fn reveal(&mut self, tree: &CallTree, node: NodeId) -> Option<usize> {
        let mut found = None;
        for step in tree.path(node) {
            if let Some(above) = found.filter(|&at: &usize| !self.rows[at].is_open) {
                self.toggle(tree, above);
            }
            found = self.position(step);
        }
        found
    }
}

fn children(tree: &CallTree, node: NodeId, level: u32) -> Vec<Row> {
    let row = |node| Row {
        node,
        level,
        is_open: false,
    };
    tree.children(node).map(row).collect()
}
