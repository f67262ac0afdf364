//! Profiles to open: as deep, as wide and as unequal as those of large services.

use perfwright_model::{LabelSetId, LocationId, Profile, SampleType, StackId};

/// How many functions there are to call.
const FUNCTIONS: usize = 12_000;

/// A profile of `stacks` distinct stacks, 20 to 60 frames deep, of which each shares all but about seven with
/// others; what a stack costs is spread as unevenly as in life. The same for the same number.
pub fn profile(stacks: usize) -> Profile {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut profile = Profile::new([
        SampleType::new("samples", "count"),
        SampleType::new("cpu", "nanoseconds"),
    ]);
    let functions: Vec<LocationId> = (0..FUNCTIONS)
        .map(|index| profile.frame_location(&name(index)))
        .collect();
    let threads: Vec<LabelSetId> = (0..16)
        .map(|index| {
            let label = profile.str_label("thread", &format!("worker-{index}"));
            profile.intern_labels(&[label])
        })
        .collect();
    let mut trunks: Vec<Vec<LocationId>> = Vec::new();
    let mut seen = vec![StackId::ROOT; 0];
    while seen.len() < stacks {
        let mut path = match trunks.len() {
            0 => Vec::new(),
            count => {
                let trunk = &trunks[random.skewed(count)];
                trunk[..trunk.len().saturating_sub(random.below(9))].to_vec()
            }
        };
        let depth = 20 + random.below(41);
        while path.len() < depth.min(path.len() + 1 + random.below(9)) || path.len() < 20 {
            path.push(functions[random.skewed(FUNCTIONS)]);
        }
        let before = profile.stack_count();
        let stack = profile.intern_stack_root_first(path.iter().copied());
        if profile.stack_count() == before {
            continue;
        }
        let count = 1 + (1_000.0 / (1.0 + random.below(1_000) as f64)) as i64;
        let thread = threads[random.below(threads.len())];
        profile.push_sample(stack, thread, &[count, count * 10_000_000]);
        seen.push(stack);
        if trunks.len() < 20_000 {
            trunks.push(path);
        } else {
            let at = random.below(trunks.len());
            trunks[at] = path;
        }
    }
    profile
}

fn name(index: usize) -> String {
    let crates = [
        "shop",
        "tokio",
        "hyper",
        "serde_json",
        "core",
        "sqlx_core",
        "tower",
        "axum",
    ];
    let modules = [
        "runtime::scheduler",
        "db",
        "proto::h1::dispatch",
        "value",
        "ops::function",
        "pool",
    ];
    format!(
        "{}::{}::Type{}<T>::method_{index}",
        crates[index % crates.len()],
        modules[index / 7 % modules.len()],
        index / 11
    )
}

/// Xorshift*: fast, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end
    }

    /// Small numbers far more often than large ones.
    fn skewed(&mut self, end: usize) -> usize {
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((share.powi(4) * end as f64) as usize).min(end - 1)
    }
}
