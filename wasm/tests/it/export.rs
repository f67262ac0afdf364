//! What is shown, saved: each format read again has what was seen.

use std::{fs, path::PathBuf, time::Duration};

use perfwright_format::{Limits, read};
use perfwright_viewer::{Saved, Session, State};
use perfwright_viewer_html::HTML;
use serde_json::{Value, json};

use crate::{
    fixture,
    harness::{Page, SHOWN, painted},
};

/// States with every filter, and what stays to be shown of what was filtered.
const STATES: [(&str, &str); 9] = [
    ("", ""),
    ("f=focus:sqlite", ""),
    ("f=ignore:walk&f=hide:serve", ""),
    ("f=from:db::load&full=1", "full=1"),
    ("f=collapse:db::load", ""),
    ("f=hide:walk&f=focus:main&flat=1", ""),
    ("mine=1&type=samples", "type=samples"),
    ("f=label:route=/orders&f=label:thread=main", ""),
    (
        "by=crate&f=hide:=tokio&type=alloc_space",
        "by=crate&type=alloc_space",
    ),
];

fn session(name: &str, bytes: &[u8], state: &str) -> Session {
    let mut session = Session::new();
    session.open(name, bytes).expect("a profile");
    session.apply(State::parse(state));
    session
}

/// Every function's name, self and total.
fn functions(session: &mut Session) -> Vec<(String, i64, i64)> {
    let table: Value = serde_json::from_str(&session.table(0, 1_000)).expect("JSON");
    let rows = table["rows"].as_array().expect("rows");
    let value = |row: &Value, of: &str| row[of]["value"].as_i64().expect("a value");
    let mut functions: Vec<_> = (rows.iter())
        .map(|row| {
            let name = row["name"].as_str().expect("a name").to_owned();
            (name, value(row, "self"), value(row, "total"))
        })
        .collect();
    functions.sort_unstable();
    functions
}

fn described(session: &Session, key: &str) -> Value {
    let text = session.description();
    serde_json::from_str::<Value>(&text).expect("JSON")[key].clone()
}

#[test]
fn what_is_saved_is_what_was_seen() {
    let bytes = fixture::bytes(&fixture::service(false));
    for (state, left) in STATES {
        let mut seen = session("seen", &bytes, state);
        let expected = functions(&mut seen);
        assert!(!expected.is_empty(), "{state}");
        for format in [Saved::Pprof, Saved::Speedscope] {
            let saved = seen.save(false, format).expect("a file");
            // speedscope has no type of its own choice.
            let left = match left.contains("type=") {
                true => left.to_owned(),
                false => format!("{left}&type=cpu"),
            };
            let mut again = session("again", &saved, &left);
            assert_eq!(functions(&mut again), expected, "{state} as {format:?}");
            // A crate that calls itself by way of one that was taken out is one frame when it is read again.
            let keys = ["total", "type", "nodes"];
            for key in &keys[..if state.contains("by=") { 2 } else { 3 }] {
                assert_eq!(
                    described(&again, key),
                    described(&seen, key),
                    "{key} of {state}"
                );
            }
            assert_eq!(described(&again, "types").as_array().map(Vec::len), Some(3));
        }
    }
}

#[test]
fn formats_of_one_value_hold_the_one_that_is_shown() {
    let bytes = fixture::bytes(&fixture::service(false));
    for (state, left) in STATES
        .into_iter()
        .filter(|(state, _)| !state.contains("by="))
    {
        let mut seen = session("seen", &bytes, state);
        let expected = functions(&mut seen);
        for format in [Saved::Folded, Saved::Firefox] {
            let saved = seen.save(false, format).expect("a file");
            let left = left.replace("type=samples", "");
            let mut again = session("again", &saved, &left);
            let names = |all: &[(String, i64, i64)]| -> Vec<String> {
                all.iter().map(|(name, ..)| name.clone()).collect()
            };
            let found = functions(&mut again);
            assert_eq!(names(&found), names(&expected), "{state} as {format:?}");
            let total =
                |all: &[(String, i64, i64)]| all.iter().map(|row| row.1).sum::<i64>() as f64;
            // Each format has its unit.
            let unit = total(&found) / total(&expected);
            for (found, expected) in found.iter().zip(&expected) {
                let [own, all] = [expected.1, expected.2].map(|value| value as f64 * unit);
                assert!(
                    (found.1 as f64 - own).abs() < 1.0,
                    "{found:?} is not {own} of {state}"
                );
                assert!(
                    (found.2 as f64 - all).abs() < 1.0,
                    "{found:?} is not {all} of {state}"
                );
            }
        }
    }
}

#[test]
fn labels_times_and_inlined_frames_are_saved() {
    let bytes = fixture::bytes(&fixture::service(false));
    let before = read(&bytes, &Limits::default()).expect("a profile").profile;
    let seen = session("seen", &bytes, "f=focus:rank");
    let saved = seen.save(false, Saved::Pprof).expect("a file");
    let after = read(&saved, &Limits::default()).expect("a profile").profile;
    let ranked = |sample: &perfwright_model::SampleRef<'_>| sample.values[0] == 7;
    let labels = |profile: &perfwright_model::Profile| -> Vec<_> {
        let of = |sample: perfwright_model::SampleRef<'_>| {
            let label = |key| profile.label_str(sample.labels, key).map(str::to_owned);
            (label("route"), label("thread"), sample.time_nanos)
        };
        profile.samples().filter(ranked).map(of).collect()
    };
    assert_eq!(after.sample_count(), 50);
    assert_eq!(labels(&after), labels(&before));
    let inlined = |profile: &perfwright_model::Profile| {
        (0..profile.location_count())
            .map(perfwright_model::LocationId::from_index)
            .filter(|&id| profile.frames(id).len() == 2 && profile.location(id).address.is_some())
            .count()
    };
    // The poll within the runtime, the sort within the ranking.
    assert_eq!(inlined(&after), 2);
}

