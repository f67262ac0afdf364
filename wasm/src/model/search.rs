//! Search, in slices: whoever calls may do something else between two of them, or give the search up.

use perfwright_analyze::CallTree;

use crate::Pattern;
use perfwright_model::sort_ids;

/// The most hits that are kept to be walked through.
const MAX_HITS: usize = 1_000;

/// How far a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Progress {
    /// Every node has been looked at.
    pub done: bool,
    /// How many functions match.
    pub functions: usize,
    /// How many nodes match so far.
    pub nodes: usize,
    /// What these cost with all they called, in the tree's unit; nothing counts twice.
    pub value: i64,
}

/// What a search found so far.
#[derive(Default)]
pub(crate) struct Found {
    pattern: Option<Pattern>,
    /// By symbol, as far as symbols have been looked at.
    symbols: Vec<bool>,
    /// By node, a bit: it or one of its callers matches.
    inside: Vec<u64>,
    next_node: usize,
    progress: Progress,
    /// The heaviest outermost matches, as nodes; the heaviest first when the search is done.
    hits: Vec<u32>,
}

impl Found {
    /// A search that has not begun; of an empty text nothing is found.
    pub(crate) fn new(query: &str) -> Self {
        Self {
            pattern: (!query.is_empty()).then(|| Pattern::new(query)),
            progress: Progress {
                done: query.is_empty(),
                ..Progress::default()
            },
            ..Self::default()
        }
    }

    pub(crate) fn has(&self, symbol: usize) -> bool {
        self.symbols.get(symbol).copied().unwrap_or(false)
    }

    pub(crate) fn is_active(&self) -> bool {
        self.pattern.is_some()
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress
    }

    pub(crate) fn hits(&self) -> &[u32] {
        &self.hits
    }

    /// Looks at no more than `budget` symbols or nodes.
    pub(crate) fn go_on(&mut self, tree: &CallTree, budget: usize) -> Progress {
        let Some(pattern) = self.pattern.as_ref().filter(|_| !self.progress.done) else {
            return self.progress;
        };
        let known = self.symbols.len();
        if known < tree.symbols().len() {
            let more = tree.symbols().iter().enumerate().skip(known).take(budget);
            for (index, symbol) in more {
                let matches = index > 0 && pattern.matches(&symbol.name);
                self.progress.functions += usize::from(matches);
                self.symbols.push(matches);
            }
            return self.progress;
        }
        self.look_at_nodes(tree, budget);
        self.progress
    }

    fn look_at_nodes(&mut self, tree: &CallTree, budget: usize) {
        let nodes = tree.nodes();
        self.inside.resize(nodes.len().div_ceil(64), 0);
        let end = nodes.len().min(self.next_node.saturating_add(budget));
        for (index, node) in nodes.iter().enumerate().take(end).skip(self.next_node) {
            let matches = self.symbols[node.symbol.index()];
            let parent = node.parent.index();
            let inside = index > 0 && self.inside[parent / 64] >> (parent % 64) & 1 == 1;
            self.progress.nodes += usize::from(matches);
            if matches && !inside {
                self.progress.value = self.progress.value.saturating_add(node.total_value);
                self.hits.push(index as u32);
            }
            self.inside[index / 64] |= u64::from(inside || matches) << (index % 64);
        }
        self.next_node = end;
        self.progress.done = end == nodes.len();
        if self.hits.len() > 64 * MAX_HITS || self.progress.done {
            let value = |node: u32| nodes[node as usize].total_value;
            sort_ids(&mut self.hits, &|a, b| {
                value(b).cmp(&value(a)).then(a.cmp(&b))
            });
            self.hits.truncate(MAX_HITS);
        }
        if self.progress.done {
            self.inside = Vec::new();
        }
    }
}
