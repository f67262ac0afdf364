//! Which classes stacks are in, as states that extend each other.

use std::collections::HashMap;

use perfwright_model::{Profile, StackId};

use super::classes::{Classifier, classes_of_locations};

/// Distinct lists of classes, ascending, by number. 0 is the empty one.
pub(super) struct Lists {
    ends: Vec<u32>,
    pub(super) classes: Vec<u32>,
    ids: HashMap<Box<[u32]>, u32>,
}

impl Lists {
    pub(super) fn new() -> Self {
        Self {
            ends: vec![0, 0],
            classes: Vec::new(),
            ids: HashMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len() - 1
    }

    /// The number of a list, which is sorted first.
    pub(super) fn intern(&mut self, list: &mut Vec<u32>) -> u32 {
        if list.is_empty() {
            return 0;
        }
        list.sort_unstable();
        list.dedup();
        if let Some(&id) = self.ids.get(list.as_slice()) {
            return id;
        }
        let id = self.len() as u32;
        self.classes.extend_from_slice(list);
        self.ends.push(self.classes.len() as u32);
        self.ids.insert(list.as_slice().into(), id);
        id
    }

    #[inline]
    pub(super) fn of(&self, id: u32) -> &[u32] {
        &self.classes[self.ends[id as usize] as usize..self.ends[id as usize + 1] as usize]
    }
}

/// The classes of all stacks.
pub(super) struct States {
    pub(super) lists: Lists,
    /// By stack.
    pub(super) of_stack: Vec<u32>,
    /// State 0 is the one without classes.
    pub(super) states: Vec<State>,
    /// By stack: the classes of its innermost frame, as a list.
    pub(super) leaves: Vec<u32>,
    /// By class: some location is in it.
    pub(super) known: Vec<bool>,
}

/// A state of stacks.
#[derive(Clone, Copy, Default)]
pub(super) struct State {
    /// The state it extends.
    pub(super) parent: u32,
    /// The classes of the location that made it, as a list.
    pub(super) classes: u32,
    /// Those of them that came new.
    pub(super) added: u32,
}

impl States {
    pub(super) fn new(profile: &Profile, classifier: &Classifier<'_>) -> Self {
        let mut states = Self {
            lists: Lists::new(),
            of_stack: vec![0; profile.stack_count()],
            states: vec![State::default()],
            leaves: vec![0; profile.stack_count()],
            known: vec![false; classifier.count],
        };
        let locations = classes_of_locations(profile, classifier, &mut states.lists);
        for &class in &states.lists.classes {
            states.known[class as usize] = true;
        }
        let mut extended: HashMap<(u32, u32), u32> = HashMap::new();
        // By location, the last state it was called in and what that became: mostly it is the same again.
        let mut last = vec![(u32::MAX, 0); profile.location_count()];
        // A parent's id is smaller than its children's.
        for index in 0..profile.stack_count() {
            let Some(node) = profile.stack_node(StackId::from_index(index)) else {
                continue;
            };
            let [classes, leaf] = locations[node.location.index()];
            let above = states.of_stack[node.parent.index()];
            states.leaves[index] = leaf;
            let last = &mut last[node.location.index()];
            if classes == 0 {
                *last = (above, above);
            } else if last.0 != above {
                let state = extended.entry((above, classes));
                let state = state.or_insert_with(|| states.extend(above, classes));
                *last = (above, *state);
            }
            states.of_stack[index] = last.1;
        }
        states
    }

    /// The state of a stack that has a location with these classes on top of `above`.
    fn extend(&mut self, above: u32, classes: u32) -> u32 {
        if self.chain(above).any(|state| state.classes == classes) {
            return above;
        }
        let is_new = |class: &u32| {
            let has = |state: State| self.lists.of(state.added).binary_search(class).is_ok();
            !self.chain(above).any(has)
        };
        let list = self.lists.of(classes).iter().copied();
        let mut added: Vec<u32> = list.filter(is_new).collect();
        if added.is_empty() {
            return above;
        }
        let added = self.lists.intern(&mut added);
        self.states.push(State {
            parent: above,
            classes,
            added,
        });
        self.states.len() as u32 - 1
    }

    /// A state and those that it extends, without the one without classes.
    pub(super) fn chain(&self, mut state: u32) -> impl Iterator<Item = State> {
        std::iter::from_fn(move || {
            let found = self.states[state as usize];
            let is_last = state == 0;
            state = found.parent;
            (!is_last).then_some(found)
        })
    }
}
