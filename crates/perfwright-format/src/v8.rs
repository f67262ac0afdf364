//! What V8 writes (Chrome's and Node's `.cpuprofile` and `.heapprofile`).
//!
//! A CPU profile has sample types `samples` and `time`: a sample lasts until the next one in time. A sampled heap
//! profile has `inuse_space`. The node `(root)` is left out; functions keep their script and the line where they start.

use std::collections::HashMap;

use perfwright_model::{FunctionId, LabelSetId, SampleType, StackId};

use crate::build::{Builder, line};
use crate::json::{Json, Kind};
use crate::order::sorted;
use crate::warning::Warnings;
use crate::{Error, ErrorKind, Format, Input, Limits, Place, Read, WarningKind};

const CPU: &str = "cpuprofile";
const HEAP: &str = "heapprofile";

/// Reads a `.cpuprofile`, new or old, gzipped or not.
///
/// # Errors
/// With the byte that is no JSON, the node that is missing, or the limit that is exceeded.
pub fn read_cpu(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let input = Input::new(bytes, limits)?;
    parse_cpu(&input.bytes, limits).map_err(|error| input.place(error))
}

/// Reads a `.heapprofile`, gzipped or not.
///
/// # Errors
/// As [`read_cpu`].
pub fn read_heap(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let input = Input::new(bytes, limits)?;
    parse_heap(&input.bytes, limits).map_err(|error| input.place(error))
}

pub(crate) fn parse_cpu(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let mut json = Json::new(bytes, CPU);
    let mut builder = Builder::new(cpu_types(), CPU, limits);
    let mut cpu = CpuProfile::default();
    cpu.add(&mut json, &mut builder)?;
    json.finish()?;
    cpu.finish(&mut builder, LabelSetId::EMPTY, None, None)?;
    let profile = builder.profile;
    Ok(Read {
        profile,
        format: Format::CpuProfile,
        warnings: Warnings::default().into_vec(),
    })
}

pub(crate) fn cpu_types() -> [SampleType; 2] {
    [
        SampleType::new("samples", "count"),
        SampleType::new("time", "nanoseconds"),
    ]
}

pub(crate) fn parse_heap(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let mut json = Json::new(bytes, HEAP);
    let mut builder = Builder::new([SampleType::new("inuse_space", "bytes")], HEAP, limits);
    let mut nodes = Nodes::default();
    json.fields(&mut |json, key| match key {
        "head" => nodes.tree(json, &mut builder),
        _ => Ok(()),
    })?;
    json.finish()?;
    if nodes.rows.is_empty() {
        return Err(json.malformed("there is no `head`"));
    }
    let stacks = nodes.stacks(&mut builder, None)?;
    for (row, stack) in nodes.rows.iter().zip(stacks) {
        if row.size != 0 {
            builder.record(stack, LabelSetId::EMPTY, &[row.size], row.place)?;
        }
    }
    let profile = builder.profile;
    Ok(Read {
        profile,
        format: Format::HeapProfile,
        warnings: Warnings::default().into_vec(),
    })
}

/// A call tree.
#[derive(Default)]
pub(crate) struct Nodes {
    rows: Vec<Node>,
    by_id: HashMap<i64, u32>,
    /// A row and the id of a child.
    children: Vec<(u32, i64)>,
}

struct Node {
    parent: Option<u32>,
    /// As `parent`, where it is given by id.
    parent_id: Option<i64>,
    /// `None` for the root.
    function: Option<FunctionId>,
    hits: i64,
    size: i64,
    place: Place,
}

/// A function as V8 writes it, in a node or in its `callFrame`.
#[derive(Default)]
struct CallFrame {
    name: String,
    url: String,
    line: Option<f64>,
}

impl CallFrame {
    fn field(&mut self, json: &mut Json<'_>, key: &str) -> Result<(), Error> {
        match key {
            "functionName" => self.name = json.text_or_empty()?.into_owned(),
            "url" => self.url = json.text_or_empty()?.into_owned(),
            "lineNumber" => self.line = json.maybe_number()?,
            "callFrame" => json.fields(&mut |json, key| match key {
                "callFrame" => Ok(()),
                key => self.field(json, key),
            })?,
            _ => {}
        }
        Ok(())
    }

