//! Files of every format dropped on the page, from disk: it says what the model says, which [`second`] holds against a
//! second implementation.
//!
//! With `PERFWRIGHT_SAMPLES` set to a folder, all files under it are dropped instead, and it is printed which opened
//! and why the others did not; what the page says is held against the model all the same.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use perfwright_viewer::{Session, State};
use serde_json::{Value, json};

use crate::{
    harness::{Page, READY},
    second,
};

const STATE: &str = "full=1&view=table&sort=total";

/// A file opened, or a message says why not.
const SETTLED: &str = "!document.getElementById('nothing').hidden
    && document.querySelector('#nothing h1').innerText !== 'Open a profile'
    || document.querySelector('#rows tr[data-at]')";

/// The cells of the first rows, and the last one's title, which has the file too.
const ROWS: &str = "[...document.querySelectorAll('#rows tr[data-at]')].slice(0, 20)
    .map(row => [...row.cells].map(cell => cell.textContent).concat(row.cells[row.cells.length - 1].title))";

/// What the page shows of a file: its total and first rows. `Err`: the message.
fn shown(page: &mut Page, file: &Path, round: usize) -> Result<(String, Value), String> {
    // Another address, so that the page begins anew.
    let url = format!(
        "file://{}/viewer.html?{round}#{STATE}",
        page.folder.display()
    );
    page.browser.open(&url, READY);
    page.browser.drop_files(600.0, 400.0, &[file]);
    page.browser.wait(SETTLED);
    if page
        .browser
        .value("document.getElementById('nothing').hidden")
        == false
    {
        return Err(page.text("#nothing"));
    }
    let label = page
        .browser
        .text("document.getElementById('main').getAttribute('aria-label')");
    Ok((label, page.browser.value(ROWS)))
}

/// The same by the model.
fn modelled(file: &Path, bytes: &[u8]) -> Result<(String, Value), String> {
    let name = file.file_name().expect("a name").to_string_lossy();
    let mut session = Session::new();
    session
        .open(&name, bytes)
        .map_err(|error| error.to_string())?;
    session.apply(State::parse(STATE));
    let parsed = |json: &str| -> Value { serde_json::from_str(json).expect("JSON") };
    let (described, table) = (
        parsed(&session.description()),
        parsed(&session.table(0, 20)),
    );
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    if described["empty"] == true {
        // The message says of what there is nothing.
        return Err(text(&described["type"]));
    }
    let row = |row: &Value| {
        let number = |key: &str| {
            format!(
                "{}  {}",
                text(&row[key]["text"]),
                text(&row[key]["percent"])
            )
        };
        let file = match &row["file"] {
            Value::Null => String::new(),
            file => format!("\n{}", text(file)),
        };
        json!([
            number("self"),
            number("total"),
            row["name"],
            text(&row["full"]) + &file
        ])
    };
    let rows = table["rows"].as_array().expect("rows").iter().map(row);
    let label = format!(
        "{name}: {} {}",
        text(&described["total"]),
        text(&described["type"])
    );
    Ok((label, Value::Array(rows.collect())))
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    let files = entries.into_iter().flat_map(|path| match path.is_dir() {
        true => files_under(&path),
        false => vec![path],
    });
    files.collect()
}

#[test]
fn files_of_other_programs_are_shown_as_the_model_has_them() {
    let Some(mut page) = Page::empty("formats") else {
        return;
    };
    let samples = env::var_os("PERFWRIGHT_SAMPLES");
    let files = match &samples {
        Some(folder) => files_under(Path::new(folder)),
        None => second::files(),
    };
    let mut opened = 0;
    for (round, file) in files.iter().enumerate() {
        // A browser is not given a path with `..` in it.
        let file =
            &fs::canonicalize(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let (shown, modelled) = (shown(&mut page, file, round), modelled(file, &bytes));
        match (&shown, &modelled) {
            (Err(message), Err(reason)) => {
                println!("{}: {message}", file.display());
                assert!(
                    message.contains(reason.as_str()),
                    "{message} lacks {reason}"
                );
            }
            _ => {
                assert_eq!(shown, modelled, "{}", file.display());
                opened += 1;
            }
        }
    }
    println!("{opened} of {} files opened", files.len());
    assert!(samples.is_some() || opened == files.len(), "only {opened}");
    page.done();
}
