//! What symbolizing costs: `cost PROGRAM [ADDRESSES [FUNCTIONS]]` looks up addresses spread over the functions of
//! a program and prints the CPU time and the peak memory of doing so.

use std::num::NonZeroU64;

use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};
use perfwright_model::{Location, Mapping, Profile, SampleType};
use perfwright_symbolize::{Options, Symbolizer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: cost PROGRAM [ADDRESSES [FUNCTIONS]]";
    let path = arguments.next().ok_or(usage)?;
    let addresses = arguments.next().map_or(Ok(2_000), |count| count.parse())?;
    let functions = arguments.next().map_or(Ok(300), |count| count.parse())?;
    let mut profile = profile_of(&path, addresses, functions)?;

    let (cpu, peak) = (cpu_ticks()?, peak_kib()?);
    let report = Symbolizer::new(Options::default()).symbolize(&mut profile);
    println!("{report}");
    println!(
        "{} locations, {} functions: {} ms of CPU in steps of 10, peak {} KiB above {peak} KiB",
        profile.location_count(),
        profile.functions().len(),
        (cpu_ticks()? - cpu) * 10,
        peak_kib()? - peak,
    );
    Ok(())
}

/// Addresses drawn from `functions` functions that lie evenly spread over the program.
fn profile_of(
    path: &str,
    addresses: usize,
    functions: usize,
) -> Result<Profile, Box<dyn std::error::Error>> {
    // Read section by section, so that the peak is not that of the whole file.
    let cache = object::ReadCache::new(std::fs::File::open(path)?);
    let file = object::File::parse(&cache)?;
    let code = (file.segments().find(|s| s.permissions().executable())).ok_or("no code")?;
    let (svma, offset) = (code.address() & !0xfff, code.file_range().0 & !0xfff);
    let mut all: Vec<(u64, u64)> = (file.symbols())
        .filter(|s| s.kind() == SymbolKind::Text && s.size() > 0)
        .map(|s| (s.address(), s.size()))
        .collect();
    all.sort_unstable();
    all.dedup();

    const BASE: u64 = 0x5555_0000_0000;
    let mut profile = Profile::new([SampleType::new("samples", "count")]);
    let filename = profile.intern(path);
    let mapping = profile.add_mapping(Mapping {
        offset,
        filename,
        ..Mapping::new(BASE + svma, BASE + (1 << 32))
    });
    let chosen: Vec<_> = all.iter().step_by((all.len() / functions).max(1)).collect();
    for index in 0..addresses {
        let (start, size) = chosen.get(index % chosen.len()).ok_or("no functions")?;
        let inside = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % size;
        let location = Location {
            mapping: Some(mapping),
            address: NonZeroU64::new(BASE + start + inside),
            ..Location::default()
        };
        profile.add_location(location, &[]);
    }
    Ok(profile)
}

/// User and system time of this process, in kernel ticks of 10 ms.
fn cpu_ticks() -> Result<u64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().ok_or("no fields")?;
    let times = fields.split_whitespace().skip(11).take(2);
    Ok(times.map(str::parse::<u64>).sum::<Result<u64, _>>()?)
}

fn peak_kib() -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let peak = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(peak.ok_or("no VmHWM")?.parse()?)
}
