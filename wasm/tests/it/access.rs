//! Who can use the page: what a screen reader is told, and whether colours can be told apart.

use serde_json::{Value, json};

use crate::harness::Page;

/// Every view, and with it every state of the page that has controls of its own.
const STATES: [&str; 10] = [
    "#fn=shop::db::load",
    "#view=icicle&q=sqlite",
    "#view=time",
    "#view=sandwich&fn=shop::db::load",
    "#view=table&fn=shop::db::load",
    "#view=tree&p=1&base=0",
    "#view=source&fn=shop::db::load",
    "#view=labels&f=label:route=/orders&off=focus:walk",
    "#view=table&p=1&base=0&fn=sqlite3_step&mine=1",
    "#f=focus:nothing-of-this-name",
];

/// Roles of what is operated: each needs a name.
const CONTROLS: [&str; 14] = [
    "button",
    "combobox",
    "searchbox",
    "textbox",
    "checkbox",
    "tab",
    "tree",
    "treegrid",
    "grid",
    "menuitem",
    "link",
    "dialog",
    "progressbar",
    "DisclosureTriangle",
];

fn accessible(page: &mut Page) -> Vec<Value> {
    let nodes = page.browser.send("Accessibility.getFullAXTree", json!({}));
    let nodes = nodes["nodes"].as_array().expect("nodes").iter();
    nodes
        .filter(|node| node["ignored"] != true)
        .cloned()
        .collect()
}

fn role(node: &Value) -> &str {
    node["role"]["value"].as_str().unwrap_or_default()
}

fn property<'a>(node: &'a Value, name: &str) -> &'a Value {
    let properties = node["properties"].as_array().into_iter().flatten();
    let mut found = properties.filter(|property| property["name"] == name);
    found
        .next()
        .map_or(&Value::Null, |property| &property["value"]["value"])
}

fn go(page: &mut Page, hash: &str) {
    page.browser.value(&format!("location.hash = {hash:?}"));
    page.browser.wait(&format!(
        "document.getElementById('view-{}').getAttribute('aria-selected') === 'true'",
        hash.split(['=', '&'])
            .nth(1)
            .filter(|_| hash.contains("view="))
            .unwrap_or("flame")
    ));
    // What a view shows comes a message later.
    page.browser
        .value("new Promise(done => setTimeout(done, 300))");
}

#[test]
fn every_control_has_a_role_and_a_name() {
    let Some(mut page) = Page::embedded("controls", "") else {
        return;
    };
    for hash in STATES {
        go(&mut page, hash);
        let nodes = accessible(&mut page);
        let controls = nodes.iter().filter(|node| CONTROLS.contains(&role(node)));
        let mut count = 0;
        for node in controls {
            count += 1;
            let name = node["name"]["value"].as_str().unwrap_or_default();
            assert!(
                !name.trim().is_empty(),
                "{hash}: a {} without a name: {node}",
                role(node)
            );
        }
        assert!(count > 20, "{hash}: {count} controls");
        let mut buttons: Vec<_> = (nodes.iter())
            .filter(|node| role(node) == "button")
            .map(|node| node["name"]["value"].to_string())
            .collect();
        buttons.sort_unstable();
        let twice = buttons.windows(2).find(|pair| pair[0] == pair[1]);
        assert_eq!(twice, None, "{hash}: two buttons of one name");
        let focusable_generic: Vec<_> = (nodes.iter())
            .filter(|node| property(node, "focusable") == true)
            .filter(|node| ["generic", "none", ""].contains(&role(node)))
            .collect();
        assert!(
            focusable_generic.is_empty(),
            "{hash}: {focusable_generic:?}"
        );
        let of = |wanted: &str| nodes.iter().filter(|node| role(node) == wanted).count();
        for landmark in ["banner", "main", "search"] {
            assert_eq!(of(landmark), 1, "{hash}: {landmark}");
        }
    }
    page.done();
}

#[test]
fn what_is_selected_is_said() {
    let Some(mut page) = Page::embedded("selected", "") else {
        return;
    };
    for (hash, wanted) in [
        ("#view=table&fn=shop::db::load", "row"),
        ("#view=icicle&fn=shop::db::load&node=6", "treeitem"),
    ] {
        go(&mut page, hash);
        let nodes = accessible(&mut page);
        let selected: Vec<&Value> = (nodes.iter())
            .filter(|node| role(node) == wanted && property(node, "selected") == true)
            .collect();
        assert_eq!(selected.len(), 1, "{hash}: {selected:?}");
        let name = selected[0]["name"]["value"].as_str().unwrap_or_default();
        assert!(name.contains("shop::db::load"), "{hash}: {name}");
        let tabs = nodes
            .iter()
            .filter(|node| role(node) == "tab" && property(node, "selected") == true);
        assert_eq!(tabs.count(), 1);
    }
    page.done();
}

