//! Addresses of a profile to functions, files, lines and inlined frames.
//!
//! You give a [`Profile`](perfwright_model::Profile) whose locations have addresses and mappings; what comes
//! back is the same profile with frames, and a [`Report`] of what could not be had and why. Nothing here
//! fails as a whole, and nothing vanishes: a location without a name is called by its file and address.
//!
//! ```
//! # let mut profile = perfwright_model::Profile::new([]);
//! use perfwright_symbolize::{Options, Symbolizer};
//!
//! let report = Symbolizer::new(Options::default())
//!     .debug_dir("target/debug-files")
//!     .symbolize(&mut profile);
//! eprintln!("{report}");
//! ```
//!
//! # Where debug information is looked for
//! 1. The mapped file itself, if its build id is the one in the profile (or one of them is unknown).
//! 2. The files given by [`Symbolizer::debug_file`] with the same build id.
//! 3. `.build-id/ab/cdef.debug` in the folders given by [`Symbolizer::debug_dir`], then in `/usr/lib/debug`.
//! 4. What the file's `.gnu_debuglink` names: beside it, in `.debug`, in the given folders, in `/usr/lib/debug`.
//!
//! Code without debug information is named from the symbol tables, of which a symbol's size is respected. Code
//! without either is called `libfoo.so!0x1234`, after the start of the function where unwind tables tell it, so
//! that the samples of one function stay together.
//! DWARF 2 to 5 and sections compressed with zlib or zstd are read.
//!
//! # How
//! All addresses of a mapping are looked up in one pass over the compilation units that hold them; no index
//! of the program is built. Memory is what the addresses need, beside the pages of the mapped file that are
//! touched. A function that was inlined has the name of its debug information: with `debug = 1` or `2` that is
//! the whole path, with `line-tables-only` rustc writes only the last part (`next<u64>`).
//!
//! # What it will not do
//! It does not read `.dwo` and `.dwp` files, download from debuginfod, or run in a signal handler. It maps the
//! files it reads; a file that is truncated meanwhile ends the process with SIGBUS, as it does in other
//! symbolizers.

mod demangle;
mod dwarf;
mod extents;
mod image;
mod mapped;
mod report;
mod search;
mod symbolizer;
mod symbols;

pub use demangle::demangle;
pub use report::{MappingReport, Problem, Report};
pub use symbolizer::{Options, Symbolizer};