    fn function(
        &self,
        builder: &mut Builder<'_>,
        place: Place,
    ) -> Result<Option<FunctionId>, Error> {
        let name = match self.name.as_str() {
            "(root)" => return Ok(None),
            "" => "(anonymous)",
            name => name,
        };
        // Lines count from 0 here, and -1 is none.
        let start = line(self.line.map(|line| line + 1.0));
        builder.function(name, &self.url, start, place).map(Some)
    }
}

impl Nodes {
    fn push(
        &mut self,
        parent: Option<u32>,
        place: Place,
        builder: &Builder<'_>,
    ) -> Result<u32, Error> {
        builder.check(
            self.rows.len() + 1,
            builder.limits.stack_nodes,
            "nodes",
            place,
        )?;
        self.rows.push(Node {
            parent,
            parent_id: None,
            function: None,
            hits: 0,
            size: 0,
            place,
        });
        Ok(self.rows.len() as u32 - 1)
    }

    /// A node by its id, called by that of another.
    pub(crate) fn add(
        &mut self,
        id: i64,
        parent: Option<i64>,
        function: FunctionId,
        place: Place,
        builder: &Builder<'_>,
    ) -> Result<(), Error> {
        let row = self.push(None, place, builder)?;
        self.by_id.insert(id, row);
        let node = &mut self.rows[row as usize];
        (node.parent_id, node.function) = (parent, Some(function));
        Ok(())
    }

    /// The row of an id.
    pub(crate) fn row(&self, id: i64) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// A node's field that is no child and no part of its function.
    fn field(&mut self, row: u32, json: &mut Json<'_>, key: &str) -> Result<(), Error> {
        let node = &mut self.rows[row as usize];
        match key {
            "id" => drop(self.by_id.insert(json.int()?, row)),
            "parent" => node.parent_id = json.maybe_number()?.map(|id| id as i64),
            "hitCount" => node.hits = json.int()?,
            "selfSize" => node.size = json.int()?,
            _ => {}
        }
        Ok(())
    }

    /// A list of nodes that name their children or their parent by id.
    fn list(&mut self, json: &mut Json<'_>, builder: &mut Builder<'_>) -> Result<(), Error> {
        json.items(&mut |json, _| {
            let place = json.place();
            let row = self.push(None, place, builder)?;
            let mut frame = CallFrame::default();
            json.fields(&mut |json, key| match key {
                "children" => json.items(&mut |json, _| {
                    let count = self.children.len() + 1;
                    builder.check(
                        count,
                        builder.limits.stack_nodes,
                        "children of nodes",
                        json.place(),
                    )?;
                    self.children.push((row, json.int()?));
                    Ok(())
                }),
                "callFrame" | "functionName" | "url" | "lineNumber" => frame.field(json, key),
                key => self.field(row, json, key),
            })?;
            self.rows[row as usize].function = frame.function(builder, place)?;
            Ok(())
        })
    }

    /// Nodes that hold their children, as deep as the program's stacks: no recursion.
    fn tree(&mut self, json: &mut Json<'_>, builder: &mut Builder<'_>) -> Result<(), Error> {
        struct Open {
            row: u32,
            frame: CallFrame,
            first_key: bool,
            /// Inside the list of children; whether the first comes next.
            children: Option<bool>,
        }
        let mut open = Vec::new();
        let mut parent = None;
        loop {
            // Steps into a node.
            let place = json.place();
            builder.check(
                open.len() + 1,
                builder.limits.depth,
                "frames in one stack",
                place,
            )?;
            json.enter_object()?;
            let row = self.push(parent, place, builder)?;
            open.push(Open {
                row,
                frame: CallFrame::default(),
                first_key: true,
                children: None,
            });
            // Goes on until there is another one to step into.
            loop {
                let Some(node) = open.last_mut() else {
                    return Ok(());
                };
                if let Some(first) = node.children {
                    if json.next_item(first)? {
                        node.children = Some(false);
                        parent = Some(node.row);
                        break;
                    }
                    node.children = None;
                }
                let Some(key) = json.next_key(&mut node.first_key)? else {
                    let place = self.rows[node.row as usize].place;
                    self.rows[node.row as usize].function = node.frame.function(builder, place)?;
                    open.pop();
                    continue;
                };
                let before = json.place();
                match &*key {
                    "children" if json.kind()? == Kind::Array => {
                        json.enter_array()?;
                        node.children = Some(true);
                    }
                    "callFrame" | "functionName" | "url" | "lineNumber" => {
                        node.frame.field(json, &key)?
                    }
                    key => self.field(node.row, json, key)?,
                }
                if json.place() == before {
                    json.skip()?;
                }
            }
        }
    }

