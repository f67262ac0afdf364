//! Bench executables: building them, and asking what is in them.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use cargo_metadata::{Message, MetadataCommand};

use super::args::BenchArgs;

/// A bench executable, and the criterion benches in it.
#[derive(Debug)]
pub(crate) struct Executable {
    /// The bench target's name.
    pub(crate) name: String,
    path: PathBuf,
    /// Where cargo runs it: the package's folder.
    folder: PathBuf,
}

/// Builds the bench executables that the arguments name; those of libraries and binaries are none.
pub(crate) fn build(args: &BenchArgs) -> Result<Vec<Executable>> {
    let mut command = Command::new(cargo());
    command
        .args([
            "bench",
            "--no-run",
            "--message-format=json-render-diagnostics",
        ])
        .args(options(args))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    match args.bench.is_empty() {
        true => command.arg("--benches"),
        false => command.args(args.bench.iter().flat_map(|name| ["--bench", name])),
    };
    let mut cargo = command
        .spawn()
        .context("run cargo (is the Rust toolchain installed?)")?;
    let messages = cargo.stdout.take().context("read what cargo says")?;
    let mut executables = Vec::new();
    for line in BufReader::new(messages).lines() {
        let line = line.context("read what cargo says")?;
        let Ok(Message::CompilerArtifact(artifact)) = serde_json::from_str(&line) else {
            continue;
        };
        let folder = artifact.manifest_path.parent().map(PathBuf::from);
        if let (true, Some(path), Some(folder)) =
            (artifact.target.is_bench(), artifact.executable, folder)
        {
            executables.push(Executable {
                name: artifact.target.name,
                path: path.into(),
                folder,
            });
        }
    }
    let status = cargo.wait().context("wait for cargo")?;
    ensure!(
        status.success(),
        "build the benches: see cargo's messages above"
    );
    if executables.is_empty() {
        bail!(
            "run benches: there are no bench targets; cargo looks for them in `benches/` of a package"
        );
    }
    Ok(executables)
}

/// Where criterion saves results: `CRITERION_HOME`, or in cargo's target folder.
pub(crate) fn results(args: &BenchArgs) -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CRITERION_HOME") {
        return std::path::absolute(home).context("find CRITERION_HOME");
    }
    let mut command = MetadataCommand::new();
    command.no_deps();
    if let Some(manifest) = &args.manifest_path {
        command.manifest_path(manifest);
    }
    let metadata = command.exec().context("read the workspace")?;
    Ok(metadata.target_directory.join("criterion").into())
}

impl Executable {
    /// The names of the criterion benches in it; none if it is no executable of criterion's.
    pub(crate) fn list(&self) -> Result<Vec<String>> {
        let mut command = self.command();
        command.args(["--bench", "--list", "--format", "terse"]);
        let output = command
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .with_context(|| format!("start the bench {}", self.name))?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(benches(&text))
    }

    /// The command that runs it as cargo would.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(&self.folder).env("CARGO", cargo());
        command
    }
}

/// criterion lists `name: benchmark`, and libtest `name: bench`.
fn benches(listing: &str) -> Vec<String> {
    let names = listing
        .lines()
        .filter_map(|line| line.strip_suffix(": benchmark"));
    names.map(str::to_owned).collect()
}

fn options(args: &BenchArgs) -> Vec<OsString> {
    let mut options: Vec<OsString> = Vec::new();
    for package in &args.package {
        options.extend(["--package".into(), package.into()]);
    }
    if let Some(manifest) = &args.manifest_path {
        options.extend(["--manifest-path".into(), manifest.into()]);
    }
    if let Some(features) = &args.features {
        options.extend(["--features".into(), features.into()]);
    }
    options
}

/// cargo names itself when it starts a subcommand or `cargo run`.
fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_benches_of_criterion_are_listed() {
        let listing =
            "parse/small: benchmark\nodd: name: benchmark\ntests::fast: bench\n\n2 benchmarks\n";
        assert_eq!(benches(listing), ["parse/small", "odd: name"]);
    }
}
