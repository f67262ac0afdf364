//! Labels for a scope.

use std::marker::PhantomData;

use crate::registry::child;
use crate::word::{Word, current, set};

/// Puts the thread's former context back when it is dropped. Not `Send`: the word is the thread's.
///
/// Guards nest. Dropped out of order, each still restores what was there when it was made, so the last
/// one dropped wins; held over an `.await`, it labels whatever else the thread polls meanwhile.
#[must_use = "the label ends when the guard is dropped"]
#[derive(Debug)]
pub struct Guard {
    before: Word,
    not_send: PhantomData<*const ()>,
}

/// Adds the label `key = value` to what the calling thread does until the guard is dropped.
pub fn label(key: &str, value: &str) -> Guard {
    let before = current();
    set(before.with_node(child(before.node(), key, value)));
    Guard {
        before,
        not_send: PhantomData,
    }
}

/// Runs `work` under the label `key = value`; also a panic of `work` ends the label.
pub fn with_label<T>(key: &str, value: &str, work: impl FnOnce() -> T) -> T {
    let _guard = label(key, value);
    work()
}

impl Drop for Guard {
    fn drop(&mut self) {
        set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::labels;

    #[test]
    fn labels_nest_and_end() {
        let before = current();
        {
            let _outer = label("outer", "1");
            let _inner = label("inner", "2");
            let keys: Vec<_> = labels(current().node()).into_iter().map(|l| l.0).collect();
            assert_eq!(keys, ["outer", "inner"]);
        }
        assert_eq!(current(), before);
    }

    #[test]
    fn a_panic_ends_the_label() {
        let before = current();
        let result = std::panic::catch_unwind(|| with_label("k", "v", || panic!("on purpose")));
        assert!(result.is_err());
        assert_eq!(current(), before);
    }
}
