//! The profile: its tables, and the ways to fill and read them.

use std::borrow::Cow;

use crate::{
    Frame, Function, FunctionId, Label, LabelSetId, LabelValue, Location, LocationId, Mapping,
    MappingId, Meta, SampleRef, SampleType, StackId, StackNode, StringId, index::Index, ordered,
    samples::Samples, strings::Strings,
};

/// A profile. See the [crate documentation](crate) for what its tables are and why.
///
/// Ids come from the methods that add entries, and mean something only to the profile that gave them: an
/// id of another profile reads another entry, or panics like an index that is out of bounds.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What is known about the profile as a whole.
    pub meta: Meta,
    sample_types: Vec<SampleType>,
    strings: Strings,
    mappings: Vec<Mapping>,
    functions: Vec<Function>,
    function_index: Index,
    locations: Vec<LocationRow>,
    location_index: Index,
    /// All frames; a location holds a range of them.
    frames: Vec<Frame>,
    /// `stacks[0]` is the root and has no location.
    stacks: Vec<StackNode>,
    /// Over the nodes that do not lie right behind their parents.
    stack_index: Index,
    /// The stack that was pushed last, from the root: the next one mostly begins with the same callers.
    last_stack: LastStack,
    /// All labels; a label set holds a range of them.
    labels: Vec<Label>,
    label_sets: Vec<Range>,
    label_index: Index,
    samples: Samples,
}

#[derive(Clone, Copy, Debug)]
struct LocationRow {
    location: Location,
    frames: Range,
}

#[derive(Clone, Copy, Debug)]
struct Range {
    start: u32,
    len: u32,
}

impl Range {
    fn of<T>(self, rows: &[T]) -> &[T] {
        &rows[self.start as usize..][..self.len as usize]
    }

    /// The range that `added` rows take when they are appended to `rows`.
    fn appended<T: Copy>(rows: &mut Vec<T>, added: &[T]) -> Self {
        let range = Self {
            start: StringId::from_index(rows.len()).0,
            len: added.len() as u32,
        };
        rows.extend_from_slice(added);
        range
    }
}

impl Default for Profile {
    /// An empty profile without sample types.
    fn default() -> Self {
        Self::new([])
    }
}

impl Profile {
    /// An empty profile whose samples have one value for each of these types.
    pub fn new(sample_types: impl IntoIterator<Item = SampleType>) -> Self {
        let sample_types: Vec<_> = sample_types.into_iter().collect();
        let root = StackNode {
            parent: StackId::ROOT,
            location: LocationId(u32::MAX),
        };
        let mut profile = Self {
            meta: Meta::default(),
            samples: Samples::new(sample_types.len()),
            sample_types,
            strings: Strings::new(),
            mappings: Vec::new(),
            functions: Vec::new(),
            function_index: Index::new(),
            locations: Vec::new(),
            location_index: Index::new(),
            frames: Vec::new(),
            stacks: vec![root],
            stack_index: Index::new(),
            last_stack: LastStack::default(),
            labels: Vec::new(),
            label_sets: Vec::new(),
            label_index: Index::new(),
        };
        profile.intern_labels(&[]);
        profile
    }

    /// What the values of a sample are, in their order.
    pub fn sample_types(&self) -> &[SampleType] {
        &self.sample_types
    }

    /// The position of the sample type of this kind.
    pub fn find_sample_type(&self, kind: &str) -> Option<usize> {
        self.sample_types
            .iter()
            .position(|sample_type| sample_type.kind == kind)
    }

    /// The sample type to show first: the default one, else the last (as pprof does). `None` without sample types.
    pub fn default_sample_type(&self) -> Option<usize> {
        let last = self.sample_types.len().checked_sub(1);
        self.meta
            .default_sample_type
            .filter(|&index| index < self.sample_types.len())
            .or(last)
    }
}

/// Strings, mappings and functions.
impl Profile {
    /// The id of a string, which is added if it is new.
    pub fn intern(&mut self, string: &str) -> StringId {
        self.strings.intern(string)
    }

    /// The string of an id.
    #[inline]
    pub fn string(&self, id: StringId) -> &str {
        self.strings.get(id)
    }

    /// The id of a string, if the profile has it.
    pub fn find_string(&self, string: &str) -> Option<StringId> {
        self.strings.find(string)
    }

