//! Symbolizes real programs: this test binary, compiled fixtures, and broken files.

mod broken;
mod debug_files;
mod fixtures;
mod opinions;
mod own;
mod support;
