//! The bounded registry: which labels a path node stands for.
//!
//! Nodes form a tree; a node is (parent, key, value) and is never recycled, so that a word that a
//! sampler recorded long ago still means what it meant. Strings are interned once: a lookup of a known
//! path allocates nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// How many nodes the registry holds unless [`set_max_nodes`] says otherwise: about 3 MB when full of
/// short labels.
pub const DEFAULT_MAX_NODES: usize = 65_536;

/// Keys and values longer than this are cut (at a character boundary), so that nodes are bounded in
/// bytes too.
pub const MAX_LABEL_BYTES: usize = 512;

/// A node of the label tree: a path of (key, value) pairs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct NodeId(u32);

impl NodeId {
    /// The empty path.
    pub const ROOT: NodeId = NodeId(0);
    /// What every new path is once the registry is full; its one label is `context` = `(other)`.
    pub const OTHER: NodeId = NodeId(1);

    /// The number of this node as a word carries it.
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// The node with this number; one that was never given out has no labels.
    pub const fn from_bits(bits: u32) -> NodeId {
        NodeId(bits)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Node {
    parent: NodeId,
    key: u32,
    value: u32,
}

struct Registry {
    strings: Vec<Box<str>>,
    string_ids: HashMap<Box<str>, u32>,
    nodes: Vec<Node>,
    node_ids: HashMap<Node, NodeId>,
}

static REGISTRY: RwLock<Option<Registry>> = RwLock::new(None);
static MAX_NODES: AtomicUsize = AtomicUsize::new(DEFAULT_MAX_NODES);
static OVERFLOWED: AtomicU64 = AtomicU64::new(0);

/// The node for `key = value` under `parent`; the same arguments always give the same node.
///
/// Takes a shared lock when the path is known and an exclusive one when it is new. When the registry is
/// full a new path is [`NodeId::OTHER`], and [`overflowed`] counts it.
pub fn child(parent: NodeId, key: &str, value: &str) -> NodeId {
    let (key, value) = (cut(key), cut(value));
    if let Some(registry) = read().as_ref()
        && let Some(node) = registry.find_or_refuse(parent, key, value)
    {
        return node;
    }
    let mut guard = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    let registry = guard.get_or_insert_with(Registry::new);
    // Another thread may have added it, or filled the registry, between the locks.
    if let Some(node) = registry.find_or_refuse(parent, key, value) {
        return node;
    }
    registry.add(parent, key, value)
}

/// The labels of a path, outermost first. A key may come several times: the last is the innermost.
pub fn labels(node: NodeId) -> Vec<(String, String)> {
    if node == NodeId::OTHER {
        return vec![("context".into(), "(other)".into())];
    }
    let guard = read();
    let Some(registry) = guard.as_ref() else {
        return Vec::new();
    };
    let mut labels = Vec::new();
    let mut at = node;
    // A parent always has a smaller number than its child, so this ends.
    while at != NodeId::ROOT
        && let Some(node) = registry.nodes.get(at.0 as usize)
    {
        labels.push((registry.string(node.key), registry.string(node.value)));
        at = node.parent;
    }
    labels.reverse();
    labels
}

/// Whether `node` is `ancestor` or has it among its parents.
pub fn is_below(node: NodeId, ancestor: NodeId) -> bool {
    let guard = read();
    let mut at = node;
    // A parent always has a smaller number than its child.
    while at.0 > ancestor.0
        && let Some(node) = guard.as_ref().and_then(|r| r.nodes.get(at.0 as usize))
    {
        at = node.parent;
    }
    at == ancestor
}

/// How many nodes exist, the empty path and `(other)` included.
pub fn node_count() -> usize {
    read().as_ref().map_or(2, |registry| registry.nodes.len())
}

/// How many nodes the registry may hold.
pub fn max_nodes() -> usize {
    MAX_NODES.load(Ordering::Relaxed)
}

/// Changes how many nodes the registry may hold (at least 2). Nodes that exist stay.
pub fn set_max_nodes(max: usize) {
    MAX_NODES.store(max.clamp(2, u32::MAX as usize), Ordering::Relaxed);
}

/// How many times a path was not recorded because the registry was full.
pub fn overflowed() -> u64 {
    OVERFLOWED.load(Ordering::Relaxed)
}

fn read() -> RwLockReadGuard<'static, Option<Registry>> {
    // Nothing under the lock can leave it half changed in a way that a reader would mind.
    REGISTRY.read().unwrap_or_else(PoisonError::into_inner)
}

/// The longest prefix of `text` that fits [`MAX_LABEL_BYTES`].
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_LABEL_BYTES)]
}

