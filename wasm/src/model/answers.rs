//! What the page asks, answered as JSON.

use perfwright_analyze::{LabelRow, NodeId, Sides, by_label, percent, quantity, short_path};

use super::{
    change::{Change, Wholes},
    color::full_name,
    json::Json,
    picture::Shown,
    session::{Pane, Session},
    state::Normalize,
};

/// No more values of a label are listed.
const MAX_VALUES: usize = 500;

/// No more callees of a node are read out.
const MAX_RELATIVES: usize = 30;

impl Session {
    /// Everything that changes with the state alone: profiles, sample types, totals, the selection.
    pub fn description(&self) -> String {
        Json::object(|json| {
            json.text("state", &self.state.to_string());
            json.text("problem", &self.problem);
            json.array("profiles", &self.profiles, |json, opened| {
                json.element(|json| {
                    json.text("name", &opened.name);
                    json.text("format", &opened.format);
                    json.number("samples", opened.profile.sample_count() as f64);
                    json.array("warnings", &opened.warnings, |json, text| json.quoted(text));
                    json.array("comments", &opened.profile.meta.comments, |json, text| {
                        json.quoted(text);
                    });
                    let seconds = opened
                        .profile
                        .meta
                        .duration_nanos
                        .map(|nanos| nanos as f64 / 1e9);
                    json.number("seconds", seconds.unwrap_or(f64::NAN));
                    json.number(
                        "started",
                        opened
                            .profile
                            .meta
                            .time_nanos
                            .map_or(f64::NAN, |nanos| nanos as f64 / 1e6),
                    );
                });
            });
            let Some((shown, opened)) = self
                .shown
                .as_ref()
                .zip(self.profiles.get(self.state.profile))
            else {
                return;
            };
            json.array(
                "types",
                opened.profile.sample_types().iter().enumerate(),
                |json, (at, kind)| {
                    json.element(|json| {
                        json.text("kind", &kind.kind);
                        json.text("unit", &kind.unit);
                        json.text("total", &quantity(opened.profile.total(at), &kind.unit));
                    });
                },
            );
            json.array("labels", &opened.label_keys, |json, key| json.quoted(key));
            json.flag("timed", opened.is_timed);
            json.text("type", &shown.sample_type.kind);
            let tree = &shown.main.flame.tree;
            json.number("nodes", tree.nodes().len() as f64 - 1.0);
            json.number("rows", f64::from(shown.main.flame.rows));
            json.flag("diff", shown.wholes.is_some());
            json.flag("empty", tree.nodes().len() == 1);
            let sums = shown.main.sides_of(NodeId::ROOT);
            json.text(
                "total",
                &quantity(sums.total_values[1], &shown.sample_type.unit),
            );
            if let Some(wholes) = &shown.wholes {
                json.text(
                    "baseTotal",
                    &quantity(sums.total_values[0], &shown.sample_type.unit),
                );
                let can_rate = wholes
                    .seconds
                    .iter()
                    .all(|seconds| seconds.is_some_and(|s| s > 0.0));
                json.flag("canRate", can_rate);
                json.flag("knowsChance", wholes.samples.iter().all(Option::is_some));
            }
            if let Some(symbol) = shown.selected {
                json.within("selected", |json| {
                    self.name_fields(json, shown, symbol.index());
                    self.value_fields(json, shown, shown.sums().of(symbol.index()));
                });
            }
        })
    }

    fn name_fields(&self, json: &mut Json, shown: &Shown, symbol: usize) {
        let symbol = &shown.main.flame.tree.symbols()[symbol];
        json.text("name", &symbol.name);
        json.text("full", full_name(symbol, &shown.full));
        if let Some(file) = &symbol.file {
            json.text("file", file);
            json.text("shortFile", short_path(file, &[]));
        }
    }

    fn value_fields(&self, json: &mut Json, shown: &Shown, sides: Sides) {
        self.fields_of_values(json, shown, sides, shown.wholes.as_ref());
    }

