//! Runs the commands of a budget file, and measures them.
//!
//! Cold runs go into a new folder each, and the cached run after it into the same. What was measured is kept in
//! `target/perfwright/commands.json`, for checks that do not run anything.

mod child;
mod saved;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use perfwright_budget::{CommandRun, CommandRuns, CommandSpec, Sources};
use tokio::time::sleep;

use crate::profile::interrupts::Interrupts;
use crate::terminal::Terminal;
use child::Child;
pub(super) use saved::Saved;

/// Below a root: what this program writes.
const FOLDER: &str = "target/perfwright";
/// Bytes of a failed command's output that are shown.
const TAIL: u64 = 2_000;
const TAIL_LINES: usize = 10;

/// Where commands run, and where what they leave behind goes.
pub(super) struct Place {
    root: PathBuf,
    folder: PathBuf,
}

impl Place {
    /// Commands run in `root`.
    pub(super) fn new(root: &Path) -> Result<Place> {
        let root = fs::canonicalize(root).with_context(|| format!("find {}", root.display()))?;
        Ok(Place {
            folder: root.join(FOLDER),
            root,
        })
    }

    /// Runs commands and adds their runs, or why there are none, to the sources. An interrupt ends all of it.
    pub(super) async fn measure(
        &self,
        commands: &[&CommandSpec],
        sources: &mut Sources,
        interrupts: &Interrupts,
        terminal: &mut Terminal,
    ) -> Result<BTreeMap<String, CommandRuns>> {
        let logs = self.folder.join("commands");
        fs::create_dir_all(&logs).with_context(|| format!("create {}", logs.display()))?;
        let mut measured = BTreeMap::new();
        for spec in commands {
            let log = logs.join(format!("{}.log", spec.name));
            match self.runs(spec, &log, interrupts, terminal).await {
                Ok(runs) => {
                    sources.command(&spec.name, Ok(runs.clone()));
                    measured.insert(spec.name.clone(), runs);
                }
                Err(_) if interrupts.any() => bail!("interrupted"),
                Err(error) => {
                    terminal.warn(format_args!("measure {}: {error:#}", spec.name));
                    // What a verdict tells is one line.
                    let why = format!("{error:#}");
                    let why = why.lines().next().unwrap_or("it failed").to_owned();
                    sources.command(&spec.name, Err(why));
                }
            }
        }
        Ok(measured)
    }

    async fn runs(
        &self,
        spec: &CommandSpec,
        log: &Path,
        interrupts: &Interrupts,
        terminal: &mut Terminal,
    ) -> Result<CommandRuns> {
        let mut runs = CommandRuns::default();
        for round in 1..=spec.repeat {
            let told = |kind: &str| format!("{}, {kind}run {round} of {}", spec.name, spec.repeat);
            let Some(variable) = &spec.cold else {
                let step = terminal.step("Measuring", told(""));
                runs.plain
                    .push(self.run(spec, None, log, interrupts).await?);
                drop(step);
                continue;
            };
            let fresh = Fresh::new(&self.folder, &spec.name)?;
            let folder = Some((variable.as_str(), fresh.0.as_path()));
            for (kind, runs) in [("cold ", &mut runs.cold), ("cached ", &mut runs.cached)] {
                let step = terminal.step("Measuring", told(kind));
                runs.push(self.run(spec, folder, log, interrupts).await?);
                drop(step);
            }
        }
        Ok(runs)
    }

    /// Runs it once; an error if it does not end well.
    async fn run(
        &self,
        spec: &CommandSpec,
        fresh: Option<(&str, &Path)>,
        log: &Path,
        interrupts: &Interrupts,
    ) -> Result<CommandRun> {
        let (program, arguments) = spec.run.split_first().context("there is nothing to run")?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.root);
        if let Some((variable, folder)) = fresh {
            command.env(variable, folder);
        }
        let mut child = Child::start(command, log)?;
        let limit = Duration::try_from_secs_f64(spec.timeout_seconds).unwrap_or(Duration::MAX);
        let started = Instant::now();
        let ended = tokio::select! {
            ended = child.ended() => Some(ended?),
            () = interrupts.reached(1) => None,
            () = sleep(limit) => None,
        };
        let Some((status, run)) = ended else {
            child.end().await;
            if interrupts.any() {
                bail!("interrupted");
            }
            bail!(
                "it took longer than {:.0} s and was ended",
                started.elapsed().as_secs_f64()
            );
        };
        if !status.success() {
            bail!("it ended with {status}{}", last_words(log));
        }
        Ok(run)
    }
}

/// A new folder, removed in the end.
struct Fresh(PathBuf);

impl Fresh {
    fn new(below: &Path, name: &str) -> Result<Fresh> {
        let folder = below.join(format!("cold-{name}-{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(Fresh(folder))
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // What cannot be removed is below `target`, and no reason to fail.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The last lines of a command's output, and where the rest is.
fn last_words(log: &Path) -> String {
    let read = || {
        let mut file = fs::File::open(log)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let mut words = format!("; its output is in {}", log.display());
    for line in &lines[lines.len().saturating_sub(TAIL_LINES)..] {
        words.push_str("\n  ");
        words.extend(line.chars().filter(|c| !c.is_control()));
    }
    words
}
