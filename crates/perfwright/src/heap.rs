//! Memory: the heap profiler's allocator, exact counts for tests, the memory timeline.
//!
//! ```
//! use perfwright::heap::{SampledAlloc, assert_allocs};
//!
//! #[global_allocator]
//! static ALLOC: SampledAlloc = SampledAlloc::system();
//!
//! # fn main() {
//! // In a test: how much a piece of code may allocate, and how much it may ask for.
//! let total = assert_allocs!(<= 1, bytes <= 400, || (0..100).collect::<Vec<u32>>().len());
//! assert_eq!(total, 100);
//! # }
//! ```
//!
//! Everything here is the crate `perfwright-heap`; its documentation says what measuring costs. New here is
//! [`assert_allocs!`].

use std::fmt::Write as _;

use perfwright_analyze::{Origin, quantity, short_name, short_path};
use perfwright_model::{LocationId, Profile, StackId};

pub use perfwright_heap::*;

/// Asserts how often a closure allocates, and optionally how many bytes it asks for.
///
/// ```
/// # use perfwright::heap::{SampledAlloc, assert_allocs};
/// # #[global_allocator]
/// # static ALLOC: SampledAlloc = SampledAlloc::system();
/// # fn main() {
/// let text = "a,b,c";
/// assert_allocs!(== 0, || text.split(',').count());
/// assert_allocs!(<= 1, || text.to_owned());
/// assert_allocs!(< 4, bytes <= 64, || text.to_uppercase());
/// assert_allocs!(bytes < 100, || text.repeat(3));
/// # }
/// ```
///
/// The first is about allocations: `<=`, `==` or `<` a number (`u64`). `bytes` and such a comparison is about the
/// sum of the sizes that were asked for. Reallocations count as allocations of the new size. The value is the
/// closure's.
///
/// Counts are exact and of this thread alone, see [`count`](count()), so that tests may run in parallel.
///
/// # Panics
/// If the closure allocates more (or less, with `==`); the message lists where the allocations came from. Also
/// if [`SampledAlloc`] is not the global allocator.
#[doc(inline)]
pub use crate::__perfwright_assert_allocs as assert_allocs;

#[doc(hidden)]
#[macro_export]
macro_rules! __perfwright_assert_allocs {
    (bytes $bytes_op:tt $bytes:expr, $work:expr $(,)?) => {
        $crate::heap::checked(
            $crate::heap::count($work),
            ::core::option::Option::None,
            ::core::option::Option::Some($crate::__perfwright_assert_allocs!(@limit $bytes_op $bytes)),
        )
    };
    (@limit <= $limit:expr) => { $crate::heap::Limit::AtMost($limit) };
    (@limit == $limit:expr) => { $crate::heap::Limit::Exactly($limit) };
    (@limit < $limit:expr) => { $crate::heap::Limit::Below($limit) };
    ($op:tt $limit:expr, bytes $bytes_op:tt $bytes:expr, $work:expr $(,)?) => {
        $crate::heap::checked(
            $crate::heap::count($work),
            ::core::option::Option::Some($crate::__perfwright_assert_allocs!(@limit $op $limit)),
            ::core::option::Option::Some($crate::__perfwright_assert_allocs!(@limit $bytes_op $bytes)),
        )
    };
    ($op:tt $limit:expr, $work:expr $(,)?) => {
        $crate::heap::checked(
            $crate::heap::count($work),
            ::core::option::Option::Some($crate::__perfwright_assert_allocs!(@limit $op $limit)),
            ::core::option::Option::None,
        )
    };
}

/// Sites that a message lists.
const MAX_SITES: usize = 10;
/// Callers that it lists of each.
const MAX_FRAMES: usize = 6;

/// A side of [`assert_allocs!`].
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    AtMost(u64),
    Exactly(u64),
    Below(u64),
}

impl Limit {
    fn allows(self, value: u64) -> bool {
        match self {
            Limit::AtMost(limit) => value <= limit,
            Limit::Exactly(limit) => value == limit,
            Limit::Below(limit) => value < limit,
        }
    }

