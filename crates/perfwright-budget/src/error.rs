//! What is wrong with a budget file, shown where it stands.

use std::{fmt, ops::Range};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// Problems that are shown of one file; the rest is counted.
const SHOWN: usize = 50;

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// What is wrong, in a few words.
    pub title: String,
    /// Where in the file, in bytes.
    pub span: Range<usize>,
    /// What is marked there.
    pub label: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// A budget file that cannot be used: everything that is wrong with it.
///
/// Shown, each problem has the file's name, line and column, the line itself with the place marked, and help.
#[derive(Clone, Debug)]
pub struct FileError {
    name: String,
    text: String,
    problems: Vec<Problem>,
}

impl FileError {
    pub(crate) fn new(name: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.start);
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
            problems,
        }
    }

    /// What is wrong, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The line and column of a problem, both 1-based; columns are characters.
    pub fn place(&self, problem: &Problem) -> (usize, usize) {
        let before = &self.text[..floor(&self.text, problem.span.start)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// The problems as text for a terminal.
    pub fn render(&self, colored: bool) -> String {
        let renderer = match colored {
            true => Renderer::styled(),
            false => Renderer::plain(),
        };
        let shown = self.problems.iter().take(SHOWN);
        let mut out = String::new();
        for problem in shown {
            out.push_str(&renderer.render(&[self.group(problem)]));
            out.push_str("\n\n");
        }
        if let more @ 1.. = self.problems.len().saturating_sub(SHOWN) {
            out.push_str(&format!("and {more} more problems\n"));
        }
        out.truncate(out.trim_end().len());
        out
    }

    fn group<'a>(&'a self, problem: &'a Problem) -> Group<'a> {
        let start = floor(&self.text, problem.span.start);
        let end = floor(&self.text, problem.span.end).max(start);
        let mark = AnnotationKind::Primary
            .span(start..end)
            .label(&problem.label);
        let snippet = Snippet::source(&self.text)
            .path(&self.name)
            .annotation(mark);
        let group = Level::ERROR.primary_title(&problem.title).element(snippet);
        match &problem.help {
            Some(help) => group.element(Level::HELP.message(help)),
            None => group,
        }
    }
}

/// The nearest boundary of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for FileError {}