#[test]
fn nothing_is_saved_of_nothing() {
    let error = Session::new()
        .save(false, Saved::Pprof)
        .expect_err("an error");
    assert!(error.contains("open"), "{error}");
}

/// A page whose downloads land in a folder.
fn downloading(name: &'static str, hash: &str) -> Option<(Page, PathBuf)> {
    let mut page = Page::embedded(name, hash)?;
    let folder = page.folder.join("downloads");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for downloads");
    let behavior = json!({ "behavior": "allow", "downloadPath": folder });
    page.browser.send("Browser.setDownloadBehavior", behavior);
    Some((page, folder))
}

/// Chooses an entry of the menu, and waits for the file.
fn saved(page: &mut Page, folder: &std::path::Path, entry: &str, name: &str) -> Vec<u8> {
    page.browser
        .value("document.getElementById('tree').focus()");
    page.browser.key("e");
    page.browser.value(&format!(
        "[...document.querySelectorAll('#menu button')].find(button => button.innerText.includes({entry:?})).click()"
    ));
    let file = folder.join(name);
    for _ in 0..600 {
        if let Ok(bytes) = fs::read(&file) {
            return bytes;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let there: Vec<_> = fs::read_dir(folder).expect("a folder").flatten().collect();
    panic!("{name} never came; {there:?}; {:?}", page.browser.errors);
}

#[test]
fn the_page_saves_in_every_format() {
    let Some((mut page, folder)) = downloading("save", "#f=focus:rank&view=icicle") else {
        return;
    };
    for (entry, name) in [
        ("pprof", "before.pb.gz"),
        ("Folded", "before.folded"),
        ("speedscope", "before.speedscope.json"),
        ("Firefox", "before.firefox.json.gz"),
    ] {
        let bytes = saved(&mut page, &folder, entry, name);
        let profile = read(&bytes, &Limits::default()).expect(name).profile;
        let at = profile
            .find_sample_type("cpu")
            .or(profile.default_sample_type());
        assert_eq!(profile.total(at.expect("values")), 3_500_000_000, "{name}");
    }
    page.done();
}

#[test]
fn a_picture_has_the_boxes_that_are_seen() {
    let Some((mut page, folder)) = downloading("picture", "#f=focus:rank") else {
        return;
    };
    let svg = saved(&mut page, &folder, "Picture", "before.svg");
    let svg = String::from_utf8(svg).expect("text");
    let file = folder.join("before.svg");
    assert!(
        svg.contains("<title>shop::rank&#60;Vec&#60;u8&#62;&#62;\n"),
        "{svg}"
    );
    page.browser.open(
        &format!("file://{}", file.display()),
        "document.querySelectorAll('rect').length > 6",
    );
    let boxes = "(() => { const all = [...document.querySelectorAll('g')].map(g => [g.querySelector('title').textContent.split('\\n')[0], g.querySelector('rect').y.baseVal.value]);
        return Object.fromEntries(all); })()";
    let tops = page.browser.value(boxes);
    let top = |name: &str| tops[name].as_f64().expect(name);
    // A flame: the callers are below.
    assert!(top("all") > top("shop::main") && top("shop::main") > top("shop::serve"));
    assert_eq!(tops.get("sqlite3_step"), None);
    page.shoot("svg");
    page.done();
}

#[test]
fn a_saved_page_opens_with_what_was_seen() {
    let hash = "#p=1&base=0&view=table&sort=total-change&f=ignore:shop::walk&q=sqlite";
    let Some((mut page, folder)) = downloading("page", hash) else {
        return;
    };
    page.wait_text("#rows tbody", "sqlite3_step");
    let before = page.text("#rows tbody");
    let html = saved(&mut page, &folder, "This page", "after.html");
    assert!(html.len() > HTML.len());
    let file = folder.join("after.html");
    let ready = format!("document.documentElement?.dataset.ready !== undefined && {SHOWN}");
    page.browser
        .open(&format!("file://{}", file.display()), &ready);
    page.wait_text("#rows tbody", "sqlite3_step");
    assert_eq!(page.text("#rows tbody"), before);
    assert_eq!(page.text("#steps"), "", "the filters are done");
    assert!(!page.browser.text("location.hash").contains("f="));
    let profiles = page
        .browser
        .text("document.getElementById('profile').innerText");
    assert!(
        profiles.contains("after.pb") && profiles.contains("before.pb"),
        "{profiles}"
    );
    page.browser.key("Escape");
    page.view("flame");
    page.browser
        .wait("!document.getElementById('flame').hidden");
    std::thread::sleep(Duration::from_millis(400));
    assert!(painted(&mut page) > 20_000);
    page.done();
}
