//! The open profiles and what is shown of them.

use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
};

use perfwright_analyze::{By, CallTree, NodeId, Overlay, common_sample_type, short_name};
use perfwright_format::{Error, Limits, Read, read};
use perfwright_model::{LabelSetId, Profile, SampleType, StringId};

use super::{
    change::Wholes,
    color::Palette,
    fit::fit,
    flame::{Boxes, Flame, Window},
    lines::Lines,
    outline::Outline,
    picture::{Picture, Shown},
    search::{Found, Progress},
    state::{Column, State, Unit, View},
    steps::{Sifts, Step, StepKind},
    table,
};

/// A drawing of boxes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pane {
    /// The call tree, or with [`View::Time`] the calls in order of time.
    Main,
    /// The callers of the selected function.
    Callers,
    /// The callees of the selected function.
    Callees,
}

/// Open profiles, and what is shown of them. See the [crate documentation](crate).
#[derive(Default)]
pub struct Session {
    pub(super) profiles: Vec<Opened>,
    pub(super) state: State,
    pub(super) shown: Option<Shown>,
    /// Why nothing is shown.
    pub(super) problem: String,
    dark: bool,
    /// Where the keys are in a pane whose nodes are not the main tree's.
    cursor: Option<(Pane, u32)>,
}

/// A profile that was read.
pub(super) struct Opened {
    pub(super) name: String,
    pub(super) profile: Profile,
    pub(super) format: String,
    pub(super) warnings: Vec<String>,
    /// Samples have times.
    pub(super) is_timed: bool,
    pub(super) label_keys: Vec<String>,
}

impl Session {
    /// Nothing open.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a profile in any format that `perfwright-format` reads, gzipped or not, and gives its position.
    pub fn open(&mut self, name: &str, bytes: &[u8]) -> Result<usize, Error> {
        let read = read(bytes, &Limits::default())?;
        Ok(self.add(name, read))
    }

    /// Adds a profile that was read, and gives its position.
    pub fn add(&mut self, name: &str, read: Read) -> usize {
        let is_timed = read
            .profile
            .samples()
            .any(|sample| sample.time_nanos.is_some());
        self.profiles.push(Opened {
            name: self.free_name(name),
            format: read.format.to_string(),
            warnings: read.warnings.iter().map(ToString::to_string).collect(),
            is_timed,
            label_keys: label_keys(&read.profile),
            profile: read.profile,
        });
        self.profiles.len() - 1
    }

    /// The name, with a number behind it if another profile has it.
    fn free_name(&self, name: &str) -> String {
        let is_free = |name: &str| self.profiles.iter().all(|opened| opened.name != name);
        let mut free = name.to_owned();
        for number in 2.. {
            if is_free(&free) {
                break;
            }
            free = format!("{name} ({number})");
        }
        free
    }

    /// What is shown.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Whether the page is dark.
    pub fn set_dark(&mut self, dark: bool) {
        self.dark = dark;
        if let Some(shown) = &mut self.shown {
            shown.palette = Palette::new(&shown.main.flame.tree, &shown.full, dark);
        }
    }

    /// Shows something else. Selection and zoom stay at the same path of calls where it is still there. What
    /// can't be shown is said in [`description`](Self::description).
    pub fn apply(&mut self, mut state: State) {
        state.profile = state.profile.min(self.profiles.len().saturating_sub(1));
        state.baseline = (state.baseline)
            .filter(|&baseline| baseline < self.profiles.len() && baseline != state.profile);
        let rebuilt = self.shown.is_none() || !makes_same_tree(&self.state, &state);
        if rebuilt {
            self.rebuild(&mut state);
        } else if state.node.is_none() && state.function == self.state.function {
            state.node = self.state.node;
        }
        self.follow_selection(&mut state);
        if let Some(shown) = &mut self.shown {
            let query_changed = state.query != self.state.query;
            if rebuilt || query_changed {
                shown.found = Found::new(&state.query);
                shown.only_found = None;
            }
            if (state.sort, state.reversed) != (self.state.sort, self.state.reversed) {
                (shown.order, shown.only_found) = (None, None);
            }
        }
        self.state = state;
    }

    /// Says where a flame view was zoomed to meanwhile, so that the zoom can follow its path of calls.
    pub fn set_zoom(&mut self, zoom: Option<[f64; 2]>) {
        self.state.zoom = zoom;
    }

