//! The call tree: who called whom, and what it cost.

use std::ops::Range;

use perfwright_model::{LabelSetId, LabelValue, Profile, SampleType, StackId};

use crate::hash::IdMap;
use crate::symbols::{By, LocationSymbols, Rename, Symbol, SymbolId, SymbolTable};

/// A node of a [`CallTree`], as its position in the tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// The root: what called the outermost functions.
    pub const ROOT: Self = Self(0);

    /// The position in the tree.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The node at a position, which must come from the same tree.
    #[inline]
    pub const fn from_index(index: usize) -> Self {
        Self(index as u32)
    }
}

/// A node: a function as it was called along one path. Values are in the unit of the tree's sample type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Node {
    /// What was called.
    pub symbol: SymbolId,
    /// The caller; the root is its own.
    pub parent: NodeId,
    first_child: u32,
    child_count: u32,
    /// What it cost itself.
    pub self_value: i64,
    /// What it cost with all it called.
    pub total_value: i64,
}

/// The samples of a profile, merged by the path of calls that led to them.
///
/// Made from the profile's stacks: frames inlined into one address are nodes of their own, and addresses of
/// one function are one node. A node has a greater id than its parent; the children of a node lie side by
/// side, the heaviest first (of equals, by name), so a level of the tree is a slice. It holds 32 bytes a
/// node and its own copy of the names, and borrows nothing.
#[derive(Clone, Debug)]
pub struct CallTree {
    sample_type: SampleType,
    symbols: Vec<Symbol>,
    nodes: Vec<Node>,
}

impl CallTree {
    /// The tree of one sample type, by function.
    ///
    /// # Panics
    /// If the profile has no such sample type.
    pub fn new(profile: &Profile, sample_type: usize) -> Self {
        Self::builder(profile, sample_type).build()
    }

    /// The same with choices.
    pub fn builder(profile: &Profile, sample_type: usize) -> TreeBuilder<'_> {
        TreeBuilder {
            profile,
            sample_type,
            by: By::Function,
            group_by: None,
            rename: None,
            from_leaves: false,
        }
    }

    /// What the values are.
    pub fn sample_type(&self) -> &SampleType {
        &self.sample_type
    }

    /// The sum of all samples.
    pub fn total_value(&self) -> i64 {
        self.nodes[0].total_value
    }

    /// A node.
    #[inline]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// All nodes, the root first, parents before children.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The nodes that `id` calls, the heaviest first.
    #[inline]
    pub fn children(&self, id: NodeId) -> impl ExactSizeIterator<Item = NodeId> + use<> {
        let Range { start, end } = self.child_range(id);
        (start as u32..end as u32).map(NodeId)
    }

    fn child_range(&self, id: NodeId) -> Range<usize> {
        let node = self.node(id);
        let start = node.first_child as usize;
        start..start + node.child_count as usize
    }

    /// The symbol of a node.
    #[inline]
    pub fn symbol(&self, id: NodeId) -> &Symbol {
        &self.symbols[self.node(id).symbol.index()]
    }

    /// The name of a node; of the root, the empty string.
    #[inline]
    pub fn name(&self, id: NodeId) -> &str {
        &self.symbol(id).name
    }

    /// All symbols, by [`SymbolId::index`]. The first one is the root's.
    pub fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    /// The symbol of this name.
    pub fn find_symbol(&self, name: &str) -> Option<SymbolId> {
        let mut names = self.symbols.iter().skip(1);
        let at = names.position(|symbol| &*symbol.name == name)?;
        Some(SymbolId(at as u32 + 1))
    }

    /// The nodes from the outermost caller to `id`; empty for the root.
    pub fn path(&self, id: NodeId) -> Vec<NodeId> {
        let mut path = Vec::new();
        let mut at = id;
        while at != NodeId::ROOT {
            path.push(at);
            at = self.node(at).parent;
        }
        path.reverse();
        path
    }

    /// Visits every node below the root, depth first: callers first, siblings in their order.
    pub fn walk(&self, mut visit: impl FnMut(Visit)) {
        let mut path = vec![(NodeId::ROOT, self.child_range(NodeId::ROOT))];
        while let Some((node, rest)) = path.last_mut() {
            if let Some(child) = rest.next() {
                let child = NodeId::from_index(child);
                visit(Visit::Enter(child));
                path.push((child, self.child_range(child)));
            } else {
                if *node != NodeId::ROOT {
                    visit(Visit::Leave(*node));
                }
                path.pop();
            }
        }
    }
}

