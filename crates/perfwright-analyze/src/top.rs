//! The heaviest functions, files, crates.

use std::collections::HashMap;

use perfwright_model::{Frame, FunctionId, LocationId, Profile, StackId};

use crate::hash::IdMap;
use crate::symbols::{By, function_name, text};
use crate::tree::{CallTree, Visit};

/// One line of a table: a function (file, crate, mapping), and what it cost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The function's name, in full; or the file, crate or mapping.
    pub name: String,
    /// The source file, in full.
    pub file: Option<String>,
    /// The line, 1-based, at which most of the self value fell; of a function without any, at which most of
    /// the total did.
    pub line: Option<u32>,
    /// What it cost itself.
    pub self_value: i64,
    /// What it cost with all it called. A sample counts once, however often the function is on its stack.
    pub total_value: i64,
}

/// All rows of one sample type, the greatest self value first, then the greatest total.
///
/// # Panics
/// If the profile has no such sample type.
pub fn top(profile: &Profile, sample_type: usize, by: By) -> Vec<Row> {
    let tree = CallTree::builder(profile, sample_type).by(by).build();
    let mut rows = rows(&tree, by);
    if by == By::Function {
        add_places(profile, sample_type, &mut rows);
    }
    rows
}

/// The rows of a tree that is already there: the same sums, but lines only where the tree knows them.
pub(crate) fn rows(tree: &CallTree, by: By) -> Vec<Row> {
    let (selfs, totals) = (self_values(tree), total_values(tree));
    let keeps_file = matches!(by, By::Function | By::FunctionLine | By::File);
    let mut rows: Vec<Row> = tree
        .symbols()
        .iter()
        .enumerate()
        .skip(1)
        .map(|(index, symbol)| Row {
            name: symbol.name.to_string(),
            file: symbol
                .file
                .as_deref()
                .filter(|_| keeps_file)
                .map(str::to_owned),
            line: symbol.line,
            self_value: selfs[index],
            total_value: totals[index],
        })
        .filter(|row| row.total_value != 0 || row.self_value != 0)
        .collect();
    rows.sort_unstable_by(|a, b| {
        let weight = |row: &Row| (row.self_value, row.total_value);
        let place = |row: &Row| (row.name.clone(), row.line);
        weight(b)
            .cmp(&weight(a))
            .then_with(|| place(a).cmp(&place(b)))
    });
    rows
}

fn add_places(profile: &Profile, sample_type: usize, rows: &mut [Row]) {
    let places = hottest_places(profile, sample_type);
    for row in rows {
        if let Some(&(file, line)) = places.get(row.name.as_str()) {
            row.file = file.map(str::to_owned);
            row.line = line;
        }
    }
}

/// Self values, by symbol.
pub(crate) fn self_values(tree: &CallTree) -> Vec<i64> {
    let mut values = vec![0_i64; tree.symbols().len()];
    for node in tree.nodes() {
        let value = &mut values[node.symbol.index()];
        *value = value.saturating_add(node.self_value);
    }
    values
}

/// Totals, by symbol: of a recursive function only the outermost call counts.
pub(crate) fn total_values(tree: &CallTree) -> Vec<i64> {
    let mut values = vec![0_i64; tree.symbols().len()];
    let mut open = vec![0_u32; tree.symbols().len()];
    tree.walk(|visit| match visit {
        Visit::Enter(id) => {
            let node = tree.node(id);
            let symbol = node.symbol.index();
            if open[symbol] == 0 {
                values[symbol] = values[symbol].saturating_add(node.total_value);
            }
            open[symbol] += 1;
        }
        Visit::Leave(id) => open[tree.node(id).symbol.index()] -= 1,
    });
    values
}

/// A file and a line.
type Place<'a> = (Option<&'a str>, Option<u32>);

/// Where in each function most of its self value fell, or of its total where it has none.
fn hottest_places(profile: &Profile, sample_type: usize) -> HashMap<&str, Place<'_>> {
    let (selfs, totals) = location_values(profile, sample_type);
    let mut places: IdMap<(u32, u32), (i64, i64)> = IdMap::default();
    for index in 0..profile.location_count() {
        let frames = profile.frames(LocationId::from_index(index));
        for (depth, frame) in frames.iter().enumerate() {
            let (place_self, place_total) = places.entry(place_key(frame)).or_default();
            *place_total = place_total.saturating_add(totals[index]);
            if depth == 0 {
                *place_self = place_self.saturating_add(selfs[index]);
            }
        }
    }
    let mut best: HashMap<&str, ((i64, i64), Place<'_>)> = HashMap::new();
    for (&(function, line), &weight) in &places {
        let id = FunctionId::from_index(function as usize);
        let file = text(profile, profile.function(id).filename);
        let found = (weight, (file, (line != 0).then_some(line)));
        let kept = best.entry(function_name(profile, id)).or_insert(found);
        *kept = found.max(*kept);
    }
    best.into_iter()
        .map(|(name, (_, place))| (name, place))
        .collect()
}

fn place_key(frame: &Frame) -> (u32, u32) {
    let line = frame.line.map_or(0, |line| line.get());
    (frame.function.index() as u32, line)
}

/// Self and total of every location. The totals count a location once for each time it is on a stack.
fn location_values(profile: &Profile, sample_type: usize) -> (Vec<i64>, Vec<i64>) {
    let mut stacks = vec![0_i64; profile.stack_count()];
    for sample in profile.samples() {
        let value = &mut stacks[sample.stack.index()];
        *value = value.saturating_add(sample.values[sample_type]);
    }
    let mut selfs = vec![0_i64; profile.location_count()];
    let mut totals = selfs.clone();
    let location = |index| profile.stack_node(StackId::from_index(index));
    for (index, &value) in stacks.iter().enumerate() {
        if let Some(node) = location(index) {
            let sum = &mut selfs[node.location.index()];
            *sum = sum.saturating_add(value);
        }
    }
    for index in (1..stacks.len()).rev() {
        if let Some(node) = location(index) {
            let (parent, sum) = (node.parent.index(), &mut totals[node.location.index()]);
            stacks[parent] = stacks[parent].saturating_add(stacks[index]);
            *sum = sum.saturating_add(stacks[index]);
        }
    }
    (selfs, totals)
}
