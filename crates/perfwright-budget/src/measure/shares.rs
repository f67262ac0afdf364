//! Shares in profiles, for any number of budgets in one pass over each profile.
//!
//! The functions and crates that budgets ask for are *classes*. A stack is in a class if one of its frames is,
//! so going from the callers to the callees a stack only gains classes. Where it does there is a *state*: the
//! caller's state, and the list of classes that came new. Most stacks are in the state of their callers; a sample
//! adds its value to all lists of its state's chain, and lists add theirs to their classes in the end.

use std::collections::{BTreeMap, HashMap};

use perfwright_analyze::{crate_of, crate_of_path};
use perfwright_model::{
    Frame, FunctionId, LabelSetId, LabelValue, LocationId, Profile, StackId, keys,
};
use perfwright_stats::effective_count_of_groups;

use super::{Data, Part, Reading, counts::Counts};
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

/// How long chains of states are, about.
const CHAIN: usize = 8;

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
    let mut sums = Sums::new(&states);
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

/// What makes up the share that a selection asks for: where it is spent and on which routes, the greatest first.
pub(super) fn explain(profiles: &BTreeMap<String, Profile>, select: &Select) -> Vec<Part> {
    let (Some(profile), Ok(column)) = (profiles.get(select.profile()), column(profiles, select))
    else {
        return Vec::new();
    };
    let class = class_of(select);
    let classes: BTreeMap<Class<'_>, u32> = class.iter().cloned().map(|class| (class, 0)).collect();
    let states = States::new(profile, &Classifier::new(&classes));
    let mut spent: BTreeMap<&str, f64> = BTreeMap::new();
    let mut crates: BTreeMap<&str, f64> = BTreeMap::new();
    let mut routes: BTreeMap<&str, f64> = BTreeMap::new();
    let mut whole = 0.0;
    for sample in profile.samples() {
        if !has_labels(profile, sample.labels, &select.labels) {
            continue;
        }
        let value = sample.values[column].max(0) as f64;
        whole += value;
        if class.is_some() && states.of_stack[sample.stack.index()] == 0 {
            continue;
        }
        let innermost = profile
            .stack_node(sample.stack)
            .and_then(|node| profile.frames(node.location).first())
            .map_or("[unknown]", |frame| profile.function_name(frame.function));
        *spent.entry(innermost).or_default() += value;
        *crates
            .entry(crate_of(innermost).unwrap_or("[not Rust]"))
            .or_default() += value;
        let route = profile.label_str(sample.labels, keys::ROUTE);
        *routes.entry(route.unwrap_or("(no route)")).or_default() += value;
    }
    let mut parts = ranked("spent in", spent, whole);
    parts.extend(ranked("in crate", crates, whole));
    if routes.keys().any(|&route| route != "(no route)") {
        parts.extend(ranked("on route", routes, whole));
    }
    parts
}

