//! Whose allocation it was.

use std::hint::black_box;

use perfwright_model::Profile;
use perfwright_symbolize::{Options, Symbolizer};

use crate::program::{SITE, at, start, turn};

#[inline(never)]
fn inner_allocates() -> Vec<u8> {
    black_box(Vec::with_capacity(black_box(100_000)))
}

#[inline(never)]
fn outer_calls() -> Vec<u8> {
    black_box(inner_allocates())
}

/// The names along the stack of the samples at a site, innermost first; there must be one stack.
fn names(profile: &mut Profile, site: &str) -> Vec<String> {
    let report = Symbolizer::new(Options::default()).symbolize(profile);
    let stacks: Vec<_> = profile
        .samples()
        .filter(|sample| profile.label_str(sample.labels, SITE) == Some(site))
        .map(|sample| sample.stack)
        .collect();
    assert_eq!(stacks.len(), 1, "{report}");
    profile
        .stack(stacks[0])
        .flat_map(|location| profile.frames(location))
        .map(|frame| profile.function_name(frame.function).to_owned())
        .collect()
}

#[test]
fn the_leaf_is_who_allocates_and_the_root_is_the_thread() {
    let _turn = turn();
    let sampler = start(1);
    drop(at("here", || black_box(outer_calls())));
    let mut capture = sampler.stop();
    let names = names(&mut capture.profile, "here");
    let place = |name: &str| names.iter().position(|frame| frame.contains(name));
    let inner = place("inner_allocates").unwrap_or_else(|| panic!("{names:#?}"));
    let outer = place("outer_calls").unwrap_or_else(|| panic!("{names:#?}"));
    assert!(inner < outer, "{names:#?}");
    let below = &names[..inner];
    for ours in ["allocated_slowly", "sampled", "SampledAlloc", "rg_alloc"] {
        assert!(!below.iter().any(|name| name.contains(ours)), "{names:#?}");
    }
    assert!(
        place("thread_start").is_some() || place("clone").is_some(),
        "{names:#?}"
    );
    assert_eq!(capture.audit.unknown_stack, 0);
}

#[test]
fn deep_stacks_are_cut_at_the_root_and_counted() {
    let _turn = turn();
    #[inline(never)]
    fn deep(depth: usize) -> Vec<u8> {
        if depth == 0 {
            return inner_allocates();
        }
        let mut block = deep(depth - 1);
        black_box(&mut block).clear();
        block
    }
    let sampler = start(1);
    drop(at("deep", || deep(500)));
    let mut capture = sampler.stop();
    assert!(capture.audit.truncated >= 1, "{}", capture.audit);
    let names = names(&mut capture.profile, "deep");
    assert!(
        names.iter().any(|name| name.contains("inner_allocates")),
        "{names:?}"
    );
    assert!(
        names.iter().filter(|name| name.contains("deep")).count() > 80,
        "{names:?}"
    );
}
