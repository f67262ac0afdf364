//! The thread's word: its bits, and the thread-local cell that holds it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::instance::Instance;
use crate::registry::NodeId;

/// What a thread is working on, in one machine word.
///
/// | bits | meaning |
/// |---|---|
/// | 0..32 | the path node ([`NodeId`]; 0 is the empty path) |
/// | 32..48 | the instance slot (0 is none) |
/// | 48..64 | the generation of that slot |
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Word(u64);

impl Word {
    /// No labels, no instance: what every thread starts with.
    pub const EMPTY: Word = Word(0);

    /// A path without an instance.
    pub const fn new(node: NodeId) -> Word {
        Word(node.to_bits() as u64)
    }

    /// The word with these bits, as a signal handler recorded them.
    pub const fn from_bits(bits: u64) -> Word {
        Word(bits)
    }

    /// The bits of this word.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The path of labels.
    pub const fn node(self) -> NodeId {
        NodeId::from_bits(self.0 as u32)
    }

    /// The same instance on another path.
    pub const fn with_node(self, node: NodeId) -> Word {
        Word((self.0 & !0xffff_ffff) | node.to_bits() as u64)
    }

    /// The same path with another instance; `None` clears it.
    pub const fn with_instance(self, instance: Option<Instance>) -> Word {
        let bits = match instance {
            Some(instance) => instance.to_bits(),
            None => 0,
        };
        Word((self.0 & 0xffff_ffff) | ((bits as u64) << 32))
    }

    /// The instance, if one is set. Ask [`Instance::id`] whether it is still the same one.
    pub const fn instance(self) -> Option<Instance> {
        Instance::from_bits((self.0 >> 32) as u32)
    }
}

thread_local! {
    // `const` and without `Drop`: no lazy initialisation and no destructor to register, so that the
    // first access, also one from a signal handler, is an ordinary memory access.
    static WORD: AtomicU64 = const { AtomicU64::new(0) };
}

/// The calling thread's word.
///
/// Safe to call from a signal handler where this crate is linked into the executable (its
/// thread-local storage then exists from the thread's first instruction on). In a shared library the
/// first access of a thread may allocate: a handler there must use an address that the thread handed
/// over before ([`word_address`]).
#[inline]
pub fn current() -> Word {
    Word(WORD.with(|word| word.load(Ordering::Relaxed)))
}

/// Sets the calling thread's word and returns the one before. One store, no lock.
///
/// Whoever sets a word puts the old one back: around every poll of a task, at the end of a scope.
#[inline]
pub fn set(word: Word) -> Word {
    WORD.with(|cell| {
        let before = Word(cell.load(Ordering::Relaxed));
        // A handler interrupts this very thread: program order is all that it needs.
        cell.store(word.0, Ordering::Relaxed);
        before
    })
}

/// The address of the calling thread's word, valid as long as the thread lives.
///
/// For samplers: its distance from the thread pointer is the same in all threads where the crate is
/// linked into the executable (static TLS), so that a handler needs no call to find it.
pub fn word_address() -> *const AtomicU64 {
    WORD.with(std::ptr::from_ref)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_mix() {
        let node = NodeId::from_bits(0xdead_beef);
        let instance = Instance::from_bits(0x0007_0003);
        let word = Word::new(node).with_instance(instance);
        assert_eq!(word.node(), node);
        assert_eq!(word.instance(), instance);
        assert_eq!(word.with_node(NodeId::ROOT).instance(), instance);
        assert_eq!(word.with_instance(None), Word::new(node));
        assert_eq!(Word::from_bits(word.to_bits()), word);
        assert_eq!(Word::EMPTY.instance(), None);
    }

    #[test]
    fn each_thread_has_its_own() {
        let mine = Word::new(NodeId::from_bits(5));
        let before = set(mine);
        std::thread::spawn(|| assert_eq!(current(), Word::EMPTY))
            .join()
            .unwrap();
        assert_eq!(set(before), mine);
    }

    #[test]
    fn the_address_is_the_word() {
        let before = set(Word::new(NodeId::from_bits(77)));
        // SAFETY: the address of this thread's word, on this thread.
        let seen = unsafe { (*word_address()).load(Ordering::Relaxed) };
        assert_eq!(seen, 77);
        set(before);
    }
}
