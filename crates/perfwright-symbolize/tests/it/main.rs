//! Symbolizes real programs: this test binary, compiled fixtures, and broken files.

mod own;
mod support;