    /// All strings, in the order of their ids.
    pub fn strings(&self) -> impl ExactSizeIterator<Item = &str> {
        self.strings.iter()
    }

    /// How many strings there are, the empty one included.
    pub fn string_count(&self) -> usize {
        self.strings.len()
    }

    /// Adds a mapping, or finds the equal one.
    pub fn add_mapping(&mut self, mapping: Mapping) -> MappingId {
        // A process has tens of them: a search is cheaper than an index.
        let known = self.mappings.iter().position(|other| *other == mapping);
        MappingId::from_index(known.unwrap_or_else(|| {
            self.mappings.push(mapping);
            self.mappings.len() - 1
        }))
    }

    /// A mapping.
    pub fn mapping(&self, id: MappingId) -> &Mapping {
        &self.mappings[id.index()]
    }

    /// A mapping, to be completed (by symbolization, say).
    pub fn mapping_mut(&mut self, id: MappingId) -> &mut Mapping {
        &mut self.mappings[id.index()]
    }

    /// All mappings, in the order of their ids.
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// Adds a function, or finds the equal one.
    pub fn add_function(&mut self, function: Function) -> FunctionId {
        let hash = hash_function(&self.function_index, &function);
        let functions = &self.functions;
        if let Some(id) = self
            .function_index
            .find(hash, |id| functions[id as usize] == function)
        {
            return FunctionId(id);
        }
        let id = FunctionId::from_index(self.functions.len());
        self.functions.push(function);
        let functions = &self.functions;
        self.function_index.insert(hash, id.0, |index, id| {
            hash_function(index, &functions[id as usize])
        });
        id
    }

    /// A function.
    #[inline]
    pub fn function(&self, id: FunctionId) -> &Function {
        &self.functions[id.index()]
    }

    /// All functions, in the order of their ids.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The name of a function: the demangled one, or where that is unknown the mangled one.
    pub fn function_name(&self, id: FunctionId) -> &str {
        let function = self.function(id);
        match self.string(function.name) {
            "" => self.string(function.system_name),
            name => name,
        }
    }
}

/// Locations and their frames.
impl Profile {
    /// Adds a location, or finds the one that is the same place: by mapping and address where the address
    /// is known (its frames then stay as they are), else by its frames.
    pub fn add_location(&mut self, location: Location, frames: &[Frame]) -> LocationId {
        let hash = hash_location(&self.location_index, &location, frames);
        let found = self.location_index.find(hash, |id| {
            let row = &self.locations[id as usize];
            row.location == location
                && (location.address.is_some() || row.frames.of(&self.frames) == frames)
        });
        if let Some(id) = found {
            return LocationId(id);
        }
        let id = self.push_location(location, frames);
        let (rows, all_frames) = (&self.locations, &self.frames);
        self.location_index.insert(hash, id.0, |index, id| {
            let row = &rows[id as usize];
            hash_location(index, &row.location, row.frames.of(all_frames))
        });
        id
    }

    /// Adds a location that is its own even if an equal one exists: for readers of files that number their
    /// locations. [`add_location`](Self::add_location) does not find it.
    pub fn push_location(&mut self, location: Location, frames: &[Frame]) -> LocationId {
        let id = LocationId::from_index(self.locations.len());
        let frames = Range::appended(&mut self.frames, frames);
        self.locations.push(LocationRow { location, frames });
        id
    }

    /// The location of a name without an address: a frame of a folded stack, or a leaf such as
    /// `[kernel or lost]`.
    pub fn frame_location(&mut self, name: &str) -> LocationId {
        let name = self.intern(name);
        let function = self.add_function(Function::named(name));
        self.add_location(
            Location::default(),
            &[Frame {
                function,
                line: None,
                column: None,
            }],
        )
    }

    /// Gives a location that has an address its frames, innermost first, in place of those it has.
    ///
    /// # Panics
    /// If the location has no address: its frames are what it is known by.
    pub fn set_frames(&mut self, id: LocationId, frames: &[Frame]) {
        let row = &mut self.locations[id.index()];
        assert!(
            row.location.address.is_some(),
            "a location without address is known by its frames"
        );
        if row.frames.len as usize == frames.len() {
            let start = row.frames.start as usize;
            self.frames[start..start + frames.len()].copy_from_slice(frames);
        } else {
            row.frames = Range::appended(&mut self.frames, frames);
        }
    }

    /// A location.
    #[inline]
    pub fn location(&self, id: LocationId) -> Location {
        self.locations[id.index()].location
    }