    fn text(self) -> String {
        let (operator, limit) = match self {
            Limit::AtMost(limit) => ("<=", limit),
            Limit::Exactly(limit) => ("==", limit),
            Limit::Below(limit) => ("<", limit),
        };
        format!("{operator} {}", number(limit))
    }
}

/// What [`assert_allocs!`] does with its count.
#[doc(hidden)]
#[track_caller]
pub fn checked<T>(counted: Counted<T>, allocations: Option<Limit>, bytes: Option<Limit>) -> T {
    let allows = |limit: Option<Limit>, value| limit.is_none_or(|limit| limit.allows(value));
    if !allows(allocations, counted.allocations) || !allows(bytes, counted.allocated_bytes) {
        panic!("{}", message(&counted, allocations, bytes));
    }
    counted.value
}

fn message<T>(counted: &Counted<T>, allocations: Option<Limit>, bytes: Option<Limit>) -> String {
    let mut asked = Vec::new();
    asked.extend(allocations.map(|limit| format!("allocations {}", limit.text())));
    asked.extend(bytes.map(|limit| format!("bytes {}", limit.text())));
    let mut text = format!(
        "assertion `{}` failed: {}, {} bytes",
        asked.join(", "),
        objects(counted.allocations, counted.reallocations),
        number(counted.allocated_bytes),
    );
    let mut sites = sites(counted);
    // By count; of equals the larger first.
    sites.sort_by_key(|site| std::cmp::Reverse((site.allocations, site.bytes)));
    let listed = sites.len().min(MAX_SITES);
    for site in &sites[..listed] {
        site.write(&mut text);
    }
    let rest = &sites[listed..];
    let without_stack = counted.without_stack();
    if !rest.is_empty() {
        let allocations = rest.iter().map(|site| site.allocations).sum();
        let _ = write!(
            text,
            "\n  {} from {} more places",
            objects(allocations, 0),
            number(rest.len() as u64)
        );
    }
    if without_stack > 0 {
        let _ = write!(
            text,
            "\n  {} whose stack was not kept",
            objects(without_stack, 0)
        );
    }
    text
}

/// Allocations from one place in the source.
#[derive(PartialEq, Eq, Debug)]
struct Place {
    allocations: u64,
    reallocations: u64,
    bytes: u64,
    /// What of the standard library was called there.
    called: Option<String>,
    /// The callers, innermost first: name and place.
    callers: Vec<(String, String)>,
    /// Callers that are not listed.
    more: usize,
}

impl Place {
    fn write(&self, text: &mut String) {
        let objects = objects(self.allocations, self.reallocations);
        let _ = write!(text, "\n  {objects}, {} bytes", number(self.bytes));
        if let Some(called) = &self.called {
            let _ = write!(text, ", in {called}");
        }
        let width = self.callers.iter().map(|(_, place)| place.len());
        let width = width.max().unwrap_or(0);
        for (name, place) in &self.callers {
            let _ = write!(text, "\n      {place:width$}  {name}");
        }
        if self.more > 0 {
            let _ = write!(text, "\n      {} more callers", self.more);
        }
    }
}

/// The sites with names; sites whose names are the same are one.
fn sites<T>(counted: &Counted<T>) -> Vec<Place> {
    let mut profile = counted.profile();
    resolve(&mut profile);
    let current = std::env::current_dir().unwrap_or_default();
    let root = current.to_string_lossy();
    let mut places: Vec<Place> = Vec::new();
    // The profile has a sample for each site, in their order; what has no site comes after them.
    for (sample, site) in profile.samples().zip(counted.sites()) {
        let frames = frames(&profile, sample.stack, &root);
        let place = Place::of(&frames, site);
        match places.iter_mut().find(|known| known.is_same(&place)) {
            Some(known) => {
                known.allocations += place.allocations;
                known.reallocations += place.reallocations;
                known.bytes += place.bytes;
            }
            None => places.push(place),
        }
    }
    places
}

