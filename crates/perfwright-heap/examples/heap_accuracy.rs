//! How well sampling knows a site: `cargo run --release -p perfwright-heap --example heap_accuracy [runs]`.
//!
//! 1 GiB at each site, at the default rate, 100 times with other seeds; then bias and scatter of the estimates
//! beside what theory promises. All of it is allocated through the global allocator for real, and freed at once:
//! 1 GiB of 16 bytes is 67 million allocations, so it takes some minutes.
//!
//! Theory: the estimate of a site has the variance sum of s^2 (1 - p) / p over its allocations of s bytes, with
//! p = 1 - exp(-s / rate). Every row but the largest sizes must have a ratio near 1: 100 runs know it to 7 %. Blocks
//! much larger than the rate are all sampled: theory and scatter are next to nothing.

use std::alloc::{Layout, alloc, dealloc};
use std::hint::black_box;

use perfwright_heap::{Options, SampledAlloc, Sampler, StartError};

#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

const GIB: u64 = 1 << 30;
const RUNS: u64 = 100;
/// The project's own bars.
const BIAS_MAX: f64 = 0.01;
const RATIO_MAX: f64 = 1.3;

/// A site: how many of each size.
type Site = Vec<(u64, u64)>;

fn sites() -> Vec<(String, Site)> {
    let mut sites: Vec<(String, Site)> = (4..=22)
        .step_by(2)
        .map(|log2| (1_u64 << log2, GIB >> log2))
        .map(|(size, count)| (format!("{size} B"), vec![(size, count)]))
        .collect();
    let sizes = [64, 1024, 16 << 10, 256 << 10, 4 << 20];
    let mixed = sizes.map(|size| (size, GIB / 5 / size)).to_vec();
    sites.push(("mixed 64 B to 4 MiB".into(), mixed));
    sites
}

fn main() -> Result<(), StartError> {
    let runs = std::env::args().nth(1).and_then(|runs| runs.parse().ok());
    let runs = runs.unwrap_or(RUNS);
    println!(
        "{:<22}{:>6}{:>10}{:>10}{:>10}{:>8}  within",
        "site, 1 GiB", "runs", "bias %", "RMS %", "theory %", "ratio"
    );
    for (name, site) in sites() {
        let estimates: Result<Vec<f64>, _> = (0..runs).map(|seed| estimate(&site, seed)).collect();
        row(&name, &site, &estimates?);
    }
    Ok(())
}

/// Allocates a site's blocks, sampled with this seed; what the profile says that it was, in bytes.
fn estimate(site: &Site, seed: u64) -> Result<f64, StartError> {
    let sampler = Sampler::start(Options::new().seed(Some(seed)))?;
    for &(size, count) in site {
        let Ok(layout) = Layout::from_size_align(size as usize, 8) else {
            continue;
        };
        for _ in 0..count {
            // SAFETY: not of size 0, and freed with its layout.
            unsafe {
                let block = black_box(alloc(layout));
                assert!(!block.is_null(), "{size} bytes at once are to be had");
                dealloc(block, layout);
            }
        }
    }
    let profile = sampler.stop().profile;
    let column = profile.find_sample_type("alloc_space").unwrap_or_default();
    Ok(profile.total(column) as f64)
}

fn row(name: &str, site: &Site, estimates: &[f64]) {
    let rate = Options::default().rate_bytes as f64;
    let bytes: u64 = site.iter().map(|(size, count)| size * count).sum();
    let off: Vec<f64> = estimates
        .iter()
        .map(|estimate| estimate / bytes as f64 - 1.0)
        .collect();
    let n = off.len() as f64;
    let bias = off.iter().sum::<f64>() / n;
    let rms = (off.iter().map(|off| off * off).sum::<f64>() / n).sqrt();
    let variance: f64 = site
        .iter()
        .map(|&(size, count)| {
            let p = -(-(size as f64) / rate).exp_m1();
            count as f64 * (size as f64).powi(2) * (1.0 - p) / p
        })
        .sum();
    let theory = variance.sqrt() / bytes as f64;
    // Where theory promises less than a thousandth of a percent, rounding to whole bytes is what is left.
    let within = bias.abs() <= BIAS_MAX && (rms <= RATIO_MAX * theory || rms < 1e-5);
    println!(
        "{name:<22}{n:>6}{:>10.3}{:>10.3}{:>10.3}{:>8.2}  {}",
        bias * 100.0,
        rms * 100.0,
        theory * 100.0,
        rms / theory,
        if within { "yes" } else { "NO" }
    );
}
