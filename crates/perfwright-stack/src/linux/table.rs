//! The compact unwind table of one module: what `.eh_frame` says, reduced to five bytes a row.
//!
//! `.eh_frame` is a program per function that has to be run to know anything; a signal handler
//! can't do that. So it is run once, off the hot path, and what a stack walk needs of each row is
//! kept: where it starts, and which of a few hundred distinct rules holds from there. (Linux's ORC
//! unwinder is built on the same thought.)

use super::rule::{Registers, Rule};
use gimli::{
    BaseAddresses, CieOrFde, CommonInformationEntry, EhFrame, EndianSlice, NativeEndian,
    UnwindContext, UnwindSection,
};
use std::collections::HashMap;
use std::ops::Range;

/// Code is judged in blocks of this many bytes (as a power of two) by the bitmap of framed code.
/// Tuned on a service of 30,000 functions: 256 bytes make the bitmap 1/2,048 of the code, and one
/// assembly function spoils few neighbours.
const BLOCK_SHIFT: u32 = 8;
/// Rows are found by the page of code they are in (as a power of two of bytes), then by binary
/// search. Tuned on a program without frame pointers: a frame costs 34 ns with pages of 512 bytes,
/// 47 ns with 4,096; the index costs 1/128 of the code's size.
const PAGE_SHIFT: u32 = 9;
/// A gap between two functions below this many bytes is padding: whatever is said of it is never
/// asked.
const PADDING_BYTES: u32 = 16;
/// Stands for any rule that isn't among the 255 commonest.
const RARE: u8 = u8::MAX;
/// More rows than any real program has (20 MB of table): a bound for corrupt input.
const MAX_ROWS: usize = 4 << 20;

/// What the table is built from; addresses are SVMAs (as stated in the file).
pub(crate) struct EhFrameInput<'a> {
    pub(crate) eh_frame: &'a [u8],
    pub(crate) eh_frame_svma: u64,
    pub(crate) eh_frame_hdr_svma: u64,
    /// All executable segments; functions outside (discarded by the linker) are ignored.
    pub(crate) code_svma: Range<u64>,
}

/// Rules by address, relative to the start of the module's code.
#[derive(Debug, Default)]
pub(crate) struct UnwindTable {
    /// Where each row starts; ascending.
    starts: Box<[u32]>,
    /// For each page of code, how many rows start before it: bounds the search to a few cache
    /// lines.
    pages: Box<[u32]>,
    /// Index into `rules` for each row; [`RARE`] says to look in `rare`.
    ids: Box<[u8]>,
    /// Row and index of its rule, for the few rows whose rule isn't among the 255 commonest;
    /// ascending.
    rare: Box<[(u32, u16)]>,
    /// The commonest first.
    rules: Box<[Rule]>,
    /// One bit a block: every function in it sets up a frame pointer.
    framed: Box<[u64]>,
    functions: u32,
    framed_functions: u32,
}

impl UnwindTable {
    /// Runs all of `.eh_frame`. What can't be read ends as [`Rule::Unknown`]; nothing fails.
    pub(crate) fn build(input: &EhFrameInput<'_>, registers: Registers) -> UnwindTable {
        let mut builder = Builder::new(input.code_svma.clone(), registers);
        builder.read(input);
        builder.finish()
    }

    /// The rule at a relative address.
    #[inline]
    pub(crate) fn rule(&self, relative: u32) -> Rule {
        let page = (relative >> PAGE_SHIFT) as usize;
        let before = |page: usize| self.pages.get(page).map(|rows| *rows as usize);
        let (first, end) = match (before(page), before(page + 1)) {
            (Some(first), Some(end)) => (first, end),
            _ => return Rule::Unknown,
        };
        let rows = self.starts.get(first..end).unwrap_or_default();
        let after = first + rows.partition_point(|start| *start <= relative);
        let rule = after.checked_sub(1).and_then(|row| self.row_rule(row));
        rule.unwrap_or(Rule::Unknown)
    }

    #[inline]
    fn row_rule(&self, row: usize) -> Option<Rule> {
        let index = match *self.ids.get(row)? {
            RARE => {
                let place = self.rare.binary_search_by_key(&row, |rare| rare.0 as usize);
                self.rare.get(place.ok()?)?.1
            }
            id => u16::from(id),
        };
        self.rules.get(usize::from(index)).copied()
    }

