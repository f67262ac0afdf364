//! Puts the viewer's parts into one HTML file.
//!
//! `perfwright-viewer-pack WASM PAGE OUT`: WASM is the compiled crate, PAGE the folder with `index.html`, the
//! style and the scripts, OUT the HTML file.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use flate2::{Compression, write::GzEncoder};
use wasm_bindgen_cli_support::Bindgen;

/// What runs where the profile lives: in the worker, or where none is to be had on the page's thread.
const CORE: [&str; 2] = ["draw.js", "core.js"];

/// What runs on the page, in an order in which nothing is used before it is defined.
const PAGE: [&str; 9] = [
    "text.js",
    "client.js",
    "flame.js",
    "tables.js",
    "source.js",
    "save.js",
    "toolbar.js",
    "help.js",
    "main.js",
];

/// The largest file as a server would send it; `cargo xtask viewer` has the largest as it is.
const MAX_GZIPPED: usize = 300_000;

fn main() -> Result<()> {
    let [wasm, page, out]: [PathBuf; 3] = env::args_os()
        .skip(1)
        .map(PathBuf::from)
        .collect::<Vec<_>>()
        .try_into()
        .ok()
        .context("arguments: WASM PAGE OUT")?;
    let (glue, wasm) = bind(&wasm)?;
    let html = assemble(&page, &glue, &wasm)?;
    fs::write(&out, &html).with_context(|| format!("write {}", out.display()))?;
    let gzipped = gzip(html.as_bytes())?.len();
    println!(
        "{} kB, {} kB gzipped (wasm {} kB)",
        html.len() / 1000,
        gzipped / 1000,
        wasm.len() / 1000
    );
    ensure!(
        gzipped <= MAX_GZIPPED,
        "the file has {gzipped} bytes gzipped, more than {MAX_GZIPPED}"
    );
    Ok(())
}

/// The script that loads the module, and the module itself.
fn bind(wasm: &Path) -> Result<(String, Vec<u8>)> {
    let folder = env::temp_dir().join(format!("perfwright-pack-{}", std::process::id()));
    Bindgen::new()
        .input_path(wasm)
        .no_modules(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&folder)?;
    let (mut glue, mut bound) = (None, None);
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("js") => glue = Some(fs::read_to_string(&path)?),
            Some("wasm") => bound = Some(fs::read(&path)?),
            _ => {}
        }
    }
    fs::remove_dir_all(&folder)?;
    Ok((
        glue.context("no script came out")?,
        bound.context("no module came out")?,
    ))
}

/// Fills the marks `<!-- NAME -->` of `index.html`.
fn assemble(page: &Path, glue: &str, wasm: &[u8]) -> Result<String> {
    let read = |name: &str| {
        fs::read_to_string(page.join(name)).with_context(|| format!("read {name} of the page"))
    };
    let joined = |names: &[&str]| -> Result<String> {
        let texts = names.iter().map(|name| read(name).map(|text| slim(&text)));
        Ok(texts.collect::<Result<Vec<_>>>()?.join("\n"))
    };
    let core = slim(glue) + "\n" + &joined(&CORE)?;
    let mut html = read("index.html")?;
    for (mark, text) in [
        ("STYLE", slim(&read("style.css")?)),
        ("CORE", core),
        ("PAGE", joined(&PAGE)?),
        ("WASM", base85(&squeezed(wasm)?)),
    ] {
        ensure!(!text.contains("</script"), "{mark} ends its own element");
        let mark = format!("<!-- {mark} -->");
        ensure!(
            html.matches(&mark).count() == 1,
            "index.html has one {mark}"
        );
        html = html.replace(&mark, &text);
    }
    Ok(html)
}

/// Without the indentation and the lines that are comments only.
fn slim(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let kept = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    let text = kept.collect::<Vec<_>>().join("\n");
    without_blocks(&text)
}

/// Without comments between `/*` and `*/` that begin a line.
fn without_blocks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest
        .find("\n/*")
        .map(|at| at + 1)
        .or(rest.starts_with("/*").then_some(0))
    {
        let Some(end) = rest[at..].find("*/") else {
            break;
        };
        out.push_str(&rest[..at]);
        rest = rest[at + end + 2..].trim_start_matches('\n');
    }
    out.push_str(rest);
    out
}

/// Bytes as text: how many to leave out at the end, then five digits for each four bytes. A fifteenth smaller
/// than base 64. The digits are what stands between `!` and `}` and means nothing to HTML; `client.js` reads them.
fn base85(bytes: &[u8]) -> String {
    let digits: Vec<char> = ('!'..='}')
        .filter(|digit| !"\"$&'<>\\`".contains(*digit))
        .collect();
    let mut out = String::with_capacity(bytes.len() / 4 * 5 + 8);
    out.push(digits[bytes.len().wrapping_neg() % 4]);
    for chunk in bytes.chunks(4) {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes(word);
        let digit = |power: u32| digits[(word / 85_u32.pow(power)) as usize % 85];
        out.extend([4, 3, 2, 1, 0].map(digit));
    }
    out
}

/// As small as gzip can be made; it takes seconds.
fn squeezed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    zopfli::compress(
        zopfli::Options::default(),
        zopfli::Format::Gzip,
        bytes,
        &mut out,
    )?;
    Ok(out)
}

/// As a server would send it.
fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}
