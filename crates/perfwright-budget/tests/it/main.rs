//! Budget files in, verdicts out.
