//! The output of `perf script`, in the notation of folded stacks.

use perfwright_format::{ErrorKind, Format, Limits, Place, WarningKind, perf, read};
use perfwright_model::keys;

use crate::text::{by_thread, folded};

pub(crate) const SEED: &str = "\
# ========
# captured on    : Wed Nov 18 16:01:24 2026
#
shop 4242/4243 [001] 12345.678901:     250000 cpu-clock:u:
\t        55d0012ab shop::parse+0x1b (/opt/my shop)
\t        55d0034cd [unknown] (/lib/libc.so.6 (deleted))
\t        55d0034ff main+0x10 (/opt/my shop)

Web Content  77 [000] 12345.678902001:   500000 cpu-clock:u:\x20
\tffffffff81000000 inner (inlined)
\tffffffff81000000 outer (inlined)
  render.rs:20
\tffffffff81000000 do_syscall_64+0x5 ([kernel.kallsyms])
  common.c:290
\t           55d00 operator()(int) (/opt/my shop)

shop 4242/4243 [001] 12345.679901:     1000 cycles: 7f0012 memcpy+0x3 (/lib/libc.so.6)
";

#[test]
fn events_threads_times_lines_and_inlined_functions_are_kept() {
    let read = read(SEED.as_bytes(), &Limits::default()).unwrap();
    assert_eq!((read.format, read.warnings), (Format::PerfScript, vec![]));
    let profile = read.profile;
    let kinds = profile
        .sample_types()
        .iter()
        .map(|kind| format!("{} in {}", kind.kind, kind.unit));
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        [
            "samples in count",
            "cpu-clock:u in nanoseconds",
            "cycles in count"
        ]
    );
    assert_eq!(
        by_thread(&profile, 0),
        "Web Content;operator()(int);do_syscall_64;outer;inner 1\nshop;main;[libc.so.6];shop::parse 1\nshop;memcpy 1\n"
    );
    assert_eq!(
        folded(&profile, 1),
        "main;[libc.so.6];shop::parse 250000\noperator()(int);do_syscall_64;outer;inner 500000\n"
    );
    assert_eq!(folded(&profile, 2), "memcpy 1000\n");
    let times: Vec<_> = profile
        .samples()
        .map(|sample| sample.time_nanos.unwrap())
        .collect();
    assert_eq!(times, [0, 1_001, 1_000_000]);
    let ids = |sample: usize| {
        [keys::TID, "process_id"].map(|key| profile.label_num(profile.sample(sample).labels, key))
    };
    assert_eq!(
        (ids(0), ids(1)),
        ([Some(4243), Some(4242)], [Some(77), None])
    );
    let leaf = profile.stack(profile.sample(1).stack).next().unwrap();
    let lines = profile.frames(leaf).iter().map(|frame| {
        let file = profile.string(profile.function(frame.function).filename);
        (file, frame.line.map_or(0, |line| line.get()))
    });
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [("", 0), ("render.rs", 20), ("common.c", 290)]
    );
    let mapping = profile.location(leaf).mapping.unwrap();
    assert_eq!(
        profile.string(profile.mapping(mapping).filename),
        "[kernel.kallsyms]"
    );
}

