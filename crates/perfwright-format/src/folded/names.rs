//! The names under which locations stand in folded stacks.

use std::{borrow::Cow, collections::HashMap};

use perfwright_model::{LocationId, Profile, sort_ids};

use crate::build::{UNKNOWN, address_name};

/// A distinct name, by position in [`Names`].
pub(super) type NameId = u32;

/// The distinct names, and which of them each location has.
pub(super) struct Names {
    names: Vec<String>,
    ids: HashMap<String, NameId>,
    /// By location: the outermost frame first. Empty is not looked up yet; every location has a name.
    locations: Vec<Vec<NameId>>,
}

impl Names {
    pub(super) fn new(profile: &Profile) -> Self {
        Self {
            names: Vec::new(),
            ids: HashMap::new(),
            locations: vec![Vec::new(); profile.location_count()],
        }
    }

    pub(super) fn get(&self, id: NameId) -> &str {
        &self.names[id as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The names of a location, the outermost first.
    pub(super) fn of_location(&mut self, profile: &Profile, id: LocationId) -> &[NameId] {
        if self.locations[id.index()].is_empty() {
            let frames = profile.frames(id).iter().rev();
            let mut names: Vec<_> = frames
                .map(|frame| match profile.function_name(frame.function) {
                    "" => self.intern(UNKNOWN),
                    name => self.intern(name),
                })
                .collect();
            if names.is_empty() {
                names.push(self.intern(&address_name(profile, id)));
            }
            self.locations[id.index()] = names;
        }
        &self.locations[id.index()]
    }

    pub(super) fn intern(&mut self, name: &str) -> NameId {
        let name = cleaned(name);
        if let Some(&id) = self.ids.get(name.as_ref()) {
            return id;
        }
        let id = self.names.len() as NameId;
        self.names.push(name.clone().into_owned());
        self.ids.insert(name.into_owned(), id);
        id
    }

    /// The name as it stands at the start of a line, where `# ` would make a comment of it.
    pub(super) fn as_root(&mut self, id: NameId) -> NameId {
        let name = self.get(id);
        match name.strip_prefix('#') {
            Some(rest) if rest.is_empty() || rest.starts_with(' ') => {
                let name = format!("[#]{rest}");
                self.intern(&name)
            }
            _ => id,
        }
    }

    /// The position of every name when they are sorted.
    pub(super) fn ranks(&self) -> Vec<u32> {
        let mut sorted: Vec<NameId> = (0..self.names.len() as NameId).collect();
        sort_ids(&mut sorted, &|a, b| self.get(a).cmp(self.get(b)));
        let mut ranks = vec![0; sorted.len()];
        for (rank, id) in (0..).zip(sorted) {
            ranks[id as usize] = rank;
        }
        ranks
    }
}

/// A name as the format can hold it.
fn cleaned(name: &str) -> Cow<'_, str> {
    if !name.contains([';', '\n', '\r']) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.replace(';', ":").replace(['\n', '\r'], " "))
}
