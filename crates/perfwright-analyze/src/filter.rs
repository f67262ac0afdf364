//! Parts of a profile: by function, by label, without what hides the rest.

use perfwright_model::{Frame, FunctionId, Importer, LabelSetId, LocationId, Profile, StackId};

use crate::excerpt::partial_location;
use crate::plumbing::is_plumbing;
use crate::symbols::{function_name, text};
use crate::tree::label_text;

/// A choice by name.
type Predicate<'a> = Box<dyn Fn(&str) -> bool + 'a>;

/// Which samples and which frames of a profile are kept. Without a choice, all are.
///
/// The predicates see function names as the profile has them; a location that is not symbolized has none
/// and matches nothing. What a filter makes is a new profile, so that everything that takes a profile takes
/// a filtered one. The order of work: samples by label, [`show_from`](Self::show_from),
/// [`focus`](Self::focus) and [`ignore`](Self::ignore) on what is left of a stack, then
/// [`hide`](Self::hide) and [`my_code`](Self::my_code), then [`collapse`](Self::collapse) and
/// [`collapse_recursion`](Self::collapse_recursion).
#[must_use]
#[derive(Default)]
pub struct Filter<'a> {
    focus: Option<Predicate<'a>>,
    ignore: Option<Predicate<'a>>,
    hide: Option<Predicate<'a>>,
    show_from: Option<Predicate<'a>>,
    collapse: Option<Predicate<'a>>,
    labels: Vec<(String, Predicate<'a>)>,
    my_code: bool,
    collapse_recursion: bool,
}

impl<'a> Filter<'a> {
    /// Keeps everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the samples that have a matching function on their stack.
    pub fn focus(mut self, matches: impl Fn(&str) -> bool + 'a) -> Self {
        self.focus = Some(Box::new(matches));
        self
    }

    /// Drops the samples that have a matching function on their stack.
    pub fn ignore(mut self, matches: impl Fn(&str) -> bool + 'a) -> Self {
        self.ignore = Some(Box::new(matches));
        self
    }

    /// Removes matching frames; their cost goes to their callers.
    pub fn hide(mut self, matches: impl Fn(&str) -> bool + 'a) -> Self {
        self.hide = Some(Box::new(matches));
        self
    }

    /// Removes the frames of the standard library and of what carries work about, by [`is_plumbing`]; their
    /// cost goes to their callers.
    pub fn my_code(mut self) -> Self {
        self.my_code = true;
        self
    }

    /// Removes what the outermost matching function that is left called; the cost is that function's.
    pub fn collapse(mut self, matches: impl Fn(&str) -> bool + 'a) -> Self {
        self.collapse = Some(Box::new(matches));
        self
    }

    /// Removes the callers of the outermost matching function, and the samples that have none.
    pub fn show_from(mut self, matches: impl Fn(&str) -> bool + 'a) -> Self {
        self.show_from = Some(Box::new(matches));
        self
    }

    /// Keeps the samples whose label `key` has a matching value; a sample without the label has the value "".
    /// Of several of these all must match.
    pub fn label(mut self, key: &str, matches: impl Fn(&str) -> bool + 'a) -> Self {
        self.labels.push((key.to_owned(), Box::new(matches)));
        self
    }

    /// Makes one frame of a function that calls itself directly, also by way of hidden frames.
    pub fn collapse_recursion(mut self) -> Self {
        self.collapse_recursion = true;
        self
    }

    /// The part of the profile that is kept, with the same sample types and facts about the whole.
    pub fn apply(&self, profile: &Profile) -> Profile {
        let mut kept = Profile::new(profile.sample_types().to_vec());
        kept.meta = profile.meta.clone();
        let mut stacks = Stacks::new(self, profile);
        let mut labels_match: Vec<Option<bool>> = vec![None; profile.label_set_count()];
        for sample in profile.samples() {
            let matches = labels_match[sample.labels.index()]
                .get_or_insert_with(|| self.keeps_labels(profile, sample.labels));
            if !*matches {
                continue;
            }
            let Some(stack) = stacks.kept(&mut kept, sample.stack) else {
                continue;
            };
            let labels = stacks.importer.labels(&mut kept, sample.labels);
            match sample.time_nanos {
                Some(_) => kept.push_sample_at(stack, labels, sample.values, sample.time_nanos),
                None => kept.record(stack, labels, sample.values),
            }
        }
        kept
    }

    fn keeps_labels(&self, profile: &Profile, labels: LabelSetId) -> bool {
        self.labels.iter().all(|(key, matches)| {
            let value = label_text(profile, labels, key);
            matches(value.as_deref().unwrap_or(""))
        })
    }