    /// Says which node has the keys where that is not the selected one: in order of time, and around a function.
    pub fn set_cursor(&mut self, pane: Pane, node: u32) {
        self.cursor = Some((pane, node));
    }

    /// Makes the trees for a state, and says in it where selection and zoom went.
    fn rebuild(&mut self, state: &mut State) {
        let old = self.shown.take();
        let kept = old.as_ref().map(|shown| {
            let tree = &shown.main.flame.tree;
            let selected = self.state.node.map(|node| names_to(tree, node));
            let zoomed = shown
                .zoomed_node(&self.state)
                .map(|node| names_to(tree, node.0));
            (selected, zoomed)
        });
        // Two trees of millions of nodes at a time are one too many.
        drop(old);
        self.problem.clear();
        match self.build(state) {
            Ok(shown) => {
                let flame = &shown.main.flame;
                if let Some((selected, zoomed)) = kept {
                    let node = selected.and_then(|path| node_at(&flame.tree, &path));
                    if state.node == self.state.node {
                        state.node = node.map(|node| node.index() as u32);
                    }
                    if state.zoom == self.state.zoom {
                        let node = zoomed.and_then(|path| node_at(&flame.tree, &path));
                        state.zoom = node.map(|node| flame.range(node));
                    }
                }
                self.shown = Some(shown);
            }
            Err(problem) => self.problem = problem,
        }
    }

    fn build(&self, state: &State) -> Result<Shown, String> {
        let Some(opened) = self.profiles.get(state.profile) else {
            return Err(String::new());
        };
        let full = RefCell::new(HashMap::new());
        let (positions, mut wholes) = self.positions(state)?;
        let tree = |side: usize| self.side_tree(state, side, positions[side], unit(state), &full);
        let (tree, sides, parts) = match &mut wholes {
            None => (tree(1), None, None),
            Some(wholes) => {
                let parts = [tree(0), tree(1)];
                wholes.reduce([0, 1].map(|side: usize| parts[side].total_value()));
                let overlay = Overlay::new(&parts[0], &parts[1], wholes.scales());
                (overlay.tree, Some(overlay.sides), Some(parts))
            }
        };
        let full = full.into_inner();
        Ok(Shown {
            palette: Palette::new(&tree, &full, self.dark),
            sums: OnceCell::new(),
            main: Picture::main(Flame::new(tree), sides),
            sample_type: opened.profile.sample_types()[positions[1]].clone(),
            wholes,
            full,
            parts,
            found: Found::default(),
            selected: None,
            order: None,
            only_found: None,
            outline: None,
            time: None,
            sandwich: None,
            lines: None,
        })
    }

    /// The sample type's position in the baseline and in the candidate, and what both are as wholes.
    pub(super) fn positions(&self, state: &State) -> Result<([usize; 2], Option<Wholes>), String> {
        let opened = self.profiles.get(state.profile);
        let candidate = &opened.ok_or("Nothing is open.")?.profile;
        let wanted = candidate.find_sample_type(&state.sample_type);
        let position = wanted.or_else(|| candidate.default_sample_type());
        let position = position.ok_or("This profile has no sample types: it holds no values.")?;
        let Some(baseline) = state.baseline else {
            return Ok(([position; 2], None));
        };
        let baseline = &self.profiles[baseline].profile;
        let kind = &candidate.sample_types()[position].kind;
        let (new, old) = common_sample_type(candidate, baseline, Some(kind)).map_err(|_| {
            format!(
                "The two profiles can't be compared: the baseline has no values of type {kind}."
            )
        })?;
        let both = [(baseline, old), (candidate, new)];
        let wholes = Wholes {
            totals: both.map(|(profile, position)| profile.total(position)),
            samples: both.map(|(profile, position)| sample_count(profile, position)),
            seconds: both
                .map(|(profile, _)| profile.meta.duration_nanos.map(|nanos| nanos as f64 / 1e9)),
            normalize: state.normalize,
        };
        Ok(([old, new], Some(wholes)))
    }

    /// The filtered tree of the baseline (0) or the candidate (1).
    fn side_tree(
        &self,
        state: &State,
        side: usize,
        position: usize,
        by: By,
        full: &RefCell<HashMap<String, String>>,
    ) -> CallTree {
        let profile = self.side(state, side);
        let rename = |name: &str| short(name, full);
        let keep = |labels| has_labels(profile, labels, &state.steps);
        let mut builder = CallTree::builder(profile, position).by(by);
        if !state.full_names {
            builder = builder.rename(&rename);
        }
        if state
            .steps
            .iter()
            .any(|step| step.kind == StepKind::Label && !step.off)
        {
            builder = builder.labels(&keep);
        }
        if !state.group_by.is_empty() {
            builder = builder.group_by(&state.group_by);
        }
        sifts(state).apply(builder.build())
    }

