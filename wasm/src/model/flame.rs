//! Flame views: which boxes of a call tree are visible, and which box is where.

use perfwright_analyze::{CallTree, NodeId};

/// Boxes narrower than this are drawn as one with their neighbours, in pixels.
const MIN_WIDTH: f64 = 1.0;

/// No more boxes than this are drawn: with [`MIN_WIDTH`] and a screen's worth of rows more would be noise.
const MAX_BOXES: usize = 60_000;

/// A call tree with the place of every node: from 0 to its total, a caller's own cost behind its callees'.
pub struct Flame {
    /// The tree.
    pub tree: CallTree,
    /// By node, where it starts, in the tree's unit.
    starts: Vec<i64>,
    /// How many rows it has, the root's included.
    pub rows: u32,
    /// Siblings lie in order of time and not of weight.
    timed: bool,
}

/// The part of a flame view that is to be drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Where the view begins, as a share of the whole.
    pub start: f64,
    /// Where it ends.
    pub end: f64,
    /// How wide it is, in pixels.
    pub width: f64,
    /// The first row to draw.
    pub first_row: u32,
    /// How many rows.
    pub rows: u32,
}

impl Window {
    /// All of a flame view, and its first rows.
    pub const fn whole(width: f64, rows: u32) -> Self {
        Self {
            start: 0.0,
            end: 1.0,
            width,
            first_row: 0,
            rows,
        }
    }
}

/// A node that is drawn, or the siblings too small to be drawn one by one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Placed {
    pub(crate) node: NodeId,
    pub(crate) row: u32,
    /// Pixels from the window's left edge, cut at the window's edges.
    pub(crate) x: f32,
    pub(crate) width: f32,
    /// It stands for callees of `node`.
    pub(crate) small: bool,
}

/// What is drawn: flat arrays, as a script reads them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Boxes {
    /// Two numbers a box: its left edge and its width, in pixels.
    pub places: Vec<f32>,
    /// Four numbers a box: node, row, colour (0xRRGGBB), flags.
    pub facts: Vec<u32>,
    /// The texts of the boxes with [`Boxes::LABEL`], in their order, a line each.
    pub texts: String,
}

impl Boxes {
    /// Flag: the box stands for several callees of the node, each too small.
    pub const SMALL: u32 = 1;
    /// Flag: the search found it.
    pub const FOUND: u32 = 2;
    /// Flag: it is of the selected function.
    pub const SAME: u32 = 4;
    /// Flag: it is the selected node.
    pub const SELECTED: u32 = 8;
    /// Flag: it has a text.
    pub const LABEL: u32 = 16;

    /// The texts.
    pub fn labels(&self) -> Vec<&str> {
        self.texts.lines().collect()
    }

    pub(crate) fn push(&mut self, placed: &Placed, color: u32, mut flags: u32, text: &str) {
        if !text.is_empty() {
            flags |= Self::LABEL;
            self.texts
                .extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
            self.texts.push('\n');
        }
        self.places.extend([placed.x, placed.width]);
        self.facts
            .extend([placed.node.index() as u32, placed.row, color, flags]);
    }
}

impl Flame {
    /// Places the nodes of a tree whose siblings lie the heaviest first.
    pub fn new(tree: CallTree) -> Self {
        Self::placed(tree, false)
    }

    /// Places the nodes of a tree in order of time.
    pub fn in_time_order(tree: CallTree) -> Self {
        Self::placed(tree, true)
    }

    fn placed(tree: CallTree, timed: bool) -> Self {
        let nodes = tree.nodes();
        let mut starts = vec![0_i64; nodes.len()];
        let mut depths = vec![0_u32; nodes.len()];
        let mut deepest = 0;
        for index in 0..nodes.len() {
            let depth = place_children(&tree, index, &mut starts, &mut depths);
            deepest = deepest.max(depth);
        }
        Self {
            tree,
            starts,
            rows: deepest + 1,
            timed,
        }
    }

    /// The whole's width, in the tree's unit.
    fn whole(&self) -> f64 {
        self.tree.total_value().max(1) as f64
    }

    /// Where a node begins and ends, as shares of the whole.
    pub(crate) fn range(&self, node: NodeId) -> [f64; 2] {
        let start = self.starts[node.index()];
        let end = start.saturating_add(width(&self.tree, node));
        [start, end].map(|at| (at as f64 / self.whole()).clamp(0.0, 1.0))
    }

    /// The node at a share of the whole, in a row.
    pub(crate) fn hit(&self, at: f64, row: u32) -> Option<NodeId> {
        let at = at * self.whole();
        if !(0.0..=self.whole()).contains(&at) {
            return None;
        }
        let mut node = NodeId::ROOT;
        for _ in 0..row {
            let children = self.tree.children(node);
            let (first, count) = bounds(children)?;
            let before = partition(count, |index| self.starts[first + index] as f64 <= at);
            node = NodeId::from_index(first + before.checked_sub(1)?);
            if at >= self.starts[node.index()] as f64 + width(&self.tree, node) as f64 {
                return None;
            }
        }
        Some(node)
    }

