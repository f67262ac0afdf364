//! The boxes, before it is decided which of them are drawn.

use std::collections::HashMap;

use inferno::flamegraph::color::Color;
use perfwright_analyze::{CallTree, DiffTree, Symbol};

use crate::color::Palette;
use crate::label::clean;

/// Values above are scaled down: inferno multiplies by 150, and a sum of 2^53 is exact as `f64` too.
const MAX_WIDTH: u64 = 1 << 53;

/// A box.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) parent: u32,
    pub(crate) label: u32,
    /// What it cost itself, in the baseline (zero without one) and in what is drawn.
    pub(crate) own: [u64; 2],
    /// What it cost with all above it.
    pub(crate) total: [u64; 2],
}

/// All boxes. Parents come before children, siblings in the order in which they are drawn.
pub(crate) struct Flame {
    pub(crate) frames: Vec<Frame>,
    pub(crate) labels: Vec<String>,
    /// A colour for each label; none in a difference, whose colours tell the change.
    pub(crate) colors: Option<Vec<Color>>,
    /// How many units of the profile are one unit here.
    pub(crate) scale: f64,
    /// Some values were below zero and are drawn as nothing.
    pub(crate) has_negative: bool,
}

impl Flame {
    /// The boxes of one profile.
    pub(crate) fn of_tree(tree: &CallTree, palette: impl FnOnce(&[Symbol]) -> Palette) -> Self {
        let palette = palette(tree.symbols());
        let scale = scale_for(tree.nodes().iter().map(|node| [0, node.self_value]));
        let frames = tree.nodes().iter().map(|node| Frame {
            parent: node.parent.index() as u32,
            label: node.symbol.index() as u32,
            own: [0, scaled(node.self_value, scale)],
            total: [0; 2],
        });
        let label = |symbol: &Symbol| {
            if symbol.is_label {
                clean(&symbol.name)
            } else {
                symbol.name.to_string()
            }
        };
        Self {
            frames: frames.collect(),
            labels: tree.symbols().iter().map(label).collect(),
            colors: Some(
                (0..tree.symbols().len())
                    .map(|index| palette.of(index))
                    .collect(),
            ),
            scale,
            has_negative: tree.nodes().iter().any(|node| node.self_value < 0),
        }
        .summed()
    }

    /// The boxes of two profiles, the baseline's values multiplied by `factor`.
    pub(crate) fn of_diff(tree: &DiffTree, factor: f64) -> Self {
        let balanced = |[old, new]: [i64; 2]| [(old as f64 * factor).round() as i64, new];
        let scale = scale_for(tree.nodes.iter().map(|node| balanced(node.self_values)));
        let mut parents = vec![0; tree.nodes.len()];
        for (index, node) in tree.nodes.iter().enumerate() {
            for &child in &node.children {
                parents[child as usize] = index as u32;
            }
        }
        let mut labels: Vec<String> = Vec::new();
        let mut known: HashMap<&str, u32> = HashMap::new();
        let frames = tree.nodes.iter().zip(parents).map(|(node, parent)| Frame {
            parent,
            label: *known.entry(&node.name).or_insert_with(|| {
                labels.push(node.name.to_string());
                labels.len() as u32 - 1
            }),
            own: balanced(node.self_values).map(|value| scaled(value, scale)),
            total: [0; 2],
        });
        Self {
            frames: frames.collect(),
            has_negative: tree
                .nodes
                .iter()
                .any(|node| node.self_values.iter().any(|&v| v < 0)),
            labels,
            colors: None,
            scale,
        }
        .summed()
    }

    fn summed(mut self) -> Self {
        for index in (0..self.frames.len()).rev() {
            let Frame {
                parent, own, total, ..
            } = self.frames[index];
            let total = [own[0] + total[0], own[1] + total[1]];
            self.frames[index].total = total;
            if index > 0 {
                let above = &mut self.frames[parent as usize].total;
                *above = [above[0] + total[0], above[1] + total[1]];
            }
        }
        self
    }

    /// The width of everything.
    pub(crate) fn width(&self) -> u64 {
        self.frames.first().map_or(0, |root| root.total[1])
    }
}

fn scaled(value: i64, scale: f64) -> u64 {
    if scale == 1.0 {
        return value.max(0) as u64;
    }
    (value.max(0) as f64 / scale) as u64
}

fn scale_for(values: impl Iterator<Item = [i64; 2]>) -> f64 {
    let add = |sum: u64, value: i64| sum.saturating_add(value.max(0) as u64);
    let sums = values.fold([0; 2], |[a, b], [old, new]| [add(a, old), add(b, new)]);
    let most = sums[0].max(sums[1]);
    if most <= MAX_WIDTH {
        1.0
    } else {
        most as f64 / MAX_WIDTH as f64 * 2.0
    }
}
