//! Checks of the repository itself: what ARCHITECTURE.md and README.md promise.

mod api;
mod cross;
mod docs;
mod main_job;
mod package;
mod tidy;

#[path = "../../need.rs"]
mod need;
/// The official schema, as the format crate's own tests have it.
#[path = "../../../crates/perfwright-format/tests/it/schema.rs"]
#[allow(
    dead_code,
    reason = "those tests also need what encoders of proto2 write"
)]
mod schema;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The repository's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the repository")
        .to_owned()
}

/// Where tests that build something do so: a folder of its own, for cargo locks the one in use.
fn target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Cargo's own target folder: for builds that share their dependencies with the workspace's. Nothing else
/// builds in it while tests run.
fn target_directory() -> PathBuf {
    // Cargo's temporary folder for tests is `tmp` in it.
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    tmp.parent()
        .expect("tmp lies in the target folder")
        .to_owned()
}

/// `cargo` with these words, in the repository's folder.
fn cargo(arguments: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(arguments.split_whitespace())
        .current_dir(root());
    command
}

/// Runs a command to its end and returns what it printed.
///
/// # Panics
/// With all its output if it fails.
#[track_caller]
fn output_of(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?} failed ({}):\n{stdout}\n{stderr}",
        output.status
    );
    stdout
}
