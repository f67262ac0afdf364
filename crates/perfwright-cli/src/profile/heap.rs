//! From the heap's raw profiles to files and what the report says of memory.

use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use perfwright::control::heap_files;
use perfwright::heap::Audit;
use perfwright::moment::Moment;
use perfwright_format::{folded, pprof};
use perfwright_model::Profile;
use perfwright_symbolize::Symbolizer;

use super::outputs::{About, Drawing, read_raw, write_file, write_flamegraph};
use crate::report::{FileInfo, Memory};

/// Resolves the profiles in `raw` and writes them into `folder`. `None` if the program ended before it wrote any.
pub(crate) fn write(
    folder: &Path,
    raw: &Path,
    about: &About,
) -> Result<Option<(Memory, Profile, Vec<FileInfo>)>> {
    let Some(heap) = read(raw, heap_files::HEAP)? else {
        return Ok(None);
    };
    let peak = read(raw, heap_files::PEAK)?;
    let suspects = read(raw, heap_files::SUSPECTS)?;
    let comments = || heap.meta.comments.iter().map(String::as_str);
    let moments: Vec<Moment> = comments().filter_map(Moment::from_comment).collect();
    let audit = Audit::from_comments(comments()).unwrap_or_default();

    let mut files = Vec::new();
    let mut add = |name: &str, about: &str| files.push(FileInfo::new(name, about));
    write_file(folder, "heap.pb.gz", |file| pprof::write_gzip(&heap, file))?;
    let in_use = heap.find_sample_type("inuse_space").unwrap_or(0);
    write_file(folder, "heap.folded", |file| {
        folded::write(&heap, in_use, file)
    })?;
    let draw = |name, sample_type| {
        let drawing = Drawing {
            name,
            sample_type: Some(sample_type),
            ..Drawing::default()
        };
        write_flamegraph(folder, &heap, drawing, about)
    };
    draw("heap.svg", "inuse_space")?;
    add("heap.svg", "flamegraph of the bytes in use at the end");
    draw("heap-allocated.svg", "alloc_space")?;
    add(
        "heap-allocated.svg",
        "flamegraph of the bytes allocated meanwhile",
    );
    add("heap.pb.gz", "pprof: allocated, and in use at the end");
    add("heap.folded", "folded stacks of the bytes in use");
    if let Some(peak) = &peak {
        write_file(folder, "heap-peak.pb.gz", |file| {
            pprof::write_gzip(peak, file)
        })?;
        add("heap-peak.pb.gz", "pprof: in use when most was");
    }
    write_file(folder, "memory.csv", |file| {
        file.write_all(csv(&moments).as_bytes())
    })?;
    add("memory.csv", "resident memory and live bytes over time");
    let memory = Memory::new(&heap, peak.as_ref(), suspects.as_ref(), &moments, &audit);
    Ok(Some((memory, heap, files)))
}

fn read(raw: &Path, name: &str) -> Result<Option<Profile>> {
    let path = raw.join(name);
    if !path.exists() {
        return Ok(None);
    }
    let mut profile = read_raw(&path)?;
    // The CPU profile's report tells what stands in the way; it is the same program.
    let _ = Symbolizer::new(perfwright_symbolize::Options::default()).symbolize(&mut profile);
    Ok(Some(profile))
}

fn csv(moments: &[Moment]) -> String {
    let mut csv = String::from(
        "seconds,resident_bytes,resident_bytes_high,virtual_bytes,live_bytes,live_bytes_high,\
         allocated_bytes,allocations,freed_bytes,frees,cgroup_bytes\n",
    );
    for moment in moments {
        csv += &format!("{:.3}", moment.millis as f64 / 1e3);
        for value in [
            moment.resident,
            moment.resident_high,
            moment.virtual_size,
            moment.live,
            moment.live_high,
            moment.allocated,
            moment.allocations,
            moment.freed,
            moment.frees,
            moment.cgroup,
        ] {
            csv.push(',');
            csv += &value.map_or_else(String::new, |value| value.to_string());
        }
        csv.push('\n');
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_empty_in_the_table() {
        let moment = Moment {
            millis: 1_250,
            resident: Some(10),
            allocated: Some(7),
            ..Moment::default()
        };
        let csv = csv(&[moment]);
        assert_eq!(csv.lines().nth(1), Some("1.250,10,,,,,7,,,,"));
        let columns = |line: &str| line.split(',').count();
        assert!(
            csv.lines()
                .all(|line| columns(line) == columns(csv.lines().next().unwrap()))
        );
    }
}
