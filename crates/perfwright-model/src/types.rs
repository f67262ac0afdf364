//! The rows of the profile's tables.

use std::num::{NonZeroU32, NonZeroU64};

use crate::{FunctionId, LabelSetId, LocationId, MappingId, StackId, StringId};

/// What a value counts, and in which unit: `cpu` in `nanoseconds`, `samples` in `count`,
/// `inuse_space` in `bytes`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct SampleType {
    /// What is measured.
    pub kind: String,
    /// Its unit, in full: `nanoseconds`, `bytes`, `count`.
    pub unit: String,
}

impl SampleType {
    /// A sample type from its two words.
    pub fn new(kind: impl Into<String>, unit: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            unit: unit.into(),
        }
    }
}

/// How much of `sample_type` passes between two samples.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Period {
    /// What is counted between samples.
    pub sample_type: SampleType,
    /// How many of its units.
    pub value: i64,
}

/// What is known about the profile as a whole. `None` is unknown, never zero.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Meta {
    /// The sample type that a viewer shows first, as an index into [`Profile::sample_types`](crate::Profile::sample_types).
    pub default_sample_type: Option<usize>,
    /// The sampling period.
    pub period: Option<Period>,
    /// When the profile began, in nanoseconds since the Unix epoch.
    pub time_nanos: Option<i64>,
    /// How long it lasted, in nanoseconds.
    pub duration_nanos: Option<i64>,
    /// Free text, in order.
    pub comments: Vec<String>,
    /// A regular expression: matching frames and all they call are to be dropped. Stored, not applied.
    pub drop_frames: Option<String>,
    /// A regular expression that exempts frames from `drop_frames`.
    pub keep_frames: Option<String>,
    /// A page that explains the profile.
    pub doc_url: Option<String>,
}

/// A file that was mapped into the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mapping {
    /// First AVMA (address in the process).
    pub start: u64,
    /// One past the last AVMA.
    pub limit: u64,
    /// Where in the file the mapping starts, in bytes.
    pub offset: u64,
    /// The file's path, or a name such as `[vdso]`.
    pub filename: StringId,
    /// The build id in lower-case hex; empty when unknown.
    pub build_id: StringId,
    /// Function names have been looked up.
    pub has_functions: bool,
    /// File names have been looked up.
    pub has_filenames: bool,
    /// Line numbers have been looked up.
    pub has_lines: bool,
    /// Inlined frames have been looked up.
    pub has_inlines: bool,
}

impl Mapping {
    /// A mapping of which only the place in the process is known.
    pub const fn new(start: u64, limit: u64) -> Self {
        Self {
            start,
            limit,
            offset: 0,
            filename: StringId::EMPTY,
            build_id: StringId::EMPTY,
            has_functions: false,
            has_filenames: false,
            has_lines: false,
            has_inlines: false,
        }
    }
}

/// A function. Unknown strings are empty.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Function {
    /// The name for people, demangled.
    pub name: StringId,
    /// The name in the symbol table, mangled.
    pub system_name: StringId,
    /// The source file.
    pub filename: StringId,
    /// The line at which it starts.
    pub start_line: Option<NonZeroU32>,
}

impl Function {
    /// A function of which only the name is known.
    pub const fn named(name: StringId) -> Self {
        Self {
            name,
            system_name: StringId::EMPTY,
            filename: StringId::EMPTY,
            start_line: None,
        }
    }
}

/// One call at the level of the source: the function, and where in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Frame {
    /// The function.
    pub function: FunctionId,
    /// The line that was executing, 1-based.
    pub line: Option<NonZeroU32>,
    /// The column, 1-based.
    pub column: Option<NonZeroU32>,
}

/// A place in the code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Location {
    /// The mapping that holds the address.
    pub mapping: Option<MappingId>,
    /// The AVMA: of the instruction for a leaf, inside the call instruction for a caller.
    pub address: Option<NonZeroU64>,
    /// Several functions share this code (identical code folding), so its frames are only one of the possible answers.
    pub is_folded: bool,
}

/// A node of the stack tree: `location`, called from `parent`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StackNode {
    /// The caller's node.
    pub parent: StackId,
    /// What was called.
    pub location: LocationId,
}

/// The value of a label.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum LabelValue {
    /// Text.
    Str(StringId),
    /// A number with its unit (empty: none).
    Num {
        /// The number.
        value: i64,
        /// Its unit.
        unit: StringId,
    },
}

/// A key and a value that a sample carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Label {
    /// The key.
    pub key: StringId,
    /// The value.
    pub value: LabelValue,
}

/// A sample, as it is read out of the columns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SampleRef<'a> {
    /// The stack.
    pub stack: StackId,
    /// The labels.
    pub labels: LabelSetId,
    /// One value per sample type.
    pub values: &'a [i64],
    /// When it was taken, in nanoseconds since the profile began, where that was kept.
    pub time_nanos: Option<i64>,
}

/// Label keys that Perfwright writes and reads.
pub mod keys {
    /// The thread's name (text).
    pub const THREAD: &str = "thread";
    /// The thread's id in the kernel (number).
    pub const TID: &str = "thread_id";
    /// The route template (text).
    pub const ROUTE: &str = "route";
    /// The innermost span's name (text).
    pub const SPAN: &str = "span";
    /// The names of all spans, outermost first (text).
    pub const SPAN_PATH: &str = "span path";
    /// The instance of the span (number).
    pub const SPAN_ID: &str = "span_id";
    /// The task's id (text or number).
    pub const TASK: &str = "task";
    /// `on-cpu` or `off-cpu` in a wall-clock profile (text).
    pub const STATE: &str = "state";
}
