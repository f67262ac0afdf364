//! The filter stack: steps that make a smaller tree of a tree.

use perfwright_analyze::{CallTree, PathFrame, Sift, Symbol, is_plumbing};
use regex_lite::{Regex, RegexBuilder};

/// What is done with functions that match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepKind {
    /// Only stacks with a match stay.
    Focus,
    /// Stacks with a match go.
    Ignore,
    /// Matches go, their cost to their callers: merged into them.
    Hide,
    /// Stacks begin at their outermost match.
    ShowFrom,
    /// What matches called is merged into them.
    Collapse,
    /// Only samples whose label (`key=value`) this is.
    Label,
}

impl StepKind {
    const NAMES: [(Self, &'static str); 6] = [
        (Self::Focus, "focus"),
        (Self::Ignore, "ignore"),
        (Self::Hide, "hide"),
        (Self::ShowFrom, "from"),
        (Self::Collapse, "collapse"),
        (Self::Label, "label"),
    ];

    pub(crate) fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(kind, _)| *kind == self);
        found.map_or("", |(_, name)| name)
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let found = Self::NAMES.iter().find(|(_, known)| *known == name);
        found.map(|(kind, _)| *kind)
    }
}

/// One filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// What is done.
    pub kind: StepKind,
    /// With which functions: see [`Pattern`]; of a label `key=value`.
    pub pattern: String,
    /// It is in the list, but not applied.
    pub off: bool,
}

/// Which names are meant: `=name` that one, else a regular expression that is found anywhere; text that is
/// none is found as it is. Without capitals (of ASCII) in it, capitals
/// do not matter.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// The whole name.
    Exact(String),
    /// A part of the name.
    Regex(Box<Regex>),
    /// A part of the name, in lower case if `folded`.
    Text {
        /// What is looked for.
        text: String,
        /// Capitals do not matter.
        folded: bool,
    },
}

impl Pattern {
    /// The pattern of a text.
    pub fn new(text: &str) -> Self {
        if let Some(name) = text.strip_prefix('=') {
            return Self::Exact(name.to_owned());
        }
        let folded = !text.contains(|c: char| c.is_ascii_uppercase());
        let plain = || Self::Text {
            text: text.to_owned(),
            folded,
        };
        if !text.contains(|c| "\\^$.|?*+()[]{}".contains(c)) {
            return plain();
        }
        RegexBuilder::new(text)
            .case_insensitive(folded)
            .size_limit(1 << 20)
            .build()
            .map_or_else(|_| plain(), |regex| Self::Regex(Box::new(regex)))
    }

    /// Whether a name is meant.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => name == exact,
            Self::Regex(regex) => regex.is_match(name),
            Self::Text {
                text,
                folded: false,
            } => name.contains(text.as_str()),
            Self::Text { text, folded: true } => contains_folded(name, text),
        }
    }
}

/// Whether `name` has `text`, which is in lower case, with any capitals.
fn contains_folded(name: &str, text: &str) -> bool {
    let (name, text) = (name.as_bytes(), text.as_bytes());
    let Some(&first) = text.first() else {
        return true;
    };
    (0..(name.len() + 1).saturating_sub(text.len())).any(|at| {
        name[at].to_ascii_lowercase() == first
            && name[at..at + text.len()].eq_ignore_ascii_case(text)
    })
}

/// What is done to a tree, one after the other.
#[derive(Default)]
pub(crate) struct Sifts(Vec<(Sift, Matcher)>);

enum Matcher {
    Name(Pattern),
    Plumbing,
    Any,
}

impl Matcher {
    fn matches(&self, symbol: &Symbol) -> bool {
        match self {
            Self::Name(pattern) => pattern.matches(&symbol.name),
            Self::Plumbing => is_plumbing(&symbol.name, symbol.file.as_deref()),
            Self::Any => true,
        }
    }
}

impl Sifts {
    pub(crate) fn new(steps: &[Step], my_code: bool, no_recursion: bool) -> Self {
        let mut sifts = Vec::new();
        for step in steps.iter().filter(|step| !step.off) {
            let sift = match step.kind {
                StepKind::Focus => Sift::Focus,
                StepKind::Ignore => Sift::Ignore,
                StepKind::Hide => Sift::Hide,
                StepKind::ShowFrom => Sift::ShowFrom,
                StepKind::Collapse => Sift::Collapse,
                StepKind::Label => continue,
            };
            sifts.push((sift, Matcher::Name(Pattern::new(&step.pattern))));
        }
        if my_code {
            sifts.push((Sift::Hide, Matcher::Plumbing));
        }
        if no_recursion {
            sifts.push((Sift::Recursion, Matcher::Any));
        }
        Self(sifts)
    }

    /// What is left of a tree.
    pub(crate) fn apply(&self, mut tree: CallTree) -> CallTree {
        for (sift, matcher) in &self.0 {
            tree = tree.sifted(*sift, |symbol| matcher.matches(symbol));
        }
        tree
    }

    /// By step, which symbols match: what [`apply_to_path`](Self::apply_to_path) wants to know.
    pub(crate) fn verdicts(&self, symbols: &[Symbol]) -> Vec<Vec<bool>> {
        let verdicts = |(_, matcher): &(Sift, Matcher)| {
            let matches = symbols.iter().map(|symbol| matcher.matches(symbol));
            matches.collect()
        };
        self.0.iter().map(verdicts).collect()
    }

    /// Shortens one path, outermost first; false if the sample goes.
    pub(crate) fn apply_to_path(&self, path: &mut Vec<PathFrame>, verdicts: &[Vec<bool>]) -> bool {
        self.0.iter().zip(verdicts).all(|((sift, _), verdicts)| {
            let is_match = |frame: &PathFrame| verdicts[frame.symbol.index()];
            match sift {
                Sift::Focus => path.iter().any(is_match),
                Sift::Ignore => !path.iter().any(is_match),
                Sift::Hide => {
                    path.retain(|frame| !is_match(frame));
                    true
                }
                Sift::ShowFrom => {
                    let from = path.iter().position(is_match);
                    path.drain(..from.unwrap_or(0));
                    from.is_some()
                }
                Sift::Collapse => {
                    let to = path.iter().position(is_match);
                    path.truncate(to.map_or(path.len(), |to| to + 1));
                    true
                }
                Sift::Recursion => {
                    path.dedup_by_key(|frame| frame.symbol);
                    true
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("load", "shop::db::Load", true),
            ("Load", "shop::db::load", false),
            ("=load", "load", true),
            ("=load", "loader", false),
            ("^shop::.*load$", "shop::db::load", true),
            ("a(", "fa(b)", true),
            ("", "anything", true),
            ("groß", "GROßer", true),
            ("ö", "Ö", false),
        ] {
            let found = Pattern::new(pattern).matches(name);
            assert_eq!(found, expected, "{pattern} in {name}");
        }
    }
}
