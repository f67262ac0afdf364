//! Results remembered, one JSON object a line, and the places where they changed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use perfwright_stats::{ChangePoint, change_points};
use serde::{Deserialize, Serialize};

use super::row::Row;

/// The version of the lines.
const SCHEMA: u32 = 1;
/// Bytes of a history that are read.
const MAX_BYTES: u64 = 256 << 20;

/// A bench of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) schema: u32,
    /// Seconds since 1970.
    pub(crate) time: u64,
    /// The candidate's commit; empty without git.
    #[serde(default)]
    pub(crate) commit: String,
    /// Whether the working tree differed from it.
    #[serde(default)]
    pub(crate) changed: bool,
    /// Processor and compiler: others are not compared.
    pub(crate) machine: String,
    pub(crate) target: String,
    pub(crate) bench: String,
    /// What an iteration took by the clock that was judged.
    pub(crate) nanos: f64,
    /// What the base took in the same run.
    pub(crate) base_nanos: f64,
    pub(crate) against: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) allocations: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) instructions: Option<f64>,
    pub(crate) verdict: String,
}

/// When and of what results are.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) time: u64,
    pub(crate) commit: String,
    pub(crate) changed: bool,
    pub(crate) machine: String,
}

/// The results of one bench on one machine, in order, and where they changed.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) entries: Vec<Entry>,
    pub(crate) changes: Vec<ChangePoint>,
}

/// What a history holds.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) entries: Vec<Entry>,
    /// Lines that are none of its own.
    pub(crate) unread: usize,
}

impl Entry {
    /// What is remembered of a row; nothing of a bench that was not measured.
    fn of(row: &Row, origin: &Origin) -> Option<Entry> {
        let clock = row.time.as_ref()?.shown();
        Some(Entry {
            schema: SCHEMA,
            time: origin.time,
            commit: origin.commit.clone(),
            changed: origin.changed,
            machine: origin.machine.clone(),
            target: row.target.clone(),
            bench: row.bench.clone(),
            nanos: clock.candidate_nanos,
            base_nanos: clock.base_nanos,
            against: row.against.clone(),
            allocations: row.allocations.map(|counts| counts.candidate),
            instructions: row.instructions.map(|counts| counts.candidate),
            verdict: row.verdict.name().to_owned(),
        })
    }

    pub(crate) fn name(&self) -> String {
        match self.target.as_str() {
            "" => self.bench.clone(),
            target => format!("{target}: {}", self.bench),
        }
    }
}

impl History {
    /// Reads a history; one that is not there is empty.
    pub(crate) fn read(path: &Path) -> Result<History> {
        let mut text = Vec::new();
        match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            file => {
                let file = file.with_context(|| format!("read {}", path.display()))?;
                let read = file.take(MAX_BYTES).read_to_end(&mut text);
                read.with_context(|| format!("read {}", path.display()))?;
            }
        }
        Ok(History::parse(&String::from_utf8_lossy(&text)))
    }

    fn parse(text: &str) -> History {
        let mut history = History::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str::<Entry>(line) {
                Ok(entry) if entry.schema == SCHEMA => history.entries.push(entry),
                _ => history.unread += 1,
            }
        }
        history
    }

    /// Adds the rows of a run, at the end of the file too.
    pub(crate) fn append(&mut self, rows: &[Row], origin: &Origin, path: &Path) -> Result<()> {
        let entries: Vec<Entry> = rows
            .iter()
            .filter_map(|row| Entry::of(row, origin))
            .collect();
        let mut lines = String::new();
        for entry in &entries {
            lines.push_str(&serde_json::to_string(entry).context("write the history")?);
            lines.push('\n');
        }
        self.entries.extend(entries);
        let writing = || format!("write {}", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(writing)?;
        }
        let mut file = File::options()
            .append(true)
            .create(true)
            .open(path)
            .with_context(writing)?;
        // One write, so that two runs that end at once do not mix their lines.
        file.write_all(lines.as_bytes()).with_context(writing)
    }

    /// The series of each bench on `machine`.
    pub(crate) fn series(&self, machine: &str, seed: u64) -> Vec<Series> {
        let mut series: BTreeMap<(&str, &str), Vec<Entry>> = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| entry.machine == machine) {
            let key = (entry.target.as_str(), entry.bench.as_str());
            series.entry(key).or_default().push(entry.clone());
        }
        let changes = |entries: &[Entry]| {
            let nanos: Vec<f64> = entries.iter().map(|entry| entry.nanos).collect();
            change_points(&nanos, seed)
        };
        let with_changes = series.into_values().map(|entries| Series {
            changes: changes(&entries),
            entries,
        });
        with_changes.collect()
    }
}

/// The processor, how many of it, and the compiler.
pub(crate) fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |line| {
        line.trim_start_matches(['\t', ' ', ':'])
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = std::process::Command::new(rustc).arg("--version").output();
    let version = version.map_or_else(|_| Vec::new(), |output| output.stdout);
    let version = String::from_utf8_lossy(&version);
    format!("{model}, {cores} cores, {}", version.trim())
}

/// Where the history is, and where its page goes.
pub(crate) fn page_of(history: &Path) -> PathBuf {
    history.with_extension("html")
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn entry(index: u64, nanos: f64) -> Entry {
        Entry {
            schema: SCHEMA,
            time: 1_700_000_000 + index * 86_400,
            commit: format!("{index:040x}"),
            changed: false,
            machine: "m".into(),
            target: "parser/speed".into(),
            bench: "numbers <1>".into(),
            nanos,
            base_nanos: nanos,
            against: "main".into(),
            allocations: Some(2.0),
            instructions: None,
            verdict: "same".into(),
        }
    }

    #[test]
    fn lines_are_read_back_and_others_are_counted() {
        let text = serde_json::to_string(&entry(1, 5.0)).unwrap();
        let other = text.replace("\"schema\":1", "\"schema\":9");
        let torn = &text[..text.len() / 2];
        let history = History::parse(&format!("{text}\n\n{other}\nnonsense\n{torn}"));
        assert_eq!(history.entries, [entry(1, 5.0)]);
        assert_eq!(history.unread, 3);
    }

    #[test]
    fn a_step_is_found_and_other_machines_are_left_out() {
        let wobble = |index: u64| 1.0 + 0.002 * ((index * 7) % 5) as f64;
        let level = |index: u64| if index < 20 { 100.0 } else { 106.0 };
        let mut entries: Vec<Entry> = (0..40)
            .map(|index| entry(index, level(index) * wobble(index)))
            .collect();
        entries.push(Entry {
            machine: "another".into(),
            ..entry(40, 900.0)
        });
        let history = History { entries, unread: 0 };
        let series = history.series("m", 1);
        assert_eq!(series.len(), 1);
        assert_eq!(series[0].entries.len(), 40);
        let changes: Vec<usize> = series[0]
            .changes
            .iter()
            .map(|change| change.index)
            .collect();
        assert_eq!(changes, [20]);
        let page = super::super::page::page(&series);
        assert!(page.contains("numbers &lt;1&gt;") && !page.contains("<1>"));
        assert_eq!(page.matches("class=\"change\"").count(), 1);
        assert_eq!(page.matches("<circle").count(), 40);
    }
}
