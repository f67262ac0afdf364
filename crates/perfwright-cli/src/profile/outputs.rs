//! From the raw profile to the files of a run and the report.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result};
use perfwright_cpu::Audit;
use perfwright_flamegraph::write_svg;
use perfwright_format::{Limits, folded, pprof};
use perfwright_model::{Profile, keys};
use perfwright_symbolize::Symbolizer;
use perfwright_viewer_html::page_with_sources;

use super::capture::Captured;
use super::heap;
use super::load::Tally;
use super::spans;
use crate::report::{FileInfo, Load, Report, RequestStats, RunInfo, Spans};
use crate::view::{sources, view::embedded};

/// What the files are about, beside the capture itself.
pub(crate) struct About {
    pub(crate) program: String,
    /// The command line that was given.
    pub(crate) command: String,
    pub(crate) connections: u16,
    pub(crate) workspace_root: PathBuf,
    /// The folder that the run will have.
    pub(crate) shown_folder: String,
}

/// Resolves the profile and writes all files but the report into `folder`.
pub(crate) fn write(folder: &Path, captured: &Captured, about: &About) -> Result<Report> {
    let mut profile = read_raw(&captured.raw)?;
    let audit = Audit::from_comments(profile.meta.comments.iter().map(String::as_str));
    let symbols = Symbolizer::new(perfwright_symbolize::Options::default()).symbolize(&mut profile);
    write_profile(folder, &profile, about)?;
    let mut report = Report::new(
        run_info(captured, about),
        &profile,
        &audit.unwrap_or_default(),
        &symbols,
    );
    report
        .capture
        .cpu_timeline
        .clone_from(&captured.cpu_timeline);
    report.load = captured
        .load
        .as_ref()
        .map(|load| load_info(load, captured, about.connections));
    report.folder.clone_from(&about.shown_folder);
    report.files = files();
    // The report's own files and the log stay last.
    let add = |report: &mut Report, files: Vec<FileInfo>| {
        let at = report.files.len() - OWN_FILES;
        report.files.splice(at..at, files);
    };
    let mut heap_profile = None;
    if let Some(raw) = &captured.raw_heap {
        if let Some((memory, heap, files)) = heap::write(folder, raw, about)? {
            report.memory = Some(memory);
            heap_profile = Some(heap);
            add(&mut report, files);
        }
        fs::remove_dir_all(raw).context("remove the raw heap profiles")?;
    }
    let spans = spans::write(folder, &captured.raw_spans, about)?.map(|(raw, files)| {
        add(&mut report, files);
        raw
    });
    let raw = spans.as_ref().map(|raw| (&raw.profile, &raw.account));
    report.spans = Spans::new(&profile, heap_profile.as_ref(), raw);
    if report
        .spans
        .as_ref()
        .is_some_and(|spans| spans.routed_share > 0.0)
    {
        let drawing = Drawing {
            name: "routes.svg",
            group_by: Some(keys::ROUTE),
            ..Drawing::default()
        };
        write_flamegraph(folder, &profile, drawing, about)?;
        let text = "flamegraph of each route's CPU time, on whatever thread";
        report.files.insert(2, FileInfo::new(drawing.name, text));
    }
    fs::remove_dir_all(&captured.raw_spans).context("remove the raw spans")?;
    write_page(folder, &profile)?;
    report.source_roots = vec![about.workspace_root.display().to_string()];
    write_file(folder, "report.md", |file| {
        file.write_all(report.markdown().as_bytes())
    })?;
    let json = report.json().context("write report.json")?;
    write_file(folder, "report.json", |file| {
        file.write_all(json.as_bytes())
    })?;
    fs::remove_file(&captured.raw).context("remove the raw profile")?;
    Ok(report)
}

pub(crate) fn read_raw(path: &Path) -> Result<Profile> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let read = perfwright_format::read(&bytes, &Limits::default());
    Ok(read
        .context("read the profile that the program wrote")?
        .profile)
}

fn write_profile(folder: &Path, profile: &Profile, about: &About) -> Result<()> {
    let sample_type = profile.meta.default_sample_type.unwrap_or(0);
    write_file(folder, "cpu.pb.gz", |file| pprof::write_gzip(profile, file))?;
    write_file(folder, "cpu.folded", |file| {
        folded::write(profile, sample_type, file)
    })?;
    let drawing = Drawing {
        name: "cpu.svg",
        ..Drawing::default()
    };
    write_flamegraph(folder, profile, drawing, about)
}

