//! Which classes the functions and locations of a profile are in.

use std::collections::{BTreeMap, HashMap};

use perfwright_analyze::{crate_of, crate_of_path};
use perfwright_model::{Frame, FunctionId, LocationId, Profile};

use super::{Class, states::Lists};
use crate::pattern::{self, Pattern};

/// Finds the classes of names.
pub(super) struct Classifier<'a> {
    functions: Ends<'a>,
    crates: Vec<(u32, &'a [Pattern])>,
    pub(super) count: usize,
}

impl<'a> Classifier<'a> {
    pub(super) fn new(classes: &BTreeMap<Class<'a>, u32>) -> Self {
        let mut classifier = Self {
            functions: Ends::default(),
            crates: Vec::new(),
            count: classes.len(),
        };
        for (class, &id) in classes {
            match class {
                Class::Functions(patterns) => {
                    for pattern in *patterns {
                        classifier.functions.add(pattern, id);
                    }
                }
                Class::Crates(patterns) => classifier.crates.push((id, patterns)),
            }
        }
        classifier
    }

    fn function(&self, name: &str, classes: &mut Vec<u32>) {
        let name = without_hash(name);
        self.functions.find(name, classes);
        // Methods of a type of the crate are the crate's: `<serde_json::Value as Display>::fmt`.
        let of_type = without_brackets(name);
        if of_type.len() != name.len() {
            self.functions.find(of_type, classes);
        }
    }

    fn crate_name(&self, name: &str, classes: &mut Vec<u32>) {
        let matching = self
            .crates
            .iter()
            .filter(|(_, patterns)| pattern::any(patterns, name));
        classes.extend(matching.map(|(id, _)| id));
    }
}

fn without_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
            path
        }
        _ => name,
    }
}

fn without_brackets(name: &str) -> &str {
    let mut rest = name;
    loop {
        let stripped = ["<", "_<", "&", "mut ", "dyn ", "[", "("]
            .iter()
            .find_map(|prefix| rest.strip_prefix(prefix));
        match stripped {
            Some(stripped) => rest = stripped,
            None => return rest,
        }
    }
}

/// Patterns by what they begin or end with, whichever is longer, in two trees of bytes: a name is compared to those
/// patterns alone that have its own beginning or end.
#[derive(Default)]
struct Ends<'a> {
    heads: Tree<'a>,
    tails: Tree<'a>,
}

impl<'a> Ends<'a> {
    fn add(&mut self, pattern: &'a Pattern, class: u32) {
        let (head, tail) = pattern.ends();
        match head.len() >= tail.len() {
            true => self.heads.add(head.bytes(), pattern, class),
            false => self.tails.add(tail.bytes().rev(), pattern, class),
        }
    }

    fn find(&self, name: &str, classes: &mut Vec<u32>) {
        self.heads.find(name.bytes(), name, classes);
        self.tails.find(name.bytes().rev(), name, classes);
    }
}

struct Tree<'a> {
    nodes: Vec<Node<'a>>,
}

#[derive(Default)]
struct Node<'a> {
    children: Vec<(u8, u32)>,
    patterns: Vec<(&'a Pattern, u32)>,
}

impl Default for Tree<'_> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }
}

impl<'a> Tree<'a> {
    fn add(&mut self, bytes: impl Iterator<Item = u8>, pattern: &'a Pattern, class: u32) {
        let mut at = 0;
        for byte in bytes {
            at = match self.nodes[at].child(byte) {
                Some(child) => child,
                None => {
                    let child = self.nodes.len();
                    self.nodes.push(Node::default());
                    self.nodes[at].children.push((byte, child as u32));
                    child
                }
            };
        }
        self.nodes[at].patterns.push((pattern, class));
    }

    fn find(&self, mut bytes: impl Iterator<Item = u8>, name: &str, classes: &mut Vec<u32>) {
        let mut at = Some(0);
        while let Some(node) = at.map(|at| &self.nodes[at]) {
            let matching = (node.patterns.iter()).filter(|(pattern, _)| pattern.matches(name));
            classes.extend(matching.map(|(_, class)| class));
            at = bytes.next().and_then(|byte| node.child(byte));
        }
    }
}

impl Node<'_> {
    fn child(&self, byte: u8) -> Option<usize> {
        let found = self.children.iter().find(|(first, _)| *first == byte);
        found.map(|&(_, child)| child as usize)
    }
}

/// The classes of every location, as lists: of all its frames, and of the innermost alone.
pub(super) fn classes_of_locations(
    profile: &Profile,
    classifier: &Classifier<'_>,
    lists: &mut Lists,
) -> Vec<[u32; 2]> {
    let mut found = Vec::new();
    let functions = (0..profile.functions().len()).map(|index| {
        found.clear();
        let name = profile.function_name(FunctionId::from_index(index));
        classifier.function(name, &mut found);
        lists.intern(&mut found)
    });
    let of_function: Vec<u32> = functions.collect();
    let mut crates = Crates {
        profile,
        classifier,
        by_name: HashMap::new(),
    };
    let mut leaf = Vec::new();
    let locations = (0..profile.location_count()).map(|index| {
        let id = LocationId::from_index(index);
        let frames = profile.frames(id);
        found.clear();
        leaf.clear();
        for (depth, frame) in frames.iter().enumerate() {
            found.extend_from_slice(lists.of(of_function[frame.function.index()]));
            crates.add(id, Some(frame), &mut found);
            if depth == 0 {
                leaf.extend_from_slice(&found);
            }
        }
        if frames.is_empty() {
            crates.add(id, None, &mut found);
            leaf.extend_from_slice(&found);
        }
        [lists.intern(&mut found), lists.intern(&mut leaf)]
    });
    locations.collect()
}

/// Finds the crates of frames, as [`By::Crate`](perfwright_analyze::By::Crate) does.
struct Crates<'a> {
    profile: &'a Profile,
    classifier: &'a Classifier<'a>,
    by_name: HashMap<String, Vec<u32>>,
}

impl Crates<'_> {
    fn add(&mut self, id: LocationId, frame: Option<&Frame>, classes: &mut Vec<u32>) {
        if self.classifier.crates.is_empty() {
            return;
        }
        let named = frame.map(|frame| self.profile.function_name(frame.function));
        let name = named
            .and_then(crate_of)
            .map(str::to_owned)
            .or_else(|| self.of_source(frame));
        let name = name.unwrap_or_else(|| self.mapping(id).to_owned());
        let classifier = self.classifier;
        let known = self.by_name.entry(name).or_insert_with_key(|name| {
            let mut found = Vec::new();
            classifier.crate_name(name, &mut found);
            found
        });
        classes.extend_from_slice(known);
    }

    /// By the source file: the downloaded package, or the folder that holds `src`.
    fn of_source(&self, frame: Option<&Frame>) -> Option<String> {
        let path = self
            .profile
            .string(self.profile.function(frame?.function).filename);
        let folder = crate_of_path(path).or_else(|| {
            let (above, file) = path.rsplit_once("/src/")?;
            file.ends_with(".rs").then(|| above.rsplit('/').next())?
        })?;
        Some(folder.replace('-', "_")).filter(|name| !name.is_empty())
    }

    fn mapping(&self, id: LocationId) -> &str {
        let mapping = self.profile.location(id).mapping;
        let path = mapping.map_or("", |id| {
            self.profile.string(self.profile.mapping(id).filename)
        });
        path.rsplit('/').next().unwrap_or(path)
    }
}
