//! The page in Chromium: the committed file, opened from disk.

use perfwright_viewer_html::HTML;
use serde_json::{Value, json};

use crate::{
    fixture,
    harness::{Page, SHOWN, painted, serve},
};

#[test]
fn empty_page_asks_for_a_profile_and_takes_one_by_drop() {
    let Some(mut page) = Page::empty("drop") else {
        return;
    };
    assert!(page.text("#nothing h1").contains("Open a profile"));
    page.shoot("empty");
    let file = page.file("dropped.pb", &fixture::bytes(&fixture::service(false)));
    page.browser.drop_files(600.0, 400.0, &[&file]);
    page.browser.wait(SHOWN);
    assert!(page.browser.text("document.title").contains("dropped.pb"));
    page.browser
        .wait("!document.getElementById('flame').hidden");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(painted(&mut page) > 50_000);
    page.done();
}

#[test]
fn a_profile_comes_by_the_file_dialog_and_by_paste() {
    let Some(mut page) = Page::empty("choose") else {
        return;
    };
    let file = page.file("stacks.folded", b"main;parse 12\nmain;render 30\n");
    page.browser.choose("#file", &[&file]);
    page.wait_text("#details", "42");
    page.browser.value(
        "(() => { const data = new DataTransfer(); data.setData('text/plain', 'a;b 3\\na;c 4\\n');
           dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true })); })()",
    );
    page.wait_text("#profile", "pasted");
    page.wait_text("#details", "7");
    page.done();
}

#[test]
fn a_profile_comes_from_an_address() {
    let folded = b"main;parse 12\nmain;render 30\n".to_vec();
    let url = serve("Access-Control-Allow-Origin: *", folded) + "stacks.folded";
    let hash = format!("#view=table&url={url}");
    let Some(mut page) = Page::of("url", HTML.as_bytes(), &hash) else {
        return;
    };
    page.wait_text("#rows tbody", "render");
    assert_eq!(page.text("#profile"), "stacks.folded");
    assert!(page.browser.text("location.hash").contains("url="));
    page.browser
        .value("location.hash = '#url=http://127.0.0.1:1/nothing'");
    page.wait_text("#nothing h1", "could not be fetched");
    page.done();
}

#[test]
fn every_view_shows_what_it_should() {
    let Some(mut page) = Page::embedded("views", "#fn=shop::db::load") else {
        return;
    };
    for view in ["flame", "icicle", "time", "sandwich"] {
        page.view(view);
        std::thread::sleep(std::time::Duration::from_millis(400));
        assert!(painted(&mut page) > 20_000, "{view}");
        page.shoot(view);
    }
    page.view("table");
    page.wait_text("#rows tbody", "sqlite3_step");
    page.shoot("table");
    assert_eq!(page.selected(), "shop::db::load");
    assert_eq!(
        page.text("#rows tr[aria-selected=true] td.name"),
        "shop::db::load"
    );
    page.view("tree");
    page.wait_text("#rows tbody", "shop::main");
    page.shoot("tree");
    page.view("source");
    page.wait_text("#lines", "shop/src/lib.rs");
    let link = page
        .browser
        .text("document.querySelector('#lines .lines a').href");
    assert!(
        link.starts_with("vscode://file/src/shop/src/lib.rs:"),
        "{link}"
    );
    page.shoot("source");
    page.view("labels");
    page.wait_text("#values", "/orders");
    page.shoot("labels");
    page.done();
}

#[test]
fn search_highlights_and_becomes_a_filter() {
    let Some(mut page) = Page::embedded("search", "") else {
        return;
    };
    page.browser.key("/");
    for key in ["s", "q", "l", "i", "t", "e"] {
        page.browser.key(key);
    }
    page.wait_text("#hits", "1 function");
    page.shoot("search");
    page.browser.key("Enter");
    page.wait_text("#details .name", "sqlite3_step");
    page.browser
        .value("document.getElementById('focus-query').click()");
    page.wait_text("#steps", "sqlite");
    assert!(
        page.browser
            .text("location.hash")
            .contains("f=focus:sqlite")
    );
    page.browser
        .value("document.querySelector('#steps li button:last-child').click()");
    page.browser.wait("!location.hash.includes('f=focus')");
    page.done();
}

#[test]
fn an_address_brings_the_view_back() {
    let hash = "#p=1&base=0&view=table&sort=self-change&f=ignore:shop::walk";
    let Some(mut page) = Page::embedded("address", hash) else {
        return;
    };
    page.wait_text("#rows tbody", "sqlite3_step");
    let first = page.text("#rows tbody tr:nth-child(2)");
    assert!(
        first.contains("sqlite3_step") && first.contains("pp"),
        "{first}"
    );
    assert!(!page.text("#rows tbody").contains("shop::walk"));
    page.shoot("diff");
    page.view("icicle");
    page.shoot("diff-icicle");
    page.browser.value("history.back()");
    page.browser.wait("location.hash.includes('view=table')");
    page.wait_text("#rows tbody", "sqlite3_step");
    page.done();
}

