//! Flamegraphs of a profile as SVG: one file that every browser opens, with zoom and search inside.
//!
//! You give a [`Profile`] and [`Options`]; [`write_svg`] draws one profile, [`write_diff_svg`] two of them
//! laid over each other. What comes back is a [`Summary`] of what was drawn and what was too small for it.
//!
//! # What you see
//! A box is a function as it was called from the boxes below it, as wide as its share of all samples. Siblings
//! stand heaviest first. Functions that were inlined have boxes of their own. Colours tell whose code it is,
//! and are the same in every flamegraph: orange for your own crates, one hue for each dependency, grey-blue
//! for the standard library, sand for code that is not Rust, grey for what is no code.
//!
//! # What is left out
//! Boxes are dropped, the narrowest first, until the file keeps to [`Options::max_bytes`]. What was dropped
//! from a box stands in it as one box `(12 small frames)`, so it is not taken for time of the caller's own.
//! The subtitle and the summary tell the share. Names are shortened for display
//! ([`short_name`](perfwright_analyze::short_name)), and characters that XML forbids are replaced.
//!
//! # In a difference
//! Widths are the candidate's. Red boxes cost more themselves than in the baseline, blue ones less, white
//! ones the same; what they called has colours of its own. Functions that the candidate does not have take
//! no width; the subtitle says how much of the baseline they were.
#![forbid(unsafe_code)]

mod color;
mod flame;
mod label;
mod select;
mod svg;
mod words;

use std::{fmt, io};

use perfwright_analyze::{CallTree, DiffError, DiffTree, TreeBuilder, common_sample_type};
use perfwright_model::Profile;

use crate::color::Palette;
use crate::flame::Flame;
use crate::label::Names;
use crate::words::Words;

/// How to draw. Start from the default.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The title; without one, what was measured and how much of it.
    pub title: Option<String>,
    /// What to say first below the title, before what is always said there.
    pub subtitle: Option<String>,
    /// The kind of sample type to draw, such as `cpu` or `samples`; without one, the profile's default.
    pub sample_type: Option<String>,
    /// The share of all samples below which a box is dropped, from 0 to 1. By default 0.0001: an eighth of a
    /// pixel on a screen of 1200.
    pub min_share: f64,
    /// The greatest size of the file, in bytes. The program inside takes 25 kB. By default 5,000,000.
    pub max_bytes: usize,
    /// Which way calls go.
    pub direction: Direction,
    /// Merge from the functions that ran, with their callers on top of them.
    pub from_leaves: bool,
    /// A label whose values stand below everything else: `thread`, `route`. Not in a difference.
    pub group_by: Option<String>,
    /// Names in full instead of shortened.
    pub full_names: bool,
    /// Crates to colour as your own besides those that the source paths tell.
    pub own_crates: Vec<String>,
    /// How a difference makes up for profiles of different size.
    pub normalize: Normalize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            title: None,
            subtitle: None,
            sample_type: None,
            min_share: 0.0001,
            max_bytes: 5_000_000,
            direction: Direction::Up,
            from_leaves: false,
            group_by: None,
            full_names: false,
            own_crates: Vec::new(),
            normalize: Normalize::Total,
        }
    }
}

/// Which way calls go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Direction {
    /// Callers at the bottom: flames.
    #[default]
    Up,
    /// Callers at the top: icicles.
    Down,
}

/// How a difference makes up for profiles of different size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Normalize {
    /// By the sum of all samples: compares where the time went.
    #[default]
    Total,
    /// By the duration of the profiles: compares how much was used, for runs under the same load. Like
    /// [`Normalize::No`] where a duration is unknown.
    Duration,
    /// Not at all.
    No,
}

/// What was drawn.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Boxes that stand for a function.
    pub frames: usize,
    /// Boxes that were too small.
    pub pruned_frames: usize,
    /// The share of all samples in the boxes that were too small, from 0 to 1.
    pub pruned_share: f64,
    /// In a difference: the share of the baseline in functions that the candidate does not have there.
    pub gone_share: f64,
    /// The size of the SVG, in bytes.
    pub bytes: usize,
}

