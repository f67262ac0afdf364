//! Ten benches of 100 ns to 10 ms that do what programs do: arithmetic, hashing, text, maps, sorting, memory.
//!
//! Each does so many turns of something. The program that runs them takes 3 % more turns if its own file's name
//! says so (`...-slow`): the same code, a known slowdown.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::fmt::Write as _;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::hint::black_box;

/// How much longer a slower program takes.
pub const SLOWDOWN: f64 = 0.03;

/// A bench.
#[derive(Clone, Copy)]
pub struct Subject {
    /// Its name.
    pub name: &'static str,
    /// How often it does its work.
    pub turns: usize,
    /// The work.
    pub work: fn(usize) -> u64,
}

/// All of them, with 3 % more turns in a program that is to be slower.
pub fn subjects() -> Vec<Subject> {
    let own = env::args_os().next().unwrap_or_default();
    let slower = own.to_string_lossy().ends_with("-slow");
    let more = |turns: usize| (turns as f64 * (1.0 + SLOWDOWN)).round() as usize;
    let turns = |turns| if slower { more(turns) } else { turns };
    let subject = |name, count, work| Subject {
        name,
        turns: turns(count),
        work,
    };
    vec![
        subject("arithmetic-100ns", 160, arithmetic),
        subject("hash-500ns", 560, hash),
        subject("format-2us", 100, format),
        subject("parse-10us", 2_000, parse),
        subject("tree-30us", 2_300, tree),
        subject("table-100us", 10_700, table),
        subject("sort-300us", 41_000, sort),
        subject("tree-text-1ms", 11_000, tree_text),
        subject("chase-3ms", 1_080_000, chase),
        subject("boxes-10ms", 985_000, boxes),
    ]
}

fn arithmetic(turns: usize) -> u64 {
    (0..turns as u64).fold(black_box(1), |x: u64, turn| {
        x.wrapping_mul(6_364_136_223_846_793_005) ^ turn
    })
}

fn hash(turns: usize) -> u64 {
    let byte = |at: usize| black_box(at) as u64 & 0xff;
    (0..turns).fold(0xcbf2_9ce4_8422_2325, |hash: u64, at| {
        (hash ^ byte(at)).wrapping_mul(0x100_0000_01b3)
    })
}

fn format(turns: usize) -> u64 {
    let mut text = String::new();
    for turn in 0..turns {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}:{:x} ", turn * 7_919, turn);
    }
    black_box(text).len() as u64
}

fn parse(turns: usize) -> u64 {
    const TEXTS: [&str; 4] = ["17", "65536", "123456789", "99999999999"];
    let number = |turn: usize| black_box(TEXTS[turn % 4]).parse::<u64>().unwrap_or(0);
    (0..turns).map(number).fold(0, u64::wrapping_add)
}

fn tree(turns: usize) -> u64 {
    let keys = (0..turns as u64).map(|turn| (turn.wrapping_mul(0x9e37_79b9_7f4a_7c15), turn));
    let map: BTreeMap<u64, u64> = keys.collect();
    black_box(map)
        .into_iter()
        .fold(0, |sum, (_, value)| sum ^ value)
}

fn table(turns: usize) -> u64 {
    type Hasher = BuildHasherDefault<DefaultHasher>;
    let mut map: HashMap<u64, u64, Hasher> = HashMap::default();
    for turn in 0..turns as u64 {
        *map.entry(turn.wrapping_mul(31) % 1_000).or_default() += turn;
    }
    black_box(map).len() as u64
}

fn sort(turns: usize) -> u64 {
    let draw = |x: &mut u64| {
        *x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Some(*x >> 33)
    };
    let mut numbers: Vec<u64> = std::iter::successors(Some(1_u64), |_| Some(1))
        .scan(7, |x, _| draw(x))
        .take(turns)
        .collect();
    numbers.sort_unstable();
    black_box(numbers)[turns / 2]
}

fn tree_text(turns: usize) -> u64 {
    let key = |turn: usize| format!("key-{}", turn.wrapping_mul(7_919) % 10_007);
    let map: BTreeMap<String, usize> = (0..turns).map(|turn| (key(turn), turn)).collect();
    black_box(map).len() as u64
}

/// Steps through 128 KiB in an order that no prefetcher guesses.
fn chase(turns: usize) -> u64 {
    const SLOTS: usize = 1 << 14;
    thread_local! {
        static NEXT: Vec<u64> = (0..SLOTS as u64)
            .map(|at| (at.wrapping_mul(5).wrapping_add(7_919)) % SLOTS as u64)
            .collect();
    }
    NEXT.with(|next| (0..turns).fold(0, |at, _| next[at as usize]))
}

/// Keeps a thousand blocks and replaces one after the other.
fn boxes(turns: usize) -> u64 {
    let mut kept: Vec<Box<[u8]>> = vec![Box::default(); 1_000];
    for turn in 0..turns {
        kept[turn.wrapping_mul(7_919) % 1_000] = vec![turn as u8; 16 + turn % 64].into();
    }
    black_box(kept).iter().map(|block| block.len() as u64).sum()
}
