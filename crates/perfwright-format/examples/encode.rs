//! What it costs to make and write a profile of many distinct stacks, before symbolization.
//!
//! `cargo run --release -p perfwright-format --example encode [STACKS] [DEPTH]` (100,000 and 110 unless
//! given) prints CPU time and resident memory after each step. Stacks share callers as those of a service
//! do: below a trunk that all have, each differs from the one before in its last 1 to 16 frames.

use std::{env, error::Error, fs, io, num::NonZeroU64};

use perfwright_format::{Limits, folded, pprof};
use perfwright_model::{Location, LocationId, Mapping, Profile, SampleType, StackId};

/// Distinct addresses in the program.
const ADDRESSES: usize = 20_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let stacks: usize = args.next().map_or(Ok(100_000), |arg| arg.parse())?;
    let depth: usize = args.next().map_or(Ok(110), |arg| arg.parse())?;
    println!(
        "{:24} {:>10} {:>12} {:>12}",
        "step", "CPU ms", "resident MB", "peak MB"
    );

    let profile = step("build the profile", || build(stacks, depth))?;
    step("write pprof, discarded", || {
        pprof::write(&profile, io::sink())
    })??;
    step("write pprof, gzip", || {
        pprof::write_gzip(&profile, io::sink())
    })??;
    println!(
        "samples {}, stack nodes {}, model {:.1} MB",
        profile.sample_count(),
        profile.stack_count(),
        profile.heap_bytes() as f64 / 1e6
    );
    let mut bytes = Vec::new();
    pprof::write_gzip(&profile, &mut bytes)?;
    println!("file {:.1} MB gzipped", bytes.len() as f64 / 1e6);
    let read = step("read pprof, gzip", || {
        pprof::read(&bytes, &Limits::default())
    })??;
    step("write folded", || {
        folded::write(&read.profile, 0, io::sink())
    })??;
    Ok(())
}

fn build(stacks: usize, depth: usize) -> Profile {
    let mut profile = Profile::new([
        SampleType::new("samples", "count"),
        SampleType::new("cpu", "nanoseconds"),
    ]);
    let binary = profile.add_mapping(Mapping::new(0x55_0000_0000, 0x55_1000_0000));
    let locations: Vec<LocationId> = (0..ADDRESSES as u64)
        .map(|address| {
            let location = Location {
                mapping: Some(binary),
                address: NonZeroU64::new(0x55_0000_0000 + address * 64),
                is_folded: false,
            };
            profile.add_location(location, &[])
        })
        .collect();
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let labels = [
                profile.str_label("thread", &format!("tokio-worker-{thread}")),
                profile.num_label("thread_id", 4_000 + thread, ""),
            ];
            profile.intern_labels(&labels)
        })
        .collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut path = vec![locations[0]; depth];
    for stack in 0..stacks {
        // A splitmix step for how many frames change, and for each of them.
        let changed = 1 + (next(&mut random) % 16) as usize;
        let first = depth.saturating_sub(changed);
        for frame in &mut path[first..] {
            *frame = locations[next(&mut random) as usize % ADDRESSES];
        }
        let id = path.iter().fold(StackId::ROOT, |parent, &location| {
            profile.push_stack(parent, location)
        });
        profile.record(id, threads[stack % threads.len()], &[1, 10_101_010]);
    }
    profile
}

fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 31)
}

/// Runs one step and prints what it took.
fn step<T>(name: &str, work: impl FnOnce() -> T) -> io::Result<T> {
    let before = cpu_ms()?;
    let result = work();
    println!(
        "{name:24} {:>10.1} {:>12.1} {:>12.1}",
        cpu_ms()? - before,
        status_mb("VmRSS:")?,
        status_mb("VmHWM:")?
    );
    Ok(result)
}

/// CPU time of this process so far. Linux only, as is [`status_mb`].
fn cpu_ms() -> io::Result<f64> {
    let text = fs::read_to_string("/proc/self/schedstat")?;
    let nanos = text
        .split(' ')
        .next()
        .and_then(|nanos| nanos.parse::<f64>().ok());
    nanos
        .map(|nanos| nanos / 1e6)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn status_mb(key: &str) -> io::Result<f64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map(|kib| kib * 1.024e-3)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}
