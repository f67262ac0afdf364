//! A program whose heap has a peak in the middle, and from known functions.

use std::collections::BTreeMap;
use std::hint::black_box;

use crate::Random;

/// Runs it. At the peak about 60 MB are live; before and after, other functions' memory is.
pub fn run() {
    let early = peak_early();
    let boxes = peak_boxes();
    let pages = peak_pages();
    drop(black_box(early));
    let map = peak_map();
    let grown = peak_grown();
    let little = peak_little();
    // Here it is highest.
    black_box((&boxes, &pages, &map, &grown, &little));
    drop(boxes);
    drop(map);
    let late = peak_late();
    black_box((pages, grown, little, late));
}

/// The innermost function of this module in a stack, given the names of its frames from the leaf.
pub fn function<'a>(mut frames: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    frames.find_map(|name| {
        let (_, name) = name.split_once("peak::peak_")?;
        name.split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
    })
}

/// Gone before the peak.
#[inline(never)]
fn peak_early() -> Vec<Vec<u8>> {
    (0..2_000).map(|_| vec![1; 10_000]).collect()
}

/// 19 MB in small blocks.
#[inline(never)]
fn peak_boxes() -> Vec<Box<[u64; 8]>> {
    (0..300_000).map(|number| Box::new([number; 8])).collect()
}

/// 16 MB in pages.
#[inline(never)]
fn peak_pages() -> Vec<Vec<u8>> {
    (0..4_000).map(|_| vec![2; 4096]).collect()
}

/// Strings of many sizes, and the nodes of a map: two sites of about 10 and 4 MB.
#[inline(never)]
fn peak_map() -> BTreeMap<u64, String> {
    let mut random = Random(3);
    let entries = (0..50_000).map(|number| (number, peak_string(&mut random)));
    entries.collect()
}

#[inline(never)]
fn peak_string(random: &mut Random) -> String {
    // Not the last thing it does, or it would be a jump, and no frame.
    black_box("x".repeat(1 + random.next() as usize % 400))
}

/// One vector, grown to 16 MB.
#[inline(never)]
fn peak_grown() -> Vec<u64> {
    let mut numbers = Vec::new();
    (0..2 << 20).for_each(|number| numbers.push(number));
    numbers
}

/// Below 2 % of the peak.
#[inline(never)]
fn peak_little() -> Vec<Vec<u8>> {
    (0..100).map(|_| vec![4; 1000]).collect()
}

/// After the peak.
#[inline(never)]
fn peak_late() -> Vec<Vec<u8>> {
    (0..2_000).map(|_| vec![5; 10_000]).collect()
}
