//! Callgrind's format, which Valgrind, Xdebug and others write.
//!
//! It tells what each function cost and what its calls of each other function cost, not the stacks. [`read`] makes
//! stacks as gprof does: a function's cost is shared out to its callers as the cost of their calls of it. That is an
//! estimate, said by a warning; each function's own cost is exact. Calls below a hundredth of a per cent of the
//! whole are not followed, and a recursion is followed once; costs are rounded to whole ones on the way, in the order of
//! the file. What is left stands below `[unknown]`.
//!
//! Each event is a sample type, in `count`, or in the unit that its name ends in (`Time_(10ns)`: `10ns`). Costs of
//! several lines of a function are added up; jumps are left out.
//!
//! Source: "Callgrind Format Specification" of Valgrind.

use std::collections::HashMap;

use perfwright_model::{FunctionId, LabelSetId, LocationId, SampleType, StackId};

use crate::build::{Builder, UNKNOWN};
use crate::order::sorted;
use crate::warning::Warnings;
use crate::{Error, ErrorKind, Format, Input, Limits, Place, Read, WarningKind};

const SUBJECT: &str = "callgrind profile";

/// Calls that cost less than this share of the whole are not followed.
const SMALLEST_SHARE: f64 = 1e-4;
/// The most nodes of the tree that is made of the calls. With the share above, real programs stay far below.
const MAX_NODES: usize = 1 << 20;

/// Reads a callgrind file, gzipped or not.
///
/// # Errors
/// With the line that cannot be understood, or at which a limit is exceeded.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let input = Input::new(bytes, limits)?;
    parse(&input.bytes, limits).map_err(|error| input.place(error))
}

pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let events = events(bytes)?;
    let types: Vec<_> = events.iter().map(|event| sample_type(event)).collect();
    let mut builder = Builder::new([], SUBJECT, limits);
    builder.check(
        types.len(),
        limits.sample_types,
        "sample types",
        Place::Whole,
    )?;
    let width = types.len();
    builder.profile = perfwright_model::Profile::new(types);
    // The last would be the rarest kind of cache miss.
    builder.profile.meta.default_sample_type = Some(0);
    let mut parser = Parser::new(builder, width);
    for (number, line) in lines(bytes) {
        parser.line(&line, Place::Line(number))?;
    }
    let mut warnings = Warnings::default();
    warnings.add(WarningKind::CallGraph, Place::Whole);
    let Parser {
        mut builder, graph, ..
    } = parser;
    graph.into_stacks(&mut builder)?;
    let profile = builder.profile;
    Ok(Read {
        profile,
        format: Format::Callgrind,
        warnings: warnings.into_vec(),
    })
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = (u64, std::borrow::Cow<'_, str>)> {
    (1..).zip(
        bytes
            .split(|&byte| byte == b'\n')
            .map(String::from_utf8_lossy),
    )
}

fn events(bytes: &[u8]) -> Result<Vec<String>, Error> {
    let found = lines(bytes).find_map(|(_, line)| {
        let names = line.strip_prefix("events:")?;
        Some(
            names
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        )
    });
    found.filter(|names| !names.is_empty()).ok_or_else(|| {
        let message = "no line `events:` says what the costs are";
        Error::new(ErrorKind::Malformed, SUBJECT, Place::Whole, message)
    })
}

/// `Ir`, or `Time_(10ns)`.
fn sample_type(event: &str) -> SampleType {
    match event
        .strip_suffix(')')
        .and_then(|event| event.split_once("_("))
    {
        Some((kind, unit)) => SampleType::new(kind, unit),
        None => SampleType::new(event, "count"),
    }
}

/// Names that were given a number at their first use: `(12) main`, then `(12)`. Each text has one id, so that a long
/// one that is used often costs its length once.
#[derive(Default)]
struct Names {
    numbers: HashMap<u64, usize>,
    ids: HashMap<String, usize>,
    texts: Vec<String>,
}

impl Names {
    fn resolve(&mut self, text: &str, place: Place) -> Result<usize, Error> {
        let text = text.trim();
        let numbered = text.strip_prefix('(').and_then(|text| text.split_once(')'));
        let Some((number, name)) =
            numbered.and_then(|(number, name)| Some((number.parse().ok()?, name.trim())))
        else {
            return Ok(self.id(text));
        };
        if !name.is_empty() {
            let id = self.id(name);
            self.numbers.insert(number, id);
            return Ok(id);
        }
        self.numbers.get(&number).copied().ok_or_else(|| {
            let message = format!("the name ({number}) is used before it is given");
            Error::new(ErrorKind::Dangling, SUBJECT, place, message)
        })
    }

