use crate::handler::{Capture, capture_here};
use perfwright_stack::{Image, WalkEnd};
use std::hint::black_box;

#[inline(never)]
fn third(image: &Image) -> Capture {
    black_box(capture_here(image))
}
#[inline(never)]
fn second(image: &Image) -> Capture {
    black_box(third(image))
}
#[inline(never)]
fn first(image: &Image) -> Capture {
    black_box(second(image))
}

#[test]
fn debug_print() {
    let image = Image::load().unwrap();
    for m in image.modules() {
        println!(
            "{:x?} {:x} {:?} {:x?} bias {:x} main {}",
            m.range, m.file_offset, m.path, m.build_id, m.bias, m.is_main
        );
    }
    println!(
        "share {:?} rows {} heap {}",
        image.frame_pointer_share(),
        image.table_rows(),
        image.heap_bytes()
    );
    let capture = first(&image);
    println!(
        "{:?} {:?} {}",
        capture.walk,
        capture.bounds,
        capture.stack.len()
    );
    for a in &capture.addresses {
        let m = image.module_at(*a);
        println!(
            "{a:x} {:?} {:x}",
            m.map(|m| m.path.file_name().unwrap_or(m.path.as_os_str()).to_owned()),
            m.map_or(0, |m| a.wrapping_sub(m.bias))
        );
    }
    assert_eq!(capture.walk.end, WalkEnd::Root);
}
