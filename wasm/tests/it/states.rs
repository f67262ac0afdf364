//! What the page says when there is nothing to draw.

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
