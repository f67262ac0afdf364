//! What ARCHITECTURE.md promises and a program can check.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use regex::Regex;

use crate::root;

/// Crates that a service must not get by embedding Perfwright: command lines, HTTP clients and servers,
/// progress bars, test tools.
const NOT_EMBEDDED: [&str; 14] = [
    "anyhow",
    "axum",
    "cargo_metadata",
    "clap",
    "comfy-table",
    "criterion",
    "hyper",
    "indicatif",
    "insta",
    "prost",
    "regex",
    "reqwest",
    "tempfile",
    "tokio",
];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(["--locked".to_owned()])
        .exec()
        .expect("cargo metadata reads the workspace")
}

/// The names of the crates that are published.
pub(crate) fn published() -> Vec<String> {
    let metadata = metadata();
    let packages = metadata.workspace_packages().into_iter();
    let published = packages.filter(|package| package.publish.is_none());
    let mut names: Vec<_> = published.map(|package| package.name.to_string()).collect();
    names.sort();
    names
}

/// The codemap of ARCHITECTURE.md: each crate and what it may use, from rows such as
/// "| `perfwright-cpu` | model, context, stack | … |".
fn codemap() -> BTreeMap<String, BTreeSet<String>> {
    let text =
        fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    let row = Regex::new(r"(?m)^\| `([a-z-]+)` \| ([^|]*) \|").expect("a valid pattern");
    let full = |short: &str| match short.trim() {
        "perfwright" => "perfwright".to_owned(),
        short => format!("perfwright-{short}"),
    };
    row.captures_iter(&text)
        .map(|row| {
            let uses = row[2]
                .split(',')
                .filter(|word| !matches!(word.trim(), "" | "-"));
            (row[1].to_owned(), uses.map(full).collect())
        })
        .collect()
}

/// The workspace's own crates that a package depends on, tests aside.
fn own_dependencies(package: &Package) -> BTreeSet<String> {
    package
        .dependencies
        .iter()
        .filter(|dependency| {
            dependency.kind != DependencyKind::Development && dependency.path.is_some()
        })
        .map(|dependency| dependency.name.clone())
        .collect()
}

#[test]
fn the_codemap_lists_every_crate_and_its_arrows() {
    let codemap = codemap();
    let metadata = metadata();
    let crates: BTreeMap<_, _> = metadata
        .workspace_packages()
        .into_iter()
        .map(|package| (package.name.to_string(), own_dependencies(package)))
        .collect();
    let listed: BTreeSet<_> = codemap.keys().collect();
    assert_eq!(
        listed,
        crates.keys().collect(),
        "the crates of ARCHITECTURE.md and of the workspace"
    );
    for (name, uses) in &crates {
        assert_eq!(
            &codemap[name], uses,
            "what {name} uses, in ARCHITECTURE.md and in its Cargo.toml"
        );
    }
}

#[test]
fn folders_are_named_like_their_crates() {
    for package in metadata().workspace_packages() {
        let folder = package
            .manifest_path
            .parent()
            .and_then(|folder| folder.file_name());
        let expected = match package.name.as_str() {
            // At the top level, by its short name.
            "perfwright-viewer" => "wasm",
            name => name,
        };
        assert_eq!(folder, Some(expected));
    }
}

#[test]
fn the_ground_floor_depends_on_nothing() {
    let metadata = metadata();
    for name in ["perfwright-model", "perfwright-context", "perfwright-stats"] {
        let mut packages = metadata.workspace_packages().into_iter();
        let package = packages
            .find(|package| package.name == name)
            .expect("the crate is there");
        let mut dependencies = package.dependencies.iter();
        let found = dependencies.find(|dependency| dependency.kind == DependencyKind::Normal);
        assert!(
            found.is_none(),
            "{name} depends on {}",
            found.map_or("", |found| &found.name)
        );
    }
}

/// The names of the crates that a program builds which depends on perfwright with these features.
fn embedded_with(features: &str) -> BTreeSet<String> {
    let mut tree = crate::cargo("tree --quiet --locked --package perfwright --edges normal");
    let tree = tree.args([
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--features",
        features,
    ]);
    crate::output_of(tree)
        .lines()
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .collect()
}

