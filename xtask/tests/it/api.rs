//! The public API of every published crate, as text: a change of it shows in review.
//!
//! `BLESS=1 cargo test -p xtask api` writes the files anew.

use std::{env, fs};

use crate::{cargo, output_of, root, target_directory};

#[test]
fn public_api_is_as_recorded() {
    let folder = root().join("xtask/tests/api");
    let bless = env::var_os("BLESS").is_some();
    let mut changed = Vec::new();
    let target_directory = target_directory();
    for package in crate::tidy::published() {
        let mut rustdoc = cargo("rustdoc --quiet --locked --lib --all-features --package");
        rustdoc.arg(&package);
        rustdoc.args([
            "--",
            "-Zunstable-options",
            "--output-format=json",
            "--cap-lints=allow",
        ]);
        output_of(rustdoc.env("RUSTC_BOOTSTRAP", "1"));
        let json = target_directory
            .join("doc")
            .join(package.replace('-', "_"))
            .with_extension("json");
        let api = public_api::Builder::from_rustdoc_json(json)
            .omit_blanket_impls(true)
            .omit_auto_trait_impls(true)
            .omit_auto_derived_impls(true)
            .build()
            .unwrap_or_else(|error| panic!("the API of {package}: {error}"))
            .to_string();
        let path = folder.join(&package).with_extension("txt");
        if bless {
            fs::create_dir_all(&folder).expect("the folder can be made");
            fs::write(&path, &api).expect("the file can be written");
        } else if fs::read_to_string(&path).unwrap_or_default() != api {
            changed.push(package);
        }
    }
    assert!(
        changed.is_empty(),
        "the public API of {changed:?} is not as recorded in {}; if the change is meant, \
         `BLESS=1 cargo test -p xtask api` records it, and CHANGELOG.md tells users",
        folder.display()
    );
}
