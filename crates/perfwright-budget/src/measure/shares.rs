//! Shares in profiles, for any number of budgets in one pass over each profile.
//!
//! The functions and crates that budgets ask for are *classes*. A stack is in a class if one of its frames is,
//! so going from the callers to the callees a stack only gains classes. Where it does there is a *state*: the
//! caller's state, and the classes that came new. Most stacks are in the state of their callers; a sample adds
//! its value to all classes of its state's chain.

use std::collections::{BTreeMap, HashMap};

use perfwright_analyze::{crate_of, crate_of_path};
use perfwright_model::{Frame, LabelSetId, LabelValue, LocationId, Profile, StackId};
use perfwright_stats::effective_count_of_groups;

use super::{Data, Reading};
use crate::{
    budgets::{Budget, Select},
    pattern::{self, Pattern},
};

/// Fills in the readings of those budgets of `budgets` that `asked` names.
pub(super) fn measure(
    profiles: &BTreeMap<String, Profile>,
    budgets: &[Budget],
    asked: &[usize],
    readings: &mut [Vec<Reading>],
) {
    let mut by_column: BTreeMap<(&str, usize), Vec<usize>> = BTreeMap::new();
    for &index in asked {
        let select = &budgets[index].select;
        match column(profiles, select) {
            Ok(column) => by_column
                .entry((select.profile(), column))
                .or_default()
                .push(index),
            Err(why) => readings[index] = super::all_missing(&budgets[index].stats(), &why),
        }
    }
    for ((name, column), asked) in by_column {
        let Some(profile) = profiles.get(name) else {
            continue;
        };
        for (index, found) in of_profile(profile, column, budgets, &asked) {
            let stats = budgets[index].stats();
            let reading = |stat: &String| Reading::new("", stat, found.data(stat));
            readings[index] = stats.iter().map(reading).collect();
        }
    }
}

/// Which sample type is meant.
fn column(profiles: &BTreeMap<String, Profile>, select: &Select) -> Result<usize, String> {
    let name = select.profile();
    let profile = profiles
        .get(name)
        .ok_or_else(|| format!("there is no {name} profile"))?;
    match &select.value {
        None => profile
            .default_sample_type()
            .ok_or_else(|| format!("the {name} profile has no values")),
        Some(kind) => profile.find_sample_type(kind).ok_or_else(|| {
            let kinds: Vec<_> = profile
                .sample_types()
                .iter()
                .map(|t| t.kind.as_str())
                .collect();
            format!(
                "the {name} profile has no {kind}; it has {}",
                kinds.join(", ")
            )
        }),
    }
}

/// What was found for a budget.
#[derive(Clone, Default)]
struct Found {
    self_value: f64,
    total_value: f64,
    whole: f64,
    effective_count: f64,
    /// Something in the profile has the name.
    is_known: bool,
}

impl Found {
    fn data(&self, stat: &str) -> Result<Data, String> {
        if self.whole <= 0.0 {
            return Err("the profile has no samples of this selection".to_owned());
        }
        let part = if stat == "self" {
            self.self_value
        } else {
            self.total_value
        };
        let mut data = Data::share((part / self.whole).clamp(0.0, 1.0), self.effective_count);
        if !self.is_known {
            data.note = Some("nothing in the profile has this name".to_owned());
        }
        Ok(data)
    }
}

