//! Differences in every view: by share, by rate and as they are, what came and went, what may be chance.

use perfwright_viewer::{Pane, Session, State, Window};
use serde_json::Value;

use crate::{
    fixture,
    schema::{Function, Line, Location, Profile, Sample, ValueType},
};

/// A profile of samples, `seconds` long: stacks of `name@line` with the outermost first.
fn profile(seconds: i64, stacks: &[(&str, i64)]) -> Vec<u8> {
    let mut profile = Profile {
        string_table: ["", "samples", "count", "/src/lib.rs"]
            .map(str::to_owned)
            .into(),
        sample_type: vec![ValueType { r#type: 1, unit: 2 }],
        duration_nanos: seconds * 1_000_000_000,
        ..Profile::default()
    };
    for (stack, count) in stacks {
        let mut location_id: Vec<u64> = stack
            .split(';')
            .map(|frame| place(&mut profile, frame))
            .collect();
        location_id.reverse();
        profile.sample.push(Sample {
            location_id,
            value: vec![*count],
            ..Sample::default()
        });
    }
    fixture::bytes(&profile)
}

fn place(profile: &mut Profile, frame: &str) -> u64 {
    let (name, line) = frame.split_once('@').unwrap_or((frame, "1"));
    let name = profile
        .string_table
        .iter()
        .position(|known| known == name)
        .unwrap_or_else(|| {
            profile.string_table.push(name.to_owned());
            profile.string_table.len() - 1
        }) as i64;
    let known = profile
        .function
        .iter()
        .find(|function| function.name == name);
    let function_id = known.map_or(profile.function.len() as u64 + 1, |known| known.id);
    if known.is_none() {
        profile.function.push(Function {
            id: function_id,
            name,
            filename: 3,
            ..Function::default()
        });
    }
    let id = profile.location.len() as u64 + 1;
    profile.location.push(Location {
        id,
        line: vec![Line {
            function_id,
            line: line.parse().expect("a line"),
            column: 0,
        }],
        ..Location::default()
    });
    id
}

/// The candidate ran twice as long: all that has not changed is there twice as often.
fn compared(state: &str) -> Session {
    let old = profile(
        10,
        &[
            ("main@1;load@10", 1_000),
            ("main@2;went@20", 300),
            ("main@3;same@30", 2_000),
            ("main@4;few@40", 3),
        ],
    );
    let new = profile(
        20,
        &[
            ("main@1;load@10", 4_000),
            ("main@2;came@50", 600),
            ("main@3;same@30", 4_000),
            ("main@4;few@40", 9),
        ],
    );
    let mut session = Session::new();
    session.open("old", &old).expect("a profile");
    session.open("new", &new).expect("a profile");
    session.apply(State::parse(&format!("p=1&base=0&{state}")));
    session.prepare();
    session
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// The change of a value as it is shown: `~` before what may be chance.
fn shown(value: &Value) -> String {
    let chance = if value["significant"] == true {
        ""
    } else {
        "~"
    };
    let text = |key: &str| value[key].as_str().expect("text").to_owned();
    format!("{chance}{} ({})", text("change"), text("relative"))
}

/// What every view says of the function's total: boxes, the callees of `main`, table, tree, lines.
fn everywhere(session: &mut Session, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for pane in [Pane::Main, Pane::Callees] {
        let boxes = session.boxes(pane, &Window::whole(4_000.0, 20));
        let nodes: Vec<u32> = boxes.facts.chunks(4).map(|fact| fact[0]).collect();
        let nodes = nodes
            .into_iter()
            .filter_map(|node| session.node(pane, node));
        let node = nodes
            .map(|text| json(&text))
            .find(|node| node["name"] == name);
        found.push(shown(
            &node.unwrap_or_else(|| panic!("{name} in {pane:?}"))["total"],
        ));
    }
    let named = |rows: &Value| {
        let rows = rows["rows"].as_array().expect("rows").iter();
        rows.clone().find(|row| row["name"] == name).expect(name)["total"].clone()
    };
    found.push(shown(&named(&json(&session.table(0, 100)))));
    found.push(shown(&named(&json(&session.tree(0, 100)))));
    let state = session.state().clone();
    session.apply(State {
        function: name.to_owned(),
        node: None,
        ..state.clone()
    });
    found.push(shown(&json(&session.source(false))["lines"][0]["total"]));
    found.push(shown(&json(&session.description())["selected"]["total"]));
    session.apply(state);
    found
}

#[track_caller]
fn check(state: &str, expected: &[(&str, &str)]) {
    let mut session = compared(&format!("view=sandwich&fn=main&{state}"));
    for (name, change) in expected {
        let found = everywhere(&mut session, name);
        assert_eq!(found, vec![(*change).to_owned(); 6], "{name} with {state}");
    }
}

#[test]
fn by_share_of_the_total() {
    check(
        "",
        &[
            ("load", "+16.19 pp (+53.5 %)"),
            ("same", "-14.09 pp (-23.3 %)"),
            ("came", "+6.97 pp (new)"),
            ("went", "-9.08 pp (gone)"),
            ("few", "~+0.01 pp (+15.1 %)"),
        ],
    );
}

#[test]
fn by_what_happened_in_a_second() {
    check(
        "norm=rate",
        &[
            ("load", "+100/s (+100.0 %)"),
            ("same", "~0/s (+0.0 %)"),
            ("came", "+30/s (new)"),
            ("went", "-30/s (gone)"),
            ("few", "~+0/s (+50.0 %)"),
        ],
    );
}

#[test]
fn as_the_values_are() {
    check(
        "norm=absolute",
        &[
            ("load", "+3,000 (+300.0 %)"),
            ("same", "+2,000 (+100.0 %)"),
            ("came", "+600 (new)"),
            ("went", "-300 (gone)"),
            ("few", "~+6 (+200.0 %)"),
        ],
    );
}

#[test]
fn what_went_has_its_place_and_what_may_be_chance_is_grey() {
    for dark in [false, true] {
        let mut session = compared("view=sandwich&fn=main");
        session.set_dark(dark);
        for pane in [Pane::Main, Pane::Callees] {
            let boxes = session.boxes(pane, &Window::whole(4_000.0, 20));
            let mut colors = std::collections::HashMap::new();
            for (place, fact) in boxes.places.chunks(2).zip(boxes.facts.chunks(4)) {
                let name = json(&session.node(pane, fact[0]).expect("a node"))["name"].clone();
                let [red, green, blue] = [16, 8, 0].map(|shift| fact[2] >> shift & 0xff);
                colors.insert(
                    name.as_str().expect("a name").to_owned(),
                    (red, green, blue),
                );
                assert!(place[1] > 0.5, "{name} can be seen");
            }
            let of = |name: &str| colors[name];
            let is_grey = |(red, green, blue)| red == green && green == blue;
            assert!(is_grey(of("few")), "{pane:?}: {colors:?}");
            for more in ["load", "came"] {
                assert!(of(more).0 > of(more).2, "{more} is red: {colors:?}");
            }
            for less in ["same", "went"] {
                assert!(of(less).2 > of(less).0, "{less} is blue: {colors:?}");
            }
        }
    }
}

#[test]
fn labels_are_compared_and_calls_in_order_of_time_have_their_functions_colour() {
    let mut session = Session::new();
    for slow in [false, true] {
        let bytes = fixture::bytes(&fixture::service(slow));
        session.open("service", &bytes).expect("a profile");
    }
    session.apply(State::parse("p=1&base=0&view=time&norm=absolute"));
    session.prepare();
    let keys = json(&session.labels())["keys"].clone();
    let orders = keys[0]["rows"].as_array().expect("rows").iter();
    let orders = orders
        .clone()
        .find(|row| row["value"] == "/orders")
        .expect("a route")
        .clone();
    // 40 samples of 10 ms more in each of 25 rounds, which took 9.24 s.
    assert_eq!(shown(&orders), "+10.0 s (+108.2 %)");
    let boxes = session.boxes(Pane::Main, &Window::whole(200_000.0, 20));
    let mut seen = [false; 2];
    for fact in boxes.facts.chunks(4) {
        let node = json(&session.node(Pane::Main, fact[0]).expect("a node"));
        let [red, blue] = [16, 0].map(|shift| fact[2] >> shift & 0xff);
        assert!(
            node["total"]["change"].is_null(),
            "a single call is compared with nothing"
        );
        match node["name"].as_str() {
            Some("sqlite3_step") => seen[0] |= red > blue,
            Some("shop::walk") => seen[1] |= red == blue,
            _ => {}
        }
    }
    assert_eq!(seen, [true; 2], "slower is red, the same is grey");
}

#[test]
fn what_went_can_be_selected_searched_and_filtered() {
    let mut session = compared("view=table&q=went");
    while !session.search(100).done {}
    let table = json(&session.table(0, 10));
    assert_eq!(table["count"], 1);
    assert_eq!(table["rows"][0]["self"]["baseText"], "300");
    let mut session = compared("f=ignore:went");
    assert!(
        session
            .boxes(Pane::Main, &Window::whole(1_000.0, 9))
            .labels()
            .iter()
            .all(|name| *name != "went")
    );
    assert_eq!(json(&session.description())["baseTotal"], "3,003");
}
