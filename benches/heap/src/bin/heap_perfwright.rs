//! Ours at its default rate of 512 KiB, with live tracking, which is always on. Told `peak`, it prints the peak
//! snapshot of the program that has one: a line for each function, with its bytes and one standard deviation.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use perfwright_heap::{Options, SampledAlloc, Sampler};
use perfwright_heap_benches::peak;
use perfwright_symbolize::Symbolizer;

#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

fn main() -> Result<()> {
    let start = || Sampler::start(Options::new()).expect("the sampler starts");
    if std::env::args().nth(1).as_deref() == Some("peak") {
        let sampler = start();
        peak::run();
        return tell_peak(&sampler);
    }
    perfwright_heap_benches::child(start)
}

fn tell_peak(sampler: &Sampler) -> Result<()> {
    let mut capture = sampler.peak().context("something was sampled")?;
    Symbolizer::new(Default::default()).symbolize(&mut capture.profile);
    let profile = &capture.profile;
    let space = profile.find_sample_type("inuse_space").context("bytes")?;
    // Bytes and variance of each function.
    let mut functions: BTreeMap<String, (i64, f64)> = BTreeMap::new();
    for (sample, errors) in profile.samples().zip(&capture.errors) {
        let frames = profile
            .stack(sample.stack)
            .flat_map(|location| profile.frames(location))
            .map(|frame| profile.function_name(frame.function));
        let name = peak::function(frames).unwrap_or("(other)").to_owned();
        let (bytes, variance) = functions.entry(name).or_default();
        *bytes += sample.values[space];
        *variance += errors[space].powi(2);
    }
    for (name, (bytes, variance)) in functions {
        println!("{name} {bytes} {}", variance.sqrt());
    }
    Ok(())
}