impl Registry {
    fn new() -> Registry {
        let reserved = |value| Node {
            parent: NodeId::ROOT,
            key: u32::MAX,
            value,
        };
        Registry {
            strings: Vec::new(),
            string_ids: HashMap::new(),
            nodes: vec![reserved(0), reserved(1)],
            node_ids: HashMap::new(),
        }
    }

    fn find(&self, parent: NodeId, key: &str, value: &str) -> Option<NodeId> {
        let key = *self.string_ids.get(key)?;
        let value = *self.string_ids.get(value)?;
        self.node_ids.get(&Node { parent, key, value }).copied()
    }

    /// The known node, or `(other)` when there is no room for a new one; so that a full registry costs
    /// its users no exclusive lock.
    fn find_or_refuse(&self, parent: NodeId, key: &str, value: &str) -> Option<NodeId> {
        let full = self.nodes.len() >= MAX_NODES.load(Ordering::Relaxed);
        let known = self.find(parent, key, value);
        if known.is_none() && (full || parent == NodeId::OTHER) {
            OVERFLOWED.fetch_add(1, Ordering::Relaxed);
            return Some(NodeId::OTHER);
        }
        known
    }

    fn add(&mut self, parent: NodeId, key: &str, value: &str) -> NodeId {
        if parent.0 as usize >= self.nodes.len() {
            // Never given out by us: treat it as the empty path rather than build a broken tree.
            return self.add(NodeId::ROOT, key, value);
        }
        let node = Node {
            parent,
            key: self.intern(key),
            value: self.intern(value),
        };
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(node);
        self.node_ids.insert(node, id);
        id
    }

    fn intern(&mut self, text: &str) -> u32 {
        if let Some(&id) = self.string_ids.get(text) {
            return id;
        }
        let id = self.strings.len() as u32;
        self.strings.push(text.into());
        self.string_ids.insert(text.into(), id);
        id
    }

    fn string(&self, id: u32) -> String {
        self.strings
            .get(id as usize)
            .map_or_else(String::new, |text| text.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_node_and_reads_outermost_first() {
        let route = child(NodeId::ROOT, "route", "/orders");
        let span = child(route, "span", "load");
        assert_eq!(child(route, "span", "load"), span);
        assert_ne!(child(NodeId::ROOT, "span", "load"), span);
        let expect = [
            ("route".into(), "/orders".into()),
            ("span".into(), "load".into()),
        ];
        assert_eq!(labels(span), expect);
        assert!(labels(NodeId::ROOT).is_empty());
        assert!(is_below(span, route) && is_below(span, span) && is_below(span, NodeId::ROOT));
        assert!(!is_below(route, span) && !is_below(span, NodeId::OTHER));
    }

    #[test]
    fn long_and_odd_labels_are_cut_at_characters() {
        let long = "ä".repeat(MAX_LABEL_BYTES);
        let node = child(NodeId::ROOT, "k", &long);
        assert_eq!(labels(node)[0].1, "ä".repeat(MAX_LABEL_BYTES / 2));
    }

    #[test]
    fn unknown_numbers_have_no_labels() {
        assert!(labels(NodeId::from_bits(u32::MAX)).is_empty());
        let stray = child(NodeId::from_bits(u32::MAX - 1), "stray", "parent");
        assert_eq!(labels(stray), [("stray".into(), "parent".into())]);
    }
}
