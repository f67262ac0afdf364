//! Executables of the base, of the base with an unrelated function, and of the candidate.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Message, Metadata, MetadataCommand};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::pair::Pair;
use super::row::{Outcome, Row};
use super::source::{self, Base, Files, Repository, Worktree};
use super::subject::Executable;
use super::tree::{self, Target};
use crate::bench::args::BenchArgs;
use crate::child;
use crate::profile::cargo_config::Settings;
use crate::profile::interrupts::Interrupts;
use crate::terminal::Terminal;

/// The working tree, and where things are built.
pub(crate) struct Workshop {
    pub(crate) repository: Option<Repository>,
    /// The workspace within the checkout.
    workspace: PathBuf,
    /// The files of the working tree.
    candidate: Files,
    targets: Vec<Target>,
    /// `target/perfwright/gate`.
    folder: PathBuf,
    /// Held while this command works in the folder.
    _lock: File,
}

/// Executables by their target.
type Built = BTreeMap<Target, PathBuf>;

/// A cargo that did not succeed; it has said why.
#[derive(Debug)]
struct DoesNotBuild;

impl Workshop {
    /// Finds the workspace and its bench targets.
    pub(crate) fn open(args: &BenchArgs) -> Result<Workshop> {
        let metadata = metadata(args.manifest_path.as_deref())?;
        let root = PathBuf::from(&metadata.workspace_root);
        let repository = Repository::of(&root);
        let top = repository.as_ref().map_or(root.as_path(), Repository::top);
        let top = top.canonicalize().context("find the checkout")?;
        let targets = targets(&metadata, &top, args)?;
        let candidate = match &repository {
            Some(repository) => repository.files()?,
            None => source::files_of_folder(&root)?,
        };
        let folder = PathBuf::from(&metadata.target_directory).join("perfwright/gate");
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(Workshop {
            _lock: lock(&folder)?,
            workspace: within(&top, &root)?,
            repository,
            candidate,
            targets,
            folder,
        })
    }

    /// Where results are remembered unless the user says so: beside the runs.
    pub(crate) fn history(&self) -> PathBuf {
        self.folder.with_file_name("history.jsonl")
    }

    /// Builds all that a comparison with `base` takes. Rows say what cannot be compared.
    pub(crate) async fn pairs(
        &self,
        base: &Base,
        args: &BenchArgs,
        rows: &mut Vec<Row>,
        (interrupts, terminal): (&Interrupts, &mut Terminal),
    ) -> Result<Vec<Pair>> {
        let against = base.name();
        let (files, worktree) = self.base_files(base)?;
        self.report_gone(&files, args, &against, rows);
        terminal.status("Building", format_args!("the base, {against}"));
        let base = self.build_base(&files, args, interrupts, terminal).await?;
        let base = match base {
            Ok(base) => self.keep(base, "base")?,
            Err(DoesNotBuild) => {
                let reason = "the base does not build with the bench sources of here (cargo's messages are above); \
                              choose a base that has what they use";
                for target in &self.targets {
                    rows.push(unbuilt(target, &against, reason));
                }
                return Ok(Vec::new());
            }
        };
        let twins = self.keep(base.clone(), "twin")?;
        let layout = self.build_layout(args, interrupts, terminal).await?;
        drop(worktree);
        terminal.status("Building", "the candidate, which is here");
        tree::mirror(&self.candidate, &self.tree())?;
        let Ok(candidate) = self.cargo(args, false, interrupts).await? else {
            bail!("build the candidate: see cargo's messages above");
        };
        let candidate = self.keep(candidate, "here")?;
        let mut pairs = Vec::new();
        for target in &self.targets {
            let name = label(target);
            let (Some(base), Some(here)) = (base.get(target), candidate.get(target)) else {
                rows.push(unbuilt(target, &against, "cargo made no executable of it"));
                continue;
            };
            if same_bytes(base, here)? {
                let reason = "the executables are the same, byte for byte: nothing to measure";
                rows.push(Row::unmeasured(
                    (&name, ""),
                    &against,
                    Outcome::Same,
                    reason,
                ));
                continue;
            }
            let layouts = layout.get(target).map(PathBuf::as_path);
            let twin = twins.get(target).unwrap_or(base);
            pairs.push(self.pair(target, &against, ([base, twin, here], layouts), args));
        }
        Ok(pairs)
    }

    fn pair(
        &self,
        target: &Target,
        against: &str,
        ([base, twin, here], layout): ([&Path; 3], Option<&Path>),
        args: &BenchArgs,
    ) -> Pair {
        let executable = |path: &Path| Executable {
            path: path.to_owned(),
            folder: self.tree().join(&target.folder),
            log: path.with_extension("log"),
            patience: args.gate.timeout,
        };
        Pair {
            target: label(target),
            against: against.to_owned(),
            base: executable(base),
            twin: executable(twin),
            candidate: executable(here),
            layouts: layout.map(executable).into_iter().collect(),
        }
    }

