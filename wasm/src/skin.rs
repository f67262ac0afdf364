//! The functions that the page's scripts call, and nothing else: numbers and texts in, numbers and texts out.

use perfwright_format::{Limits, Reader};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{Boxes, Pane, Saved, Session, State, Window};

/// The session, as a script holds it.
#[wasm_bindgen]
#[derive(Default)]
pub struct Viewer {
    session: Session,
    /// A file that is coming in pieces.
    input: Option<Reader>,
    boxes: Boxes,
}

#[wasm_bindgen]
impl Viewer {
    /// Nothing open.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a file, of which `len` bytes are expected.
    pub fn expect(&mut self, len: usize) {
        let mut reader = Reader::new(Limits::default());
        reader.expect(len);
        self.input = Some(reader);
    }

    /// Takes a piece of the file.
    pub fn push(&mut self, piece: &[u8]) {
        if let Some(reader) = &mut self.input {
            reader.push(piece);
        }
    }

    /// Reads what is left of the file that was pushed: its position, or an error for people.
    pub fn open(&mut self, name: &str) -> Result<usize, String> {
        let reader = self.input.take().ok_or("no file was begun")?;
        let read = reader.finish().map_err(|error| error.to_string())?;
        Ok(self.session.add(name, read))
    }

    /// Shows what a text says, as in an address.
    pub fn apply(&mut self, state: &str) {
        self.session.apply(State::parse(state));
    }

    /// See [`Session::set_zoom`].
    pub fn set_zoom(&mut self, start: f64, end: f64) {
        self.session
            .set_zoom((end - start < 1.0).then_some([start, end]));
    }

    /// Makes what the view needs beside the call tree.
    pub fn prepare(&mut self) {
        self.session.prepare();
    }

    /// Whether the page is dark.
    pub fn set_dark(&mut self, dark: bool) {
        self.session.set_dark(dark);
    }

    /// See [`Session::description`].
    pub fn description(&self) -> String {
        self.session.description()
    }

    /// Computes what is drawn; `places`, `facts` and `texts` then hold it.
    #[expect(clippy::too_many_arguments, reason = "what crosses the border is flat")]
    pub fn draw(
        &mut self,
        pane: u32,
        start: f64,
        end: f64,
        width: f64,
        first_row: u32,
        rows: u32,
        char_width: f64,
    ) {
        let window = Window {
            start,
            end,
            width,
            first_row,
            rows,
        };
        self.boxes = self
            .session
            .boxes_with_text(pane_of(pane), &window, char_width);
    }

    /// See [`Boxes::places`].
    pub fn places(&mut self) -> Vec<f32> {
        std::mem::take(&mut self.boxes.places)
    }

    /// See [`Boxes::facts`].
    pub fn facts(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.boxes.facts)
    }

    /// See [`Boxes::texts`].
    pub fn texts(&mut self) -> String {
        std::mem::take(&mut self.boxes.texts)
    }

    /// See [`Session::hit`].
    pub fn hit(&mut self, pane: u32, at: f64, row: u32) -> Option<u32> {
        self.session.hit(pane_of(pane), at, row)
    }

    /// See [`Session::range`].
    pub fn range(&mut self, pane: u32, node: u32) -> Option<Vec<f64>> {
        self.session
            .range(pane_of(pane), node)
            .map(|range| range.to_vec())
    }

    /// See [`Session::row`].
    pub fn row(&mut self, pane: u32, node: u32) -> Option<u32> {
        self.session.row(pane_of(pane), node)
    }

    /// How many rows a pane has.
    pub fn rows(&mut self, pane: u32) -> u32 {
        self.session.rows(pane_of(pane))
    }

    /// See [`Session::node`].
    pub fn node(&mut self, pane: u32, node: u32) -> Option<String> {
        self.session.node(pane_of(pane), node)
    }

    /// See [`Session::relatives`].
    pub fn relatives(&mut self, pane: u32, node: u32) -> Option<String> {
        self.session.relatives(pane_of(pane), node)
    }

    /// See [`Session::neighbour`].
    pub fn neighbour(&mut self, pane: u32, node: u32, direction: &str) -> Option<u32> {
        self.session.neighbour(pane_of(pane), node, direction)
    }

    /// Goes on with the search; true when it is done.
    pub fn search(&mut self, budget: usize) -> bool {
        self.session.search(budget).done
    }

    /// See [`Session::set_cursor`].
    pub fn set_cursor(&mut self, pane: u32, node: u32) {
        self.session.set_cursor(pane_of(pane), node);
    }

    /// See [`Session::search_summary`].
    pub fn search_summary(&self) -> String {
        self.session.search_summary()
    }

    /// See [`Session::found_node`].
    pub fn found_node(&self, step: i32) -> Option<u32> {
        self.session.found_node(step)
    }

    /// See [`Session::table`].
    pub fn table(&mut self, from: usize, count: usize) -> String {
        self.session.table(from, count)
    }

    /// See [`Session::table_position`].
    pub fn table_position(&mut self) -> Option<usize> {
        self.session.table_position()
    }

    /// See [`Session::table_name`].
    pub fn table_name(&mut self, row: usize) -> Option<String> {
        self.session.table_name(row)
    }

    /// See [`Session::tree`].
    pub fn tree(&mut self, from: usize, count: usize) -> String {
        self.session.tree(from, count)
    }

    /// See [`Session::toggle`].
    pub fn toggle(&mut self, row: usize) {
        self.session.toggle(row);
    }

    /// See [`Session::reveal`].
    pub fn reveal(&mut self, node: u32) -> Option<usize> {
        self.session.reveal(node)
    }

    /// See [`Session::source`].
    pub fn source(&mut self, whole_file: bool) -> String {
        self.session.source(whole_file)
    }

    /// See [`Session::save`].
    pub fn save(&self, of_baseline: bool, format: &str) -> Result<Vec<u8>, String> {
        let format = Saved::parse(format).ok_or("no such format")?;
        self.session.save(of_baseline, format)
    }

    /// See [`Session::labels`].
    pub fn labels(&self) -> String {
        self.session.labels()
    }
}

fn pane_of(pane: u32) -> Pane {
    match pane {
        1 => Pane::Callers,
        2 => Pane::Callees,
        _ => Pane::Main,
    }
}
