//! What the report says of memory.

use std::collections::HashMap;

use perfwright::control::heap_files;
use perfwright::heap::Audit;
use perfwright::moment::Moment;
use perfwright_analyze::Origin;
use perfwright_model::{Profile, StackId};
use serde::Serialize;

use super::tables::Places;
use crate::table::{Cell, Column, Table};
use crate::units::{Scale, counted, decimal, whole};
use perfwright_model::SampleType;

/// Rows of each list in `report.json`.
const ROWS_KEPT: usize = 100;
/// Callers that are told of each site.
const CALLERS: usize = 3;
/// Columns of the curve on a terminal.
const CURVE: usize = 40;

/// The memory of the program while it was captured. Bytes, unless a field says otherwise.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Memory {
    /// The mean distance between samples.
    pub(crate) rate_bytes: u64,
    /// Allocations sampled since the program's start.
    pub(crate) samples: u64,
    /// Samples without room for their stack or their block: the sums below lack them.
    pub(crate) samples_lost: u64,
    /// Allocated during the capture, exactly.
    pub(crate) allocated_bytes: Option<u64>,
    /// How many allocations that were, exactly.
    pub(crate) allocations: Option<u64>,
    /// Resident set size when the capture began.
    pub(crate) resident_begin: Option<u64>,
    /// And when it ended.
    pub(crate) resident_end: Option<u64>,
    /// The most there was in the process's life.
    pub(crate) resident_peak: Option<u64>,
    /// Allocated and not freed, exactly, when the capture began.
    pub(crate) live_begin: Option<u64>,
    /// And when it ended.
    pub(crate) live_end: Option<u64>,
    /// Where memory is allocated, most bytes first.
    pub(crate) top_allocated: Vec<Site>,
    /// What is in use at the end, most bytes first.
    pub(crate) top_in_use: Vec<Site>,
    /// What was in use when most was, most bytes first.
    pub(crate) top_peak: Vec<Site>,
    /// What looks like a leak, the fastest growing first.
    pub(crate) suspects: Vec<Suspect>,
    /// The capture's moments.
    pub(crate) timeline: Vec<MemoryMoment>,
}

/// A function of the user's own that allocates, itself or through a library. Where none is on the stack, the
/// innermost function that is not the standard library's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Site {
    pub(crate) function: String,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
    /// Estimated from samples.
    pub(crate) bytes: i64,
    /// One standard deviation of that, at most.
    pub(crate) bytes_error: i64,
    pub(crate) objects: i64,
    /// Of the sum over all sites.
    pub(crate) share: f64,
}

/// A site that keeps growing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Suspect {
    #[serde(flatten)]
    pub(crate) site: Site,
    /// Who calls it, innermost first.
    pub(crate) callers: Vec<String>,
    pub(crate) growth_bytes_per_second: i64,
    pub(crate) growth_error: i64,
    pub(crate) oldest_age_s: f64,
    /// The share of the blocks allocated there that was not freed.
    pub(crate) survived_share: f64,
}

/// A point of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct MemoryMoment {
    pub(crate) seconds: f64,
    pub(crate) resident: Option<u64>,
    pub(crate) live: Option<u64>,
}

impl Memory {
    /// Sums symbolized heap profiles and the timeline up.
    pub(crate) fn new(
        heap: &Profile,
        peak: Option<&Profile>,
        suspects: Option<&Profile>,
        moments: &[Moment],
        audit: &Audit,
    ) -> Memory {
        let rate = audit.rate_bytes;
        let (first, last) = (moments.first(), moments.last());
        let during =
            |value: fn(&Moment) -> Option<u64>| Some(value(last?)?.saturating_sub(value(first?)?));
        Memory {
            rate_bytes: rate,
            samples: audit.samples,
            samples_lost: audit.untracked + audit.over_memory,
            allocated_bytes: during(|moment| moment.allocated),
            allocations: during(|moment| moment.allocations),
            resident_begin: first.and_then(|moment| moment.resident),
            resident_end: last.and_then(|moment| moment.resident),
            resident_peak: last.and_then(|moment| moment.resident_peak),
            live_begin: first.and_then(|moment| moment.live),
            live_end: last.and_then(|moment| moment.live),
            top_allocated: sites(heap, ["alloc_space", "alloc_objects"], rate),
            top_in_use: sites(heap, ["inuse_space", "inuse_objects"], rate),
            top_peak: peak.map_or_else(Vec::new, |peak| {
                sites(peak, ["inuse_space", "inuse_objects"], rate)
            }),
            suspects: suspects.map_or_else(Vec::new, |suspects| self::suspects(suspects, rate)),
            timeline: moments.iter().map(MemoryMoment::from).collect(),
        }
    }
}