    /// The rows that a node is below the root.
    pub(crate) fn row(&self, node: NodeId) -> u32 {
        let (mut at, mut row) = (node, 0);
        while at != NodeId::ROOT {
            at = self.tree.node(at).parent;
            row += 1;
        }
        row
    }

    /// What is drawn in a window, callers before their callees.
    pub(crate) fn place(&self, window: &Window) -> Vec<Placed> {
        let mut placing = Placing::new(self, window);
        placing.run();
        placing.placed
    }
}

/// Places a node's children, and gives their row, or where it has none its own. Not inlined, for browsers optimise functions
/// that are called often, not loops that run for long.
#[inline(never)]
fn place_children(tree: &CallTree, node: usize, starts: &mut [i64], depths: &mut [u32]) -> u32 {
    let (mut at, mut depth) = (starts[node], depths[node]);
    let children = tree.children(NodeId::from_index(node));
    if children.len() > 0 {
        depth += 1;
    }
    for child in children {
        starts[child.index()] = at;
        depths[child.index()] = depth;
        at = at.saturating_add(width(tree, child));
    }
    depth
}

#[inline]
fn width(tree: &CallTree, node: NodeId) -> i64 {
    tree.node(node).total_value.max(0)
}

fn bounds(mut children: impl ExactSizeIterator<Item = NodeId>) -> Option<(usize, usize)> {
    let count = children.len();
    Some((children.next()?.index(), count))
}

/// How many of `0..count` come before the first for which `is_before` no longer holds.
fn partition(count: usize, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// The way down a tree, no further than can be seen.
struct Placing<'a> {
    flame: &'a Flame,
    window: &'a Window,
    /// The window's left edge, in the tree's unit.
    left: f64,
    right: f64,
    /// Pixels for one of the tree's unit.
    scale: f64,
    open: Vec<(NodeId, u32)>,
    placed: Vec<Placed>,
}

impl<'a> Placing<'a> {
    fn new(flame: &'a Flame, window: &'a Window) -> Self {
        let (left, right) = (window.start * flame.whole(), window.end * flame.whole());
        Self {
            flame,
            window,
            left,
            right,
            scale: window.width / (right - left).max(f64::MIN_POSITIVE),
            open: vec![(NodeId::ROOT, 0)],
            placed: Vec::new(),
        }
    }

    fn run(&mut self) {
        let last = self.window.first_row.saturating_add(self.window.rows);
        while let Some((node, row)) = self.open.pop() {
            let start = self.flame.starts[node.index()] as f64;
            let end = start + width(&self.flame.tree, node) as f64;
            self.push(node, row, start, end, false);
            if row + 1 < last && self.placed.len() < MAX_BOXES {
                self.descend(node, row + 1);
            }
        }
    }

    fn push(&mut self, node: NodeId, row: u32, start: f64, end: f64, small: bool) {
        if row < self.window.first_row {
            return;
        }
        let x = (start.max(self.left) - self.left) * self.scale;
        let width = (end.min(self.right) - self.left) * self.scale - x;
        self.placed.push(Placed {
            node,
            row,
            x: x as f32,
            width: width as f32,
            small,
        });
    }

    fn descend(&mut self, node: NodeId, row: u32) {
        let Some((first, count)) = bounds(self.flame.tree.children(node)) else {
            return;
        };
        let flame = self.flame;
        let start = |index: usize| flame.starts[first + index] as f64;
        let end = |index: usize| {
            start(index) + width(&flame.tree, NodeId::from_index(first + index)) as f64
        };
        let mut index = partition(count, |index| end(index) <= self.left);
        let opened = self.open.len();
        while index < count && start(index) < self.right {
            let child = NodeId::from_index(first + index);
            if (end(index) - start(index)) * self.scale >= MIN_WIDTH {
                self.open.push((child, row));
                index += 1;
                continue;
            }
            let run = self.run_of_small(index, count, &start, &end);
            if (end(run - 1) - start(index)) * self.scale >= MIN_WIDTH / 2.0 {
                self.push(node, row, start(index), end(run - 1), true);
            }
            index = run;
        }
        self.open[opened..].reverse();
    }

    /// Where the small siblings end that begin at `index`.
    fn run_of_small(
        &self,
        index: usize,
        count: usize,
        start: &impl Fn(usize) -> f64,
        end: &impl Fn(usize) -> f64,
    ) -> usize {
        if !self.flame.timed {
            // Those that follow are smaller still.
            return count;
        }
        let limit = start(index) + MIN_WIDTH * 2.0 / self.scale;
        let mut run = index + 1;
        while run < count
            && start(run) < limit.min(self.right)
            && (end(run) - start(run)) * self.scale < MIN_WIDTH
        {
            run += 1;
        }
        run
    }
}
