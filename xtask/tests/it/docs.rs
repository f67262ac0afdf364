//! The commands in the docs work as written.

use std::{fs, process::Command};

use crate::{output_of, root};

/// The lines of the shell blocks of a Markdown file.
fn shell_lines(file: &str) -> Vec<String> {
    let text =
        fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let blocks = text.split("```").skip(1).step_by(2);
    blocks
        .filter_map(|block| block.strip_prefix("sh\n"))
        .flat_map(str::lines)
        .map(|line| line.split(" #").next().unwrap_or(line).trim().to_owned())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// The `cargo xtask` commands that the docs show, without these two words.
fn xtask_commands() -> Vec<String> {
    let files = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"];
    let lines = files.into_iter().flat_map(shell_lines);
    lines
        .filter_map(|line| Some(line.strip_prefix("cargo xtask ")?.to_owned()))
        .collect()
}

/// Builds, measures for seconds, or judges a whole repository: CI runs these, here only their arguments are checked.
const LONG: [&str; 6] = ["profile", "test", "lint", "ci", "budget", "bench"];

#[test]
fn the_two_commands_of_a_fresh_clone_are_what_ci_runs() {
    let ci = fs::read_to_string(root().join(".ci/run")).expect(".ci/run is there");
    let shown = shell_lines("README.md");
    for command in ["cargo xtask profile", "cargo xtask test"] {
        assert!(
            shown.iter().any(|line| line == command),
            "README.md shows `{command}`"
        );
        assert!(
            ci.lines().any(|line| line.trim() == command),
            ".ci/run runs `{command}`"
        );
    }
}

#[test]
fn shown_commands_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // What the docs call the latest run, and the one to compare it with.
    for (run, stacks) in [
        ("latest", "main;parse 60\nmain;send 40\n"),
        ("baseline", "main;parse 80\nmain;send 40\n"),
    ] {
        let run = folder.path().join("target/perfwright").join(run);
        fs::create_dir_all(&run).expect("a folder");
        fs::write(run.join("cpu.folded"), stacks).expect("a file");
        let converted = ["convert", "cpu.folded", "-o", "cpu.pb.gz"];
        output_of(
            Command::new(env!("CARGO_BIN_EXE_xtask"))
                .args(converted)
                .current_dir(&run),
        );
    }
    let commands = xtask_commands();
    assert!(commands.len() >= 6, "the docs show commands: {commands:?}");
    for command in commands {
        let words: Vec<_> = command.split_whitespace().collect();
        let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
        xtask.current_dir(folder.path());
        if LONG.contains(&words[0]) {
            // clap answers `--help` only after it has understood what stands before it.
            let own = words.iter().take_while(|word| **word != "--");
            output_of(xtask.args(own).arg("--help"));
        } else {
            // Nobody wants a browser to open while tests run.
            let quiet: &[&str] = match words[0] {
                "view" => &["--no-open", "--out", "view.html"],
                _ => &[],
            };
            output_of(xtask.args(&words).args(quiet));
        }
    }
}