impl From<&Moment> for MemoryMoment {
    fn from(moment: &Moment) -> MemoryMoment {
        MemoryMoment {
            seconds: moment.millis as f64 / 1e3,
            resident: moment.resident,
            live: moment.live,
        }
    }
}

/// Sites by bytes of one sample type, with the objects of another.
fn sites(profile: &Profile, kinds: [&str; 2], rate: u64) -> Vec<Site> {
    let [Some(space), Some(objects)] = kinds.map(|kind| profile.find_sample_type(kind)) else {
        return Vec::new();
    };
    let mut by_place: HashMap<Place<'_>, (i64, i64)> = HashMap::new();
    for sample in profile.samples() {
        let sums = by_place.entry(place(profile, sample.stack)).or_default();
        sums.0 += sample.values[space];
        sums.1 += sample.values[objects];
    }
    let whole: i64 = by_place.values().map(|sums| sums.0).sum();
    let site = |(place, (bytes, objects)): (Place<'_>, (i64, i64))| Site {
        bytes,
        bytes_error: error(bytes, rate),
        objects,
        share: super::share(bytes, whole),
        ..Site::from(place)
    };
    let mut sites: Vec<Site> = by_place.into_iter().map(site).collect();
    sites.retain(|site| site.bytes > 0);
    sites.sort_by(|a, b| (b.bytes, &a.function, a.line).cmp(&(a.bytes, &b.function, b.line)));
    sites.truncate(ROWS_KEPT);
    sites
}

/// Of small blocks; larger ones are known better. A site of few samples is known to within all of itself.
fn error(bytes: i64, rate: u64) -> i64 {
    ((bytes as f64 * rate as f64).sqrt() as i64).min(bytes)
}

fn suspects(profile: &Profile, rate: u64) -> Vec<Suspect> {
    let found = heap_files::SUSPECT_TYPES.map(|(kind, _)| profile.find_sample_type(kind));
    let [
        Some(objects),
        Some(space),
        Some(growth),
        Some(growth_error),
        Some(age),
        Some(survived),
    ] = found
    else {
        return Vec::new();
    };
    let mut by_place: HashMap<Place<'_>, Suspect> = HashMap::new();
    for sample in profile.samples() {
        let value = |at: usize| sample.values[at];
        let place = place(profile, sample.stack);
        let suspect = by_place.entry(place).or_insert_with(|| Suspect {
            site: Site::from(place),
            callers: callers(profile, sample.stack, place.0),
            ..Suspect::default()
        });
        // Several stacks of one place are one leak.
        suspect.site.bytes += value(space);
        suspect.site.objects += value(objects);
        suspect.growth_bytes_per_second += value(growth);
        suspect.growth_error =
            (suspect.growth_error as f64).hypot(value(growth_error) as f64) as i64;
        suspect.oldest_age_s = suspect.oldest_age_s.max(value(age) as f64 / 1e9);
        let weight = value(space) as f64 / suspect.site.bytes.max(1) as f64;
        suspect.survived_share += (value(survived) as f64 / 1e6 - suspect.survived_share) * weight;
    }
    let mut suspects: Vec<Suspect> = by_place.into_values().collect();
    for suspect in &mut suspects {
        suspect.site.bytes_error = error(suspect.site.bytes, rate);
        suspect.site.share = super::share(suspect.site.bytes, profile.total(space));
    }
    suspects.sort_by_key(|suspect| std::cmp::Reverse(suspect.growth_bytes_per_second));
    suspects
}

