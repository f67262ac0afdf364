//! What was measured of commands, kept for later checks.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use perfwright_budget::{CommandRun, CommandRuns, CommandSpec};
use serde::{Deserialize, Serialize};

use super::Place;
use crate::terminal::Terminal;
use crate::view::output;

const VERSION: u32 = 1;
/// Bytes that are read.
const MAX_BYTES: u64 = 16 << 20;

/// The file: what was measured of each command, by its name.
#[derive(Serialize, Deserialize, Default)]
pub(crate) struct Saved {
    schema_version: u32,
    commands: BTreeMap<String, Measured>,
}

#[derive(Serialize, Deserialize)]
struct Measured {
    /// What was run: another command of the same name is another one.
    run: Vec<String>,
    cold_variable: Option<String>,
    unix_seconds: u64,
    environment: BTreeMap<String, String>,
    plain: Vec<Run>,
    cold: Vec<Run>,
    cached: Vec<Run>,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
struct Run {
    seconds: f64,
    cpu_seconds: f64,
    peak_bytes: f64,
}

impl Saved {
    /// What a place has; nothing if nothing was measured there.
    pub(crate) fn read(place: &Place) -> Result<Saved> {
        let file = place.folder.join("commands.json");
        if !file.is_file() {
            return Ok(Saved::default());
        }
        let read = || {
            let bytes = super::super::sources::read(&file, MAX_BYTES)?;
            let saved: Saved = serde_json::from_slice(&bytes)?;
            if saved.schema_version != VERSION {
                bail!(
                    "it is of version {}; {VERSION} is read",
                    saved.schema_version
                );
            }
            Ok(saved)
        };
        read().with_context(|| format!("read {}; --measure writes it anew", file.display()))
    }

    /// The runs of a command; why there are none if it is another now, or was measured elsewhere.
    pub(crate) fn runs(
        &self,
        spec: &CommandSpec,
        environment: &BTreeMap<String, String>,
    ) -> Option<Result<CommandRuns, String>> {
        let measured = self.commands.get(&spec.name)?;
        if measured.run != spec.run || measured.cold_variable != spec.cold {
            let why = "the command is another than was measured: measure it again with --measure";
            return Some(Err(why.to_owned()));
        }
        if measured.environment != *environment {
            let why = "it was measured in another environment: measure it again with --measure";
            return Some(Err(why.to_owned()));
        }
        let runs = |runs: &[Run]| runs.iter().map(|run| (*run).into()).collect();
        Some(Ok(CommandRuns {
            plain: runs(&measured.plain),
            cold: runs(&measured.cold),
            cached: runs(&measured.cached),
            note: Some(format!("measured {} ago", age(measured.unix_seconds))),
        }))
    }

    /// Puts in what was measured, and writes the file.
    pub(crate) fn add(
        mut self,
        specs: &[&CommandSpec],
        measured: &BTreeMap<String, CommandRuns>,
        environment: &BTreeMap<String, String>,
        place: &Place,
        terminal: &mut Terminal,
    ) -> Result<()> {
        self.schema_version = VERSION;
        let runs = |runs: &[CommandRun]| runs.iter().map(|run| (*run).into()).collect();
        for spec in specs {
            let Some(of_spec) = measured.get(&spec.name) else {
                continue;
            };
            let entry = Measured {
                run: spec.run.clone(),
                cold_variable: spec.cold.clone(),
                unix_seconds: now().as_secs(),
                environment: environment.clone(),
                plain: runs(&of_spec.plain),
                cold: runs(&of_spec.cold),
                cached: runs(&of_spec.cached),
            };
            self.commands.insert(spec.name.clone(), entry);
        }
        let text = serde_json::to_string_pretty(&self).context("write what was measured")?;
        let file = place.folder.join("commands.json");
        output::write(&file, terminal, |file| Ok(file.write_all(text.as_bytes())?))
    }
}

impl From<Run> for CommandRun {
    fn from(run: Run) -> CommandRun {
        CommandRun {
            seconds: run.seconds,
            cpu_seconds: run.cpu_seconds,
            peak_bytes: run.peak_bytes,
        }
    }
}

impl From<CommandRun> for Run {
    fn from(run: CommandRun) -> Run {
        Run {
            seconds: run.seconds,
            cpu_seconds: run.cpu_seconds,
            peak_bytes: run.peak_bytes,
        }
    }
}

fn now() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
}

/// `5 minutes`.
fn age(unix_seconds: u64) -> String {
    let seconds = now().as_secs().saturating_sub(unix_seconds);
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    crate::units::counted(count, unit)
}
