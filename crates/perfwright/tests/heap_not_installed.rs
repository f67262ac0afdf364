//! `assert_allocs!` in a program whose global allocator is another.
#![cfg(feature = "heap")]

use perfwright::heap::assert_allocs;

#[test]
#[should_panic(expected = "SampledAlloc is not this program's global allocator")]
fn it_fails_instead_of_counting_0() {
    assert_allocs!(== 0, || 1 + 1);
}
