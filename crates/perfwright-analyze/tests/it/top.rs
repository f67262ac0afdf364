//! Tables of the heaviest things.

use perfwright_analyze::{By, Row, top};

use crate::notation::folded;

fn show(row: &Row) -> String {
    let place = match (&row.file, row.line) {
        (Some(file), Some(line)) => format!(" {file}:{line}"),
        (Some(file), None) => format!(" {file}"),
        _ => String::new(),
    };
    format!("{} {}/{}{place}", row.name, row.self_value, row.total_value)
}

/// Rows as `name self/total file:line`.
#[track_caller]
fn check(by: By, input: &str, expected: &[&str]) {
    let rows: Vec<_> = top(&folded(input), 0, by).iter().map(show).collect();
    assert_eq!(rows, expected);
}

#[test]
fn self_and_total() {
    check(
        By::Function,
        "main;a;b 3\nmain;a 1\nmain;c 2",
        &["b 3/3", "c 2/2", "a 1/4", "main 0/6"],
    );
}

#[test]
fn a_recursive_function_counts_once_a_sample() {
    check(
        By::Function,
        "f;f;f 2\nf;g;f;h 3",
        &["h 3/3", "f 2/5", "g 0/3"],
    );
}

#[test]
fn mutual_recursion_counts_once_a_sample() {
    check(By::Function, "a;b;a;b 1\nb;a 1", &["a 1/2", "b 1/2"]);
}

#[test]
fn inlined_functions_have_rows_of_their_own() {
    check(
        By::Function,
        "main;a>b 3\nmain;a 1",
        &["b 3/3", "a 1/4", "main 0/4"],
    );
}

#[test]
fn the_line_is_the_one_with_the_most_self_value() {
    check(
        By::Function,
        "main@m.rs:3;f@f.rs:10 2\nmain@m.rs:4;f@f.rs:11 3\nmain@m.rs:5;f@f.rs:10;g@g.rs:1 9",
        &["g 9/9 g.rs:1", "f 5/14 f.rs:11", "main 0/14 m.rs:5"],
    );
}

#[test]
fn by_line_by_file_and_by_crate() {
    let input = "shop::main@src/main.rs:3;shop::f@src/f.rs:7;core::fmt::write@core/fmt.rs:9 2
                 shop::main@src/main.rs:4;shop::f@src/f.rs:7 3
                 shop::main@src/main.rs:3;memcpy 4";
    check(
        By::FunctionLine,
        input,
        &[
            "memcpy 4/4",
            "shop::f 3/5 src/f.rs:7",
            "core::fmt::write 2/2 core/fmt.rs:9",
            "shop::main 0/6 src/main.rs:3",
            "shop::main 0/3 src/main.rs:4",
        ],
    );
    check(
        By::File,
        input,
        &[
            "(unknown file) 4/4",
            "src/f.rs 3/5 src/f.rs",
            "core/fmt.rs 2/2 core/fmt.rs",
            "src/main.rs 0/9 src/main.rs",
        ],
    );
    check(By::Crate, input, &["[unknown] 4/4", "shop 3/9", "core 2/2"]);
}

#[test]
fn functions_without_a_path_belong_to_the_crate_of_their_file() {
    check(
        By::Crate,
        "main@/home/me/web-shop/src/main.rs:1 1
         f@/r/.cargo/registry/src/i-1/tokio-util-0.7.1/src/lib.rs:1 2
         call_once@/rustc/abc/library/core/src/ops/function.rs:1 3
         g@src/lib.rs:1 4",
        &[
            "[unknown] 4/4",
            "core 3/3",
            "tokio_util 2/2",
            "web_shop 1/1",
        ],
    );
}

#[test]
fn an_empty_profile_has_no_rows() {
    check(By::Function, "", &[]);
}

#[test]
fn the_second_sample_type_is_its_own_table() {
    let rows = top(&folded("a 2"), 1, By::Function);
    assert_eq!(show(&rows[0]), "a 20000000/20000000");
}
