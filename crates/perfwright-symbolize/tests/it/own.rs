//! This process.

use perfwright_symbolize::{Options, Symbolizer};

use crate::support::{Fixture, frames, own_mapping};

/// The address of the instruction after the call, which is inside the caller.
#[inline(always)]
fn here() -> u64 {
    let pc: u64;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads the instruction pointer into a register and touches nothing else.
    unsafe {
        std::arch::asm!("lea {}, [rip]", out(reg) pc, options(nomem, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("adr {}, .", out(reg) pc, options(nomem, nostack, preserves_flags));
    }
    pc
}

#[inline(always)]
fn innermost() -> (u64, u32) {
    (here(), line!())
}

#[inline(always)]
fn middle<T: Default>() -> ((u64, u32), u32, T) {
    (innermost(), line!(), T::default())
}

#[inline(never)]
fn outermost() -> ((u64, u32), u32, u32) {
    let (inner, line, _) = middle::<u8>();
    (inner, line, line!() - 1)
}

#[test]
fn inlined_frames_come_innermost_first_with_their_lines() {
    let ((pc, inner_line), middle_line, outer_line) = outermost();
    let (file, start, limit, offset) = own_mapping(pc);
    let mut fixture = Fixture::new(&file, start, limit, offset, "");
    let location = fixture.add(pc);
    let report = Symbolizer::new(Options::default()).symbolize(&mut fixture.profile);

    // With `line-tables-only` rustc names inlined functions without their path.
    let found = frames(&fixture.profile, location);
    let ends = [
        "here own.rs:".to_owned(),
        format!("innermost own.rs:{inner_line}"),
        format!("own.rs:{middle_line}"),
        format!("it::own::outermost own.rs:{outer_line}"),
    ];
    assert_eq!(found.len(), ends.len(), "{found:?}");
    assert!(
        found[0].contains(&ends[0]) && found[2].contains("middle"),
        "{found:?}"
    );
    for (frame, end) in found.iter().zip(&ends).skip(1) {
        assert!(frame.ends_with(end), "{found:?}: {end}");
    }
    assert_eq!((report.resolved, report.unresolved), (1, 0), "{report}");
    let mapping = fixture.mapping();
    assert!(mapping.has_functions && mapping.has_lines && mapping.has_inlines);
}

#[test]
fn the_vdso_is_named_from_its_image_in_memory() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let Some(line) = maps.lines().find(|line| line.ends_with("[vdso]")) else {
        println!("skipped: this kernel maps no vdso");
        return;
    };
    let (start, limit) = line
        .split_whitespace()
        .next()
        .unwrap()
        .split_once('-')
        .unwrap();
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let (start, limit) = (hex(start), hex(limit));
    let mut fixture = Fixture::new("[vdso]", start, limit, 0, "");
    let locations: Vec<_> = (start..limit)
        .step_by(64)
        .map(|at| fixture.add(at))
        .collect();
    let report = Symbolizer::new(Options::default()).symbolize(&mut fixture.profile);
    let named = |location| frames(&fixture.profile, location)[0].starts_with("__vdso_");
    assert!(locations.into_iter().any(named), "{report}");
}