    /// The frames of a location, the innermost inlined one first, the function that the linker knows last.
    /// Empty where the address has not been symbolized.
    #[inline]
    pub fn frames(&self, id: LocationId) -> &[Frame] {
        self.locations[id.index()].frames.of(&self.frames)
    }

    /// All locations, in the order of their ids.
    pub fn locations(&self) -> impl ExactSizeIterator<Item = Location> + '_ {
        self.locations.iter().map(|row| row.location)
    }

    /// How many locations there are.
    pub fn location_count(&self) -> usize {
        self.locations.len()
    }
}

/// Stacks.
impl Profile {
    /// The stack that has `location` on top of `parent`.
    ///
    /// Cheapest in the order from the root to the leaf, stack after stack: what a stack has in common with
    /// the one before costs no lookup.
    #[inline]
    pub fn push_stack(&mut self, parent: StackId, location: LocationId) -> StackId {
        let node = StackNode { parent, location };
        let is_next = self.last_stack.turn_to(parent);
        if is_next && let Some(id) = self.last_stack.follow(&self.stacks, node) {
            return id;
        }
        let id = self.find_or_add_stack(node);
        if is_next {
            self.last_stack.branch_off(id);
        }
        id
    }

    /// A node is mostly made right behind its parent, by the stack that both came with: there it is looked for first,
    /// and those that lie there are not in the index, which then is small and rarely asked.
    #[inline]
    fn find_or_add_stack(&mut self, node: StackNode) -> StackId {
        let behind = node.parent.index() + 1;
        match self.stacks.get(behind) {
            Some(other) if *other == node => StackId::from_index(behind),
            Some(_) => self.find_or_add_branch(node),
            None => {
                self.stacks.push(node);
                StackId::from_index(behind)
            }
        }
    }

    fn find_or_add_branch(&mut self, node: StackNode) -> StackId {
        let hash = hash_stack(&self.stack_index, &node);
        let stacks = &self.stacks;
        if let Some(id) = self
            .stack_index
            .find(hash, |id| stacks[id as usize] == node)
        {
            return StackId(id);
        }
        let id = StackId::from_index(self.stacks.len());
        self.stacks.push(node);
        let stacks = &self.stacks;
        self.stack_index.insert(hash, id.0, |index, id| {
            hash_stack(index, &stacks[id as usize])
        });
        id
    }

    /// The stack of these locations, the outermost caller first.
    pub fn intern_stack_root_first(
        &mut self,
        locations: impl IntoIterator<Item = LocationId>,
    ) -> StackId {
        locations
            .into_iter()
            .fold(StackId::ROOT, |parent, location| {
                self.push_stack(parent, location)
            })
    }

    /// The stack of these locations, the leaf first, as pprof writes them.
    pub fn intern_stack_leaf_first(&mut self, locations: &[LocationId]) -> StackId {
        let mut rest = locations;
        self.last_stack.depth = 0;
        while let [callees @ .., next] = rest
            && let Some(&id) = self.last_stack.nodes.get(self.last_stack.depth)
            && self.stacks[id.index()].location == *next
        {
            self.last_stack.depth += 1;
            rest = callees;
        }
        let depth = self.last_stack.depth;
        if rest.is_empty() {
            return depth
                .checked_sub(1)
                .map_or(StackId::ROOT, |leaf| self.last_stack.nodes[leaf]);
        }
        self.last_stack.nodes.truncate(depth);
        let mut parent = self
            .last_stack
            .nodes
            .last()
            .copied()
            .unwrap_or(StackId::ROOT);
        for &location in rest.iter().rev() {
            parent = self.find_or_add_stack(StackNode { parent, location });
            self.last_stack.nodes.push(parent);
        }
        self.last_stack.depth = locations.len();
        parent
    }

    /// A node of the stack tree; `None` for the root. A parent has a smaller id than its children, so one
    /// pass in the order of ids sees callers before callees.
    #[inline]
    pub fn stack_node(&self, id: StackId) -> Option<StackNode> {
        if id == StackId::ROOT {
            None
        } else {
            Some(self.stacks[id.index()])
        }
    }

