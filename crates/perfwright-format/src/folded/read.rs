//! Parsing folded stacks, in one pass.

use perfwright_model::{LabelSetId, Profile, SampleType};

use super::{
    count::{Count, MAX_DECIMALS, unit},
    stacks::{Stacks, check},
};
use crate::{Error, ErrorKind, Format, Limits, Place, Read, WarningKind, scan, warning::Warnings};

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
    let text = without_mark(bytes);
    let two_counts = have_two_counts(text.split(|&byte| byte == b'\n'));
    let mut parser = Parser::new(limits, two_counts);
    parser.push(bytes)?;
    parser.finish()
}

/// Text that comes in pieces, parsed as it comes: in the end it is not there as a whole.
#[derive(Debug)]
pub(crate) struct Pieces {
    /// All there is while each line so far has two counts: the next may show that the first of them ends a name.
    held: Vec<u8>,
    /// How many bytes of it are lines that were looked at.
    seen: usize,
    parser: Option<Parser>,
    limits: Limits,
}

impl Pieces {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            held: Vec::new(),
            seen: 0,
            parser: None,
            limits: limits.clone(),
        }
    }

    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), Error> {
        if let Some(parser) = &mut self.parser {
            return parser.push(piece);
        }
        self.held.extend_from_slice(piece);
        let unseen = &self.held[self.seen..];
        let Some(end) = unseen.iter().rposition(|&byte| byte == b'\n') else {
            return Ok(());
        };
        let lines = match self.seen {
            0 => without_mark(&unseen[..end]),
            _ => &unseen[..end],
        };
        let two_counts = have_two_counts(lines.split(|&byte| byte == b'\n'));
        self.seen += end + 1;
        if !two_counts {
            let parser = self.parser.insert(Parser::new(&self.limits, false));
            parser.push(&std::mem::take(&mut self.held))?;
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Read, Error> {
        match self.parser {
            Some(parser) => parser.finish(),
            None => parse(&self.held, &self.limits),
        }
    }
}

/// Whether all lines that hold data end in two counts behind a stack; looks no further than to the first that does not.
fn have_two_counts<'a>(lines: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut texts = lines.map(String::from_utf8_lossy);
    texts.all(|line| {
        let counts = split_count(&line).and_then(|(stack, _)| split_count(stack));
        is_skipped(&line) || counts.is_some_and(|(stack, _)| !stack.is_empty())
    })
}

/// Parses lines, whatever pieces they come in.
#[derive(Debug)]
struct Parser {
    profile: Profile,
    limits: Limits,
    stacks: Stacks,
    /// The beginning of a line whose end is still to come.
    begun: Vec<u8>,
    /// How many lines there were.
    number: u64,
    /// The first line that holds data.
    first: Option<u64>,
    /// Every line has two counts.
    two_counts: bool,
    /// As many as the count with the most has, so far.
    decimals: u32,
    /// By the number of decimals, the error of the first line whose count would be too large with so many.
    too_large: [Option<Error>; MAX_DECIMALS as usize + 1],
    invalid: Warnings,
    rounded: Warnings,
}

impl Parser {
    fn new(limits: &Limits, two_counts: bool) -> Self {
        let kinds: &[&str] = match two_counts {
            true => &["baseline", "candidate"],
            false => &["samples"],
        };
        let types = kinds.iter().map(|kind| SampleType::new(*kind, unit(0)));
        Self {
            profile: Profile::new(types),
            limits: limits.clone(),
            stacks: Stacks::default(),
            begun: Vec::new(),
            number: 0,
            first: None,
            two_counts,
            decimals: 0,
            too_large: Default::default(),
            invalid: Warnings::default(),
            rounded: Warnings::default(),
        }
    }

    fn push(&mut self, mut piece: &[u8]) -> Result<(), Error> {
        if !self.begun.is_empty() {
            let Some(end) = scan::find(b'\n', piece) else {
                self.begun.extend_from_slice(piece);
                return Ok(());
            };
            let mut line = std::mem::take(&mut self.begun);
            line.extend_from_slice(&piece[..end]);
            let common = self.stacks.common(&line);
            self.line(&line, common)?;
            piece = &piece[end + 1..];
        }
        loop {
            // No line ends within what it has in common with a stack.
            let common = self.stacks.common(piece);
            let Some(end) = scan::find(b'\n', &piece[common..]) else {
                self.begun.extend_from_slice(piece);
                return Ok(());
            };
            self.line(&piece[..common + end], common)?;
            piece = &piece[common + end + 1..];
        }
    }

