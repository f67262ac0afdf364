//! What the repository does to itself: test, lint, and both.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};

use crate::{
    install, need,
    viewer::{self, ViewerArgs},
};

/// The repository's own chores.
#[derive(Debug, Subcommand)]
pub(crate) enum Chore {
    /// Run every test; what is missing beyond the toolchain is named, and its tests counted as skipped.
    Test(TestArgs),
    /// Check formatting, lints, docs, packages, and that what is not tested at least compiles.
    Lint,
    /// Lint, then test: what continuous integration runs.
    Ci(TestArgs),
    /// Build the browser viewer into one HTML file.
    Viewer(ViewerArgs),
}

/// Arguments of `test`.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Install what tests need beyond the toolchain (done unasked only as root on Debian).
    #[arg(long)]
    install: bool,
    /// Only the tests whose names contain this.
    filter: Option<String>,
}

impl Chore {
    pub(crate) fn run(&self) -> Result<()> {
        env::set_current_dir(root())?;
        match self {
            Chore::Test(args) => test(args),
            Chore::Lint => lint(),
            Chore::Ci(args) => lint().and_then(|()| test(args)),
            Chore::Viewer(args) => viewer::viewer(args),
        }
    }
}

/// The repository's folder.
pub(crate) fn root() -> PathBuf {
    // Set by cargo for `cargo xtask`, also in a clone that was moved since it was built.
    let manifest =
        env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&manifest)
        .parent()
        .map_or_else(PathBuf::new, Path::to_owned)
}

/// Runs a command that prints for itself.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = shown(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("start `{name}`"))?;
    if !status.success() {
        bail!("`{name}` failed ({status})");
    }
    Ok(())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

pub(crate) fn cargo(arguments: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments.split_whitespace());
    command
}

/// Each step's name and command; the docs of a step that fails are its own output.
fn lint() -> Result<()> {
    let steps = [
        ("formatting", cargo("fmt --all --check")),
        (
            "lints",
            cargo("clippy --quiet --workspace --all-targets --locked -- -D warnings"),
        ),
        ("docs", {
            let mut docs = cargo("doc --quiet --workspace --no-deps --locked");
            docs.env("RUSTDOCFLAGS", "-D warnings");
            docs
        }),
        (
            "benches compile",
            cargo(
                "check --quiet --locked --all-targets --manifest-path benches/Cargo.toml --target-dir target",
            ),
        ),
        (
            "fuzz targets compile",
            cargo(
                "check --quiet --locked --manifest-path crates/perfwright-format/fuzz/Cargo.toml --target-dir target",
            ),
        ),
    ];
    for (name, mut command) in steps {
        let start = Instant::now();
        eprintln!("lint: {name}");
        run(&mut command).with_context(|| format!("lint: {name}"))?;
        eprintln!("lint: {name}: ok in {:.0} s", start.elapsed().as_secs_f64());
    }
    viewer::check()?;
    eprintln!("lint: the built viewer is up to date");
    print_sizes()
}

/// Numbers to watch: not judged, so that they are seen when they grow.
fn print_sizes() -> Result<()> {
    for features in ["--no-default-features", ""] {
        let output = cargo(&format!(
            "tree --locked -p perfwright --edges normal --prefix none {features}"
        ))
        .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let crates: std::collections::BTreeSet<_> = text
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        let which = if features.is_empty() {
            "default features"
        } else {
            "no features"
        };
        println!(
            "a service that embeds perfwright ({which}) builds {} crates",
            crates.len()
        );
    }
    Ok(())
}

/// What the test runner counted.
#[derive(Default, Debug)]
struct Counts {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl Counts {
    /// Adds the numbers of a line such as `test result: ok. 3 passed; 0 failed; 0 ignored; …`.
    fn add_line(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ") else {
            return;
        };
        let numbers: BTreeMap<_, usize> = counts
            .split([';', '.'])
            .filter_map(|part| part.trim().split_once(' '))
            .filter_map(|(number, what)| Some((what, number.parse().ok()?)))
            .collect();
        let of = |what| numbers.get(what).copied().unwrap_or(0);
        self.passed += of("passed");
        self.failed += of("failed");
        self.ignored += of("ignored");
    }
}

fn test(args: &TestArgs) -> Result<()> {
    install::provide_tools(args.install)?;
    let list = tempfile::NamedTempFile::new()?;
    let mut command = cargo("test --workspace --locked --no-fail-fast");
    command
        .args(args.filter.as_slice())
        .env(need::SKIPPED, list.path());
    let start = Instant::now();
    let (counts, ok) = run_tests(&mut command)?;
    let skipped = fs::read_to_string(list.path())?;
    let skipped: Vec<_> = skipped.lines().collect();
    for line in &skipped {
        println!("skipped: {line}");
    }
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    eprintln!("tests took {minutes:.1} minutes, building included");
    let Counts {
        passed,
        failed,
        ignored,
    } = counts;
    // A test that skipped itself has passed as far as the runner knows.
    let passed = passed.saturating_sub(skipped.len());
    println!(
        "{passed} passed, {failed} failed, {} skipped",
        skipped.len() + ignored
    );
    if !ok || failed > 0 {
        bail!("tests failed");
    }
    if passed == 0 {
        bail!("no test ran");
    }
    if install::in_ci() && !skipped.is_empty() {
        bail!("under CI no test may be skipped");
    }
    Ok(())
}

/// Runs the tests, passing on what they print, and adds up their result lines.
fn run_tests(command: &mut Command) -> Result<(Counts, bool)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("start cargo test")?;
    let output = child.stdout.take().context("cargo test writes to a pipe")?;
    let mut counts = Counts::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        counts.add_line(&line);
    }
    Ok((counts, child.wait()?.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_add_up_and_other_lines_do_not() {
        let mut counts = Counts::default();
        counts.add_line("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s");
        counts.add_line("test result: FAILED. 2 passed; 5 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s");
        counts.add_line("test parses::numbers ... ok");
        assert_eq!((counts.passed, counts.failed, counts.ignored), (5, 5, 1));
    }
}
