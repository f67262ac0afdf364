//! How much of an input is read.

use crate::{Error, ErrorKind, Place};

/// The most that a reader takes. What is above is an error of kind [`ErrorKind::Limit`], found before the
/// memory for it is taken.
///
/// Every table is limited, so that no input makes reading take more than a few GiB by default. An honest
/// profile takes two to four times its decompressed size.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes after decompression. More than 1 GiB counts as 1 GiB, for the model's text is below 4 GiB.
    pub bytes: usize,
    /// Strings of the file's string table.
    pub strings: usize,
    /// Sample types.
    pub sample_types: usize,
    /// Mappings.
    pub mappings: usize,
    /// Functions.
    pub functions: usize,
    /// Locations.
    pub locations: usize,
    /// Frames of all locations together.
    pub frames: usize,
    /// Samples.
    pub samples: usize,
    /// Values of all samples together: samples times sample types.
    pub values: usize,
    /// Labels of one sample.
    pub labels_per_sample: usize,
    /// Labels of all distinct sets of labels together.
    pub labels: usize,
    /// Locations of one stack.
    pub depth: usize,
    /// Nodes of the stack tree: what all stacks have together, shared callers counted once.
    pub stack_nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 512 << 20,
            strings: 16 << 20,
            sample_types: 64,
            mappings: 32 << 10,
            functions: 8 << 20,
            locations: 16 << 20,
            frames: 32 << 20,
            samples: 16 << 20,
            values: 64 << 20,
            labels_per_sample: 1 << 10,
            labels: 32 << 20,
            depth: 64 << 10,
            stack_nodes: 32 << 20,
        }
    }
}

impl Limits {
    /// The limit on bytes that is in force.
    pub(crate) fn max_bytes(&self) -> usize {
        self.bytes.min(1 << 30)
    }

    pub(crate) fn check_len(&self, len: usize) -> Result<(), Error> {
        if len <= self.max_bytes() {
            return Ok(());
        }
        Err(too_many(
            "the input",
            Place::Whole,
            "bytes",
            self.max_bytes(),
        ))
    }
}

/// The error for one more than `limit` of `what`.
pub(crate) fn too_many(subject: &'static str, place: Place, what: &str, limit: usize) -> Error {
    let message = format!(
        "more than {limit} {what}: raise the limit if the file is to be trusted, else record less at a time"
    );
    Error::new(ErrorKind::Limit, subject, place, message)
}
