//! Reading executables, libraries and wasm modules: sections and symbols.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use object::{BinaryFormat, Object, ObjectSection, ObjectSymbol, SymbolKind};
use perfwright_analyze::crate_of;

use super::binary::Binary;

/// Symbols of a binary, at most.
const MAX_SYMBOLS: usize = 8_000_000;
/// Bytes of a name that are looked at: its crate stands at the beginning.
const MAX_NAME: usize = 16 * 1024;
/// Code and data of other languages, and what linkers add.
const NOT_RUST: &str = "[not Rust]";

impl Binary {
    /// Reads one.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let file = object::File::parse(bytes)
            .map_err(|error| format!("it is no binary that can be read: {error}"))?;
        let mut sections = BTreeMap::new();
        let mut in_file = BTreeMap::new();
        for section in file.sections() {
            let size = size_in_file(&section, file.format());
            let name = section.name().unwrap_or("[broken name]");
            // Of wasm: its own sections stand in angle brackets, those of tools do not.
            let name = name.trim_start_matches('<').trim_end_matches('>');
            let of_name: &mut u64 = sections.entry(name.to_owned()).or_default();
            *of_name = of_name.saturating_add(size);
            if size > 0 {
                in_file.insert(section.index().0, section.address().saturating_add(size));
            }
        }
        Ok(Self {
            bytes: bytes.len() as u64,
            sections,
            crates: crates(&file, &in_file)?,
        })
    }
}

/// What a section takes of the file: nothing if it is only reserved, less if it is compressed.
fn size_in_file<'data>(section: &impl ObjectSection<'data>, format: BinaryFormat) -> u64 {
    match format {
        // Their ranges are told as begin and end.
        BinaryFormat::Wasm => section.size(),
        _ => (section.compressed_file_range()).map_or(0, |range| range.compressed_size),
    }
}

/// The bytes of all functions and data that have symbols, by crate. `ends`: where the sections end that have bytes
/// in the file.
fn crates(
    file: &object::File<'_>,
    ends: &BTreeMap<usize, u64>,
) -> Result<BTreeMap<String, u64>, String> {
    let mut symbols = Vec::new();
    for symbol in file.symbols() {
        let is_code_or_data = matches!(
            symbol.kind(),
            SymbolKind::Text | SymbolKind::Data | SymbolKind::Tls
        );
        let section = symbol.section_index().map(|index| index.0);
        let section = section.filter(|index| ends.contains_key(index));
        let (Some(section), Ok(name), true) = (section, symbol.name(), is_code_or_data) else {
            continue;
        };
        if symbols.len() >= MAX_SYMBOLS {
            return Err(format!("it has more than {MAX_SYMBOLS} symbols"));
        }
        symbols.push((section, symbol.address(), symbol.size(), name));
    }
    symbols.sort_unstable();
    // Of several names of one place the one with the greatest size stands last.
    let mut crates: BTreeMap<String, u64> = BTreeMap::new();
    // These formats do not tell sizes: a symbol reaches to the next one.
    let has_sizes = !matches!(
        file.format(),
        BinaryFormat::MachO | BinaryFormat::Coff | BinaryFormat::Pe
    );
    for (at, &(section, address, size, name)) in symbols.iter().enumerate() {
        let next = symbols.get(at + 1).filter(|next| next.0 == section);
        if next.is_some_and(|next| next.1 == address) {
            continue;
        }
        let end = next.map_or(ends[&section], |next| next.1);
        let to_next = end.saturating_sub(address);
        let size = match has_sizes {
            true => size,
            false => to_next,
        };
        if size > 0 {
            let of_crate = crates.entry(crate_of_symbol(name)).or_default();
            *of_crate = of_crate.saturating_add(size);
        }
    }
    Ok(crates)
}

fn crate_of_symbol(name: &str) -> String {
    let mut demangled = Beginning(String::new());
    // An error says that the name is longer than its beginning.
    let _ = match rustc_demangle::try_demangle(name) {
        Ok(symbol) => write!(demangled, "{symbol:#}"),
        Err(_) => demangled.write_str(name),
    };
    crate_of(&demangled.0).unwrap_or(NOT_RUST).to_owned()
}

/// The first bytes of a text.
struct Beginning(String);

impl Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match self.0.len() + text.len() <= MAX_NAME {
            true => self.0.push_str(text),
            false => return Err(fmt::Error),
        }
        Ok(())
    }
}
