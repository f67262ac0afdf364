//! A page of the viewer in Chromium: the built file, opened from disk.
//!
//! With `PERFWRIGHT_SCREENSHOTS` set to a folder, pictures are left there to be looked at.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
};

use perfwright_viewer_html::{Embedded, HTML, page};

use crate::{
    browser::Browser,
    fixture,
    need::{Tool, need},
};

pub(crate) const READY: &str = "document.documentElement?.dataset.ready !== undefined";
pub(crate) const SHOWN: &str = "!document.getElementById('details').hidden";

/// A browser with a page, and a folder for its files.
pub(crate) struct Page {
    pub(crate) browser: Browser,
    pub(crate) folder: PathBuf,
    name: &'static str,
}

impl Page {
    /// The viewer without a profile; `None` where there is no Chromium.
    pub(crate) fn empty(name: &'static str) -> Option<Self> {
        Self::of(name, HTML.as_bytes(), "")
    }

    /// The viewer with two profiles in it.
    pub(crate) fn embedded(name: &'static str, hash: &str) -> Option<Self> {
        let profiles = [false, true].map(|slow| fixture::bytes(&fixture::service(slow)));
        let profiles = ["before.pb", "after.pb"].into_iter().zip(&profiles);
        let profiles: Vec<_> = profiles
            .map(|(name, bytes)| Embedded { name, bytes })
            .collect();
        let mut opened = Self::of(name, &page(&profiles), hash)?;
        opened.browser.wait(SHOWN);
        Some(opened)
    }

    pub(crate) fn of(name: &'static str, html: &[u8], hash: &str) -> Option<Self> {
        if !need(Tool::Chromium) {
            return None;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{name}"));
        fs::create_dir_all(&folder).expect("a folder for the page");
        let file = folder.join("viewer.html");
        fs::write(&file, html).expect("write the page");
        let mut opened = Self {
            browser: Browser::start(1280, 800),
            folder,
            name,
        };
        opened
            .browser
            .open(&format!("file://{}{hash}", file.display()), READY);
        Some(opened)
    }

    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let file = self.folder.join(name);
        fs::write(&file, bytes).expect("write a profile");
        file
    }

    pub(crate) fn text(&mut self, selector: &str) -> String {
        self.browser.text(&format!(
            "document.querySelector({selector:?})?.innerText ?? ''"
        ))
    }

    /// Goes to a view by its tab.
    pub(crate) fn view(&mut self, view: &str) {
        self.browser
            .value(&format!("document.getElementById('view-{view}').click()"));
        self.browser.wait(&format!(
            "document.getElementById('view-{view}').getAttribute('aria-selected') === 'true'"
        ));
    }

    pub(crate) fn selected(&mut self) -> String {
        self.text("#details .name")
    }

    /// Waits until an element's text contains another.
    pub(crate) fn wait_text(&mut self, selector: &str, text: &str) {
        let found = format!("document.querySelector({selector:?})?.innerText.includes({text:?})");
        self.browser.wait(&found);
    }

    pub(crate) fn shoot(&mut self, what: &str) {
        if let Some(folder) = std::env::var_os("PERFWRIGHT_SCREENSHOTS") {
            // Until the canvas has what the worker drew.
            std::thread::sleep(std::time::Duration::from_millis(300));
            let shot = self.browser.screenshot();
            let name = format!("{}-{what}.base64", self.name);
            fs::write(Path::new(&folder).join(name), shot).expect("write a screenshot");
        }
    }

    /// Nothing went wrong unseen.
    pub(crate) fn done(self) {
        assert!(self.browser.errors.is_empty(), "{:?}", self.browser.errors);
    }
}

/// How many pixels of a picture of the flame view are neither paper nor transparent.
pub(crate) fn painted(page: &mut Page) -> u64 {
    // The canvas is the worker's: only a picture of the page shows it.
    let shot = page.browser.screenshot();
    let count = format!(
        "(async () => {{
            const image = new Image(); image.src = 'data:image/png;base64,{shot}'; await image.decode();
            const box = document.getElementById('flame').getBoundingClientRect();
            const canvas = new OffscreenCanvas(box.width, box.height), context = canvas.getContext('2d');
            context.drawImage(image, -box.left, -box.top);
            const {{ data }} = context.getImageData(0, 0, box.width, box.height);
            let painted = 0;
            for (let i = 0; i < data.length; i += 4) painted += data[i] !== 255 || data[i + 1] !== 255 || data[i + 2] !== 255;
            return painted;
        }})()"
    );
    page.browser.value(&count).as_u64().expect("a number")
}

/// Answers every request with these bytes, and gives the address; lines of `headers` end in `\r\n` but for the last.
pub(crate) fn serve(headers: &str, bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let head = format!(
        "HTTP/1.1 200 OK\r\n{headers}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        bytes.len()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).expect("a request");
            // A browser that is closed meanwhile does not matter.
            let _ = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(&bytes));
        }
    });
    format!("http://{address}/")
}
