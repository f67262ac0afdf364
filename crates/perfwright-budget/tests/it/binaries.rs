//! Sections and crates of binaries: ELF, Mach-O, wasm; also broken ones.

use std::fs;

use object::write::{Object, StandardSection, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope};
use perfwright_budget::{Measurements, Part, Sources, Verdict};
use tempfile::TempDir;

use crate::{budget, check, lines};

/// `serde_json::de::parse`, `core::fmt::write`, `<shop::Cart as core::fmt::Debug>::fmt` and `memcpy`.
const FUNCTIONS: [(&str, usize); 4] = [
    ("_ZN10serde_json2de5parse17h0123456789abcdefE", 300),
    ("_RNvNtCs1234_4core3fmt5write", 100),
    (
        "_ZN47_$LT$shop..Cart$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE",
        60,
    ),
    ("memcpy", 40),
];

/// An object file of these functions, 200 bytes of data of the crate `shop`, and as much that is only reserved.
fn binary(format: BinaryFormat, functions: &[(&str, usize)]) -> Vec<u8> {
    let mut object = Object::new(format, Architecture::X86_64, Endianness::Little);
    let add = |object: &mut Object<'_>, name: &str, size: usize, section, kind| {
        let id = object.section_id(section);
        let symbol = object.add_symbol(Symbol {
            name: name.into(),
            value: 0,
            size: 0,
            kind,
            scope: SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Undefined,
            flags: SymbolFlags::None,
        });
        match section {
            StandardSection::UninitializedData => {
                object.add_symbol_bss(symbol, id, size as u64, 1);
            }
            _ => drop(object.add_symbol_data(symbol, id, &vec![0x90; size], 1)),
        }
    };
    for &(name, size) in functions {
        add(
            &mut object,
            name,
            size,
            StandardSection::Text,
            SymbolKind::Text,
        );
    }
    let name = "_ZN4shop5TABLE17h0123456789abcdefE";
    add(
        &mut object,
        name,
        200,
        StandardSection::ReadOnlyData,
        SymbolKind::Data,
    );
    let name = "_ZN4shop6BUFFER17h0123456789abcdefE";
    add(
        &mut object,
        name,
        200,
        StandardSection::UninitializedData,
        SymbolKind::Data,
    );
    object.write().unwrap()
}

/// A wasm module: one function of 5 bytes in a code section, 3 bytes of data, a custom section, and names.
fn wasm() -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    let mut section = |id: u8, bytes: &[u8]| {
        module.extend([id, bytes.len() as u8]);
        module.extend(bytes);
    };
    section(1, &[1, 0x60, 0, 0]); // one type: no parameters, no results
    section(3, &[1, 0]); // one function of it
    section(5, &[1, 0, 1]); // one memory
    section(10, &[1, 5, 0, 1, 1, 1, 0x0b]); // one body: no locals, three nops, end
    section(11, &[1, 0, 0x41, 0, 0x0b, 3, b'a', b'b', b'c']); // three bytes at 0
    let custom = [&[4][..], b"tool", b"0123456789"].concat();
    section(0, &custom);
    let name = b"shop::render";
    let names = [
        &[4][..],
        b"name",
        &[1, name.len() as u8 + 3, 1, 0, name.len() as u8],
        name,
    ]
    .concat();
    section(0, &names);
    module
}

fn folder(file: &[u8]) -> (TempDir, Sources) {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("app"), file).unwrap();
    let mut sources = Sources::new();
    sources.root(folder.path());
    (folder, sources)
}

fn of(file: &[u8], text: &str) -> String {
    let (_folder, sources) = folder(file);
    lines(&check(&budget("binary", text), &sources, None))
}

#[test]
fn crates_have_the_bytes_of_their_symbols() {
    for format in [BinaryFormat::Elf, BinaryFormat::MachO] {
        let file = binary(format, &FUNCTIONS);
        assert_eq!(
            of(
                &file,
                "select = { artifact = \"app\", crate = \"*\" }\nlimits = [\"bytes < 280B\"]"
            ),
            "held binary app, *: [not Rust]: bytes < 280 B; measured 40 B\n\
             held binary app, *: core: bytes < 280 B; measured 100 B\n\
             breach binary app, *: serde_json: bytes < 280 B; measured 300 B\n\
             held binary app, *: shop: bytes < 280 B; measured 260 B",
            "{format:?}"
        );
        let share = of(
            &file,
            "select = { artifact = \"app\", crate = \"serde_*\" }\nlimits = [\"share < 50%\"]",
        );
        assert!(
            share.ends_with("share < 50.0 %; measured 42.9 %"),
            "{share}"
        );
    }
}

#[test]
fn sections_have_their_bytes_in_the_file() {
    let file = binary(BinaryFormat::Elf, &FUNCTIONS);
    let of = |section: &str, limit: &str| {
        let select = format!("select = {{ artifact = \"app\", section = \"{section}\" }}");
        of(&file, &format!("{select}\nlimits = [\"{limit}\"]"))
    };
    assert_eq!(
        of(".text*", "bytes <= 500B"),
        "held binary app, .text*: .text: bytes <= 500 B; measured 500 B"
    );
    let share = 500.0 / file.len() as f64 * 100.0;
    assert!(of(".text", "share < 99%").ends_with(&format!("measured {share:.1} %")));
    assert!(
        of(".bss", "bytes < 1B").starts_with("held"),
        "it takes nothing of the file"
    );
    assert_eq!(
        of(".txt", "bytes < 1B"),
        "held binary app, .txt: .txt: bytes < 1 B; measured 0 B; nothing in the file has this name"
    );
}

