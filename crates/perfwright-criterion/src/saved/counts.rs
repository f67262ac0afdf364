//! `perfwright.json`: what was counted beside the timing.

use std::path::Path;
#[cfg(all(feature = "harness", unix))]
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::Error;

/// The file's name, beside criterion's in a set of results.
pub const COUNTS_FILE: &str = "perfwright.json";

/// The version that is written, and the latest that is read. A field that is added does not change it.
const VERSION: u32 = 1;

/// What one iteration of a bench took, counted outside of what criterion times. Averages over all iterations but
/// the first, which a program's lazily made parts fall into.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counts {
    version: u32,
    /// The bench's full name.
    pub name: String,
    /// How many iterations were counted.
    pub iterations: u64,
    /// What was allocated, in whatever thread; `None` if the program's allocator does not count.
    pub allocations: Option<Allocations>,
    /// CPU time of all threads of the process; `None` where the system has no such clock, or only allocations were
    /// counted.
    pub process_cpu_ns: Option<f64>,
    /// CPU time of the bench's own thread.
    pub thread_cpu_ns: Option<f64>,
    /// Time that passed.
    pub wall_ns: Option<f64>,
}

/// What one iteration allocates.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Allocations {
    /// How often; a reallocation is one.
    pub count: f64,
    /// How many bytes it asks for.
    pub bytes: f64,
    /// Whether every measurement had the same of both, an iteration. Else it depends on something: a table that
    /// grows, a random seed, another thread.
    pub same_each_time: bool,
}

impl Counts {
    /// Counts of nothing yet.
    #[cfg(all(feature = "harness", unix))]
    pub(crate) fn new(name: &str, iterations: u64) -> Counts {
        Counts {
            version: VERSION,
            name: name.to_owned(),
            iterations,
            allocations: None,
            process_cpu_ns: None,
            thread_cpu_ns: None,
            wall_ns: None,
        }
    }

    /// By how much the process used more CPU time than the bench's own thread, as a share of the latter; `None` if
    /// unknown. Above 0.05 other threads work for the bench, and its thread's clock does not tell what it costs.
    pub fn other_threads(&self) -> Option<f64> {
        let (process, thread) = (self.process_cpu_ns?, self.thread_cpu_ns?);
        (thread > 0.0).then(|| (process / thread - 1.0).max(0.0))
    }

    /// Writes the file into a set of results.
    #[cfg(all(feature = "harness", unix))]
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        crate::files::write_whole(&folder.join(COUNTS_FILE), |file| {
            serde_json::to_writer_pretty(file, self).map_err(io::Error::from)
        })
    }
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Counts, Error> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    // The version first: of a later one the rest may be anything.
    let Versioned { version } =
        serde_json::from_str(text).map_err(|error| Error::json(path, &error))?;
    if version != VERSION {
        let what = format!("it has version {version}, and {VERSION} is read");
        return Err(Error::odd(path, what));
    }
    serde_json::from_str(text).map_err(|error| Error::json(path, &error))
}
