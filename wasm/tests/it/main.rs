//! The viewer as its users meet it: the model by what it answers, the page in a real browser.

mod access;
mod diff;
mod export;
mod fixture;
mod formats;
mod harness;
mod model;
mod packed;
mod page;
mod refused;
mod second;
mod source;
mod states;

#[path = "../../../xtask/browser.rs"]
mod browser;
#[path = "../../../xtask/need.rs"]
mod need;
/// The official schema of pprof, which the format's own tests have too.
#[path = "../../../crates/perfwright-format/tests/it/schema.rs"]
#[allow(
    dead_code,
    reason = "the format's tests also need what encoders of proto2 write"
)]
mod schema;
