//! Tables of aligned columns, one line a row, as wide as the terminal and no wider.

use console::measure_text_width;

use crate::terminal::Paint;

/// Spaces between columns, and before the first.
const GAP: &str = "  ";
/// A folded column keeps at least so much.
const LEAST_WIDTH: usize = 16;

/// How the cells of a column stand, and what happens where the terminal is too narrow for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// A number: to the right, never folded.
    Number,
    /// A short word: to the left, never folded.
    Word,
    /// A name: to the left; its middle is folded.
    Name,
    /// A path: to the left; its beginning is folded.
    Path,
}

/// A style of [`Paint`].
pub(crate) type Tint = fn(Paint, &str) -> String;

/// The text of a cell, and how it is coloured.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    tint: Option<Tint>,
}

impl Cell {
    /// A cell in a style of [`Paint`].
    pub(crate) fn tinted(text: impl Into<String>, tint: Tint) -> Cell {
        Cell {
            tint: Some(tint),
            ..Cell::from(text.into())
        }
    }

    /// A cell that matters less than its neighbours.
    pub(crate) fn dim(text: impl Into<String>) -> Cell {
        Cell::tinted(text, |paint, text| paint.dim(text))
    }
}

impl<T: Into<String>> From<T> for Cell {
    /// Control characters would reach the terminal as commands: they become spaces.
    fn from(text: T) -> Cell {
        let text = text.into().replace(char::is_control, " ");
        Cell { text, tint: None }
    }
}

