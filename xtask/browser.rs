// Chromium, driven over a pipe. Included by the viewer's tests and its benches (`#[path]`).
#![allow(
    unreachable_pub,
    dead_code,
    reason = "each of those who include this file uses a part of it"
)]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// How long a page may take to become what a test waits for.
const PATIENCE: Duration = Duration::from_secs(120);

/// A Chromium with one page. It ends with this value.
pub struct Browser {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    folder: PathBuf,
    session: String,
    next: u64,
    /// What went wrong in the page and was caught by nobody.
    pub errors: Vec<String>,
}

impl Browser {
    /// Starts it with an empty page of this size, in pixels.
    ///
    /// # Panics
    /// If it does not start, as all methods if it does not do what it is told.
    pub fn start(width: u32, height: u32) -> Self {
        let folder = std::env::temp_dir().join(format!(
            "perfwright-browser-{}-{:?}",
            std::process::id(),
            thread::current().id()
        ));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder for the browser");
        // The protocol runs over the descriptors 3 and 4, a message ends with a zero byte.
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(
                "exec chromium --headless=new --no-sandbox --disable-gpu --no-first-run \
                 --hide-scrollbars --disable-dev-shm-usage --user-data-dir=\"$0\" \
                 --remote-debugging-pipe about:blank 3<&0 4>&1 </dev/null >/dev/null",
            )
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start chromium");
        let mut browser = Self {
            input: child.stdin.take().expect("a pipe to chromium"),
            output: BufReader::new(child.stdout.take().expect("a pipe from chromium")),
            child,
            folder,
            session: String::new(),
            next: 0,
            errors: Vec::new(),
        };
        browser.attach();
        browser.resize(width, height, false);
        browser
    }

    fn attach(&mut self) {
        let targets = self.send("Target.getTargets", json!({}));
        let target = targets["targetInfos"]
            .as_array()
            .and_then(|all| all.iter().find(|target| target["type"] == "page"))
            .expect("chromium has a page")["targetId"]
            .clone();
        let attached = self.send(
            "Target.attachToTarget",
            json!({ "targetId": target, "flatten": true }),
        );
        self.session = attached["sessionId"]
            .as_str()
            .expect("a session")
            .to_owned();
        for domain in ["Page", "Runtime", "DOM", "Accessibility", "Performance"] {
            self.send(&format!("{domain}.enable"), json!({}));
        }
    }