fn ranked(what: &str, values: BTreeMap<&str, f64>, whole: f64) -> Vec<Part> {
    let used = values.into_iter().filter(|&(_, value)| value > 0.0);
    let mut parts: Vec<Part> = used
        .map(|(name, value)| Part {
            what: what.to_owned(),
            name: name.to_owned(),
            share: value / whole,
            bytes: None,
            change: None,
        })
        .collect();
    parts.sort_by(|a, b| {
        b.share
            .total_cmp(&a.share)
            .then_with(|| a.name.cmp(&b.name))
    });
    parts
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

/// Distinct lists of classes, ascending, by number. 0 is the empty one.
struct Lists {
    ends: Vec<u32>,
    classes: Vec<u32>,
    ids: HashMap<Box<[u32]>, u32>,
}

impl Lists {
    fn new() -> Self {
        Self {
            ends: vec![0, 0],
            classes: Vec::new(),
            ids: HashMap::new(),
        }
    }

    fn len(&self) -> usize {
        self.ends.len() - 1
    }

    /// The number of a list, which is sorted first.
    fn intern(&mut self, list: &mut Vec<u32>) -> u32 {
        if list.is_empty() {
            return 0;
        }
        list.sort_unstable();
        list.dedup();
        if let Some(&id) = self.ids.get(list.as_slice()) {
            return id;
        }
        let id = self.len() as u32;
        self.classes.extend_from_slice(list);
        self.ends.push(self.classes.len() as u32);
        self.ids.insert(list.as_slice().into(), id);
        id
    }

    #[inline]
    fn of(&self, id: u32) -> &[u32] {
        &self.classes[self.ends[id as usize] as usize..self.ends[id as usize + 1] as usize]
    }
}

/// The classes of all stacks.
struct States {
    lists: Lists,
    /// By stack.
    of_stack: Vec<u32>,
    /// State 0 is the one without classes.
    states: Vec<State>,
    /// By stack: the classes of its innermost frame, as a list.
    leaves: Vec<u32>,
    /// By class: some location is in it.
    known: Vec<bool>,
}

/// A state of stacks.
#[derive(Clone, Copy, Default)]
struct State {
    /// The state it extends.
    parent: u32,
    /// The classes of the location that made it, as a list.
    classes: u32,
    /// Those of them that came new.
    added: u32,
}

impl States {
    fn new(profile: &Profile, classifier: &Classifier<'_>) -> Self {
        let mut states = Self {
            lists: Lists::new(),
            of_stack: vec![0; profile.stack_count()],
            states: vec![State::default()],
            leaves: vec![0; profile.stack_count()],
            known: vec![false; classifier.count],
        };
        let locations = classes_of_locations(profile, classifier, &mut states.lists);
        for &class in &states.lists.classes {
            states.known[class as usize] = true;
        }
        let mut extended: HashMap<(u32, u32), u32> = HashMap::new();
        // A parent's id is smaller than its children's.
        for index in 0..profile.stack_count() {
            let Some(node) = profile.stack_node(StackId::from_index(index)) else {
                continue;
            };
            let [classes, leaf] = locations[node.location.index()];
            let above = states.of_stack[node.parent.index()];
            states.leaves[index] = leaf;
            states.of_stack[index] = match classes {
                0 => above,
                _ => *extended
                    .entry((above, classes))
                    .or_insert_with(|| states.extend(above, classes)),
            };
        }
        states
    }

    /// The state of a stack that has a location with these classes on top of `above`.
    fn extend(&mut self, above: u32, classes: u32) -> u32 {
        if self.chain(above).any(|state| state.classes == classes) {
            return above;
        }
        let is_new = |class: &u32| {
            let has = |state: State| self.lists.of(state.added).binary_search(class).is_ok();
            !self.chain(above).any(has)
        };
        let list = self.lists.of(classes).iter().copied();
        let mut added: Vec<u32> = list.filter(is_new).collect();
        if added.is_empty() {
            return above;
        }
        let added = self.lists.intern(&mut added);
        self.states.push(State {
            parent: above,
            classes,
            added,
        });
        self.states.len() as u32 - 1
    }

    /// A state and those that it extends, without the one without classes.
    fn chain(&self, mut state: u32) -> impl Iterator<Item = State> {
        std::iter::from_fn(move || {
            let found = self.states[state as usize];
            let is_last = state == 0;
            state = found.parent;
            (!is_last).then_some(found)
        })
    }
}

/// The classes of every location, as lists: of all its frames, and of the innermost alone.
fn classes_of_locations(
    profile: &Profile,
    classifier: &Classifier<'_>,
    lists: &mut Lists,
) -> Vec<[u32; 2]> {
    let mut found = Vec::new();
    let functions = (0..profile.functions().len()).map(|index| {
        found.clear();
        let name = profile.function_name(FunctionId::from_index(index));
        classifier.function(name, &mut found);
        lists.intern(&mut found)
    });
    let of_function: Vec<u32> = functions.collect();
    let mut crates = Crates {
        profile,
        classifier,
        by_name: HashMap::new(),
    };
    let mut leaf = Vec::new();
    let locations = (0..profile.location_count()).map(|index| {
        let id = LocationId::from_index(index);
        let frames = profile.frames(id);
        found.clear();
        leaf.clear();
        for (depth, frame) in frames.iter().enumerate() {
            found.extend_from_slice(lists.of(of_function[frame.function.index()]));
            crates.add(id, Some(frame), &mut found);
            if depth == 0 {
                leaf.extend_from_slice(&found);
            }
        }
        if frames.is_empty() {
            crates.add(id, None, &mut found);
            leaf.extend_from_slice(&found);
        }
        [lists.intern(&mut found), lists.intern(&mut leaf)]
    });
    locations.collect()
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

/// What a group of samples sums up to.
struct Sums {
    /// By class.
    selfs: Vec<f64>,
    totals: Vec<f64>,
    /// By list.
    self_lists: Vec<f64>,
    total_lists: Vec<f64>,
    /// By state; 0 outside of use.
    states: Vec<f64>,
}

impl Sums {
    fn new(states: &States) -> Self {
        Self {
            selfs: vec![0.0; states.known.len()],
            totals: vec![0.0; states.known.len()],
            self_lists: vec![0.0; states.lists.len()],
            total_lists: vec![0.0; states.lists.len()],
            states: vec![0.0; states.states.len()],
        }
    }

    /// What states have goes to their lists and to the states that they extend.
    fn drain_states(&mut self, states: &States) {
        for index in (1..states.states.len()).rev() {
            let value = std::mem::take(&mut self.states[index]);
            if value != 0.0 {
                let state = states.states[index];
                self.total_lists[state.added as usize] += value;
                self.states[state.parent as usize] += value;
            }
        }
        self.states[0] = 0.0;
    }

    /// What lists have goes to their classes.
    fn drain_lists(&mut self, lists: &Lists) {
        let sums = [
            (&mut self.self_lists, &mut self.selfs),
            (&mut self.total_lists, &mut self.totals),
        ];
        for (by_list, by_class) in sums {
            by_class.fill(0.0);
            for (id, value) in by_list.iter_mut().enumerate() {
                let value = std::mem::take(value);
                if value != 0.0 {
                    for &class in lists.of(id as u32) {
                        by_class[class as usize] += value;
                    }
                }
            }
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
            (weight, self.counts.of_sample(values, weight))
        });
        let effective_count = effective_count_of_groups(groups);
        (whole, effective_count * self.counts.evenness())
    }

    /// Sums up the samples that have these labels, class by class; gives what they all sum up to.
    fn sum(
        &self,
        profile: &Profile,
        labels: &Labels,
        states: &States,
        sums: &mut Sums,
    ) -> (f64, f64) {
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
        let count: usize = chosen.iter().map(ExactSizeIterator::len).sum();
        // One pass over all states is cheaper than many chains, and many chains for few samples are not.
        let few = count < states.states.len() / CHAIN;
        for position in positions() {
            let sample = profile.sample(position as usize);
            let value = sample.values[self.column].max(0) as f64;
            let stack = sample.stack.index();
            sums.self_lists[states.leaves[stack] as usize] += value;
            match few {
                false => sums.states[states.of_stack[stack] as usize] += value,
                true => {
                    for state in states.chain(states.of_stack[stack]) {
                        sums.total_lists[state.added as usize] += value;
                    }
                }
            }
        }
        if !few {
            sums.drain_states(states);
        }
        sums.drain_lists(&states.lists);
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
