//! Order listings that were rendered already.
//!
//! A listing is good until somebody places an order: each is kept under the number of orders placed before it was
//! asked for, so that a stale one is never found again. What is never found again must also go.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;

use crate::fixes::{Fix, Fixes};

/// With `--fix unbounded-cache`: enough for a customer who looks again.
const KEPT: usize = 256;

/// The customer, and how many orders had been placed.
type Key = (i64, u64);

/// The listings of all customers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listings(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    placed: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_key: HashMap<Key, Bytes>,
    oldest_first: VecDeque<Key>,
}

impl Listings {
    /// What to ask for and keep this customer's listing under, from now until the next order.
    pub(crate) fn key(&self, customer: i64) -> Key {
        (customer, self.0.placed.load(Ordering::Acquire))
    }

    /// Somebody placed an order.
    pub(crate) fn outdate(&self) {
        self.0.placed.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn get(&self, key: Key) -> Option<Bytes> {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.by_key.get(&key).cloned()
    }

    pub(crate) fn keep(&self, key: Key, listing: Bytes, fixes: Fixes) {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.by_key.insert(key, listing);
        if fixes.has(Fix::UnboundedCache) {
            kept.oldest_first.push_back(key);
            if kept.oldest_first.len() > KEPT
                && let Some(oldest) = kept.oldest_first.pop_front()
            {
                kept.by_key.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(fixes: Fixes) -> usize {
        let listings = Listings::default();
        for customer in 0..1_000 {
            let key = listings.key(customer);
            listings.keep(key, Bytes::from_static(b"[]"), fixes);
            assert!(listings.get(key).is_some());
            listings.outdate();
            assert_eq!(listings.get(listings.key(customer)), None, "outdated");
        }
        listings.0.kept.lock().unwrap().by_key.len()
    }

    #[test]
    fn the_cache_grows_unless_it_is_fixed() {
        assert_eq!(kept(Fixes::none()), 1_000);
        assert_eq!(kept(Fix::UnboundedCache.into()), KEPT);
    }
}