    fn id(&mut self, text: &str) -> usize {
        if let Some(&id) = self.ids.get(text) {
            return id;
        }
        self.texts.push(text.to_owned());
        self.ids.insert(text.to_owned(), self.texts.len() - 1);
        self.texts.len() - 1
    }
}

struct Parser<'l> {
    builder: Builder<'l>,
    width: usize,
    /// How many numbers come before the costs of a line.
    positions: usize,
    files: Names,
    functions: Names,
    /// The nodes of the graph by file and name.
    nodes: HashMap<(usize, usize), usize>,
    file: usize,
    function: Option<usize>,
    called_file: Option<usize>,
    called: Option<usize>,
    /// The next costs are those of a call.
    is_call: bool,
    /// The next line is that of a jump.
    is_jump: bool,
    /// The costs of the line before, which `+`, `-` and `*` refer to.
    last: Vec<i64>,
    graph: Graph,
}

impl<'l> Parser<'l> {
    fn new(builder: Builder<'l>, width: usize) -> Self {
        let mut files = Names::default();
        let file = files.id("");
        Self {
            builder,
            width,
            positions: 1,
            files,
            functions: Names::default(),
            nodes: HashMap::new(),
            file,
            function: None,
            called_file: None,
            called: None,
            is_call: false,
            is_jump: false,
            last: vec![0; width],
            graph: Graph {
                width,
                ..Graph::default()
            },
        }
    }

    fn line(&mut self, line: &str, place: Place) -> Result<(), Error> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if line.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '*')) {
            return self.costs(line, place);
        }
        let Some((key, value)) = line.split_once('=') else {
            return self.header(line, place);
        };
        match key.trim_end() {
            "fl" | "fi" | "fe" => self.file = self.files.resolve(value, place)?,
            "fn" => {
                self.function = Some(self.function_of(value, self.file, place)?);
                (self.called, self.called_file, self.is_call) = (None, None, false);
            }
            "cfi" | "cfl" => {
                self.called_file = Some(self.files.resolve(value, place)?)
                    .filter(|&file| !self.files.texts[file].is_empty())
            }
            "cfn" => {
                let file = self.called_file.take().unwrap_or(self.file);
                self.called = Some(self.function_of(value, file, place)?);
            }
            // Where a jump goes: not followed, but it may give a name its number.
            "jfi" => drop(self.files.resolve(value, place)?),
            "jfn" => drop(self.functions.resolve(value, place)?),
            "calls" => self.is_call = true,
            "jump" | "jcnd" => self.is_jump = true,
            // Object files, and what may come yet.
            _ => {}
        }
        Ok(())
    }

    fn header(&mut self, line: &str, place: Place) -> Result<(), Error> {
        match line.split_once(':') {
            Some(("positions", names)) => self.positions = names.split_whitespace().count().max(1),
            Some(_) => {}
            None => {
                let message = "the line is neither a cost nor `key: value` nor `key=value`";
                return Err(Error::new(ErrorKind::Malformed, SUBJECT, place, message));
            }
        }
        Ok(())
    }

    fn function_of(&mut self, text: &str, file: usize, place: Place) -> Result<usize, Error> {
        let name = self.functions.resolve(text, place)?;
        if let Some(&known) = self.nodes.get(&(file, name)) {
            return Ok(known);
        }
        let file_text = match self.files.texts[file].as_str() {
            "???" => "",
            file => file,
        };
        let function =
            self.builder
                .function(&self.functions.texts[name], file_text, None, place)?;
        let node = self.graph.node(function);
        self.nodes.insert((file, name), node);
        Ok(node)
    }

    fn costs(&mut self, line: &str, place: Place) -> Result<(), Error> {
        if std::mem::take(&mut self.is_jump) {
            return Ok(());
        }
        let malformed = |message: String| Error::new(ErrorKind::Malformed, SUBJECT, place, message);
        let mut costs = vec![0; self.width];
        for (index, word) in line.split_whitespace().skip(self.positions).enumerate() {
            if index >= self.width {
                return Err(malformed(format!(
                    "more costs than the {} events",
                    self.width
                )));
            }
            let number = |text: &str| {
                text.parse::<i64>()
                    .map_err(|_| malformed(format!("`{word}` is no cost")))
            };
            let last = self.last[index];
            costs[index] = match word.split_at_checked(1) {
                Some(("*", "")) => last,
                Some(("+", rest)) => last.saturating_add(number(rest)?),
                Some(("-", rest)) => last.saturating_sub(number(rest)?),
                _ => number(word)?,
            };
        }
        self.last.clone_from(&costs);
        let Some(function) = self.function else {
            return Err(malformed("costs before the first `fn=`".to_owned()));
        };
        if std::mem::take(&mut self.is_call) {
            let Some(called) = self.called.take() else {
                return Err(malformed("the costs of a call without `cfn=`".to_owned()));
            };
            self.graph.call(function, called, &costs);
            let edges = self.graph.edge_count;
            return self
                .builder
                .check(edges, self.builder.limits.stack_nodes, "calls", place);
        }
        for (sum, cost) in self.graph.nodes[function].own.iter_mut().zip(costs) {
            *sum = sum.saturating_add(cost);
        }
        Ok(())
    }
}

