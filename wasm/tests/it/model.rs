//! The model, by what it answers.

use perfwright_viewer::{Boxes, Pane, Session, State, Window};
use serde_json::Value;

use crate::fixture;

fn session(state: &str) -> Session {
    let mut session = Session::new();
    session
        .open("before", &fixture::bytes(&fixture::service(false)))
        .expect("a profile");
    session
        .open("after", &fixture::bytes(&fixture::service(true)))
        .expect("a profile");
    session.apply(State::parse(state));
    session
}

fn folded(text: &str, state: &str) -> Session {
    let mut session = Session::new();
    session
        .open("folded", text.as_bytes())
        .expect("folded stacks");
    session.apply(State::parse(state));
    session
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Labels of all boxes that are drawn 1,000 pixels wide.
fn labels(session: &mut Session, pane: Pane) -> Vec<String> {
    let boxes = session.boxes(pane, &Window::whole(1_000.0, 50));
    boxes.labels().into_iter().map(str::to_owned).collect()
}

#[track_caller]
fn check_labels(text: &str, state: &str, expected: &str) {
    let mut session = folded(text, state);
    assert_eq!(
        labels(&mut session, Pane::Main).join(" "),
        expected,
        "{state}"
    );
}

const CALLS: &str = "main;load;read 40\nmain;load;parse;load 20\nmain;std::io::print 30\nidle 10\n";

#[test]
fn each_filter_leaves_what_it_says() {
    for (state, expected) in [
        ("", "all main load read parse load std::io::print idle"),
        ("f=focus:parse", "all main load parse load"),
        ("f=ignore:parse", "all main load read std::io::print idle"),
        ("f=hide:load", "all main read std::io::print parse idle"),
        ("f=from:load", "all load read parse load"),
        ("f=collapse:load", "all main load std::io::print idle"),
        (
            "f=hide:parse&flat=1",
            "all main load read std::io::print idle",
        ),
        ("mine=1", "all load read parse load idle"),
        ("f=focus:=load&f=hide:main", "all load read parse load"),
        (
            "off=ignore:parse",
            "all main load read parse load std::io::print idle",
        ),
        ("f=focus:nothing", ""),
    ] {
        check_labels(CALLS, state, expected);
    }
}

#[test]
fn labels_filter_and_group() {
    let mut session = session("group=route");
    let description = json(&session.description());
    let all = json(&session.node(Pane::Main, 0).expect("the root"))["total"]["value"].clone();
    assert_eq!(description["labels"], json(r#"["route","thread"]"#));
    assert!(labels(&mut session, Pane::Main).contains(&"/orders".to_owned()));
    session.apply(State::parse(
        "f=label:route=/orders&f=label:route=/products",
    ));
    assert_eq!(
        json(&session.node(Pane::Main, 0).expect("the root"))["total"]["value"],
        all
    );
    session.apply(State::parse("f=label:route=/orders"));
    let orders = json(&session.node(Pane::Main, 0).expect("the root"))["total"]["value"].clone();
    let keys = json(&session.labels())["keys"].clone();
    let rows = keys[0]["rows"].as_array().expect("values").clone();
    let share = rows
        .iter()
        .find(|row| row["value"] == "/orders")
        .expect("a route")["share"]
        .as_f64();
    let expected = orders.as_f64().unwrap() / all.as_f64().unwrap();
    assert!((share.unwrap() - expected).abs() < 1e-12);
}

#[test]
fn a_sandwich_has_callers_and_callees_and_its_parts_add_up() {
    let mut session = session("view=sandwich&fn=shop::db::load");
    let callers = labels(&mut session, Pane::Callers);
    assert_eq!(
        callers[..2],
        ["shop::db::load", "shop::serve"],
        "{callers:?}"
    );
    let callees = labels(&mut session, Pane::Callees);
    assert_eq!(
        callees,
        [
            "shop::db::load",
            "shop::db::load::{closure}",
            "sqlite3_step"
        ]
    );
    let total = |session: &mut Session, pane| {
        json(&session.node(pane, 0).expect("the root"))["total"]["value"].clone()
    };
    let selected = json(&session.description())["selected"]["total"]["value"].clone();
    assert_eq!(total(&mut session, Pane::Callers), selected);
    assert_eq!(total(&mut session, Pane::Callees), selected);
}

#[test]
fn time_order_keeps_the_order_and_the_sum() {
    let mut session = session("view=time&f=focus:=shop::main");
    let boxes = session.boxes(Pane::Main, &Window::whole(1_000_000.0, 50));
    let labels = boxes.labels();
    let first = |name: &str| labels.iter().position(|label| *label == name).expect(name);
    assert!(first("shop::db::load") < first("shop::walk"));
    assert!(first("shop::walk") < first("[kernel or lost]"));
    let loads = labels
        .iter()
        .filter(|label| label.starts_with("shop::db::load"))
        .count();
    assert!(loads > 50, "{loads} calls seen apart");
    let total = json(&session.node(Pane::Main, 0).expect("the root"))["total"]["value"].clone();
    session.apply(State::parse("view=flame"));
    assert_eq!(
        json(&session.node(Pane::Main, 0).expect("the root"))["total"]["value"],
        total
    );
}

#[test]
fn a_difference_finds_the_function_that_became_slow() {
    let mut session = session("p=1&base=0&view=table&sort=self-change");
    let table = json(&session.table(0, 3));
    let row = &table["rows"][0];
    assert_eq!(row["name"], "sqlite3_step");
    assert_eq!(row["self"]["significant"], true);
    assert!(row["self"]["direction"].as_f64().unwrap() > 0.0);
    session.apply(State::parse("p=1&base=0&norm=rate"));
    let walk = json(&session.table(0, 50))["rows"].clone();
    let walk = walk
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "shop::walk")
        .unwrap()
        .clone();
    assert_eq!(
        walk["self"]["relative"], "+0.0 %",
        "by rate it is as it was"
    );
    session.apply(State::parse("p=1&base=0&type=none-of-these"));
    assert_eq!(json(&session.description())["problem"], "");
}

#[test]
fn profiles_without_a_common_type_are_not_compared() {
    let mut session = session("");
    session.open("folded", b"a;b 1\n").expect("folded stacks");
    session.apply(State::parse("p=0&base=2&type=cpu"));
    let problem = json(&session.description())["problem"].clone();
    assert!(problem.as_str().unwrap().contains("cpu"), "{problem}");
    session.apply(State::parse("p=0"));
    assert_eq!(json(&session.description())["problem"], "");
}

#[test]
fn search_goes_in_slices_and_counts_nothing_twice() {
    let mut session = folded(CALLS, "q=load");
    let mut steps = 0;
    while !session.search(2).done {
        steps += 1;
    }
    assert!(steps > 3, "{steps} slices");
    let progress = session.search(1);
    assert_eq!(
        (progress.functions, progress.nodes, progress.value),
        (1, 2, 60)
    );
    let boxes = session.boxes(Pane::Main, &Window::whole(1_000.0, 50));
    let found = boxes
        .facts
        .chunks(4)
        .filter(|fact| fact[3] & Boxes::FOUND != 0)
        .count();
    assert_eq!(found, 2);
    let hit = session.found_node(1).expect("a hit");
    assert_eq!(
        json(&session.node(Pane::Main, hit).unwrap())["name"],
        "load"
    );
}

#[test]
fn selection_and_zoom_follow_their_path_through_filters() {
    let mut session = folded(CALLS, "");
    let at =
        |session: &mut Session, place, row| session.hit(Pane::Main, place, row).expect("a box");
    let parse = at(&mut session, 0.55, 3);
    assert_eq!(
        json(&session.node(Pane::Main, parse).unwrap())["name"],
        "parse"
    );
    let range = session.range(Pane::Main, parse).unwrap();
    session.apply(State::parse(&format!(
        "node={parse}&fn=parse&zoom={},{}",
        range[0], range[1]
    )));
    let state = session.state().clone();
    session.apply(State {
        steps: State::parse("f=ignore:print").steps,
        ..state
    });
    let node = session.state().node.expect("still selected");
    assert_eq!(
        json(&session.node(Pane::Main, node).unwrap())["name"],
        "parse"
    );
    let range = session.range(Pane::Main, node);
    assert_eq!(session.state().zoom, range);
    assert_eq!(session.state().function, "parse");
}

#[test]
fn a_window_draws_what_is_in_it_and_nothing_else() {
    let text: String = (0..20_000)
        .map(|index| format!("main;f{index} {}\n", 1 + index % 7))
        .collect();
    let mut session = folded(&text, "");
    let all = session.boxes(Pane::Main, &Window::whole(1_000.0, 50));
    assert!(all.facts.len() / 4 < 2_200, "{} boxes", all.facts.len() / 4);
    let window = Window {
        start: 0.4,
        end: 0.401,
        ..Window::whole(1_000.0, 50)
    };
    let boxes = session.boxes(Pane::Main, &window);
    let count = boxes.facts.len() / 4;
    assert!((10..60).contains(&count), "{count} boxes");
    for place in boxes.places.chunks(2) {
        assert!(
            place[0] >= 0.0 && place[0] + place[1] <= 1_000.5,
            "{place:?}"
        );
    }
    // What is drawn at a place is what a click there hits.
    for (place, fact) in boxes.places.chunks(2).zip(boxes.facts.chunks(4)) {
        if fact[3] & Boxes::SMALL != 0 {
            continue;
        }
        let middle = f64::from(place[0] + place[1] / 2.0) / 1_000.0;
        let at = window.start + middle * (window.end - window.start);
        assert_eq!(session.hit(Pane::Main, at, fact[1]), Some(fact[0]));
    }
}

#[test]
fn the_tree_table_opens_closes_and_reveals() {
    let mut session = folded(CALLS, "view=tree");
    let names = |session: &mut Session| {
        let rows = json(&session.tree(0, 50))["rows"].clone();
        let rows = rows.as_array().unwrap().clone();
        rows.iter()
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        names(&mut session),
        "main load read parse std::io::print idle"
    );
    session.toggle(0);
    assert_eq!(names(&mut session), "main idle");
    let inner = session.hit(Pane::Main, 0.55, 4).expect("the inner load");
    assert_eq!(session.reveal(inner), Some(4));
    assert_eq!(
        names(&mut session),
        "main load read parse load std::io::print idle"
    );
}

#[test]
fn lines_of_a_function_add_up_to_it() {
    let mut session = session("fn=shop::db::load&view=source");
    let source = json(&session.source(false));
    let lines = source["lines"].as_array().unwrap().clone();
    let sum: f64 = lines
        .iter()
        .map(|line| line["self"]["value"].as_f64().unwrap())
        .sum();
    assert_eq!(
        json(&session.description())["selected"]["self"]["value"],
        sum
    );
    assert!(
        lines
            .iter()
            .all(|line| line["file"] == "/src/shop/src/lib.rs"),
        "{lines:?}"
    );
}

#[test]
fn an_address_gives_the_state_that_wrote_it() {
    for text in [
        "",
        "view=table&q=%5Ea%26b&sort=total&rev=1",
        "p=1&base=0&norm=rate&type=cpu&view=icicle&by=crate&group=route&full=1&mine=1&flat=1&f=focus:a%20b&off=label:k=v&fn=x&node=3&zoom=0.25,0.5",
    ] {
        let state = State::parse(text);
        assert_eq!(State::parse(&state.to_string()), state);
        assert_eq!(state.to_string(), text);
    }
    for nonsense in [
        "zoom=1,0",
        "zoom=x",
        "node=-1",
        "view=%",
        "f=unknown:x",
        "&&=&%zz",
    ] {
        assert_eq!(State::parse(nonsense), State::default(), "{nonsense}");
    }
}

#[test]
fn what_is_no_profile_says_so() {
    let mut session = Session::new();
    let error = session
        .open("x", b"\x7fELF\x02\x01\x01")
        .expect_err("a program is no profile");
    assert!(error.to_string().contains("ELF"), "{error}");
    session.apply(State::default());
    assert_eq!(json(&session.description())["profiles"], json("[]"));
    assert!(
        session
            .boxes(Pane::Main, &Window::whole(100.0, 5))
            .facts
            .is_empty()
    );
}
