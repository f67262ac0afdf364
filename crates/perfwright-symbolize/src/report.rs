//! What a symbolization gave, and why it did not give more.

use std::fmt;
use std::path::PathBuf;

/// What [`Symbolizer::symbolize`](crate::Symbolizer::symbolize) did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Locations that now have the name of a function.
    pub resolved: usize,
    /// Locations that were looked up and have only a name such as `libfoo.so!0x1234`.
    pub unresolved: usize,
    /// Bytes of object files that were mapped, over all mappings; most are never read.
    pub mapped_bytes: u64,
    /// One entry for each mapping with locations to look up, in the profile's order; then one without a file
    /// for locations outside all mappings, if there are any.
    pub mappings: Vec<MappingReport>,
}

/// What was found for one mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MappingReport {
    /// The mapped file as the profile names it; empty for locations outside all mappings.
    pub file: String,
    /// The build id in the profile, in hex; empty when unknown.
    pub build_id: String,
    /// Locations named from debug information.
    pub from_debug_info: usize,
    /// Locations named from a symbol table alone: no line, no inlined frames.
    pub from_symbols: usize,
    /// Locations without a name.
    pub unresolved: usize,
    /// Files that were read.
    pub sources: Vec<PathBuf>,
    /// What stood in the way, in the order it was met. May be empty even if locations are unresolved: then
    /// the files were fine and simply do not cover them.
    pub problems: Vec<Problem>,
}

/// Why a mapping's locations could not all be named.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The locations have no mapping, so there is no file to ask.
    NoMapping,
    /// The mapping is memory without a file: generated code, a heap, a kernel page.
    NotAFile,
    /// The file could not be opened.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's words.
        error: String,
    },
    /// The file is another build than the one that was profiled, so it was not used.
    BuildIdDiffers {
        /// The file.
        path: PathBuf,
        /// Its own build id, in hex.
        found: String,
    },
    /// The file is not an object file, or its parts contradict each other.
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
    /// The mapping shows a part of the file that holds no loaded segment.
    NoSegment {
        /// The file.
        path: PathBuf,
    },
    /// Neither the file nor a debug file has debug information: names come from symbols, without lines.
    NoDebugInfo,
    /// Some functions are described in `.dwo` or `.dwp` files, which are not read: no inlined frames there.
    SplitDebugInfo {
        /// How many compilation units that concerns.
        units: usize,
    },
    /// Some of the debug information could not be read.
    BrokenDebugInfo {
        /// The file.
        path: PathBuf,
        /// How many compilation units that concerns.
        units: usize,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMapping => write!(f, "outside every mapped file"),
            Self::NotAFile => write!(f, "memory without a file: generated code or a kernel page"),
            Self::Unreadable { path, error } => {
                write!(f, "cannot open {}: {error}", path.display())
            }
            Self::BuildIdDiffers { path, found } => write!(
                f,
                "{} is another build ({found}): give the one that ran, or its debug file",
                path.display()
            ),
            Self::Malformed { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::NoSegment { path } => {
                write!(f, "{} has no code where it was mapped", path.display())
            }
            Self::NoDebugInfo => write!(
                f,
                "no debug information: function names only; build with debug = 1 or give the debug file"
            ),
            Self::SplitDebugInfo { units } => write!(
                f,
                "{units} units keep their functions in .dwo or .dwp files, which are not read: \
                 build with split-debuginfo = \"off\""
            ),
            Self::BrokenDebugInfo { path, units } => write!(
                f,
                "debug information of {units} units in {} is broken",
                path.display()
            ),
        }
    }
}

impl Report {
    pub(crate) fn add(&mut self, mapping: MappingReport) {
        self.resolved += mapping.from_debug_info + mapping.from_symbols;
        self.unresolved += mapping.unresolved;
        self.mappings.push(mapping);
    }
}

/// Lines for a terminal: the sum, then each mapping that has something to say.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.resolved + self.unresolved;
        write!(f, "{} of {total} addresses resolved", self.resolved)?;
        let silent = |m: &&MappingReport| m.unresolved > 0 || !m.problems.is_empty();
        for mapping in self.mappings.iter().filter(silent) {
            write!(f, "\n{mapping}")?;
        }
        Ok(())
    }
}

impl fmt::Display for MappingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.file.as_str() {
            "" => "(no mapping)",
            file => file,
        };
        let total = self.from_debug_info + self.from_symbols + self.unresolved;
        write!(
            f,
            "{name}: {total} addresses, {} with lines, {} by symbol only, {} unresolved",
            self.from_debug_info, self.from_symbols, self.unresolved
        )?;
        self.problems
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}