    /// The same with a change only if there are `wholes`: in order of time nothing is compared.
    fn fields_of_values(
        &self,
        json: &mut Json,
        shown: &Shown,
        sides: Sides,
        wholes: Option<&Wholes>,
    ) {
        let unit = &shown.sample_type.unit;
        let whole = shown.main.sides_of(NodeId::ROOT).total_values;
        for (name, values) in [("self", sides.self_values), ("total", sides.total_values)] {
            json.within(name, |json| {
                json.number("value", values[1] as f64);
                json.text("text", &quantity(values[1], unit));
                let share = |side: usize| values[side] as f64 / whole[side].max(1) as f64;
                json.number("share", share(1));
                json.text("percent", &percent(share(1)));
                let Some(wholes) = wholes else {
                    return;
                };
                json.text("baseText", &quantity(values[0], unit));
                json.number("baseShare", share(0));
                json.text("basePercent", &percent(share(0)));
                change_fields(json, wholes, &wholes.change(values), unit);
            });
        }
    }

    /// What a node is and costs; of the root of a pane, what the pane is about.
    pub fn node(&mut self, pane: Pane, node: u32) -> Option<String> {
        let id = NodeId::from_index(node as usize);
        self.picture(pane)?;
        let is_time = self.state.view == super::View::Time;
        let shown = self.shown.as_ref()?;
        let picture = shown.pictured(pane, is_time)?;
        let tree = &picture.flame.tree;
        if id.index() >= tree.nodes().len() {
            return None;
        }
        let symbol = tree.symbol(id);
        Some(Json::object(|json| {
            json.number("node", f64::from(node));
            json.number("row", f64::from(picture.flame.row(id)));
            let name = if id == NodeId::ROOT {
                "all"
            } else {
                &*symbol.name
            };
            json.text("name", name);
            json.text("full", full_name(symbol, &shown.full));
            json.flag("label", symbol.is_label);
            if let Some(file) = &symbol.file {
                json.text("file", file);
                json.text("shortFile", short_path(file, &[]));
            }
            let wholes = shown.wholes.as_ref().filter(|_| picture.sides.is_some());
            self.fields_of_values(json, shown, picture.sides_of(id), wholes);
            let parent = tree.node(tree.node(id).parent);
            let of_parent = tree.node(id).total_value as f64 / parent.total_value.max(1) as f64;
            json.text("ofParent", &percent(of_parent));
        }))
    }

    /// A node with its callers, its neighbours and its callees: what a screen reader walks through.
    pub fn relatives(&mut self, pane: Pane, node: u32) -> Option<String> {
        let tree = &self.picture(pane)?.flame.tree;
        let id = NodeId::from_index(node as usize);
        if id.index() >= tree.nodes().len() {
            return None;
        }
        let element = |json: &mut Json, at: NodeId| {
            json.element(|json| {
                json.number("node", at.index() as f64);
                json.text(
                    "name",
                    if at == NodeId::ROOT {
                        "all"
                    } else {
                        tree.name(at)
                    },
                );
                let share = tree.node(at).total_value as f64 / tree.total_value().max(1) as f64;
                json.text("percent", &percent(share));
                let siblings = tree.children(tree.node(at).parent);
                json.number(
                    "of",
                    if at == NodeId::ROOT {
                        1.0
                    } else {
                        siblings.len() as f64
                    },
                );
                let first = tree.children(tree.node(at).parent).next();
                let before = first.map_or(0, |first| at.index().saturating_sub(first.index()));
                json.number(
                    "position",
                    if at == NodeId::ROOT {
                        1.0
                    } else {
                        before as f64 + 1.0
                    },
                );
                json.number("callees", tree.children(at).len() as f64);
            });
        };
        Some(Json::object(|json| {
            let mut path = vec![NodeId::ROOT];
            path.extend(tree.path(id));
            json.array("path", path, |json, at| element(json, at));
            json.array(
                "callees",
                tree.children(id).take(MAX_RELATIVES),
                |json, at| {
                    element(json, at);
                },
            );
        }))
    }

    /// The node in a direction from another: `caller`, `callee` (the heaviest), `next`, `previous`.
    pub fn neighbour(&mut self, pane: Pane, node: u32, direction: &str) -> Option<u32> {
        let tree = &self.picture(pane)?.flame.tree;
        let id = NodeId::from_index(node as usize);
        if id.index() >= tree.nodes().len() {
            return None;
        }
        let sibling = |step: isize| {
            let mut siblings = tree.children(tree.node(id).parent);
            let first = siblings.next()?.index();
            let at = id.index().checked_add_signed(step)?;
            (id != NodeId::ROOT && at >= first && at <= first + siblings.len())
                .then(|| NodeId::from_index(at))
        };
        let found = match direction {
            "caller" => (id != NodeId::ROOT).then(|| tree.node(id).parent),
            "callee" => tree.children(id).next(),
            "next" => sibling(1),
            "previous" => sibling(-1),
            _ => None,
        };
        found.map(|node| node.index() as u32)
    }

