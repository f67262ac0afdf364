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
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // All at once, and not by `from_utf8_lossy`, which takes several times as long: as much as all the rest.
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            warn_of_invalid(bytes, &mut warnings);
            String::from_utf8_lossy(bytes)
        }
    };
    let shape = Shape::of(&text, &mut warnings)?;
    let mut profile = Profile::new(shape.sample_types());
    let mut stacks = Stacks::default();
    for (number, line) in lines(&text) {
        let (stack, counts) = shape.split(line).ok_or_else(|| no_count(number, line))?;
        let mut values = [0; 2];
        let values = &mut values[..counts.len()];
        for (value, count) in values.iter_mut().zip(counts.iter()) {
            *value = count
                .at(shape.decimals)
                .ok_or_else(|| too_large(number, line))?;
        }
        let stack = stacks.push(&mut profile, stack, number, limits)?;
        profile.record(stack, LabelSetId::EMPTY, values);
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
    fn of(text: &str, warnings: &mut Warnings) -> Result<Self, Error> {
        let mut first = None;
        // Decimals with one count a line, and with two.
        let (mut one, mut two) = (0, Some(0));
        for (number, line) in lines(text) {
            first.get_or_insert(number);
            let (stack, last) = split_count(line).ok_or_else(|| no_count(number, line))?;
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
    fn split<'a>(&self, line: &'a str) -> Option<(&'a str, Counts)> {
        let (stack, last) = split_count(line)?;
        if !self.two_counts {
            return Some((stack, Counts::One([last])));
        }
        let (stack, first) = split_count(stack)?;
        Some((stack, Counts::Two([first, last])))
    }
}

/// A line's counts.
enum Counts {
    One([Count; 1]),
    Two([Count; 2]),
}

impl std::ops::Deref for Counts {
    type Target = [Count];

    fn deref(&self) -> &[Count] {
        match self {
            Counts::One(counts) => counts,
            Counts::Two(counts) => counts,
        }
    }
}

/// The lines that hold data, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (u64, &str)> {
    (1..)
        .zip(text.split('\n'))
        .filter(|(_, line)| !is_skipped(line))
}

/// What is no UTF-8 was replaced, which leaves lines their numbers.
fn warn_of_invalid(bytes: &[u8], warnings: &mut Warnings) {
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let is_invalid = std::str::from_utf8(line).is_err();
        if is_invalid && !is_skipped(&String::from_utf8_lossy(line)) {
            warnings.add(WarningKind::InvalidUtf8, Place::Line(number));
        }
    }
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

/// The stack of the line before: lines are sorted as a rule, so that most of a stack is the same again.
#[derive(Default)]
struct Stacks {
    text: String,
    /// Where each frame of it ends, and the stack down to there.
    frames: Vec<(usize, StackId)>,
}

impl Stacks {
    fn push(
        &mut self,
        profile: &mut Profile,
        stack: &str,
        line: u64,
        limits: &Limits,
    ) -> Result<StackId, Error> {
        if stack.is_empty() {
            return Ok(StackId::ROOT);
        }
        let mut start = self.keep(stack);
        let mut node = self.frames.last().map_or(StackId::ROOT, |frame| frame.1);
        while start <= stack.len() {
            check(
                self.frames.len() + 1,
                limits.depth,
                "frames in one stack",
                line,
            )?;
            let rest = &stack[start..];
            let end = start + rest.find(';').unwrap_or(rest.len());
            let name = match &stack[start..end] {
                "" => UNKNOWN,
                name => name,
            };
            let location = profile.frame_location(name);
            node = profile.push_stack(node, location);
            self.frames.push((end, node));
            start = end + 1;
        }
        self.text.clear();
        self.text.push_str(stack);
        let nodes = profile.stack_count() - 1;
        check(nodes, limits.stack_nodes, "nodes in the stack tree", line)?;
        let names = profile.location_count();
        check(names, limits.locations, "different frames", line)?;
        Ok(node)
    }

    /// Keeps the frames that `stack` begins with; where the first other one begins, which is beyond the end if
    /// there is none.
    fn keep(&mut self, stack: &str) -> usize {
        let common = common_prefix(self.text.as_bytes(), stack.as_bytes());
        // A frame is the same if both end it there.
        let ends = |text: &str, end: usize| matches!(text.as_bytes().get(end), None | Some(b';'));
        let is_kept = |&(end, _): &(usize, StackId)| end < common;
        let mut kept = self.frames.partition_point(is_kept);
        if let Some(&(end, _)) = self.frames.get(kept)
            && end == common
            && ends(stack, end)
            && ends(&self.text, end)
        {
            kept += 1;
        }
        self.frames.truncate(kept);
        self.frames.last().map_or(0, |frame| frame.0 + 1)
    }
}

/// How many bytes two texts begin with in common.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    const BLOCK: usize = 16;
    let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK));
    let same = BLOCK * blocks.take_while(|(a, b)| a == b).count();
    let rest = a[same..].iter().zip(&b[same..]);
    same + rest.take_while(|(a, b)| a == b).count()
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