/// What is asked for by name.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
enum Class<'a> {
    Functions(&'a [Pattern]),
    Crates(&'a [Pattern]),
}

/// A selection by labels: a key and what its value may be, of which all must hold.
type Labels = [(String, Vec<Pattern>)];

/// A budget of a group, and the class that it asks for; `None`: all of the group.
type Member = (usize, Option<u32>);

fn of_profile(
    profile: &Profile,
    column: usize,
    budgets: &[Budget],
    asked: &[usize],
) -> Vec<(usize, Found)> {
    let mut classes: BTreeMap<Class<'_>, u32> = BTreeMap::new();
    let mut groups: Vec<(&Labels, Vec<Member>)> = Vec::new();
    let mut group_of: HashMap<String, usize> = HashMap::new();
    for &index in asked {
        let select = &budgets[index].select;
        let class = class_of(select).map(|class| {
            let next = classes.len() as u32;
            *classes.entry(class).or_insert(next)
        });
        let group = *group_of
            .entry(format!("{:?}", select.labels))
            .or_insert_with(|| {
                groups.push((&select.labels, Vec::new()));
                groups.len() - 1
            });
        groups[group].1.push((index, class));
    }
    let states = States::new(profile, &Classifier::new(&classes));
    let samples = SamplesByLabels::new(profile, column);
    let mut sums = Sums::new(classes.len());
    let mut found = Vec::with_capacity(asked.len());
    for (labels, members) in groups {
        let (whole, effective_count) = samples.sum(profile, labels, &states, &mut sums);
        for (index, class) in members {
            found.push((
                index,
                match class {
                    Some(class) => Found {
                        self_value: sums.selfs[class as usize],
                        total_value: sums.totals[class as usize],
                        whole,
                        effective_count,
                        is_known: states.known[class as usize],
                    },
                    // A route or span as a whole, of everything.
                    None => Found {
                        self_value: whole,
                        total_value: whole,
                        whole: samples.whole,
                        effective_count: samples.effective_count,
                        is_known: whole > 0.0,
                    },
                },
            ));
        }
    }
    found
}

fn class_of(select: &Select) -> Option<Class<'_>> {
    match (select.function.as_slice(), select.crate_name.as_slice()) {
        ([], []) => None,
        ([], crates) => Some(Class::Crates(crates)),
        (functions, _) => Some(Class::Functions(functions)),
    }
}

/// Finds the classes of names.
struct Classifier<'a> {
    functions: Prefixes<'a>,
    crates: Vec<(u32, &'a [Pattern])>,
    count: usize,
}

impl<'a> Classifier<'a> {
    fn new(classes: &BTreeMap<Class<'a>, u32>) -> Self {
        let mut classifier = Self {
            functions: Prefixes::new(),
            crates: Vec::new(),
            count: classes.len(),
        };
        for (class, &id) in classes {
            match class {
                Class::Functions(patterns) => {
                    for pattern in *patterns {
                        classifier.functions.add(pattern, id);
                    }
                }
                Class::Crates(patterns) => classifier.crates.push((id, patterns)),
            }
        }
        classifier
    }

    fn function(&self, name: &str, classes: &mut Vec<u32>) {
        let name = without_hash(name);
        self.functions.find(name, classes);
        // Methods of a type of the crate are the crate's: `<serde_json::Value as Display>::fmt`.
        let of_type = without_brackets(name);
        if of_type.len() != name.len() {
            self.functions.find(of_type, classes);
        }
        classes.sort_unstable();
        classes.dedup();
    }

    fn crate_name(&self, name: &str, classes: &mut Vec<u32>) {
        let matching = self
            .crates
            .iter()
            .filter(|(_, patterns)| pattern::any(patterns, name));
        classes.extend(matching.map(|(id, _)| id));
    }
}

fn without_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
            path
        }
        _ => name,
    }
}

fn without_brackets(name: &str) -> &str {
    let mut rest = name;
    loop {
        let stripped = ["<", "_<", "&", "mut ", "dyn ", "[", "("]
            .iter()
            .find_map(|prefix| rest.strip_prefix(prefix));
        match stripped {
            Some(stripped) => rest = stripped,
            None => return rest,
        }
    }
}

/// Patterns by what they begin with, a tree of bytes: a name is compared to those patterns alone whose
/// beginning is its own.
struct Prefixes<'a> {
    nodes: Vec<PrefixNode<'a>>,
}

#[derive(Default)]
struct PrefixNode<'a> {
    children: Vec<(u8, u32)>,
    patterns: Vec<(&'a Pattern, u32)>,
}