    pub(super) fn side(&self, state: &State, side: usize) -> &Profile {
        let position = match (side, state.baseline) {
            (0, Some(baseline)) => baseline,
            _ => state.profile,
        };
        &self.profiles[position].profile
    }

    /// Brings the selected node and the selected function together.
    fn follow_selection(&mut self, state: &mut State) {
        let Some(shown) = &mut self.shown else {
            return;
        };
        let tree = &shown.main.flame.tree;
        let node = state
            .node
            .filter(|&node| (node as usize) < tree.nodes().len());
        let node = node.map(|node| NodeId::from_index(node as usize));
        let named = |&node: &NodeId| state.function.is_empty() || tree.name(node) == state.function;
        let node = node.filter(named);
        state.node = node.map(|node| node.index() as u32);
        if let Some(node) = node {
            state.function = tree.name(node).to_owned();
            shown.selected = Some(tree.node(node).symbol).filter(|_| node != NodeId::ROOT);
        } else {
            shown.selected = tree
                .find_symbol(&state.function)
                .filter(|_| !state.function.is_empty());
        }
    }

    /// Makes what the state's view needs beside the main tree.
    pub fn prepare(&mut self) {
        match self.state.view {
            View::Time => drop(self.time()),
            View::Sandwich => drop(self.sandwich()),
            View::Source => drop(self.lines()),
            _ => {}
        }
    }

    fn time(&mut self) -> Option<&Picture> {
        let shown = self.shown.as_ref()?;
        if shown.time.is_none() {
            let (positions, _) = self.positions(&self.state).ok()?;
            let full = RefCell::default();
            let rename = |name: &str| short(name, &full);
            let profile = self.side(&self.state, 1);
            let keep = |labels| has_labels(profile, labels, &self.state.steps);
            let mut builder = CallTree::builder(profile, positions[1])
                .by(unit(&self.state))
                .labels(&keep);
            if !self.state.full_names {
                builder = builder.rename(&rename);
            }
            let (sifts, mut verdicts) = (sifts(&self.state), None);
            let tree = builder.in_time_order(|path, symbols| {
                let verdicts = verdicts.get_or_insert_with(|| sifts.verdicts(symbols));
                sifts.apply_to_path(path, verdicts)
            })?;
            let flame = Flame::in_time_order(tree);
            let picture = Picture::beside(flame, None, &shown.main.flame.tree);
            self.shown.as_mut()?.time = Some(picture);
        }
        self.shown.as_ref()?.time.as_ref()
    }

    fn sandwich(&mut self) -> Option<&[Picture; 2]> {
        let shown = self.shown.as_mut()?;
        let symbol = shown.selected?;
        if shown.sandwich.as_ref().is_none_or(|(of, _)| *of != symbol) {
            shown.sandwich = Some((symbol, shown.around(symbol)));
        }
        shown.sandwich.as_ref().map(|(_, pictures)| pictures)
    }

    pub(super) fn lines(&mut self) -> Option<&Lines> {
        if self.shown.as_ref()?.lines.is_none() {
            let (positions, wholes) = self.positions(&self.state).ok()?;
            let full = RefCell::default();
            let tree = |side: usize| {
                self.side_tree(&self.state, side, positions[side], By::FunctionLine, &full)
            };
            let lines = match wholes {
                None => Lines::new(&tree(1), None),
                Some(wholes) => {
                    let overlay = Overlay::new(&tree(0), &tree(1), wholes.scales());
                    Lines::new(&overlay.tree, Some(&overlay.sides))
                }
            };
            self.shown.as_mut()?.lines = Some(lines);
        }
        self.shown.as_ref()?.lines.as_ref()
    }

    pub(super) fn picture(&mut self, pane: Pane) -> Option<&Picture> {
        match pane {
            Pane::Main if self.state.view == View::Time => self.time(),
            Pane::Main => self.shown.as_ref().map(|shown| &shown.main),
            Pane::Callers => self.sandwich().map(|pictures| &pictures[0]),
            Pane::Callees => self.sandwich().map(|pictures| &pictures[1]),
        }
    }