/// The least contrast of any text that is shown, as WCAG 2.1 computes it, and the text.
const LEAST_CONTRAST: &str = "(() => {
    const canvas = new OffscreenCanvas(1, 1), context = canvas.getContext('2d', { willReadFrequently: true });
    const rgba = color => {
        context.clearRect(0, 0, 1, 1); context.fillStyle = color; context.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
    };
    const over = ([r, g, b, a], below) => [r, g, b].map((c, i) => c * a + below[i] * (1 - a));
    const behind = element => {
        if (!element) return [255, 255, 255];
        const color = rgba(getComputedStyle(element).backgroundColor);
        return color[3] === 1 ? color.slice(0, 3) : over(color, behind(element.parentElement));
    };
    const luminance = color => {
        const [r, g, b] = color.map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    let least = [99, ''], seen = 0;
    for (const element of document.body.querySelectorAll('*')) {
        const text = [...element.childNodes].filter(node => node.nodeType === 3).map(node => node.data.trim()).join('');
        if (!text || !element.checkVisibility({ visibilityProperty: true }) || element.closest('script, .unseen, [role=treeitem], :disabled, option, #canvas, .off')) continue;
        const ground = behind(element), ink = over(rgba(getComputedStyle(element).color), ground);
        const [low, high] = [luminance(ground), luminance(ink)].sort((a, b) => a - b);
        const contrast = (high + 0.05) / (low + 0.05);
        seen++;
        if (contrast < least[0]) least = [contrast, text, getComputedStyle(element).color, ground.map(Math.round)];
    }
    return [...least, seen];
})()";

#[test]
fn text_stands_out_from_its_ground_in_both_themes() {
    let Some(mut page) = Page::embedded("contrast", "") else {
        return;
    };
    for theme in ["light", "dark"] {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        page.browser.send("Emulation.setEmulatedMedia", media);
        page.browser.wait(&format!(
            "document.documentElement.dataset.theme === {theme:?}"
        ));
        for hash in STATES {
            go(&mut page, hash);
            let least = page.browser.value(LEAST_CONTRAST);
            assert!(least[0].as_f64() >= Some(4.5), "{theme} {hash}: {least}");
            assert!(least[4].as_u64() > Some(20), "{theme} {hash}: {least}");
        }
    }
    page.done();
}

#[test]
fn the_help_is_a_dialog_that_names_every_key() {
    let Some(mut page) = Page::embedded("help", "") else {
        return;
    };
    page.browser.key("?");
    page.browser.wait("document.getElementById('keys').open");
    let nodes = accessible(&mut page);
    let dialog = nodes.iter().find(|node| role(node) == "dialog");
    assert_eq!(
        dialog.expect("a dialog")["name"]["value"],
        "Keys and gestures"
    );
    let least = page.browser.value(LEAST_CONTRAST);
    assert!(least[0].as_f64() >= Some(4.5), "{least}");
    let named = page.text("#keys");
    for key in [
        "1 … 8", "?", "o", "e", "Esc", "Enter", "0", "w s a d", "/", "n N", "f", "i", "h", "b",
        "c", "z", "m", "r", "g",
    ] {
        assert!(named.contains(key), "{key} is not in the help");
    }
    page.done();
}

#[test]
fn menus_have_names_and_go_by_the_keyboard() {
    let Some(mut page) = Page::embedded("menus", "#view=table&fn=shop::db::load") else {
        return;
    };
    page.wait_text("#rows tbody", "sqlite3_step");
    for (open, name, entries) in [
        (
            "document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'e', bubbles: true }))",
            "Save what is shown as",
            6,
        ),
        (
            "document.querySelector('#rows tr[aria-selected=true]').dispatchEvent(new KeyboardEvent('keydown', { key: 'ContextMenu', bubbles: true }))",
            "shop::db::load",
            9,
        ),
    ] {
        page.browser.value(open);
        page.browser.wait("!document.getElementById('menu').hidden");
        let nodes = accessible(&mut page);
        let menu = nodes
            .iter()
            .find(|node| role(node) == "menu")
            .expect("a menu");
        assert_eq!(menu["name"]["value"], name);
        let items = nodes.iter().filter(|node| role(node) == "menuitem");
        assert_eq!(items.clone().count(), entries, "{name}");
        assert!(items.clone().all(|item| item["name"]["value"] != ""));
        let focused = "document.activeElement.innerText";
        let first = page.browser.text(focused);
        page.browser.key("ArrowUp");
        let last = page.browser.text(focused);
        assert_ne!(first, last);
        page.browser.key("ArrowDown");
        assert_eq!(page.browser.text(focused), first);
        page.shoot(if entries == 6 { "save" } else { "function" });
        page.browser.key("Escape");
        page.browser.wait("document.getElementById('menu').hidden");
    }
    page.done();
}

#[test]
fn keys_walk_through_time_and_around_a_function() {
    let Some(mut page) = Page::embedded("walk", "#view=sandwich&fn=shop::db::load") else {
        return;
    };
    let focus = "document.getElementById('tree').focus()";
    page.browser.value(focus);
    let at = |page: &mut Page, text: &str| {
        page.browser.wait(&format!(
            "document.querySelector('#tree [aria-selected=true]')?.textContent.startsWith({text:?})"
        ));
    };
    at(&mut page, "shop::db::load,");
    page.browser.key("ArrowDown");
    at(&mut page, "shop::db::load::{closure},");
    page.wait_text("#tip", "shop::db::load::{{closure}}");
    page.shoot("sandwich");
    for caller in [
        "shop::db::load,",
        "shop::serve,",
        "<tokio::Task<F> as Future>::poll,",
    ] {
        page.browser.key("ArrowUp");
        at(&mut page, caller);
    }
    assert_eq!(
        page.selected(),
        "shop::db::load",
        "it is looked around from there"
    );
    page.browser.key("Enter");
    page.wait_text("#details .name", "<tokio::Task<F> as Future>::poll");
    page.view("time");
    page.browser.value(focus);
    page.browser.key("Home");
    page.browser.key("ArrowDown");
    page.browser.key("ArrowDown");
    page.wait_text("#details .name", "tokio::runtime::run");
    page.browser.key("ArrowRight");
    page.wait_text("#details .name", "[kernel or lost]");
    page.browser.key("Enter");
    page.browser.wait("location.hash.includes('zoom=')");
    page.done();
}
