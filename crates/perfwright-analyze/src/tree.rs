//! The call tree: who called whom, and what it cost.

use std::ops::Range;

use perfwright_model::{LabelSetId, LabelValue, Profile, SampleType, StackId};

use crate::grow::{Walk, below_one_root, grow};
use crate::hash::IdMap;
use crate::stacks::{StacksDown, StacksUp};
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
    pub(crate) first_child: u32,
    pub(crate) child_count: u32,
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
    pub(crate) sample_type: SampleType,
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) nodes: Vec<Node>,
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
            labels: None,
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
    labels: Option<&'a dyn Fn(LabelSetId) -> bool>,
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

    /// Only samples whose labels `keep` keeps.
    pub fn labels(mut self, keep: &'a dyn Fn(LabelSetId) -> bool) -> Self {
        self.labels = Some(keep);
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
        let groups = self.grouped_weights(&mut table);
        let symbols = self.name_locations(&mut table);
        let mut trees: Vec<Vec<Node>> = groups
            .iter()
            .map(|group| self.grow(group, &symbols, &table))
            .collect();
        let nodes = if self.group_by.is_some() {
            below_one_root(trees, table.all())
        } else {
            trees
                .pop()
                .unwrap_or_else(|| vec![Node::root(SymbolId::ROOT, 0)])
        };
        CallTree {
            sample_type: self.sample_type(),
            symbols: table.into_symbols(),
            nodes,
        }
    }

    fn grow(&self, group: &Group, symbols: &LocationSymbols, table: &SymbolTable) -> Vec<Node> {
        let root = group.symbol.unwrap_or(SymbolId::ROOT);
        if self.from_leaves {
            let walk = StacksUp::new(self.profile, symbols);
            grow(
                &walk as &dyn Walk,
                root,
                walk.start(&group.stacks),
                table.all(),
            )
        } else {
            let walk = StacksDown::new(self.profile, symbols, &group.stacks);
            grow(&walk, root, walk.start(), table.all())
        }
    }

    pub(crate) fn sample_type(&self) -> SampleType {
        self.profile.sample_types()[self.sample_type].clone()
    }

    pub(crate) fn profile(&self) -> &'a Profile {
        self.profile
    }

    pub(crate) fn position(&self) -> usize {
        self.sample_type
    }

    pub(crate) fn has_labels(&self, labels: LabelSetId) -> bool {
        self.labels.is_none_or(|keep| keep(labels))
    }

    pub(crate) fn name_locations(&self, table: &mut SymbolTable) -> LocationSymbols {
        LocationSymbols::new(self.profile, self.by, self.rename, table)
    }

    pub(crate) fn name_every_frame(&self, table: &mut SymbolTable) -> LocationSymbols {
        LocationSymbols::of_every_frame(self.profile, self.by, self.rename, table)
    }

    /// Sums the samples of equal stacks, apart for each value of the label.
    fn grouped_weights(&self, table: &mut SymbolTable) -> Vec<Group> {
        let (profile, key) = (self.profile, self.group_by);
        let mut groups: Vec<Group> = Vec::new();
        // Of a label set that is left out: no group.
        let mut group_of: IdMap<u32, Option<usize>> = IdMap::default();
        for sample in profile.samples() {
            let value = sample.values[self.sample_type];
            if value == 0 {
                continue;
            }
            let label_set = if key.is_some() || self.labels.is_some() {
                sample.labels
            } else {
                LabelSetId::EMPTY
            };
            let group = group_of.entry(label_set.index() as u32).or_insert_with(|| {
                if !self.has_labels(label_set) {
                    return None;
                }
                let symbol = key.map(|key| {
                    let name = label_text(profile, label_set, key);
                    table.by_label(&name.unwrap_or_else(|| format!("(no {key})")))
                });
                Some(position_of(&mut groups, symbol))
            });
            if let Some(group) = *group {
                groups[group].stacks.push((sample.stack, value));
            }
        }
        for group in &mut groups {
            sum_equal(&mut group.stacks);
        }
        groups
    }
}

/// The stacks that have weight, within one value of the grouping label. Ids are distinct and ascending.
struct Group {
    symbol: Option<SymbolId>,
    stacks: Vec<(StackId, i64)>,
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
