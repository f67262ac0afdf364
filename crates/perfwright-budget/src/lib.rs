//! Budgets of performance: what "fast enough" means, written down in a file, and held against numbers.
//!
//! Give a file to [`Budgets::parse`], where the numbers come from to [`Sources`], and both to [`judge`]: out comes
//! a [`Report`] with a verdict on every limit, for terminals, programs and continuous integration.
//!
//! ```toml
//! version = 1
//!
//! [[budget]]
//! metric = "profile.share"
//! select = { function = "serde_json::*", route = "GET /orders" }
//! limits = ["total < 15%"]
//!
//! [[budget]]
//! metric = "size"
//! select = { artifact = "dist/*.js" }
//! limits = ["gzip < 300KiB"]
//! regression = { max = "+2%", floor = "4KiB" }
//! ```
//!
//! # Metrics
//! | metric | what it is |
//! |---|---|
//! | `profile.share` | The share of a function, crate, route or span in a profile |
//! | `latency` | How long requests and spans take |
//! | `throughput` | Requests per second; of spans, how often they were entered |
//! | `error_rate` | The share of requests that failed |
//! | `concurrency` | Requests under way at once |
//! | `request.size` | Bytes of requests' bodies |
//! | `response.size` | Bytes of responses' bodies |
//! | `cpu` | CPU time of requests, of all or of a route, and of spans without those inside |
//! | `process.cpu` | CPU time of the process per time: 100 % is one core |
//! | `process.rss` | Resident memory of the process |
//! | `process.fds` | Open files of the process, connections among them |
//! | `heap` | What is allocated, in all or by a route or span |
//! | `pool` | A pool of connections |
//! | `cache.hit_rate` | How often a cache had what it was asked for |
//! | `bench` | Saved results of benches |
//! | `size` | The size of files |
//! | `binary` | The sections of an executable, library or wasm module, and the crates in it |
//! | `command` | How long a command of the file runs, and what it uses |
//! | `dependencies` | How many crates a package builds with, itself included |
//! | `prometheus` | Any metric of a page of metrics, by its name there |
//!
//! Their statistics, and what they select by, are in the repository's `docs/budgets.md`, which a test holds to the
//! code.
//!
//! In names `*` stands for any characters; a list of names means any of them. A share on a route or span is of
//! what that route or span used; methods of a type belong to the crate of the type.
//!
//! # Verdicts
//! An estimate is a breach only if it is beyond its limit by more than [`Budgets::deviations`] standard deviations
//! of its sampling; within them it is "can't tell", and on the good side of its limit it holds. What was beyond
//! its limit before and is no worse is a warning, and so is what a waiver allows until its day. **Missing data
//! fails**, unless the budget says otherwise: it is never a silent pass.
//!
//! What it will not do: run anything, fetch anything, or write files. It reads the folders it is given, and never
//! outside of them. Bad input gives a [`FileError`] with line, column and help, or a missing value with its reason.
#![forbid(unsafe_code)]

mod budgets;
mod date;
mod error;
mod file;
mod init;
mod judge;
#[cfg(feature = "junit")]
mod junit;
mod limit;
mod measure;
mod metric;
mod names;
mod output;
mod pattern;
#[cfg(test)]
mod reference;
mod rules;
#[cfg(feature = "schema")]
mod schema;
mod units;

pub use budgets::{Budget, Budgets, CommandSpec, FILE_VERSION, PackageQuery};
pub use date::Date;
pub use error::{FileError, Problem};
pub use file::{Missing, Severity};
pub use judge::{Level, Report, Row, Verdict, judge};
pub use limit::Limit;
pub use measure::{CommandRun, CommandRuns, Measurements, Part, SourceError, Sources};
pub use metric::Metric;
pub use pattern::Pattern;
pub use rules::Rules;
#[cfg(feature = "schema")]
pub use schema::schema;