/// Function, file and line.
type Place<'p> = (&'p str, Option<&'p str>, Option<u32>);

impl From<Place<'_>> for Site {
    fn from((function, file, line): Place<'_>) -> Site {
        Site {
            function: function.to_owned(),
            file: file.map(str::to_owned),
            line,
            ..Site::default()
        }
    }
}

/// The frames from the leaf to the root.
fn frames<'p>(profile: &'p Profile, stack: StackId) -> impl Iterator<Item = Place<'p>> {
    let frames = profile
        .stack(stack)
        .flat_map(|location| profile.frames(location));
    frames.map(|frame| {
        let function = profile.function(frame.function);
        let file = profile.string(function.filename);
        (
            profile.function_name(frame.function),
            (!file.is_empty()).then_some(file),
            frame.line.map(|line| line.get()),
        )
    })
}

fn origin((function, file, _): &Place<'_>) -> Origin {
    Origin::of(function, *file)
}

fn place<'p>(profile: &'p Profile, stack: StackId) -> Place<'p> {
    let own = frames(profile, stack).find(|place| origin(place) == Origin::Own);
    own.or_else(|| frames(profile, stack).find(|place| origin(place) != Origin::Std))
        .or_else(|| frames(profile, stack).next())
        .unwrap_or(("[unknown]", None, None))
}

fn callers(profile: &Profile, stack: StackId, site: &str) -> Vec<String> {
    let own = frames(profile, stack).filter(|place| origin(place) == Origin::Own);
    let mut names: Vec<String> = own.map(|(function, ..)| function.to_owned()).collect();
    names.dedup();
    names.retain(|name| name != site);
    names.truncate(CALLERS);
    names
}

fn bytes(value: i64) -> String {
    Scale::of(&SampleType::new("space", "bytes"), value).show(value)
}

