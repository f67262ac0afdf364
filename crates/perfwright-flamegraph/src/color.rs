//! Colours: stable by crate.

use std::collections::HashSet;

use inferno::flamegraph::color::Color;
use perfwright_analyze::{Origin, Symbol, crate_of, crate_of_path, is_pseudo};

use crate::Options;
use crate::label::Names;

/// What boxes that group others are filled with: small frames.
pub(crate) const SMALL: Color = Color {
    r: 236,
    g: 236,
    b: 236,
};

/// What the colours of one profile mean; of dependencies, one of their many hues.
pub(crate) const ORIGINS: [(Color, &str); 4] = [
    (
        Color {
            r: 247,
            g: 186,
            b: 92,
        },
        "own",
    ),
    (
        Color {
            r: 158,
            g: 205,
            b: 180,
        },
        "dependency, by crate",
    ),
    (
        Color {
            r: 190,
            g: 200,
            b: 213,
        },
        "std",
    ),
    (
        Color {
            r: 203,
            g: 196,
            b: 170,
        },
        "not Rust",
    ),
];

/// What the colours of a difference mean, after inferno's scale.
pub(crate) const CHANGES: [(Color, &str); 3] = [
    (
        Color {
            r: 255,
            g: 130,
            b: 130,
        },
        "more self",
    ),
    (
        Color {
            r: 130,
            g: 130,
            b: 255,
        },
        "less self",
    ),
    (
        Color {
            r: 250,
            g: 250,
            b: 250,
        },
        "same",
    ),
];

/// A colour for every symbol of a tree.
pub(crate) struct Palette {
    colors: Vec<Color>,
}

impl Palette {
    pub(crate) fn new(symbols: &[Symbol], names: &Names, options: &Options) -> Self {
        let named: Vec<_> = symbols
            .iter()
            .map(|symbol| (symbol, names.name(&symbol.name)))
            .collect();
        let mut own: HashSet<&str> = options.own_crates.iter().map(String::as_str).collect();
        own.extend(
            named
                .iter()
                .filter_map(|(symbol, name)| own_crate(symbol, name.as_deref()?)),
        );
        let has_rust = named
            .iter()
            .any(|(_, name)| name.as_deref().and_then(crate_of).is_some());
        let color = |(symbol, name): &(&Symbol, Option<String>)| match name {
            Some(name) if has_rust => of_function(name, symbol.file.as_deref(), &own),
            Some(name) if !is_pseudo(name) => of_other_language(name),
            _ => of_label(&symbol.name),
        };
        Self {
            colors: named.iter().map(color).collect(),
        }
    }

    pub(crate) fn of(&self, index: usize) -> Color {
        self.colors[index]
    }
}

/// The crate of a function that shows that the crate is the program's own: it is `main`, or its source lies
/// in no package that cargo downloaded.
fn own_crate<'a>(symbol: &Symbol, name: &'a str) -> Option<&'a str> {
    let crate_name = crate_of(name)?;
    let is_main = name.strip_prefix(crate_name) == Some("::main");
    let is_own = Origin::of(name, symbol.file.as_deref()) == Origin::Own;
    (is_main || is_own).then_some(crate_name)
}

fn of_function(name: &str, file: Option<&str>, own: &HashSet<&str>) -> Color {
    let origin = match crate_of(name) {
        Some(crate_name) if own.contains(crate_name) => Origin::Own,
        _ => Origin::of(name, file),
    };
    let by_path = || {
        file.and_then(crate_of_path)
            .map(|name| name.replace('-', "_"))
    };
    let crate_name = crate_of(name)
        .map(str::to_owned)
        .or_else(by_path)
        .unwrap_or_default();
    let (of_crate, of_name) = (fraction(&crate_name), fraction(name) - 0.5);
    match origin {
        Origin::Own => hsl(16.0 + 30.0 * of_crate, 0.88, 0.66 + 0.08 * of_name),
        Origin::Dependency => hsl(78.0 + 250.0 * of_crate, 0.42, 0.73 + 0.08 * of_name),
        Origin::Std => hsl(212.0, 0.22, 0.79 + 0.05 * of_name),
        Origin::Native => hsl(50.0 + 12.0 * of_name, 0.26, 0.74 + 0.08 * of_name),
        Origin::Pseudo => hsl(0.0, 0.0, 0.80),
    }
}

/// Where nothing is Rust there are no crates to tell apart, and functions have the warm colours that people
/// know from other flamegraphs.
fn of_other_language(name: &str) -> Color {
    hsl(16.0 + 38.0 * fraction(name), 0.78, 0.69)
}

fn of_label(label: &str) -> Color {
    if is_pseudo(label) {
        return hsl(0.0, 0.0, 0.80);
    }
    hsl(200.0, 0.10, 0.88)
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

/// Hue in degrees, saturation and lightness from 0 to 1.
fn hsl(hue: f64, saturation: f64, lightness: f64) -> Color {
    let channel = |offset: f64| {
        let at = (offset + hue / 30.0) % 12.0;
        let range = saturation * lightness.min(1.0 - lightness);
        let value = lightness - range * (at - 3.0).min(9.0 - at).clamp(-1.0, 1.0);
        (value * 255.0).round() as u8
    };
    Color {
        r: channel(0.0),
        g: channel(8.0),
        b: channel(4.0),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Color, fraction, hsl, of_function};

    #[test]
    fn hues() {
        let rgb = |color: Color| (color.r, color.g, color.b);
        assert_eq!(rgb(hsl(0.0, 1.0, 0.5)), (255, 0, 0));
        assert_eq!(rgb(hsl(120.0, 1.0, 0.5)), (0, 255, 0));
        assert_eq!(rgb(hsl(240.0, 1.0, 0.5)), (0, 0, 255));
        assert_eq!(rgb(hsl(60.0, 0.0, 0.2)), (51, 51, 51));
    }

    /// Contrast to black after WCAG 2.1; 4.5 is what small text needs.
    fn contrast_to_black(color: Color) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        let luminance =
            0.2126 * linear(color.r) + 0.7152 * linear(color.g) + 0.0722 * linear(color.b);
        (luminance + 0.05) / 0.05
    }

    #[test]
    fn text_is_readable_on_every_colour() {
        for index in 0..2_000 {
            let own = HashSet::from(["own"]);
            for name in [
                format!("own::f{index}"),
                format!("dep{index}::f"),
                format!("std::f{index}"),
            ] {
                let contrast = contrast_to_black(of_function(&name, None, &own));
                assert!(contrast > 7.0, "{name}: {contrast}");
            }
        }
    }

    #[test]
    fn names_spread_over_the_whole_range() {
        let mut tenths = [0; 10];
        for name in [
            "a", "b", "tokio", "hyper", "serde", "axum", "sqlx", "mio", "h2", "http",
        ] {
            tenths[(fraction(name) * 10.0) as usize] += 1;
        }
        assert!(
            tenths.iter().filter(|&&count| count > 0).count() >= 5,
            "{tenths:?}"
        );
    }
}