    fn verdict(&self, name: &str, file: Option<&str>) -> Verdict {
        let says = |predicate: &Option<Predicate>| predicate.as_ref().is_some_and(|p| p(name));
        Verdict {
            focus: says(&self.focus),
            ignore: says(&self.ignore),
            hide: says(&self.hide) || (self.my_code && is_plumbing(name, file)),
            show_from: says(&self.show_from),
            collapse: says(&self.collapse),
        }
    }
}

/// What the predicates say of a function.
#[derive(Clone, Copy)]
struct Verdict {
    focus: bool,
    ignore: bool,
    hide: bool,
    show_from: bool,
    collapse: bool,
}

/// What has become of a stack.
#[derive(Clone, Copy)]
struct Outcome {
    /// What is left of it in the new profile.
    stack: StackId,
    /// The function of its innermost frame there, to see recursion.
    leaf: Option<FunctionId>,
    /// The outermost function to show is on it.
    shown: bool,
    focused: bool,
    ignored: bool,
    /// A function whose callees go is on it.
    collapsed: bool,
}

/// Works on every stack once, callers first, and only on those that samples need.
struct Stacks<'a> {
    filter: &'a Filter<'a>,
    profile: &'a Profile,
    importer: Importer<'a>,
    verdicts: Vec<Option<Verdict>>,
    outcomes: Vec<Option<Outcome>>,
}

impl<'a> Stacks<'a> {
    fn new(filter: &'a Filter<'a>, profile: &'a Profile) -> Self {
        let root = Outcome {
            stack: StackId::ROOT,
            leaf: None,
            shown: filter.show_from.is_none(),
            focused: filter.focus.is_none(),
            ignored: false,
            collapsed: false,
        };
        let mut outcomes = vec![None; profile.stack_count()];
        outcomes[StackId::ROOT.index()] = Some(root);
        Self {
            filter,
            profile,
            importer: Importer::new(profile),
            verdicts: vec![None; profile.functions().len()],
            outcomes,
        }
    }

    /// The new stack of an old one; `None` if its samples are dropped.
    fn kept(&mut self, kept: &mut Profile, stack: StackId) -> Option<StackId> {
        let mut missing = Vec::new();
        let mut at = stack;
        let mut outcome = loop {
            match (self.outcomes[at.index()], self.profile.stack_node(at)) {
                (Some(outcome), _) => break outcome,
                (None, Some(node)) => {
                    missing.push((at, node.location));
                    at = node.parent;
                }
                (None, None) => return None,
            }
        };
        for &(stack, location) in missing.iter().rev() {
            outcome = self.extended(kept, outcome, location);
            self.outcomes[stack.index()] = Some(outcome);
        }
        (outcome.shown && outcome.focused && !outcome.ignored).then_some(outcome.stack)
    }

    /// The outcome of a stack with one more location on top.
    fn extended(&mut self, kept: &mut Profile, above: Outcome, id: LocationId) -> Outcome {
        let mut outcome = above;
        let frames = self.profile.frames(id);
        let mut left: Vec<Frame> = Vec::with_capacity(frames.len());
        for frame in frames.iter().rev() {
            let verdict = self.verdict(frame.function);
            outcome.shown |= verdict.show_from;
            if !outcome.shown {
                continue;
            }
            outcome.focused |= verdict.focus;
            outcome.ignored |= verdict.ignore;
            let repeats = self.filter.collapse_recursion && self.is_same(outcome.leaf, frame);
            if !verdict.hide && !repeats && !outcome.collapsed {
                outcome.leaf = Some(frame.function);
                outcome.collapsed = verdict.collapse;
                left.push(*frame);
            }
        }
        let gone = above.collapsed && frames.is_empty();
        if outcome.shown && !gone && left.len() == frames.len() {
            let location = self.importer.location(kept, id);
            outcome.stack = kept.push_stack(outcome.stack, location);
        } else if !left.is_empty() {
            let location = partial_location(self.profile, &mut self.importer, kept, id, &left);
            outcome.stack = kept.push_stack(outcome.stack, location);
        }
        outcome
    }

    fn is_same(&self, leaf: Option<FunctionId>, frame: &Frame) -> bool {
        let name = |function| function_name(self.profile, function);
        leaf.is_some_and(|leaf| leaf == frame.function || name(leaf) == name(frame.function))
    }

    fn verdict(&mut self, function: FunctionId) -> Verdict {
        let (filter, profile) = (self.filter, self.profile);
        *self.verdicts[function.index()].get_or_insert_with(|| {
            let file = text(profile, profile.function(function).filename);
            filter.verdict(function_name(profile, function), file)
        })
    }
}
