//! Colours by crate, the same as in the SVG flamegraphs: a crate has its colour in every profile.

use std::collections::{HashMap, HashSet};

use perfwright_analyze::{CallTree, Origin, Symbol, crate_of, crate_of_path, is_pseudo};

use super::change::Change;

/// What stands for callees too small to be drawn.
pub(crate) const SMALL: u32 = 0x00e4_e4e4;

/// Colours of the nodes of a tree, by symbol.
pub(crate) struct Palette {
    colors: Vec<u32>,
}

impl Palette {
    /// `full` gives the full name of a function that the tree has under a short one.
    pub(crate) fn new(tree: &CallTree, full: &HashMap<String, String>, dark: bool) -> Self {
        let symbols = tree.symbols();
        let own = symbols
            .iter()
            .filter_map(|symbol| own_crate(symbol, full_name(symbol, full)));
        let own: HashSet<&str> = own.collect();
        let has_rust = symbols
            .iter()
            .any(|symbol| crate_of(full_name(symbol, full)).is_some());
        let color = |symbol: &Symbol| {
            let name = full_name(symbol, full);
            let hsl = match (symbol.is_label, has_rust) {
                _ if is_pseudo(name) || name.is_empty() => [0.0, 0.0, 0.80],
                (false, true) => of_function(name, symbol.file.as_deref(), &own),
                (false, false) => [16.0 + 38.0 * fraction(name), 0.78, 0.69],
                _ => [200.0, 0.10, 0.88],
            };
            rgb(hsl, dark)
        };
        Self {
            colors: symbols.iter().map(color).collect(),
        }
    }

    pub(crate) fn of(&self, symbol: usize) -> u32 {
        self.colors.get(symbol).copied().unwrap_or(SMALL)
    }
}

pub(crate) fn full_name<'a>(symbol: &'a Symbol, full: &'a HashMap<String, String>) -> &'a str {
    full.get(&*symbol.name).map_or(&symbol.name, String::as_str)
}

/// The colour of a change: grey where it may be chance, the stronger the larger the change is beside what
/// there was.
pub(crate) fn of_change(change: &Change, dark: bool) -> u32 {
    if !change.is_significant {
        return rgb([0.0, 0.0, 0.84], dark);
    }
    let strength = change.relative().abs().min(1.0);
    let hue = if change.absolute() > 0.0 { 4.0 } else { 218.0 };
    rgb([hue, 0.75, 0.88 - 0.20 * strength], dark)
}

/// The crate of a function that shows that the crate is the program's own: it is `main`, or its source lies
/// in no package that cargo downloaded.
fn own_crate<'a>(symbol: &Symbol, name: &'a str) -> Option<&'a str> {
    let crate_name = crate_of(name)?;
    let is_main = name.strip_prefix(crate_name) == Some("::main");
    let is_own = Origin::of(name, symbol.file.as_deref()) == Origin::Own;
    (is_main || is_own).then_some(crate_name)
}

/// Hue in degrees, saturation and lightness from 0 to 1.
fn of_function(name: &str, file: Option<&str>, own: &HashSet<&str>) -> [f64; 3] {
    let origin = match crate_of(name) {
        Some(crate_name) if own.contains(crate_name) => Origin::Own,
        _ => Origin::of(name, file),
    };
    let by_path = || {
        file.and_then(crate_of_path)
            .map(|name| name.replace('-', "_"))
    };
    let crate_name = crate_of(name).map(str::to_owned).or_else(by_path);
    let of_crate = fraction(&crate_name.unwrap_or_default());
    let of_name = fraction(name) - 0.5;
    match origin {
        Origin::Own => [16.0 + 30.0 * of_crate, 0.88, 0.66 + 0.08 * of_name],
        Origin::Dependency => [78.0 + 250.0 * of_crate, 0.42, 0.73 + 0.08 * of_name],
        Origin::Std => [212.0, 0.22, 0.79 + 0.05 * of_name],
        Origin::Native => [50.0 + 12.0 * of_name, 0.26, 0.74 + 0.08 * of_name],
        Origin::Pseudo => [0.0, 0.0, 0.80],
    }
}

/// A number from 0 to 1 that depends on the text alone (FNV-1a, and the finisher of MurmurHash3, for FNV
/// leaves the high bits of short texts alike).
fn fraction(text: &str) -> f64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    ((hash ^ (hash >> 33)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// As 0xRRGGBB. On a dark page the same hue, darker, for light text.
fn rgb([hue, saturation, lightness]: [f64; 3], dark: bool) -> u32 {
    let (saturation, lightness) = match dark {
        true => (saturation * 0.62, lightness * 0.46),
        false => (saturation, lightness),
    };
    let channel = |offset: f64| {
        let at = (offset + hue / 30.0) % 12.0;
        let range = saturation * lightness.min(1.0 - lightness);
        let value = lightness - range * (at - 3.0).min(9.0 - at).clamp(-1.0, 1.0);
        (value * 255.0).round() as u32
    };
    channel(0.0) << 16 | channel(8.0) << 8 | channel(4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The relative luminance of WCAG 2.1.
    fn luminance(color: u32) -> f64 {
        let linear = |shift: u32| {
            let value = f64::from(color >> shift & 0xff) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(16) + 0.7152 * linear(8) + 0.0722 * linear(0)
    }

    #[test]
    fn text_is_readable_on_every_colour() {
        let own = HashSet::from(["own"]);
        for index in 0..2_000 {
            for name in [
                format!("own::f{index}"),
                format!("dep{index}::f"),
                format!("std::f{index}"),
            ] {
                let hsl = of_function(&name, None, &own);
                let on_light = (luminance(rgb(hsl, false)) + 0.05) / (luminance(0x1a1a1a) + 0.05);
                let on_dark = (luminance(0xf4f4f4) + 0.05) / (luminance(rgb(hsl, true)) + 0.05);
                assert!(on_light > 4.5, "{name}: {on_light} on light");
                assert!(on_dark > 4.5, "{name}: {on_dark} on dark");
            }
        }
    }
}
