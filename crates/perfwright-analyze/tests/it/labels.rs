//! Threads and other labels.

use perfwright_analyze::{by_label, by_thread};

use crate::notation::folded;

const INPUT: &str = "thread=w thread_id=7 route=/a: f 1
                     thread=w thread_id=8 route=/b: f 2
                     thread=w thread_id=8: g 4
                     thread=main thread_id=6: g 1
                     g 3";

#[test]
fn samples_by_label() {
    let rows: Vec<_> = by_label(&folded(INPUT), 0, "route")
        .into_iter()
        .map(|row| (row.value, row.total_value))
        .collect();
    let expected = [
        (None, 8),
        (Some("/b".to_owned()), 2),
        (Some("/a".to_owned()), 1),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn threads_of_one_name_are_told_apart_by_id() {
    let rows: Vec<_> = by_thread(&folded(INPUT), 0)
        .into_iter()
        .map(|row| (row.name.unwrap_or_default(), row.tid, row.total_value))
        .collect();
    let expected = [
        ("w".to_owned(), Some(8), 6),
        (String::new(), None, 3),
        ("main".to_owned(), Some(6), 1),
        ("w".to_owned(), Some(7), 1),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn a_label_that_nothing_has_is_one_row_without_value() {
    let rows = by_label(&folded("a 2"), 0, "route");
    assert_eq!(
        (rows.len(), rows[0].value.clone(), rows[0].total_value),
        (1, None, 2)
    );
    assert_eq!(by_label(&folded(""), 0, "route"), []);
}
