//! A program whose heap has a peak in the middle, and from known functions.

use std::collections::BTreeMap;
use std::hint::black_box;

use crate::Random;

/// Runs it. At the peak 267 MB are live; before and after, other functions' memory is.
///
/// At the default rate the estimate of such a sum has a standard deviation of 12 MB, and a moment that comes
/// nearer to the peak than that may be taken for it: here none comes nearer than 90 MB. A site of 2 % has ten
/// samples.
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

/// The innermost function of this module in a stack, given the names of its frames from the leaf: paths, or the
/// last word of them where only line tables tell; dhat's have an address before and a line after.
pub fn function<'a>(mut frames: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    frames.find_map(|frame| {
        let name = match frame.split_once(": ") {
            Some((address, name)) if address.starts_with("0x") => name,
            _ => frame,
        };
        let path = name.split(['<', ' ']).next()?;
        path.rsplit(':').next()?.strip_prefix("peak_")
    })
}

// Each ends with a `black_box`: a call that is the last thing a function does would be a jump, and the function
// no frame.

/// Gone before the peak.
#[inline(never)]
fn peak_early() -> Vec<Vec<u8>> {
    black_box((0..2_000).map(|_| vec![1; 10_000]).collect())
}

/// 77 MB in small blocks.
#[inline(never)]
#[expect(clippy::vec_box, reason = "the boxes are what is measured")]
fn peak_boxes() -> Vec<Box<[u64; 8]>> {
    black_box((0..1_200_000).map(|number| Box::new([number; 8])).collect())
}

/// 66 MB in pages.
#[inline(never)]
fn peak_pages() -> Vec<Vec<u8>> {
    black_box((0..16_000).map(|_| vec![2; 4096]).collect())
}

/// Strings of many sizes, and the nodes of a map: two sites of about 40 and 7 MB.
#[inline(never)]
fn peak_map() -> BTreeMap<u64, String> {
    let mut random = Random(3);
    let entries = (0..200_000).map(|number| (number, peak_string(&mut random)));
    black_box(entries.collect())
}

#[inline(never)]
fn peak_string(random: &mut Random) -> String {
    black_box("x".repeat(1 + random.draw() as usize % 400))
}

/// One vector, grown to 67 MB.
#[inline(never)]
fn peak_grown() -> Vec<u64> {
    let mut numbers = Vec::new();
    (0..8 << 20).for_each(|number| numbers.push(number));
    black_box(numbers)
}

/// Below 2 % of the peak.
#[inline(never)]
fn peak_little() -> Vec<Vec<u8>> {
    black_box((0..400).map(|_| vec![4; 1000]).collect())
}

/// After the peak.
#[inline(never)]
fn peak_late() -> Vec<Vec<u8>> {
    black_box((0..2_000).map(|_| vec![5; 10_000]).collect())
}