impl<'a> Prefixes<'a> {
    fn new() -> Self {
        Self {
            nodes: vec![PrefixNode::default()],
        }
    }

    fn add(&mut self, pattern: &'a Pattern, class: u32) {
        let mut at = 0;
        for &byte in pattern.prefix().as_bytes() {
            at = match self.nodes[at].child(byte) {
                Some(child) => child,
                None => {
                    let child = self.nodes.len();
                    self.nodes.push(PrefixNode::default());
                    self.nodes[at].children.push((byte, child as u32));
                    child
                }
            };
        }
        self.nodes[at].patterns.push((pattern, class));
    }

    fn find(&self, name: &str, classes: &mut Vec<u32>) {
        let mut bytes = name.bytes();
        let mut at = Some(0);
        while let Some(node) = at.map(|at| &self.nodes[at]) {
            let matching = node
                .patterns
                .iter()
                .filter(|(pattern, _)| pattern.matches(name));
            classes.extend(matching.map(|(_, class)| class));
            at = bytes.next().and_then(|byte| node.child(byte));
        }
    }
}

impl PrefixNode<'_> {
    fn child(&self, byte: u8) -> Option<usize> {
        let found = self.children.iter().find(|(first, _)| *first == byte);
        found.map(|&(_, child)| child as usize)
    }
}

/// Lists of classes, one for each thing, end to end.
struct Lists {
    ends: Vec<u32>,
    classes: Vec<u32>,
}

impl Lists {
    fn with_capacity(things: usize) -> Self {
        let mut ends = Vec::with_capacity(things + 1);
        ends.push(0);
        Self {
            ends,
            classes: Vec::new(),
        }
    }

    fn push(&mut self, classes: &[u32]) {
        self.classes.extend_from_slice(classes);
        self.ends.push(self.classes.len() as u32);
    }

    #[inline]
    fn of(&self, thing: usize) -> &[u32] {
        &self.classes[self.ends[thing] as usize..self.ends[thing + 1] as usize]
    }
}

/// The classes of all stacks.
struct States {
    /// By stack.
    of_stack: Vec<u32>,
    /// By state: the state it extends. 0 is the state without classes.
    parents: Vec<u32>,
    /// By state: what came new.
    new: Lists,
    /// By location: the classes of its innermost frame.
    leaves: Lists,
    /// By stack: its location.
    locations: Vec<u32>,
    /// By class: some location is in it.
    known: Vec<bool>,
}

impl States {
    fn new(profile: &Profile, classifier: &Classifier<'_>) -> Self {
        let (all, leaves) = classes_of_locations(profile, classifier);
        let mut states = Self {
            of_stack: vec![0; profile.stack_count()],
            parents: vec![0],
            new: Lists::with_capacity(1),
            leaves,
            locations: vec![u32::MAX; profile.stack_count()],
            known: vec![false; classifier.count],
        };
        states.new.push(&[]);
        for &class in &all.classes {
            states.known[class as usize] = true;
        }
        let mut added = Vec::new();
        // A parent's id is smaller than its children's.
        for index in 0..profile.stack_count() {
            let Some(node) = profile.stack_node(StackId::from_index(index)) else {
                continue;
            };
            states.locations[index] = node.location.index() as u32;
            let above = states.of_stack[node.parent.index()];
            let classes = all.of(node.location.index());
            states.of_stack[index] = above;
            if classes.is_empty() {
                continue;
            }
            added.clear();
            added.extend(
                classes
                    .iter()
                    .copied()
                    .filter(|&class| !states.has(above, class)),
            );
            if !added.is_empty() {
                states.of_stack[index] = states.parents.len() as u32;
                states.parents.push(above);
                states.new.push(&added);
            }
        }
        states
    }

    fn has(&self, mut state: u32, class: u32) -> bool {
        while state != 0 {
            if self.new.of(state as usize).contains(&class) {
                return true;
            }
            state = self.parents[state as usize];
        }
        false
    }
}