    /// The row of an id that is used.
    fn find(
        &self,
        id: i64,
        place: Place,
        lost: Option<&mut Warnings>,
    ) -> Result<Option<u32>, Error> {
        match (self.row(id), lost) {
            (Some(row), _) => Ok(Some(row)),
            (None, Some(lost)) => {
                lost.add(WarningKind::Lost, place);
                Ok(None)
            }
            (None, None) => {
                let message = format!("node {id} is used, but is not in the file");
                Err(Error::new(ErrorKind::Dangling, CPU, place, message))
            }
        }
    }

    /// The stack of each row. Where warnings are given, references to rows that are not there are one each.
    pub(crate) fn stacks(
        &mut self,
        builder: &mut Builder<'_>,
        mut lost: Option<&mut Warnings>,
    ) -> Result<Vec<StackId>, Error> {
        for (row, child) in std::mem::take(&mut self.children) {
            let place = self.rows[row as usize].place;
            if let Some(child) = self.find(child, place, lost.as_deref_mut())? {
                self.rows[child as usize].parent = Some(row);
            }
        }
        for index in 0..self.rows.len() {
            if let Some(id) = self.rows[index].parent_id {
                let place = self.rows[index].place;
                self.rows[index].parent = self.find(id, place, lost.as_deref_mut())?;
            }
        }
        // By row, once it is known: the stack and its depth.
        let mut known: Vec<Option<(StackId, u32)>> = vec![None; self.rows.len()];
        let mut missing = Vec::new();
        for start in 0..self.rows.len() {
            let mut next = Some(start);
            let (mut stack, mut depth) = (StackId::ROOT, 0);
            while let Some(row) = next {
                if let Some(found) = known[row] {
                    (stack, depth) = found;
                    break;
                }
                missing.push(row);
                let place = self.rows[row].place;
                // One that calls itself by way of others would be looked for without end.
                builder.check(
                    missing.len(),
                    builder.limits.depth,
                    "frames in one stack",
                    place,
                )?;
                next = self.rows[row].parent.map(|parent| parent as usize);
            }
            while let Some(row) = missing.pop() {
                if let Some(function) = self.rows[row].function {
                    let place = self.rows[row].place;
                    let location = builder.frame(function, None, None, place)?;
                    depth += 1;
                    stack = builder.push(stack, location, depth as usize, place)?;
                }
                known[row] = Some((stack, depth));
            }
        }
        Ok(known
            .into_iter()
            .map(|known| known.map_or(StackId::ROOT, |(stack, _)| stack))
            .collect())
    }
}

/// A CPU profile, in one piece or, in a trace, in several.
#[derive(Default)]
pub(crate) struct CpuProfile {
    nodes: Nodes,
    /// Ids of nodes.
    samples: Vec<i64>,
    /// Microseconds from the sample before, the first from the start.
    deltas: Vec<f64>,
    /// Microseconds.
    pub(crate) start: Option<f64>,
    pub(crate) end: Option<f64>,
    place: Option<Place>,
}

