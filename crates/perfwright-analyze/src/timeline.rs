//! Call trees in the order of time.

use perfwright_model::{SampleRef, ordered};

use crate::excerpt::{PathFrame, fill_path};
use crate::symbols::{Symbol, SymbolId, SymbolTable};
use crate::tree::{CallTree, Node, NodeId, TreeBuilder};

/// A call from its first sample to its last: a node, before its callees have their place.
struct Call {
    symbol: SymbolId,
    parent: usize,
    self_value: i64,
}

impl TreeBuilder<'_> {
    /// The samples in the order of their times, merged only with the neighbours: a node is a call as it was
    /// seen from one sample to the next, and the children of a node lie in the order of time. `edit` may
    /// shorten the path of a sample (outermost first), or drop the sample by `false`. Samples without a time
    /// are left out; `None` if none has one. Grouping and turning around do not apply.
    ///
    /// # Panics
    /// If the profile has no such sample type.
    pub fn in_time_order(
        self,
        mut edit: impl FnMut(&mut Vec<PathFrame>, &[Symbol]) -> bool,
    ) -> Option<CallTree> {
        let profile = self.profile();
        let samples = self.timed_samples()?;
        let mut table = SymbolTable::default();
        table.by_name("", None);
        let symbols = self.name_locations(&mut table);
        let mut calls = vec![Call {
            symbol: SymbolId::ROOT,
            parent: 0,
            self_value: 0,
        }];
        let mut open: Vec<usize> = Vec::new();
        let mut path = Vec::new();
        for sample in samples {
            fill_path(profile, &symbols, sample.stack, &mut path);
            if !edit(&mut path, table.all()) {
                open.clear();
                continue;
            }
            let shared = (open.iter().zip(&path))
                .take_while(|&(&call, frame)| calls[call].symbol == frame.symbol)
                .count();
            open.truncate(shared);
            for frame in &path[shared..] {
                let parent = open.last().copied().unwrap_or(0);
                open.push(calls.len());
                calls.push(Call {
                    symbol: frame.symbol,
                    parent,
                    self_value: 0,
                });
            }
            let value = &mut calls[open.last().copied().unwrap_or(0)].self_value;
            *value = value.saturating_add(sample.values[self.position()]);
        }
        Some(CallTree {
            sample_type: self.sample_type(),
            symbols: table.into_symbols(),
            nodes: side_by_side(&calls),
        })
    }

    fn timed_samples(&self) -> Option<Vec<SampleRef<'_>>> {
        let kept = |sample: &SampleRef| {
            sample.time_nanos.is_some()
                && sample.values[self.position()] != 0
                && self.has_labels(sample.labels)
        };
        let samples: Vec<_> = self.profile().samples().filter(kept).collect();
        let order = ordered(samples.len(), &|a, b| {
            samples[a].time_nanos.cmp(&samples[b].time_nanos)
        });
        (!samples.is_empty()).then(|| order.into_iter().map(|at| samples[at]).collect())
    }
}

/// Numbers the calls anew, so that the children of each lie side by side.
fn side_by_side(calls: &[Call]) -> Vec<Node> {
    let mut totals: Vec<i64> = calls.iter().map(|call| call.self_value).collect();
    let mut counts = vec![0_u32; calls.len()];
    for at in (1..calls.len()).rev() {
        let parent = calls[at].parent;
        totals[parent] = totals[parent].saturating_add(totals[at]);
        counts[parent] += 1;
    }
    let mut children: Vec<Vec<usize>> = counts
        .iter()
        .map(|&count| Vec::with_capacity(count as usize))
        .collect();
    for (at, call) in calls.iter().enumerate().skip(1) {
        children[call.parent].push(at);
    }
    let mut order = vec![0];
    let mut nodes = vec![Node::root(SymbolId::ROOT, calls[0].self_value)];
    let mut next = 0;
    while next < order.len() {
        let at = order[next];
        nodes[next].first_child = nodes.len() as u32;
        nodes[next].child_count = counts[at];
        nodes[next].total_value = totals[at];
        for &child in &children[at] {
            order.push(child);
            nodes.push(Node {
                parent: NodeId(next as u32),
                ..Node::root(calls[child].symbol, calls[child].self_value)
            });
        }
        next += 1;
    }
    nodes
}
