//! `bench` without a comparison: the benches run, and what they took as a table.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail, ensure};
use perfwright_criterion::shard::Durations;
use perfwright_criterion::table::{Row, rows};

use super::args::{BenchArgs, Format};
use super::executables::{Executable, build, results};
use super::table;
use crate::terminal::Terminal;
use crate::units::counted;

/// Folders between criterion's and a profile's: group, function, parameter, and one to spare.
const MAX_DEPTH: usize = 5;

/// Runs the benches and prints what was saved of them.
pub(crate) fn run(args: &BenchArgs, terminal: &mut Terminal) -> Result<()> {
    let results = results(args)?;
    let started = SystemTime::now();
    let ran = match args.run.saved {
        true => None,
        false => Some(run_benches(args, &results, terminal)?),
    };
    if args.run.profile.is_some() {
        return tell_profiles(&results, started, terminal);
    }
    let baseline = args.run.baseline.as_deref();
    let rows = rows(&results, baseline).context("read saved results")?;
    let wanted = |row: &Row| match &ran {
        Some(ran) => ran.contains(&row.name),
        None => passes(&args.filters, &row.name),
    };
    let rows: Vec<Row> = rows.into_iter().filter(wanted).collect();
    print(&rows, args, terminal)?;
    if let Some(path) = &args.run.store_durations {
        let durations = Durations::saved(&results).context("read how long benches took")?;
        fs::write(path, durations.to_json())
            .with_context(|| format!("write {}", path.display()))?;
        terminal.note(format_args!(
            "{} has how long each bench took",
            path.display()
        ));
    }
    Ok(())
}

fn print(rows: &[Row], args: &BenchArgs, terminal: &mut Terminal) -> Result<()> {
    match args.run.format(args.gate.format) {
        Format::Json => {
            let json = serde_json::json!({ "version": 1, "benches": rows });
            let text = serde_json::to_string_pretty(&json).context("write the table as JSON")?;
            terminal.line(text);
        }
        Format::Markdown => terminal.print(table::table(rows).markdown()),
        Format::Table => {
            let (width, paint) = (terminal.width(), terminal.paint());
            terminal.line("");
            terminal.print(table::table(rows).render(width, paint));
            if rows.iter().any(|row| row.change.is_some()) {
                terminal.line(paint.dim(
                    "\nThe change is between two times of measuring, and is no verdict: --against REV measures in turns.",
                ));
            }
        }
    }
    for problem in rows.iter().flat_map(|row| &row.problems) {
        terminal.warn(problem);
    }
    if let (true, Some(baseline)) = (
        rows.iter().all(|row| row.change.is_none()),
        &args.run.baseline,
    ) {
        terminal.warn(format_args!(
            "no bench has a baseline {baseline}: save one with --save-baseline {baseline}"
        ));
    }
    Ok(())
}

/// Builds and runs the benches that are wanted; gives their names.
fn run_benches(args: &BenchArgs, results: &Path, terminal: &mut Terminal) -> Result<Vec<String>> {
    let mut executables = Vec::new();
    for executable in build(args)? {
        let benches = executable.list()?;
        match benches.is_empty() {
            true => terminal.note(format_args!(
                "{} has no benches of criterion",
                executable.name
            )),
            false => executables.push((executable, benches)),
        }
    }
    let all: Vec<&str> = (executables.iter())
        .flat_map(|(_, benches)| benches.iter().map(String::as_str))
        .filter(|bench| passes(&args.filters, bench))
        .collect();
    ensure!(
        !all.is_empty(),
        "run benches: none has a name that contains {:?}",
        args.filters
    );
    let wanted = match &args.run.shard {
        Some(shard) => shard.of(&all, &durations(args, results, terminal)?),
        None => all.clone(),
    };
    if let Some(shard) = args.run.shard {
        let count = counted(all.len() as u64, "bench");
        terminal.note(format_args!(
            "shard {shard} has {} of {count}",
            wanted.len()
        ));
    }
    for (executable, benches) in &executables {
        let here: Vec<&str> = benches
            .iter()
            .map(String::as_str)
            .filter(|bench| wanted.contains(bench))
            .collect();
        if !here.is_empty() {
            let filter = (here.len() < benches.len()).then(|| exactly(&here));
            run_one(executable, filter, args, results)?;
        }
    }
    Ok(wanted.into_iter().map(str::to_owned).collect())
}

