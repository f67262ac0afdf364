//! What bench executables leave behind, and how it is read.

mod known;
mod saved;