    /// Rows of the function table: `count` of them from `from`.
    pub fn table(&mut self, from: usize, count: usize) -> String {
        let order = self.table_order();
        let total = order.len();
        let rows: Vec<u32> = order.iter().skip(from).take(count).copied().collect();
        Json::object(|json| {
            json.number("count", total as f64);
            let Some(shown) = &self.shown else { return };
            json.array("rows", rows, |json, symbol| {
                let symbol = symbol as usize;
                json.element(|json| {
                    json.number("symbol", symbol as f64);
                    self.name_fields(json, shown, symbol);
                    self.value_fields(json, shown, shown.sums().of(symbol));
                    json.number("color", f64::from(shown.symbol_color(symbol)));
                    json.flag(
                        "selected",
                        shown.selected.is_some_and(|s| s.index() == symbol),
                    );
                    json.flag("found", shown.found.has(symbol));
                });
            });
        })
    }

    /// The row of the function table that has the selected function.
    pub fn table_position(&mut self) -> Option<usize> {
        let symbol = self.shown.as_ref()?.selected?.index() as u32;
        self.table_order().iter().position(|&row| row == symbol)
    }

    /// The name of the function in a row of the function table.
    pub fn table_name(&mut self, row: usize) -> Option<String> {
        let symbol = *self.table_order().get(row)? as usize;
        let tree = &self.shown.as_ref()?.main.flame.tree;
        Some(tree.symbols()[symbol].name.to_string())
    }

    /// Rows of the tree table.
    pub fn tree(&mut self, from: usize, count: usize) -> String {
        let selected = self.state.node;
        let rows: Vec<_> = match self.outline() {
            Some((outline, _)) => {
                let all = outline.rows();
                let some = all.iter().enumerate().skip(from).take(count);
                some.map(|(at, row)| (all.len(), at, *row)).collect()
            }
            None => Vec::new(),
        };
        Json::object(|json| {
            json.number("count", rows.first().map_or(0.0, |row| row.0 as f64));
            let Some(shown) = &self.shown else { return };
            let tree = &shown.main.flame.tree;
            json.array("rows", rows, |json, (_, at, row)| {
                let node = tree.node(row.node);
                json.element(|json| {
                    json.number("at", at as f64);
                    json.number("node", row.node.index() as f64);
                    json.number("level", f64::from(row.level));
                    json.flag("open", row.is_open);
                    json.flag("leaf", tree.children(row.node).len() == 0);
                    self.name_fields(json, shown, node.symbol.index());
                    let sides = shown.main.sides_of(row.node);
                    self.value_fields(json, shown, sides);
                    json.number("color", f64::from(shown.symbol_color(node.symbol.index())));
                    json.flag("selected", selected == Some(row.node.index() as u32));
                    json.flag("found", shown.found.has(node.symbol.index()));
                });
            });
        })
    }

    /// Opens or closes a row of the tree table.
    pub fn toggle(&mut self, row: usize) {
        if let Some((outline, tree)) = self.outline() {
            outline.toggle(tree, row);
        }
    }

    /// Opens what leads to a node in the tree table, and gives its row.
    pub fn reveal(&mut self, node: u32) -> Option<usize> {
        let (outline, tree) = self.outline()?;
        let id = NodeId::from_index(node as usize);
        (id.index() < tree.nodes().len()).then(|| outline.reveal(tree, id))?
    }

