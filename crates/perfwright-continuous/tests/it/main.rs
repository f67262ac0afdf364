//! Captures on disk, the schedule, and sending.
