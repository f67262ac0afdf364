//! What a binary is made of: its bytes by section, and by crate as far as its symbols tell.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{Data, Part, Reading, all_missing, artifacts};
use crate::{
    budgets::{Budget, Select},
    pattern::{self, Pattern},
};

/// Bytes of a binary that are read, at most.
const MAX_BYTES: u64 = 1 << 30;
/// Sections and crates that are told of a binary, at most of each.
const MAX_PARTS: usize = 500;

/// Binaries that were read already: many budgets are about one.
#[derive(Default)]
pub(super) struct Binaries {
    read: BTreeMap<PathBuf, Result<Binary, String>>,
}

/// Where the bytes of a binary went.
#[derive(Debug)]
pub(super) struct Binary {
    pub(super) bytes: u64,
    pub(super) sections: BTreeMap<String, u64>,
    /// Empty where the binary has no symbols.
    pub(super) crates: BTreeMap<String, u64>,
}

impl Binaries {
    pub(super) fn measure(&mut self, root: Option<&Path>, budget: &Budget) -> Vec<Reading> {
        let (select, stats) = (&budget.select, budget.stats());
        let Some(root) = root else {
            return all_missing(&stats, "no folder was given to look for files in");
        };
        let mut readings = Vec::new();
        for (name, file) in artifacts::files(root, select) {
            let binary = file.and_then(|file| self.read(&root.join(file)));
            match binary.and_then(|binary| Ok((binary, binary.kind(select)?))) {
                Ok((_, kind)) => {
                    // One file needs no name: it stands in the budget.
                    let file = Some(name.as_str()).filter(|_| !select.has_one_artifact());
                    kind.readings(file, &stats, &mut readings);
                }
                Err(why) => {
                    let missing = |stat| Reading::new(&*name, stat, Err(why.clone()));
                    readings.extend(stats.iter().map(missing));
                }
            }
        }
        readings
    }

    /// The sections and crates of the files that a budget is about.
    pub(super) fn parts(&mut self, root: Option<&Path>, select: &Select) -> Vec<Part> {
        let Some(root) = root else {
            return Vec::new();
        };
        let mut parts = Vec::new();
        for (_, file) in artifacts::files(root, select) {
            if let Ok(binary) = file.and_then(|file| self.read(&root.join(file))) {
                if select.crate_name.is_empty() {
                    of_bytes("section", &binary.sections, binary.bytes, &mut parts);
                }
                if select.section.is_empty() {
                    let all = binary.crates.values().sum();
                    of_bytes("crate", &binary.crates, all, &mut parts);
                }
            }
        }
        parts
    }

    fn read(&mut self, path: &Path) -> Result<&Binary, String> {
        let read = self.read.entry(path.to_owned()).or_insert_with(|| {
            let bytes = super::read_bytes(path, MAX_BYTES)?;
            Binary::parse(&bytes)
        });
        read.as_ref().map_err(Clone::clone)
    }
}

/// The greatest ones.
fn of_bytes(what: &str, sizes: &BTreeMap<String, u64>, whole: u64, parts: &mut Vec<Part>) {
    let mut sizes: Vec<(&String, u64)> = sizes.iter().map(|(name, &bytes)| (name, bytes)).collect();
    sizes.sort_by_key(|&(_, bytes)| std::cmp::Reverse(bytes));
    parts.extend(sizes.into_iter().take(MAX_PARTS).map(|(name, bytes)| Part {
        what: what.to_owned(),
        name: name.clone(),
        share: bytes as f64 / whole.max(1) as f64,
        bytes: Some(bytes as f64),
        change: None,
    }));
}

/// The sections or the crates of a binary, and which of them are asked for.
struct Kind<'a> {
    sizes: &'a BTreeMap<String, u64>,
    wanted: &'a [Pattern],
    whole: u64,
}

impl Binary {
    #[cfg(not(feature = "binary"))]
    fn parse(_bytes: &[u8]) -> Result<Self, String> {
        Err("this program was built without reading binaries".to_owned())
    }

    fn kind<'a>(&'a self, select: &'a Select) -> Result<Kind<'a>, String> {
        if !select.section.is_empty() {
            return Ok(Kind {
                sizes: &self.sections,
                wanted: &select.section,
                whole: self.bytes,
            });
        }
        match self.crates.is_empty() {
            true => {
                Err("it has no symbols, which tell the crates: build it without `strip`".to_owned())
            }
            false => Ok(Kind {
                sizes: &self.crates,
                wanted: &select.crate_name,
                whole: self.crates.values().sum(),
            }),
        }
    }
}

impl Kind<'_> {
    fn readings(&self, file: Option<&str>, stats: &[String], readings: &mut Vec<Reading>) {
        let mut push = |name: &str, bytes: u64, note: Option<&str>| {
            let subject = file.map_or(name.to_owned(), |file| format!("{file} {name}"));
            for stat in stats {
                let value = match stat.as_str() {
                    "share" => bytes as f64 / self.whole.max(1) as f64,
                    _ => bytes as f64,
                };
                let data = Data {
                    note: note.map(str::to_owned),
                    ..Data::exact(value)
                };
                readings.push(Reading::new(&*subject, stat, Ok(data)));
            }
        };
        for (name, &bytes) in self.sizes {
            if pattern::any(self.wanted, name) {
                push(name, bytes, None);
            }
        }
        for pattern in self.wanted {
            if !self.sizes.keys().any(|name| pattern.matches(name)) {
                push(
                    pattern.as_str(),
                    0,
                    Some("nothing in the file has this name"),
                );
            }
        }
    }
}