/// A step of [`CallTree::walk`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Visit {
    /// At the node, before what it calls.
    Enter(NodeId),
    /// At the node, after what it calls.
    Leave(NodeId),
}

/// Choices for a [`CallTree`].
#[must_use]
pub struct TreeBuilder<'a> {
    profile: &'a Profile,
    sample_type: usize,
    by: By,
    group_by: Option<&'a str>,
    rename: Rename<'a>,
    from_leaves: bool,
}

impl<'a> TreeBuilder<'a> {
    /// What a node stands for; functions unless told otherwise.
    pub fn by(mut self, by: By) -> Self {
        self.by = by;
        self
    }

    /// Puts a node for each value of this label between the root and the calls: `thread`, `route`. Samples
    /// without the label come under `(no thread)`.
    pub fn group_by(mut self, key: &'a str) -> Self {
        self.group_by = Some(key);
        self
    }

    /// Names functions by what `rename` makes of their name; functions that it names alike become one.
    pub fn rename(mut self, rename: &'a dyn Fn(&str) -> String) -> Self {
        self.rename = Some(rename);
        self
    }

    /// Turns every stack around: the functions that ran are under the root, below them their callers. A
    /// node's self value is then what its outermost callers account for.
    pub fn from_leaves(mut self, from_leaves: bool) -> Self {
        self.from_leaves = from_leaves;
        self
    }

    /// The tree.
    ///
    /// # Panics
    /// If the profile has no such sample type.
    pub fn build(self) -> CallTree {
        let mut table = SymbolTable::default();
        table.by_name("", None);
        let weights = grouped_weights(self.profile, self.sample_type, self.group_by, &mut table);
        let symbols = LocationSymbols::new(self.profile, self.by, self.rename, &mut table);
        let mut grower = Grower::new();
        for group in &weights {
            let root = match group.symbol {
                Some(symbol) => grower.child(0, symbol),
                None => 0,
            };
            if self.from_leaves {
                grower.add_from_leaves(self.profile, &symbols, root, &group.stacks);
            } else {
                grower.add_from_roots(self.profile, &symbols, root, &group.stacks);
            }
        }
        grower.finish(self.sample_type(), table.into_symbols())
    }

    fn sample_type(&self) -> SampleType {
        self.profile.sample_types()[self.sample_type].clone()
    }
}

/// The stacks that have weight, within one value of the grouping label. Ids are distinct and ascending.
struct Group {
    symbol: Option<SymbolId>,
    stacks: Vec<(StackId, i64)>,
}

/// Sums the samples of equal stacks, apart for each value of the label.
fn grouped_weights(
    profile: &Profile,
    sample_type: usize,
    key: Option<&str>,
    table: &mut SymbolTable,
) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut group_of: IdMap<u32, usize> = IdMap::default();
    for sample in profile.samples() {
        let value = sample.values[sample_type];
        if value == 0 {
            continue;
        }
        let label_set = if key.is_some() {
            sample.labels
        } else {
            LabelSetId::EMPTY
        };
        let group = *group_of.entry(label_set.index() as u32).or_insert_with(|| {
            let symbol = key.map(|key| {
                let name = label_text(profile, label_set, key);
                table.by_label(&name.unwrap_or_else(|| format!("(no {key})")))
            });
            position_of(&mut groups, symbol)
        });
        groups[group].stacks.push((sample.stack, value));
    }
    for group in &mut groups {
        sum_equal(&mut group.stacks);
    }
    groups
}