    /// The locations of a stack, from the leaf to the root.
    pub fn stack(&self, id: StackId) -> impl Iterator<Item = LocationId> + '_ {
        let mut next = id;
        std::iter::from_fn(move || {
            let node = self.stack_node(next)?;
            next = node.parent;
            Some(node.location)
        })
    }

    /// How many nodes the stack tree has, the root included; their ids are `0..stack_count`.
    pub fn stack_count(&self) -> usize {
        self.stacks.len()
    }
}

/// Labels.
impl Profile {
    /// A label with a text.
    pub fn str_label(&mut self, key: &str, value: &str) -> Label {
        let value = LabelValue::Str(self.intern(value));
        Label {
            key: self.intern(key),
            value,
        }
    }

    /// A label with a number.
    pub fn num_label(&mut self, key: &str, value: i64, unit: &str) -> Label {
        let value = LabelValue::Num {
            value,
            unit: self.intern(unit),
        };
        Label {
            key: self.intern(key),
            value,
        }
    }

    /// The set of these labels. Their order counts only among labels of the same key.
    pub fn intern_labels(&mut self, labels: &[Label]) -> LabelSetId {
        let mut sorted = Cow::Borrowed(labels);
        if !labels.is_sorted_by_key(|label| label.key) {
            let order = ordered(labels.len(), &|a, b| labels[a].key.cmp(&labels[b].key));
            sorted = order.into_iter().map(|at| labels[at]).collect();
        }
        let hash = hash_labels(&self.label_index, &sorted);
        let found = self.label_index.find(hash, |id| {
            self.label_sets[id as usize].of(&self.labels) == &*sorted
        });
        if let Some(id) = found {
            return LabelSetId(id);
        }
        let id = LabelSetId::from_index(self.label_sets.len());
        let range = Range::appended(&mut self.labels, &sorted);
        self.label_sets.push(range);
        let (sets, all) = (&self.label_sets, &self.labels);
        self.label_index.insert(hash, id.0, |index, id| {
            hash_labels(index, sets[id as usize].of(all))
        });
        id
    }

    /// The labels of a set, sorted by the ids of their keys.
    pub fn labels(&self, id: LabelSetId) -> &[Label] {
        self.label_sets[id.index()].of(&self.labels)
    }

    /// How many label sets there are, the empty one included.
    pub fn label_set_count(&self) -> usize {
        self.label_sets.len()
    }

    /// The text that a set has under a key.
    pub fn label_str(&self, id: LabelSetId, key: &str) -> Option<&str> {
        self.label_values(id, key).find_map(|value| match value {
            LabelValue::Str(text) => Some(self.string(text)),
            LabelValue::Num { .. } => None,
        })
    }

    /// The number that a set has under a key.
    pub fn label_num(&self, id: LabelSetId, key: &str) -> Option<i64> {
        self.label_values(id, key).find_map(|value| match value {
            LabelValue::Str(_) => None,
            LabelValue::Num { value, .. } => Some(value),
        })
    }

    fn label_values(&self, id: LabelSetId, key: &str) -> impl Iterator<Item = LabelValue> + '_ {
        let key = self.find_string(key);
        self.labels(id)
            .iter()
            .filter(move |label| Some(label.key) == key)
            .map(|label| label.value)
    }
}

/// Samples.
impl Profile {
    /// Appends a sample.
    ///
    /// # Panics
    /// If there is not one value per sample type.
    pub fn push_sample(&mut self, stack: StackId, labels: LabelSetId, values: &[i64]) {
        self.samples.push(stack, labels, values, None);
    }

    /// Appends a sample that was taken `time_nanos` after the profile began.
    ///
    /// # Panics
    /// If there is not one value per sample type.
    pub fn push_sample_at(
        &mut self,
        stack: StackId,
        labels: LabelSetId,
        values: &[i64],
        time_nanos: Option<i64>,
    ) {
        self.samples.push(stack, labels, values, time_nanos);
    }

    /// Adds to the sample that has this stack and these labels, or appends one. Sums saturate.
    ///
    /// # Panics
    /// If there is not one value per sample type.
    pub fn record(&mut self, stack: StackId, labels: LabelSetId, values: &[i64]) {
        self.samples.record(stack, labels, values);
    }

