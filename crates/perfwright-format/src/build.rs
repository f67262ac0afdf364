//! Filling a profile within the limits.

use std::num::NonZeroU32;

use perfwright_model::{
    Frame, Function, FunctionId, Label, LabelSetId, Location, LocationId, Mapping, MappingId,
    Profile, SampleType, StackId, StringId,
};

use crate::{Error, Limits, Place, limits::too_many};

/// A profile that is being read.
pub(crate) struct Builder<'a> {
    pub(crate) profile: Profile,
    pub(crate) limits: &'a Limits,
    subject: &'static str,
    /// Labels of all distinct sets.
    label_count: usize,
    frame_count: usize,
}

/// What stands for a name that a file leaves empty.
pub(crate) const UNKNOWN: &str = "[unknown]";

impl<'a> Builder<'a> {
    pub(crate) fn new(
        sample_types: impl IntoIterator<Item = SampleType>,
        subject: &'static str,
        limits: &'a Limits,
    ) -> Self {
        let profile = Profile::new(sample_types);
        Self {
            profile,
            limits,
            subject,
            label_count: 0,
            frame_count: 0,
        }
    }

    pub(crate) fn check(
        &self,
        count: usize,
        limit: usize,
        what: &str,
        place: Place,
    ) -> Result<(), Error> {
        match count <= limit {
            true => Ok(()),
            false => Err(too_many(self.subject, place, what, limit)),
        }
    }

    /// A function by name, with its file and the line where it starts as far as they are known.
    pub(crate) fn function(
        &mut self,
        name: &str,
        file: &str,
        start_line: Option<NonZeroU32>,
        place: Place,
    ) -> Result<FunctionId, Error> {
        let name = self.profile.intern(name);
        let filename = self.profile.intern(file);
        self.function_of(name, filename, start_line, place)
    }

    /// The same by the ids of the texts, which may be long and used often.
    pub(crate) fn function_of(
        &mut self,
        name: StringId,
        filename: StringId,
        start_line: Option<NonZeroU32>,
        place: Place,
    ) -> Result<FunctionId, Error> {
        let name = match name {
            StringId::EMPTY => self.profile.intern(UNKNOWN),
            name => name,
        };
        let id = self.profile.add_function(Function {
            filename,
            start_line,
            ..Function::named(name)
        });
        self.check(
            self.profile.functions().len(),
            self.limits.functions,
            "functions",
            place,
        )?;
        Ok(id)
    }

    /// A location without address, of these frames in a file of the program.
    pub(crate) fn location(
        &mut self,
        mapping: Option<MappingId>,
        frames: &[Frame],
        place: Place,
    ) -> Result<LocationId, Error> {
        let known = self.profile.location_count();
        let location = Location {
            mapping,
            ..Location::default()
        };
        let id = self.profile.add_location(location, frames);
        let added = (self.profile.location_count() - known) * frames.len();
        self.check_locations(added, place)?;
        Ok(id)
    }

    /// A location of its own.
    pub(crate) fn push_location(
        &mut self,
        location: Location,
        frames: &[Frame],
        place: Place,
    ) -> Result<LocationId, Error> {
        let id = self.profile.push_location(location, frames);
        self.check_locations(frames.len(), place)?;
        Ok(id)
    }

    fn check_locations(&mut self, frames: usize, place: Place) -> Result<(), Error> {
        self.frame_count += frames;
        self.check(self.frame_count, self.limits.frames, "frames", place)?;
        self.check(
            self.profile.location_count(),
            self.limits.locations,
            "locations",
            place,
        )
    }

    /// A location of one frame.
    pub(crate) fn frame(
        &mut self,
        function: FunctionId,
        line: Option<NonZeroU32>,
        column: Option<NonZeroU32>,
        place: Place,
    ) -> Result<LocationId, Error> {
        self.location(
            None,
            &[Frame {
                function,
                line,
                column,
            }],
            place,
        )
    }

    /// A file that the program consists of; where it was mapped is not known.
    pub(crate) fn file(&mut self, path: &str, place: Place) -> Result<MappingId, Error> {
        let mut mapping = Mapping::new(0, 0);
        mapping.filename = self.profile.intern(path);
        mapping.has_functions = true;
        let id = self.profile.add_mapping(mapping);
        self.check(
            self.profile.mappings().len(),
            self.limits.mappings,
            "mappings",
            place,
        )?;
        Ok(id)
    }

