//! What a file says that the profile cannot keep.

use std::fmt;

use crate::Place;

/// Something that was changed or left out while reading, with how often and where first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Warning {
    /// What happened.
    pub kind: WarningKind,
    /// How often.
    pub count: u64,
    /// Where for the first time.
    pub first: Place,
}

/// The kinds of [`Warning`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum WarningKind {
    /// A text was not UTF-8: U+FFFD stands for the bytes that were not.
    InvalidUtf8,
    /// A line or column below 0 or above 4,294,967,295 was taken as unknown.
    LineOutOfRange,
    /// A line of a location named no function and was left out.
    LineWithoutFunction,
    /// The default sample type is none of the profile's sample types.
    UnknownDefaultSampleType,
    /// A count had more than six decimals and was rounded.
    CountRounded,
    /// Every line ends in two numbers: they were taken as baseline and candidate.
    TwoCounts,
    /// A begin has no end, or an end no begin.
    Unbalanced,
    /// A part of the file holds no samples (markers, counters, allocations, events beside samples) and was left out.
    LeftOut,
    /// A line has no form that the format knows, and was skipped.
    UnknownLine,
    /// A sample or a caller is missing: the recorder's buffer was too small.
    Lost,
    /// The file tells who calls whom, not the stacks: these are an estimate.
    CallGraph,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            WarningKind::InvalidUtf8 => "text that is not UTF-8, kept with U+FFFD in it",
            WarningKind::LineOutOfRange => "line or column number out of range, taken as unknown",
            WarningKind::LineWithoutFunction => "line of a location without a function, left out",
            WarningKind::UnknownDefaultSampleType => {
                "default sample type that the file does not have"
            }
            WarningKind::CountRounded => "count with more than six decimals, rounded",
            WarningKind::TwoCounts => "two counts on every line, taken as baseline and candidate",
            WarningKind::Unbalanced => "begin without an end, or end without a begin",
            WarningKind::LeftOut => {
                "markers, counters, events or allocations, which are no samples, left out"
            }
            WarningKind::UnknownLine => "line of no known form, skipped",
            WarningKind::Lost => "sample or caller that the file lost, left out",
            WarningKind::CallGraph => "costs of calls without stacks, which were estimated",
        };
        write!(f, "{}: {what}", self.first)?;
        match self.count {
            1 => Ok(()),
            count => write!(f, " ({count} times, here first)"),
        }
    }
}

/// Gathers warnings: one entry a kind, so that a hostile file cannot make them many.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Vec<Warning>);

impl Warnings {
    pub(crate) fn add(&mut self, kind: WarningKind, place: Place) {
        match self.0.iter_mut().find(|warning| warning.kind == kind) {
            Some(warning) => warning.count += 1,
            None => self.0.push(Warning {
                kind,
                count: 1,
                first: place,
            }),
        }
    }

    pub(crate) fn into_vec(self) -> Vec<Warning> {
        self.0
    }
}
