//! A bounded fuzz with a fixed seed: mutations of valid files are read or refused, and what is read can be
//! written and read again. `fuzz/` holds the unbounded one.

use perfwright_format::{Limits, Reader, folded, pprof, read};

use crate::{
    canon,
    pprof::{encode, gzip, rich_profile},
    samples::profiles,
};

/// Xorshift64*: repeatable everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// One to four changes such as damage and malice make them.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len().max(1));
        match (random.below(7), bytes.is_empty()) {
            (_, true) => bytes.push(random.next() as u8),
            (0, _) => bytes[at] ^= 1 << random.below(8),
            (1, _) => bytes[at] = random.next() as u8,
            (2, _) => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            (3, _) => drop(bytes.drain(at..(at + random.below(9)).min(bytes.len()))),
            (4, _) => bytes.insert(at, random.next() as u8),
            (5, _) => {
                let end = (at + random.below(40)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, part);
            }
            _ => bytes.truncate(at.max(bytes.len() / 2)),
        }
    }
}

/// The limits of a fuzz, so that a hit is seen as an error and not as swapping.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.bytes = 1 << 20;
    limits.depth = 1 << 10;
    limits
}

fn run(seeds: &[Vec<u8>], rounds: usize, check: fn(&[u8]) -> bool) -> usize {
    let mut random = Random(0x5eed_5eed_5eed_5eed);
    let mut accepted = 0;
    for round in 0..rounds {
        let mut bytes = seeds[round % seeds.len()].clone();
        mutate(&mut bytes, &mut random);
        accepted += usize::from(check(&bytes));
    }
    accepted
}

#[test]
fn mutated_pprof_files() {
    let accepted = run(&[encode(&rich_profile())], 20_000, |bytes| {
        let Ok(first) = pprof::read(bytes, &limits()) else {
            return false;
        };
        let written = encode(&first.profile);
        let second = pprof::read(&written, &limits()).unwrap();
        assert_eq!(
            canon::of_model(&second.profile),
            canon::of_model(&first.profile)
        );
        let mut lines = Vec::new();
        folded::write(&first.profile, 0, &mut lines).unwrap();
        true
    });
    assert!(
        accepted > 1_000,
        "only {accepted} of 20000 were still profiles"
    );
}

#[test]
fn mutated_gzip_files() {
    run(
        &[
            gzip(&encode(&rich_profile())),
            gzip(b"main;a b 1.5\nmain;c 2\n"),
        ],
        4_000,
        |bytes| {
            let mut reader = Reader::new(limits());
            bytes.chunks(7).for_each(|piece| reader.push(piece));
            let (whole, pieces) = (read(bytes, &limits()), reader.finish());
            assert_eq!(pieces.err(), whole.as_ref().err().cloned());
            whole.is_ok()
        },
    );
}

#[test]
fn mutated_folded_files() {
    let seeds = [
        "main;a b 12\nmain;c;d 3.25\n# note\n\nmain;c -1\n"
            .repeat(3)
            .into_bytes(),
        b"a;b 1 2\r\na;c 3 4\r\n\xc3\xa4;\xc3\xb6 5 6\r\n".to_vec(),
    ];
    let accepted = run(&seeds, 20_000, |bytes| {
        let Ok(first) = folded::read(bytes, &limits()) else {
            return false;
        };
        let mut lines = Vec::new();
        folded::write(&first.profile, 0, &mut lines).unwrap();
        if lines.is_empty() {
            return false;
        }
        folded::read(&lines, &limits()).unwrap();
        true
    });
    assert!(
        accepted > 1_000,
        "only {accepted} of 20000 were still folded stacks"
    );
}

/// Whatever a mutated file of another format is read as can be written and read again as pprof.
fn mutated(seeds: &[&str], at_least: usize) {
    let seeds: Vec<_> = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let accepted = run(&seeds, 10_000, |bytes| {
        let Ok(first) = read(bytes, &limits()) else {
            return false;
        };
        let second = pprof::read(&encode(&first.profile), &limits()).unwrap();
        assert_eq!(
            canon::of_model(&second.profile),
            canon::of_model(&first.profile)
        );
        true
    });
    assert!(
        accepted > at_least,
        "only {accepted} of 10000 were still profiles"
    );
}

