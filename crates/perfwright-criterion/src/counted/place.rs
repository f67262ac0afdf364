//! Where counts go: beside criterion's results.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::Calls;
use crate::saved::{Allocations, Counts};
use crate::words;

/// How long criterion lets a folder's name be.
const MAX_NAME_BYTES: usize = 64;
/// Benches whose names make the same folder, at most.
const MAX_SAME: usize = 100;

/// Saves and prints what was counted of a bench that was measured, or run to be counted. Names are those of group,
/// function and parameter. What cannot be saved is said; the bench went well all the same.
pub(super) fn save(calls: &Calls, name: &str, parts: &[&str]) {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let is_profile = arguments
        .iter()
        .any(|argument| argument.starts_with("--profile-time"));
    let measured = calls.is_measured() && !is_profile;
    if !measured && !calls.is_counted_only() {
        return;
    }
    let counts = calls.counts(name);
    if !has("--quiet") && !has("bencher") {
        println!("{}", line(&counts));
    }
    if has("--discard-baseline") {
        return;
    }
    let folder = folder_of(results(), name, parts);
    let sets = sets(&arguments, measured);
    if let Err(error) = write(&counts, &folder, &sets) {
        eprintln!(
            "warning: failed to save counts in {}: {error}",
            folder.display()
        );
    }
}

/// The folder of a group of benches.
pub(super) fn group_folder(name: &str) -> PathBuf {
    results().join(folder_name(name))
}

fn write(counts: &Counts, folder: &Path, sets: &[String]) -> io::Result<()> {
    sets.iter()
        .try_for_each(|set| counts.write(&folder.join(set)))
}

/// What is printed, below where criterion prints the time.
fn line(counts: &Counts) -> String {
    let mut parts = Vec::new();
    if let Some(nanos) = counts.process_cpu_ns {
        parts.push(format!("{} of CPU", words::nanos(nanos)));
    }
    match counts.allocations {
        Some(allocations) => parts.push(allocated(allocations)),
        None => parts.push("allocations unknown: make SampledAlloc the global allocator".into()),
    }
    if let Some(others) = counts.other_threads().filter(|&others| others > 0.05) {
        parts.push(format!(
            "{:.0} % of it in other threads",
            100.0 * others / (1.0 + others)
        ));
    }
    format!("{:24}counts: {}", "", parts.join(", "))
}

fn allocated(allocations: Allocations) -> String {
    let about = if allocations.same_each_time {
        ""
    } else {
        "about "
    };
    let (count, bytes) = (
        words::count(allocations.count),
        words::bytes(allocations.bytes),
    );
    let plural = if allocations.count == 1.0 { "" } else { "s" };
    format!("{about}{count} allocation{plural}, {bytes}")
}

/// The names under which criterion saves this run: `new`, and the baseline that it is to be, as criterion copies it.
fn sets(arguments: &[String], measured: bool) -> Vec<String> {
    let mut sets = vec![crate::saved::LAST.to_owned()];
    let compares = ["--baseline", "-b", "--baseline-lenient"];
    let is_compared = (arguments.iter()).any(|argument| {
        let word = argument.split('=').next().unwrap_or("");
        compares.contains(&word)
    });
    if measured && !is_compared {
        let named = option(arguments, &["--save-baseline", "-s"]);
        sets.push(named.unwrap_or_else(|| "base".to_owned()));
    }
    sets
}

/// The value of an option: `--save-baseline NAME` or `--save-baseline=NAME`.
fn option(arguments: &[String], names: &[&str]) -> Option<String> {
    arguments.iter().enumerate().find_map(|(at, argument)| {
        let (word, value) = match argument.split_once('=') {
            Some((word, value)) => (word, Some(value.to_owned())),
            None => (argument.as_str(), arguments.get(at + 1).cloned()),
        };
        names.contains(&word).then_some(value)?
    })
}

/// The bench's folder. criterion numbers folders whose names are the same; its own file tells whose it is.
fn folder_of(root: &Path, name: &str, parts: &[&str]) -> PathBuf {
    let mut path = root.to_owned();
    path.extend(parts.iter().map(|part| folder_name(part)));
    let is_of = |path: &Path| owner(path).is_none_or(|owner| owner == name);
    if is_of(&path) {
        return path;
    }
    let numbered = |number: usize| {
        let mut numbered = path.clone().into_os_string();
        numbered.push(format!("_{number}"));
        PathBuf::from(numbered)
    };
    let found = (2..MAX_SAME).map(numbered).find(|path| is_of(path));
    found.unwrap_or(path)
}

/// The name of the bench whose results lie in a folder.
fn owner(folder: &Path) -> Option<String> {
    let text = std::fs::read(folder.join(crate::saved::LAST).join("benchmark.json")).ok()?;
    let told: serde_json::Value = serde_json::from_slice(&text).ok()?;
    Some(told.get("full_id")?.as_str()?.to_owned())
}

/// What criterion makes of a name.
fn folder_name(part: &str) -> String {
    let mut name = part.replace(['?', '"', '/', '\\', '*', '<', '>', ':', '|', '^'], "_");
    let mut end = name.len().min(MAX_NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    name
}

/// Where criterion saves: it looks in the same places.
fn results() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| match std::env::var_os("CRITERION_HOME") {
        Some(home) => PathBuf::from(home),
        None => target_folder()
            .unwrap_or_else(|| "target".into())
            .join("criterion"),
    })
}

fn target_folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("CARGO_TARGET_DIR") {
        return Some(folder.into());
    }
    let mut cargo = Command::new(std::env::var_os("CARGO")?);
    let output = cargo
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .ok()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    Some(metadata.get("target_directory")?.as_str()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_as_criterion_names_them() {
        assert_eq!(folder_name("parse: all/<T>"), "parse_ all__T_");
        let long = "ä".repeat(40);
        assert_eq!(folder_name(&long), "ä".repeat(32));
        assert_eq!(
            folder_name(&format!("x{long}")),
            format!("x{}", "ä".repeat(31))
        );
    }

    #[test]
    fn a_folder_of_another_bench_is_not_written_to() {
        let root = tempfile::tempdir().unwrap();
        let own = |folder: &str, name: &str| {
            let new = root.path().join(folder).join("new");
            std::fs::create_dir_all(&new).unwrap();
            let json = serde_json::json!({ "full_id": name }).to_string();
            std::fs::write(new.join("benchmark.json"), json).unwrap();
        };
        own("a_b", "a/b");
        own("a_b_2", "a:b");
        let of = |name: &str| folder_of(root.path(), name, &[name]);
        assert_eq!(of("a/b"), root.path().join("a_b"));
        assert_eq!(of("a:b"), root.path().join("a_b_2"));
        assert_eq!(of("a*b"), root.path().join("a_b_3"));
    }

    #[test]
    fn counts_are_kept_with_the_baseline_that_criterion_keeps() {
        let sets = |line: &str, measured| {
            let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
            super::sets(&arguments, measured)
        };
        assert_eq!(sets("x --bench", true), ["new", "base"]);
        assert_eq!(sets("x --bench --save-baseline old", true), ["new", "old"]);
        assert_eq!(sets("x --bench --save-baseline=old", true), ["new", "old"]);
        assert_eq!(sets("x --bench --baseline old", true), ["new"]);
        assert_eq!(sets("x --bench -b=old", true), ["new"]);
        assert_eq!(sets("x --test", false), ["new"]);
    }
}
