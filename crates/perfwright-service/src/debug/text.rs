//! Go's old text format of heap profiles (`debug=1`), which `go tool pprof` still reads.

use std::fmt::Write as _;
use std::num::NonZeroU64;

use perfwright_model::{Profile, SampleRef};

/// A resolved heap profile as text. Values are of all allocations already, so the rate is written as 1 (Go writes twice
/// the rate): a reader has nothing to scale.
pub(super) fn heap(profile: &Profile) -> String {
    let kinds = [
        "inuse_objects",
        "inuse_space",
        "alloc_objects",
        "alloc_space",
    ];
    let columns = kinds.map(|kind| profile.find_sample_type(kind));
    let totals = columns.map(|column| column.map_or(0, |column| profile.total(column)));
    let mut text = String::new();
    let _ = writeln!(text, "heap profile: {} @ heap/2", counts(totals));
    let in_use = columns[1].unwrap_or(0);
    let mut samples: Vec<_> = profile.samples().collect();
    samples.sort_by_key(|sample| std::cmp::Reverse(sample.values.get(in_use).copied()));
    for sample in samples {
        let values = columns.map(|column| column.map_or(0, |column| sample.values[column]));
        let _ = write!(text, "{} @", counts(values));
        for location in profile.stack(sample.stack) {
            let address = profile
                .location(location)
                .address
                .map_or(0, NonZeroU64::get);
            // As they lie on the stack: behind the call.
            let _ = write!(text, " {:#x}", address.saturating_add(1));
        }
        text.push('\n');
        write_frames(&mut text, profile, &sample);
        text.push('\n');
    }
    text
}

fn counts([objects, bytes, all_objects, all_bytes]: [i64; 4]) -> String {
    format!("{objects}: {bytes} [{all_objects}: {all_bytes}]")
}

fn write_frames(text: &mut String, profile: &Profile, sample: &SampleRef<'_>) {
    for location in profile.stack(sample.stack) {
        let address = profile
            .location(location)
            .address
            .map_or(0, NonZeroU64::get);
        for frame in profile.frames(location) {
            let name = profile.function_name(frame.function);
            let file = profile.string(profile.function(frame.function).filename);
            let line = frame.line.map_or(0, |line| line.get());
            let _ = writeln!(
                text,
                "#\t{:#x}\t{name}\t\t{file}:{line}",
                address.saturating_add(1)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perfwright_model::{LabelSetId, SampleType};

    #[test]
    fn sites_stand_largest_first() {
        let types = [
            "alloc_objects",
            "alloc_space",
            "inuse_objects",
            "inuse_space",
        ];
        let mut profile = Profile::new(types.map(|kind| SampleType::new(kind, "count")));
        for (name, values) in [("small", [1, 2, 1, 2]), ("large", [3, 40, 2, 30])] {
            let location = profile.frame_location(name);
            let stack = profile.intern_stack_root_first([location]);
            profile.push_sample(stack, LabelSetId::EMPTY, &values);
        }
        let expect = "heap profile: 3: 32 [4: 42] @ heap/2\n2: 30 [3: 40] @ 0x1\n#\t0x1\tlarge\t\t:0\n\n\
                      1: 2 [1: 2] @ 0x1\n#\t0x1\tsmall\t\t:0\n\n";
        assert_eq!(heap(&profile), expect);
    }
}