/// The classes of every location: of all its frames, and of the innermost alone.
fn classes_of_locations(profile: &Profile, classifier: &Classifier<'_>) -> (Lists, Lists) {
    let functions = profile.functions().len();
    let mut of_function = Lists::with_capacity(functions);
    let mut found = Vec::new();
    for index in 0..functions {
        found.clear();
        let name = profile.function_name(perfwright_model::FunctionId::from_index(index));
        classifier.function(name, &mut found);
        of_function.push(&found);
    }
    let mut crates = Crates {
        profile,
        classifier,
        by_name: HashMap::new(),
    };
    let count = profile.location_count();
    let (mut all, mut leaves) = (Lists::with_capacity(count), Lists::with_capacity(count));
    let mut leaf = Vec::new();
    for index in 0..count {
        let id = LocationId::from_index(index);
        let frames = profile.frames(id);
        found.clear();
        leaf.clear();
        for (depth, frame) in frames.iter().enumerate() {
            found.extend_from_slice(of_function.of(frame.function.index()));
            crates.add(id, Some(frame), &mut found);
            if depth == 0 {
                leaf.extend_from_slice(&found);
            }
        }
        if frames.is_empty() {
            crates.add(id, None, &mut found);
            leaf.extend_from_slice(&found);
        }
        found.sort_unstable();
        found.dedup();
        all.push(&found);
        leaves.push(&leaf);
    }
    (all, leaves)
}

/// Finds the crates of frames, as [`By::Crate`](perfwright_analyze::By::Crate) does.
struct Crates<'a> {
    profile: &'a Profile,
    classifier: &'a Classifier<'a>,
    by_name: HashMap<String, Vec<u32>>,
}

impl Crates<'_> {
    fn add(&mut self, id: LocationId, frame: Option<&Frame>, classes: &mut Vec<u32>) {
        if self.classifier.crates.is_empty() {
            return;
        }
        let named = frame.map(|frame| self.profile.function_name(frame.function));
        let name = named
            .and_then(crate_of)
            .map(str::to_owned)
            .or_else(|| self.of_source(frame));
        let name = name.unwrap_or_else(|| self.mapping(id).to_owned());
        let classifier = self.classifier;
        let known = self.by_name.entry(name).or_insert_with_key(|name| {
            let mut found = Vec::new();
            classifier.crate_name(name, &mut found);
            found
        });
        classes.extend_from_slice(known);
    }

    /// By the source file: the downloaded package, or the folder that holds `src`.
    fn of_source(&self, frame: Option<&Frame>) -> Option<String> {
        let path = self
            .profile
            .string(self.profile.function(frame?.function).filename);
        let folder = crate_of_path(path).or_else(|| {
            let (above, file) = path.rsplit_once("/src/")?;
            file.ends_with(".rs").then(|| above.rsplit('/').next())?
        })?;
        Some(folder.replace('-', "_")).filter(|name| !name.is_empty())
    }

    fn mapping(&self, id: LocationId) -> &str {
        let mapping = self.profile.location(id).mapping;
        let path = mapping.map_or("", |id| {
            self.profile.string(self.profile.mapping(id).filename)
        });
        path.rsplit('/').next().unwrap_or(path)
    }
}

/// What the classes of a group of samples sum up to.
struct Sums {
    selfs: Vec<f64>,
    totals: Vec<f64>,
}

impl Sums {
    fn new(classes: usize) -> Self {
        Self {
            selfs: vec![0.0; classes],
            totals: vec![0.0; classes],
        }
    }
}

/// Samples, those of one set of labels together.
struct SamplesByLabels {
    ends: Vec<u32>,
    samples: Vec<u32>,
    column: usize,
    counts: Counts,
    whole: f64,
    effective_count: f64,
}

/// How many samples of a profiler a sample of the profile stands for.
#[derive(Clone, Copy)]
enum Counts {
    /// The profile says: in this column.
    Column(usize),
    /// One for each so many units of the value.
    Period(f64),
    /// Nobody knows: one, which is never too many.
    One,
}