/// The viewer with the run's profiles in it, and the sources that cost most.
fn write_page(folder: &Path, profile: &Profile) -> Result<()> {
    let mut profiles = Vec::new();
    for name in ["cpu.pb.gz", "heap.pb.gz", "heap-peak.pb.gz", "spans.pb.gz"] {
        let path = folder.join(name);
        if path.exists() {
            let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            profiles.push((name.to_owned(), bytes));
        }
    }
    let sources = sources::hottest(&[profile]);
    write_file(folder, "profile.html", |file| {
        file.write_all(&page_with_sources(
            &embedded(&profiles),
            &embedded(&sources),
        ))
    })
}

/// What a flamegraph shows of a profile.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Drawing<'a> {
    /// The name of its file.
    pub(crate) name: &'a str,
    /// `None`: the profile's default one.
    pub(crate) sample_type: Option<&'a str>,
    /// The label whose values are the outermost boxes.
    pub(crate) group_by: Option<&'a str>,
}

pub(crate) fn write_flamegraph(
    folder: &Path,
    profile: &Profile,
    drawing: Drawing<'_>,
    about: &About,
) -> Result<()> {
    let mut options = perfwright_flamegraph::Options::default();
    options.subtitle = Some(about.program.clone());
    options.sample_type = drawing.sample_type.map(str::to_owned);
    options.group_by = drawing.group_by.map(str::to_owned);
    // Inlined calls make stacks deep: what begins at the top is seen without scrolling.
    options.direction = perfwright_flamegraph::Direction::Down;
    write_file(folder, drawing.name, |file| {
        write_svg(profile, &options, file)
            .map(drop)
            .map_err(std::io::Error::other)
    })
}

pub(crate) fn write_file(
    folder: &Path,
    name: &str,
    write: impl FnOnce(&mut BufWriter<fs::File>) -> std::io::Result<()>,
) -> Result<()> {
    let path = folder.join(name);
    let fill = || {
        let mut file = BufWriter::new(fs::File::create(&path)?);
        write(&mut file)?;
        file.flush()
    };
    fill().with_context(|| format!("write {}", path.display()))
}

fn run_info(captured: &Captured, about: &About) -> RunInfo {
    RunInfo {
        program: about.program.clone(),
        args: captured.program_args.clone(),
        command: about.command.clone(),
        started_unix: captured
            .started
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_secs()),
        duration_s: captured.duration.as_secs_f64(),
        ended_early: captured.ended_early.clone(),
        load_per_core: captured.load_per_core,
    }
}

/// The last of [`files`]: the reports and the log.
const OWN_FILES: usize = 3;

fn files() -> Vec<FileInfo> {
    [
        (
            "profile.html",
            "the viewer with the profiles in it: open it in a browser, or send it to somebody",
        ),
        ("cpu.svg", "flamegraph: open it in a browser"),
        (
            "cpu.pb.gz",
            "pprof: go tool pprof -http=: FILE, speedscope, Pyroscope, ...",
        ),
        ("cpu.folded", "folded stacks: text, one stack a line"),
        ("report.md", "this report as Markdown"),
        ("report.json", "this report for programs"),
        ("program.log", "what the program printed"),
    ]
    .map(|(name, about)| FileInfo::new(name, about))
    .into()
}

fn load_info(load: &[(String, Tally)], captured: &Captured, connections: u16) -> Load {
    let seconds = captured.duration.as_secs_f64();
    let mut all: Option<Tally> = None;
    for (_, tally) in load {
        match &mut all {
            Some(all) => all.add(tally),
            None => all = Some(tally.clone()),
        }
    }
    let stats = |name: &str, tally: &Tally| request_stats(name, tally, seconds);
    Load {
        connections: u64::from(connections),
        requests: load
            .iter()
            .map(|(name, tally)| stats(name, tally))
            .collect(),
        all: all.map_or_else(RequestStats::default, |all| stats("all", &all)),
    }
}

