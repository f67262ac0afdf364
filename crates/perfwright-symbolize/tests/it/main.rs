//! Symbolizes real programs: this test binary, compiled fixtures, and broken files.

mod broken;
mod debug_files;
mod fixtures;
#[path = "../../../../xtask/need.rs"]
mod need;
mod opinions;
mod own;
mod support;