    /// True if every function of the block around this address sets up a frame pointer. For a
    /// return address that settles it without a search: calls are made with the frame in place,
    /// never in a prologue.
    #[inline(always)]
    pub(crate) fn is_framed_block(&self, relative: u32) -> bool {
        let block = relative >> BLOCK_SHIFT;
        match self.framed.get((block / 64) as usize) {
            Some(word) => word >> (block % 64) & 1 == 1,
            None => false,
        }
    }

    /// (functions that set up a frame pointer, all functions)
    pub(crate) fn functions(&self) -> (u32, u32) {
        (self.framed_functions, self.functions)
    }

    pub(crate) fn rows(&self) -> usize {
        self.starts.len()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.starts)
            + size_of_val(&*self.pages)
            + size_of_val(&*self.ids)
            + size_of_val(&*self.rare)
            + size_of_val(&*self.rules)
            + size_of_val(&*self.framed)
    }
}

type Slice<'a> = EndianSlice<'a, NativeEndian>;

struct Builder {
    code: Range<u64>,
    registers: Registers,
    /// `start << 16 | rule`: sorts by address, and [`Rule::Unknown`] (0) before a rule for the same
    /// address.
    rows: Vec<u64>,
    rules: Vec<Rule>,
    ids: HashMap<Rule, u16>,
    framed_blocks: Vec<u64>,
    other_blocks: Vec<u64>,
    functions: u32,
    framed_functions: u32,
}

impl Builder {
    fn new(code: Range<u64>, registers: Registers) -> Builder {
        let length = u32::try_from(code.end.saturating_sub(code.start)).unwrap_or(u32::MAX);
        let words = (length >> BLOCK_SHIFT) as usize / 64 + 1;
        Builder {
            code,
            registers,
            rows: Vec::new(),
            rules: vec![Rule::Unknown],
            ids: HashMap::from([(Rule::Unknown, 0)]),
            framed_blocks: vec![0; words],
            other_blocks: vec![0; words],
            functions: 0,
            framed_functions: 0,
        }
    }