/// Why there is no flamegraph.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The profile has no such sample type.
    NoSampleType {
        /// The kind that was asked for.
        wanted: String,
        /// The kinds that the profile has.
        present: Vec<String>,
    },
    /// The two profiles cannot be compared.
    Diff(DiffError),
    /// The SVG could not be made or written.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSampleType { wanted, present } => write!(
                f,
                "draw a flamegraph: the profile has no sample type {wanted:?}, choose one of {}",
                present.join(", ")
            ),
            Self::Diff(error) => error.fmt(f),
            Self::Io(error) => write!(f, "write a flamegraph: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoSampleType { .. } => None,
            Self::Diff(error) => Some(error),
            Self::Io(error) => Some(error),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<DiffError> for Error {
    fn from(error: DiffError) -> Self {
        Self::Diff(error)
    }
}

/// Draws a profile. One without samples gives an SVG that says so, and a summary of zeroes.
///
/// # Errors
/// If the sample type that was asked for is not there, or writing fails.
pub fn write_svg(
    profile: &Profile,
    options: &Options,
    mut out: impl io::Write,
) -> Result<Summary, Error> {
    let Some(sample_type) = chosen_sample_type(profile, options)? else {
        return write_empty(options, out);
    };
    let names = Names::new(options.full_names);
    let rename = |name: &str| names.label(name);
    let builder = CallTree::builder(profile, sample_type).from_leaves(options.from_leaves);
    let tree = grouped(builder, options).rename(&rename).build();
    let flame = Flame::of_tree(&tree, |symbols| Palette::new(symbols, &names, options));
    if flame.width() == 0 {
        return write_empty(options, out);
    }
    let words = Words::of_profile(profile, sample_type, options);
    let (svg, summary) = svg::render(&flame, &words, options)?;
    out.write_all(&svg)?;
    Ok(summary)
}

/// Draws what changed from a baseline to a candidate.
///
/// # Errors
/// If the profiles do not both have the sample type, or writing fails.
pub fn write_diff_svg(
    baseline: &Profile,
    candidate: &Profile,
    options: &Options,
    mut out: impl io::Write,
) -> Result<Summary, Error> {
    let kind = options.sample_type.as_deref();
    let (first, second) = common_sample_type(baseline, candidate, kind)?;
    let names = Names::new(options.full_names);
    let rename = |name: &str| names.label(name);
    let tree = |profile, sample_type| {
        let builder: TreeBuilder = CallTree::builder(profile, sample_type);
        builder
            .from_leaves(options.from_leaves)
            .rename(&rename)
            .build()
    };
    let merged = DiffTree::new(&tree(baseline, first), &tree(candidate, second));
    let words = Words::of_diff(baseline, candidate, [first, second], options);
    let flame = Flame::of_diff(&merged, words.baseline_factor());
    if flame.width() == 0 {
        return write_empty(options, out);
    }
    let (svg, summary) = svg::render(&flame, &words, options)?;
    out.write_all(&svg)?;
    Ok(summary)
}

fn grouped<'a>(builder: TreeBuilder<'a>, options: &'a Options) -> TreeBuilder<'a> {
    match &options.group_by {
        Some(key) => builder.group_by(key),
        None => builder,
    }
}

fn chosen_sample_type(profile: &Profile, options: &Options) -> Result<Option<usize>, Error> {
    let Some(kind) = &options.sample_type else {
        return Ok(profile.default_sample_type());
    };
    let found = profile.find_sample_type(kind);
    let types = profile.sample_types().iter();
    found.map(Some).ok_or_else(|| Error::NoSampleType {
        wanted: kind.clone(),
        present: types.map(|sample_type| sample_type.kind.clone()).collect(),
    })
}

fn write_empty(options: &Options, mut out: impl io::Write) -> Result<Summary, Error> {
    let svg = svg::empty(options);
    out.write_all(svg.as_bytes())?;
    Ok(Summary {
        bytes: svg.len(),
        ..Summary::default()
    })
}
