//! Writing folded stacks.

use std::{
    collections::HashMap,
    io::{self, BufWriter, Write},
};

use perfwright_model::{Profile, SampleRef, StackId, keys, ordered, sort_ids};

use super::{
    count,
    names::{NameId, Names},
};

/// The root of the tree, which stands for no frame.
const ROOT: u32 = 0;

/// How folded stacks are written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Which sample type's values are the counts.
    pub sample_type: usize,
    /// Another sample type, whose values follow on the same line, as differential flamegraphs take them.
    pub second_sample_type: Option<usize>,
    /// Each stack begins with the name of its thread, where that is known.
    pub thread_root: bool,
}

/// Writes one sample type's values as folded stacks.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] if the profile does not have the sample type; else what the writer says.
pub fn write(profile: &Profile, sample_type: usize, writer: impl Write) -> io::Result<()> {
    let options = Options {
        sample_type,
        ..Options::default()
    };
    write_with(profile, &options, writer)
}

/// Writes folded stacks.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] if the profile does not have a sample type; else what the writer says.
pub fn write_with(profile: &Profile, options: &Options, writer: impl Write) -> io::Result<()> {
    let columns = Columns::new(profile, options)?;
    let mut tree = Tree::new(profile);
    tree.add_samples(&columns, options.thread_root);
    let mut writer = BufWriter::new(writer);
    tree.write(&columns, &mut writer)?;
    writer.flush()
}

/// The sample types that are written, each with the decimals of its unit.
struct Columns {
    first: (usize, u32),
    second: Option<(usize, u32)>,
}

impl Columns {
    fn new(profile: &Profile, options: &Options) -> io::Result<Self> {
        let column = |index: usize| match profile.sample_types().get(index) {
            Some(sample_type) => Ok((index, count::decimals_of(&sample_type.unit))),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the profile has no sample type {index}"),
            )),
        };
        Ok(Self {
            first: column(options.sample_type)?,
            second: options.second_sample_type.map(column).transpose()?,
        })
    }

    fn of(&self, sample: &SampleRef<'_>) -> [i64; 2] {
        let second = self.second.map_or(0, |(index, _)| sample.values[index]);
        [sample.values[self.first.0], second]
    }

    fn format(&self, values: [i64; 2]) -> String {
        let first = count::format(values[0], self.first.1);
        match self.second {
            Some((_, decimals)) => format!("{first} {}", count::format(values[1], decimals)),
            None => first,
        }
    }
}

/// The stacks as a prefix tree by names: locations that differ only in address, line or mapping are one.
struct Tree<'a> {
    profile: &'a Profile,
    names: Names,
    /// Parent and name; `nodes[ROOT]` has neither. A parent comes before its children.
    nodes: Vec<(u32, NameId)>,
    values: Vec<[i64; 2]>,
    children: HashMap<(u32, NameId), u32>,
}

impl<'a> Tree<'a> {
    fn new(profile: &'a Profile) -> Self {
        Self {
            profile,
            names: Names::new(profile),
            nodes: vec![(ROOT, 0)],
            values: vec![[0; 2]],
            children: HashMap::new(),
        }
    }

    /// Thread by thread, so that one column of nodes serves them all.
    fn add_samples(&mut self, columns: &Columns, thread_root: bool) {
        let profile = self.profile;
        let tops: Vec<u32> = (profile.samples())
            .map(|sample| self.top(&sample, thread_root))
            .collect();
        let mut known = KnownStacks::new(profile);
        for position in ordered(tops.len(), &|a, b| tops[a].cmp(&tops[b])) {
            let sample = profile.sample(position);
            known.turn_to(tops[position]);
            let node = self.stack_node(&mut known, sample.stack);
            let sums = &mut self.values[node as usize];
            for (sum, value) in sums.iter_mut().zip(columns.of(&sample)) {
                *sum = sum.saturating_add(value);
            }
        }
    }

    /// The node below which a sample's stack hangs.
    fn top(&mut self, sample: &SampleRef<'_>, thread_root: bool) -> u32 {
        if !thread_root {
            return ROOT;
        }
        match self.profile.label_str(sample.labels, keys::THREAD) {
            None | Some("") => ROOT,
            Some(thread) => {
                let name = self.names.intern(thread);
                self.child(ROOT, name)
            }
        }
    }

