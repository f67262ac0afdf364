//! `bench --against`: is what is here slower than another revision?
//!
//! `build` makes executables of both, `pair` finds their benches, `measure` drives them in turns, `judge` looks at
//! the batches, `row` has the verdicts, and `output` says them.

mod build;
mod contest;
mod judge;
mod measure;
mod output;
mod pair;
mod row;
mod source;
mod subject;
mod tree;
mod work;

use anyhow::{Context as _, Result};
use tokio::runtime::Builder;

use self::build::Workshop;
use self::measure::Setting;
use self::output::Report;
use self::pair::{Common, Pair};
use self::row::{Outcome, Row};
use self::source::Base;
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
    match args.gate.executables.is_empty() {
        true => compare(args, &mut rows, interrupts, terminal).await?,
        false => {
            let scratch = Scratch::new(&std::env::temp_dir())?;
            let pair = given(args, &scratch)?;
            measure_all(&[pair], &mut rows, args, interrupts, terminal).await;
        }
    }
    row::correct(&mut rows);
    let code = exit_code(&rows);
    output::print(&Report::new(&rows, &args.gate, code), &args.gate, terminal);
    Ok(code)
}

/// Builds and compares with each base.
async fn compare(
    args: &BenchArgs,
    rows: &mut Vec<Row>,
    interrupts: &Interrupts,
    terminal: &mut Terminal,
) -> Result<()> {
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
    Ok(())
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
    Ok(Pair {
        target: String::new(),
        against: args.gate.executables[0].display().to_string(),
        base: executables.remove(0),
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
        if let Some(common) = pair.benches(&args.filters, rows).await {
            benches.extend(common);
        }
    }
    let family = benches.len();
    for (number, common) in benches.iter().enumerate() {
        if interrupts.any() {
            rows.push(common.row(Outcome::CannotTell, "interrupted before it was measured"));
            continue;
        }
        let what = format_args!("{} ({} of {family})", common.name, number + 1);
        let step = terminal.step("Measuring", what);
        rows.push(measured(common, family, args, interrupts).await);
        drop(step);
    }
}

/// Measures a bench that both have.
async fn measured(
    common: &Common,
    family: usize,
    args: &BenchArgs,
    interrupts: &Interrupts,
) -> Row {
    let pair = &common.pair;
    let layouts = pair.layouts.iter().map(|layout| common.of_base(layout));
    let setting = Setting {
        base: common.of_base(&pair.base),
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
            row.judge(&args.gate.judge, args.gate.effect / 100.0);
            row
        }
    }
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
