//! The ids of a file: any numbers but 0, usually 1, 2, 3, …

use std::collections::HashMap;

/// Finds what a file's id stands for.
///
/// Ids that count up from 1, as nearly all writers number, cost a slot of a vector; others (addresses, say)
/// are hashed, with std's seeded hash, so that a hostile file cannot make them collide.
#[derive(Debug)]
pub(super) struct Ids<T> {
    dense: Vec<T>,
    sparse: HashMap<u64, T>,
}

impl<T: Copy> Ids<T> {
    pub(super) fn new() -> Self {
        Self {
            dense: Vec::new(),
            sparse: HashMap::new(),
        }
    }

    /// In the viewer this crate is compiled to be small, but every frame of every stack comes here.
    #[inline(always)]
    pub(super) fn get(&self, id: u64) -> Option<T> {
        let position = usize::try_from(id.wrapping_sub(1)).unwrap_or(usize::MAX);
        match self.dense.get(position) {
            Some(value) => Some(*value),
            None => self.sparse.get(&id).copied(),
        }
    }

    /// Adds an id; `false` if it is taken.
    pub(super) fn insert(&mut self, id: u64, value: T) -> bool {
        if self.get(id).is_some() {
            return false;
        }
        if id == self.dense.len() as u64 + 1 {
            self.dense.push(value);
        } else {
            self.sparse.insert(id, value);
        }
        true
    }

    pub(super) fn len(&self) -> usize {
        self.dense.len() + self.sparse.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_ids_in_any_order() {
        let mut ids = Ids::new();
        for id in [1, 2, 5, 3, u64::MAX, 4] {
            assert!(ids.insert(id, id));
            assert!(!ids.insert(id, 0), "{id} is taken");
        }
        for id in [1, 2, 3, 4, 5, u64::MAX] {
            assert_eq!(ids.get(id), Some(id));
        }
        assert_eq!((ids.get(0), ids.get(6), ids.len()), (None, None, 6));
    }
}