/// Which function calls which, at what cost.
#[derive(Default)]
struct Graph {
    width: usize,
    nodes: Vec<Node>,
    ids: HashMap<FunctionId, usize>,
    edge_count: usize,
}

struct Node {
    function: FunctionId,
    /// Its own costs, one an event.
    own: Vec<i64>,
    /// Of each function that it calls, the costs with everything that this calls.
    calls: HashMap<usize, Vec<i64>>,
}

/// A function on the way from a root, and what of its costs belongs to this way.
struct Visit {
    node: usize,
    stack: StackId,
    depth: usize,
    costs: Vec<f64>,
    /// On the way back.
    leave: bool,
}

impl Graph {
    fn node(&mut self, function: FunctionId) -> usize {
        *self.ids.entry(function).or_insert_with(|| {
            self.nodes.push(Node {
                function,
                own: vec![0; self.width],
                calls: HashMap::new(),
            });
            self.nodes.len() - 1
        })
    }

    fn call(&mut self, caller: usize, called: usize, costs: &[i64]) {
        // A function's calls of itself are part of its own costs already.
        if caller == called {
            return;
        }
        let edge_count = &mut self.edge_count;
        let sums = self.nodes[caller].calls.entry(called).or_insert_with(|| {
            *edge_count += 1;
            vec![0; costs.len()]
        });
        for (sum, cost) in sums.iter_mut().zip(costs) {
            *sum = sum.saturating_add(*cost);
        }
    }

    /// A function's costs with everything that it calls.
    fn inclusive(&self, node: &Node) -> Vec<f64> {
        let mut sums: Vec<f64> = node.own.iter().map(|&cost| cost as f64).collect();
        for costs in node.calls.values() {
            for (sum, &cost) in sums.iter_mut().zip(costs) {
                *sum += cost as f64;
            }
        }
        sums
    }

    /// Makes stacks of the calls, and adds them to the profile.
    fn into_stacks(self, builder: &mut Builder<'_>) -> Result<(), Error> {
        let inclusive: Vec<_> = self.nodes.iter().map(|node| self.inclusive(node)).collect();
        // What nobody's calls account for was called from outside: by the system, for `main`.
        let mut outside = inclusive.clone();
        for node in &self.nodes {
            for (&called, costs) in &node.calls {
                for (rest, &cost) in outside[called].iter_mut().zip(costs) {
                    *rest = (*rest - cost as f64).max(0.0);
                }
            }
        }
        let mut totals = vec![0.0; self.width];
        for node in &self.nodes {
            for (total, &cost) in totals.iter_mut().zip(&node.own) {
                *total += cost as f64;
            }
        }
        let mut rest: Vec<_> = self.nodes.iter().map(|node| node.own.clone()).collect();
        let mut tree = Tree {
            builder,
            on_way: vec![false; self.nodes.len()],
            known: HashMap::new(),
            nodes: 0,
        };
        for (root, costs) in outside.into_iter().enumerate() {
            if is_worth_it(&costs, &totals) {
                self.follow(root, costs, &inclusive, &totals, &mut tree, &mut rest)?;
            }
        }
        let unknown = tree.builder.function(UNKNOWN, "", None, Place::Whole)?;
        let unknown = tree.builder.frame(unknown, None, None, Place::Whole)?;
        for (node, rest) in rest.into_iter().enumerate() {
            if rest.iter().any(|&cost| cost != 0) {
                let location = tree.location(self.nodes[node].function)?;
                let root = tree.builder.push(StackId::ROOT, unknown, 1, Place::Whole)?;
                let stack = tree.builder.push(root, location, 2, Place::Whole)?;
                tree.builder
                    .record(stack, LabelSetId::EMPTY, &rest, Place::Whole)?;
            }
        }
        Ok(())
    }

