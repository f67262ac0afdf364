//! `profile`: build the program, start it, load it, capture it, write the run.

pub(crate) mod args;
mod build;
mod capture;
pub(crate) mod cargo_config;
mod heap;
pub(crate) mod interrupts;
mod load;
mod outputs;
pub(crate) mod process;
mod runs;
mod session;
mod spans;
mod target;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::Metadata;
use tokio::runtime::{Builder, Runtime};

use crate::Context;
use crate::browser;
use crate::report::Report;
use crate::terminal::Terminal;
use args::ProfileArgs;
use capture::{Captured, Job};
use interrupts::Interrupts;
use outputs::About;
use runs::Run;
use target::Program;

/// Runs the whole command.
pub(crate) fn run(args: &ProfileArgs, context: &Context, terminal: &mut Terminal) -> Result<()> {
    if args.json {
        terminal.quiet_unless_live();
    }
    // One thread: the load's connections are tasks on it, beside the program on the other cores.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the command's own runtime")?;
    let finished = runtime.block_on(profile(args, context, terminal));
    abandon(runtime);
    let (report, folder, failure) = finished?;
    if args.json {
        terminal.print(report.json().context("print the report")?);
    } else {
        report.print_terminal(terminal);
    }
    if args.open {
        browser::open(&folder.join("profile.html"), terminal);
    }
    match failure {
        Some(failure) => bail!("run the program to its end: {failure}"),
        None => Ok(()),
    }
}

type Finished = (Report, PathBuf, Option<String>);

async fn profile(
    args: &ProfileArgs,
    context: &Context,
    terminal: &mut Terminal,
) -> Result<Finished> {
    let interrupts = Interrupts::listen()?;
    let metadata = target::workspace()?;
    let program = target::choose(&metadata, args)?;
    let run = begin_run(args, &metadata, &program)?;
    let exe = tokio::select! {
        exe = build::build(&program, &metadata, args, context.color) => exe?,
        () = interrupts.reached(1) => bail!("build {}: interrupted", program.name),
    };
    let job = Job {
        name: &program.name,
        exe: &exe,
        plan: &program.plan,
        args,
        folder: run.folder(),
        interrupts: &interrupts,
    };
    let mut captured = capture::capture(&job, terminal).await?;
    let failure = captured.failure.take();
    warn_of_errors(&captured, terminal);
    let (report, folder) = write(
        run,
        captured,
        &program,
        &metadata,
        args,
        &interrupts,
        terminal,
    )
    .await?;
    Ok((report, folder, failure))
}

fn begin_run(args: &ProfileArgs, metadata: &Metadata, program: &Program) -> Result<Run> {
    match &args.out {
        Some(out) => Run::at(out),
        None => {
            let root = metadata.target_directory.join("perfwright");
            Run::among(
                root.as_ref(),
                &program.name,
                SystemTime::now(),
                usize::from(args.keep),
            )
        }
    }
}

/// Resolves names and writes the files, beside the runtime so that an interrupt can end it.
async fn write(
    run: Run,
    captured: Captured,
    program: &Program,
    metadata: &Metadata,
    args: &ProfileArgs,
    interrupts: &Interrupts,
    terminal: &mut Terminal,
) -> Result<(Report, PathBuf)> {
    // The interrupt that ended the capture early must not end its writing too.
    let interrupts_so_far = u32::from(interrupts.any());
    let _step = terminal.step("Resolving", "functions, files and lines");
    let folder = run.folder().to_owned();
    let about = About {
        program: program.name.clone(),
        command: command_line(),
        connections: args.connections,
        workspace_root: metadata.workspace_root.clone().into(),
        shown_folder: shown(&run.final_folder()),
    };
    let writing = tokio::task::spawn_blocking(move || outputs::write(&folder, &captured, &about));
    let report = tokio::select! {
        report = writing => report.context("write the run")??,
        () = interrupts.reached(interrupts_so_far + 1) => bail!("write the run: interrupted"),
    };
    let folder = run.complete()?;
    Ok((report, folder))
}

fn warn_of_errors(captured: &Captured, terminal: &mut Terminal) {
    for (name, tally) in captured.load.iter().flatten() {
        if let Some(first) = &tally.first_error {
            let all = tally.ok + tally.errors;
            terminal.warn(format_args!(
                "{} of {all} requests \"{name}\" failed; the first with: {first}",
                tally.errors
            ));
        }
    }
}

/// Leaves whatever still runs behind: after an interrupt nobody waits for it.
fn abandon(runtime: Runtime) {
    runtime.shutdown_background();
}

/// A path as the user would type it here.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().and_then(std::fs::canonicalize);
    let relative = here
        .ok()
        .and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    relative
        .unwrap_or_else(|| path.to_owned())
        .display()
        .to_string()
}

/// What was typed, for the report.
fn command_line() -> String {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    let name = Path::new(&program)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let name = name
        .replace("cargo-", "cargo ")
        .replace("xtask", "cargo xtask");
    std::iter::once(name)
        .chain(words.filter(|word| word != "perfwright"))
        .collect::<Vec<_>>()
        .join(" ")
}