impl CpuProfile {
    /// Adds what an object holds: all of a profile, or a chunk of it.
    pub(crate) fn add(
        &mut self,
        json: &mut Json<'_>,
        builder: &mut Builder<'_>,
    ) -> Result<(), Error> {
        self.place.get_or_insert(json.place());
        let mut timestamps = None;
        json.fields(&mut |json, key| {
            match key {
                "nodes" => self.nodes.list(json, builder)?,
                "head" if json.kind()? == Kind::Object => self.nodes.tree(json, builder)?,
                "samples" => json.items(&mut |json, _| {
                    builder.check(
                        self.samples.len() + 1,
                        builder.limits.samples,
                        "samples",
                        json.place(),
                    )?;
                    self.samples.push(json.int()?);
                    Ok(())
                })?,
                "timeDeltas" => self.add_deltas(json, builder)?,
                "timestamps" => timestamps = Some(json.later()?),
                "startTime" => self.start = json.maybe_number()?,
                "endTime" => self.end = json.maybe_number()?,
                _ => {}
            }
            Ok(())
        })?;
        // The old form has times, not distances; its start and end are in seconds, so they do not help.
        if let Some(mut timestamps) = timestamps {
            (self.start, self.end) = (None, None);
            let mut last = None;
            timestamps.items(&mut |json, _| {
                builder.check(
                    self.deltas.len() + 1,
                    builder.limits.samples,
                    "samples",
                    json.place(),
                )?;
                let time = json.number()?;
                self.start.get_or_insert(time);
                self.deltas.push(time - last.replace(time).unwrap_or(time));
                Ok(())
            })?;
        }
        Ok(())
    }

    /// How many distances between samples are known.
    pub(crate) fn deltas(&self) -> usize {
        self.deltas.len()
    }

    pub(crate) fn add_deltas(
        &mut self,
        json: &mut Json<'_>,
        builder: &Builder<'_>,
    ) -> Result<(), Error> {
        json.items(&mut |json, _| {
            builder.check(
                self.deltas.len() + 1,
                builder.limits.samples,
                "samples",
                json.place(),
            )?;
            self.deltas.push(json.number()?);
            Ok(())
        })
    }

    /// Adds the samples to the profile. Times count from `origin`, or else from the profile's own start. Where
    /// warnings are given, what the file lost is one each, else an error.
    pub(crate) fn finish(
        mut self,
        builder: &mut Builder<'_>,
        labels: LabelSetId,
        origin: Option<f64>,
        mut lost: Option<&mut Warnings>,
    ) -> Result<(), Error> {
        let place = self.place.unwrap_or(Place::Whole);
        let stacks = self.nodes.stacks(builder, lost.as_deref_mut())?;
        if self.samples.is_empty() {
            for (row, stack) in self.nodes.rows.iter().zip(stacks) {
                if row.hits != 0 {
                    builder.record(stack, labels, &[row.hits, 0], row.place)?;
                }
            }
            return Ok(());
        }
        let start = self.start.unwrap_or(0.0);
        let origin = origin.unwrap_or(start);
        let samples = self.in_time(start);
        let nanos = |micros: f64| (micros * 1e3).round() as i64;
        for (index, &(time, id)) in samples.iter().enumerate() {
            let end = samples.get(index + 1).map(|&(time, _)| time).or(self.end);
            let values = [1, nanos((end.unwrap_or(time) - time).max(0.0))];
            if let Some(row) = self.nodes.find(id, place, lost.as_deref_mut())? {
                let stack = stacks[row as usize];
                builder.sample_at(stack, labels, &values, nanos(time - origin), place)?;
            }
        }
        Ok(())
    }

    /// The samples with their times, in the order of these: V8 writes what it took in between a little later. Those
    /// without a time have that of the last.
    fn in_time(&self, start: f64) -> Vec<(f64, i64)> {
        let mut now = start;
        let mut deltas = self.deltas.iter();
        let timed = self.samples.iter().map(|&id| {
            now += deltas.next().copied().unwrap_or(0.0);
            (now, id)
        });
        let samples: Vec<(f64, i64)> = timed.collect();
        let order = sorted(samples.len(), &|a, b| samples[a].0.total_cmp(&samples[b].0));
        order.iter().map(|&at| samples[at as usize]).collect()
    }
}
