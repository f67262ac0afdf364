//! What the nodes of a call tree are called, and how the locations of a profile become such names.

use std::collections::HashMap;

use perfwright_model::{FunctionId, LocationId, Profile, StringId};

use crate::hash::IdMap;
use crate::names::{crate_of, crate_of_source};

/// What counts as one thing when frames are grouped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum By {
    /// Functions of the same name. Instances of a generic function are one.
    #[default]
    Function,
    /// Functions of the same name, at the same line that was executing.
    FunctionLine,
    /// Source files.
    File,
    /// Rust crates ([`crate_of`], or where the name does not tell, by the source file); other code by its
    /// mapping.
    Crate,
    /// Mapped files: the executable, its libraries.
    Mapping,
}

impl By {
    /// Calls within one of these are no calls: `core` that calls `core` is still one frame `core`.
    fn joins_neighbours(self) -> bool {
        matches!(self, Self::File | Self::Crate | Self::Mapping)
    }
}

/// The name of call tree nodes, as a position in a tree's symbol table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SymbolId(pub(crate) u32);

impl SymbolId {
    /// The symbol of a tree's root.
    pub(crate) const ROOT: Self = Self(0);

    /// The position in the table.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What frames were grouped under.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Symbol {
    /// The function's name, the file, the crate or the mapping; or the value of the grouping label.
    pub name: Box<str>,
    /// The source file: with [`By::Function`] the one that was seen first.
    pub file: Option<Box<str>>,
    /// The line, 1-based, with [`By::FunctionLine`].
    pub line: Option<u32>,
    /// This is no code but a value of the label that the tree is grouped by.
    pub is_label: bool,
}

impl Symbol {
    fn new(name: &str, file: Option<&str>, line: Option<u32>) -> Self {
        Self {
            name: name.into(),
            file: file.map(Into::into),
            line,
            is_label: false,
        }
    }
}

/// The symbols of a tree: one entry for each distinct thing, numbered as they turn up.
#[derive(Clone, Debug, Default)]
pub(crate) struct SymbolTable {
    symbols: Vec<Symbol>,
    index: HashMap<Symbol, SymbolId>,
}

impl SymbolTable {
    /// The symbol of this name alone; `file` is kept if the name is new.
    pub(crate) fn by_name(&mut self, name: &str, file: Option<&str>) -> SymbolId {
        let key = Symbol::new(name, None, None);
        self.intern(key, file)
    }

    /// The symbol of this name, file and line.
    fn by_line(&mut self, name: &str, file: Option<&str>, line: Option<u32>) -> SymbolId {
        self.intern(Symbol::new(name, file, line), file)
    }

    /// The symbol of a label's value.
    pub(crate) fn by_label(&mut self, value: &str) -> SymbolId {
        let mut key = Symbol::new(value, None, None);
        key.is_label = true;
        self.intern(key, None)
    }

    fn intern(&mut self, key: Symbol, file: Option<&str>) -> SymbolId {
        let symbols = &mut self.symbols;
        *self.index.entry(key).or_insert_with_key(|key| {
            symbols.push(Symbol {
                file: file.map(Into::into),
                ..key.clone()
            });
            SymbolId(symbols.len() as u32 - 1)
        })
    }

    pub(crate) fn all(&self) -> &[Symbol] {
        &self.symbols
    }

    pub(crate) fn into_symbols(self) -> Vec<Symbol> {
        self.symbols
    }
}

/// A function of a name as text: how a caller wants to see functions named.
pub(crate) type Rename<'a> = Option<&'a dyn Fn(&str) -> String>;

/// The symbols of every location, outermost frame first.
pub(crate) struct LocationSymbols {
    starts: Vec<u32>,
    symbols: Vec<SymbolId>,
    pub(crate) joins_neighbours: bool,
}

impl LocationSymbols {
    /// Names the frames of all locations of `profile`, adding to `table`.
    pub(crate) fn new(profile: &Profile, by: By, rename: Rename, table: &mut SymbolTable) -> Self {
        Self::named(profile, by, rename, table, by.joins_neighbours())
    }

    /// The same with a symbol for every frame, also where neighbours are one thing.
    pub(crate) fn of_every_frame(
        profile: &Profile,
        by: By,
        rename: Rename,
        table: &mut SymbolTable,
    ) -> Self {
        Self::named(profile, by, rename, table, false)
    }

    fn named(
        profile: &Profile,
        by: By,
        rename: Rename,
        table: &mut SymbolTable,
        joins_neighbours: bool,
    ) -> Self {
        let mut namer = Namer {
            profile,
            by,
            joins_neighbours,
            rename,
            table,
            known: IdMap::default(),
        };
        let mut all = Self {
            starts: Vec::with_capacity(profile.location_count() + 1),
            symbols: Vec::with_capacity(profile.location_count()),
            joins_neighbours,
        };
        all.starts.push(0);
        for index in 0..profile.location_count() {
            namer.push_location(LocationId::from_index(index), &mut all.symbols);
            all.starts.push(all.symbols.len() as u32);
        }
        all
    }