#[test]
fn embedding_brings_no_tools_along() {
    let found = |features: &str, forbidden: &[&str]| -> Vec<String> {
        let crates = embedded_with(features);
        assert!(crates.contains("perfwright-cpu"), "{crates:?}");
        let is_forbidden = |name: &String| forbidden.contains(&name.as_str());
        crates.into_iter().filter(is_forbidden).collect()
    };
    assert_eq!(found("", &NOT_EMBEDDED), [""; 0], "by default");
    // Who asks for a service has an async runtime and HTTP already, but no tools either.
    let asked_for = ["axum", "hyper", "tokio"];
    let tools: Vec<_> = NOT_EMBEDDED
        .into_iter()
        .filter(|name| !asked_for.contains(name))
        .chain(["ureq"])
        .collect();
    assert_eq!(
        found("axum,continuous,spans", &tools),
        [""; 0],
        "with the features of a service"
    );
}

/// Every Rust file of the repository below these folders.
fn sources(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let mut open: Vec<_> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut files = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                open.extend(
                    fs::read_dir(&path)
                        .expect("a folder")
                        .map(|entry| entry.expect("an entry").path()),
                );
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).expect("Rust files are UTF-8");
            files.push((path, text));
        }
    }
    files.sort();
    assert!(!files.is_empty(), "no Rust file below {folders:?}");
    files
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

#[test]
fn every_unsafe_says_why_it_holds() {
    let uses =
        Regex::new(r#"\bunsafe (\{|impl\b|extern "[^"]*" \{)|^\s*(pub(\([a-z]+\))? )?unsafe fn\b"#)
            .expect("a valid pattern");
    let mut silent = Vec::new();
    for (path, text) in sources(&["crates", "examples", "xtask/src", "benches"]) {
        let lines: Vec<_> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            if uses.is_match(code) && !is_explained(&lines, number) {
                silent.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    assert!(
        silent.is_empty(),
        "unsafe without `SAFETY:` or `# Safety`:\n{}",
        silent.join("\n")
    );
}

/// Whether the comments, attributes and the begun statement above a line hold a safety remark.
fn is_explained(lines: &[&str], line: usize) -> bool {
    let above = lines[..line].iter().rev().take_while(|above| {
        let above = above.trim();
        !(above.is_empty() || above.ends_with(['{', '}', ';']) && !above.starts_with("//"))
    });
    let own = std::iter::once(&lines[line]);
    own.chain(above)
        .any(|line| line.contains("SAFETY:") || line.contains("# Safety"))
}

#[test]
fn nothing_knows_the_functions_of_the_example() {
    let definition = Regex::new(r"\bfn (\w+_\w+)").expect("a valid pattern");
    let names = |files: &[(PathBuf, String)]| -> BTreeSet<String> {
        let texts = files.iter().map(|(_, text)| text);
        texts
            .flat_map(|text| definition.captures_iter(text))
            .map(|name| name[1].to_owned())
            .collect()
    };
    let shop = names(&sources(&["examples/shop/src"]));
    assert!(shop.len() > 10, "the example has functions: {shop:?}");
    let folders: Vec<_> = fs::read_dir(root().join("crates"))
        .expect("crates")
        .flatten()
        .collect();
    let folders: Vec<_> = folders
        .iter()
        .map(|folder| folder.path().join("src"))
        .collect();
    let mut folders: Vec<_> = folders
        .iter()
        .filter_map(|folder| folder.to_str())
        .collect();
    folders.push("xtask/src");
    let others = sources(&folders);
    let elsewhere = names(&others);
    let word = Regex::new(r"\w+").expect("a valid pattern");
    for (path, text) in &others {
        let known = word
            .find_iter(text)
            .find(|word| shop.contains(word.as_str()) && !elsewhere.contains(word.as_str()));
        assert!(
            known.is_none(),
            "{} names `{}` of examples/shop",
            shown(path),
            known.map_or("", |known| known.as_str())
        );
    }
}

#[test]
fn no_file_is_too_long_to_find_things_in() {
    for (path, text) in sources(&["crates", "examples", "xtask", "benches"]) {
        let lines = text.lines().count();
        assert!(
            lines <= 900,
            "{} has {lines} lines: could it be two?",
            shown(&path)
        );
    }
}