    /// The lines of the selected function, or with `whole_file` of its file, and what they cost.
    pub fn source(&mut self, whole_file: bool) -> String {
        let name = self.state.function.clone();
        let lines: Vec<_> = match self.lines() {
            Some(lines) if whole_file => {
                let file = lines.of(&name).iter().find_map(|line| line.file.clone());
                let file = file.unwrap_or_default();
                lines.of_file(&file).into_iter().cloned().collect()
            }
            Some(lines) => lines.of(&name).to_vec(),
            None => Vec::new(),
        };
        Json::object(|json| {
            json.text("function", &name);
            let Some(shown) = &self.shown else { return };
            json.array("lines", &lines, |json, line| {
                json.element(|json| {
                    json.text("function", &line.function);
                    if let Some(file) = &line.file {
                        json.text("file", file);
                        json.text("shortFile", short_path(file, &[]));
                    }
                    json.number("line", line.line.map_or(f64::NAN, f64::from));
                    self.value_fields(json, shown, line.sides);
                });
            });
        })
    }

    /// The values of all labels, and what their samples cost.
    pub fn labels(&self) -> String {
        Json::object(|json| {
            let Some((shown, opened)) = self
                .shown
                .as_ref()
                .zip(self.profiles.get(self.state.profile))
            else {
                return;
            };
            let profile = &opened.profile;
            let position = profile
                .find_sample_type(&shown.sample_type.kind)
                .unwrap_or(0);
            let whole = profile.total(position).max(1) as f64;
            // Without the filters: so that others can be chosen.
            let compared = self.positions(&self.state).ok();
            let compared = compared.and_then(|(positions, wholes)| Some((positions[0], wholes?)));
            json.array("keys", &opened.label_keys, |json, key| {
                let mut rows = by_label(profile, position, key);
                let before = match &compared {
                    Some((position, _)) => by_label(self.side(&self.state, 0), *position, key),
                    None => Vec::new(),
                };
                for row in &before {
                    if rows.iter().all(|known| known.value != row.value) {
                        rows.push(LabelRow {
                            total_value: 0,
                            ..row.clone()
                        });
                    }
                }
                json.element(|json| {
                    json.text("key", key);
                    json.number("count", rows.len() as f64);
                    json.array("rows", rows.iter().take(MAX_VALUES), |json, row| {
                        json.element(|json| {
                            let has_value = row.value.is_some();
                            json.flag("has", has_value);
                            json.text("value", row.value.as_deref().unwrap_or("(none)"));
                            let unit = &shown.sample_type.unit;
                            json.text("text", &quantity(row.total_value, unit));
                            let share = row.total_value as f64 / whole;
                            json.number("share", share);
                            json.text("percent", &percent(share));
                            if let Some((_, wholes)) = &compared {
                                let old = before.iter().find(|old| old.value == row.value);
                                let old = old.map_or(0, |old| old.total_value);
                                let change = wholes.change([old, row.total_value]);
                                change_fields(json, wholes, &change, unit);
                            }
                        });
                    });
                });
            });
        })
    }

    /// How far the search is, as the page shows it.
    pub fn search_summary(&self) -> String {
        Json::object(|json| {
            let Some(shown) = &self.shown else { return };
            let progress = shown.found.progress();
            json.flag("active", shown.found.is_active());
            json.flag("done", progress.done);
            json.number("functions", progress.functions as f64);
            json.number("nodes", progress.nodes as f64);
            let whole = shown.main.flame.tree.total_value().max(1) as f64;
            json.text("percent", &percent(progress.value as f64 / whole));
            let mut hits = shown.found.hits().iter();
            let at = hits.position(|&node| Some(node) == self.state.node);
            json.number("at", at.map_or(f64::NAN, |at| at as f64 + 1.0));
            json.number("hits", shown.found.hits().len() as f64);
        })
    }
}

fn change_fields(json: &mut Json, wholes: &Wholes, change: &Change, unit: &str) {
    let absolute = match wholes.normalize {
        Normalize::Share => {
            let points = change.absolute() * 100.0;
            format!("{points:+.2} pp")
        }
        Normalize::Rate => format!("{}/s", signed(change.absolute(), unit)),
        Normalize::Absolute => signed(change.absolute(), unit),
    };
    let relative = if change.appeared() {
        "new".to_owned()
    } else if change.disappeared() {
        "gone".to_owned()
    } else {
        format!("{:+.1} %", change.relative() * 100.0)
    };
    json.text("change", &absolute);
    json.text("relative", &relative);
    json.flag("significant", change.is_significant);
    json.number("direction", change.absolute());
}

fn signed(value: f64, unit: &str) -> String {
    let text = quantity(value as i64, unit);
    if value > 0.0 {
        format!("+{text}")
    } else {
        text
    }
}
