//! The stacks of folded lines, each read from where the line before it differs.

use perfwright_model::{LocationId, Profile, StackId};

use super::UNKNOWN;
use crate::{Error, Limits, Place, limits::too_many, scan};

/// The stack of the line before: lines are sorted as a rule, so that most of a stack is the same again.
#[derive(Debug, Default)]
pub(super) struct Stacks {
    /// With a `;` behind the last frame, as behind the others.
    text: Vec<u8>,
    /// Where frames of it end, from the root on, and the stack down to there.
    frames: Vec<(usize, StackId)>,
    /// By string, the location of the frame that is called so.
    locations: Vec<Option<LocationId>>,
}

impl Stacks {
    /// How many bytes a line has in common with the one before.
    pub(super) fn common(&self, line: &[u8]) -> usize {
        scan::common_prefix(&self.text, line)
    }

    /// Keeps the frames that the line before and the next one, which have `common` bytes in common, both begin with;
    /// where the next one's other frames begin.
    pub(super) fn keep(&mut self, common: usize) -> usize {
        while let Some(&(end, _)) = self.frames.last() {
            // What ends a frame is the same in both.
            if end < common {
                return end + 1;
            }
            self.frames.pop();
        }
        0
    }

    /// The stack of the frames that were kept, of which the text is that long, and those of `rest`.
    pub(super) fn push(
        &mut self,
        profile: &mut Profile,
        kept: usize,
        rest: &str,
        line: u64,
        limits: &Limits,
    ) -> Result<StackId, Error> {
        self.text.truncate(kept);
        if kept == 0 && rest.is_empty() {
            return Ok(StackId::ROOT);
        }
        self.text.extend_from_slice(rest.as_bytes());
        self.text.push(b';');
        let mut node = self.frames.last().map_or(StackId::ROOT, |frame| frame.1);
        let mut start = 0;
        while start <= rest.len() {
            let depth = self.frames.len() + 1;
            check(depth, limits.depth, "frames in one stack", line)?;
            let bytes = &rest.as_bytes()[start..];
            let end = start + scan::find(b';', bytes).unwrap_or(bytes.len());
            let location = self.location(profile, &rest[start..end]);
            node = profile.push_stack(node, location);
            self.frames.push((kept + end, node));
            start = end + 1;
        }
        let nodes = profile.stack_count() - 1;
        check(nodes, limits.stack_nodes, "nodes in the stack tree", line)?;
        let names = profile.location_count();
        check(names, limits.locations, "different frames", line)?;
        Ok(node)
    }

    fn location(&mut self, profile: &mut Profile, name: &str) -> LocationId {
        let name = if name.is_empty() { UNKNOWN } else { name };
        let string = profile.intern(name).index();
        if let Some(&Some(known)) = self.locations.get(string) {
            return known;
        }
        let location = profile.frame_location(name);
        if self.locations.len() <= string {
            self.locations.resize(string + 1, None);
        }
        self.locations[string] = Some(location);
        location
    }
}

pub(super) fn check(count: usize, limit: usize, what: &str, line: u64) -> Result<(), Error> {
    if count <= limit {
        return Ok(());
    }
    Err(too_many("folded stacks", Place::Line(line), what, limit))
}