    /// Follows the calls from a function down, and takes the functions' own costs from what rests of them.
    fn follow(
        &self,
        root: usize,
        costs: Vec<f64>,
        inclusive: &[Vec<f64>],
        totals: &[f64],
        tree: &mut Tree<'_, '_>,
        rest: &mut [Vec<i64>],
    ) -> Result<(), Error> {
        let mut open = vec![Visit {
            node: root,
            stack: StackId::ROOT,
            depth: 0,
            costs,
            leave: false,
        }];
        while let Some(visit) = open.pop() {
            let node = &self.nodes[visit.node];
            if visit.leave {
                tree.on_way[visit.node] = false;
                continue;
            }
            tree.nodes += 1;
            if tree.nodes > MAX_NODES || tree.on_way[visit.node] {
                continue;
            }
            let location = tree.location(node.function)?;
            let depth = visit.depth + 1;
            let stack = tree
                .builder
                .push(visit.stack, location, depth, Place::Whole)?;
            // This way's share of the function, by event.
            let whole = &inclusive[visit.node];
            let shares: Vec<f64> = visit
                .costs
                .iter()
                .zip(whole)
                .map(|(cost, whole)| {
                    if *whole > 0.0 {
                        (cost / whole).min(1.0)
                    } else {
                        0.0
                    }
                })
                .collect();
            let mut values = vec![0; self.width];
            for (index, value) in values.iter_mut().enumerate() {
                let own = (node.own[index] as f64 * shares[index]).round() as i64;
                *value = own.clamp(0, rest[visit.node][index].max(0));
                rest[visit.node][index] -= *value;
            }
            if values.iter().any(|&value| value != 0) {
                tree.builder
                    .record(stack, LabelSetId::EMPTY, &values, Place::Whole)?;
            }
            tree.on_way[visit.node] = true;
            open.push(Visit {
                node: visit.node,
                stack,
                depth,
                costs: Vec::new(),
                leave: true,
            });
            // A map has no order, and the same file is to give the same profile: in the order of the file, for what is
            // pushed last is followed first.
            let calls: Vec<_> = node.calls.iter().collect();
            for at in sorted(calls.len(), &|a, b| calls[b].0.cmp(calls[a].0)) {
                let (&called, costs) = calls[at as usize];
                let costs: Vec<_> = costs
                    .iter()
                    .zip(&shares)
                    .map(|(&cost, share)| cost as f64 * share)
                    .collect();
                if !tree.on_way[called] && is_worth_it(&costs, totals) {
                    open.push(Visit {
                        node: called,
                        stack,
                        depth,
                        costs,
                        leave: false,
                    });
                }
            }
        }
        Ok(())
    }
}

/// The tree that is being made.
struct Tree<'b, 'l> {
    builder: &'b mut Builder<'l>,
    /// By function: it is called already on the way to where we are.
    on_way: Vec<bool>,
    known: HashMap<FunctionId, LocationId>,
    nodes: usize,
}

impl Tree<'_, '_> {
    fn location(&mut self, function: FunctionId) -> Result<LocationId, Error> {
        if let Some(&known) = self.known.get(&function) {
            return Ok(known);
        }
        let id = self.builder.frame(function, None, None, Place::Whole)?;
        self.known.insert(function, id);
        Ok(id)
    }
}

fn is_worth_it(costs: &[f64], totals: &[f64]) -> bool {
    costs
        .iter()
        .zip(totals)
        .any(|(cost, total)| *cost > 0.0 && *cost >= total * SMALLEST_SHARE)
}
