//! The viewer beside speedscope 1.25, in turn, each load in a fresh Chromium.
//!
//! `cargo run --release --manifest-path benches/viewer/Cargo.toml -- load|alone|move|search|data [FILE]`; what is
//! opened is made first, `alone` leaves speedscope out. Needs `chromium`, and for speedscope `npm`.

mod data;

#[path = "../../../xtask/browser.rs"]
mod browser;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use browser::Browser;
use perfwright_format::{folded, pprof};

const SPEEDSCOPE: &str = "1.25.0";

/// What is opened: the file, how many stacks it has, how often each viewer opens it.
const CASES: [(&str, usize, usize); 4] = [
    ("20m.folded", 11_900, 7),
    ("200m.folded", 109_000, 3),
    ("200m.pb.gz", 109_000, 5),
    ("1M.pb.gz", 1_000_000, 1),
];

fn main() -> Result<()> {
    let what = env::args().nth(1).unwrap_or_default();
    let only = env::args().nth(2).unwrap_or_default();
    let folder = folder()?;
    match what.as_str() {
        "data" => make_data(&folder),
        "load" => load(&folder, &only),
        "alone" => alone(&folder, &only),
        "move" => moves(&folder),
        "search" => search(&folder),
        _ => bail!("say what to measure: data, load, alone, move or search"),
    }
}

/// Where the files to open are: in the target folder.
fn folder() -> Result<PathBuf> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    let folder = target.join("viewer-bench");
    fs::create_dir_all(&folder)?;
    Ok(folder.canonicalize()?)
}

fn make_data(folder: &Path) -> Result<()> {
    for (name, stacks, _) in CASES {
        if folder.join(name).exists() {
            continue;
        }
        let profile = data::profile(stacks);
        let mut bytes = Vec::new();
        if name.ends_with("folded") {
            folded::write(&profile, 0, &mut bytes)?;
        } else {
            pprof::write_gzip(&profile, &mut bytes)?;
        }
        println!(
            "{name}: {} nodes, {} bytes",
            profile.stack_count() - 1,
            bytes.len()
        );
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

/// Speedscope as npm has it, unpacked.
fn speedscope(folder: &Path) -> Result<PathBuf> {
    let page = folder.join("package/dist/release/index.html");
    if !page.exists() {
        let name = format!("speedscope@{SPEEDSCOPE}");
        let packed = Command::new("npm")
            .current_dir(folder)
            .args(["pack", &name])
            .status();
        ensure!(
            packed.context("start npm")?.success(),
            "npm could not fetch {name}"
        );
        let archive = format!("speedscope-{SPEEDSCOPE}.tgz");
        let unpacked = Command::new("tar")
            .current_dir(folder)
            .args(["xzf", &archive])
            .status()?;
        ensure!(unpacked.success(), "unpack {archive}");
    }
    Ok(page)
}

fn ours() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../crates/perfwright-viewer-html/src/viewer.html")
}

/// One viewer: its page, when it waits for a file, when it has drawn one.
struct Viewer {
    name: &'static str,
    page: PathBuf,
    ready: &'static str,
    drawn: &'static str,
}

fn viewers(folder: &Path) -> Result<[Viewer; 2]> {
    let ours = Viewer {
        name: "perfwright",
        page: ours(),
        ready: "document.documentElement?.dataset.ready !== undefined",
        drawn: "document.getElementById('flame').dataset.frames > 0",
    };
    let theirs = Viewer {
        name: "speedscope",
        page: speedscope(folder)?,
        ready: "document.querySelector('#file, input[type=file]')",
        // Its landing page gives way to the toolbar of a loaded profile.
        drawn: "document.body.innerText.includes('Left Heavy')",
    };
    Ok([ours, theirs])
}

/// What one load took.
#[derive(Clone, Copy, Debug)]
struct Load {
    wall: f64,
    cpu: f64,
    /// Resident megabytes above the page without a profile.
    memory: f64,
}

fn open(viewer: &Viewer) -> Result<Browser> {
    let mut browser = Browser::start(1280, 800);
    let page = viewer.page.canonicalize()?;
    browser.open(&format!("file://{}", page.display()), viewer.ready);
    thread::sleep(Duration::from_millis(500));
    Ok(browser)
}

fn load_once(viewer: &Viewer, file: &Path) -> Result<(Load, Browser)> {
    let mut browser = open(viewer)?;
    let before = browser.renderer_cost();
    // The page itself looks whether it has drawn, once a frame, from the drop on.
    let watch = format!(
        "addEventListener('drop', () => {{
            const began = performance.now();
            const look = () => {{
                if ({}) requestAnimationFrame(() => requestAnimationFrame(() => {{ self.tookMillis = performance.now() - began; }}));
                else requestAnimationFrame(look);
            }};
            look();
        }}, true)",
        viewer.drawn
    );
    browser.value(&watch);
    browser.drop_files(640.0, 400.0, &[file]);
    browser.wait("self.tookMillis > 0");
    let after = browser.renderer_cost();
    let load = Load {
        wall: browser
            .value("self.tookMillis")
            .as_f64()
            .unwrap_or(f64::NAN)
            / 1e3,
        cpu: after.0 - before.0,
        memory: after.1 - before.1,
    };
    Ok((load, browser))
}

