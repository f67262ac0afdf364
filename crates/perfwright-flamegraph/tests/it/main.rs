//! Flamegraphs, read back out of the SVG.

mod boxes;
mod diff;
mod drawing;
mod hostile;
mod notation;
mod pruning;
