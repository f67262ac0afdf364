//! Source files beside the costs of their lines: in the page, dropped, and opened in the editor.

use perfwright_viewer_html::{Embedded, page_with_sources};

use crate::{
    fixture::{self, gzipped},
    harness::{Page, SHOWN},
};

/// A file whose lines say which they are.
fn text(lines: usize) -> String {
    let lines = (1..=lines).map(|line| format!("let line_{line} = <b>&amp;</b>;\n"));
    lines.collect()
}

fn page(name: &'static str, sources: &[(&str, String)], hash: &str) -> Option<Page> {
    let profile = fixture::bytes(&fixture::service(false));
    let profile = Embedded {
        name: "cpu.pb",
        bytes: &profile,
    };
    let packed: Vec<_> = (sources.iter())
        .map(|(name, text)| (*name, gzipped(text)))
        .collect();
    let sources: Vec<_> = (packed.iter())
        .map(|(name, bytes)| Embedded { name, bytes })
        .collect();
    let html = page_with_sources(&[profile], &sources);
    let mut page = Page::of(name, &html, hash)?;
    page.browser.wait(SHOWN);
    Some(page)
}

/// The lines that are shown, each as its number, its self value and its text.
fn lines(page: &mut Page) -> Vec<(String, String, String)> {
    let rows = page.browser.value(
        "[...document.querySelectorAll('#lines tbody tr')].map(row => [2, 0, 3].map(at => row.cells[at]?.innerText ?? '⋯'))",
    );
    let text = |cell: &serde_json::Value| cell.as_str().expect("text").to_owned();
    let rows = rows.as_array().expect("rows").iter();
    rows.map(|row| (text(&row[0]), text(&row[1]), text(&row[2])))
        .collect()
}

#[test]
fn embedded_sources_stand_beside_their_costs() {
    let files = [
        ("/src/other/src/lib.rs", text(10)),
        ("/src/shop/src/lib.rs", text(100)),
    ];
    let hash = "#view=source&fn=shop::db::load";
    let Some(mut page) = page("source", &files, hash) else {
        return;
    };
    page.wait_text("#lines", "let line_30 = <b>&amp;</b>;");
    let rows = lines(&mut page);
    // The line that costs, and six above and below.
    assert_eq!(rows.len(), 13);
    let [first, hot, last] = [0, 6, 12].map(|at| &rows[at]);
    assert_eq!((first.0.as_str(), first.1.as_str()), ("24", ""));
    assert_eq!(
        (hot.0.as_str(), hot.2.as_str()),
        ("30", "let line_30 = <b>&amp;</b>;")
    );
    assert!(hot.1.contains("2.23 s"), "{hot:?}");
    assert_eq!(last.0, "36");
    page.shoot("function");
    page.browser.value(
        "[...document.querySelectorAll('#lines button')].find(button => button.innerText === 'Whole file').click()",
    );
    page.wait_text("#lines", "⋯");
    let rows = lines(&mut page);
    let hot = rows.iter().filter(|row| !row.1.is_empty() && row.1 != "⋯");
    let hot: Vec<&str> = hot.map(|row| row.0.as_str()).collect();
    // Every function of the fixture is at ten times its number.
    assert_eq!(hot, ["20", "30", "40", "70", "80", "100"]);
    assert_eq!(rows.last().map(|row| row.0.as_str()), Some("100"));
    page.shoot("file");
    page.done();
}

#[test]
fn source_files_may_be_dropped_and_chosen() {
    let Some(mut page) = page("sources-dropped", &[], "#view=source&fn=shop::db::load") else {
        return;
    };
    page.wait_text("#lines", "Open source files");
    assert_eq!(lines(&mut page).len(), 1);
    let file = page.file("lib.rs", text(31).as_bytes());
    page.browser.drop_files(600.0, 400.0, &[&file]);
    page.wait_text("#lines", "let line_31 = ");
    assert!(
        page.browser.text("document.title").contains("cpu.pb"),
        "no profile was opened"
    );
    page.browser.choose(
        "#lines input",
        &[&page.file("lib.rs", b"a\n".repeat(40).as_slice())],
    );
    page.browser
        .wait("!document.getElementById('lines').innerText.includes('line_31')");
    page.done();
}

#[test]
fn the_editor_is_the_users_choice() {
    let Some(mut page) = page("editor", &[], "#view=source&fn=shop::db::load") else {
        return;
    };
    page.wait_text("#lines", "Editor");
    let link = "document.querySelector('#lines .lines a').href";
    assert_eq!(
        page.browser.text(link),
        "vscode://file/src/shop/src/lib.rs:30"
    );
    let choose = |value: &str| {
        format!(
            "(() => {{ const select = document.querySelector('#lines select'); select.value = {value:?};
               select.dispatchEvent(new Event('change')); }})()"
        )
    };
    page.browser.value(&choose("Zed"));
    page.browser.wait(&format!("{link}.startsWith('zed:')"));
    page.browser
        .value("window.prompt = () => 'emacs://open?url=file:///home/me{path}&line={line}'");
    page.browser.value(&choose(""));
    page.browser.wait(&format!("{link}.startsWith('emacs:')"));
    let expected = "emacs://open?url=file:///home/me/src/shop/src/lib.rs&line=30";
    assert_eq!(page.browser.text(link), expected);
    page.browser
        .value("window.prompt = () => 'javascript:alert(1)'");
    page.browser.value(&choose(""));
    page.wait_text("#lines", "emacs");
    assert_eq!(page.browser.text(link), expected, "a link runs nothing");
    page.done();
}
