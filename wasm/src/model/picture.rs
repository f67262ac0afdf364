//! What was computed for a state: trees as boxes, with their colours, and what is beside them.

use std::{cell::OnceCell, collections::HashMap};

use perfwright_analyze::{CallTree, NodeId, Overlay, Sides, SymbolId};
use perfwright_model::{Profile, SampleType};

use super::{
    change::Wholes,
    color::{self, Palette},
    flame::{Boxes, Flame, Placed},
    lines::Lines,
    outline::Outline,
    search::Found,
    session::Pane,
    state::State,
    sums::Sums,
};

/// A tree as boxes.
pub(super) struct Picture {
    pub(super) flame: Flame,
    /// By node, what it has in baseline and candidate.
    pub(super) sides: Option<Vec<Sides>>,
    /// By symbol, which symbol of the main tree it is. Empty: its own.
    main_symbols: Vec<Option<SymbolId>>,
    /// What the root stands for, if not for everything.
    pub(super) root: Option<SymbolId>,
}

/// What was computed for a state; the rest follows when it is asked for.
pub(super) struct Shown {
    pub(super) main: Picture,
    /// Of a comparison.
    pub(super) wholes: Option<Wholes>,
    pub(super) sample_type: SampleType,
    /// Full names by short ones, where they differ.
    pub(super) full: HashMap<String, String>,
    pub(super) palette: Palette,
    /// Only views of functions need them, so the first picture does not wait for them.
    pub(super) sums: OnceCell<Sums>,
    pub(super) found: Found,
    pub(super) selected: Option<SymbolId>,
    /// Of a comparison, the trees of both.
    pub(super) parts: Option<[CallTree; 2]>,
    pub(super) order: Option<Vec<u32>>,
    pub(super) only_found: Option<Vec<u32>>,
    pub(super) outline: Option<Outline>,
    pub(super) time: Option<Picture>,
    pub(super) sandwich: Option<(SymbolId, [Picture; 2])>,
    pub(super) lines: Option<Lines>,
}

impl Picture {
    pub(super) fn main(flame: Flame, sides: Option<Vec<Sides>>) -> Self {
        Self {
            flame,
            sides,
            main_symbols: Vec::new(),
            root: None,
        }
    }

    /// The picture of another tree than the main one, whose symbols are others.
    pub(super) fn beside(flame: Flame, sides: Option<Vec<Sides>>, main: &CallTree) -> Self {
        let known: HashMap<&str, SymbolId> = (main.nodes().iter())
            .map(|node| (&*main.symbols()[node.symbol.index()].name, node.symbol))
            .collect();
        let main_symbols = (flame.tree.symbols().iter())
            .map(|symbol| known.get(&*symbol.name).copied())
            .collect();
        Self {
            flame,
            sides,
            main_symbols,
            root: None,
        }
    }

    pub(super) fn sums(&self) -> Sums {
        Sums::new(&self.flame.tree, self.sides.as_deref())
    }

    /// What a node has in the baseline, if there is one, and in the candidate.
    pub(super) fn sides_of(&self, node: NodeId) -> Sides {
        let values = || {
            let node = self.flame.tree.node(node);
            Sides {
                self_values: [0, node.self_value],
                total_values: [0, node.total_value],
            }
        };
        let sides = self.sides.as_ref().map(|sides| sides[node.index()]);
        sides.unwrap_or_else(values)
    }

    /// The symbol of a node, as the main tree numbers them.
    fn main_symbol(&self, node: NodeId) -> Option<SymbolId> {
        let symbol = self.flame.tree.node(node).symbol;
        match self.main_symbols.get(symbol.index()) {
            Some(main) => *main,
            None => Some(symbol),
        }
    }

    pub(super) fn label<'a>(&'a self, shown: &'a Shown, pane: Pane, node: NodeId) -> &'a str {
        match (node, pane) {
            (NodeId::ROOT, Pane::Main) => "all",
            (NodeId::ROOT, _) => {
                let selected = shown.selected.map(|symbol| symbol.index());
                selected.map_or("", |symbol| &shown.main.flame.tree.symbols()[symbol].name)
            }
            _ => self.flame.tree.name(node),
        }
    }
}