fn unsigned(value: u64) -> String {
    bytes(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Sites with their bytes.
pub(super) fn sites_table(rows: &[Site], places: Places<'_>) -> Table {
    let mut table = Table::new([
        (Column::Number, "bytes"),
        (Column::Number, "%"),
        (Column::Number, "±"),
        (Column::Number, "objects"),
        (Column::Name, "function"),
        (Column::Path, "where"),
    ]);
    for site in rows {
        table.row([
            bytes(site.bytes).into(),
            crate::units::percent(site.share).into(),
            Cell::dim(bytes(site.bytes_error)),
            whole(site.objects).into(),
            name(site, places),
            Cell::dim(places.place(site.file.as_deref(), site.line)),
        ]);
    }
    table
}

/// Suspects with how they grow.
pub(super) fn suspects_table(rows: &[Suspect], places: Places<'_>) -> Table {
    let mut table = Table::new([
        (Column::Number, "growth"),
        (Column::Number, "±"),
        (Column::Number, "in use"),
        (Column::Number, "oldest"),
        (Column::Number, "not freed"),
        (Column::Name, "function"),
        (Column::Path, "where"),
    ]);
    for suspect in rows {
        let site = &suspect.site;
        table.row([
            format!("{}/s", bytes(suspect.growth_bytes_per_second)).into(),
            Cell::dim(format!("{}/s", bytes(suspect.growth_error))),
            bytes(site.bytes).into(),
            format!("{} s", decimal(suspect.oldest_age_s, 1)).into(),
            crate::units::percent(suspect.survived_share).into(),
            name(site, places),
            Cell::dim(places.place(site.file.as_deref(), site.line)),
        ]);
    }
    table
}

fn name(site: &Site, places: Places<'_>) -> Cell {
    let name = places.name(&site.function);
    match Origin::of(&site.function, site.file.as_deref()) {
        Origin::Own => Cell::tinted(name, |paint, text| paint.heading(text)),
        _ => name.into(),
    }
}

impl Memory {
    /// What memory did, one sentence a line.
    pub(super) fn sentences(&self, duration_s: f64, requests: Option<u64>) -> Vec<String> {
        let mut lines = Vec::new();
        if let (Some(begin), Some(end)) = (self.resident_begin, self.resident_end) {
            let peak = self.resident_peak.map_or_else(String::new, |peak| {
                format!(", at most {} since the program began", unsigned(peak))
            });
            let curve = self.curve();
            let curve = if curve.is_empty() {
                curve
            } else {
                format!("  {curve}")
            };
            lines.push(format!(
                "Resident: {} to {}{peak}.{curve}",
                unsigned(begin),
                unsigned(end)
            ));
        }
        if let (Some(begin), Some(end)) = (self.live_begin, self.live_end) {
            lines.push(format!(
                "In use: {} to {}, exactly.",
                unsigned(begin),
                unsigned(end)
            ));
        }
        if let (Some(allocated), Some(allocations)) = (self.allocated_bytes, self.allocations) {
            let rate = unsigned((allocated as f64 / duration_s.max(0.001)) as u64);
            let each = match requests {
                Some(requests) if requests > 0 => format!(
                    "; {} in {} a request",
                    unsigned(allocated / requests),
                    counted(allocations / requests, "allocation")
                ),
                _ => String::new(),
            };
            lines.push(format!(
                "Allocated: {} in {}, exactly; {rate} a second{each}.",
                unsigned(allocated),
                counted(allocations, "allocation"),
            ));
        }
        let lost = match self.samples_lost {
            0 => String::new(),
            lost => format!(
                "; {} found no room and are missing",
                counted(lost, "sample")
            ),
        };
        lines.push(format!(
            "Sites are estimated from {}, one in {} allocated on average{lost}; ± is one standard deviation at most.",
            counted(self.samples, "sample"),
            unsigned(self.rate_bytes)
        ));
        lines
    }

    /// The resident set size over time, from its least to its most; empty where it hardly changed.
    fn curve(&self) -> String {
        const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let values: Vec<u64> = self
            .timeline
            .iter()
            .filter_map(|moment| moment.resident)
            .collect();
        let (Some(&low), Some(&high)) = (values.iter().min(), values.iter().max()) else {
            return String::new();
        };
        // Less than this is noise, and a curve of noise looks like news.
        if values.len() < 4 || (high - low) * 100 < high {
            return String::new();
        }
        let columns = values.len().min(CURVE);
        let step = |column: usize| {
            let part =
                &values[column * values.len() / columns..(column + 1) * values.len() / columns];
            let most = part.iter().max().copied().unwrap_or(low);
            let height = (most - low) as f64 / (high - low) as f64;
            STEPS[((height * 8.0) as usize).min(7)]
        };
        (0..columns).map(step).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use perfwright_model::{Frame, Function, Location, LocationId};

    use super::*;

    /// A location; the program's own functions have a file.
    fn location(profile: &mut Profile, name: &str) -> LocationId {
        if !name.starts_with("shop::") {
            return profile.frame_location(name);
        }
        let mut function = Function::named(profile.intern(name));
        function.filename = profile.intern("/home/me/shop/src/main.rs");
        let frame = Frame {
            function: profile.add_function(function),
            line: NonZeroU32::new(12),
            column: None,
        };
        profile.add_location(Location::default(), &[frame])
    }

    fn heap() -> Profile {
        let types = [
            ("alloc_objects", "count"),
            ("alloc_space", "bytes"),
            ("inuse_objects", "count"),
            ("inuse_space", "bytes"),
        ];
        let mut profile = Profile::new(types.map(|(kind, unit)| SampleType::new(kind, unit)));
        for (stack, values) in [
            (
                "main;shop::list;shop::render;alloc::vec::Vec::push",
                [10, 1_000, 1, 100],
            ),
            ("main;shop::render;alloc::raw_vec::grow", [5, 3_000, 0, 0]),
            (
                "main;shop::cache;hashbrown::insert;alloc::alloc",
                [2, 500, 2, 500],
            ),
            ("start;sqlx::connect;alloc::alloc", [1, 10, 1, 10]),
        ] {
            let frames: Vec<_> = stack
                .split(';')
                .map(|name| location(&mut profile, name))
                .collect();
            let stack = profile.intern_stack_root_first(frames);
            let labels = profile.intern_labels(&[]);
            profile.push_sample(stack, labels, &values);
        }
        profile
    }

    #[test]
    fn a_site_is_the_innermost_function_of_ones_own() {
        let heap = heap();
        let audit = Audit::default();
        let memory = Memory::new(&heap, None, None, &[], &audit);
        let named = |sites: &[Site]| -> Vec<(String, i64, i64)> {
            let row = |site: &Site| (site.function.clone(), site.bytes, site.objects);
            sites.iter().map(row).collect()
        };
        let row = |name: &str, bytes, objects| (name.to_owned(), bytes, objects);
        assert_eq!(
            named(&memory.top_allocated),
            [
                row("shop::render", 4_000, 15),
                row("shop::cache", 500, 2),
                row("sqlx::connect", 10, 1)
            ]
        );
        assert_eq!(
            named(&memory.top_in_use),
            [
                row("shop::cache", 500, 2),
                row("shop::render", 100, 1),
                row("sqlx::connect", 10, 1)
            ]
        );
        assert!(memory.top_peak.is_empty() && memory.suspects.is_empty());
        assert_eq!(memory.allocated_bytes, None, "not known is not zero");
    }

    #[test]
    fn totals_are_differences_and_the_curve_is_drawn() {
        let moments: Vec<Moment> = (0..100)
            .map(|i| Moment {
                millis: i * 100,
                resident: Some((40 << 20) + i * (1 << 18)),
                allocated: Some(1_000 + i * 10),
                allocations: Some(50 + i),
                ..Moment::default()
            })
            .collect();
        let memory = Memory::new(&heap(), None, None, &moments, &Audit::default());
        assert_eq!(memory.allocated_bytes, Some(990));
        assert_eq!(memory.allocations, Some(99));
        let curve = memory.curve();
        assert_eq!(curve.chars().count(), CURVE);
        assert!(curve.starts_with('▁') && curve.ends_with('█'), "{curve}");
        let lines = memory.sentences(9.9, Some(11)).join("\n");
        assert!(lines.contains("Resident: 40.0 MiB to 64.8 MiB"), "{lines}");
        assert!(lines.contains("90 B in 9 allocations a request"), "{lines}");
    }

    #[test]
    fn suspects_carry_their_growth_and_their_callers() {
        let mut profile =
            Profile::new(heap_files::SUSPECT_TYPES.map(|(kind, unit)| SampleType::new(kind, unit)));
        let frames = ["main", "shop::list", "shop::cache", "alloc::alloc"]
            .map(|name| location(&mut profile, name));
        let stack = profile.intern_stack_root_first(frames);
        let labels = profile.intern_labels(&[]);
        profile.push_sample(
            stack,
            labels,
            &[4, 4_096, 1_024, 30, 3_000_000_000, 990_000],
        );
        let other =
            ["start", "shop::cache", "alloc::alloc"].map(|name| location(&mut profile, name));
        let other = profile.intern_stack_root_first(other);
        profile.push_sample(
            other,
            labels,
            &[4, 4_096, 1_024, 40, 2_000_000_000, 990_000],
        );
        let suspects = suspects(&profile, 1_024);
        let [suspect] = suspects.as_slice() else {
            panic!("{suspects:?}");
        };
        assert_eq!(suspect.site.function, "shop::cache");
        assert_eq!(suspect.callers, ["shop::list"]);
        assert_eq!(suspect.growth_bytes_per_second, 2_048);
        assert_eq!(suspect.growth_error, 50);
        assert_eq!((suspect.oldest_age_s, suspect.survived_share), (3.0, 0.99));
        assert_eq!((suspect.site.bytes, suspect.site.objects), (8_192, 8));
    }
}
