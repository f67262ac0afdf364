//! `bench --against`: is what is here slower than another revision?
//!
//! `build` makes executables of both, `pair` finds their benches, `measure` drives them in turns, `judge` looks at
//! the batches, `row` has the verdicts, and `output` says them.

mod build;
mod contest;
mod history;
mod instructions;
mod judge;
mod measure;
mod output;
mod page;
mod pair;
mod plain;
mod row;
mod source;
mod subject;
mod tree;
mod work;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use perfwright_stats::ChangePoint;
use tokio::runtime::Builder;

use self::build::Workshop;
use self::contest::Kind;
use self::history::{History, Origin};
use self::measure::{Measurement, Setting};
use self::output::Report;
use self::pair::{Common, Pair};
use self::row::{Counts, Outcome, Row};
use self::source::{Base, Repository};
use self::subject::Executable;
use self::work::Scratch;
use super::args::{BenchArgs, Format};
use crate::profile::interrupts::Interrupts;
use crate::terminal::Terminal;

/// A bench of the candidate panics or hangs.
const FAILED: u8 = 1;
/// A bench got worse.
const WORSE: u8 = 3;
/// Not all that was asked could be told.
const CANNOT_TELL: u8 = 4;

/// A change among so many of the last runs is said again.
const LATELY: usize = 10;

/// Compares; gives the exit code.
pub(crate) fn run(args: &BenchArgs, terminal: &mut Terminal) -> Result<u8> {
    if args.gate.format == Format::Json {
        terminal.quiet_unless_live();
    }
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the command's own runtime")?;
    runtime.block_on(async {
        let interrupts = Interrupts::listen()?;
        tokio::select! {
            code = gate(args, &interrupts, terminal) => code,
            // What is under way is dropped, and with it its processes and folders.
            () = interrupts.reached(2) => anyhow::bail!("finish: interrupted twice"),
        }
    })
}

async fn gate(args: &BenchArgs, interrupts: &Interrupts, terminal: &mut Terminal) -> Result<u8> {
    let mut rows = Vec::new();
    let mut place = None;
    match args.gate.executables.is_empty() {
        true => place = compare(args, &mut rows, interrupts, terminal).await?,
        false => {
            let scratch = Scratch::new(&std::env::temp_dir())?;
            let pair = given(args, &scratch)?;
            measure_all(&[pair], &mut rows, args, interrupts, terminal).await;
        }
    }
    row::correct(&mut rows);
    for row in &mut rows {
        row.judge(&args.gate.judge, args.gate.effect / 100.0);
    }
    let code = exit_code(&rows);
    let report = Report::new(&rows, &args.gate, code);
    output::print(&report, &args.gate, terminal);
    if let Some(folder) = &args.gate.out {
        output::write(&report, folder, terminal)?;
    }
    if let Some(place) = place {
        remember(&rows, &place, args, terminal)?;
    }
    Ok(code)
}

/// Where results are remembered, and of what they are.
struct Place {
    history: PathBuf,
    commit: String,
    changed: bool,
    /// The first base; what other bases give is not the run's own result once more.
    against: String,
}

/// Adds the run to the history, writes its page, and says where series changed lately.
fn remember(rows: &[Row], place: &Place, args: &BenchArgs, terminal: &mut Terminal) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let origin = Origin {
        time: now.map_or(0, |now| now.as_secs()),
        commit: place.commit.clone(),
        changed: place.changed,
        machine: history::machine(),
    };
    let mut history = History::read(&place.history)?;
    if history.unread > 0 {
        let lines = crate::units::counted(history.unread as u64, "line");
        terminal.warn(format_args!(
            "{}: {lines} could not be read",
            place.history.display()
        ));
    }
    let own: Vec<Row> = rows
        .iter()
        .filter(|row| row.against == place.against)
        .cloned()
        .collect();
    history.append(&own, &origin, &place.history)?;
    let series = history.series(&origin.machine, args.gate.seed);
    let page = page::page(&series);
    let mut pages = vec![history::page_of(&place.history)];
    pages.extend(
        args.gate
            .out
            .as_ref()
            .map(|folder| folder.join("history.html")),
    );
    for path in pages {
        crate::view::output::write(&path, terminal, |file| Ok(file.write_all(page.as_bytes())?))?;
    }
    for one in &series {
        let lately = |change: &&ChangePoint| one.entries.len() - change.index <= LATELY;
        for change in one.changes.iter().filter(lately) {
            let name = one.entries[change.index].name();
            terminal.note(format_args!(
                "history: {name} {}",
                page::change_words(one, change)
            ));
        }
    }
    Ok(())
}

