//! Where a policy refuses workers, the page does the work itself, in slices.

use perfwright_viewer_html::{Embedded, page};

use crate::{
    fixture,
    harness::{Page, READY, SHOWN, painted, serve},
};

/// What a careful server allows: the page's own scripts and its module.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval'; \
                      style-src 'unsafe-inline'; img-src data:; worker-src 'none'";

fn refused(name: &'static str) -> Option<Page> {
    let profile = fixture::bytes(&fixture::service(false));
    let html = page(&[Embedded {
        name: "cpu.pb",
        bytes: &profile,
    }]);
    let mut page = Page::empty(name)?;
    let headers = format!("Content-Type: text/html\r\nContent-Security-Policy: {POLICY}");
    let ready = format!("location.protocol === 'http:' && {READY} && {SHOWN}");
    page.browser.open(&serve(&headers, html), &ready);
    let core = page.browser.text("document.documentElement.dataset.core");
    assert_eq!(core, "page");
    Some(page)
}

#[test]
fn a_policy_that_refuses_workers_takes_nothing_away() {
    let Some(mut page) = refused("refused") else {
        return;
    };
    std::thread::sleep(std::time::Duration::from_millis(400));
    assert!(painted(&mut page) > 20_000);
    page.browser.key("/");
    for key in ["w", "a", "l", "k"] {
        page.browser.key(key);
    }
    page.wait_text("#hits", "1 function");
    page.browser.key("Escape");
    for view in ["icicle", "time", "table", "tree", "labels"] {
        page.view(view);
    }
    page.wait_text("#values", "/orders");
    page.done();
}

#[test]
fn the_page_gets_its_turn_while_a_large_file_loads() {
    let Some(mut page) = refused("turns") else {
        return;
    };
    let mut folded = String::new();
    for stack in 0..60_000 {
        folded += "main";
        for depth in 0..20 {
            folded += &format!(
                ";crate_{}::function_{}",
                depth % 5,
                (stack >> (20 - depth)) ^ depth
            );
        }
        folded += " 7\n";
    }
    let file = page.file("large.folded", folded.as_bytes());
    // Other messages that the page's thread handles until the file is open.
    page.browser.value(
        "(() => { const { port1, port2 } = new MessageChannel(); self.turns = 0;
           port1.onmessage = () => { self.turns++;
             if (!document.title.includes('large')) port2.postMessage(0); };
           port2.postMessage(0); })()",
    );
    page.browser.choose("#file", &[&file]);
    page.browser.wait("document.title.includes('large')");
    page.wait_text("#details", "420,000");
    let turns = page.browser.value("self.turns").as_u64().expect("a number");
    // A piece at a time: 256 kB of the 26 MB, or what is read in 12 ms.
    assert!(turns > 20, "{turns} turns");
    page.done();
}
