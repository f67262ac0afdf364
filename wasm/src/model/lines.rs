//! The lines of functions, and what they cost.

use perfwright_analyze::{CallTree, Sides};

use super::sums::Sums;

/// A line of a source file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Line {
    pub(crate) function: Box<str>,
    pub(crate) file: Option<Box<str>>,
    /// 1-based; `None`: not known.
    pub(crate) line: Option<u32>,
    pub(crate) sides: Sides,
}

/// All lines of a tree by lines, grouped by function, in the order of the file.
pub(crate) struct Lines(Vec<Line>);

impl Lines {
    pub(crate) fn new(tree: &CallTree, sides: Option<&[Sides]>) -> Self {
        let sums = Sums::new(tree, sides);
        let symbols = tree.symbols().iter().enumerate().skip(1);
        let mut lines: Vec<Line> = symbols
            .filter(|(_, symbol)| !symbol.is_label)
            .map(|(index, symbol)| Line {
                function: symbol.name.clone(),
                file: symbol.file.clone(),
                line: symbol.line,
                sides: sums.of(index),
            })
            .filter(|line| line.sides != Sides::default())
            .collect();
        lines.sort_unstable_by(|a, b| {
            let key = |line: &Line| (line.function.clone(), line.file.clone(), line.line);
            key(a).cmp(&key(b))
        });
        Self(lines)
    }

    /// The lines of one function.
    pub(crate) fn of(&self, function: &str) -> &[Line] {
        let start = self.0.partition_point(|line| *line.function < *function);
        let rest = &self.0[start..];
        let len = rest.partition_point(|line| *line.function == *function);
        &rest[..len]
    }

    /// The lines of a whole file, of whatever functions.
    pub(crate) fn of_file(&self, file: &str) -> Vec<&Line> {
        let mut lines: Vec<&Line> = (self.0.iter())
            .filter(|line| line.file.as_deref() == Some(file))
            .collect();
        lines.sort_by_key(|line| line.line);
        lines
    }
}
