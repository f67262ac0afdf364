//! Tables from call frame information written by hand, from real libraries, and from rubbish.

use super::*;
use crate::linux::elf;
use crate::linux::rule::{Offsets, SAME};

const CODE: Range<u64> = 0x1000..0x9000;
const EH_FRAME_SVMA: u64 = 0x100;

/// An entry of `.eh_frame`: its length, then the body padded with `DW_CFA_nop` to a multiple of
/// four.
fn entry(mut body: Vec<u8>) -> Vec<u8> {
    body.resize(body.len().next_multiple_of(4), 0);
    let mut bytes = (body.len() as u32).to_ne_bytes().to_vec();
    bytes.extend(body);
    bytes
}

/// A CIE with absolute 8-byte addresses, code factor 1, data factor -8, and a FDE for each
/// function.
fn eh_frame(ra: u8, initial: &[u8], functions: &[(u64, u64, &[u8])]) -> Vec<u8> {
    let mut cie = vec![0, 0, 0, 0, 1, b'z', b'R', 0, 1, 0x78, ra, 1, 0];
    cie.extend(initial);
    let mut section = entry(cie);
    for (start, length, program) in functions {
        let mut fde = (section.len() as u32 + 4).to_ne_bytes().to_vec();
        fde.extend(start.to_ne_bytes());
        fde.extend(length.to_ne_bytes());
        fde.push(0);
        fde.extend(*program);
        section.extend(entry(fde));
    }
    section.extend([0; 4]);
    section
}

fn build(eh_frame: &[u8], registers: Registers) -> UnwindTable {
    let input = EhFrameInput {
        eh_frame,
        eh_frame_svma: EH_FRAME_SVMA,
        eh_frame_hdr_svma: 0,
        code_svma: CODE,
    };
    UnwindTable::build(&input, registers)
}

fn rows(table: &UnwindTable) -> Vec<(u32, Rule)> {
    let row = |(index, start): (usize, &u32)| (*start, table.row_rule(index).expect("a rule"));
    table.starts.iter().enumerate().map(row).collect()
}

fn sp(cfa: i32, fp: i16) -> Rule {
    Rule::Offset(Offsets {
        from_fp: false,
        cfa,
        fp,
        ra: -1,
    })
}

/// def_cfa r7+8; r16 at CFA-8.
const X86_64_INITIAL: [u8; 5] = [0x0C, 7, 8, 0x80 | 16, 1];

#[test]
fn a_standard_frame_becomes_three_rows_and_padding_none() {
    // +1: def_cfa_offset 16, r6 at CFA-16; +4: def_cfa_register r6; +59: def_cfa r7+8.
    let program = [
        0x41,
        0x0E,
        16,
        0x80 | 6,
        2,
        0x43,
        0x0D,
        6,
        0x40 | 55,
        0x0C,
        7,
        8,
    ];
    let functions = [(0x1000, 60, &program[..]), (0x1040, 60, &program[..])];
    let table = build(
        &eh_frame(16, &X86_64_INITIAL, &functions),
        Registers::X86_64,
    );
    // At `ret` the saved slot is still said to hold the frame pointer, below the stack pointer.
    let expected = [
        (0, sp(8, SAME)),
        (1, sp(16, -2)),
        (4, Rule::Frame),
        (59, sp(8, -2)),
        (0x40, sp(8, SAME)),
        (0x41, sp(16, -2)),
        (0x44, Rule::Frame),
        (0x40 + 59, sp(8, -2)),
        (0x7C, Rule::Unknown),
    ];
    assert_eq!(rows(&table), expected);
    assert_eq!(table.rule(3), sp(16, -2));
    assert_eq!(table.rule(58), Rule::Frame);
    assert_eq!(table.rule(0x2000), Rule::Unknown);
    assert_eq!(table.functions(), (2, 2));
    assert!(table.is_framed_block(0x20) && !table.is_framed_block(0x200));
}