#[cfg(feature = "symbolize")]
fn resolve(profile: &mut Profile) {
    use perfwright_symbolize::{Options, Symbolizer};
    // What stays unresolved still has a name, made of its file and address.
    let _report = Symbolizer::new(Options::default()).symbolize(profile);
}

/// Addresses have to do for names.
#[cfg(not(feature = "symbolize"))]
fn resolve(_profile: &mut Profile) {}

struct NamedFrame {
    name: String,
    place: String,
    origin: Origin,
    /// Of this toolkit: the allocator at one end, [`count`](count()) at the other.
    is_ours: bool,
}

/// The frames of a stack, innermost first.
fn frames(profile: &Profile, stack: StackId, root: &str) -> Vec<NamedFrame> {
    let frames = profile
        .stack(stack)
        .flat_map(|location| named(profile, location, root));
    frames.collect()
}

fn named(profile: &Profile, location: LocationId, root: &str) -> Vec<NamedFrame> {
    let frames = profile.frames(location).iter().map(|frame| {
        let function = profile.function(frame.function);
        let name = profile.function_name(frame.function);
        let file = profile.string(function.filename);
        let mut place = short_path(file, &[root]).to_owned();
        if let Some(line) = frame.line {
            let _ = write!(place, ":{line}");
        }
        NamedFrame {
            name: short_name(name),
            place,
            origin: Origin::of(name, (!file.is_empty()).then_some(file)),
            // `__rust_alloc` and the like are made by `#[global_allocator]`, at its place in the user's file.
            // With line tables alone, inlined functions have no path in their name, so files have to tell too.
            is_ours: ["perfwright_heap::", "__rust_", "__rg_"]
                .iter()
                .any(|part| name.contains(part))
                || file
                    .rsplit_once("/src/")
                    .is_some_and(|(package, _)| package.contains("/perfwright-heap")),
        }
    });
    let mut frames: Vec<_> = frames.collect();
    if frames.is_empty() {
        let address = profile.location(location).address.map_or(0, |it| it.get());
        frames.push(NamedFrame {
            name: format!("{address:#x}"),
            place: String::new(),
            origin: Origin::Native,
            is_ours: false,
        });
    }
    frames
}

impl Place {
    fn of(frames: &[NamedFrame], site: Site<'_>) -> Self {
        // The allocator's frames, then the standard library's, then whoever called it.
        let is_std = |frame: &NamedFrame| frame.origin == Origin::Std && !frame.is_ours;
        let is_inner = |frame: &&NamedFrame| is_std(frame) || frame.is_ours;
        let (inner, outer) = frames.split_at(frames.iter().take_while(is_inner).count());
        let end = outer.iter().position(|frame| frame.is_ours);
        let outer = &outer[..end.unwrap_or(outer.len())];
        let callers: Vec<_> = outer
            .iter()
            .filter(|frame| !is_std(frame))
            .map(|frame| (frame.name.clone(), frame.place.clone()))
            .collect();
        let more = callers.len().saturating_sub(MAX_FRAMES);
        Self {
            allocations: site.allocations,
            reallocations: site.reallocations,
            bytes: site.allocated_bytes,
            called: inner
                .last()
                .filter(|frame| is_std(frame))
                .map(|frame| frame.name.clone()),
            callers: callers.into_iter().take(MAX_FRAMES).collect(),
            more,
        }
    }

    fn is_same(&self, other: &Place) -> bool {
        (&self.called, &self.callers, self.more) == (&other.called, &other.callers, other.more)
    }
}

/// `1,234`.
fn number(value: u64) -> String {
    quantity(i64::try_from(value).unwrap_or(i64::MAX), "count")
}

/// `3 allocations (2 of them reallocations)`.
fn objects(allocations: u64, reallocations: u64) -> String {
    let plural = |count| if count == 1 { "" } else { "s" };
    let mut text = format!("{} allocation{}", number(allocations), plural(allocations));
    if reallocations > 0 && reallocations == allocations {
        text = text.replacen("allocation", "reallocation", 1);
    } else if reallocations > 0 {
        let _ = write!(
            text,
            " ({} reallocation{})",
            number(reallocations),
            plural(reallocations)
        );
    }
    text
}
