//! Names for addresses of the test executable, from its symbol table.

use object::{Object, ObjectSymbol};
use perfwright_stack::Image;
use std::sync::OnceLock;

struct Symbol {
    svma: u64,
    size: u64,
    name: String,
}

fn symbols() -> &'static [Symbol] {
    static SYMBOLS: OnceLock<Vec<Symbol>> = OnceLock::new();
    SYMBOLS.get_or_init(|| {
        let bytes = std::fs::read("/proc/self/exe").expect("own executable");
        let file = object::File::parse(&*bytes).expect("an ELF file");
        let symbol = |symbol: object::Symbol<'_, '_>| Symbol {
            svma: symbol.address(),
            size: symbol.size(),
            name: symbol.name().unwrap_or_default().to_owned(),
        };
        let mut symbols: Vec<_> = file
            .symbols()
            .map(symbol)
            .filter(|symbol| symbol.size > 0)
            .collect();
        symbols.sort_by_key(|symbol| symbol.svma);
        symbols
    })
}

/// The mangled name of the executable's function at an address; empty elsewhere.
pub(crate) fn name(image: &Image, avma: u64) -> &'static str {
    let Some(module) = image.module_at(avma).filter(|module| module.is_main) else {
        return "";
    };
    let svma = avma.wrapping_sub(module.bias);
    let before = symbols().partition_point(|symbol| symbol.svma <= svma);
    let symbol = before.checked_sub(1).map(|index| &symbols()[index]);
    symbol
        .filter(|symbol| svma < symbol.svma + symbol.size)
        .map_or("", |symbol| &symbol.name)
}

/// The names along a stack, innermost first, of all functions whose name holds one of `known`, as
/// that word; a function and its closures count as one.
pub(crate) fn known_frames<'k>(image: &Image, stack: &[u64], known: &[&'k str]) -> Vec<&'k str> {
    let lookup = |(index, avma): (usize, &u64)| name(image, avma - u64::from(index > 0));
    let word = |name: &str| known.iter().find(|word| name.contains(**word)).copied();
    let named = stack.iter().enumerate().map(lookup);
    let mut frames: Vec<_> = named.filter_map(word).collect();
    frames.dedup();
    frames
}