#[test]
fn a_function_without_frame_spoils_its_block_and_a_leaf_does_not() {
    let framed = [0x41, 0x0E, 16, 0x80 | 6, 2, 0x43, 0x0D, 6];
    let frameless = [0x41, 0x0E, 32];
    let functions = [
        (0x1000, 0x100, &framed[..]),
        (0x1100, 0x80, &framed[..]),
        (0x1180, 0x80, &frameless[..]),
        (0x1200, 0x80, &framed[..]),
        (0x1280, 0x80, &[][..]), // a leaf: nothing but the call moved the stack pointer
    ];
    let table = build(
        &eh_frame(16, &X86_64_INITIAL, &functions),
        Registers::X86_64,
    );
    let blocks = [0x10, 0x110, 0x190, 0x290].map(|relative| table.is_framed_block(relative));
    assert_eq!(blocks, [true, false, false, true]);
    assert_eq!(table.functions(), (3, 4));
    assert_eq!(table.rule(0x190), sp(32, SAME));
    assert_eq!(table.rule(0x290), sp(8, SAME));
}

#[test]
fn roots_expressions_and_foreign_functions() {
    let functions = [
        (0x1000, 0x40, &[0x07, 16][..]),             // undefined r16
        (0x1100, 0x40, &[0x0F, 1, 0x30][..]),        // def_cfa_expression lit0
        (0x1200, 0x40, &[0x0C, 3, 8][..]),           // def_cfa r3 + 8
        (0x9_0000, 0x40, &[0x0C, 7, 16][..]),        // outside the code
        (0x1300, 0, &[0x0C, 7, 16][..]),             // empty
        (0x1400, u64::MAX, &[0x0C, 7, 16][..]),      // wraps around
        (0x1500, 0x40, &[0x44, 0x0E, 16, 0x17][..]), // an opcode that doesn't exist
    ];
    let table = build(
        &eh_frame(16, &X86_64_INITIAL, &functions),
        Registers::X86_64,
    );
    let at = |relative| table.rule(relative);
    assert_eq!(at(0), Rule::Root);
    assert_eq!((at(0x100), at(0x200)), (Rule::Complex, Rule::Complex));
    assert_eq!(
        (at(0x300), at(0x400), at(0x8000)),
        (Rule::Unknown, Rule::Unknown, Rule::Unknown)
    );
    assert_eq!((at(0x500), at(0x53F)), (sp(8, SAME), Rule::Complex));
}

#[test]
fn aarch64_frames_keep_their_record_below() {
    // def_cfa r31+0 at first; +4: def_cfa_offset 32, r29 at CFA-32, r30 at CFA-24; +8:
    // def_cfa_register r29.
    let program = [0x44, 0x0E, 32, 0x80 | 29, 4, 0x80 | 30, 3, 0x44, 0x0D, 29];
    let section = eh_frame(30, &[0x0C, 31, 0], &[(0x1000, 0x40, &program[..])]);
    let table = build(&section, Registers::AARCH64);
    let record = |from_fp| {
        Rule::Offset(Offsets {
            from_fp,
            cfa: 32,
            fp: -4,
            ra: -3,
        })
    };
    let leaf = Rule::Offset(Offsets {
        from_fp: false,
        cfa: 0,
        fp: SAME,
        ra: SAME,
    });
    assert_eq!(
        rows(&table)[..3],
        [(0, leaf), (4, record(false)), (8, record(true))]
    );
    assert!(record(true).has_frame_pointer() && !record(false).has_frame_pointer());
}

#[test]
fn more_than_255_rules_keep_their_rows() {
    let programs: Vec<Vec<u8>> = (0..700_u32)
        .map(|index| {
            let cfa = 16 + index * 8;
            vec![0x0E, (cfa & 0x7F) as u8 | 0x80, (cfa >> 7) as u8]
        })
        .collect();
    let function =
        |(index, program): (usize, &Vec<u8>)| (0x1000 + index as u64 * 32, 32, program.clone());
    let functions: Vec<_> = programs.iter().enumerate().map(function).collect();
    let borrowed: Vec<_> = functions
        .iter()
        .map(|(start, length, program)| (*start, *length, &program[..]))
        .collect();
    let table = build(&eh_frame(16, &X86_64_INITIAL, &borrowed), Registers::X86_64);
    for index in 0..700 {
        assert_eq!(
            table.rule(index * 32 + 5),
            sp(16 + index as i32 * 8, SAME),
            "{index}"
        );
    }
}

