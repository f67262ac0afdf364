//! What the page says when there is nothing to draw, or not yet; and how it comes back to where it was.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
};

use perfwright_viewer_html::{Embedded, page};

use crate::{
    fixture,
    harness::{Page, SHOWN},
};

#[test]
fn a_profile_without_the_default_values_offers_others() {
    let mut profile = fixture::service(false);
    // Nothing is in use, much was allocated.
    for sample in &mut profile.sample {
        sample.value[1] = 0;
    }
    let bytes = fixture::bytes(&profile);
    let html = page(&[Embedded {
        name: "heap.pb",
        bytes: &bytes,
    }]);
    let Some(mut page) = Page::of("other-values", &html, "") else {
        return;
    };
    page.browser.wait(SHOWN);
    page.wait_text("#nothing h1", "There is no cpu");
    page.wait_text("#nothing", "7.32 MiB alloc_space");
    page.shoot("message");
    page.browser
        .value("document.querySelector('#nothing button').click()");
    page.browser
        .wait("!document.getElementById('flame').hidden");
    assert!(
        page.browser
            .text("location.hash")
            .contains("type=alloc_space")
    );
    page.done();
}

#[test]
fn before_anything_is_open_only_what_works_is_offered() {
    let Some(mut page) = Page::empty("nothing-open") else {
        return;
    };
    let shown = page.browser.text(
        "[...document.querySelectorAll('button, select, input')].filter(element => element.checkVisibility()).map(element => element.id || element.innerText).join(' ')",
    );
    assert_eq!(shown, "open theme help Open…");
    page.done();
}

#[test]
fn a_bar_shows_while_a_profile_is_on_its_way() {
    let Some(mut page) = Page::empty("way") else {
        return;
    };
    // The server answers when the bar was seen.
    let (seen, wait) = std::sync::mpsc::channel::<()>();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!(
        "http://{}/slow.folded",
        listener.local_addr().expect("an address")
    );
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let _ = stream.read(&mut [0; 4096]).expect("a request");
        wait.recv().expect("the test goes on");
        let head =
            "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 10\r\n\r\n";
        stream
            .write_all(format!("{head}main;a 77\n").as_bytes())
            .expect("an answer");
    });
    page.browser.value(&format!("location.hash = '#url={url}'"));
    page.browser
        .wait("!document.getElementById('progress').hidden");
    assert!(page.text("#progress").contains("Fetching"));
    page.shoot("bar");
    seen.send(()).expect("the server waits");
    page.wait_text("#details", "77");
    page.browser
        .wait("document.getElementById('progress').hidden");
    server.join().expect("the server");
    page.done();
}

#[test]
fn an_address_brings_back_all_that_is_seen() {
    let hash = "#p=1&base=0&norm=rate&type=cpu&view=icicle&by=function&group=route&full=1&flat=1&f=ignore:shop::rank&off=focus:walk&q=load&fn=shop::db::load&zoom=0.1,0.6";
    let Some(mut page) = Page::embedded("all", hash) else {
        return;
    };
    let state = "(() => { const $ = id => document.getElementById(id), on = id => $(id).getAttribute('aria-pressed');
        return JSON.stringify([$('profile').value, $('baseline').value, $('normalize').value, $('type').value, $('group').value,
            on('full'), on('flat'), on('mine'), $('steps').innerText.replaceAll('\\n', ' '), $('query').value, $('view-icicle').ariaSelected,
            document.querySelector('#details .name').innerText]); })()";
    let expected = "[\"1\",\"0\",\"rate\",\"cpu\",\"route\",\"true\",\"true\",\"false\",\"without shop::rank × focus walk × Remove all\",\"load\",\"true\",\"shop::db::load\"]";
    page.browser.wait(&format!("{state} === {expected:?}"));
    let saved = page.browser.text("location.hash");
    for part in ["zoom=0.1,0.6", "off=focus:walk", "norm=rate"] {
        assert!(saved.contains(part), "{part} in {saved}");
    }
    page.shoot("state");
    // What was changed comes back with the address that was there.
    page.browser.key("m");
    page.browser.wait("location.hash.includes('mine=1')");
    page.view("table");
    page.browser.value("history.go(-2)");
    page.browser.wait(&format!("{state} === {expected:?}"));
    assert_eq!(page.browser.text("location.hash"), saved);
    page.done();
}
