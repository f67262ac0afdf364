//! Building the program with cargo.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Message, Metadata};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::args::ProfileArgs;
use super::cargo_config::Settings;
use super::target::{Kind, Program};
use crate::ColorChoice;

/// Builds the program in the profile `profiling` and returns its executable. cargo shows its own
/// progress and diagnostics on standard error.
pub(crate) async fn build(
    program: &Program,
    metadata: &Metadata,
    args: &ProfileArgs,
    color: ColorChoice,
) -> Result<PathBuf> {
    let mut command = command(program, metadata, args, color)?;
    let mut cargo = command
        .spawn()
        .context("run cargo (is the Rust toolchain installed?)")?;
    let stdout = cargo.stdout.take().context("read what cargo says")?;
    let executable = executable(program, stdout).await?;
    let status = cargo.wait().await.context("wait for cargo")?;
    match executable {
        _ if !status.success() => bail!("build {}: see cargo's messages above", program.name),
        Some(executable) => Ok(executable),
        None => bail!(
            "build {}: cargo made no executable of that name",
            program.name
        ),
    }
}

fn command(
    program: &Program,
    metadata: &Metadata,
    args: &ProfileArgs,
    color: ColorChoice,
) -> Result<Command> {
    let root = Path::new(&metadata.workspace_root);
    let here = std::env::current_dir().context("read the current folder")?;
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let additions = Settings::read(&here, root, &rustc)?.additions();
    // cargo names itself when it starts a subcommand or `cargo run`.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command
        .args(["build", "--profile", "profiling"])
        .arg("--message-format=json-render-diagnostics")
        .arg("--manifest-path")
        .arg(&program.manifest)
        // A folder of its own, so that ordinary builds stay as they are.
        .arg("--target-dir")
        .arg(metadata.target_directory.join("perfwright/build"))
        .args([
            "--package",
            &program.package,
            program.kind.option(),
            &program.name,
        ])
        .args(
            args.features
                .iter()
                .flat_map(|features| ["--features", features]),
        )
        .args(additions.args)
        .envs(additions.env)
        .arg("--color")
        .arg(match color {
            ColorChoice::Auto => "auto",
            ColorChoice::Always => "always",
            ColorChoice::Never => "never",
        })
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    if args.json && !std::io::stderr().is_terminal() {
        command.arg("--quiet");
    }
    Ok(command)
}

/// The executable that cargo's messages name for the program.
async fn executable(
    program: &Program,
    stdout: tokio::process::ChildStdout,
) -> Result<Option<PathBuf>> {
    let mut lines = BufReader::new(stdout).lines();
    let mut found = None;
    while let Some(line) = lines.next_line().await.context("read what cargo says")? {
        if let Ok(Message::CompilerArtifact(artifact)) = serde_json::from_str(&line) {
            let kind = match program.kind {
                Kind::Bin => artifact.target.is_bin(),
                Kind::Example => artifact.target.is_example(),
            };
            if kind && artifact.target.name == program.name && artifact.executable.is_some() {
                found = artifact.executable.map(PathBuf::from);
            }
        }
    }
    Ok(found)
}