/// Every address of every function of a real library (libc, the most varied at hand), against
/// gimli's own lookup.
#[test]
fn libc_agrees_with_a_lookup_per_address() {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("own maps");
    let path = maps
        .split_whitespace()
        .find(|word| word.contains("/libc.so"))
        .expect("a libc");
    let bytes = std::fs::read(path).expect("readable");
    let facts = elf::parse(&*bytes).expect("an ELF file");
    let section = facts.eh_frame.as_ref().expect("call frame information");
    let index = facts.eh_frame_hdr.as_ref().expect("an index");
    let eh_frame = &bytes[section.file.start as usize..section.file.end as usize];
    let input = EhFrameInput {
        eh_frame,
        eh_frame_svma: section.svma,
        eh_frame_hdr_svma: index.svma,
        code_svma: facts.code_svma(),
    };
    let table = UnwindTable::build(&input, Registers::native());
    let frames = EhFrame::new(eh_frame, NativeEndian);
    let bases = BaseAddresses::default()
        .set_eh_frame(section.svma)
        .set_eh_frame_hdr(index.svma);
    let parsed = gimli::EhFrameHdr::from(EndianSlice::new(
        &bytes[index.file.start as usize..index.file.end as usize],
        NativeEndian,
    ));
    let parsed = parsed.parse(&bases, 8).expect("an index");
    let lookup = parsed.table().expect("a table");
    let mut context = UnwindContext::new();
    let mut described = 0;
    let code = facts.code_svma();
    for svma in code.clone().step_by(61) {
        let row = lookup.unwind_info_for_address(
            &frames,
            &bases,
            &mut context,
            svma,
            EhFrame::cie_from_offset,
        );
        let Ok(row) = row else { continue };
        let rule = table.rule((svma - code.start) as u32);
        if rule != Rule::Signal {
            assert_eq!(rule, Registers::native().rule(row), "{svma:x}");
        }
        described += 1;
    }
    assert!(described > 10_000, "{described}");
}

/// splitmix64 (Steele, Lea, Flood 2014).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[test]
fn corrupt_input_gives_a_table_all_the_same() {
    let program = [
        0x41,
        0x0E,
        16,
        0x80 | 6,
        2,
        0x43,
        0x0D,
        6,
        0x40 | 55,
        0x0C,
        7,
        8,
    ];
    let functions = [(0x1000, 60, &program[..]), (0x1040, 60, &program[..])];
    let good = eh_frame(16, &X86_64_INITIAL, &functions);
    let mut state = 7;
    for _ in 0..20_000 {
        let mut bad = good.clone();
        for _ in 0..1 + random(&mut state) % 4 {
            let at = random(&mut state) as usize % bad.len();
            bad[at] = random(&mut state) as u8;
        }
        bad.truncate(random(&mut state) as usize % (bad.len() * 2));
        let table = build(&bad, Registers::X86_64);
        assert!(table.starts.is_sorted());
        table.rule(random(&mut state) as u32);
    }
}

#[test]
fn corrupt_files_are_refused_or_read() {
    let exe = std::fs::read("/proc/self/exe").expect("own executable");
    let mut state = 11;
    for _ in 0..3_000 {
        let mut bad = exe[..4096].to_vec();
        for _ in 0..1 + random(&mut state) % 8 {
            let at = random(&mut state) as usize % 1024;
            bad[at] = random(&mut state) as u8;
        }
        bad.truncate(random(&mut state) as usize % 8192);
        if let Some(facts) = elf::parse(&*bad) {
            facts.bias(random(&mut state), random(&mut state));
            facts.code_svma();
        }
    }
}

/// `sstrip` and packers drop the section headers; program headers alone must give the same.
#[test]
fn section_headers_are_not_needed() {
    let mut exe = std::fs::read("/proc/self/exe").expect("own executable");
    let whole = elf::parse(&*exe).expect("an ELF file");
    exe[0x28..0x30].fill(0); // e_shoff
    exe[0x3C..0x40].fill(0); // e_shnum, e_shstrndx
    let bare = elf::parse(&*exe).expect("an ELF file");
    assert_eq!(
        (&bare.loads, &bare.build_id),
        (&whole.loads, &whole.build_id)
    );
    let table = |facts: &elf::ElfFacts| {
        let section = facts.eh_frame.as_ref().expect("call frame information");
        let input = EhFrameInput {
            eh_frame: &exe[section.file.start as usize..section.file.end as usize],
            eh_frame_svma: section.svma,
            eh_frame_hdr_svma: facts.eh_frame_hdr.as_ref().map_or(0, |index| index.svma),
            code_svma: facts.code_svma(),
        };
        rows(&UnwindTable::build(&input, Registers::native()))
    };
    let rows = table(&whole);
    assert!(rows.len() > 1000);
    assert_eq!(table(&bare), rows);
}
