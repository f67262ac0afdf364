//! Folded stacks and `perf script`, by splitting lines; speedscope's format, by serde_json.

use super::{Told, check};

/// `a;b 12`, all counts in `decimals`.
fn folded(text: &str, decimals: u32) -> Told {
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut told = Told::new(&["samples"]);
    for line in lines {
        let (stack, count) = line.rsplit_once(' ').expect("a count");
        let count: f64 = count.parse().expect("a number");
        let value = (count * 10_f64.powi(decimals as i32)).round() as i64;
        told.add("", stack.split(';').map(str::to_owned).collect(), &[value]);
    }
    told
}

/// A sample is a line that begins at its start: `comm tid time: period event:`. A frame is a line that begins with a
/// tab: `address name+0x12 (file)`; without a name it is the file. Source lines begin with blanks.
pub(super) fn perf(bytes: &[u8]) -> Told {
    let text = std::str::from_utf8(bytes).expect("text");
    let samples = text
        .split("\n\n")
        .filter(|sample| !sample.trim().is_empty());
    let samples: Vec<(Vec<&str>, Vec<&str>)> = samples
        .map(|sample| {
            let (head, frames) = sample.split_once('\n').expect("a stack");
            (head.split_whitespace().collect(), frames.lines().collect())
        })
        .collect();
    let mut kinds = vec!["samples"];
    for (head, _) in &samples {
        let event = head[4].trim_end_matches(':');
        if !kinds.contains(&event) {
            kinds.push(event);
        }
    }
    let mut told = Told::new(&kinds);
    for (head, frames) in &samples {
        let frames = frames.iter().filter_map(|line| line.strip_prefix('\t'));
        let mut path: Vec<String> = frames.map(frame).collect();
        path.reverse();
        let mut values = vec![0; kinds.len()];
        values[0] = 1;
        let event = head[4].trim_end_matches(':');
        let event = kinds.iter().position(|kind| *kind == event).expect("known");
        values[event] = head[3].parse().expect("a period");
        told.add(head[0], path, &values);
    }
    told
}

fn frame(line: &str) -> String {
    let (_, frame) = line.trim_start().split_once(' ').expect("an address");
    let (symbol, file) = frame.rsplit_once(" (").expect("a file");
    let file = file
        .trim_end_matches(')')
        .rsplit('/')
        .next()
        .expect("a name");
    match symbol {
        "[unknown]" if file.starts_with('[') => file.to_owned(),
        "[unknown]" => format!("[{file}]"),
        symbol => symbol.split("+0x").next().expect("a name").to_owned(),
    }
}

/// speedscope's own format. A sample has its weight; of events, what is open has the time until the next one.
pub(super) fn speedscope(bytes: &[u8]) -> Told {
    let file: serde_json::Value = serde_json::from_slice(bytes).expect("JSON");
    let frames = file["shared"]["frames"].as_array().expect("frames");
    let name = |frame: &serde_json::Value| {
        let frame = frame.as_u64().expect("an index") as usize;
        frames[frame]["name"].as_str().expect("a name").to_owned()
    };
    let mut told = Told::new(&["time"]);
    let profiles = file["profiles"].as_array().expect("profiles");
    for profile in profiles {
        let nanos = match profile["unit"].as_str().expect("a unit") {
            "seconds" => 1e9,
            "microseconds" => 1e3,
            other => panic!("{other}: no file has it"),
        };
        let number = |value: &serde_json::Value| value.as_f64().expect("a number");
        let value = |time: f64| [(time * nanos).round() as i64];
        let thread = match profiles.len() {
            1 => "",
            _ => profile["name"].as_str().expect("a name"),
        };
        if profile["type"] == "sampled" {
            let weights = profile["weights"].as_array().expect("weights").iter();
            let samples = profile["samples"].as_array().expect("samples").iter();
            for (stack, weight) in samples.zip(weights) {
                let stack = stack.as_array().expect("a stack");
                told.add(
                    thread,
                    stack.iter().map(name).collect(),
                    &value(number(weight)),
                );
            }
            continue;
        }
        let (mut open, mut last) = (Vec::new(), 0.0);
        for event in profile["events"].as_array().expect("events") {
            let at = number(&event["at"]);
            if !open.is_empty() {
                told.add(thread, open.clone(), &value(at - last));
            }
            last = at;
            if event["type"] == "O" {
                open.push(name(&event["frame"]));
            } else {
                assert_eq!(open.pop(), Some(name(&event["frame"])));
            }
        }
    }
    told
}

#[test]
fn folded_stacks() {
    let text = "main;handle request;parse 12\nmain;handle request 3\n\n# by hand\nmain;render;<A as B<C; 2>>::f 40\n\
                main;handle request;parse 8\nmain;a;a;b;a 5\nidle_[k] 7\n";
    check("folded", text.as_bytes(), &folded(text, 0));
    let text = text.replace(" 12\n", " 0.25\n");
    check(
        "folded",
        text.replace('\n', "\r\n").as_bytes(),
        &folded(&text, 2),
    );
    let marked: Vec<u8> = format!("\u{feff}{text}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    check("folded in UTF-16", &marked, &folded(&text, 2));
}

#[test]
fn many_folded_stacks() {
    let mut state = 7_u64;
    let mut below = |end: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end
    };
    let mut text = String::new();
    for _ in 0..4_000 {
        let depth = 1 + below(25);
        let names: Vec<String> = (0..depth).map(|_| format!("f{}", below(60))).collect();
        text += &format!("{} {}\n", names.join(";"), 1 + below(1_000));
    }
    check("folded", text.as_bytes(), &folded(&text, 0));
}
