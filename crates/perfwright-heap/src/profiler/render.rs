//! From the accounts to profiles. Allocates, so it works on a copy.

use perfwright_context::Word;
use perfwright_model::{LabelSetId, Profile, SampleType, StackId};
use perfwright_record::{StackTable, context_labels};
use perfwright_stack::Image;

use super::books::{Counters, Peak};
use super::history::Clock;
use super::hook;
use super::sites::{Amount, Site};

/// The stack of samples whose own found no room.
const OVER_MEMORY: &str = "[perfwright: memory limit]";
/// The stack of samples that have none.
const UNKNOWN: &str = "[unknown stack]";

/// Where the allocator's shims were inlined into who calls them, they are frames of that once it is symbolized:
/// readers of pprof drop these and what they call.
const SHIMS: &str = r"(__rustc::)?__rust_(alloc|alloc_zeroed|realloc)";

/// The accounts at one moment.
pub(crate) struct Copy {
    /// The first is what found no room.
    pub(crate) sites: Vec<Site>,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    pub(crate) peak: Peak,
    pub(crate) memory_bytes: usize,
}

impl Copy {
    /// Copies the accounts; `None` if they are closed. They are locked while the rows are copied.
    pub(crate) fn take() -> Option<Copy> {
        let mut sites: Vec<Site> = Vec::new();
        loop {
            let books = hook::books();
            let open = books.session()?;
            let len = open.sites.len();
            if len <= sites.capacity() {
                // Does not allocate: there is room.
                sites.extend(open.sites.iter().copied());
                return Some(Copy {
                    sites,
                    clock: open.clock,
                    counters: open.counters,
                    peak: open.peak(),
                    memory_bytes: books.arena_bytes(),
                });
            }
            drop(books);
            sites.reserve(len + len / 8 + 16);
        }
    }
}

/// Objects and bytes, as sample types.
pub(crate) fn types(what: &str) -> [SampleType; 2] {
    [
        SampleType::new(format!("{what}_objects"), "count"),
        SampleType::new(format!("{what}_space"), "bytes"),
    ]
}

/// A profile under construction, with the errors of its values.
pub(crate) struct Renderer<'a> {
    pub(crate) profile: Profile,
    pub(crate) errors: Vec<Vec<f64>>,
    image: &'a Image,
    stacks: StackTable,
}

impl<'a> Renderer<'a> {
    /// An empty profile; the last sample type is the default.
    pub(crate) fn new(types: Vec<SampleType>, image: &'a Image) -> Renderer<'a> {
        let mut profile = Profile::new(types);
        profile.meta.default_sample_type = profile.sample_types().len().checked_sub(1);
        profile.meta.drop_frames = Some(SHIMS.into());
        Renderer {
            profile,
            errors: Vec::new(),
            image,
            stacks: StackTable::new(),
        }
    }

    /// Adds a site with these amounts, unless they are all nothing.
    pub(crate) fn add(&mut self, site: &Site, is_other: bool, amounts: &[Amount]) {
        if amounts.iter().all(|amount| *amount == Amount::default()) {
            return;
        }
        let stack = self.stack(site, is_other);
        let labels = self.labels(site);
        // Rounded here, once for each site.
        let values: Vec<i64> = amounts
            .iter()
            .flat_map(|amount| [amount.objects(), amount.bytes()])
            .map(|value| i64::try_from(value).unwrap_or(i64::MAX))
            .collect();
        self.profile.push_sample(stack, labels, &values);
        self.errors.push(
            amounts
                .iter()
                .flat_map(|amount| [amount.objects_error(), amount.bytes_error()])
                .collect(),
        );
    }

    fn stack(&mut self, site: &Site, is_other: bool) -> StackId {
        let frames = site.stack();
        if !is_other && !frames.is_empty() {
            return self.stacks.intern(&mut self.profile, frames, self.image);
        }
        let name = if is_other { OVER_MEMORY } else { UNKNOWN };
        let leaf = self.profile.frame_location(name);
        self.profile.push_stack(StackId::ROOT, leaf)
    }

    fn labels(&mut self, site: &Site) -> LabelSetId {
        let labels = context_labels(&mut self.profile, Word::from_bits(site.context), false);
        self.profile.intern_labels(&labels)
    }
}