fn request_stats(name: &str, tally: &Tally, seconds: f64) -> RequestStats {
    let millis = |micros: u64| micros as f64 / 1e3;
    let percentile = |p: f64| match tally.latency_us.is_empty() {
        true => 0.0,
        false => millis(tally.latency_us.value_at_percentile(p)),
    };
    let count = tally.ok + tally.errors;
    RequestStats {
        name: name.to_owned(),
        count,
        errors: tally.errors,
        rps: if seconds > 0.0 {
            count as f64 / seconds
        } else {
            0.0
        },
        p50_ms: percentile(50.0),
        p95_ms: percentile(95.0),
        p99_ms: percentile(99.0),
        p99_9_ms: percentile(99.9),
        max_ms: millis(tally.latency_us.max()),
        mean_ms: tally.latency_us.mean() / 1e3,
        request_bytes: tally.request_bytes,
        response_bytes: tally.response_bytes,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use perfwright_model::SampleType;

    use super::*;

    fn raw_profile(folder: &Path) -> PathBuf {
        let types = [
            SampleType::new("samples", "count"),
            SampleType::new("cpu", "nanoseconds"),
        ];
        let mut profile = Profile::new(types);
        profile.meta.default_sample_type = Some(1);
        let mut audit = Audit::default();
        audit.delivered = 42;
        profile.meta.comments = audit.to_comments();
        let frames = ["main", "serve", "parse"].map(|name| profile.frame_location(name));
        let stack = profile.intern_stack_root_first(frames);
        let labels = profile.intern_labels(&[]);
        profile.push_sample(stack, labels, &[42, 42_000_000]);
        let path = folder.join("raw.pb.gz");
        pprof::write_gzip(&profile, fs::File::create(&path).unwrap()).unwrap();
        path
    }

    fn captured(raw: PathBuf) -> Captured {
        Captured {
            raw_spans: raw.with_file_name("raw-spans"),
            raw,
            raw_heap: None,
            program_args: vec!["--listen".into()],
            started: SystemTime::UNIX_EPOCH + Duration::from_secs(5),
            duration: Duration::from_secs(2),
            load_per_core: Some(0.5),
            cpu_timeline: vec![crate::report::CpuMoment {
                seconds: 0.5,
                cpu_nanos: 7,
            }],
            ended_early: None,
            load: Some(vec![(
                "listing".into(),
                Tally::of_micros(&[1_000, 2_000, 3_000, 4_000]),
            )]),
            failure: None,
        }
    }

    #[test]
    fn a_run_has_every_file_and_they_agree() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("raw-spans")).unwrap();
        let captured = captured(raw_profile(folder.path()));
        let about = About {
            program: "shop".into(),
            command: "cargo xtask profile".into(),
            connections: 8,
            workspace_root: "/w".into(),
            shown_folder: "target/perfwright/run".into(),
        };
        let report = write(folder.path(), &captured, &about).unwrap();
        for file in files().iter().filter(|file| file.name != "program.log") {
            assert!(folder.path().join(&file.name).exists(), "{}", file.name);
        }
        assert!(!folder.path().join("raw.pb.gz").exists());
        let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(text("cpu.folded"), "main;serve;parse 42000000\n");
        assert!(text("cpu.svg").contains("parse"));
        let json: serde_json::Value = serde_json::from_str(&text("report.json")).unwrap();
        assert_eq!(json["capture"]["samples_delivered"], 42);
        assert_eq!(json["load"]["requests"][0]["count"], 4);
        assert_eq!(json["load"]["requests"][0]["rps"], 2.0);
        assert_eq!(json["load"]["all"]["p50_ms"], 2.0);
        let mean = json["load"]["all"]["mean_ms"].as_f64().unwrap();
        assert!((mean - 2.5).abs() < 0.01, "{mean}");
        assert_eq!(json["run"]["started_unix"], 5);
        assert_eq!(json["run"]["load_per_core"], 0.5);
        assert_eq!(json["capture"]["cpu_timeline"][0]["cpu_nanos"], 7);
        assert_eq!(report.top_self[0].function, "parse");
        let read = perfwright_format::read(
            &fs::read(folder.path().join("cpu.pb.gz")).unwrap(),
            &Limits::default(),
        );
        assert_eq!(read.unwrap().profile.total(1), 42_000_000);
    }

    #[test]
    fn a_broken_profile_is_an_error_not_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let raw = folder.path().join("raw.pb.gz");
        fs::write(&raw, b"\x1f\x8b\x08 not gzip").unwrap();
        let error = read_raw(&raw).unwrap_err();
        assert_eq!(error.to_string(), "read the profile that the program wrote");
    }
}
