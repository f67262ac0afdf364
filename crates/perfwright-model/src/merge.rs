//! Bringing the entries of one profile into another.

use std::fmt;

use crate::{
    Frame, Function, FunctionId, Label, LabelSetId, LabelValue, Location, LocationId, Mapping,
    MappingId, Profile, SampleType, StackId, StringId,
};

/// Translates the ids of one profile into those of another, adding what is missing there.
///
/// Every entry is translated once and remembered, so that bringing over a whole profile costs about as
/// much as reading it. Use one importer for one pair of profiles.
#[derive(Debug)]
pub struct Importer<'a> {
    source: &'a Profile,
    strings: Vec<Option<StringId>>,
    mappings: Vec<Option<MappingId>>,
    functions: Vec<Option<FunctionId>>,
    locations: Vec<Option<LocationId>>,
    stacks: Vec<Option<StackId>>,
    labels: Vec<Option<LabelSetId>>,
}

impl<'a> Importer<'a> {
    /// An importer from `source`.
    pub fn new(source: &'a Profile) -> Self {
        let mut stacks = vec![None; source.stack_count()];
        stacks[0] = Some(StackId::ROOT);
        Self {
            source,
            strings: vec![None; source.string_count()],
            mappings: vec![None; source.mappings().len()],
            functions: vec![None; source.functions().len()],
            locations: vec![None; source.location_count()],
            stacks,
            labels: vec![None; source.label_set_count()],
        }
    }

    /// A string.
    pub fn string(&mut self, target: &mut Profile, id: StringId) -> StringId {
        *self.strings[id.index()].get_or_insert_with(|| target.intern(self.source.string(id)))
    }

    /// A mapping.
    pub fn mapping(&mut self, target: &mut Profile, id: MappingId) -> MappingId {
        if let Some(known) = self.mappings[id.index()] {
            return known;
        }
        let mapping = *self.source.mapping(id);
        let filename = self.string(target, mapping.filename);
        let build_id = self.string(target, mapping.build_id);
        let added = target.add_mapping(Mapping {
            filename,
            build_id,
            ..mapping
        });
        *self.mappings[id.index()].insert(added)
    }

    /// A function.
    pub fn function(&mut self, target: &mut Profile, id: FunctionId) -> FunctionId {
        if let Some(known) = self.functions[id.index()] {
            return known;
        }
        let function = *self.source.function(id);
        let added = Function {
            name: self.string(target, function.name),
            system_name: self.string(target, function.system_name),
            filename: self.string(target, function.filename),
            start_line: function.start_line,
        };
        let added = target.add_function(added);
        *self.functions[id.index()].insert(added)
    }

    /// A location with its frames. Where the target knows the address but has no frames for it, it gets these.
    pub fn location(&mut self, target: &mut Profile, id: LocationId) -> LocationId {
        if let Some(known) = self.locations[id.index()] {
            return known;
        }
        let frames: Vec<Frame> = self
            .source
            .frames(id)
            .iter()
            .map(|&frame| Frame {
                function: self.function(target, frame.function),
                ..frame
            })
            .collect();
        let location = self.source.location(id);
        let mapping = location
            .mapping
            .map(|mapping| self.mapping(target, mapping));
        let added = target.add_location(
            Location {
                mapping,
                ..location
            },
            &frames,
        );
        if target.frames(added).is_empty() && !frames.is_empty() {
            target.set_frames(added, &frames);
        }
        *self.locations[id.index()].insert(added)
    }

    /// A stack with all its callers.
    pub fn stack(&mut self, target: &mut Profile, id: StackId) -> StackId {
        // Up to the nearest caller that is known, then down again; stacks may be too deep to recurse.
        let mut missing = Vec::new();
        let mut node = id;
        let mut parent = loop {
            match self.stacks[node.index()] {
                Some(known) => break known,
                None => missing.push(node),
            }
            node = self
                .source
                .stack_node(node)
                .map_or(StackId::ROOT, |node| node.parent);
        };
        for node in missing.into_iter().rev() {
            if let Some(source) = self.source.stack_node(node) {
                let location = self.location(target, source.location);
                parent = target.push_stack(parent, location);
                self.stacks[node.index()] = Some(parent);
            }
        }
        parent
    }

    /// A set of labels.
    pub fn labels(&mut self, target: &mut Profile, id: LabelSetId) -> LabelSetId {
        if let Some(known) = self.labels[id.index()] {
            return known;
        }
        let labels: Vec<Label> = self
            .source
            .labels(id)
            .iter()
            .map(|label| Label {
                key: self.string(target, label.key),
                value: match label.value {
                    LabelValue::Str(text) => LabelValue::Str(self.string(target, text)),
                    LabelValue::Num { value, unit } => LabelValue::Num {
                        value,
                        unit: self.string(target, unit),
                    },
                },
            })
            .collect();
        let added = target.intern_labels(&labels);
        *self.labels[id.index()].insert(added)
    }
}

/// The profiles have no sample types in common, or not the same ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MergeError {
    /// The sample types of the profile that was merged into.
    pub expected: Vec<SampleType>,
    /// Those of the profile that was to be merged.
    pub found: Vec<SampleType>,
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "merge profiles of different sample types: one has {}, the other {}",
            Names(&self.expected),
            Names(&self.found)
        )
    }
}

