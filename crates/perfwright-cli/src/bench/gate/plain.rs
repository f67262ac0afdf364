//! Executables of criterion alone, which cannot be driven in batches: short runs of one bench, in processes that
//! follow each other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use perfwright_criterion::protocol::Measured;
use perfwright_stats::Rng;
use serde::Deserialize;
use tokio::process::Command;
use tokio::time::timeout;

use super::contest::{Contest, Group, Stopped};
use super::judge::median;
use super::subject::{Executable, Trouble, last_words};
use crate::child::{self, Usage};

/// What criterion is told: as little time as gives ten samples.
const OPTIONS: [&str; 9] = [
    "--noplot",
    "--warm-up-time",
    "0.02",
    "--measurement-time",
    "0.04",
    "--sample-size",
    "10",
    "--nresamples",
    "1001",
];
/// Iterations that a [`Measured`] of this kind stands for: enough that nanoseconds are fractions.
pub(crate) const ITERATIONS: u64 = 1_000;
/// A process that gives up its CPU more often waits in its bench; criterion itself does so a few times.
const OWN_WAITS: u64 = 20;
/// Bytes of a list of benches or a file of samples that are read.
const MAX_BYTES: u64 = 16 << 20;

/// A file of criterion's that this reads.
#[derive(Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

/// The names of a criterion executable's benches; empty for one of another kind.
pub(crate) async fn list(executable: &Executable) -> Result<Vec<String>, Trouble> {
    let (text, _) = run(executable, &["--bench", "--list"], None).await?;
    let names = text
        .lines()
        .filter_map(|line| line.strip_suffix(": benchmark"));
    Ok(names.map(str::to_owned).collect())
}

/// Runs a bench of all contestants twice, forth and back, so that a steady drift of the machine hits all alike.
pub(crate) async fn group(contest: &Contest, rng: &mut Rng) -> Result<Group, Stopped> {
    let count = contest.contestants.len();
    let mut order = super::contest::shuffled(count, rng);
    let mut group = Group::new();
    for _ in 0..2 {
        let mut round = vec![Measured::default(); count];
        for &contestant in &order {
            let measured = measured(contest, contestant).await;
            round[contestant] = measured.map_err(|trouble| Stopped {
                contestant,
                trouble,
            })?;
        }
        group.push(round);
        order.reverse();
    }
    Ok(group)
}

async fn measured(contest: &Contest, contestant: usize) -> Result<Measured, Trouble> {
    let contestant = &contest.contestants[contestant];
    let executable = &contestant.executable;
    let home = executable.log.with_extension("criterion");
    let _ = fs::remove_dir_all(&home);
    let args = [
        &["--bench", "--exact", &contestant.name],
        OPTIONS.as_slice(),
    ]
    .concat();
    let (_, took) = run(executable, &args, Some(&home)).await?;
    let garbled = |problem: &str| Trouble::Garbled(problem.to_owned());
    let file = find_sample(&home, 8).ok_or_else(|| garbled("criterion wrote no sample.json"))?;
    let text = fs::read_to_string(file).map_err(|error| garbled(&error.to_string()))?;
    let sample: Sample = serde_json::from_str(&text)
        .map_err(|error| garbled(&format!("criterion's sample.json: {error}")))?;
    let _ = fs::remove_dir_all(&home);
    let nanos = median(
        sample
            .times
            .iter()
            .zip(&sample.iters)
            .map(|(time, iters)| time / iters),
    );
    if !nanos.is_finite() || nanos <= 0.0 {
        return Err(garbled("criterion measured no time"));
    }
    let wall_nanos = (nanos * ITERATIONS as f64) as u64;
    // What share of its time the process had a CPU is known of the whole of it.
    let cpu_nanos = (wall_nanos as f64 * took.cpu_share()) as u64;
    Ok(Measured {
        wall_nanos,
        process_nanos: cpu_nanos,
        thread_nanos: cpu_nanos,
        waits: u64::from(took.usage.waits > OWN_WAITS),
        allocated: None,
    })
}

/// What a process took.
struct Took {
    wall: Duration,
    usage: Usage,
}

impl Took {
    fn cpu_share(&self) -> f64 {
        self.usage.cpu.as_secs_f64() / self.wall.as_secs_f64().max(1e-9)
    }
}

/// Runs an executable to its end; gives what it printed and what it took.
async fn run(
    executable: &Executable,
    args: &[&str],
    home: Option<&Path>,
) -> Result<(String, Took), Trouble> {
    let cannot = |error| Trouble::Start(executable.path.clone(), error);
    let out = executable.log.with_extension("out");
    let create = |path: &Path| fs::File::create(path).map_err(cannot);
    let mut command = Command::new(&executable.path);
    command
        .args(args)
        .current_dir(&executable.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::from(create(&out)?))
        .stderr(Stdio::from(create(&executable.log)?));
    if let Some(home) = home {
        command.env("CRITERION_HOME", home);
    }
    child::own_session(&mut command);
    let (start, before) = (Instant::now(), Usage::of_children());
    let mut child = command.spawn().map_err(cannot)?;
    let ended = timeout(executable.patience, child.wait()).await;
    let took = Took {
        wall: start.elapsed(),
        usage: Usage::of_children().since(before),
    };
    match ended {
        Err(_) => Err(Trouble::Hung(executable.patience)),
        Ok(Err(error)) => Err(cannot(error)),
        Ok(Ok(status)) if !status.success() => Err(failed(executable, status)),
        Ok(Ok(_)) => Ok((read(&out), took)),
    }
}

fn failed(executable: &Executable, status: ExitStatus) -> Trouble {
    Trouble::Ended(Some(status), last_words(&executable.log))
}

fn read(path: &Path) -> String {
    use std::io::Read;
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        // What cannot be read is as if nothing had been said, and that is told.
        let _ = file.take(MAX_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The one `new/sample.json` below a folder, at most so deep.
fn find_sample(folder: &Path, depth: usize) -> Option<PathBuf> {
    let own = folder.join("new/sample.json");
    if own.is_file() {
        return Some(own);
    }
    let entries = fs::read_dir(folder).ok()?.flatten();
    let mut folders = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir());
    folders.find_map(|folder| find_sample(&folder, depth.checked_sub(1)?))
}
