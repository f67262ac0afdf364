//! Parsing folded stacks.

use std::borrow::Cow;

use perfwright_model::{LabelSetId, Profile, SampleType, StackId};

use super::{
    UNKNOWN,
    count::{Count, unit},
};
use crate::{
    Error, ErrorKind, Format, Limits, Place, Read, WarningKind, limits::too_many, warning::Warnings,
};

/// How much of a bad line an error shows.
const SHOWN_CHARS: usize = 60;

/// At least half of the first lines that hold data end in a count: a bad one among them is an error with its line.
pub(crate) fn looks_folded(text: &str) -> bool {
    let first = text.lines().filter(|line| !is_skipped(line)).take(20);
    let (lines, counts) = first.fold((0, 0), |(lines, counts), line| {
        (lines + 1, counts + u32::from(split_count(line).is_some()))
    });
    lines > 0 && counts * 2 >= lines
}

/// Parses text that is not compressed.
pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let mut warnings = Warnings::default();
    let shape = Shape::of(bytes, &mut warnings)?;
    let mut profile = Profile::new(shape.sample_types());
    for (number, line) in lines(bytes) {
        let (stack, counts) = shape.split(&line).ok_or_else(|| no_count(number, &line))?;
        let values = counts
            .iter()
            .map(|count| count.at(shape.decimals))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| too_large(number, &line))?;
        let stack = push_stack(&mut profile, stack, number, limits)?;
        profile.record(stack, LabelSetId::EMPTY, &values);
        check(profile.sample_count(), limits.samples, "stacks", number)?;
    }
    Ok(Read {
        profile,
        format: Format::Folded,
        warnings: warnings.into_vec(),
    })
}

/// What all lines have in common, found in a first pass.
struct Shape {
    /// Every line has two counts.
    two_counts: bool,
    /// As many as the count with the most has.
    decimals: u32,
}

impl Shape {
    fn of(bytes: &[u8], warnings: &mut Warnings) -> Result<Self, Error> {
        let mut first = None;
        // Decimals with one count a line, and with two.
        let (mut one, mut two) = (0, Some(0));
        for (number, line) in lines(bytes) {
            first.get_or_insert(number);
            let (stack, last) = split_count(&line).ok_or_else(|| no_count(number, &line))?;
            if matches!(line, Cow::Owned(_)) {
                warnings.add(WarningKind::InvalidUtf8, Place::Line(number));
            }
            if last.rounded {
                warnings.add(WarningKind::CountRounded, Place::Line(number));
            }
            one = last.decimals.max(one);
            two = two.and_then(|decimals: u32| {
                let (_, other) = split_count(stack).filter(|(stack, _)| !stack.is_empty())?;
                Some(decimals.max(other.decimals))
            });
        }
        let first = first.ok_or_else(nothing)?;
        if two.is_some() {
            warnings.add(WarningKind::TwoCounts, Place::Line(first));
        }
        Ok(Self {
            two_counts: two.is_some(),
            decimals: two.unwrap_or(0).max(one),
        })
    }

    fn sample_types(&self) -> Vec<SampleType> {
        let kinds: &[&str] = match self.two_counts {
            true => &["baseline", "candidate"],
            false => &["samples"],
        };
        kinds
            .iter()
            .map(|kind| SampleType::new(*kind, unit(self.decimals)))
            .collect()
    }

    /// A line's stack and counts.
    fn split<'a>(&self, line: &'a str) -> Option<(&'a str, Vec<Count>)> {
        let (stack, last) = split_count(line)?;
        if !self.two_counts {
            return Some((stack, vec![last]));
        }
        let (stack, first) = split_count(stack)?;
        Some((stack, vec![first, last]))
    }
}

/// The lines that hold data, with their numbers.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (u64, Cow<'_, str>)> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    (1..)
        .zip(bytes.split(|&byte| byte == b'\n'))
        .map(|(number, line)| (number, String::from_utf8_lossy(line)))
        .filter(|(_, line)| !is_skipped(line))
}

fn is_skipped(line: &str) -> bool {
    let line = line.trim_end();
    line.is_empty() || line == "#" || line.starts_with("# ")
}

/// Splits at the last blank, if a count follows it.
fn split_count(line: &str) -> Option<(&str, Count)> {
    let (stack, count) = line.trim_end().rsplit_once([' ', '\t'])?;
    Some((stack.trim_end(), Count::parse(count)?))
}

fn push_stack(
    profile: &mut Profile,
    stack: &str,
    line: u64,
    limits: &Limits,
) -> Result<StackId, Error> {
    if stack.is_empty() {
        return Ok(StackId::ROOT);
    }
    let mut node = StackId::ROOT;
    for (depth, name) in (1..).zip(stack.split(';')) {
        check(depth, limits.depth, "frames in one stack", line)?;
        let location = profile.frame_location(if name.is_empty() { UNKNOWN } else { name });
        node = profile.push_stack(node, location);
    }
    let nodes = profile.stack_count() - 1;
    check(nodes, limits.stack_nodes, "nodes in the stack tree", line)?;
    let names = profile.location_count();
    check(names, limits.locations, "different frames", line)?;
    Ok(node)
}

fn check(count: usize, limit: usize, what: &str, line: u64) -> Result<(), Error> {
    if count <= limit {
        return Ok(());
    }
    Err(too_many("folded stacks", Place::Line(line), what, limit))
}

fn nothing() -> Error {
    let message = "no line holds a stack: nothing was recorded, or a filter left nothing";
    Error::new(ErrorKind::Empty, "folded stacks", Place::Whole, message)
}

fn no_count(number: u64, line: &str) -> Error {
    let message = format!(
        "`{}` does not end in a count: write each stack as `root;caller;leaf 12`",
        shortened(line)
    );
    let place = Place::Line(number);
    Error::new(ErrorKind::Malformed, "folded stacks", place, message)
}

fn too_large(number: u64, line: &str) -> Error {
    let message = format!(
        "the count of `{}` is too large: write it in a larger unit",
        shortened(line)
    );
    let place = Place::Line(number);
    Error::new(ErrorKind::Limit, "folded stacks", place, message)
}

/// The end of a line, which is where the count should be, without control characters.
fn shortened(line: &str) -> String {
    let line = line.trim_end();
    let start = line
        .char_indices()
        .rev()
        .nth(SHOWN_CHARS - 1)
        .map_or(0, |(start, _)| start);
    let ellipsis = if start > 0 { "…" } else { "" };
    let shown: String = line[start..]
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    format!("{ellipsis}{shown}")
}