#[test]
fn mutated_speedscope_files() {
    let mut written = Vec::new();
    perfwright_format::speedscope::write(&rich_profile(), &mut written).unwrap();
    let events = r#"{"$schema":"https://www.speedscope.app/file-format-schema.json","shared":{"frames":[{"name":"a"},
        {"name":"b","line":2}]},"profiles":[{"type":"evented","unit":"none","events":[{"type":"O","frame":0,"at":2},
        {"type":"O","frame":1,"at":3},{"type":"C","frame":1,"at":4.5},{"type":"C","frame":0,"at":9}]}]}"#;
    mutated(&[std::str::from_utf8(&written).unwrap(), events], 500);
}

#[test]
fn mutated_firefox_files() {
    mutated(&[crate::firefox::SEED], 500);
}

#[test]
fn mutated_perf_scripts() {
    mutated(&[crate::perf::SEED], 5_000);
}

#[test]
fn mutated_v8_and_chrome_files() {
    mutated(&[crate::v8::CPU], 500);
    mutated(&[crate::v8::HEAP], 500);
    mutated(&[crate::v8::EVENTS], 500);
}

#[test]
fn mutated_traces_with_samples() {
    mutated(&[crate::v8::STACK_FRAMES], 500);
}

/// What real programs wrote, changed in a few places, and that packed; or packed, and then changed.
#[test]
fn mutated_files_of_other_programs() {
    let mut random = Random(0x0dd5_eed5);
    let files = profiles();
    let (mut accepted, mut rounds) = (0, 0);
    for (_, bytes) in files.iter() {
        for round in 0..40 {
            let mut mutant = bytes.clone();
            mutate(&mut mutant, &mut random);
            let packed = match round % 3 {
                0 => gzip(&mutant),
                #[cfg(feature = "zstd")]
                1 => crate::zstd::pack(&mutant),
                _ => mutant,
            };
            rounds += 1;
            let Ok(first) = read(&packed, &limits()) else {
                continue;
            };
            accepted += 1;
            if round % 4 == 0 {
                let second = pprof::read(&encode(&first.profile), &limits()).unwrap();
                assert_eq!(
                    canon::of_model(&second.profile),
                    canon::of_model(&first.profile)
                );
            }
            let mut damaged = packed;
            mutate(&mut damaged, &mut random);
            let _ = read(&damaged, &limits());
        }
    }
    assert!(
        accepted * 10 > rounds,
        "only {accepted} of {rounds} were still profiles"
    );
}

#[test]
fn mutated_valgrind_files() {
    mutated(&[crate::valgrind::DHAT], 500);
    mutated(&[crate::valgrind::CALLGRIND], 1_000);
}

/// Numbers beyond all bounds, wherever there is one: in sums, times, lines, indices.
#[test]
fn huge_numbers_in_files_of_other_programs() {
    let huge = [
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551616",
        "1e308",
        "-1e308",
        "1e-308",
        "4294967296",
    ];
    let mut random = Random(0xb16_b16);
    let mut accepted = 0;
    for (_, bytes) in profiles() {
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        for _ in 0..8 {
            let mut mutant = text.clone();
            for _ in 0..=random.below(3) {
                let from = random.below(mutant.len());
                let is_digit = |byte: &u8| byte.is_ascii_digit();
                let bytes = &mutant.as_bytes()[from..];
                let start = bytes.iter().position(is_digit).unwrap_or(bytes.len());
                let len = bytes[start..]
                    .iter()
                    .take_while(|byte| is_digit(byte))
                    .count();
                let at = from + start;
                mutant.replace_range(at..at + len, huge[random.below(huge.len())]);
            }
            let Ok(first) = read(mutant.as_bytes(), &limits()) else {
                continue;
            };
            accepted += 1;
            for at in 0..first.profile.sample_types().len() {
                first.profile.total(at);
                let mut written = Vec::new();
                perfwright_format::firefox::write(&first.profile, at, &mut written).unwrap();
                read(&written, &limits()).unwrap();
            }
            let mut written = Vec::new();
            perfwright_format::speedscope::write(&first.profile, &mut written).unwrap();
            read(&written, &limits()).unwrap();
        }
    }
    assert!(accepted > 40, "only {accepted}");
}
