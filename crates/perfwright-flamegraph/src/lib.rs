//! Flamegraphs of a profile as SVG
