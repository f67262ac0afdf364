//! Profile file formats: pprof and folded stacks, read and written, with limits on hostile input
