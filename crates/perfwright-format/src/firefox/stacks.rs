//! The stacks that samples refer to.

use std::collections::HashMap;
use std::num::NonZeroU64;

use perfwright_model::{Frame, Location, LocationId, MappingId, StackId, StringId};

use crate::build::Builder;
use crate::json::Json;
use crate::{Error, ErrorKind, Place};

use super::{
    SUBJECT,
    frames::{gecko_frames, processed_frames},
    read::{Lib, Sources},
    table::Table,
};

/// The tables that samples refer to.
pub(super) struct Tables {
    frames: Vec<FrameRow>,
    /// By row: the frame and the row of the caller.
    pub(super) stacks: Vec<(u32, Option<u32>)>,
    place: Place,
    /// By row, once it was needed: the stack and its depth.
    known: Vec<Option<(StackId, u32)>>,
    /// The location of a frame that nothing is inlined into, or of a chain of frames inlined into one another.
    single: Vec<Option<LocationId>>,
    chains: HashMap<Vec<u32>, LocationId>,
}

pub(super) struct FrameRow {
    pub(super) frame: Option<Frame>,
    pub(super) mapping: Option<MappingId>,
    pub(super) address: Option<NonZeroU64>,
    pub(super) inline_depth: u64,
}

impl Tables {
    pub(super) fn read(
        builder: &mut Builder<'_>,
        sources: &Sources<'_>,
        libs: &[Lib],
    ) -> Result<Self, Error> {
        let limits = builder.limits;
        let table = |json: &Option<Json<'_>>, columns: &[&str], limit| match json {
            Some(json) => Table::read(json.clone(), columns, limit),
            None => Ok(Table::empty()),
        };
        let strings = strings(builder, sources.strings.clone())?;
        let frames = table(
            &sources.frames,
            &[
                "func",
                "address",
                "line",
                "column",
                "inlineDepth",
                "lib",
                "nativeSymbol",
                "location",
            ],
            limits.locations,
        )?;
        let stacks = table(
            &sources.stacks,
            &["frame", "prefix", "prefixOffset"],
            limits.stack_nodes,
        )?;
        let rows = if sources.functions.is_some() {
            let functions = table(
                &sources.functions,
                &["name", "fileName", "source", "lineNumber", "resource"],
                limits.functions,
            )?;
            let resources = table(&sources.resources, &["lib", "name"], limits.functions)?;
            let symbols = table(&sources.symbols, &["libIndex", "name"], limits.functions)?;
            let files = table(&sources.sources, &["filename", "id"], limits.strings)?;
            processed_frames(
                builder,
                &strings,
                &frames,
                &functions,
                &[resources, symbols, files],
                libs,
            )?
        } else {
            gecko_frames(builder, &strings, &frames, libs)?
        };
        let stack_rows = stack_rows(&stacks, rows.len())?;
        Ok(Self {
            known: vec![None; stack_rows.len()],
            single: vec![None; rows.len()],
            chains: HashMap::new(),
            frames: rows,
            stacks: stack_rows,
            place: stacks.place,
        })
    }

    /// The stack of a row, made of those of its callers.
    pub(super) fn stack(
        &mut self,
        builder: &mut Builder<'_>,
        row: usize,
    ) -> Result<StackId, Error> {
        let mut missing: Vec<Vec<u32>> = Vec::new();
        let mut rows = Vec::new();
        let mut next = Some(row as u32);
        let (mut stack, mut depth) = (StackId::ROOT, 0);
        while let Some(row) = next {
            if let Some((known, known_depth)) = self.known[row as usize] {
                (stack, depth) = (known, known_depth);
                break;
            }
            // The innermost first.
            let mut chain = vec![self.stacks[row as usize].0];
            let mut outer = self.stacks[row as usize].1;
            while let Some(caller) =
                outer.filter(|&caller| self.is_inlined(chain[chain.len() - 1], caller))
            {
                chain.push(self.stacks[caller as usize].0);
                outer = self.stacks[caller as usize].1;
            }
            rows.push(row);
            missing.push(chain);
            next = outer;
            builder.check(
                rows.len(),
                builder.limits.depth,
                "frames in one stack",
                self.place,
            )?;
        }
        while let (Some(row), Some(chain)) = (rows.pop(), missing.pop()) {
            let location = self.location(builder, chain)?;
            depth += 1;
            stack = builder.push(stack, location, depth as usize, self.place)?;
            self.known[row as usize] = Some((stack, depth));
        }
        Ok(stack)
    }

    /// The frame was inlined into that of the stack's row.
    fn is_inlined(&self, frame: u32, caller: u32) -> bool {
        let inner = &self.frames[frame as usize];
        let outer = &self.frames[self.stacks[caller as usize].0 as usize];
        inner.inline_depth > 0
            && outer.inline_depth + 1 == inner.inline_depth
            && inner.address == outer.address
            && inner.mapping == outer.mapping
    }

    fn location(
        &mut self,
        builder: &mut Builder<'_>,
        chain: Vec<u32>,
    ) -> Result<LocationId, Error> {
        let known = match chain[..] {
            [frame] => self.single[frame as usize],
            _ => self.chains.get(&chain).copied(),
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let frames: Vec<_> = chain
            .iter()
            .filter_map(|&frame| self.frames[frame as usize].frame)
            .collect();
        let outer = &self.frames[chain[chain.len() - 1] as usize];
        let location = Location {
            mapping: outer.mapping,
            address: outer.address,
            ..Location::default()
        };
        let id = builder.push_location(location, &frames, self.place)?;
        match chain[..] {
            [frame] => self.single[frame as usize] = Some(id),
            _ => drop(self.chains.insert(chain, id)),
        }
        Ok(id)
    }
}

fn strings(builder: &mut Builder<'_>, json: Option<Json<'_>>) -> Result<Vec<StringId>, Error> {
    let mut strings = Vec::new();
    let Some(mut json) = json else {
        return Ok(strings);
    };
    json.items(&mut |json, index| {
        builder.check(index + 1, builder.limits.strings, "strings", json.place())?;
        strings.push(builder.profile.intern(&json.text_or_empty()?));
        Ok(())
    })?;
    Ok(strings)
}

fn stack_rows(table: &Table, frames: usize) -> Result<Vec<(u32, Option<u32>)>, Error> {
    let mut rows = Vec::with_capacity(table.len());
    for row in 0..table.len() {
        let frame = table.some_index(0, row, "frame", frames)? as u32;
        let prefix = match table.unsigned(2, row) {
            Some(0) => None,
            Some(offset) => Some((row as u64).wrapping_sub(offset)),
            None => table.unsigned(1, row),
        };
        if prefix.is_some_and(|prefix| prefix >= row as u64) {
            let message = format!("the stack in row {row} is called from one that comes later");
            return Err(Error::new(
                ErrorKind::Malformed,
                SUBJECT,
                table.place,
                message,
            ));
        }
        rows.push((frame, prefix.map(|prefix| prefix as u32)));
    }
    Ok(rows)
}