    /// Up to the nearest caller that has a node, then down again.
    fn stack_node(&mut self, known: &mut KnownStacks, stack: StackId) -> u32 {
        let mut missing = Vec::new();
        let mut next = stack;
        let mut node = loop {
            if let Some(node) = known.get(next) {
                break node;
            }
            let Some(row) = self.profile.stack_node(next) else {
                break known.top;
            };
            missing.push((next, row.location));
            next = row.parent;
        };
        for (stack, location) in missing.into_iter().rev() {
            let count = self.names.of_location(self.profile, location).len();
            for position in 0..count {
                let name = self.names.of_location(self.profile, location)[position];
                node = self.child(node, name);
            }
            known.insert(stack, node);
        }
        node
    }

    fn child(&mut self, parent: u32, name: NameId) -> u32 {
        let name = match parent {
            ROOT => self.names.as_root(name),
            _ => name,
        };
        let next = self.nodes.len() as u32;
        let node = *self.children.entry((parent, name)).or_insert(next);
        if node == next {
            self.nodes.push((parent, name));
            self.values.push([0; 2]);
        }
        node
    }

    fn write(mut self, columns: &Columns, writer: &mut impl Write) -> io::Result<()> {
        // Its work is done, and the order below takes memory, too.
        self.children = HashMap::new();
        self.write_line("", ROOT, columns, writer)?;
        let order = Order::new(&self);
        let mut path = String::new();
        // Nodes to visit, with the length of the path above each.
        let mut open: Vec<(u32, usize)> = order.children_reversed(ROOT, 0).collect();
        while let Some((node, len)) = open.pop() {
            path.truncate(len);
            if len > 0 {
                path.push(';');
            }
            path.push_str(self.names.get(self.nodes[node as usize].1));
            self.write_line(&path, node, columns, writer)?;
            open.extend(order.children_reversed(node, path.len()));
        }
        Ok(())
    }

    fn write_line(
        &self,
        path: &str,
        node: u32,
        columns: &Columns,
        writer: &mut impl Write,
    ) -> io::Result<()> {
        match self.values[node as usize] {
            [0, 0] => Ok(()),
            values => writeln!(writer, "{path} {}", columns.format(values)),
        }
    }
}

/// The nodes of the model's stacks below one thread's node.
struct KnownStacks {
    top: u32,
    /// By stack; [`ROOT`] is not known.
    nodes: Vec<u32>,
    /// The stacks that are known.
    known: Vec<StackId>,
}

impl KnownStacks {
    fn new(profile: &Profile) -> Self {
        Self {
            top: ROOT,
            nodes: vec![ROOT; profile.stack_count()],
            known: Vec::new(),
        }
    }

    /// Forgets what is known of the last thread, if this is another.
    fn turn_to(&mut self, top: u32) {
        if self.top == top {
            return;
        }
        self.top = top;
        for stack in self.known.drain(..) {
            self.nodes[stack.index()] = ROOT;
        }
    }

    fn get(&self, stack: StackId) -> Option<u32> {
        Some(self.nodes[stack.index()]).filter(|&node| node != ROOT)
    }

    fn insert(&mut self, stack: StackId, node: u32) {
        self.nodes[stack.index()] = node;
        self.known.push(stack);
    }
}

/// The children of every node, sorted by name.
struct Order {
    /// All nodes but the root, those of one parent together.
    nodes: Vec<u32>,
    /// Where each parent's children start in `nodes`; they end where the next one's start.
    starts: Vec<u32>,
}

impl Order {
    fn new(tree: &Tree<'_>) -> Self {
        let ranks = tree.names.ranks();
        debug_assert_eq!(ranks.len(), tree.names.len());
        let mut nodes: Vec<u32> = (1..tree.nodes.len() as u32).collect();
        let key = |node: u32| {
            let (parent, name) = tree.nodes[node as usize];
            (parent, ranks[name as usize])
        };
        sort_ids(&mut nodes, &|a, b| key(a).cmp(&key(b)));
        let mut starts = vec![0; tree.nodes.len() + 1];
        for &node in &nodes {
            starts[tree.nodes[node as usize].0 as usize + 1] += 1;
        }
        for parent in 1..starts.len() {
            starts[parent] += starts[parent - 1];
        }
        Self { nodes, starts }
    }

    /// For a stack from which the first child is to be taken first.
    fn children_reversed(&self, parent: u32, len: usize) -> impl Iterator<Item = (u32, usize)> {
        let range =
            self.starts[parent as usize] as usize..self.starts[parent as usize + 1] as usize;
        self.nodes[range].iter().rev().map(move |&node| (node, len))
    }
}
