//! The tree of span paths, which is bounded, and what a thread remembers of it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use perfwright_context::NodeId;
use perfwright_model::keys;

use crate::fields::Interest;
use crate::snapshot::SpanName;

/// A path of spans under a route. 0 is `(other)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub(crate) struct PathId(pub(crate) u32);

impl PathId {
    /// What every path is for which there was no room.
    pub(crate) const OTHER: PathId = PathId(0);

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A route, as an index into a list of names. 0 is `(other)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct RouteId(pub(crate) u32);

/// Where a new span belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) path: PathId,
    pub(crate) route: RouteId,
    /// The route is a label, not the name of the root span.
    pub(crate) is_labelled: bool,
    /// What the thread's word is while the span is entered.
    pub(crate) node: NodeId,
    /// Whether the fields of such a span are to be looked at.
    pub(crate) interest: Interest,
}

/// What tells one place from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PlaceKey {
    /// The callsite's address, mixed with a hash of the name where fields name the span.
    pub(crate) callsite: u64,
    pub(crate) parent: Option<(PathId, NodeId)>,
    /// The context that it is created in, see [`PathTree::place`].
    pub(crate) word: NodeId,
}

impl std::hash::Hash for PlaceKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Not of the parent's node: `word` is nearly always the same one.
        let parent = self.parent.map_or(u32::MAX, |(path, _)| path.0);
        state.write_u64(self.callsite);
        state.write_u64((u64::from(parent) << 32) | u64::from(self.word.to_bits()));
    }
}

/// How many places a thread finds without a search.
pub(crate) const RECENT: usize = 64;

impl PlaceKey {
    /// Where a thread looks first.
    #[inline]
    pub(crate) fn slot(&self) -> usize {
        let parent = self.parent.map_or(0, |(path, _)| u64::from(path.0));
        // Callsites are statics some dozens of bytes apart.
        let mixed = (self.callsite >> 4) ^ (parent << 3) ^ u64::from(self.word.to_bits());
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize
    }
}

/// What a thread remembers of [`PathTree::place`], so that it is asked once.
pub(crate) type PlaceCache = HashMap<PlaceKey, Place, BuildHasherDefault<Mix>>;

/// A thread's cache is emptied when it has this many entries, for labels may be many.
pub(crate) const MAX_CACHED: usize = 4_096;

/// The hash of few words of our own making: multiply and fold.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xa076_1d64_78bd_642f;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Node {
    parent: Option<PathId>,
    name: u32,
    route: RouteId,
    is_labelled: bool,
}

/// All paths, behind the layer's lock.
#[derive(Debug)]
pub(crate) struct PathTree {
    max: usize,
    nodes: Vec<Node>,
    node_ids: HashMap<Node, PathId>,
    names: Vec<SpanName>,
    name_ids: HashMap<SpanName, u32>,
    routes: Vec<String>,
    route_ids: HashMap<String, RouteId>,
}

impl PathTree {
    pub(crate) fn new(max: usize) -> PathTree {
        let mut tree = PathTree {
            max,
            nodes: Vec::new(),
            node_ids: HashMap::new(),
            names: Vec::new(),
            name_ids: HashMap::new(),
            routes: Vec::new(),
            route_ids: HashMap::new(),
        };
        let name = tree.intern_name(SpanName {
            name: "(other)".into(),
            ..SpanName::default()
        });
        let route = tree.intern_route("(other)");
        tree.nodes.push(Node {
            parent: None,
            name,
            route,
            is_labelled: false,
        });
        tree
    }

    /// How many paths there are, `(other)` aside.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len() - 1
    }

    /// The place of a span of this name, created in the context `word`, below `parent`: its path, and the
    /// node of its parent's word.
    ///
    /// `word` counts if it lies below the parent's node, since then it is the parent's with labels added.
    pub(crate) fn place(
        &mut self,
        name: &SpanName,
        parent: Option<(PathId, NodeId)>,
        word: NodeId,
    ) -> Place {
        let base = match parent {
            Some((_, node)) if !perfwright_context::is_below(word, node) => node,
            _ => word,
        };
        let labels = perfwright_context::labels(base);
        let mut labels = labels.into_iter().rev();
        let label = labels
            .find(|(key, _)| key == keys::ROUTE)
            .map(|(_, route)| route);
        let (route, is_labelled) = match (&label, parent) {
            (Some(route), _) => (self.intern_route(route), true),
            (None, Some((parent, _))) => (self.nodes[parent.index()].route, false),
            (None, None) => (self.intern_route(&name.name), false),
        };
        let path = self.path(name, parent.map(|parent| parent.0), route, is_labelled);
        Place {
            path,
            route,
            is_labelled,
            // A span without a path of its own adds nothing to the registry of contexts either.
            node: match path {
                PathId::OTHER => base,
                _ => perfwright_context::child(base, keys::SPAN, &name.name),
            },
            interest: Interest::default(),
        }
    }

    fn path(
        &mut self,
        name: &SpanName,
        parent: Option<PathId>,
        route: RouteId,
        is_labelled: bool,
    ) -> PathId {
        if parent == Some(PathId::OTHER) {
            return PathId::OTHER;
        }
        let is_full = self.len() >= self.max;
        let name = match self.name_ids.get(name) {
            Some(&id) => id,
            None if is_full => return PathId::OTHER,
            None => self.intern_name(name.clone()),
        };
        let node = Node {
            parent,
            name,
            route,
            is_labelled,
        };
        if let Some(&path) = self.node_ids.get(&node) {
            return path;
        }
        if is_full {
            return PathId::OTHER;
        }
        let path = PathId(self.nodes.len() as u32);
        self.nodes.push(node);
        self.node_ids.insert(node, path);
        path
    }

    /// The route's name, and the names from the outermost span to the path's own.
    pub(crate) fn describe(&self, path: PathId) -> (String, Vec<SpanName>) {
        let mut names = Vec::new();
        let mut at = Some(path);
        while let Some(node) = at.map(|path| self.nodes[path.index()]) {
            names.push(self.names[node.name as usize].clone());
            at = node.parent;
        }
        names.reverse();
        (self.route_name(self.nodes[path.index()].route), names)
    }

    /// The name of a path's own span.
    pub(crate) fn name(&self, path: PathId) -> &SpanName {
        &self.names[self.nodes[path.index()].name as usize]
    }

    pub(crate) fn route_name(&self, route: RouteId) -> String {
        self.routes[route.0 as usize].clone()
    }

    fn intern_name(&mut self, name: SpanName) -> u32 {
        let id = self.names.len() as u32;
        self.names.push(name.clone());
        self.name_ids.insert(name, id);
        id
    }

    /// The route's id; `(other)` once there are as many as there may be paths.
    fn intern_route(&mut self, route: &str) -> RouteId {
        if let Some(&id) = self.route_ids.get(route) {
            return id;
        }
        if self.routes.len() > self.max {
            return RouteId::default();
        }
        let id = RouteId(self.routes.len() as u32);
        self.routes.push(route.to_owned());
        self.route_ids.insert(route.to_owned(), id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> SpanName {
        SpanName {
            name: name.into(),
            ..SpanName::default()
        }
    }

    #[test]
    fn what_does_not_fit_is_other_and_so_is_all_below() {
        let mut tree = PathTree::new(2);
        let root = tree.place(&name("root"), None, NodeId::ROOT);
        let below = |place: &Place| Some((place.path, place.node));
        let child = tree.place(&name("child"), below(&root), NodeId::ROOT);
        assert_eq!((root.path, child.path), (PathId(1), PathId(2)));
        let third = tree.place(&name("third"), below(&root), NodeId::ROOT);
        assert_eq!((third.path, third.node), (PathId::OTHER, root.node));
        let again = tree.place(&name("child"), below(&third), third.node);
        assert_eq!(again.path, PathId::OTHER);
        assert_eq!(
            tree.place(&name("child"), below(&root), NodeId::ROOT).path,
            child.path
        );
        assert_eq!(tree.len(), 2);
    }

    #[test]
    fn a_label_counts_where_it_lies_below_the_parent() {
        let mut tree = PathTree::new(100);
        let root = tree.place(&name("root"), None, NodeId::ROOT);
        let labelled = perfwright_context::child(root.node, keys::ROUTE, "/a");
        let elsewhere = perfwright_context::child(NodeId::ROOT, keys::ROUTE, "/b");
        let parent = Some((root.path, root.node));
        let inside = tree.place(&name("child"), parent, labelled);
        let outside = tree.place(&name("child"), parent, elsewhere);
        assert_eq!(tree.describe(inside.path).0, "/a");
        assert_eq!(tree.describe(outside.path).0, "root");
        assert_ne!(inside.path, outside.path);
        let labels: Vec<_> = perfwright_context::labels(inside.node);
        let labels: Vec<_> = labels.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(labels, ["root", "/a", "child"]);
    }
}
