//! Where a check's numbers are read from.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use perfwright_budget::{Budgets, Measurements, PackageQuery, Sources};
use perfwright_model::Profile;

use super::args::SourceArgs;
use super::live;
use crate::machine;
use crate::terminal::Terminal;
use crate::view::input;

/// Bytes of a run's report, of a page of metrics, of an earlier check.
const MAX_TEXT: u64 = 256 << 20;

/// Everything that the budgets may ask for.
pub(super) fn current(
    args: &SourceArgs,
    budgets: &Budgets,
    profiles: &[&str],
    terminal: &mut Terminal,
) -> Result<Sources> {
    let root = root(args);
    let mut sources = Sources::new();
    sources.root(&root);
    let latest = root.join("target/perfwright/latest");
    // What nobody asked for may be absent: budgets that need it say so.
    let run = args
        .run
        .clone()
        .or_else(|| latest.is_dir().then_some(latest));
    if let Some(run) = run {
        add_run(&mut sources, &run, profiles, terminal)?;
    }
    for (name, file) in &args.profile {
        sources.profile(name, read_profile(file, terminal)?);
    }
    if let Some(file) = args.metrics.as_ref().filter(|name| !live::is_url(name)) {
        let text = read_text(Path::new(file))?;
        sources
            .prometheus(&text)
            .with_context(|| format!("read {file}"))?;
    }
    if let Some(file) = &args.load {
        let text = read_text(file)?;
        sources
            .load_result(&text)
            .with_context(|| format!("read {}", file.display()))?;
    }
    if let Some(folder) = args.criterion.as_ref().filter(|folder| !folder.is_dir()) {
        bail!("read {}: it is no folder", folder.display());
    }
    let criterion = args.criterion.clone();
    sources.criterion(criterion.unwrap_or_else(|| root.join("target/criterion")));
    for query in budgets.packages() {
        match count_dependencies(&root, &query) {
            Ok(count) => {
                sources.dependencies(query, count);
            }
            Err(error) => terminal.warn(format_args!(
                "count the dependencies of {}: {error:#}",
                query.package
            )),
        }
    }
    add_environment(&mut sources, budgets);
    if let Some(load) = budgets
        .needs_load()
        .then(machine::running_per_core)
        .flatten()
    {
        sources.load_per_core(load);
    }
    Ok(sources)
}

/// What was measured before.
pub(super) struct Baseline {
    pub(super) measurements: Measurements,
    /// What it was measured from; not kept by a check's report.
    pub(super) sources: Option<Sources>,
}

impl Baseline {
    fn of(sources: Sources, budgets: &Budgets) -> Baseline {
        Baseline {
            measurements: sources.measure(budgets),
            sources: Some(sources),
        }
    }
}

/// Reads what was measured before, with these profiles where it is a run.
pub(super) fn baseline(
    path: &Path,
    budgets: &Budgets,
    profiles: &[&str],
    terminal: &mut Terminal,
) -> Result<Baseline> {
    let mut sources = Sources::new();
    if path.is_dir() && path.join("report.json").is_file() {
        add_run(&mut sources, path, profiles, terminal)?;
        add_environment(&mut sources, budgets);
        return Ok(Baseline::of(sources, budgets));
    }
    let saved = match path.is_dir() {
        true => path.join("budget.json"),
        false => path.to_owned(),
    };
    if saved
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        let text = read_text(&saved)?;
        let measurements = Measurements::from_report(&text)
            .with_context(|| format!("read {}", saved.display()))?;
        return Ok(Baseline {
            measurements,
            sources: None,
        });
    }
    sources.profile("cpu", read_profile(path, terminal)?);
    add_environment(&mut sources, budgets);
    Ok(Baseline::of(sources, budgets))
}

/// The folder that files are looked for in, and commands run in.
pub(super) fn root(args: &SourceArgs) -> PathBuf {
    let of_file = || {
        let folder = args.file.parent().unwrap_or(Path::new(""));
        match folder.as_os_str().is_empty() {
            true => PathBuf::from("."),
            false => folder.to_owned(),
        }
    };
    args.root.clone().unwrap_or_else(of_file)
}

/// A run's report, and those of its profiles that are needed.
pub(super) fn add_run(
    sources: &mut Sources,
    folder: &Path,
    profiles: &[&str],
    terminal: &mut Terminal,
) -> Result<()> {
    let report = folder.join("report.json");
    let text = read_text(&report)?;
    sources
        .run_report(&text)
        .with_context(|| format!("read {}", report.display()))?;
    for &name in profiles {
        // A budget file names profiles, not places.
        let is_plain = name
            .chars()
            .all(|c| c.is_alphanumeric() || c == '-' || c == '_');
        let file = folder.join(format!("{name}.pb.gz"));
        if is_plain && file.is_file() {
            sources.profile(name, read_profile(&file, terminal)?);
        }
    }
    Ok(())
}

fn read_profile(file: &Path, terminal: &mut Terminal) -> Result<Profile> {
    input::read_file(file, terminal)
}

fn read_text(file: &Path) -> Result<String> {
    let name = || format!("read {}", file.display());
    let bytes = read(file, MAX_TEXT).with_context(name)?;
    String::from_utf8(bytes).with_context(name)
}

/// A file of at most `max` bytes.
pub(super) fn read(file: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(max + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > max {
        true => Err(io::Error::other(format!("it is larger than {max} bytes"))),
        false => Ok(bytes),
    }
}

/// How many crates a package builds on this machine, tests and build scripts aside, itself included.
fn count_dependencies(root: &Path, query: &PackageQuery) -> Result<u64> {
    if query.package.starts_with('-') {
        bail!("no package has this name");
    }
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none"])
        .args(["--package", &query.package])
        .current_dir(root)
        .stdin(Stdio::null());
    if !query.default_features {
        cargo.arg("--no-default-features");
    }
    if !query.features.is_empty() {
        cargo.args(["--features", &query.features.join(",")]);
    }
    let output = cargo.output().context("start cargo tree")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}", said.trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    // `name v1.2.3 (path) (*)`: the same version of a crate is built once.
    let crates: BTreeSet<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, rest)| (name, rest.split(' ').next().unwrap_or("")))
        .collect();
    Ok(crates.len() as u64)
}

fn add_environment(sources: &mut Sources, budgets: &Budgets) {
    for key in budgets.environment() {
        if let Some(value) = fact(key) {
            sources.environment(key, value);
        }
    }
}

/// Everything that is known of where this runs.
pub(super) fn environment() -> BTreeMap<String, String> {
    let known = ["arch", "cpu", "os", "rustc"].into_iter();
    known
        .filter_map(|key| Some((key.to_owned(), fact(key)?)))
        .collect()
}

fn fact(key: &str) -> Option<String> {
    match key {
        "arch" => Some(env::consts::ARCH.to_owned()),
        "os" => Some(env::consts::OS.to_owned()),
        "cpu" => cpu(),
        "rustc" => rustc(),
        _ => None,
    }
}

/// The processor's model, where Linux tells it.
fn cpu() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn rustc() -> Option<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