impl Shown {
    /// Self and total of every function.
    pub(super) fn sums(&self) -> &Sums {
        self.sums.get_or_init(|| self.main.sums())
    }

    pub(super) fn symbol_color(&self, symbol: usize) -> u32 {
        self.palette.of(symbol)
    }

    pub(super) fn pictured(&self, pane: Pane, time: bool) -> Option<&Picture> {
        let around = self.sandwich.as_ref().map(|(_, pictures)| pictures);
        match pane {
            Pane::Main if time => self.time.as_ref(),
            Pane::Main => Some(&self.main),
            Pane::Callers => around.map(|pictures| &pictures[0]),
            Pane::Callees => around.map(|pictures| &pictures[1]),
        }
    }

    pub(super) fn flags(&self, picture: &Picture, placed: &Placed, selected: Option<u32>) -> u32 {
        if placed.small {
            return Boxes::SMALL;
        }
        let symbol = picture.main_symbol(placed.node);
        let is_root = placed.node == NodeId::ROOT;
        let mut flags = 0;
        if !is_root && symbol.is_some_and(|symbol| self.found.has(symbol.index())) {
            flags |= Boxes::FOUND;
        }
        // The root of a sandwich is the selected function.
        let is_selected = symbol.is_some() && symbol == self.selected;
        if is_selected && !is_root || is_root && picture.root.is_some() {
            flags |= Boxes::SAME;
        }
        if selected == Some(placed.node.index() as u32) {
            flags |= Boxes::SELECTED;
        }
        flags
    }

    pub(super) fn color(&self, picture: &Picture, placed: &Placed, dark: bool) -> u32 {
        if placed.small {
            return if dark { 0x003a_3a3a } else { color::SMALL };
        }
        match (&picture.sides, &self.wholes) {
            (Some(sides), Some(wholes)) => {
                color::of_change(&wholes.total_change(&sides[placed.node.index()]), dark)
            }
            (_, wholes) => {
                let symbol = match placed.node {
                    NodeId::ROOT => picture.root,
                    node => picture.main_symbol(node),
                };
                let symbol = symbol.map_or(0, |symbol| symbol.index());
                match wholes {
                    // In order of time a call has the colour of its function's change.
                    Some(wholes) => {
                        let sides = self.sums().of(symbol);
                        color::of_change(&wholes.total_change(&sides), dark)
                    }
                    None => self.palette.of(symbol),
                }
            }
        }
    }

    /// The node that a zoomed view shows from edge to edge.
    pub(super) fn zoomed_node(&self, state: &State) -> Option<NodeIndex> {
        let [start, end] = state.zoom?;
        let flame = &self.main.flame;
        let middle = f64::midpoint(start, end);
        let row = (1..flame.rows).find(|&row| {
            let range = flame.hit(middle, row).map(|node| flame.range(node));
            range.is_none_or(|[from, to]| to - from <= (end - start) * 1.000_1)
        })?;
        let node = flame.hit(middle, row)?;
        Some(NodeIndex(node.index() as u32))
    }

    /// The callers and the callees of a function.
    pub(super) fn around(&self, symbol: SymbolId) -> [Picture; 2] {
        let mut pictures = self.related(symbol);
        for picture in &mut pictures {
            picture.root = Some(symbol);
        }
        pictures
    }

    fn related(&self, symbol: SymbolId) -> [Picture; 2] {
        let tree = &self.main.flame.tree;
        let (Some(parts), Some(wholes)) = (&self.parts, &self.wholes) else {
            let picture = |tree| Picture::main(Flame::new(tree), None);
            return [picture(tree.callers(symbol)), picture(tree.callees(symbol))];
        };
        let name = &tree.symbols()[symbol.index()].name;
        [CallTree::callers, CallTree::callees].map(|related| {
            let [old, new] = [0, 1].map(|side: usize| match parts[side].find_symbol(name) {
                Some(symbol) => related(&parts[side], symbol),
                None => CallTree::new(&Profile::new([self.sample_type.clone()]), 0),
            });
            let overlay = Overlay::new(&old, &new, wholes.scales());
            Picture::beside(Flame::new(overlay.tree), Some(overlay.sides), tree)
        })
    }
}

/// A node's position.
pub(super) struct NodeIndex(pub(super) u32);