#[test]
fn samples_without_time_period_or_stack_are_samples() {
    let text = "shop  12 cycles:\n\t  7f001 main (/opt/shop)\n\nshop 12 [003] cycles:\n\t 7f001 main (/opt/shop)\n";
    let read = perf::read(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(folded(&read.profile, 0), "main 2\n");
    assert_eq!(read.profile.sample_types().len(), 1);
    let text = "a 1 2.5: cycles:\nb 1 2.6: cycles:\r\n\r\n";
    let read = perf::read(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(read.profile.sample_count(), 2);
}

/// Without stacks, perf prints a line a sample and the command's name to the right.
#[test]
fn lines_of_samples_without_stacks_may_begin_with_blanks() {
    let text = "            true 39654 19115.489713:          1 cycles:u:  ffffffff9b201293 [unknown] ([unknown])\n\
                          my true 39654 19115.489719:          2 cycles:u:      7fa68b1f2d84 _dl_start+0x4 (/usr/lib/ld.so)\n";
    let read = read(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!((read.format, read.warnings), (Format::PerfScript, vec![]));
    assert_eq!(
        by_thread(&read.profile, 1),
        "my true;_dl_start 2\ntrue;[unknown] 1\n"
    );
}

#[test]
fn stacks_whose_blanks_were_lost_are_read() {
    let text: String = SEED
        .lines()
        .map(|line| format!("{}\n", line.trim()))
        .collect();
    let stripped = read(text.as_bytes(), &Limits::default()).unwrap();
    let expected = read(SEED.as_bytes(), &Limits::default()).unwrap();
    // But a line number is no longer told from a new sample.
    assert_eq!(stripped.warnings[0].kind, WarningKind::UnknownLine);
    assert_eq!(folded(&stripped.profile, 0), folded(&expected.profile, 0));
}

#[test]
fn source_lines_that_perf_did_not_find_are_no_warning() {
    let text = "a 1 2.5: cycles:\n\tffffffff8175336a elf_load+0x28a ([kernel.kallsyms])\n  [kernel.kallsyms][ffffffff8175336a]\n\
                \t55d0012ab main (/bin/a)\n  ??:?\n";
    let read = read(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(read.warnings, []);
    assert_eq!(folded(&read.profile, 0), "main;elf_load 1\n");
}

/// Which event comes first is chance; where there is a clock, time is what people look for.
#[test]
fn the_clock_is_shown_first() {
    let default = |text: &str| {
        let profile = read(text.as_bytes(), &Limits::default()).unwrap().profile;
        let index = profile.default_sample_type().unwrap();
        profile.sample_types()[index].kind.clone()
    };
    let sample = |event: &str| format!("a 1 2.5: 10 {event}:\n\t55d0012ab main (/bin/a)\n\n");
    assert_eq!(
        default(&(sample("faults") + &sample("cpu-clock:u") + &sample("cycles"))),
        "cpu-clock:u"
    );
    assert_eq!(
        default(&(sample("cycles") + &sample("instructions"))),
        "cycles"
    );
    assert_eq!(
        default("a 1 2.5: cycles:\n\t55d0012ab main (/bin/a)\n"),
        "samples"
    );
}

#[test]
fn what_is_no_sample_is_skipped_and_said() {
    let text = format!("Warning: lost events\n{SEED}\twhat is this\n\t\u{fffd}\n");
    let read = read(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(read.profile.sample_count(), 3);
    let warning = read.warnings[0];
    assert_eq!(
        (warning.kind, warning.count, warning.first),
        (WarningKind::UnknownLine, 3, Place::Line(1))
    );
    let error = perf::read(b"nothing here\n", &Limits::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Empty);
    let broken = perf::read(
        b"a 1 2.5: cycles:\n\t7f main (/bin/\xff\xfe)\n",
        &Limits::default(),
    )
    .unwrap();
    assert_eq!(broken.profile.sample_count(), 1);
}

#[test]
fn the_limits_hold_and_name_the_line() {
    let with = |set: fn(&mut Limits), line: u64| {
        let mut limits = Limits::default();
        set(&mut limits);
        let error = perf::read(SEED.as_bytes(), &limits).unwrap_err();
        assert_eq!(
            (error.kind(), error.place()),
            (ErrorKind::Limit, Place::Line(line)),
            "{error}"
        );
    };
    with(|limits| limits.depth = 2, 7);
    with(|limits| limits.samples = 1, 9);
    with(|limits| limits.functions = 3, 9);
    with(|limits| limits.stack_nodes = 3, 9);
    with(|limits| limits.mappings = 2, 9);
    with(|limits| limits.sample_types = 2, 17);
}
