//! What is shown, as the part of an address behind `#`.

use crate::{Step, StepKind};

/// The views.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum View {
    /// Callees above their callers, the heaviest first.
    #[default]
    Flame,
    /// Callees below their callers, the heaviest first.
    Icicle,
    /// Callees below their callers, in the order of time.
    Time,
    /// The callers and the callees of the selected function.
    Sandwich,
    /// The functions, with self and total.
    Table,
    /// The call tree as rows that open and close.
    Tree,
    /// The lines of the selected function.
    Source,
    /// Threads, routes, spans: the values of labels.
    Labels,
}

impl View {
    const NAMES: [(Self, &'static str); 8] = [
        (Self::Flame, "flame"),
        (Self::Icicle, "icicle"),
        (Self::Time, "time"),
        (Self::Sandwich, "sandwich"),
        (Self::Table, "table"),
        (Self::Tree, "tree"),
        (Self::Source, "source"),
        (Self::Labels, "labels"),
    ];
}

/// What makes two profiles comparable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Normalize {
    /// Shares of each profile's total.
    #[default]
    Share,
    /// Values per second of each profile.
    Rate,
    /// Nothing: the values themselves.
    Absolute,
}

impl Normalize {
    const NAMES: [(Self, &'static str); 3] = [
        (Self::Share, "share"),
        (Self::Rate, "rate"),
        (Self::Absolute, "absolute"),
    ];
}

/// The columns that a table can be sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Column {
    /// The function's name.
    Name,
    /// Its own cost.
    #[default]
    SelfValue,
    /// Its cost with all it called.
    Total,
    /// By how much its own cost changed.
    SelfChange,
    /// By how much its total changed.
    TotalChange,
}

impl Column {
    const NAMES: [(Self, &'static str); 5] = [
        (Self::Name, "name"),
        (Self::SelfValue, "self"),
        (Self::Total, "total"),
        (Self::SelfChange, "self-change"),
        (Self::TotalChange, "total-change"),
    ];
}

/// What frames are grouped under.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Unit {
    /// The function's name.
    #[default]
    Function,
    /// The source file.
    File,
    /// The Rust crate.
    Crate,
    /// The mapped file: the executable, its libraries.
    Mapping,
}

impl Unit {
    const NAMES: [(Self, &'static str); 4] = [
        (Self::Function, "function"),
        (Self::File, "file"),
        (Self::Crate, "crate"),
        (Self::Mapping, "mapping"),
    ];
}

/// What is shown. It reads and writes itself as `view=table&f=focus:db`, with what is usual left out, so an
/// address can hold it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct State {
    /// Which of the open profiles.
    pub profile: usize,
    /// The profile it is compared with.
    pub baseline: Option<usize>,
    /// What makes them comparable.
    pub normalize: Normalize,
    /// The kind of the sample type; empty: the profile's own choice.
    pub sample_type: String,
    /// The view.
    pub view: View,
    /// What frames are grouped under.
    pub unit: Unit,
    /// The label whose values stand between the root and the calls; empty: none.
    pub group_by: String,
    /// Names in full: instances of a generic function are functions of their own.
    pub full_names: bool,
    /// The standard library and what drives futures is merged into its callers.
    pub my_code: bool,
    /// A function that calls itself is merged with itself.
    pub no_recursion: bool,
    /// The filters, in their order.
    pub steps: Vec<Step>,
    /// What is searched for, as in [`Pattern`](crate::Pattern).
    pub query: String,
    /// What tables are sorted by.
    pub sort: Column,
    /// Sorted the other way around.
    pub reversed: bool,
    /// The selected node of the main tree.
    pub node: Option<u32>,
    /// The name of the selected function.
    pub function: String,
    /// The visible part of a flame view, as shares of the whole.
    pub zoom: Option<[f64; 2]>,
}

impl State {
    /// Reads a state. What it does not understand counts as left out: addresses are typed by people and
    /// come from other versions.
    pub fn parse(text: &str) -> Self {
        let mut state = Self::default();
        for field in text.trim_start_matches(['#', '?']).split('&') {
            let (key, value) = field.split_once('=').unwrap_or((field, ""));
            state.set(key, &decoded(value));
        }
        state
    }

