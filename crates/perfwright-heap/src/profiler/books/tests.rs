use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::draw;

fn nobody(_: Bits) {}

fn open(max_bytes: usize) -> (Books, Shards) {
    let shards = Shards::new();
    let mut books = Books::new(nobody);
    assert!(books.open(&shards, max_bytes));
    (books, shards)
}

fn sample(block: u64, size: u64, stack: &[u64]) -> Sample<'_> {
    Sample {
        block,
        size,
        weight: 1.0,
        context: 0,
        stack,
        flaws: Flaws::default(),
    }
}

/// Bytes by the stack's leaf, without those that are 0.
fn by_leaf(open: &Open, value: impl Fn(&super::super::sites::Site) -> Amount) -> Vec<(u64, u64)> {
    let mut rows: Vec<(u64, u64)> = open
        .sites
        .iter()
        .filter(|site| !site.stack().is_empty())
        .map(|site| (site.stack()[0], value(site).bytes()))
        .filter(|&(_, bytes)| bytes > 0)
        .collect();
    rows.sort_unstable();
    rows
}

fn in_use(books: &Books) -> Vec<(u64, u64)> {
    by_leaf(books.session().unwrap(), |site| site.in_use)
}

fn at_peak(books: &Books) -> Vec<(u64, u64)> {
    let open = books.session().unwrap();
    by_leaf(open, |site| site.at_peak(open.peak.number))
}

#[test]
fn the_peak_is_what_was_in_use_when_most_was() {
    let (mut books, shards) = open(1 << 20);
    assert_eq!(at_peak(&books), []);
    books.add(&shards, sample(16, 100, &[1]));
    books.add(&shards, sample(32, 50, &[2]));
    assert_eq!(at_peak(&books), [(1, 100), (2, 50)]);
    // Below the peak: a third site comes, the first goes.
    assert!(books.remove(&shards, 16).is_some());
    books.add(&shards, sample(48, 60, &[3]));
    books.add(&shards, sample(64, 5, &[2]));
    assert_eq!(in_use(&books), [(2, 55), (3, 60)]);
    assert_eq!(at_peak(&books), [(1, 100), (2, 50)]);
    // Above it.
    books.add(&shards, sample(80, 70, &[1]));
    assert_eq!(at_peak(&books), [(1, 70), (2, 55), (3, 60)]);
    for block in [32, 48, 64, 80] {
        assert!(books.remove(&shards, block).is_some());
    }
    assert_eq!(in_use(&books), []);
    assert_eq!(at_peak(&books), [(1, 70), (2, 55), (3, 60)]);
    let allocated = by_leaf(books.session().unwrap(), |site| site.allocated);
    assert_eq!(allocated, [(1, 170), (2, 55), (3, 60)]);
}

#[test]
fn the_peak_is_exact_against_a_sweep() {
    let (mut books, shards) = open(4 << 20);
    let mut random = 11;
    let mut live: Vec<u64> = Vec::new();
    let (mut most, mut expected) = (0, Vec::new());
    for block in 1..if cfg!(miri) { 200 } else { 5_000_u64 } {
        let dice = draw::next(&mut random);
        if dice % 100 < 45 && !live.is_empty() {
            let at = dice as usize / 128 % live.len();
            assert!(books.remove(&shards, live.swap_remove(at)).is_some());
        } else {
            books.add(&shards, sample(block * 16, 1 + dice % 1000, &[dice % 7]));
            live.push(block * 16);
        }
        let now: u64 = in_use(&books).iter().map(|(_, bytes)| bytes).sum();
        if now > most {
            most = now;
            expected = in_use(&books);
        }
        assert_eq!(at_peak(&books), expected);
    }
}

#[test]
fn everything_freed_is_exactly_nothing() {
    let (mut books, shards) = open(16 << 20);
    let mut random = 3;
    let count = if cfg!(miri) { 200 } else { 20_000 };
    for block in 1..=count {
        let size = 1 + draw::next(&mut random) % 100_000;
        let stack = [size % 50, 7];
        let sample = Sample {
            weight: draw::weight(size, 512 << 10),
            ..sample(block * 48, size, &stack)
        };
        books.add(&shards, sample);
    }
    assert_eq!(books.session().unwrap().counters.live_samples, count);
    for block in 1..=count {
        assert!(books.remove(&shards, block * 48).is_some());
        assert_eq!(books.remove(&shards, block * 48), None);
    }
    let open = books.session().unwrap();
    assert_eq!(open.counters.live_samples, 0);
    assert_eq!(open.in_use, 0);
    assert!(
        open.sites
            .iter()
            .all(|site| site.in_use == Amount::default())
    );
    assert!(open.sites.iter().all(|site| site.live == 0));
}