/// Builds and compares with each base.
async fn compare(
    args: &BenchArgs,
    rows: &mut Vec<Row>,
    interrupts: &Interrupts,
    terminal: &mut Terminal,
) -> Result<Option<Place>> {
    let workshop = Workshop::open(args)?;
    let named = args.gate.against.iter().chain(&args.gate.also_against);
    let mut bases: Vec<Base> = Vec::new();
    for name in named {
        let base = Base::find(name, workshop.repository.as_ref())?;
        if !bases.contains(&base) {
            bases.push(base);
        }
    }
    for base in &bases {
        let pairs = workshop
            .pairs(base, args, rows, (interrupts, terminal))
            .await?;
        measure_all(&pairs, rows, args, interrupts, terminal).await;
    }
    if args.gate.no_history {
        return Ok(None);
    }
    let head = workshop.repository.as_ref().and_then(Repository::head);
    let (commit, changed) = head.unwrap_or_default();
    let history = args
        .gate
        .history
        .clone()
        .unwrap_or_else(|| workshop.history());
    Ok(Some(Place {
        history,
        commit,
        changed,
        against: bases.first().map_or_else(String::new, Base::name),
    }))
}

/// Executables that were built before.
fn given(args: &BenchArgs, scratch: &Scratch) -> Result<Pair> {
    let folder = std::env::current_dir().context("read the current folder")?;
    let executable = |(number, path): (usize, &std::path::PathBuf)| Executable {
        path: folder.join(path),
        folder: folder.clone(),
        log: scratch.path().join(format!("{number}.log")),
        patience: args.gate.timeout,
    };
    let mut executables: Vec<Executable> = args
        .gate
        .executables
        .iter()
        .enumerate()
        .map(executable)
        .collect();
    let layouts = executables.split_off(2);
    let candidate = executables.remove(1);
    let base = executables.remove(0);
    let twin = scratch.path().join("twin");
    std::fs::copy(&base.path, &twin).with_context(|| format!("copy {}", base.path.display()))?;
    Ok(Pair {
        target: String::new(),
        against: args.gate.executables[0].display().to_string(),
        twin: Executable {
            path: twin,
            log: scratch.path().join("twin.log"),
            ..base.clone()
        },
        base,
        candidate,
        layouts,
    })
}

async fn measure_all(
    pairs: &[Pair],
    rows: &mut Vec<Row>,
    args: &BenchArgs,
    interrupts: &Interrupts,
    terminal: &mut Terminal,
) {
    let mut benches: Vec<Common> = Vec::new();
    for pair in pairs {
        benches.extend(pair.benches(&args.filters, rows).await);
    }
    let family = benches.len();
    let counts_instructions = !args.gate.no_instructions && instructions::is_installed().await;
    for (number, common) in benches.iter().enumerate() {
        if interrupts.any() {
            rows.push(common.row(Outcome::CannotTell, "interrupted before it was measured"));
            continue;
        }
        let what = format_args!("{} ({} of {family})", common.name, number + 1);
        let step = terminal.step("Measuring", what);
        rows.push(measured(common, family, args, (counts_instructions, interrupts)).await);
        drop(step);
    }
}

/// Measures a bench that both have.
async fn measured(
    common: &Common,
    family: usize,
    args: &BenchArgs,
    (counts_instructions, interrupts): (bool, &Interrupts),
) -> Row {
    let pair = &common.pair;
    let layouts = pair.layouts.iter().map(|layout| common.of_base(layout));
    let setting = Setting {
        kind: common.kind,
        base: common.of_base(&pair.base),
        twin: common.of_base(&pair.twin),
        candidate: common.of_candidate(),
        layouts: layouts.collect(),
        time: args.gate.seconds,
        least: (args.gate.effect / 100.0).ln_1p(),
        family,
        seed: args.gate.seed,
    };
    match measure::measure(&setting, interrupts).await {
        Err(stopped) => common.stopped(&stopped),
        Ok(measurement) => {
            let mut row = common.row(Outcome::CannotTell, "");
            row.set_time(&measurement);
            row.set_allocations(&measurement);
            if common.kind == Kind::Suite && counts_instructions {
                let counts = instructions_of(&setting, &measurement);
                let counts = measure::unless_interrupted(counts, interrupts).await;
                row.instructions = counts.flatten();
            }
            row
        }
    }
}

/// Instructions of an iteration in both.
async fn instructions_of(setting: &Setting, measurement: &Measurement) -> Option<Counts> {
    let nanos = measurement.finding.as_ref()?.cpu.nanos[0];
    Some(Counts {
        base: instructions::count(&setting.base, nanos).await?,
        candidate: instructions::count(&setting.candidate, nanos).await?,
    })
}

fn exit_code(rows: &[Row]) -> u8 {
    let any = |outcome| rows.iter().any(|row| row.verdict == outcome);
    match () {
        () if any(Outcome::Worse) => WORSE,
        () if any(Outcome::Failed) => FAILED,
        () if any(Outcome::CannotTell) || any(Outcome::Gone) => CANNOT_TELL,
        () => 0,
    }
}