#[test]
fn the_keyboard_goes_everywhere() {
    let Some(mut page) = Page::embedded("keys", "#view=icicle") else {
        return;
    };
    page.browser
        .value("document.getElementById('tree').focus()");
    page.browser.key("ArrowDown");
    page.wait_text("#details .name", "shop::main");
    page.browser.key("ArrowDown");
    page.wait_text("#details .name", "tokio::runtime::run");
    page.browser.key("Enter");
    page.browser.key("h");
    page.wait_text("#steps", "tokio::runtime::run");
    page.browser.key("z");
    page.browser
        .wait("document.getElementById('steps').children.length === 0");
    page.browser.key("m");
    page.browser.wait("location.hash.includes('mine=1')");
    page.browser.key("5");
    page.wait_text("#rows tbody", "sqlite3_step");
    page.browser.key("ArrowDown");
    page.browser.wait("document.activeElement.tagName === 'TR'");
    page.browser.key("?");
    page.browser.wait("document.getElementById('keys').open");
    page.shoot("help");
    page.browser.key("Escape");
    page.browser.wait("!document.getElementById('keys').open");
    page.done();
}

#[test]
fn screen_readers_get_the_selection_as_a_tree() {
    let Some(mut page) = Page::embedded("reader", "#view=icicle") else {
        return;
    };
    page.browser
        .value("document.getElementById('tree').focus()");
    for _ in 0..2 {
        page.browser.key("ArrowDown");
    }
    page.wait_text("#details .name", "tokio::runtime::run");
    page.browser.wait("document.querySelector('#tree [aria-selected=true]')?.textContent.startsWith('tokio::runtime::run')");
    let nodes = page.browser.send("Accessibility.getFullAXTree", json!({}));
    let nodes = nodes["nodes"].as_array().expect("nodes").clone();
    let of = |role: &str| -> Vec<&Value> {
        nodes
            .iter()
            .filter(|node| node["role"]["value"] == role && node["ignored"] != true)
            .collect()
    };
    let items = of("treeitem");
    assert!(items.len() >= 4, "{} items", items.len());
    let level = |node: &Value| {
        let properties = node["properties"].as_array().expect("properties");
        let level = properties
            .iter()
            .find(|property| property["name"] == "level");
        level.and_then(|property| property["value"]["value"].as_u64())
    };
    let levels: Vec<_> = items.iter().filter_map(|item| level(item)).collect();
    assert_eq!(levels[..3], [1, 2, 3]);
    for role in ["button", "combobox", "searchbox", "tab", "tree"] {
        for node in of(role) {
            assert_ne!(node["name"]["value"], "", "a {role} without a name: {node}");
        }
    }
    page.done();
}

#[test]
fn fingers_pan_and_pinch() {
    let Some(mut page) = Page::embedded("touch", "#view=icicle") else {
        return;
    };
    page.browser.resize(390, 740, true);
    page.browser
        .wait("document.getElementById('flame').clientWidth === 390");
    page.shoot("narrow");
    let top = page
        .browser
        .value("document.getElementById('flame').getBoundingClientRect().top + 100");
    let y = top.as_f64().expect("a number");
    page.browser.touch("touchStart", &[(150.0, y), (250.0, y)]);
    for step in 1..=10 {
        let by = 10.0 * f64::from(step);
        page.browser
            .touch("touchMove", &[(150.0 - by, y), (250.0 + by, y)]);
    }
    page.browser.touch("touchEnd", &[]);
    page.browser.wait("location.hash.includes('zoom=')");
    let span = "(() => { const [a, b] = new URLSearchParams(location.hash.slice(1)).get('zoom').split(','); return b - a; })()";
    let zoomed = page.browser.value(span).as_f64().expect("a number");
    assert!(
        (0.2..0.6).contains(&zoomed),
        "{zoomed} of the whole is shown"
    );
    let before = page.browser.text("location.hash");
    page.browser.touch("touchStart", &[(300.0, y)]);
    for step in 1..=10 {
        page.browser
            .touch("touchMove", &[(300.0 - 10.0 * f64::from(step), y)]);
    }
    page.browser.touch("touchEnd", &[]);
    page.browser.wait(&format!("location.hash !== {before:?}"));
    page.done();
}

#[test]
fn what_can_not_be_read_says_why_and_the_page_goes_on() {
    let Some(mut page) = Page::empty("broken") else {
        return;
    };
    let program = page.file("program", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    page.browser.choose("#file", &[&program]);
    page.wait_text("#nothing", "could not be opened");
    assert!(page.text("#nothing").contains("ELF"));
    page.shoot("broken");
    let cut = page.file("cut.pb.gz", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2]);
    page.browser.choose("#file", &[&cut]);
    page.wait_text("#nothing h1", "cut.pb.gz");
    let good = page.file("good.folded", b"main;parse 12\n");
    page.browser.choose("#file", &[&good]);
    page.wait_text("#details", "12");
    page.browser
        .value("location.hash = '#f=focus:nothing-of-this-name'");
    page.wait_text("#nothing h1", "filters leave nothing");
    page.done();
}

#[test]
fn without_a_worker_the_page_works_as_well() {
    let Some(mut page) = Page::embedded("here", "#worker=no&view=table") else {
        return;
    };
    page.wait_text("#rows tbody", "sqlite3_step");
    page.view("flame");
    std::thread::sleep(std::time::Duration::from_millis(400));
    assert!(painted(&mut page) > 20_000);
    page.done();
}

#[test]
fn dark_pages_are_dark() {
    let Some(mut page) = Page::embedded("dark", "#view=icicle") else {
        return;
    };
    let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
    page.browser.send("Emulation.setEmulatedMedia", dark);
    page.browser
        .wait("document.documentElement.dataset.theme === 'dark'");
    let paper = page
        .browser
        .text("getComputedStyle(document.body).backgroundColor");
    assert_eq!(paper, "rgb(23, 25, 29)");
    page.shoot("dark");
    page.done();
}