    /// The symbols of a location, outermost first; never empty.
    #[inline]
    pub(crate) fn of(&self, location: LocationId) -> &[SymbolId] {
        let index = location.index();
        &self.symbols[self.starts[index] as usize..self.starts[index + 1] as usize]
    }

    /// By location its symbol, if each has one only.
    pub(crate) fn single(&self) -> Option<&[SymbolId]> {
        let is_single = self.symbols.len() + 1 == self.starts.len();
        is_single.then_some(&self.symbols)
    }
}

struct Namer<'a> {
    profile: &'a Profile,
    by: By,
    joins_neighbours: bool,
    rename: Rename<'a>,
    table: &'a mut SymbolTable,
    known: IdMap<(u32, u32), SymbolId>,
}

impl Namer<'_> {
    fn push_location(&mut self, id: LocationId, symbols: &mut Vec<SymbolId>) {
        let start = symbols.len();
        let frames = self.profile.frames(id);
        if self.by == By::Mapping || frames.is_empty() {
            let symbol = self.addressed(id);
            symbols.push(symbol);
            return;
        }
        for frame in frames.iter().rev() {
            let symbol = self.frame(id, frame.function, frame.line.map(|line| line.get()));
            let repeats = self.joins_neighbours && symbols[start..].last() == Some(&symbol);
            if !repeats {
                symbols.push(symbol);
            }
        }
    }

    /// The symbol of a location whose frames do not matter or are not known.
    fn addressed(&mut self, id: LocationId) -> SymbolId {
        let name = match self.by {
            By::Function | By::FunctionLine => address_name(self.profile, id),
            By::File => "(unknown file)".to_owned(),
            By::Crate | By::Mapping => mapping_name(self.profile, id),
        };
        self.table.by_name(&name, None)
    }

    fn frame(&mut self, id: LocationId, function: FunctionId, line: Option<u32>) -> SymbolId {
        let key_line = if self.by == By::FunctionLine {
            line
        } else {
            None
        };
        let key = (function.index() as u32, key_line.unwrap_or(0));
        if let Some(&symbol) = self.known.get(&key) {
            return symbol;
        }
        let (symbol, depends_on_location) = self.new_frame(id, function, key_line);
        if !depends_on_location {
            self.known.insert(key, symbol);
        }
        symbol
    }

    /// The symbol of a function, and whether another location of it may have another one.
    fn new_frame(
        &mut self,
        id: LocationId,
        function: FunctionId,
        line: Option<u32>,
    ) -> (SymbolId, bool) {
        let name = function_name(self.profile, function);
        let file = text(self.profile, self.profile.function(function).filename);
        let renamed = self.rename.map(|rename| rename(name));
        let shown = renamed.as_deref().unwrap_or(name);
        let symbol = match self.by {
            By::Function | By::Mapping => self.table.by_name(shown, file),
            By::FunctionLine => self.table.by_line(shown, file, line),
            By::File => self.table.by_name(file.unwrap_or("(unknown file)"), file),
            By::Crate => match crate_of(name) {
                Some(name) => self.table.by_name(name, file),
                None => match file.and_then(crate_of_source) {
                    Some(name) => self.table.by_name(&name, file),
                    None => return (self.addressed(id), true),
                },
            },
        };
        (symbol, false)
    }
}

/// What a function is called: its name, else its name in the symbol table.
pub(crate) fn function_name(profile: &Profile, id: FunctionId) -> &str {
    let function = profile.function(id);
    text(profile, function.name)
        .or_else(|| text(profile, function.system_name))
        .unwrap_or("(unnamed)")
}

pub(crate) fn text(profile: &Profile, id: StringId) -> Option<&str> {
    Some(profile.string(id)).filter(|text| !text.is_empty())
}

/// `libfoo.so!0x1234` (relative address), or the bare AVMA outside all mappings.
fn address_name(profile: &Profile, id: LocationId) -> String {
    let location = profile.location(id);
    let Some(address) = location.address.map(|address| address.get()) else {
        return "[unknown]".to_owned();
    };
    match location.mapping.map(|mapping| profile.mapping(mapping)) {
        Some(mapping) => {
            let relative = address
                .wrapping_sub(mapping.start)
                .wrapping_add(mapping.offset);
            let file = text(profile, mapping.filename).map_or("[unknown]", file_name);
            format!("{file}!{relative:#x}")
        }
        None => format!("{address:#x}"),
    }
}

fn mapping_name(profile: &Profile, id: LocationId) -> String {
    let mapping = profile.location(id).mapping;
    let file = mapping.and_then(|mapping| text(profile, profile.mapping(mapping).filename));
    match file {
        Some(file) => file_name(file).to_owned(),
        None => profile
            .frames(id)
            .last()
            .map(|frame| profile.function_name(frame.function))
            .filter(|name| crate::is_pseudo(name))
            .unwrap_or("[unknown]")
            .to_owned(),
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}
