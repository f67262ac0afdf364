//! Compressed files, which the browser unpacks.

use crate::{fixture::gzipped, harness::Page};

#[test]
fn gzip_members_are_one_file() {
    let Some(mut page) = Page::empty("members") else {
        return;
    };
    // Bytes that look like the beginning of a member are none within one: here in the name of the file.
    let mut named = gzipped("main;render 30\n");
    named[3] = 8;
    named.splice(10..10, *b"\x1f\x8b\x08.folded\0");
    let members = [gzipped("main;parse 12\nmain;re"), gzipped("ad 5\n"), named].concat();
    let file = page.file("members.folded.gz", &members);
    page.browser.choose("#file", &[&file]);
    page.wait_text("#details", "47");
    page.view("table");
    page.wait_text("#rows tbody", "render");
    assert!(page.text("#rows tbody").contains("read"));
    page.done();
}

#[test]
fn what_does_not_unpack_says_so() {
    let Some(mut page) = Page::empty("damaged") else {
        return;
    };
    let whole = gzipped("main;parse 12\nmain;render 30\n");
    let damaged = [&whole[..10], &[0xff; 20], &whole[30..]].concat();
    for (name, bytes) in [
        ("cut.folded.gz", &whole[..whole.len() - 9]),
        ("damaged.folded.gz", &damaged),
        (
            "behind.folded.gz",
            &[&whole[..], b"\x1f\x8b\x08 and so on"].concat(),
        ),
    ] {
        let file = page.file(name, bytes);
        page.browser.choose("#file", &[&file]);
        page.wait_text("#nothing h1", name);
        page.wait_text("#nothing", "cut short or damaged");
    }
    page.shoot("message");
    let file = page.file("inside.gz", &gzipped("\u{1f}\u{8b}"));
    page.browser.choose("#file", &[&file]);
    page.wait_text("#nothing h1", "inside.gz");
    page.done();
}
