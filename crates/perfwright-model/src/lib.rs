//! The profile model: one data type for CPU, heap and span profiles.
//!
//! A [`Profile`] is what every engine produces, every format reads and writes, and every question is asked
//! of. You give it strings, functions, locations, stacks, labels and samples; it gives back ids and reads
//! entries by id. It knows no file, clock or thread, has no dependency and no `unsafe`, and builds for
//! wasm32.
//!
//! # The tables
//! ```text
//! sample ──> stack ──> location ──> frame, frame, …  ──> function ──> name, system name, file
//!    │         │           └──────> mapping (file, build id)
//!    │         └──> parent stack (the callers)
//!    ├──> label set ──> (key, text or number with unit), …
//!    └──> one value per sample type, perhaps a time
//! ```
//! **A location is an address, a frame is a call in the source.** One address can stand for several calls,
//! one inlined into the other, so a location has a list of frames, innermost first. This is pprof's split,
//! and it is kept because a sampler knows addresses only: stacks and samples are complete before anything
//! is symbolized, and symbolizing is [`Profile::set_frames`] once per distinct address, which no stack or
//! sample notices.
//!
//! **Stacks are a prefix tree.** A stack is a node: a location, called from a parent node. Stacks of one
//! program share most of their callers: in a service's profile a new stack of 60 frames typically adds a
//! few nodes. A parent's id is smaller than its children's, so totals are one backward pass over a column,
//! with no recursion.
//!
//! **Samples are columns**: stack, label set, values. Equal samples are one when they are added with
//! [`Profile::record`].
//!
//! # What it costs
//! On 64-bit, indexes included (they hold 6.7 to 13.3 bytes an entry): a stack node 8 bytes, and its index where it
//! branches off one that has another child already, a location 32 plus its index, a frame 12, a function 16 plus its index, a string its bytes and 11 to 18, a
//! sample with two sample types 24 (and 7 to 14 more when added by `record`), 8 more when times are kept. A
//! label set costs nothing for the samples that share it. [`Profile::heap_bytes`] tells the sum.
//!
//! # Example
//! ```
//! use perfwright_model::{LabelSetId, Profile, SampleType};
//!
//! let mut profile = Profile::new([SampleType::new("cpu", "nanoseconds")]);
//! let (main, parse) = (profile.frame_location("main"), profile.frame_location("parse"));
//! let stack = profile.intern_stack_root_first([main, parse]);
//! profile.record(stack, LabelSetId::EMPTY, &[10_000_000]);
//! profile.record(stack, LabelSetId::EMPTY, &[10_000_000]);
//!
//! assert_eq!(profile.sample_count(), 1);
//! assert_eq!(profile.total(0), 20_000_000);
//! let leaf = profile.stack(profile.sample(0).stack).next().unwrap();
//! assert_eq!(profile.function_name(profile.frames(leaf)[0].function), "parse");
//! ```
#![forbid(unsafe_code)]

mod ids;
mod index;
mod merge;
mod order;
mod profile;
mod samples;
mod strings;
mod types;

pub use ids::{FunctionId, LabelSetId, LocationId, MappingId, StackId, StringId};
pub use merge::{Importer, MergeError};
pub use order::{ordered, sort_ids};
pub use profile::Profile;
pub use types::{
    Frame, Function, Label, LabelValue, Location, Mapping, Meta, Period, SampleRef, SampleType,
    StackNode, keys,
};