    /// Calls a method of the protocol.
    pub fn send(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).expect("write to chromium");
        loop {
            let mut answer = Vec::new();
            self.output
                .read_until(0, &mut answer)
                .expect("read from chromium");
            answer.pop();
            let answer: Value = serde_json::from_slice(&answer).expect("chromium speaks JSON");
            if answer["method"] == "Runtime.exceptionThrown" {
                self.errors
                    .push(answer["params"]["exceptionDetails"].to_string());
            }
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
        }
    }

    /// Makes the page another size; `touch`: a touch screen.
    pub fn resize(&mut self, width: u32, height: u32, touch: bool) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch,
        });
        self.send("Emulation.setDeviceMetricsOverride", size);
        self.send(
            "Emulation.setTouchEmulationEnabled",
            json!({ "enabled": touch }),
        );
    }

    /// Opens an address, and waits until `ready` holds there.
    pub fn open(&mut self, url: &str, ready: &str) {
        self.send("Page.navigate", json!({ "url": url }));
        self.wait(ready);
    }

    /// The value of an expression, which may be a promise.
    pub fn value(&mut self, expression: &str) -> Value {
        let evaluated = self.send(
            "Runtime.evaluate",
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true }),
        );
        let failure = &evaluated["exceptionDetails"];
        assert!(failure.is_null(), "{expression}: {failure}");
        evaluated["result"]["value"].clone()
    }

    /// The text of an expression.
    pub fn text(&mut self, expression: &str) -> String {
        match self.value(expression) {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }

    /// Waits until an expression is true.
    pub fn wait(&mut self, expression: &str) {
        let start = Instant::now();
        while self.value(&format!("!!({expression})")) != true {
            let state = "document.body?.innerText.slice(0, 400)";
            if start.elapsed() > PATIENCE {
                let text = self.text(state);
                panic!(
                    "waited in vain for {expression}; errors {:?}; the page: {text}",
                    self.errors
                );
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Gives files to an input element.
    pub fn choose(&mut self, selector: &str, files: &[&Path]) {
        let document = self.send("DOM.getDocument", json!({}))["root"]["nodeId"].clone();
        let query = json!({ "nodeId": document, "selector": selector });
        let node = self.send("DOM.querySelector", query)["nodeId"].clone();
        self.send(
            "DOM.setFileInputFiles",
            json!({ "nodeId": node, "files": files }),
        );
    }

    /// Drops files on a place of the page.
    pub fn drop_files(&mut self, x: f64, y: f64, files: &[&Path]) {
        for kind in ["dragEnter", "dragOver", "drop"] {
            let data = json!({ "items": [], "files": files, "dragOperationsMask": 1 });
            let event = json!({ "type": kind, "x": x, "y": y, "data": data });
            self.send("Input.dispatchDragEvent", event);
        }
    }

    /// Presses and releases a key, as the keyboard names it.
    pub fn key(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({ "type": kind, "key": key, "code": key });
            if kind == "keyDown" && key.chars().count() == 1 {
                event["text"] = json!(key);
            }
            if key == "Enter" && kind == "keyDown" {
                event["text"] = json!("\r");
            }
            // The browser's own keys go by their old numbers.
            if let Some(number) = [("Enter", 13), ("Escape", 27), ("Tab", 9)]
                .iter()
                .find(|(name, _)| *name == key)
            {
                event["windowsVirtualKeyCode"] = json!(number.1);
            }
            self.send("Input.dispatchKeyEvent", event);
        }
    }

    /// A mouse event: `mouseMoved`, `mousePressed`, `mouseReleased`; `clicks`: 2 for the second of a double click.
    pub fn mouse(&mut self, kind: &str, x: f64, y: f64, clicks: u32) {
        let button = if kind == "mouseMoved" { "none" } else { "left" };
        let event = json!({ "type": kind, "x": x, "y": y, "button": button, "clickCount": clicks });
        self.send("Input.dispatchMouseEvent", event);
    }

    /// A click.
    pub fn click(&mut self, x: f64, y: f64) {
        self.mouse("mousePressed", x, y, 1);
        self.mouse("mouseReleased", x, y, 1);
    }

    /// Touches of the screen: the places of all fingers; none when they are lifted.
    pub fn touch(&mut self, kind: &str, places: &[(f64, f64)]) {
        let points: Vec<_> = places
            .iter()
            .enumerate()
            .map(|(id, (x, y))| json!({ "x": x, "y": y, "id": id }))
            .collect();
        self.send(
            "Input.dispatchTouchEvent",
            json!({ "type": kind, "touchPoints": points }),
        );
    }

    /// A picture of the page, as PNG in base64.
    pub fn screenshot(&mut self) -> String {
        let shot = self.send("Page.captureScreenshot", json!({ "format": "png" }));
        shot["data"].as_str().unwrap_or_default().to_owned()
    }

    /// A measure of the page: `TaskDuration` is the seconds that its main thread has worked.
    pub fn metric(&mut self, name: &str) -> f64 {
        let metrics = self.send("Performance.getMetrics", json!({}));
        let all = metrics["metrics"].as_array().into_iter().flatten();
        let metric = all.into_iter().find(|metric| metric["name"] == name);
        metric
            .and_then(|metric| metric["value"].as_f64())
            .unwrap_or(0.0)
    }

    /// Seconds of processor time of the processes that render pages, and the resident megabytes of the
    /// largest.
    pub fn renderer_cost(&self) -> (f64, f64) {
        let folder = self.folder.to_string_lossy().into_owned();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut cost = (0.0_f64, 0.0_f64);
        for process in processes {
            let path = process.path();
            let command = fs::read_to_string(path.join("cmdline")).unwrap_or_default();
            if !(command.contains("--type=renderer") && command.contains(&folder)) {
                continue;
            }
            let stat = fs::read_to_string(path.join("stat")).unwrap_or_default();
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split(' ').collect();
            let field = |at: usize| {
                fields
                    .get(at)
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(0.0)
            };
            // After the name: utime and stime in ticks of 10 ms, rss in pages.
            cost.0 += (field(12) + field(13)) / 100.0;
            cost.1 = f64::max(cost.1, field(22) * 4096.0 / 1e6);
        }
        cost
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