fn position_of(groups: &mut Vec<Group>, symbol: Option<SymbolId>) -> usize {
    let known = groups.iter().position(|group| group.symbol == symbol);
    known.unwrap_or_else(|| {
        groups.push(Group {
            symbol,
            stacks: Vec::new(),
        });
        groups.len() - 1
    })
}

fn sum_equal(stacks: &mut Vec<(StackId, i64)>) {
    stacks.sort_unstable_by_key(|&(stack, _)| stack);
    stacks.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 = kept.1.saturating_add(next.1);
        }
        same
    });
}

/// A label's value as text; numbers get their unit.
pub(crate) fn label_text(profile: &Profile, labels: LabelSetId, key: &str) -> Option<String> {
    let key = profile.find_string(key)?;
    let label = profile
        .labels(labels)
        .iter()
        .find(|label| label.key == key)?;
    Some(match label.value {
        LabelValue::Str(text) => profile.string(text).to_owned(),
        LabelValue::Num { value, unit } => match profile.string(unit) {
            "" => value.to_string(),
            unit => format!("{value} {unit}"),
        },
    })
}

/// A tree while it grows: parents before children, but children not yet together.
pub(crate) struct Grower {
    nodes: Vec<Growing>,
    children: IdMap<u64, u32>,
}

struct Growing {
    symbol: SymbolId,
    parent: u32,
    self_value: i64,
}

impl Grower {
    pub(crate) fn new() -> Self {
        let root = Growing {
            symbol: SymbolId(0),
            parent: 0,
            self_value: 0,
        };
        Self {
            nodes: vec![root],
            children: IdMap::default(),
        }
    }

    /// The child of this symbol, added if there is none.
    #[inline]
    pub(crate) fn child(&mut self, parent: u32, symbol: SymbolId) -> u32 {
        let next = self.nodes.len() as u32;
        let key = u64::from(parent) << 32 | u64::from(symbol.0);
        let node = *self.children.entry(key).or_insert(next);
        if node == next {
            self.nodes.push(Growing {
                symbol,
                parent,
                self_value: 0,
            });
        }
        node
    }

    #[inline]
    fn callee(&mut self, node: u32, symbol: SymbolId, joins_neighbours: bool) -> u32 {
        let growing = &self.nodes[node as usize];
        if joins_neighbours && growing.symbol == symbol {
            node
        } else {
            self.child(node, symbol)
        }
    }

    pub(crate) fn add(&mut self, node: u32, value: i64) {
        let sum = &mut self.nodes[node as usize].self_value;
        *sum = sum.saturating_add(value);
    }

    /// Each stack node that leads to a weight is looked at once: its parent comes before it.
    fn add_from_roots(
        &mut self,
        profile: &Profile,
        symbols: &LocationSymbols,
        root: u32,
        stacks: &[(StackId, i64)],
    ) {
        let mut node_of = vec![root; 1];
        node_of.resize(profile.stack_count(), u32::MAX);
        for stack in stacks_above(profile, stacks) {
            let Some(place) = profile.stack_node(stack) else {
                continue;
            };
            let caller = node_of[place.parent.index()];
            let frames = symbols.of(place.location).iter();
            node_of[stack.index()] = frames.fold(caller, |node, &symbol| {
                self.callee(node, symbol, symbols.joins_neighbours)
            });
        }
        for &(stack, value) in stacks {
            self.add(node_of[stack.index()], value);
        }
    }