fn load(folder: &Path, only: &str) -> Result<()> {
    make_data(folder)?;
    let viewers = viewers(folder)?;
    println!("median of interleaved loads, drop to first draw; memory above the empty page");
    for (name, _, rounds) in CASES.into_iter().filter(|(name, ..)| name.contains(only)) {
        let mut loads = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (viewer, loads) in viewers.iter().zip(&mut loads) {
                loads.push(load_once(viewer, &folder.join(name))?.0);
            }
        }
        let of = |side: usize, what: fn(&Load) -> f64| median(loads[side].iter().map(what));
        for (side, viewer) in viewers.iter().enumerate() {
            println!(
                "{name} {}: wall {:.2} s, CPU {:.2} s, {:.0} MB ({rounds} loads)",
                viewer.name,
                of(side, |load| load.wall),
                of(side, |load| load.cpu),
                of(side, |load| load.memory)
            );
        }
        let ratio = |what: fn(&Load) -> f64| of(0, what) / of(1, what);
        println!(
            "{name}: 1/{:.1} of the wall time, 1/{:.1} of the CPU time, {:.2} of the memory",
            1.0 / ratio(|load| load.wall),
            1.0 / ratio(|load| load.cpu),
            ratio(|load| load.memory)
        );
    }
    Ok(())
}

/// Only ours: the largest profile keeps speedscope busy for many minutes.
fn alone(folder: &Path, only: &str) -> Result<()> {
    make_data(folder)?;
    let [ours, _] = viewers(folder)?;
    for (name, ..) in CASES.into_iter().filter(|(name, ..)| name.contains(only)) {
        let loads: Vec<Load> = (0..3)
            .map(|_| Ok(load_once(&ours, &folder.join(name))?.0))
            .collect::<Result<_>>()?;
        println!(
            "{name}: wall {:.2} s, CPU {:.2} s, {:.0} MB (median of 3 loads)",
            median(loads.iter().map(|load| load.wall)),
            median(loads.iter().map(|load| load.cpu)),
            median(loads.iter().map(|load| load.memory))
        );
    }
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Zooms and pans through the largest profile, and says what each frame cost the page's main thread.
fn moves(folder: &Path) -> Result<()> {
    make_data(folder)?;
    let [ours, _] = viewers(folder)?;
    let (_, mut browser) = load_once(&ours, &folder.join("1M.pb.gz"))?;
    browser.value(
        "self.longTasks = []; new PerformanceObserver(list => longTasks.push(...list.getEntries().map(entry => entry.duration))).observe({ type: 'longtask' })",
    );
    let mut work = Vec::new();
    for step in 0..160 {
        let frames = "Number(document.getElementById('flame').dataset.frames)";
        let frame = browser.value(frames).as_f64().unwrap_or(0.0);
        let before = browser.metric("TaskDuration");
        let (dx, dy) = match step % 4 {
            0 | 1 => (0.0, if step < 100 { -60.0 } else { 90.0 }),
            2 => (80.0, 0.0),
            _ => (-50.0, 0.0),
        };
        browser.send(
            "Input.dispatchMouseEvent",
            serde_json::json!({
                "type": "mouseWheel", "x": 500 + step, "y": 400, "deltaX": dx, "deltaY": dy,
                "modifiers": if dx == 0.0 { 2 } else { 0 },
            }),
        );
        browser.wait(&format!("{frames} > {frame}"));
        work.push((browser.metric("TaskDuration") - before) * 1e3);
    }
    work.sort_by(f64::total_cmp);
    println!(
        "main thread, ms a frame over 160: median {:.1}, p95 {:.1}, most {:.1}; tasks over 50 ms: {}",
        work[80],
        work[152],
        work[159],
        browser.value("longTasks.length")
    );
    Ok(())
}

/// Searches the largest profile.
fn search(folder: &Path) -> Result<()> {
    make_data(folder)?;
    let [ours, _] = viewers(folder)?;
    let (_, mut browser) = load_once(&ours, &folder.join("1M.pb.gz"))?;
    thread::sleep(Duration::from_millis(500));
    for query in ["method_77", "^tokio::.*method_.*7$", "serde"] {
        let before = browser.renderer_cost();
        let took = browser.value(&format!(
            "(async () => {{
                const hits = document.getElementById('hits'), query = document.getElementById('query');
                const began = performance.now(); let first = 0;
                query.value = {query:?}; query.dispatchEvent(new Event('input'));
                const old = hits.textContent;
                while (true) {{
                    await new Promise(done => setTimeout(done, 2));
                    if (!first && hits.textContent !== old && hits.textContent.includes('function')) first = performance.now() - began;
                    if (first && !hits.textContent.endsWith('…')) return [first, performance.now() - began];
                }}
            }})()"
        ));
        let cpu = browser.renderer_cost().0 - before.0;
        println!(
            "{query}: first hits after {:.0} ms, all after {:.0} ms; {cpu:.2} CPU-s in all",
            took[0].as_f64().unwrap_or(f64::NAN),
            took[1].as_f64().unwrap_or(f64::NAN)
        );
    }
    Ok(())
}