/// Columns with titles, and rows.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<(Column, String)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new<'a>(columns: impl IntoIterator<Item = (Column, &'a str)>) -> Table {
        Table {
            columns: columns
                .into_iter()
                .map(|(column, title)| (column, title.to_owned()))
                .collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row: a cell for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let cells: Vec<Cell> = cells.into_iter().collect();
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// Whether there is nothing to show but titles.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table with its first rows only.
    pub(crate) fn first(mut self, rows: usize) -> Table {
        self.rows.truncate(rows);
        self
    }

    /// The table without the columns in which no row has anything.
    fn without_empty_columns(&self) -> Table {
        let used = |at: &usize| self.rows.iter().any(|row| !row[*at].text.is_empty());
        let used: Vec<usize> = (0..self.columns.len()).filter(used).collect();
        Table {
            columns: used.iter().map(|&at| self.columns[at].clone()).collect(),
            rows: self
                .rows
                .iter()
                .map(|row| used.iter().map(|&at| row[at].clone()).collect())
                .collect(),
        }
    }

    /// The table as lines of at most `width` columns, where its numbers and words permit that.
    /// Columns without any text are left out.
    pub(crate) fn render(&self, width: usize, paint: Paint) -> String {
        self.without_empty_columns().render_all(width, paint)
    }

    fn render_all(&self, width: usize, paint: Paint) -> String {
        let widths = self.widths(width);
        let titles = self
            .columns
            .iter()
            .map(|(_, title)| Cell::dim(title))
            .collect();
        let mut out = String::new();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let cells = row.iter().zip(&self.columns).zip(&widths);
            let cells =
                cells.map(|((cell, (column, _)), &width)| place(cell, *column, width, paint));
            let line: String = cells.flat_map(|cell| [GAP.to_owned(), cell]).collect();
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    /// The table in Markdown, nothing folded. Columns without any text are left out.
    pub(crate) fn markdown(&self) -> String {
        self.without_empty_columns().markdown_all()
    }

    fn markdown_all(&self) -> String {
        let mut out = String::from("|");
        for (_, title) in &self.columns {
            out.push_str(&format!(" {title} |"));
        }
        out.push_str("\n|");
        for (column, _) in &self.columns {
            out.push_str(if *column == Column::Number {
                "---:|"
            } else {
                "---|"
            });
        }
        for row in &self.rows {
            out.push_str("\n|");
            for (cell, (column, _)) in row.iter().zip(&self.columns) {
                out.push_str(&format!(" {} |", markdown_cell(&cell.text, *column)));
            }
        }
        out.push('\n');
        out
    }

    fn widths(&self, width: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = (0..self.columns.len()).map(|at| self.natural(at)).collect();
        let gaps = GAP.len() * self.columns.len();
        let mut surplus = (widths.iter().sum::<usize>() + gaps).saturating_sub(width);
        // The widest column that can be folded gives way, a little at a time, until all fit.
        while surplus > 0 {
            let foldable = (0..widths.len())
                .filter(|&at| matches!(self.columns[at].0, Column::Name | Column::Path))
                .filter(|&at| widths[at] > LEAST_WIDTH)
                .max_by_key(|&at| widths[at]);
            let Some(at) = foldable else { break };
            widths[at] -= 1;
            surplus -= 1;
        }
        widths
    }

    fn natural(&self, at: usize) -> usize {
        let cells = self
            .rows
            .iter()
            .map(|row| measure_text_width(&row[at].text));
        cells
            .max()
            .unwrap_or(0)
            .max(measure_text_width(&self.columns[at].1))
    }
}

fn place(cell: &Cell, column: Column, width: usize, paint: Paint) -> String {
    let text = match column {
        Column::Number | Column::Word => cell.text.clone(),
        Column::Name => fold(&cell.text, width, width / 3),
        Column::Path => fold(&cell.text, width, 0),
    };
    let padding = " ".repeat(width.saturating_sub(measure_text_width(&text)));
    let text = cell
        .tint
        .map_or_else(|| text.clone(), |tint| tint(paint, &text));
    match column {
        Column::Number => padding + &text,
        _ => text + &padding,
    }
}

/// `text` in at most `width` columns: its first `head` columns, an ellipsis, and its end.
pub(crate) fn fold(text: &str, width: usize, head: usize) -> String {
    if measure_text_width(text) <= width || width == 0 {
        return text.to_owned();
    }
    let start = text.chars().scan(0, |used, c| {
        *used += measure_text_width(c.encode_utf8(&mut [0; 4]));
        (*used <= head).then_some(c)
    });
    let mut start: String = start.collect();
    start.push('…');
    let mut left = width.saturating_sub(measure_text_width(&start));
    let mut end = text.len();
    for (at, c) in text.char_indices().rev() {
        let columns = measure_text_width(c.encode_utf8(&mut [0; 4]));
        if columns > left {
            break;
        }
        left -= columns;
        end = at;
    }
    start + &text[end..]
}

fn markdown_cell(text: &str, column: Column) -> String {
    match column {
        Column::Name | Column::Path if !text.is_empty() => code(text),
        _ => text.replace('|', "\\|"),
    }
}

/// Text as Markdown code, safe within a table.
pub(crate) fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let columns = [
            (Column::Number, "self"),
            (Column::Name, "function"),
            (Column::Path, "where"),
        ];
        let mut table = Table::new(columns);
        table.row(
            [
                "1.23 s",
                "shop::routes::products::search",
                "src/routes/products.rs:41",
            ]
            .map(Cell::from),
        );
        table.row(["0.04 s", "memcpy", ""].map(Cell::from));
        table
    }

    #[test]
    fn columns_are_aligned() {
        let expected = "    self  function                        where
  1.23 s  shop::routes::products::search  src/routes/products.rs:41
  0.04 s  memcpy
";
        assert_eq!(table().render(80, Paint::default()), expected);
    }

    #[test]
    fn columns_without_text_are_left_out() {
        let mut table = Table::new([(Column::Number, "self"), (Column::Path, "where")]);
        table.row(["1", ""].map(Cell::from));
        assert_eq!(table.render(80, Paint::default()), "  self\n     1\n");
        assert_eq!(table.markdown(), "| self |\n|---:|\n| 1 |\n");
    }

    #[test]
    fn a_narrow_terminal_folds_names_and_paths() {
        let text = table().render(46, Paint::default());
        let expected = "    self  function           where
  1.23 s  shop:…cts::search  …utes/products.rs:41
";
        assert!(
            text.lines().all(|line| measure_text_width(line) <= 46),
            "{text}"
        );
        assert_eq!(
            text.lines().nth(1).unwrap().len() - 4,
            46,
            "{expected}{text}"
        );
    }

    #[test]
    fn colours_do_not_disturb_the_columns() {
        let plain = table().render(60, Paint::default());
        let coloured = table().render(60, Paint::new(true));
        assert_ne!(plain, coloured);
        let stripped = console::strip_ansi_codes(&coloured);
        let trimmed: Vec<_> = stripped.lines().map(str::trim_end).collect();
        assert_eq!(trimmed, plain.lines().collect::<Vec<_>>());
    }

    #[test]
    fn folding_keeps_head_and_end_within_the_width() {
        assert_eq!(fold("abcdefghij", 10, 3), "abcdefghij");
        assert_eq!(fold("abcdefghij", 7, 3), "abc…hij");
        assert_eq!(fold("abcdefghij", 4, 0), "…hij");
        assert_eq!(fold("日本語日本語", 7, 2), "日…本語");
        assert_eq!(fold("abc", 0, 0), "abc");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut table = Table::new([(Column::Name, "function")]);
        table.row([Cell::from("a\u{1b}[31m\nb")]);
        assert_eq!(
            table.render(80, Paint::default()),
            "  function\n  a [31m b\n"
        );
    }

    #[test]
    fn markdown_escapes_what_would_end_a_cell() {
        let mut table = Table::new([(Column::Number, "self"), (Column::Name, "function")]);
        table.row([Cell::from("1"), Cell::from("a|b`c")]);
        assert_eq!(
            table.markdown(),
            "| self | function |\n|---:|---|\n| 1 | `a\\|b'c` |\n"
        );
    }
}
