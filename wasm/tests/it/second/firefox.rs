//! The Firefox Profiler's formats, by serde_json.

use serde_json::Value;

use super::{
    Told,
    v8::{array, number},
};

/// Which sample types there are: samples always, the CPU time if some sample tells it.
fn told<'a>(mut cpu: impl Iterator<Item = &'a Value>) -> Told {
    match cpu.any(|cpu| !cpu.is_null()) {
        true => Told::new(&["samples", "cpu"]),
        false => Told::new(&["samples"]),
    }
}

/// Nanoseconds in the unit of the CPU time.
fn cpu_nanos(meta: &Value) -> i64 {
    match meta["sampleUnits"]["threadCPUDelta"].as_str() {
        None | Some("ns") => 1,
        Some("\u{b5}s" | "\u{3bc}s") => 1_000,
        Some(other) => panic!("{other}"),
    }
}

fn file_name(path: &Value) -> &str {
    path.as_str()
        .expect("a path")
        .rsplit('/')
        .next()
        .expect("a name")
}

fn add(told: &mut Told, thread: &str, path: Vec<String>, cpu: i64) {
    let values = [1, cpu];
    let values = &values[..told.kinds.len()];
    told.add(thread, path, values);
}

/// What samply and the Firefox Profiler's page write: columns, in each thread or shared. A function that is called by
/// its address is named by its library.
pub(super) fn processed(bytes: &[u8]) -> Told {
    let profile: Value = serde_json::from_slice(bytes).expect("JSON");
    let threads = array(&profile["threads"]);
    let column = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
    let all_cpu: Vec<Value> = threads
        .iter()
        .flat_map(|thread| column(&thread["samples"]["threadCPUDelta"]))
        .collect();
    let mut told = told(all_cpu.iter());
    for thread in threads {
        let tables = match &thread["stackTable"] {
            Value::Null => &profile["shared"],
            _ => thread,
        };
        let path = |stack: &Value| {
            let (mut path, mut next) = (Vec::new(), Some(number(stack) as usize));
            while let Some(row) = next {
                let stacks = &tables["stackTable"];
                path.push(processed_name(
                    &profile,
                    tables,
                    number(&stacks["frame"][row]) as usize,
                ));
                next = match &stacks["prefixOffset"] {
                    Value::Null => stacks["prefix"][row].as_u64().map(|row| row as usize),
                    offsets => match number(&offsets[row]) {
                        0 => None,
                        offset => Some(row - offset as usize),
                    },
                };
            }
            path.reverse();
            path
        };
        let name = thread["name"].as_str().expect("a name");
        let cpu = &thread["samples"]["threadCPUDelta"];
        let weights = &thread["samples"]["weight"];
        for (at, stack) in column(&thread["samples"]["stack"]).iter().enumerate() {
            assert!(weights.is_null() || weights[at] == 1);
            let cpu = cpu[at].as_i64().unwrap_or(0) * cpu_nanos(&profile["meta"]);
            if !stack.is_null() {
                add(&mut told, name, path(stack), cpu);
            }
        }
    }
    told
}

fn processed_name(profile: &Value, tables: &Value, frame: usize) -> String {
    let (frames, functions) = (&tables["frameTable"], &tables["funcTable"]);
    let function = number(&frames["func"][frame]) as usize;
    let name = number(&functions["name"][function]) as usize;
    let name = tables["stringArray"][name].as_str().expect("a text");
    if !name.starts_with("0x") {
        return name.to_owned();
    }
    let address = number(&frames["address"][frame]);
    match number(&functions["resource"][function]) {
        -1 => name.to_owned(),
        resource => {
            let lib = number(&tables["resourceTable"]["lib"][resource as usize]) as usize;
            format!("{}!{address:#x}", file_name(&profile["libs"][lib]["path"]))
        }
    }
}

/// What Firefox itself gives: rows and a schema, a process within the other. A function is a text, with its place in
/// brackets; an address is named by its library.
pub(super) fn gecko(bytes: &[u8]) -> Told {
    let profile: Value = serde_json::from_slice(bytes).expect("JSON");
    let processes: Vec<&Value> = [&profile]
        .into_iter()
        .chain(array(&profile["processes"]))
        .collect();
    let mut told = Told::new(&["samples", "cpu"]);
    for process in processes {
        for thread in array(&process["threads"]) {
            let item = |table: &str, row: usize, column: &str| {
                let at = number(&thread[table]["schema"][column]) as usize;
                thread[table]["data"][row][at].clone()
            };
            for row in 0..array(&thread["samples"]["data"]).len() {
                let mut path = Vec::new();
                let mut next = item("samples", row, "stack");
                while let Some(stack) = next.as_u64() {
                    let stack = stack as usize;
                    let frame = number(&item("stackTable", stack, "frame")) as usize;
                    let text = number(&item("frameTable", frame, "location")) as usize;
                    let text = thread["stringTable"][text].as_str().expect("a text");
                    path.push(gecko_name(process, text));
                    next = item("stackTable", stack, "prefix");
                }
                path.reverse();
                let cpu = item("samples", row, "threadCPUDelta").as_i64().unwrap_or(0);
                let name = thread["name"].as_str().expect("a name");
                if !path.is_empty() {
                    add(&mut told, name, path, cpu * cpu_nanos(&process["meta"]));
                }
            }
        }
    }
    told
}

fn gecko_name(process: &Value, whole: &str) -> String {
    let Some(address) = whole.strip_prefix("0x") else {
        // `parse (resource://x.js:12:3)`, or with the number of the source behind it: `parse (x.js:12:3)[48]`.
        let text = whole
            .split(")[")
            .next()
            .expect("a text")
            .trim_end_matches(')');
        let is_place = |place: &str| {
            let number = place.rsplit(':').next().unwrap_or("");
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        };
        return match text.rsplit_once(" (") {
            Some((name, place)) if is_place(place) => name.to_owned(),
            _ => whole.to_owned(),
        };
    };
    let address = i64::from_str_radix(address, 16).expect("an address");
    let holds = |lib: &&Value| (number(&lib["start"])..number(&lib["end"])).contains(&address);
    match array(&process["libs"]).iter().find(holds) {
        None => whole.to_owned(),
        Some(lib) => {
            let relative = address - number(&lib["start"]) + number(&lib["offset"]);
            format!("{}!{relative:#x}", file_name(&lib["path"]))
        }
    }
}