fn run_one(
    executable: &Executable,
    filter: Option<String>,
    args: &BenchArgs,
    results: &Path,
) -> Result<()> {
    let mut command = executable.command();
    command.arg("--bench").env("CRITERION_HOME", results);
    if let Some(seconds) = args.run.profile {
        command.args(["--profile-time", &seconds.as_secs_f64().to_string()]);
    }
    if let Some(iterations) = args.run.count {
        command
            .arg("--test")
            .env("PERFWRIGHT_COUNT", iterations.to_string());
    }
    if let Some(baseline) = &args.run.save_baseline {
        command.args(["--save-baseline", baseline]);
    }
    command.args(&args.run.criterion).args(filter);
    if args.run.format(args.gate.format) != Format::Table {
        // Standard output is the table's.
        command.stdout(Stdio::from(io::stderr()));
    }
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("start the bench {}", executable.name))?;
    ensure!(
        status.success(),
        "run the bench {}: it ended with {status}",
        executable.name
    );
    Ok(())
}

/// How long benches take: from the file that was given, else from saved results.
fn durations(args: &BenchArgs, results: &Path, terminal: &mut Terminal) -> Result<Durations> {
    let durations = match &args.run.durations {
        Some(path) => Durations::read(path)?,
        None if results.is_dir() => Durations::saved(results)?,
        None => Durations::default(),
    };
    if durations.is_empty() {
        terminal.warn("nothing is known of how long benches take: each counts the same");
    }
    Ok(durations)
}

fn passes(filters: &[String], name: &str) -> bool {
    filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
}

/// criterion takes one regular expression.
fn exactly(benches: &[&str]) -> String {
    let escaped: Vec<String> = benches.iter().map(|bench| escape(bench)).collect();
    format!("^({})$", escaped.join("|"))
}

fn escape(text: &str) -> String {
    let special = |c: char| "\\.+*?()|[]{}^$#&-~".contains(c);
    text.chars()
        .flat_map(|c| special(c).then_some('\\').into_iter().chain([c]))
        .collect()
}

fn tell_profiles(results: &Path, since: SystemTime, terminal: &mut Terminal) -> Result<()> {
    let mut pages = Vec::new();
    find_pages(results, 0, since, &mut pages);
    if pages.is_empty() {
        bail!(
            "profile benches: they left no profiles. Configure criterion with perfwright_criterion::config(), or write them as a Suite"
        );
    }
    pages.sort();
    terminal.line("\nProfiles, each for the browser; beside them are pprof files and flamegraphs");
    for page in &pages {
        let link = terminal.paint().link(page.display());
        terminal.line(format_args!("  {link}"));
    }
    Ok(())
}

fn find_pages(folder: &Path, depth: usize, since: SystemTime, pages: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
    {
        let page = entry.path().join("profile.html");
        let modified = fs::metadata(&page).and_then(|page| page.modified());
        if entry.file_name() == "profile" && modified.is_ok_and(|time| time >= since) {
            pages.push(page);
        } else if depth < MAX_DEPTH {
            find_pages(&entry.path(), depth + 1, since, pages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_benches_exactly() {
        assert_eq!(exactly(&["a/b", "x (1)"]), r"^(a/b|x \(1\))$");
        assert!(passes(&[], "a") && passes(&["b".into(), "a".into()], "xa"));
        assert!(!passes(&["b".into()], "xa"));
    }

    #[test]
    fn only_new_pages_are_told() {
        let root = tempfile::tempdir().unwrap();
        let page = root.path().join("a/b/profile/profile.html");
        fs::create_dir_all(page.parent().unwrap()).unwrap();
        fs::write(&page, "").unwrap();
        let found = |since| {
            let mut pages = Vec::new();
            find_pages(root.path(), 0, since, &mut pages);
            pages
        };
        assert_eq!(found(SystemTime::UNIX_EPOCH), [page]);
        let later = SystemTime::now() + std::time::Duration::from_secs(3600);
        assert!(found(later).is_empty());
        let (mut terminal, out) = Terminal::captured(80);
        tell_profiles(root.path(), SystemTime::UNIX_EPOCH, &mut terminal).unwrap();
        assert!(out.out().contains("a/b/profile/profile.html"));
        assert!(tell_profiles(root.path(), later, &mut terminal).is_err());
    }
}
