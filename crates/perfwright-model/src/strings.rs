//! The string table: every string once, all in one buffer.

use crate::{StringId, index::Index};

/// Every string once, in one buffer: a string costs its bytes plus 4 for its end and about 9 for the index.
#[derive(Clone, Debug)]
pub(crate) struct Strings {
    buffer: String,
    /// Where each string ends in `buffer`; it starts where the one before ends.
    ends: Vec<u32>,
    index: Index,
}

impl Strings {
    pub(crate) fn new() -> Self {
        let mut strings = Self {
            buffer: String::new(),
            ends: Vec::new(),
            index: Index::new(),
        };
        strings.intern("");
        strings
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    #[inline]
    pub(crate) fn get(&self, id: StringId) -> &str {
        slice(&self.buffer, &self.ends, id.0)
    }

    pub(crate) fn find(&self, string: &str) -> Option<StringId> {
        let hash = self.index.hash_bytes(string.as_bytes());
        self.index
            .find(hash, |id| self.get(StringId(id)) == string)
            .map(StringId)
    }

    pub(crate) fn intern(&mut self, string: &str) -> StringId {
        let hash = self.index.hash_bytes(string.as_bytes());
        if let Some(id) = self.index.find(hash, |id| self.get(StringId(id)) == string) {
            return StringId(id);
        }
        let id = StringId::from_index(self.ends.len());
        self.buffer.push_str(string);
        let end =
            u32::try_from(self.buffer.len()).expect("a profile holds less than 4 GiB of text");
        self.ends.push(end);
        let (buffer, ends) = (&self.buffer, &self.ends);
        self.index.insert(hash, id.0, |index, id| {
            index.hash_bytes(slice(buffer, ends, id).as_bytes())
        });
        id
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.ends.len() as u32).map(|id| slice(&self.buffer, &self.ends, id))
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.buffer.capacity() + self.ends.capacity() * size_of::<u32>() + self.index.heap_bytes()
    }
}

#[inline]
fn slice<'a>(buffer: &'a str, ends: &[u32], id: u32) -> &'a str {
    let start = if id == 0 {
        0
    } else {
        ends[id as usize - 1] as usize
    };
    &buffer[start..ends[id as usize] as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_string_once() {
        let mut strings = Strings::new();
        assert_eq!(strings.intern(""), StringId::EMPTY);
        let main = strings.intern("main");
        let other = strings.intern("größer");
        assert_eq!(strings.intern("main"), main);
        assert_eq!((strings.get(main), strings.get(other)), ("main", "größer"));
        assert_eq!(strings.find("größer"), Some(other));
        assert_eq!(strings.find("absent"), None);
        assert_eq!(strings.iter().collect::<Vec<_>>(), ["", "main", "größer"]);
    }
}
