//! Profiles of benches.

mod fold;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use perfwright_analyze::{By, short_name, top};
use perfwright_cpu::{Options, Sampler};
use perfwright_flamegraph::{Direction, write_svg};
use perfwright_format::pprof;
use perfwright_model::Profile;
use perfwright_symbolize::Symbolizer;
use perfwright_viewer_html::{Embedded, page};

use crate::files::write_whole;
use crate::words;

/// A profiler for criterion's `--profile-time`: where a bench's CPU time goes, and what it allocates.
///
/// ```no_run
/// use criterion::{Criterion, criterion_group, criterion_main};
/// use perfwright_criterion::Profiler;
///
/// fn sum(criterion: &mut Criterion) {
///     criterion.bench_function("sum", |bencher| {
///         bencher.iter(|| (0..std::hint::black_box(100_u64)).sum::<u64>())
///     });
/// }
///
/// criterion_group! {
///     name = benches;
///     config = Criterion::default().with_profiler(Profiler::new());
///     targets = sum
/// }
/// criterion_main!(benches);
/// ```
///
/// `cargo bench -- --profile-time 5` then runs each bench for 5 seconds under the sampler and leaves, in
/// `target/criterion/BENCH/profile`: `profile.html` (the viewer, with the profiles in it), `cpu.svg` (a flamegraph)
/// and `cpu.pb.gz` (pprof, for every other tool); `heap.svg` and `heap.pb.gz` too where
/// [`SampledAlloc`](crate::heap::SampledAlloc) is the global allocator.
///
/// The frames above the benched code, of `main`, criterion and its loops, are folded away: what stands at the top is
/// the bench. What runs before the loop stands below `[bench setup]`, the loop itself is `[bench loop]`.
/// Build with debug information (`[profile.bench] debug = "limited"`), or inlined functions have no names.
///
/// A sampler that does not start, or a file that cannot be written, is said on standard error; the bench runs on.
#[derive(Debug, Default)]
pub struct Profiler {
    options: Options,
    keep_harness: bool,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    cpu: Sampler,
    heap: Option<perfwright_heap::Sampler>,
}

/// What stopped a profile. Fits "failed to {error}".
struct Error {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {}: {}", self.path.display(), self.error)
    }
}

impl Profiler {
    /// A profiler that takes 999 samples a CPU-second.
    #[must_use]
    pub fn new() -> Profiler {
        Profiler {
            options: Options::new().frequency_hz(999),
            ..Profiler::default()
        }
    }

    /// Takes so many samples a CPU-second and thread; 1 to 10,000.
    #[must_use]
    pub fn frequency_hz(mut self, frequency_hz: u32) -> Profiler {
        self.options.frequency_hz = frequency_hz;
        self
    }

    /// Shows the frames of criterion and `main`, too.
    #[must_use]
    pub fn keep_harness(mut self) -> Profiler {
        self.keep_harness = true;
        self
    }

    fn write(&self, running: Running, folder: &Path) -> Result<Profile, Error> {
        let cpu = running.cpu.stop().profile;
        let heap = running
            .heap
            .map(|heap| with_allocations_first(heap.stop().profile));
        std::fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
        let cpu = self.finished(cpu);
        let mut files = vec![write_profile(&cpu, folder, "cpu")?];
        if let Some(heap) = heap {
            files.push(write_profile(&self.finished(heap), folder, "heap")?);
        }
        let embedded = files.iter().map(|(name, bytes)| Embedded { name, bytes });
        let embedded: Vec<Embedded<'_>> = embedded.collect();
        let path = folder.join("profile.html");
        write_whole(&path, |file| io::Write::write_all(file, &page(&embedded)))
            .map_err(|error| at(&path, error))?;
        Ok(cpu)
    }

    fn finished(&self, mut profile: Profile) -> Profile {
        // What stays unresolved has a name such as `libfoo.so!0x1234`, so nothing is lost without the report.
        let _report =
            Symbolizer::new(perfwright_symbolize::Options::default()).symbolize(&mut profile);
        match self.keep_harness {
            true => profile,
            false => fold::fold(&profile),
        }
    }
}

impl criterion::profiler::Profiler for Profiler {
    fn start_profiling(&mut self, bench: &str, _: &Path) {
        // What the bench did before it is profiled is not its own: the heap's sampler starts now, too.
        let heap = perfwright_heap::Sampler::start(perfwright_heap::Options::new());
        match Sampler::start(self.options.clone()) {
            Ok(cpu) => {
                let heap = heap.ok();
                self.running = Some(Running { cpu, heap });
            }
            Err(error) => eprintln!("error: failed to profile {bench}: failed to {error}"),
        }
    }

    fn stop_profiling(&mut self, bench: &str, folder: &Path) {
        let Some(running) = self.running.take() else {
            return;
        };
        match self.write(running, folder) {
            Ok(cpu) => print!("{}", summary(&cpu, folder)),
            Err(error) => eprintln!("error: failed to profile {bench}: failed to {error}"),
        }
    }
}

/// Where the profile is, and the functions that took most of the time.
fn summary(cpu: &Profile, folder: &Path) -> String {
    let sample_type = cpu.default_sample_type().unwrap_or(0);
    let total = cpu.total(sample_type) as f64;
    let mut text = format!(
        "{:24}profile: {} of CPU, {}\n",
        "",
        words::nanos(total),
        folder.join("profile.html").display()
    );
    for row in top(cpu, sample_type, By::Function).iter().take(3) {
        let share = 100.0 * row.self_value as f64 / total.max(1.0);
        text.push_str(&format!(
            "{:24}{share:7.1} % {}\n",
            "",
            short_name(&row.name)
        ));
    }
    text
}

/// A bench frees what it allocates: what is in use in the end says little.
fn with_allocations_first(mut heap: Profile) -> Profile {
    heap.meta.default_sample_type = heap.find_sample_type("alloc_space");
    heap
}

/// Writes `NAME.pb.gz` and `NAME.svg`; gives the name and bytes of the former.
fn write_profile(profile: &Profile, folder: &Path, name: &str) -> Result<(String, Vec<u8>), Error> {
    let (pprof_name, svg) = (format!("{name}.pb.gz"), folder.join(format!("{name}.svg")));
    let path = folder.join(&pprof_name);
    let mut bytes = Vec::new();
    pprof::write_gzip(profile, &mut bytes)
        .and_then(|()| write_whole(&path, |file| io::Write::write_all(file, &bytes)))
        .map_err(|error| at(&path, error))?;
    let mut options = perfwright_flamegraph::Options::default();
    options.direction = Direction::Down;
    write_whole(&svg, |file| {
        let drawn = write_svg(profile, &options, file);
        drawn.map(drop).map_err(io::Error::other)
    })
    .map_err(|error| at(&svg, error))?;
    Ok((pprof_name, bytes))
}

fn at(path: &Path, error: io::Error) -> Error {
    Error {
        path: path.to_owned(),
        error,
    }
}
