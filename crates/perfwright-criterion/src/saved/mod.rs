//! What benches left behind: criterion's results, and what was counted beside its timing.
//!
//! You give the folder (`target/criterion`) and the name of a set of results (`"new"`: the last run; `"base"` or
//! another baseline); [`benches`] finds the benches, and each [`Bench`] is read when it is asked.
//!
//! ```no_run
//! # fn main() -> Result<(), perfwright_criterion::saved::Error> {
//! use perfwright_criterion::saved;
//!
//! for bench in saved::benches("target/criterion".as_ref(), saved::LAST)? {
//!     let median = bench.estimates()?.median;
//!     println!("{} {} ns", bench.name, median.value);
//!     if let Some(counts) = bench.counts()? {
//!         println!("  {} ns of CPU", counts.process_cpu_ns.unwrap_or(f64::NAN));
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! criterion's files are internal to it. They are read defensively: versions 0.3 to 0.8 are known, and of another
//! one an [`Error`] says which file has what instead of what. Values are nanoseconds, unless the bench measured
//! something else: criterion does not save what. Links are not followed, sizes and numbers of files are bounded.
//! cargo-criterion keeps other files, which are not read.

mod counts;
mod error;
mod estimates;
mod sample;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub use counts::{Allocations, COUNTS_FILE, Counts};
pub use error::Error;
pub use estimates::{Estimate, Estimates};
pub use sample::Sample;

/// The set of results that the last run of a bench left, whatever it is compared with.
pub const LAST: &str = "new";

/// Results that are found, at most.
const MAX_BENCHES: usize = 10_000;
/// Folders that are looked into: group, function, parameter, and one to spare.
const MAX_DEPTH: usize = 5;
/// A file of estimates has 2 kB.
const MAX_BYTES: u64 = 1 << 20;
/// A sample has two numbers a measurement: enough for 100,000 of them.
const MAX_SAMPLE_BYTES: u64 = 4 << 20;

/// One bench's results.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Bench {
    /// Its full name as criterion prints it: `group/function/parameter`. The folder's, if no file tells.
    pub name: String,
    /// Where this set of results lies.
    pub folder: PathBuf,
}

/// What a bench processes in one iteration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Throughput {
    /// So many bytes.
    Bytes(u64),
    /// So many elements, whatever they are.
    Elements(u64),
    /// So many bits.
    Bits(u64),
}

/// The benches below a folder that have a set of results of this name, by their names.
///
/// # Errors
/// If there is no such folder, or it cannot be read. A folder without benches has none.
pub fn benches(root: &Path, set: &str) -> Result<Vec<Bench>, Error> {
    fs::read_dir(root).map_err(|error| Error::io(root, error))?;
    let mut folders = Vec::new();
    find(root, set, 0, &mut folders);
    let named = |folder: PathBuf| Bench {
        name: name_of(root, &folder),
        folder,
    };
    let mut benches: Vec<Bench> = folders.into_iter().map(named).collect();
    benches.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.folder.cmp(&b.folder)));
    Ok(benches)
}

impl Bench {
    /// How long an iteration takes.
    ///
    /// # Errors
    /// If the file cannot be read or is of an unknown version.
    pub fn estimates(&self) -> Result<Estimates, Error> {
        let path = self.folder.join("estimates.json");
        estimates::parse(&path, &read_json(&path, MAX_BYTES)?)
    }

    /// What was measured, sample by sample.
    ///
    /// # Errors
    /// If the file cannot be read or is of an unknown version.
    pub fn sample(&self) -> Result<Sample, Error> {
        let path = self.folder.join("sample.json");
        sample::parse(&path, &read_json(&path, MAX_SAMPLE_BYTES)?)
    }

    /// What was counted beside the timing; `None` if nothing was: the bench is not one of
    /// [`CriterionExt`](crate::CriterionExt)'s.
    ///
    /// # Errors
    /// If the file cannot be read or is of a later version.
    pub fn counts(&self) -> Result<Option<Counts>, Error> {
        let path = self.folder.join(COUNTS_FILE);
        match path.try_exists() {
            Ok(false) => Ok(None),
            _ => counts::parse(&path, &read_text(&path, MAX_BYTES)?).map(Some),
        }
    }

    /// What the bench processes in one iteration, if it says so.
    pub fn throughput(&self) -> Option<Throughput> {
        let told = read_json(&self.folder.join("benchmark.json"), MAX_BYTES).ok()?;
        let of = |key: &str| told.get("throughput")?.get(key)?.as_u64();
        let bytes = of("Bytes")
            .or_else(|| of("BytesDecimal"))
            .map(Throughput::Bytes);
        let elements = || of("Elements").map(Throughput::Elements);
        bytes
            .or_else(elements)
            .or_else(|| of("Bits").map(Throughput::Bits))
    }

    /// The same bench's set of results of another name, if there is one.
    pub fn other(&self, set: &str) -> Option<Bench> {
        let folder = self.folder.with_file_name(set);
        has_results(&folder).then(|| Bench {
            name: self.name.clone(),
            folder,
        })
    }
}

/// Sets of results; [`COUNTS_FILE`] alone is one too.
fn find(folder: &Path, set: &str, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        // Links are not followed: they may lead in a circle.
        if found.len() >= MAX_BENCHES || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        if entry.file_name() == set && has_results(&path) {
            found.push(path);
        } else if depth < MAX_DEPTH {
            find(&path, set, depth + 1, found);
        }
    }
}

fn has_results(folder: &Path) -> bool {
    ["estimates.json", COUNTS_FILE]
        .iter()
        .any(|name| folder.join(name).is_file())
}

fn name_of(root: &Path, folder: &Path) -> String {
    let told = read_json(&folder.join("benchmark.json"), MAX_BYTES).ok();
    let told = told.as_ref().and_then(|told| told.get("full_id")?.as_str());
    let counted = || {
        let path = folder.join(COUNTS_FILE);
        let text = read_text(&path, MAX_BYTES).ok()?;
        Some(counts::parse(&path, &text).ok()?.name)
    };
    told.map(str::to_owned).or_else(counted).unwrap_or_else(|| {
        let bench = folder.parent().unwrap_or(folder);
        let below = bench.strip_prefix(root).unwrap_or(bench);
        below.to_string_lossy().replace('\\', "/")
    })
}

fn read_json(path: &Path, max: u64) -> Result<Value, Error> {
    serde_json::from_str(&read_text(path, max)?).map_err(|error| Error::json(path, &error))
}

/// A file's text; none that is larger than `max` bytes.
fn read_text(path: &Path, max: u64) -> Result<String, Error> {
    let read = || {
        let mut text = String::new();
        fs::File::open(path)?
            .take(max + 1)
            .read_to_string(&mut text)?;
        Ok::<_, std::io::Error>(text)
    };
    match read() {
        Ok(text) if text.len() as u64 > max => {
            Err(Error::odd(path, format!("it has more than {max} bytes")))
        }
        Ok(text) => Ok(text),
        Err(error) => Err(Error::io(path, error)),
    }
}
