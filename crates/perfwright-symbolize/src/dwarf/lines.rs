//! The line program, run once for all wanted addresses.

use super::files::Files;
use super::{Position, Reader, UnitRef, number, within};

/// A row that waits for its end: the next row's address.
#[derive(Clone, Copy)]
struct Row {
    start: u64,
    file: u64,
    line: u64,
    column: u64,
}

impl Row {
    fn new(row: &gimli::LineRow) -> Self {
        Self {
            start: row.address(),
            file: row.file_index(),
            line: row.line().map_or(0, u64::from),
            column: match row.column() {
                gimli::ColumnType::LeftEdge => 0,
                gimli::ColumnType::Column(column) => column.get(),
            },
        }
    }
}

impl<'d> Reader<'_, 'd> {
    /// Gives each wanted address that this unit owns, or that nothing owns, its position in the source.
    pub(super) fn read_lines(
        &mut self,
        unit: UnitRef<'_, 'd>,
        files: &mut Files,
    ) -> gimli::Result<()> {
        let Some(program) = unit.line_program.clone() else {
            return Ok(());
        };
        let mut rows = program.rows();
        let mut pending: Option<Row> = None;
        // The first row of a sequence says whether the linker kept its code.
        let mut sequence_is_live = None;
        while let Some((_, row)) = rows.next_row()? {
            self.fuel.burn(1)?;
            let live = *sequence_is_live.get_or_insert(self.text.contains(row.address()));
            if let Some(before) = pending.filter(|before| live && before.start < row.address()) {
                self.place(unit, files, before, row.address())?;
            }
            pending = Some(Row::new(row));
            if row.end_sequence() {
                (pending, sequence_is_live) = (None, None);
            }
        }
        Ok(())
    }

    fn place(
        &mut self,
        unit: UnitRef<'_, 'd>,
        files: &mut Files,
        row: Row,
        end: u64,
    ) -> gimli::Result<()> {
        let hits = within(self.wanted, row.start, end);
        self.fuel.burn(hits.len())?;
        for index in hits {
            let site = &self.sites[index];
            let placed = site.position.as_ref().map(|position| position.unit);
            let wins = match site.owner {
                Some((owner, _)) => owner == self.visited && placed != Some(owner),
                None => placed.is_none(),
            };
            if wins {
                self.sites[index].position = Some(Position {
                    unit: self.visited,
                    file: files.path(unit, row.file),
                    line: number(row.line),
                    column: number(row.column),
                });
            }
        }
        Ok(())
    }
}
