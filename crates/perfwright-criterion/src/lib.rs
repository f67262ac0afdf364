//! Helpers for [criterion](https://docs.rs/criterion).
#![forbid(unsafe_code)]
