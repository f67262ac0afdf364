//! 100,000 distinct stacks to pprof, before symbolization.

use std::{collections::HashMap, hint::black_box, num::NonZeroU64};

use anyhow::Result;
use perfwright_model::{LabelSetId, Location, Mapping, Profile, SampleType, StackId};
use pprof::protos::Message as _;

use crate::child::{Role, cpu_seconds, median, memory_mb, reset_peak, spawn, tell};

const STACKS: u64 = 100_000;
const DEPTH: u64 = 30;
const SYMBOLS: u64 = 5_000;
const ROUNDS: usize = 5;

/// The frames of a stack, outermost first, as numbers of functions. The outer 24 are shared like the
/// branches of a binary tree, so that a stack adds about eight nodes, as in profiles of services.
fn frames(stack: u64) -> impl DoubleEndedIterator<Item = u64> {
    (0..DEPTH).map(move |level| {
        let branch = stack >> 24_u64.saturating_sub(level);
        mix(branch << 8 | level) % SYMBOLS
    })
}

/// splitmix64's finalizer.
fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

pub(crate) fn child(role: &Role) -> Result<()> {
    match role.word(1) {
        "perfwright" => perfwright(),
        _ => pprof_rs(),
    }
}

/// Interning what the handler delivered, and the encoding.
fn perfwright() -> Result<()> {
    let before = memory_mb("VmRSS")?;
    let start = cpu_seconds();
    let types = [
        SampleType::new("samples", "count"),
        SampleType::new("cpu", "nanoseconds"),
    ];
    let mut profile = Profile::new(types);
    let mapping = Some(profile.add_mapping(Mapping::new(0x40_0000, 0x80_0000)));
    for stack in 0..STACKS {
        let mut id = StackId::ROOT;
        for frame in frames(stack) {
            let address = NonZeroU64::new(0x40_0000 + frame * 64);
            let location = Location {
                mapping,
                address,
                is_folded: false,
            };
            let location = profile.add_location(location, &[]);
            id = profile.push_stack(id, location);
        }
        profile.record(id, LabelSetId::EMPTY, &[1, 10_101_010]);
    }
    tell("collect_s", cpu_seconds() - start);
    let mut bytes = Vec::new();
    perfwright_format::pprof::write_gzip(&profile, &mut bytes)?;
    tell("cpu_s", cpu_seconds() - start);
    tell("peak_mb", memory_mb("VmHWM")? - before);
    tell("bytes", black_box(bytes).len() as f64);
    tell("stacks", profile.sample_count() as f64);
    Ok(())
}

/// The encoding alone: a report that has its stacks and names is given.
fn pprof_rs() -> Result<()> {
    let symbol = |number: u64| pprof::Symbol {
        name: Some(format!("crate::module::function_{number}").into_bytes()),
        addr: None,
        lineno: Some(number as u32),
        filename: Some(format!("src/file_{}.rs", number % 100).into()),
    };
    let before = memory_mb("VmRSS")?;
    let mut data = HashMap::new();
    for stack in 0..STACKS {
        let key = pprof::Frames {
            frames: frames(stack)
                .rev()
                .map(|frame| vec![symbol(frame)])
                .collect(),
            thread_name: "worker".to_owned(),
            thread_id: 1,
            sample_timestamp: std::time::SystemTime::UNIX_EPOCH,
        };
        data.insert(key, 1_isize);
    }
    let report = pprof::Report {
        data,
        timing: Default::default(),
    };
    tell("stacks", report.data.len() as f64);
    reset_peak()?;
    let start = cpu_seconds();
    let bytes = report.pprof()?.encode_to_vec();
    tell("cpu_s", cpu_seconds() - start);
    tell("peak_mb", memory_mb("VmHWM")? - before);
    tell("bytes", black_box(bytes).len() as f64);
    Ok(())
}

pub(crate) fn run() -> Result<()> {
    let (mut ours, mut theirs, mut memory) = (Vec::new(), Vec::new(), (0_f64, 0_f64));
    let mut collect = Vec::new();
    for _ in 0..ROUNDS {
        let us = spawn("encode perfwright")?;
        let them = spawn("encode pprof-rs")?;
        anyhow::ensure!(
            us["stacks"] == STACKS as f64 && them["stacks"] == STACKS as f64,
            "stacks were lost"
        );
        ours.push(us["cpu_s"]);
        collect.push(us["collect_s"]);
        theirs.push(them["cpu_s"]);
        memory = (memory.0.max(us["peak_mb"]), memory.1.max(them["peak_mb"]));
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!("100,000 distinct stacks of {DEPTH} frames to pprof, median of {ROUNDS}");
    println!(
        "  perfwright  {ours:.3} CPU-s (interning {:.3}, then gzipped pprof), peak +{:.0} MB",
        median(&mut collect),
        memory.0
    );
    println!(
        "  pprof-rs    {theirs:.3} CPU-s (encoding alone), peak +{:.0} MB with its report",
        memory.1
    );
    println!(
        "  ratio       {:.1} x less CPU, {:.1} x less memory",
        theirs / ours,
        memory.1 / memory.0
    );
    Ok(())
}