    /// What is drawn of a pane in a window.
    pub fn boxes(&mut self, pane: Pane, window: &Window) -> Boxes {
        self.boxes_with_text(pane, window, 6.6)
    }

    /// The same, where a character of a box's text is `char_width` pixels wide.
    pub fn boxes_with_text(&mut self, pane: Pane, window: &Window, char_width: f64) -> Boxes {
        let dark = self.dark;
        let is_main = pane == Pane::Main && self.state.view != View::Time;
        let cursor = self.cursor.filter(|(of, _)| *of == pane);
        let node = match is_main {
            true => self.state.node,
            false => cursor.map(|(_, node)| node),
        };
        if self.picture(pane).is_none() {
            return Boxes::default();
        }
        let time = self.state.view == View::Time;
        let Some(shown) = &self.shown else {
            return Boxes::default();
        };
        let Some(picture) = shown.pictured(pane, time) else {
            return Boxes::default();
        };
        let mut boxes = Boxes::default();
        for placed in picture.flame.place(window) {
            let flags = shown.flags(picture, &placed, node);
            let color = shown.color(picture, &placed, dark);
            let max = ((f64::from(placed.width) - 6.0) / char_width).max(0.0) as usize;
            let text = match placed.small || max < 3 {
                true => String::new(),
                false => fit(picture.label(shown, pane, placed.node), max),
            };
            boxes.push(&placed, color, flags, &text);
        }
        boxes
    }

    /// The node at a share of the whole, in a row.
    pub fn hit(&mut self, pane: Pane, at: f64, row: u32) -> Option<u32> {
        let node = self.picture(pane)?.flame.hit(at, row)?;
        Some(node.index() as u32)
    }

    /// Where a node begins and ends, as shares of the whole.
    pub fn range(&mut self, pane: Pane, node: u32) -> Option<[f64; 2]> {
        let flame = &self.picture(pane)?.flame;
        let node = NodeId::from_index(node as usize);
        (node.index() < flame.tree.nodes().len()).then(|| flame.range(node))
    }

    /// How many rows a pane has, the root's included; 0 where there is nothing to show.
    pub fn rows(&mut self, pane: Pane) -> u32 {
        self.picture(pane).map_or(0, |picture| picture.flame.rows)
    }

    /// The row of a node in its pane.
    pub fn row(&mut self, pane: Pane, node: u32) -> Option<u32> {
        let flame = &self.picture(pane)?.flame;
        let node = NodeId::from_index(node as usize);
        (node.index() < flame.tree.nodes().len()).then(|| flame.row(node))
    }

    /// Looks at no more than `budget` functions or nodes for the state's query.
    pub fn search(&mut self, budget: usize) -> Progress {
        let Some(shown) = &mut self.shown else {
            return Progress {
                done: true,
                ..Progress::default()
            };
        };
        shown.only_found = None;
        shown.found.go_on(&shown.main.flame.tree, budget)
    }

    /// The heaviest node that the search found, or the one `step` further, around the ends.
    pub fn found_node(&self, step: i32) -> Option<u32> {
        let shown = self.shown.as_ref()?;
        let hits = shown.found.hits();
        let selected = |&node: &u32| Some(node) == self.state.node;
        let at = match hits.iter().position(selected) {
            Some(at) => (at as i64 + i64::from(step)).rem_euclid(hits.len() as i64) as usize,
            None => 0,
        };
        hits.get(at).copied()
    }

    /// The symbols that the function table lists, in its order.
    pub(super) fn table_order(&mut self) -> &[u32] {
        let (column, reversed) = (self.state.sort, self.state.reversed);
        let Some(shown) = &mut self.shown else {
            return &[];
        };
        let Shown {
            order,
            only_found,
            found,
            main,
            sums,
            wholes,
            ..
        } = shown;
        let symbols = main.flame.tree.symbols();
        let sums = sums.get_or_init(|| main.sums());
        let column = match (column, &wholes) {
            (Column::SelfChange, None) => Column::SelfValue,
            (Column::TotalChange, None) => Column::Total,
            _ => column,
        };
        let order = order
            .get_or_insert_with(|| table::order(symbols, sums, wholes.as_ref(), column, reversed));
        if !found.is_active() {
            return order;
        }
        only_found.get_or_insert_with(|| table::only_found(order, found))
    }