#[test]
fn a_failed_realloc_leaves_all_as_it_was() {
    let (mut books, shards) = open(1 << 20);
    books.add(&shards, sample(16, 100, &[1]));
    let before = in_use(&books);
    let record = books.remove(&shards, 16).unwrap();
    assert_eq!(in_use(&books), []);
    books.restore(&shards, record);
    assert_eq!(in_use(&books), before);
    assert_eq!(books.session().unwrap().counters.samples, 1);
    assert_eq!(books.remove(&shards, 16), Some(record));
}

/// The bits published last.
static PUBLISHED: crate::filter::Word = crate::filter::Word::new(NOTHING);
static PUBLICATIONS: AtomicU64 = AtomicU64::new(0);

fn publish(bits: Bits) {
    PUBLISHED.store(bits);
    PUBLICATIONS.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn the_filter_grows_and_never_misses() {
    let shards = Shards::new();
    let mut books = Books::new(publish);
    assert!(books.open(&shards, 32 << 20));
    let opened = PUBLICATIONS.load(Ordering::Relaxed);
    let count = if cfg!(miri) { 500 } else { 10_000 };
    let mut held = HashMap::new();
    for i in 1..=count {
        books.add(&shards, sample(i * 16, 1, &[1]));
        held.insert(i * 16, ());
        if i % 3 == 0 {
            books.remove(&shards, i * 8 / 16 * 16);
            held.remove(&(i * 8 / 16 * 16));
        }
        assert!(PUBLISHED.load().may_hold(i * 16));
    }
    assert!(PUBLICATIONS.load(Ordering::Relaxed) > opened);
    assert!(held.keys().all(|&block| PUBLISHED.load().may_hold(block)));
    for block in held.into_keys() {
        assert!(books.remove(&shards, block).is_some());
    }
    assert!((1..=count).all(|i| !PUBLISHED.load().may_hold(i * 16)));
    books.close(&shards);
    assert!(books.session().is_none());
    assert_eq!(PUBLISHED.load(), NOTHING);
}

#[test]
fn full_tables_are_counted() {
    let count = if cfg!(miri) { 5_000 } else { 20_000 };
    let (mut books, shards) = open(256 << 10);
    for i in 1..=count {
        books.add(&shards, sample(i * 16, 10, &[i, 5]));
    }
    let counters = books.session().unwrap().counters;
    assert_eq!(counters.samples, count);
    assert!(counters.untracked > 0 && counters.other > 0, "{counters:?}");
    assert_eq!(counters.live_samples + counters.untracked, count);
    // What was allocated is known in spite of that.
    let open = books.session().unwrap();
    let allocated: u64 = open.sites.iter().map(|site| site.allocated.bytes()).sum();
    assert_eq!(allocated, 10 * count);
    let removed = (1..=count)
        .filter(|i| books.remove(&shards, i * 16).is_some())
        .count() as u64;
    assert_eq!(removed, counters.live_samples);
    assert_eq!(books.session().unwrap().in_use, 0);
}

#[test]
fn closed_books_take_nothing_and_open_again_empty() {
    let (mut books, shards) = open(1 << 20);
    books.add(&shards, sample(16, 100, &[1]));
    let record = Record {
        block: 16,
        size: 100,
        weight: 1.0,
        site: 1,
        epoch: 0,
    };
    books.close(&shards);
    books.add(&shards, sample(32, 100, &[1]));
    books.restore(&shards, record);
    assert_eq!(books.remove(&shards, 16), None);
    assert!(books.open(&shards, 1 << 20));
    assert_eq!(in_use(&books), []);
    assert_eq!(books.remove(&shards, 16), None);
    books.restore(&shards, record);
    assert_eq!(in_use(&books), [], "its site was another session's");
    assert!(!Books::new(nobody).open(&Shards::new(), 4096), "too little");
}

#[test]
fn threads_that_come_and_go_agree() {
    let (books, shards) = open(16 << 20);
    let books = Lock::new(books);
    let rounds = if cfg!(miri) { 20 } else { 5_000 };
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (books, shards) = (&books, &shards);
            scope.spawn(move || {
                for i in 0..rounds {
                    let block = (1 + thread * rounds + i) * 16;
                    books.lock().add(shards, sample(block, 10, &[thread]));
                    assert!(shards.of(block).lock().holds(block));
                    assert!(books.lock().remove(shards, block).is_some());
                }
            });
        }
    });
    let books = books.lock();
    let open = books.session().unwrap();
    assert_eq!(open.counters.samples, 4 * rounds);
    assert_eq!(open.counters.live_samples, 0);
    assert_eq!(open.in_use, 0);
}
