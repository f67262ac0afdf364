//! What the questions cost on large profiles, in CPU time (Linux): `cargo run --release --example scale [STACKS...]`.
//!
//! The stacks are distinct, 20 to 60 frames deep, over 20,000 functions, and branch near the leaf as those of
//! a service do: a new stack shares most of its callers with others.

use std::hint::black_box;

use perfwright_analyze::{
    By, CallTree, DiffTree, Filter, butterfly, by_thread, crate_of, short_name, top,
};
use perfwright_model::{Frame, Function, LabelSetId, Location, LocationId, Profile, SampleType};

const FUNCTIONS: u64 = 20_000;
const LOCATIONS: u64 = 60_000;

fn main() {
    let sizes: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|size| size.parse().ok())
        .collect();
    let sizes = if sizes.is_empty() {
        vec![100_000, 1_000_000]
    } else {
        sizes
    };
    for size in sizes {
        let profile = timed("make profile", || profile(size));
        let (nodes, mib) = (profile.stack_count(), profile.heap_bytes() >> 20);
        println!("{size} stacks: {nodes} stack nodes, {mib} MiB");
        measure(&profile);
    }
}

fn measure(profile: &Profile) {
    let tree = timed("call tree", || CallTree::new(profile, 1));
    println!("  {} nodes", tree.nodes().len());
    timed("call tree from leaves", || {
        CallTree::builder(profile, 1).from_leaves(true).build()
    });
    timed("call tree by thread", || {
        CallTree::builder(profile, 1).group_by("thread").build()
    });
    timed("call tree, short names", || {
        CallTree::builder(profile, 1).rename(&short_name).build()
    });
    let rows = timed("top", || top(profile, 1, By::Function));
    timed("top by crate", || top(profile, 1, By::Crate));
    timed("butterfly", || butterfly(&tree, &rows[0].name));
    timed("tree of callers", || {
        tree.find_symbol(&rows[0].name)
            .map(|symbol| tree.callers(symbol))
    });
    timed("by thread", || by_thread(profile, 1));
    let is_tokio = |name: &str| crate_of(name) == Some("crate7");
    timed("focus", || Filter::new().focus(is_tokio).apply(profile));
    timed("hide", || Filter::new().hide(is_tokio).apply(profile));
    timed("difference tree", || DiffTree::new(&tree, &tree));
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = cpu_millis();
    let result = black_box(work());
    println!("  {what:<24} {:>8.1} ms", cpu_millis() - start);
    result
}

/// The CPU time of this thread: on a busy machine the wall clock tells nothing.
fn cpu_millis() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos: Option<f64> = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    nanos.unwrap_or(f64::NAN) / 1e6
}

fn profile(stacks: usize) -> Profile {
    let types = [
        SampleType::new("samples", "count"),
        SampleType::new("cpu", "nanoseconds"),
    ];
    let mut profile = Profile::new(types);
    let locations: Vec<_> = (0..LOCATIONS)
        .map(|index| location(&mut profile, index))
        .collect();
    let mut random = SplitMix(7);
    let mut stack: Vec<LocationId> = Vec::new();
    for sample in 0..stacks as i64 {
        // Return a few frames, as a program does, then call some others.
        stack.truncate(stack.len().saturating_sub(1 + (random.next() % 8) as usize));
        while stack.len() < 20 || (stack.len() < 60 && !random.next().is_multiple_of(5)) {
            stack.push(locations[(random.next() % LOCATIONS) as usize]);
        }
        let labels = if sample % 4 == 0 {
            LabelSetId::EMPTY
        } else {
            thread(&mut profile, sample % 4)
        };
        let id = profile.intern_stack_root_first(stack.iter().copied());
        profile.record(id, labels, &[1, 1_000_000 + sample % 1_000]);
    }
    profile
}

fn thread(profile: &mut Profile, number: i64) -> LabelSetId {
    let labels = [
        profile.str_label("thread", &format!("worker-{number}")),
        profile.num_label("thread_id", number, ""),
    ];
    profile.intern_labels(&labels)
}

/// Every third location has an inlined frame.
fn location(profile: &mut Profile, index: u64) -> LocationId {
    let mut frames = vec![frame(profile, index % FUNCTIONS)];
    if index.is_multiple_of(3) {
        frames.insert(0, frame(profile, (index + 1) % FUNCTIONS));
    }
    let address = std::num::NonZeroU64::new(0x1000 + index * 16);
    let location = Location {
        address,
        ..Location::default()
    };
    profile.add_location(location, &frames)
}

fn frame(profile: &mut Profile, index: u64) -> Frame {
    let name = format!(
        "<crate{}::module::Type{index}<T> as core::fmt::Debug>::fmt",
        index % 150
    );
    let name = profile.intern(&name);
    Frame {
        function: profile.add_function(Function::named(name)),
        line: std::num::NonZeroU32::new(index as u32 + 1),
        column: None,
    }
}

struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