    /// All samples, in order.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = SampleRef<'_>> + '_ {
        (0..self.samples.len()).map(|sample| self.samples.get(sample))
    }

    /// A sample by its position.
    pub fn sample(&self, position: usize) -> SampleRef<'_> {
        self.samples.get(position)
    }

    /// How many samples there are.
    pub fn sample_count(&self) -> usize {
        self.samples.len()
    }

    /// The sum of one sample type's values, saturating.
    pub fn total(&self, sample_type: usize) -> i64 {
        assert!(
            sample_type < self.samples.width(),
            "no sample type {sample_type}"
        );
        self.samples().fold(0, |sum, sample| {
            sum.saturating_add(sample.values[sample_type])
        })
    }

    /// Multiplies all values of one sample type, which saturate, and names the unit that they then have: those of
    /// `milliseconds` are `microseconds` after a factor of 1000.
    ///
    /// # Panics
    /// If the profile has no such sample type.
    pub fn rescale(&mut self, sample_type: usize, factor: i64, unit: &str) {
        unit.clone_into(&mut self.sample_types[sample_type].unit);
        self.samples.rescale(sample_type, factor);
    }

    /// The memory that the tables hold, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let indexes = [
            &self.function_index,
            &self.location_index,
            &self.stack_index,
            &self.label_index,
        ];
        self.strings.heap_bytes()
            + self.mappings.capacity() * size_of::<Mapping>()
            + self.functions.capacity() * size_of::<Function>()
            + self.locations.capacity() * size_of::<LocationRow>()
            + self.frames.capacity() * size_of::<Frame>()
            + self.stacks.capacity() * size_of::<StackNode>()
            + self.last_stack.nodes.capacity() * size_of::<StackId>()
            + self.labels.capacity() * size_of::<Label>()
            + self.label_sets.capacity() * size_of::<Range>()
            + self.samples.heap_bytes()
            + indexes
                .iter()
                .map(|index| index.heap_bytes())
                .sum::<usize>()
    }
}

/// The nodes of the stack that was pushed last, from below the root to the leaf, and how far along them the
/// pushes have come that are under way.
///
/// A push that continues them where they are compares one node in place of a search in the index, which
/// for stacks of a hundred frames is most of the work.
#[derive(Clone, Debug, Default)]
struct LastStack {
    nodes: Vec<StackId>,
    depth: usize,
}

impl LastStack {
    /// Whether a push on `parent` goes on where the last one ended, or starts at the root again.
    #[inline]
    fn turn_to(&mut self, parent: StackId) -> bool {
        if parent == StackId::ROOT {
            self.depth = 0;
            return true;
        }
        self.depth > 0 && self.nodes[self.depth - 1] == parent
    }

    /// The next node, if it is the one that is wanted.
    #[inline]
    fn follow(&mut self, stacks: &[StackNode], wanted: StackNode) -> Option<StackId> {
        let id = *self.nodes.get(self.depth)?;
        if stacks[id.index()] != wanted {
            return None;
        }
        self.depth += 1;
        Some(id)
    }

    /// The pushes leave the last stack here.
    #[inline]
    fn branch_off(&mut self, id: StackId) {
        self.nodes.truncate(self.depth);
        self.nodes.push(id);
        self.depth += 1;
    }
}

#[inline]
fn hash_function(index: &Index, function: &Function) -> u64 {
    let Function {
        name,
        system_name,
        filename,
        start_line,
    } = *function;
    let start_line = start_line.map_or(0, |line| line.get());
    index.hash_words([pair(name.0, system_name.0), pair(filename.0, start_line)])
}

#[inline]
fn hash_location(index: &Index, location: &Location, frames: &[Frame]) -> u64 {
    let mapping = location.mapping.map_or(u32::MAX, |mapping| mapping.0);
    let mapping = pair(mapping, location.is_folded.into());
    match location.address {
        Some(address) => index.hash_words([mapping, address.get()]),
        None => frames.iter().fold(mapping, |state, frame| {
            let line = frame.line.map_or(0, |line| line.get());
            let column = frame.column.map_or(0, |column| column.get());
            index.hash_words([state, pair(frame.function.0, line), column.into()])
        }),
    }
}

#[inline]
fn hash_stack(index: &Index, node: &StackNode) -> u64 {
    index.hash_words([pair(node.parent.0, node.location.0)])
}

fn hash_labels(index: &Index, labels: &[Label]) -> u64 {
    labels.iter().fold(0, |state, label| {
        let (value, unit) = match label.value {
            LabelValue::Str(text) => (text.0.into(), u32::MAX),
            LabelValue::Num { value, unit } => (value as u64, unit.0),
        };
        index.hash_words([state, value, pair(label.key.0, unit)])
    })
}

#[inline]
fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}
