//! The hash index behind every deduplicated table.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The tag of an empty slot; those of entries are odd.
const EMPTY: u8 = 0;

/// Finds the position of an entry in a table that lives elsewhere.
///
/// The entries stay in the table's own columns; this holds five bytes a slot at a load of 3/8 to 3/4,
/// so 6.7 to 13.3 bytes an entry. Open addressing with linear probing, over one byte of each entry's hash:
/// those stay in the processor's cache where the entries do not, and an entry that is not the one looked
/// for is fetched once in 128 times. The hash is seeded per index, so
/// that a hostile file cannot be made of colliding entries.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    slots: Vec<u32>,
    /// By slot: [`EMPTY`], or a tag of the entry's hash.
    tags: Vec<u8>,
    len: usize,
    seed: u64,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self {
            slots: Vec::new(),
            tags: Vec::new(),
            len: 0,
            seed: RandomState::new().build_hasher().finish() | 1,
        }
    }

    /// Hashes a few words.
    #[inline]
    pub(crate) fn hash_words<const N: usize>(&self, words: [u64; N]) -> u64 {
        words
            .iter()
            .fold(self.seed, |state, word| fold(state ^ word, self.seed))
    }

    /// Hashes bytes, eight at a time.
    #[inline]
    pub(crate) fn hash_bytes(&self, bytes: &[u8]) -> u64 {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut state = self.seed ^ bytes.len() as u64;
        for word in words {
            state = fold(state ^ u64::from_le_bytes(*word), self.seed);
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        fold(state ^ u64::from_le_bytes(last), self.seed)
    }

    /// The entry with this hash for which `equal` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut equal: impl FnMut(u32) -> bool) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        let wanted = tag(hash);
        let mut slot = start(hash) & mask;
        loop {
            match self.tags[slot] {
                EMPTY => return None,
                tag if tag == wanted && equal(self.slots[slot]) => return Some(self.slots[slot]),
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    /// Adds an entry that [`find`](Self::find) does not find. `hash_of` hashes the entries already here:
    /// they are placed anew when the index grows.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, id: u32, hash_of: impl Fn(&Self, u32) -> u64) {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.grow(hash_of);
        }
        self.place(hash, id);
        self.len += 1;
    }

    #[cold]
    fn grow(&mut self, hash_of: impl Fn(&Self, u32) -> u64) {
        let capacity = (self.slots.len() * 2).max(8);
        let ids = std::mem::replace(&mut self.slots, vec![0; capacity]);
        let tags = std::mem::replace(&mut self.tags, vec![EMPTY; capacity]);
        let entries = tags.into_iter().zip(ids).filter(|(tag, _)| *tag != EMPTY);
        for (_, id) in entries {
            self.place(hash_of(self, id), id);
        }
    }

    #[inline]
    fn place(&mut self, hash: u64, id: u32) {
        let mask = self.slots.len() - 1;
        let mut slot = start(hash) & mask;
        while self.tags[slot] != EMPTY {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = id;
        self.tags[slot] = tag(hash);
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u32>() + self.tags.capacity()
    }
}

/// One folded multiplication: the step of wyhash and foldhash.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b | 0x9e37_79b9_7f4a_7c15);
    (product >> 64) as u64 ^ product as u64
}

#[inline]
fn start(hash: u64) -> usize {
    (hash ^ (hash >> 32)) as usize
}

/// From bits that [`start`] does not use in tables of up to 2^24 slots.
#[inline]
fn tag(hash: u64) -> u8 {
    (hash >> 56) as u8 | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_inserted_and_nothing_else() {
        let mut index = Index::new();
        let value = |id: u32| u64::from(id) * 7;
        for id in 0..10_000 {
            let hash = index.hash_words([value(id)]);
            assert_eq!(index.find(hash, |other| value(other) == value(id)), None);
            index.insert(hash, id, |index, id| index.hash_words([value(id)]));
        }
        for id in 0..10_000 {
            let hash = index.hash_words([value(id)]);
            assert_eq!(
                index.find(hash, |other| value(other) == value(id)),
                Some(id)
            );
        }
        let absent = index.hash_words([3]);
        assert_eq!(index.find(absent, |other| value(other) == 3), None);
    }

    #[test]
    fn bytes_that_differ_only_in_length_hash_differently() {
        let index = Index::new();
        assert_ne!(index.hash_bytes(b"a"), index.hash_bytes(b"a\0"));
        assert_ne!(index.hash_bytes(b""), index.hash_bytes(b"\0\0\0\0\0\0\0\0"));
    }

    #[test]
    fn neighbours_spread_over_the_slots() {
        let index = Index::new();
        let mut used = vec![false; 1 << 12];
        for word in 0..1_u64 << 11 {
            used[start(index.hash_words([word, 1])) & 0xfff] = true;
        }
        // 2,048 balls in 4,096 urns fill 1,612 +- 21.
        let filled = used.iter().filter(|&&used| used).count();
        assert!(filled > 1_400, "{filled} of 4096 slots used");
    }
}