impl std::error::Error for MergeError {}

struct Names<'a>(&'a [SampleType]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (position, SampleType { kind, unit }) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{kind} in {unit}")?;
        }
        Ok(())
    }
}

impl Profile {
    /// Adds the samples of `other`. Samples without a time that have the same stack and labels become one.
    ///
    /// The sample types must be the same ones; their order may differ. The time becomes the earlier start,
    /// the duration the sum, the period the longer one; comments that are not there yet are added. What is
    /// known on one side only is kept.
    ///
    /// # Errors
    /// If the sample types differ. The profile is then unchanged.
    pub fn merge(&mut self, other: &Profile) -> Result<(), MergeError> {
        let columns = self.columns_of(other)?;
        self.merge_meta(other);
        let mut importer = Importer::new(other);
        let mut values = vec![0; columns.len()];
        for sample in other.samples() {
            let stack = importer.stack(self, sample.stack);
            let labels = importer.labels(self, sample.labels);
            for (value, &column) in values.iter_mut().zip(&columns) {
                *value = sample.values[column];
            }
            match sample.time_nanos {
                None => self.record(stack, labels, &values),
                time => self.push_sample_at(stack, labels, &values, time),
            }
        }
        Ok(())
    }

    /// What was added since `earlier`, a snapshot of the same growing profile: the difference of each stack's
    /// values, without those where nothing changed. Values that can shrink, such as what is in use, are below 0
    /// where they did. The time becomes the end of the earlier one's, the duration the difference; samples with
    /// times of their own are summed up.
    ///
    /// # Errors
    /// If the sample types differ.
    pub fn since(&self, earlier: &Profile) -> Result<Profile, MergeError> {
        let mut sums = Profile::new(self.sample_types().to_vec());
        let columns = sums.columns_of(earlier)?;
        let same: Vec<usize> = (0..columns.len()).collect();
        for (source, columns, sign) in [(self, &same, 1_i64), (earlier, &columns, -1)] {
            let mut importer = Importer::new(source);
            for sample in source.samples() {
                let stack = importer.stack(&mut sums, sample.stack);
                let labels = importer.labels(&mut sums, sample.labels);
                let values: Vec<i64> = columns
                    .iter()
                    .map(|&column| sample.values[column].saturating_mul(sign))
                    .collect();
                sums.record(stack, labels, &values);
            }
        }
        let mut difference = sums.without_zeroes();
        difference.meta = self.meta.clone();
        let (later, before) = (&self.meta, &earlier.meta);
        difference.meta.time_nanos = before
            .time_nanos
            .zip(before.duration_nanos)
            .map(|(start, duration)| start.saturating_add(duration));
        difference.meta.duration_nanos = later
            .duration_nanos
            .zip(before.duration_nanos)
            .map(|(later, before)| later.saturating_sub(before));
        Ok(difference)
    }

    /// The samples that have a value, and what they need; without meta data.
    fn without_zeroes(&self) -> Profile {
        let mut kept = Profile::new(self.sample_types().to_vec());
        let mut importer = Importer::new(self);
        for sample in self.samples() {
            if sample.values.iter().any(|&value| value != 0) {
                let stack = importer.stack(&mut kept, sample.stack);
                let labels = importer.labels(&mut kept, sample.labels);
                kept.push_sample(stack, labels, sample.values);
            }
        }
        kept
    }

    /// For each of our sample types, its column in `other`.
    fn columns_of(&self, other: &Profile) -> Result<Vec<usize>, MergeError> {
        let (ours, theirs) = (self.sample_types(), other.sample_types());
        let columns: Option<Vec<_>> = ours
            .iter()
            .map(|ours| theirs.iter().position(|theirs| theirs == ours))
            .collect();
        columns
            .filter(|columns| columns.len() == theirs.len())
            .ok_or_else(|| MergeError {
                expected: ours.to_vec(),
                found: theirs.to_vec(),
            })
    }

    fn merge_meta(&mut self, other: &Profile) {
        let default = other.meta.default_sample_type.and_then(|index| {
            let wanted = other.sample_types().get(index)?;
            self.sample_types().iter().position(|ours| ours == wanted)
        });
        let (ours, theirs) = (&mut self.meta, &other.meta);
        ours.default_sample_type = ours.default_sample_type.or(default);
        ours.time_nanos = either(ours.time_nanos, theirs.time_nanos, i64::min);
        ours.duration_nanos = either(
            ours.duration_nanos,
            theirs.duration_nanos,
            i64::saturating_add,
        );
        ours.period = either(ours.period.take(), theirs.period.clone(), |ours, theirs| {
            if theirs.value > ours.value {
                theirs
            } else {
                ours
            }
        });
        for comment in &theirs.comments {
            if !ours.comments.contains(comment) {
                ours.comments.push(comment.clone());
            }
        }
        for (ours, theirs) in [
            (&mut ours.drop_frames, &theirs.drop_frames),
            (&mut ours.keep_frames, &theirs.keep_frames),
            (&mut ours.doc_url, &theirs.doc_url),
        ] {
            if ours.is_none() {
                ours.clone_from(theirs);
            }
        }
    }
}

fn either<T>(a: Option<T>, b: Option<T>, both: impl FnOnce(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(both(a, b)),
        (a, b) => a.or(b),
    }
}