    fn set(&mut self, key: &str, value: &str) {
        match key {
            "p" => self.profile = value.parse().unwrap_or(0),
            "base" => self.baseline = value.parse().ok(),
            "norm" => self.normalize = named(&Normalize::NAMES, value),
            "type" => self.sample_type = value.to_owned(),
            "view" => self.view = named(&View::NAMES, value),
            "by" => self.unit = named(&Unit::NAMES, value),
            "group" => self.group_by = value.to_owned(),
            "full" => self.full_names = true,
            "mine" => self.my_code = true,
            "flat" => self.no_recursion = true,
            "f" | "off" => self.steps.extend(step(value, key == "off")),
            "q" => self.query = value.to_owned(),
            "sort" => self.sort = named(&Column::NAMES, value),
            "rev" => self.reversed = true,
            "node" => self.node = value.parse().ok(),
            "fn" => self.function = value.to_owned(),
            "zoom" => self.zoom = zoom(value),
            _ => {}
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let usual = Self::default();
        let mut fields: Vec<(&str, String)> = Vec::new();
        let mut field = |key, value: String, wanted: bool| {
            if wanted {
                fields.push((key, value));
            }
        };
        let number = |number: Option<usize>| number.map_or(String::new(), |n| n.to_string());
        field("p", self.profile.to_string(), self.profile != 0);
        field("base", number(self.baseline), self.baseline.is_some());
        let normalize = name(&Normalize::NAMES, self.normalize);
        field("norm", normalize, self.normalize != usual.normalize);
        field(
            "type",
            self.sample_type.clone(),
            !self.sample_type.is_empty(),
        );
        field(
            "view",
            name(&View::NAMES, self.view),
            self.view != usual.view,
        );
        field("by", name(&Unit::NAMES, self.unit), self.unit != usual.unit);
        field("group", self.group_by.clone(), !self.group_by.is_empty());
        field("full", "1".into(), self.full_names);
        field("mine", "1".into(), self.my_code);
        field("flat", "1".into(), self.no_recursion);
        for step in &self.steps {
            let key = if step.off { "off" } else { "f" };
            field(key, format!("{}:{}", step.kind.name(), step.pattern), true);
        }
        field("q", self.query.clone(), !self.query.is_empty());
        field(
            "sort",
            name(&Column::NAMES, self.sort),
            self.sort != usual.sort,
        );
        field("rev", "1".into(), self.reversed);
        field("fn", self.function.clone(), !self.function.is_empty());
        field(
            "node",
            number(self.node.map(|node| node as usize)),
            self.node.is_some(),
        );
        if let Some([start, end]) = self.zoom {
            field("zoom", format!("{start},{end}"), true);
        }
        for (index, (key, value)) in fields.iter().enumerate() {
            let separator = if index == 0 { "" } else { "&" };
            write!(f, "{separator}{key}={}", encoded(value))?;
        }
        Ok(())
    }
}

fn named<T: Copy + Default>(names: &[(T, &str)], value: &str) -> T {
    let found = names.iter().find(|(_, name)| *name == value);
    found.map_or_else(T::default, |(known, _)| *known)
}

fn name<T: PartialEq>(names: &[(T, &str)], value: T) -> String {
    let found = names.iter().find(|(known, _)| *known == value);
    found.map_or(String::new(), |(_, name)| (*name).to_owned())
}

fn step(value: &str, off: bool) -> Option<Step> {
    let (kind, pattern) = value.split_once(':')?;
    Some(Step {
        kind: StepKind::parse(kind)?,
        pattern: pattern.to_owned(),
        off,
    })
}

fn zoom(value: &str) -> Option<[f64; 2]> {
    let (start, end) = value.split_once(',')?;
    let zoom = [start.parse::<f64>().ok()?, end.parse::<f64>().ok()?];
    let is_range = zoom.iter().all(|at| (0.0..=1.0).contains(at)) && zoom[0] < zoom[1];
    is_range.then_some(zoom)
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~:,=/()*!$@;".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let hex = after
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = hex.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = after;
        match (byte, escaped) {
            (b'%', Some(value)) => {
                bytes.push(value);
                rest = &after[2..];
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