    pub(super) fn outline(&mut self) -> Option<(&mut Outline, &CallTree)> {
        let Shown { outline, main, .. } = self.shown.as_mut()?;
        let tree = &main.flame.tree;
        let outline = outline.get_or_insert_with(|| Outline::new(tree));
        Some((outline, tree))
    }
}

pub(super) fn unit(state: &State) -> By {
    match state.unit {
        Unit::Function => By::Function,
        Unit::File => By::File,
        Unit::Crate => By::Crate,
        Unit::Mapping => By::Mapping,
    }
}

fn sifts(state: &State) -> Sifts {
    Sifts::new(&state.steps, state.my_code, state.no_recursion)
}

/// Whether two states have the same main tree.
fn makes_same_tree(a: &State, b: &State) -> bool {
    let key = |state: &State| State {
        view: View::default(),
        query: String::new(),
        sort: Column::default(),
        reversed: false,
        node: None,
        function: String::new(),
        zoom: None,
        ..state.clone()
    };
    key(a) == key(b)
}

/// The short name of a function; the first full one is remembered.
pub(super) fn short(name: &str, full: &RefCell<HashMap<String, String>>) -> String {
    let short = short_name(name);
    if short != name {
        let mut full = full.borrow_mut();
        if !full.contains_key(&short) {
            full.insert(short.clone(), name.to_owned());
        }
    }
    short
}

/// Whether samples with these labels pass the steps of labels: of those with one key any, of different keys
/// all.
pub(super) fn has_labels(profile: &Profile, labels: LabelSetId, steps: &[Step]) -> bool {
    let wanted: Vec<(&str, &str)> = steps
        .iter()
        .filter(|step| step.kind == StepKind::Label && !step.off)
        .filter_map(|step| step.pattern.split_once('='))
        .collect();
    wanted.iter().all(|(key, _)| {
        let value = label_text(profile, labels, key);
        let mut same_key = wanted.iter().filter(|(other, _)| other == key);
        same_key.any(|(_, wanted)| value == *wanted)
    })
}

/// A label's value as [`by_label`](perfwright_analyze::by_label) writes it; empty without the label.
fn label_text(profile: &Profile, labels: LabelSetId, key: &str) -> String {
    use perfwright_model::LabelValue;
    let labels = profile.labels(labels).iter();
    let label = labels
        .into_iter()
        .find(|label| profile.string(label.key) == key);
    match label.map(|label| label.value) {
        Some(LabelValue::Str(text)) => profile.string(text).to_owned(),
        Some(LabelValue::Num { value, unit }) if unit == StringId::EMPTY => value.to_string(),
        Some(LabelValue::Num { value, unit }) => format!("{value} {}", profile.string(unit)),
        None => String::new(),
    }
}

/// The keys of all labels, in the order in which they come.
fn label_keys(profile: &Profile) -> Vec<String> {
    let mut keys: Vec<StringId> = Vec::new();
    for set in 0..profile.label_set_count() {
        for label in profile.labels(LabelSetId::from_index(set)) {
            if !keys.contains(&label.key) {
                keys.push(label.key);
            }
        }
    }
    keys.iter()
        .map(|&key| profile.string(key).to_owned())
        .collect()
}

/// How many samples a profile is made of: its count of them, else its total in periods.
fn sample_count(profile: &Profile, position: usize) -> Option<f64> {
    let types = profile.sample_types();
    let counts = |kind: &SampleType| kind.kind == "samples" && kind.unit == "count";
    if let Some(samples) = types.iter().position(counts) {
        return Some(profile.total(samples) as f64);
    }
    let period = profile.meta.period.as_ref()?;
    let is_unit = period.value > 0 && period.sample_type == types[position];
    is_unit.then(|| profile.total(position) as f64 / period.value as f64)
}

fn names_to(tree: &CallTree, node: u32) -> Vec<Box<str>> {
    let node = NodeId::from_index(node as usize);
    let path = tree.path(node).into_iter();
    path.map(|step| tree.symbol(step).name.clone()).collect()
}

/// The node that a path of names leads to, as far as there is one: frames that a filter took out are
/// skipped.
fn node_at(tree: &CallTree, path: &[Box<str>]) -> Option<NodeId> {
    let mut at = NodeId::ROOT;
    for name in path {
        let next = tree.children(at).find(|&child| tree.name(child) == &**name);
        at = next.unwrap_or(at);
    }
    (at != NodeId::ROOT).then_some(at)
}