impl Counts {
    fn of(profile: &Profile, column: usize) -> Self {
        let types = profile.sample_types();
        let counts = types
            .iter()
            .position(|t| t.kind == "samples" && t.unit == "count");
        if let Some(counts) = counts {
            return Self::Column(counts);
        }
        let period = profile
            .meta
            .period
            .as_ref()
            .filter(|period| period.value > 0 && period.sample_type.unit == types[column].unit);
        match period {
            Some(period) => Self::Period(period.value as f64),
            None if types[column].unit == "count" => Self::Column(column),
            None => Self::One,
        }
    }
}

impl SamplesByLabels {
    fn new(profile: &Profile, column: usize) -> Self {
        let mut starts = vec![0_u32; profile.label_set_count() + 1];
        for sample in profile.samples() {
            starts[sample.labels.index() + 1] += 1;
        }
        for index in 1..starts.len() {
            starts[index] += starts[index - 1];
        }
        let ends = starts.clone();
        let mut samples = vec![0_u32; profile.sample_count()];
        for (position, sample) in profile.samples().enumerate() {
            let start = &mut starts[sample.labels.index()];
            samples[*start as usize] = position as u32;
            *start += 1;
        }
        let mut all = Self {
            ends,
            samples,
            column,
            counts: Counts::of(profile, column),
            whole: 0.0,
            effective_count: 0.0,
        };
        let every = 0..profile.sample_count() as u32;
        (all.whole, all.effective_count) = all.worth(profile, every);
        all
    }

    /// The sum of these samples' values, and how many equal samples they are worth.
    fn worth(&self, profile: &Profile, positions: impl Iterator<Item = u32>) -> (f64, f64) {
        let mut whole = 0.0;
        let groups = positions.map(|position| {
            let values = profile.sample(position as usize).values;
            let weight = values[self.column].max(0) as f64;
            whole += weight;
            let count = match self.counts {
                Counts::Column(counts) => values[counts] as f64,
                Counts::Period(period) => weight / period,
                Counts::One => 1.0,
            };
            (weight, count)
        });
        let effective_count = effective_count_of_groups(groups);
        (whole, effective_count)
    }

    /// Sums up the samples that have these labels, class by class; gives what they all sum up to.
    fn sum(
        &self,
        profile: &Profile,
        labels: &Labels,
        states: &States,
        sums: &mut Sums,
    ) -> (f64, f64) {
        sums.selfs.fill(0.0);
        sums.totals.fill(0.0);
        let mut chosen = Vec::new();
        for set in 0..profile.label_set_count() {
            if has_labels(profile, LabelSetId::from_index(set), labels) {
                chosen.push(self.ends[set] as usize..self.ends[set + 1] as usize);
            }
        }
        let positions = || {
            chosen
                .iter()
                .flat_map(|range| &self.samples[range.clone()])
                .copied()
        };
        for position in positions() {
            let sample = profile.sample(position as usize);
            let value = sample.values[self.column].max(0) as f64;
            let stack = sample.stack.index();
            let mut state = states.of_stack[stack] as usize;
            if state != 0 {
                for &class in states.leaves.of(states.locations[stack] as usize) {
                    sums.selfs[class as usize] += value;
                }
            }
            while state != 0 {
                for &class in states.new.of(state) {
                    sums.totals[class as usize] += value;
                }
                state = states.parents[state] as usize;
            }
        }
        self.worth(profile, positions())
    }
}

fn has_labels(profile: &Profile, set: LabelSetId, wanted: &Labels) -> bool {
    wanted.iter().all(|(key, patterns)| {
        let mut labels = profile.labels(set).iter();
        labels.any(|label| {
            profile.string(label.key) == key
                && match label.value {
                    LabelValue::Str(text) => pattern::any(patterns, profile.string(text)),
                    LabelValue::Num { value, .. } => pattern::any(patterns, &value.to_string()),
                }
        })
    })
}