    fn add_from_leaves(
        &mut self,
        profile: &Profile,
        symbols: &LocationSymbols,
        root: u32,
        stacks: &[(StackId, i64)],
    ) {
        for &(stack, value) in stacks {
            let frames = profile
                .stack(stack)
                .flat_map(|location| symbols.of(location).iter().rev());
            let outermost = frames.fold(root, |node, &symbol| {
                self.callee(node, symbol, symbols.joins_neighbours)
            });
            self.add(outermost, value);
        }
    }

    /// Sums up totals and lays the children of every node side by side, heaviest first.
    pub(crate) fn finish(self, sample_type: SampleType, symbols: Vec<Symbol>) -> CallTree {
        let mut totals: Vec<i64> = self.nodes.iter().map(|node| node.self_value).collect();
        for index in (1..self.nodes.len()).rev() {
            let parent = self.nodes[index].parent as usize;
            totals[parent] = totals[parent].saturating_add(totals[index]);
        }
        let (starts, mut children) = self.children_by_parent();
        for index in 0..self.nodes.len() {
            children[starts[index] as usize..starts[index + 1] as usize].sort_unstable_by(
                |&a, &b| {
                    let name = |node: u32| {
                        let symbol = &symbols[self.nodes[node as usize].symbol.index()];
                        (&symbol.name, &symbol.file, symbol.line)
                    };
                    let by_total = totals[b as usize].cmp(&totals[a as usize]);
                    by_total.then_with(|| name(a).cmp(&name(b)))
                },
            );
        }
        CallTree {
            sample_type,
            symbols,
            nodes: self.laid_out(&totals, &starts, &children),
        }
    }

    /// The children of node `n` are `children[starts[n]..starts[n + 1]]`.
    fn children_by_parent(&self) -> (Vec<u32>, Vec<u32>) {
        let mut starts = vec![0_u32; self.nodes.len() + 1];
        for node in &self.nodes[1..] {
            starts[node.parent as usize + 1] += 1;
        }
        for index in 1..starts.len() {
            starts[index] += starts[index - 1];
        }
        let mut next = starts.clone();
        let mut children = vec![0_u32; self.nodes.len() - 1];
        for (index, node) in self.nodes.iter().enumerate().skip(1) {
            let slot = &mut next[node.parent as usize];
            children[*slot as usize] = index as u32;
            *slot += 1;
        }
        (starts, children)
    }

    /// The nodes in breadth-first order.
    fn laid_out(&self, totals: &[i64], starts: &[u32], children: &[u32]) -> Vec<Node> {
        let mut order: Vec<u32> = Vec::with_capacity(self.nodes.len());
        let mut nodes: Vec<Node> = Vec::with_capacity(self.nodes.len());
        let mut parents: Vec<u32> = Vec::with_capacity(self.nodes.len());
        order.push(0);
        parents.push(0);
        for at in 0..self.nodes.len() {
            let old = order[at] as usize;
            let range = starts[old] as usize..starts[old + 1] as usize;
            nodes.push(Node {
                symbol: self.nodes[old].symbol,
                parent: NodeId(parents[at]),
                first_child: order.len() as u32,
                child_count: range.len() as u32,
                self_value: self.nodes[old].self_value,
                total_value: totals[old],
            });
            parents.resize(parents.len() + range.len(), at as u32);
            order.extend_from_slice(&children[range]);
        }
        nodes
    }
}

/// The given stacks and all their callers, callers first, without the root.
fn stacks_above(profile: &Profile, stacks: &[(StackId, i64)]) -> impl Iterator<Item = StackId> {
    let mut needed = vec![false; profile.stack_count()];
    for &(stack, _) in stacks {
        needed[stack.index()] = true;
    }
    for index in (1..needed.len()).rev() {
        if let (true, Some(node)) = (
            needed[index],
            profile.stack_node(StackId::from_index(index)),
        ) {
            needed[node.parent.index()] = true;
        }
    }
    let indexes = needed.into_iter().enumerate().skip(1);
    indexes
        .filter(|&(_, needed)| needed)
        .map(|(index, _)| StackId::from_index(index))
}
