//! `assert_allocs!` in a program whose global allocator is `SampledAlloc`.
#![cfg(feature = "heap")]

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};

use perfwright::heap::{SampledAlloc, assert_allocs, count};

#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

/// `count` strings of 17 bytes, and their vector of 24 bytes each.
#[inline(never)]
fn names(count: usize) -> Vec<String> {
    (0..count)
        .map(|_| black_box("a name of its own").to_owned())
        .collect()
}

/// The message of the panic.
fn failure<T>(assertion: impl FnOnce() -> T) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(assertion)) else {
        panic!("it held")
    };
    *panic.downcast::<String>().unwrap()
}

#[test]
fn what_holds_gives_the_value() {
    let three: u64 = 3;
    assert_eq!(assert_allocs!(== 0, || 1 + black_box(1)), 2);
    let kept = assert_allocs!(<= three, || names(2));
    assert_eq!(kept.len(), 2);
    assert_allocs!(== 3, bytes == 48 + 2 * 17, || names(2));
    assert_allocs!(< 4, bytes < 83, || names(2));
    assert_allocs!(bytes <= 82, || names(2),);
    let mut state = 1;
    assert_allocs!(== 1, || {
        state += 1;
        Box::new(state)
    });
    assert_eq!(state, 2);
}

#[test]
fn each_comparison_is_strict_where_it_says_so() {
    for message in [
        failure(|| assert_allocs!(<= 2, || names(2))),
        failure(|| assert_allocs!(< 3, || names(2))),
        failure(|| assert_allocs!(== 4, || names(2))),
        failure(|| assert_allocs!(== 2, || names(2))),
        failure(|| assert_allocs!(<= 3, bytes <= 81, || names(2))),
        failure(|| assert_allocs!(<= 2, bytes <= 82, || names(2))),
        failure(|| assert_allocs!(bytes < 82, || names(2))),
    ] {
        assert!(
            message.contains("failed: 3 allocations, 82 bytes"),
            "{message}"
        );
    }
}

#[test]
fn a_count_can_be_looked_at_without_asserting() {
    let counted = count(|| names(1));
    assert_eq!(counted.allocations, 2);
    assert_eq!(counted.value.len(), 1);
}

/// What a failure says, where stacks have names.
#[cfg(all(
    feature = "symbolize",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod messages {
    use super::*;

    const NAMES_LINE: u32 = line!() + 5;

    #[inline(never)]
    fn names(count: usize) -> Vec<String> {
        // Not the last thing it does: that would be a jump where it is optimised, and this function no frame.
        black_box((0..count).map(name).collect())
    }

    const NAME_LINE: u32 = line!() + 4;

    #[inline(never)]
    fn name(number: usize) -> String {
        black_box("a name of its own").to_owned() + if black_box(number) < 2 { "" } else { "!" }
    }

    #[inline(never)]
    fn bytes(size: usize) -> Vec<u8> {
        black_box(Vec::with_capacity(size))
    }

    #[test]
    fn it_says_where_the_allocations_came_from() {
        let message = failure(|| assert_allocs!(<= 3, bytes <= 100, || black_box(names(5))));
        let lines: Vec<_> = message.lines().map(str::trim_end).collect();
        let line = |text: &str| {
            let found = lines.iter().position(|line| line.contains(text));
            found.unwrap_or_else(|| panic!("no {text:?} in\n{message}"))
        };
        let first = "assertion `allocations <= 3, bytes <= 100` failed: \
            9 allocations (3 reallocations), 307 bytes";
        assert_eq!(line(first), 0);
        // By count, with what was called of the standard library.
        let five = line("  5 allocations, 85 bytes, in ");
        let three = line("  3 reallocations, 102 bytes, in ");
        let one = line("  1 allocation, 120 bytes, in ");
        assert!(five < three && three < one, "{message}");
        // The callers, innermost first, and their lines.
        let (name, names) = (lines[five + 1].trim(), lines[five + 2].trim());
        assert!(
            name.starts_with(&format!("tests/heap.rs:{NAME_LINE} ")),
            "{message}"
        );
        assert!(name.ends_with("::name"), "{message}");
        assert!(
            names.starts_with(&format!("tests/heap.rs:{NAMES_LINE} ")),
            "{message}"
        );
        assert!(names.ends_with("::names"), "{message}");
        // Neither the allocator nor the test harness is of interest.
        for glue in [
            "SampledAlloc",
            "__rust",
            "perfwright_heap",
            "raw_vec",
            "test::",
        ] {
            assert!(!message.contains(glue), "{glue} in\n{message}");
        }
    }

    #[test]
    fn many_places_are_cut_to_the_largest() {
        let all = || {
            drop(bytes(1));
            drop(bytes(2));
            drop(bytes(3));
            drop(bytes(4));
            drop(bytes(5));
            drop(bytes(6));
            drop(bytes(7));
            drop(bytes(8));
            drop(bytes(9));
            drop(bytes(10));
            drop(bytes(11));
            drop(bytes(12));
            drop(bytes(13));
        };
        let message = failure(|| assert_allocs!(== 0, all));
        let first = "assertion `allocations == 0` failed: 13 allocations, 91 bytes\n";
        assert!(message.starts_with(first), "{message}");
        assert!(
            message.ends_with("\n  3 allocations from 3 more places"),
            "{message}"
        );
        let has = |text: &str| message.contains(text);
        assert!(
            has("\n  1 allocation, 13 bytes"),
            "the larger of equals: {message}"
        );
        assert!(!has("\n  1 allocation, 3 bytes"), "{message}");
    }
}