    /// The base's files, and what keeps them there.
    fn base_files(&self, base: &Base) -> Result<(Files, Option<Worktree>)> {
        match (base, &self.repository) {
            (Base::Commit { hash, .. }, Some(repository)) => {
                let worktree = repository.worktree(hash, &self.folder.join("worktree"))?;
                Ok((worktree.files()?, Some(worktree)))
            }
            (Base::Commit { .. }, None) => bail!("check the base out: there is no repository"),
            (Base::Folder(folder), _) => Ok((source::files_of_folder(folder)?, None)),
        }
    }

    async fn build_base(
        &self,
        files: &Files,
        args: &BenchArgs,
        interrupts: &Interrupts,
        terminal: &mut Terminal,
    ) -> Result<Result<Built, DoesNotBuild>> {
        let files = tree::with_benches_of(files, &self.candidate, &self.targets);
        tree::mirror(&files, &self.tree())?;
        let adopted = tree::adopt_manifests(
            &self.tree(),
            &self.candidate,
            &self.targets,
            &self.workspace,
        );
        if let Err(error) = adopted {
            terminal.warn(format_args!(
                "the base's manifests cannot be used: {error:#}"
            ));
            return Ok(Err(DoesNotBuild));
        }
        self.cargo(args, false, interrupts).await
    }

    /// The base once more, with a function that nobody calls; nothing where that fails, for a calibration without
    /// it is better than none.
    async fn build_layout(
        &self,
        args: &BenchArgs,
        interrupts: &Interrupts,
        terminal: &mut Terminal,
    ) -> Result<Built> {
        terminal.status("Building", "the base with an unrelated function");
        tree::add_unrelated(&self.tree(), &self.targets)?;
        match self.cargo(args, true, interrupts).await? {
            Ok(built) => self.keep(built, "move"),
            Err(DoesNotBuild) => {
                terminal.warn("an unrelated function could not be added: what code layout does is not measured");
                Ok(Built::new())
            }
        }
    }

    /// Bench targets that the base has and the candidate does not.
    fn report_gone(&self, base: &Files, args: &BenchArgs, against: &str, rows: &mut Vec<Row>) {
        let manifest = base.get(&self.workspace.join("Cargo.toml"));
        let theirs = manifest.and_then(|manifest| metadata(Some(manifest)).ok());
        let Some(theirs) = theirs else { return };
        let here: Vec<(&str, &str)> = self
            .targets
            .iter()
            .map(|target| (target.package.as_str(), target.name.as_str()))
            .collect();
        for package in theirs.workspace_packages() {
            let asked = args.package.is_empty() || args.package.contains(&package.name.to_string());
            for target in package.targets.iter().filter(|target| target.is_bench()) {
                let asked = asked && (args.bench.is_empty() || args.bench.contains(&target.name));
                if asked && !here.contains(&(package.name.as_str(), target.name.as_str())) {
                    let name = format!("{}/{}", package.name, target.name);
                    let reason = "the base has this bench target, and here it is gone";
                    rows.push(Row::unmeasured((&name, ""), against, Outcome::Gone, reason));
                }
            }
        }
    }

    fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// Puts executables where later builds do not replace them, at paths of the same length.
    fn keep(&self, built: Built, side: &str) -> Result<Built> {
        let mut kept = Built::new();
        for (target, path) in built {
            let folder = self.folder.join("bin").join(side).join(&target.package);
            fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
            let place = folder.join(&target.name);
            // One that is still running must not be written over.
            let _ = fs::remove_file(&place);
            fs::copy(&path, &place).with_context(|| format!("copy {}", path.display()))?;
            kept.insert(target, place);
        }
        Ok(kept)
    }

    async fn cargo(
        &self,
        args: &BenchArgs,
        quietly: bool,
        interrupts: &Interrupts,
    ) -> Result<Result<Built, DoesNotBuild>> {
        let mut command = self.command(args, quietly)?;
        let mut cargo = command
            .spawn()
            .context("run cargo (is the Rust toolchain installed?)")?;
        // With cargo go its compilers and build scripts.
        let group = child::Group::of(&cargo);
        let stdout = cargo.stdout.take().context("read what cargo says")?;
        let built = tokio::select! {
            built = self.executables(stdout) => built?,
            () = interrupts.reached(1) => bail!("finish: interrupted while building; nothing was measured"),
        };
        let status = cargo.wait().await.context("wait for cargo")?;
        group.ended();
        Ok(match status.success() {
            true => Ok(built),
            false => Err(DoesNotBuild),
        })
    }