    /// A stack of one more location, `depth` deep with it.
    pub(crate) fn push(
        &mut self,
        parent: StackId,
        location: LocationId,
        depth: usize,
        place: Place,
    ) -> Result<StackId, Error> {
        self.check(depth, self.limits.depth, "frames in one stack", place)?;
        let id = self.profile.push_stack(parent, location);
        let nodes = self.profile.stack_count() - 1;
        self.check(
            nodes,
            self.limits.stack_nodes,
            "nodes in the stack tree",
            place,
        )?;
        Ok(id)
    }

    pub(crate) fn labels(&mut self, labels: &[Label], place: Place) -> Result<LabelSetId, Error> {
        let known = self.profile.label_set_count();
        let set = self.profile.intern_labels(labels);
        if self.profile.label_set_count() > known {
            self.label_count += labels.len();
        }
        self.check(
            self.label_count,
            self.limits.labels,
            "labels in distinct sets",
            place,
        )?;
        Ok(set)
    }

    /// A sample of its own, with a time.
    pub(crate) fn sample_at(
        &mut self,
        stack: StackId,
        labels: LabelSetId,
        values: &[i64],
        time_nanos: i64,
        place: Place,
    ) -> Result<(), Error> {
        self.profile
            .push_sample_at(stack, labels, values, Some(time_nanos));
        self.check_samples(place)
    }

    /// Adds to the sample of this stack and these labels.
    pub(crate) fn record(
        &mut self,
        stack: StackId,
        labels: LabelSetId,
        values: &[i64],
        place: Place,
    ) -> Result<(), Error> {
        self.profile.record(stack, labels, values);
        self.check_samples(place)
    }

    fn check_samples(&self, place: Place) -> Result<(), Error> {
        let samples = self.profile.sample_count();
        self.check(samples, self.limits.samples, "samples", place)?;
        let values = samples.saturating_mul(self.profile.sample_types().len());
        self.check(values, self.limits.values, "values", place)
    }

    /// The labels that say where a sample was taken.
    pub(crate) fn thread_labels(&mut self, thread: &Thread<'_>) -> Vec<Label> {
        use perfwright_model::keys;
        let profile = &mut self.profile;
        let mut labels = Vec::new();
        if !thread.name.is_empty() {
            labels.push(profile.str_label(keys::THREAD, thread.name));
        }
        if let Some(tid) = thread.tid {
            labels.push(profile.num_label(keys::TID, tid, ""));
        }
        if !thread.process.is_empty() {
            labels.push(profile.str_label(PROCESS, thread.process));
        }
        if let Some(pid) = thread.pid {
            labels.push(profile.num_label(PID, pid, ""));
        }
        labels
    }
}

/// Where a sample was taken.
#[derive(Default)]
pub(crate) struct Thread<'t> {
    pub(crate) name: &'t str,
    pub(crate) tid: Option<i64>,
    pub(crate) process: &'t str,
    pub(crate) pid: Option<i64>,
}

/// The key of a process's name.
pub(crate) const PROCESS: &str = "process";
/// The key of a process's id.
pub(crate) const PID: &str = "process_id";

/// A 1-based line or column; what is out of range is not known.
pub(crate) fn line(number: Option<f64>) -> Option<NonZeroU32> {
    let number = number.filter(|number| (1.0..=f64::from(u32::MAX)).contains(number))?;
    NonZeroU32::new(number as u32)
}

/// The name of a location that has no frames: `[file+0x12]` (an offset in the mapped file), `[0x12]` or `[unknown]`.
pub(crate) fn address_name(profile: &Profile, id: LocationId) -> String {
    let location = profile.location(id);
    let Some(address) = location.address else {
        return UNKNOWN.to_owned();
    };
    let mapping = location.mapping.map(|mapping| profile.mapping(mapping));
    let Some(mapping) = mapping.filter(|mapping| !profile.string(mapping.filename).is_empty())
    else {
        return format!("[{address:#x}]");
    };
    let path = profile.string(mapping.filename);
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let offset = address
        .get()
        .wrapping_sub(mapping.start)
        .wrapping_add(mapping.offset);
    format!("[{file}+{offset:#x}]")
}