    fn finish(mut self) -> Result<Read, Error> {
        let last = std::mem::take(&mut self.begun);
        let common = self.stacks.common(&last);
        self.line(&last, common)?;
        if let Some(error) = self.too_large[self.decimals as usize].take() {
            return Err(error);
        }
        let first = self.first.ok_or_else(nothing)?;
        let mut warnings = self.invalid.into_vec();
        warnings.append(&mut self.rounded.into_vec());
        if self.two_counts {
            let mut two = Warnings::default();
            two.add(WarningKind::TwoCounts, Place::Line(first));
            warnings.append(&mut two.into_vec());
        }
        Ok(Read {
            profile: self.profile,
            format: Format::Folded,
            warnings,
        })
    }

    /// A line without its end, of which `common` bytes are known to begin the line before, too.
    fn line(&mut self, line: &[u8], common: usize) -> Result<(), Error> {
        self.number += 1;
        let line = if self.number == 1 {
            without_mark(line)
        } else {
            line
        };
        let kept = self.stacks.keep(common);
        // What comes before was looked at in the line before.
        match std::str::from_utf8(&line[kept..]) {
            Ok(rest) => self.rest(line, kept, rest),
            Err(_) => self.invalid_line(&String::from_utf8_lossy(line)),
        }
    }

    /// A line of which what is no UTF-8 was replaced.
    #[cold]
    fn invalid_line(&mut self, line: &str) -> Result<(), Error> {
        if !is_skipped(line) {
            let place = Place::Line(self.number);
            self.invalid.add(WarningKind::InvalidUtf8, place);
        }
        let kept = self.stacks.keep(self.stacks.common(line.as_bytes()));
        self.rest(line.as_bytes(), kept, &line[kept..])
    }

    /// What follows the frames that were kept. A count is in it: none holds a `;`.
    fn rest(&mut self, line: &[u8], kept: usize, rest: &str) -> Result<(), Error> {
        if kept == 0 && is_skipped(rest) {
            return Ok(());
        }
        let number = self.number;
        self.first.get_or_insert(number);
        let no_count = || no_count(number, &String::from_utf8_lossy(line));
        let (mut stack, last) = split_count(rest).ok_or_else(no_count)?;
        let mut counts = [last, last];
        let mut values = [0; 2];
        let width = 1 + usize::from(self.two_counts);
        if self.two_counts {
            (stack, counts[0]) = split_count(stack).ok_or_else(no_count)?;
        }
        if last.rounded {
            let place = Place::Line(number);
            self.rounded.add(WarningKind::CountRounded, place);
        }
        let decimals = last.decimals.max(counts[0].decimals);
        if decimals > self.decimals {
            self.refine(decimals);
        }
        for (value, count) in values.iter_mut().zip(counts) {
            *value = self.value(count, line);
        }
        let stack = (self.stacks).push(&mut self.profile, kept, stack, number, &self.limits)?;
        (self.profile).record(stack, LabelSetId::EMPTY, &values[..width]);
        let samples = self.profile.sample_count();
        check(samples, self.limits.samples, "stacks", number)
    }

    /// A count in the unit that all have so far.
    fn value(&mut self, count: Count, line: &[u8]) -> i64 {
        if count.is_large() {
            let error = || too_large(self.number, &String::from_utf8_lossy(line));
            for (decimals, known) in (0..).zip(&mut self.too_large) {
                if known.is_none() && count.at(decimals).is_none() {
                    *known = Some(error());
                }
            }
        }
        // What is too large is an error in the end.
        count.at(self.decimals).unwrap_or(0)
    }

    /// Counts from here on have so many decimals, and those before are made to.
    #[cold]
    fn refine(&mut self, decimals: u32) {
        let factor = 10_i64.pow(decimals - self.decimals);
        for position in 0..self.profile.sample_types().len() {
            self.profile.rescale(position, factor, &unit(decimals));
        }
        self.decimals = decimals;
    }
}

fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
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

#[cfg(test)]
mod tests {
    use perfwright_model::SampleRef;

    use super::*;

    /// All that a reader of a profile sees, or the error.
    type Told = Result<(Vec<String>, Vec<crate::Warning>), Error>;

    fn told(read: Result<Read, Error>) -> Told {
        read.map(
            |Read {
                 profile, warnings, ..
             }| {
                let stack = |sample: SampleRef<'_>| -> Vec<String> {
                    let locations = profile.stack(sample.stack);
                    let name = |location| {
                        profile
                            .function_name(profile.frames(location)[0].function)
                            .to_owned()
                    };
                    locations.map(name).collect()
                };
                let types = profile.sample_types().iter().map(|ty| format!("{ty:?}"));
                let samples = profile
                    .samples()
                    .map(|sample| format!("{:?} {:?}", stack(sample), sample.values));
                let nodes = format!(
                    "{} nodes, {} locations",
                    profile.stack_count(),
                    profile.location_count()
                );
                (types.chain(samples).chain([nodes]).collect(), warnings)
            },
        )
    }

    fn in_pieces(bytes: &[u8], mut len: impl FnMut() -> usize, limits: &Limits) -> Told {
        let mut pieces = Pieces::new(limits);
        let mut rest = bytes;
        let pushed = loop {
            let (piece, others) = rest.split_at(len().min(rest.len()));
            if let Err(error) = pieces.push(piece) {
                break Err(error);
            }
            rest = others;
            if rest.is_empty() {
                break Ok(());
            }
        };
        told(pushed.and_then(|()| pieces.finish()))
    }

    /// Xorshift*: repeatable everywhere.
    fn random(state: &mut u64, below: usize) -> usize {
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
    }

    /// Lines that have much in common, and all that can be wrong with lines.
    fn text(state: &mut u64) -> Vec<u8> {
        const FRAMES: [&[u8]; 9] = [
            b"main",
            b"a",
            b"aa",
            b"b 1",
            b"",
            "\u{e4}".as_bytes(),
            "\u{e8} ".as_bytes(),
            b"\xff",
            b"# c",
        ];
        const COUNTS: [&[u8]; 14] = [
            b" 1",
            b" 2",
            b" 3 4",
            b"\t5",
            b" 0.5",
            b" 1.25",
            b" -7 ",
            b" 1 1.5",
            b" 0.33333333",
            b"",
            b" 92233720368547758",
            b" 9223372036854775807",
            b" 9 \xc3\xa4",
            b" 6\r",
        ];
        // Mostly counts of one kind.
        let (some, odd) = (random(state, COUNTS.len()), random(state, 20));
        let mut text = if random(state, 9) == 0 {
            b"\xef\xbb\xbf".to_vec()
        } else {
            Vec::new()
        };
        for _ in 0..random(state, 12) {
            for depth in 0..random(state, 6) {
                if depth > 0 {
                    text.push(b';');
                }
                text.extend(FRAMES[random(state, FRAMES.len())]);
            }
            let count = if random(state, 20) < odd {
                random(state, COUNTS.len())
            } else {
                some
            };
            text.extend(COUNTS[count]);
            text.push(b'\n');
        }
        if random(state, 3) == 0 {
            text.pop();
        }
        text
    }

    #[test]
    fn pieces_are_read_as_the_whole() {
        let (mut state, mut read) = (0x5eed_5eed, 0);
        let limits = Limits {
            stack_nodes: 25,
            ..Limits::default()
        };
        for _ in 0..20_000 {
            let text = text(&mut state);
            let whole = told(parse(&text, &limits));
            read += u32::from(whole.is_ok());
            let most = 1 + random(&mut state, 40);
            let pieces = in_pieces(&text, || random(&mut state, most + 1), &limits);
            assert_eq!(pieces, whole, "{:?}", String::from_utf8_lossy(&text));
        }
        assert!(
            (2_000..18_000).contains(&read),
            "{read} of 20000 are profiles"
        );
    }
}