    fn read(&mut self, input: &EhFrameInput<'_>) {
        let mut section = EhFrame::new(input.eh_frame, NativeEndian);
        section.set_address_size(8);
        if cfg!(target_arch = "aarch64") {
            section.set_vendor(gimli::Vendor::AArch64);
        }
        let bases = BaseAddresses::default()
            .set_eh_frame(input.eh_frame_svma)
            .set_eh_frame_hdr(input.eh_frame_hdr_svma);
        let mut cies: HashMap<usize, CommonInformationEntry<Slice<'_>>> = HashMap::new();
        let mut context = UnwindContext::new();
        let mut entries = section.entries(&bases);
        // A broken entry ends the iteration: where the next one would start is unknown then.
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(partial) = entry else {
                continue;
            };
            let fde = partial.parse(|section, bases, offset| match cies.get(&offset.0) {
                Some(cie) => Ok(cie.clone()),
                None => {
                    let cie = section.cie_from_offset(bases, offset)?;
                    cies.insert(offset.0, cie.clone());
                    Ok(cie)
                }
            });
            if let Ok(fde) = fde {
                self.function(&section, &bases, &fde, &mut context);
            }
            if self.rows.len() >= MAX_ROWS {
                break;
            }
        }
    }

    fn function(
        &mut self,
        section: &EhFrame<Slice<'_>>,
        bases: &BaseAddresses,
        fde: &gimli::FrameDescriptionEntry<Slice<'_>>,
        context: &mut UnwindContext<usize>,
    ) {
        let (start, end) = (fde.initial_address(), fde.end_address());
        let (Some(first), Some(last)) = (self.relative(start), self.relative(end.wrapping_sub(1)))
        else {
            return;
        };
        if first > last {
            return;
        }
        let (mut has_frame, mut rules) = (false, 0_u32);
        if fde.is_signal_trampoline() {
            self.push(first, Rule::Signal);
        } else if let Ok(mut table) = fde.rows(section, bases, context) {
            let mut reached = first;
            loop {
                match table.next_row() {
                    Ok(Some(row)) if row.start_address() < row.end_address() => {
                        let rule = self.registers.rule(row);
                        has_frame |= rule.has_frame_pointer();
                        rules += 1 + u32::from(!rule.is_untouched_stack());
                        let at = self.relative(row.start_address()).unwrap_or(last);
                        reached = self.relative(row.end_address()).unwrap_or(last);
                        self.push(at, rule);
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => {
                        self.push(reached, Rule::Complex);
                        break;
                    }
                }
            }
        }
        self.push(last + 1, Rule::Unknown);
        // A function that never touches its stack makes no calls: no return address lies in it, and
        // it needs no frame.
        if rules != 1 {
            self.count(first, last, has_frame);
        }
    }

    fn relative(&self, svma: u64) -> Option<u32> {
        if !self.code.contains(&svma) {
            return None;
        }
        u32::try_from(svma - self.code.start)
            .ok()
            .filter(|relative| *relative < u32::MAX)
    }

    fn push(&mut self, start: u32, rule: Rule) {
        let id = match self.ids.get(&rule) {
            Some(id) => *id,
            None => match u16::try_from(self.rules.len()) {
                Ok(id) => {
                    self.rules.push(rule);
                    self.ids.insert(rule, id);
                    id
                }
                Err(_) => return self.push(start, Rule::Complex),
            },
        };
        self.rows.push(u64::from(start) << 16 | u64::from(id));
    }

    fn count(&mut self, first: u32, last: u32, has_frame: bool) {
        self.functions += 1;
        self.framed_functions += u32::from(has_frame);
        let blocks = if has_frame {
            &mut self.framed_blocks
        } else {
            &mut self.other_blocks
        };
        for block in first >> BLOCK_SHIFT..=last >> BLOCK_SHIFT {
            if let Some(word) = blocks.get_mut((block / 64) as usize) {
                *word |= 1 << (block % 64);
            }
        }
    }

    fn finish(mut self) -> UnwindTable {
        self.rows.sort_unstable();
        let rows = merged(&self.rows);
        let (rank, rules) = self.rules_by_use(&rows);
        let rank = |row: &u64| rank[usize::from(*row as u16)];
        let rare =
            |(row, rank): (usize, u16)| (rank >= u16::from(RARE)).then_some((row as u32, rank));
        let starts: Box<[u32]> = rows.iter().map(|row| (row >> 16) as u32).collect();
        let blocks = self.framed_blocks.iter().zip(&self.other_blocks);
        UnwindTable {
            pages: pages(&starts),
            starts,
            ids: rows
                .iter()
                .map(|row| u8::try_from(rank(row)).unwrap_or(RARE))
                .collect(),
            rare: rows.iter().map(rank).enumerate().filter_map(rare).collect(),
            rules,
            framed: blocks.map(|(yes, no)| yes & !no).collect(),
            functions: self.functions,
            framed_functions: self.framed_functions,
        }
    }

    /// The rules in order of use, and the place of each in that order. A program without frame
    /// pointers has several hundred, but nearly all rows use the first few dozen.
    fn rules_by_use(&self, rows: &[u64]) -> (Vec<u16>, Box<[Rule]>) {
        let mut uses = vec![0_u32; self.rules.len()];
        for row in rows {
            uses[usize::from(*row as u16)] += 1;
        }
        let mut order: Vec<usize> = (0..self.rules.len()).collect();
        order.sort_by_key(|id| std::cmp::Reverse(uses[*id]));
        let mut rank = vec![0; self.rules.len()];
        for (place, id) in order.iter().enumerate() {
            rank[*id] = place as u16;
        }
        (rank, order.iter().map(|id| self.rules[*id]).collect())
    }
}

/// Drops the end-of-function rows that padding or a neighbour makes pointless, and rows that repeat
/// the rule before.
fn merged(rows: &[u64]) -> Vec<u64> {
    let mut out: Vec<u64> = Vec::with_capacity(rows.len() / 2);
    for (i, row) in rows.iter().enumerate() {
        let (start, rule) = (row >> 16, row & 0xFFFF);
        if let Some(next) = rows.get(i + 1) {
            let gap = (next >> 16) - start;
            if gap == 0 || (rule == 0 && gap < u64::from(PADDING_BYTES)) {
                continue;
            }
        }
        if out.last().is_none_or(|last| last & 0xFFFF != rule) {
            out.push(*row);
        }
    }
    out
}

/// How many rows start before each page, up to one page past the last row.
fn pages(starts: &[u32]) -> Box<[u32]> {
    let last = starts.last().map_or(0, |start| start >> PAGE_SHIFT);
    let mut row = 0;
    let before = |page: u32| {
        while starts
            .get(row)
            .is_some_and(|start| start >> PAGE_SHIFT < page)
        {
            row += 1;
        }
        row as u32
    };
    (0..=last + 1).map(before).collect()
}

#[cfg(test)]
mod tests;
