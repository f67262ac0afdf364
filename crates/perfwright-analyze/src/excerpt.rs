//! What a tree is made of, as a profile.

use perfwright_model::{Frame, Importer, Location, LocationId, Profile, StackId};

use crate::symbols::{LocationSymbols, Symbol, SymbolId, SymbolTable};
use crate::tree::TreeBuilder;

/// A frame on the path of a sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PathFrame {
    /// What a tree calls it.
    pub symbol: SymbolId,
    location: LocationId,
    /// Which location of the stack it is of, and which frame of that, from the outermost.
    step: u32,
    frame: u32,
}

impl TreeBuilder<'_> {
    /// The samples as a profile of their own, with all their values, labels and times. `edit` may shorten the
    /// path of a stack (outermost first), or drop its samples by `false`; it is asked once for each stack.
    /// Names stay as the profile has them. Grouping and turning around do not apply.
    pub fn excerpt(self, mut edit: impl FnMut(&mut Vec<PathFrame>, &[Symbol]) -> bool) -> Profile {
        let profile = self.profile();
        let mut table = SymbolTable::default();
        table.by_name("", None);
        let symbols = self.name_every_frame(&mut table);
        let mut kept = Profile::new(profile.sample_types().to_vec());
        kept.meta = profile.meta.clone();
        let mut importer = Importer::new(profile);
        let mut known: Vec<Option<Option<StackId>>> = vec![None; profile.stack_count()];
        let mut path = Vec::new();
        for sample in profile.samples() {
            if !self.has_labels(sample.labels) {
                continue;
            }
            let stack = *known[sample.stack.index()].get_or_insert_with(|| {
                fill_path(profile, &symbols, sample.stack, &mut path);
                let stays = edit(&mut path, table.all());
                stays.then(|| push_path(profile, &symbols, &mut importer, &mut kept, &path))
            });
            let Some(stack) = stack else { continue };
            let labels = importer.labels(&mut kept, sample.labels);
            match sample.time_nanos {
                Some(_) => kept.push_sample_at(stack, labels, sample.values, sample.time_nanos),
                None => kept.record(stack, labels, sample.values),
            }
        }
        kept
    }
}

/// The frames of a stack, outermost first.
pub(crate) fn fill_path(
    profile: &Profile,
    symbols: &LocationSymbols,
    stack: StackId,
    path: &mut Vec<PathFrame>,
) {
    path.clear();
    for (step, location) in profile.stack(stack).enumerate() {
        let named = symbols.of(location).iter().enumerate().rev();
        path.extend(named.map(|(frame, &symbol)| PathFrame {
            symbol,
            location,
            step: step as u32,
            frame: frame as u32,
        }));
    }
    path.reverse();
    if symbols.joins_neighbours {
        path.dedup_by_key(|frame| frame.symbol);
    }
}

fn push_path(
    profile: &Profile,
    symbols: &LocationSymbols,
    importer: &mut Importer<'_>,
    kept: &mut Profile,
    path: &[PathFrame],
) -> StackId {
    let mut stack = StackId::ROOT;
    for left in path.chunk_by(|a, b| a.step == b.step) {
        let (id, frames) = (left[0].location, profile.frames(left[0].location));
        // All names of a location, of which one may stand for all frames, or for an address without any.
        let location = if left.len() == symbols.of(id).len() {
            importer.location(kept, id)
        } else {
            let left: Vec<Frame> = (left.iter())
                .filter_map(|left| frames.iter().rev().nth(left.frame as usize).copied())
                .collect();
            partial_location(profile, importer, kept, id, &left)
        };
        stack = kept.push_stack(stack, location);
    }
    stack
}

/// A location of which some frames are gone. It loses its address, which stands for all of them.
pub(crate) fn partial_location(
    profile: &Profile,
    importer: &mut Importer<'_>,
    kept: &mut Profile,
    id: LocationId,
    outermost_first: &[Frame],
) -> LocationId {
    let location = profile.location(id);
    let mapping = (location.mapping).map(|mapping| importer.mapping(kept, mapping));
    let frames: Vec<_> = (outermost_first.iter().rev())
        .map(|frame| Frame {
            function: importer.function(kept, frame.function),
            ..*frame
        })
        .collect();
    let location = Location {
        mapping,
        address: None,
        ..location
    };
    kept.add_location(location, &frames)
}