    fn command(&self, args: &BenchArgs, quietly: bool) -> Result<Command> {
        let workspace = self.tree().join(&self.workspace);
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
        let additions = Settings::read(&workspace, &workspace, &rustc)?.aligned();
        // cargo names itself when it starts a subcommand or `cargo run`.
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command
            .args([
                "bench",
                "--no-run",
                "--message-format=json-render-diagnostics",
            ])
            .arg("--target-dir")
            .arg(self.folder.join("build"))
            .current_dir(&workspace)
            .args(
                self.targets
                    .iter()
                    .flat_map(|target| ["--package", &target.package]),
            )
            .args(
                self.targets
                    .iter()
                    .flat_map(|target| ["--bench", &target.name]),
            )
            .args(
                args.features
                    .iter()
                    .flat_map(|features| ["--features", features]),
            )
            .args(additions.args)
            .envs(additions.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if quietly {
            command.arg("--quiet");
        }
        child::own(&mut command);
        Ok(command)
    }

    /// The executables that cargo's messages name.
    async fn executables(&self, stdout: tokio::process::ChildStdout) -> Result<Built> {
        let tree = self.tree();
        let mut lines = BufReader::new(stdout).lines();
        let mut built = Built::new();
        while let Some(line) = lines.next_line().await.context("read what cargo says")? {
            let Ok(Message::CompilerArtifact(artifact)) = serde_json::from_str(&line) else {
                continue;
            };
            let source = Path::new(&artifact.target.src_path);
            let source = source.strip_prefix(&tree).unwrap_or(source);
            let target = self
                .targets
                .iter()
                .find(|target| target.source == source && target.name == artifact.target.name);
            if let (Some(target), Some(path)) = (target, artifact.executable) {
                built.insert(target.clone(), path.into());
            }
        }
        Ok(built)
    }
}

fn metadata(manifest: Option<&Path>) -> Result<Metadata> {
    let mut command = MetadataCommand::new();
    command.no_deps();
    if let Some(manifest) = manifest {
        command.manifest_path(manifest);
    }
    command.exec().context("read the workspace")
}

/// The bench targets that are asked for.
fn targets(metadata: &Metadata, top: &Path, args: &BenchArgs) -> Result<Vec<Target>> {
    let packages = metadata.workspace_packages();
    for name in &args.package {
        if !packages.iter().any(|package| package.name == *name) {
            bail!("find the package {name}: the workspace has none of that name");
        }
    }
    let mut targets = Vec::new();
    for package in packages {
        if !args.package.is_empty() && !args.package.contains(&package.name.to_string()) {
            continue;
        }
        let folder = package
            .manifest_path
            .parent()
            .context("find a package's folder")?;
        for target in package.targets.iter().filter(|target| target.is_bench()) {
            if args.bench.is_empty() || args.bench.contains(&target.name) {
                targets.push(Target {
                    package: package.name.to_string(),
                    name: target.name.clone(),
                    folder: within(top, folder.as_std_path())?,
                    source: within(top, target.src_path.as_std_path())?,
                });
            }
        }
    }
    for name in &args.bench {
        if !targets.iter().any(|target| target.name == *name) {
            bail!(
                "find the bench target {name}: no package that is asked for has one of that name"
            );
        }
    }
    if targets.is_empty() {
        bail!(
            "find benches: the workspace has no bench target ([[bench]] in Cargo.toml, or files in benches/)"
        );
    }
    Ok(targets)
}

fn within(top: &Path, path: &Path) -> Result<PathBuf> {
    let path = path
        .canonicalize()
        .with_context(|| format!("find {}", path.display()))?;
    let relative = path.strip_prefix(top);
    let relative =
        relative.with_context(|| format!("find {} within the checkout", path.display()))?;
    Ok(relative.to_owned())
}

/// Only one comparison at a time builds in a folder.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            bail!(
                "use {}: another comparison is running there",
                folder.display()
            )
        }
        Err(fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("lock {}", path.display()))
        }
    }
}

fn same_bytes(a: &Path, b: &Path) -> Result<bool> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("read {}", path.display()));
    Ok(read(a)? == read(b)?)
}

fn label(target: &Target) -> String {
    match target.package == target.name {
        true => target.name.clone(),
        false => format!("{}/{}", target.package, target.name),
    }
}

fn unbuilt(target: &Target, against: &str, reason: &str) -> Row {
    Row::unmeasured((&label(target), ""), against, Outcome::CannotTell, reason)
}
