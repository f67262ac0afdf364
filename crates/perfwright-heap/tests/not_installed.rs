//! A program whose global allocator is another.

use perfwright_heap::{Timeline, Totals, count, try_count};

#[test]
fn counting_is_an_error_instead_of_0() {
    let mut ran = false;
    let error = try_count(|| ran = true).unwrap_err();
    assert!(!ran);
    let text = error.to_string();
    assert!(
        text.contains("SampledAlloc is not this program's global allocator"),
        "{text}"
    );
    assert!(text.contains("#[global_allocator]"), "{text}");
    let panic = std::panic::catch_unwind(|| count(|| 1).value).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert_eq!(*message, format!("failed to {text}"));
}

#[test]
fn totals_are_unknown_and_the_timeline_goes_without() {
    assert_eq!(Totals::read(), None);
    let mut timeline = Timeline::new();
    let reading = timeline.observe();
    assert_eq!((reading.totals, reading.live_bytes()), (None, None));
    assert_eq!(
        reading.process.resident_bytes.is_some(),
        cfg!(any(unix, windows))
    );
}
