//! The lines of functions, and what they cost.

use perfwright_analyze::{CallTree, Sides};
use perfwright_model::ordered;

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
        let lines: Vec<Line> = symbols
            .filter(|(_, symbol)| !symbol.is_label)
            .map(|(index, symbol)| Line {
                function: symbol.name.clone(),
                file: symbol.file.clone(),
                line: symbol.line,
                sides: sums.of(index),
            })
            .filter(|line| line.sides != Sides::default())
            .collect();
        let order = ordered(lines.len(), &|a, b| {
            let key = |at: usize| (&lines[at].function, &lines[at].file, lines[at].line);
            key(a).cmp(&key(b))
        });
        Self(order.into_iter().map(|at| lines[at].clone()).collect())
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
        let of_file = |line: &&Line| line.file.as_deref() == Some(file);
        let lines: Vec<&Line> = self.0.iter().filter(of_file).collect();
        let order = ordered(lines.len(), &|a, b| lines[a].line.cmp(&lines[b].line));
        order.into_iter().map(|at| lines[at]).collect()
    }
}