#[test]
fn a_wasm_module_has_sections_and_crates() {
    let of = |select: &str| {
        let text =
            format!("select = {{ artifact = \"app\", {select} }}\nlimits = [\"bytes < 1B\"]");
        of(&wasm(), &text)
    };
    for (section, bytes) in [("code", 7), ("data", 9), ("tool", 10)] {
        let line = of(&format!("section = \"{section}\""));
        assert!(
            line.contains(&format!("{section}: bytes < 1 B; measured {bytes} B")),
            "{line}"
        );
    }
    assert!(
        of("crate = \"shop\"").ends_with("measured 5 B"),
        "{}",
        of("crate = \"shop\"")
    );
}

#[test]
fn what_is_no_binary_or_has_no_symbols_is_missing() {
    let of_crate = |file: &[u8]| {
        of(
            file,
            "select = { artifact = \"app\", crate = \"shop\" }\nlimits = [\"bytes < 1B\"]",
        )
    };
    let text = of_crate(b"hello");
    assert!(
        text.starts_with("missing") && text.contains("no binary that can be read"),
        "{text}"
    );
    let mut stripped = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let section = stripped.section_id(StandardSection::Text);
    stripped.append_section_data(section, &[0x90; 8], 1);
    let text = of_crate(&stripped.write().unwrap());
    assert!(
        text.contains("it has no symbols") && text.contains("without `strip`"),
        "{text}"
    );
    let gone = "select = { artifact = \"gone\", section = \".text\" }\nlimits = [\"bytes < 1B\"]";
    assert!(of(b"", gone).ends_with("there is no such file"));
}

/// Bytes of a binary changed at random, with a seed: any verdict will do, but there must be one.
#[test]
fn broken_binaries_give_verdicts() {
    let text = "[[budget]]\nmetric = \"binary\"\nselect = { artifact = \"app\", crate = \"*\" }\nlimits = [\"bytes < 1kB\"]\n\
                [[budget]]\nmetric = \"binary\"\nselect = { artifact = \"app\", section = \"*\" }\nlimits = [\"bytes < 1kB\"]\n";
    let budgets = crate::budgets(text);
    let mut rng = perfwright_stats::Rng::new(11);
    let files = [
        binary(BinaryFormat::Elf, &FUNCTIONS),
        binary(BinaryFormat::MachO, &FUNCTIONS),
        binary(BinaryFormat::Coff, &FUNCTIONS),
        wasm(),
    ];
    for round in 0..400 {
        let mut file = files[round % files.len()].clone();
        for _ in 0..=rng.below(8) {
            let at = rng.below(file.len());
            file[at] = rng.next_u64() as u8;
        }
        file.truncate(file.len() - rng.below(file.len() / 2).saturating_sub(file.len() / 4));
        let (_folder, sources) = folder(&file);
        assert!(
            check(&budgets, &sources, None).rows.len() >= 2,
            "round {round}"
        );
    }
}

#[test]
fn this_program_itself_is_a_binary() {
    let exe = std::env::current_exe().unwrap();
    let mut sources = Sources::new();
    sources.root(exe.parent().unwrap());
    let name = exe.file_name().unwrap().to_str().unwrap();
    let text = format!(
        "select = {{ artifact = \"{name}\", crate = [\"toml\", \"core\"] }}\nlimits = [\"share < 60%\"]"
    );
    let report = check(&budget("binary", &text), &sources, None);
    assert_eq!(report.count(Verdict::Held), 2, "{}", lines(&report));
    assert!(
        !lines(&report).contains("nothing in the file"),
        "{}",
        lines(&report)
    );
}

#[test]
fn what_grew_is_told_against_a_saved_report() {
    let text = "select = { artifact = \"app\", crate = \"shop\" }\nregression = { max = \"+2%\", floor = \"4B\" }";
    let budgets = budget("binary", text);
    let (_before, sources) = folder(&binary(BinaryFormat::Elf, &FUNCTIONS[..3]));
    let saved = Measurements::from_report(&check(&budgets, &sources, None).to_json()).unwrap();
    let mut functions = FUNCTIONS;
    functions[2].1 = 90;
    let (_after, sources) = folder(&binary(BinaryFormat::Elf, &functions[1..3]));
    let report = check(&budgets, &sources, Some(&saved));
    assert_eq!(
        lines(&report),
        "breach binary app, shop: shop: bytes +2% and 4B; measured 290 B; baseline 260 B; +11.54 %"
    );
    let of_budget = budgets.iter().next().unwrap();
    let parts = Part::changes(sources.explain(of_budget), saved.parts(of_budget));
    let told: Vec<String> = (parts.iter().filter(|part| part.what == "crate"))
        .map(|part| {
            format!(
                "{} {} {}",
                part.name,
                part.size().unwrap(),
                part.change().unwrap()
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "shop 290 B +30 B",
            "core 100 B +0 B",
            "serde_json 0 B -300 B"
        ]
    );
}

#[test]
fn a_change_within_the_floor_holds() {
    let text = "select = { artifact = \"app\", crate = \"core\" }\nregression = { max = \"+2%\", floor = \"16B\" }";
    let budgets = budget("binary", text);
    let of_core = |size: usize| {
        let (folder, sources) = folder(&binary(BinaryFormat::Elf, &[(FUNCTIONS[1].0, size)]));
        let measured = sources.measure(&budgets);
        drop(folder);
        measured
    };
    let verdict = |size: usize| {
        let (before, now) = (of_core(100), of_core(size));
        perfwright_budget::judge(&budgets, now, Some(&before), crate::today()).rows[0].verdict
    };
    assert_eq!(
        verdict(116),
        Verdict::Held,
        "16 % more, but not more than 16 bytes"
    );
    assert_eq!(verdict(117), Verdict::Breach);
}
