//! Small programs in Rust and C with known lines.

use std::collections::BTreeSet;
use std::path::Path;

use perfwright_symbolize::{Options, Symbolizer};

use crate::support::{BASE, Fixture, Program, frames, run};

const RUST: &str = r#"mod shop {
    pub struct Cart<T>(pub Vec<T>);
    impl<T: Copy + Into<u64>> Cart<T> {
        #[inline(always)]
        pub fn total(&self, seed: u64) -> u64 {
            let mut sum = seed;
            for item in &self.0 {
                sum = mix(sum, (*item).into());
            }
            sum
        }
    }
    #[inline(always)]
    fn mix(a: u64, b: u64) -> u64 {
        (a ^ b).wrapping_mul(0x9e37_79b9).rotate_left(7)
    }
    #[inline(never)]
    pub fn checkout(items: &[u32]) -> u64 {
        Cart(items.to_vec()).total(items.len() as u64)
    }
}
fn main() {
    let items: Vec<u32> = std::env::args().map(|a| a.len() as u32).collect();
    println!("{}", shop::checkout(&items));
}
"#;

pub(crate) const C: &str = r#"#include <stdlib.h>
static inline __attribute__((always_inline)) int step(int a, int b) {
    return a * 31 + b * b;
}
static inline __attribute__((always_inline)) int walk(int *v, int n) {
    int s = 0;
    for (int i = 0; i < n; i++)
        s = step(s, v[i]);
    return s;
}
__attribute__((noinline)) int work(int *v, int n) {
    return walk(v, n) + 1;
}
int main(int argc, char **argv) {
    int v[64];
    for (int i = 0; i < 64; i++)
        v[i] = argc + i;
    return work(v, 64) & 1;
}
"#;

/// Compiles [`C`] with these flags.
pub(crate) fn compile_c(folder: &Path, name: &str, flags: &[&str]) -> Program {
    let (source, output) = (folder.join("work.c"), folder.join(name));
    std::fs::write(&source, C).unwrap();
    let paths = [source.to_str().unwrap(), "-o", output.to_str().unwrap()];
    run("cc", &[&["-O2", "-Wl,--build-id"], flags, &paths].concat());
    Program::read(output)
}

/// Compiles [`RUST`] with these flags.
pub(crate) fn compile_rust(folder: &Path, name: &str, flags: &[&str]) -> Program {
    let (source, output) = (folder.join("shop.rs"), folder.join(name));
    std::fs::write(&source, RUST).unwrap();
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let paths = [source.to_str().unwrap(), "-o", output.to_str().unwrap()];
    let fixed = ["--edition=2024", "-O", "-Clink-arg=-Wl,--build-id"];
    run(&rustc, &[&fixed, flags, &paths].concat());
    Program::read(output)
}

/// Every distinct stack of frames in a function.
fn stacks_in(program: &Program, function: &str) -> BTreeSet<Vec<String>> {
    let mut fixture = Fixture::of(program, &program.path);
    let (svma, size) = program.function(function);
    let locations: Vec<_> = (svma..svma + size)
        .map(|at| fixture.add(BASE + at))
        .collect();
    let report = Symbolizer::new(Options::default()).symbolize(&mut fixture.profile);
    assert_eq!(report.unresolved, 0, "{report}");
    let stacks = locations.into_iter().map(|at| frames(&fixture.profile, at));
    stacks.collect()
}

#[track_caller]
fn assert_has(stacks: &BTreeSet<Vec<String>>, stack: &[&str]) {
    let found = stacks.iter().any(|found| found == stack);
    assert!(found, "{stack:?} is not in {stacks:#?}");
}

#[test]
fn rust_functions_have_whole_names_and_call_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mix = [
        "shop::shop::mix shop.rs:15",
        "shop::shop::Cart<T>::total shop.rs:8",
        "shop::shop::checkout shop.rs:19",
    ];
    for debug in ["-Cdebuginfo=1", "-Cdebuginfo=2"] {
        let program = compile_rust(folder.path(), "shop", &[debug]);
        assert_has(&stacks_in(&program, "checkout"), &mix);
    }
    // With line tables alone an inlined function has only its last name; the lines are the same.
    let program = compile_rust(folder.path(), "shop", &["-Cdebuginfo=line-tables-only"]);
    let short = ["mix shop.rs:15", "total<u32> shop.rs:8", mix[2]];
    assert_has(&stacks_in(&program, "checkout"), &short);
}

#[test]
fn every_dwarf_version_and_compression_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let flags: &[&[&str]] = &[
        &["-gdwarf-5"],
        &["-gdwarf-4"],
        &["-gdwarf-3"],
        &["-gdwarf-5", "-gz=zlib"],
        &["-gdwarf-5", "-no-pie", "-fno-pie"],
        &[
            "-gdwarf-5",
            "-gno-as-locview-support",
            "-ffunction-sections",
            "-Wl,--gc-sections",
        ],
    ];
    let step = ["step work.c:3", "walk work.c:8", "work work.c:12"];
    for (index, flags) in flags.iter().enumerate() {
        let program = compile_c(folder.path(), &format!("work{index}"), flags);
        let stacks = stacks_in(&program, "work");
        assert_has(&stacks, &step);
        assert_has(&stacks_in(&program, "main"), &["main work.c:17"]);
    }
}

#[test]
fn without_debug_information_symbols_name_what_they_cover() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile_c(folder.path(), "work", &["-g0"]);
    let mut fixture = Fixture::of(&program, &program.path);
    let (svma, size) = program.function("work");
    let inside = fixture.add(BASE + svma + size - 1);
    // Behind the program's code; `_fini`, which has no size, must not reach so far.
    let beyond = fixture.add(BASE + 0xfff_0000);
    let report = Symbolizer::new(Options::default()).symbolize(&mut fixture.profile);
    assert_eq!(frames(&fixture.profile, inside), ["work"]);
    assert_eq!(frames(&fixture.profile, beyond), ["work!0xfff0000"]);
    assert_eq!((report.resolved, report.unresolved), (1, 1), "{report}");
    assert_eq!(report.mappings[0].from_symbols, 1);
    let mapping = fixture.mapping();
    assert!(mapping.has_functions && !mapping.has_lines && !mapping.has_inlines);
}
