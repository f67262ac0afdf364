//! The line program, run once for all wanted addresses.

use super::files::Files;
use super::{Position, Reader, UnitRef, number};

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
    /// With line tables alone, LLVM writes no function entry where nothing was inlined, so it is the rule for
    /// nothing to own an address that has a line.
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
        // The first wanted address at or after the pending row. Addresses rarely go down inside a sequence, so
        // it is moved along and not searched.
        let mut next = self.wanted.len();
        while let Some((_, row)) = rows.next_row()? {
            let address = row.address();
            match pending {
                Some(before) if before.start <= address => {
                    let first = next;
                    while self.wanted.get(next).is_some_and(|&at| at < address) {
                        next += 1;
                    }
                    if first < next {
                        self.place(unit, files, before, first..next);
                    }
                }
                // The first row of a sequence says whether the linker kept its code.
                None if !self.text.contains(address) => next = self.wanted.len(),
                _ => next = self.wanted.partition_point(|&at| at < address),
            }
            pending = (!row.end_sequence()).then(|| Row::new(row));
            self.fuel.burn(1)?;
        }
        Ok(())
    }

    /// Places the addresses that `row` covers.
    fn place(
        &mut self,
        unit: UnitRef<'_, 'd>,
        files: &mut Files,
        row: Row,
        hits: std::ops::Range<usize>,
    ) {
        for site in &mut self.sites[hits] {
            let placed = site.position.as_ref().map(|position| position.unit);
            let wins = match site.owner {
                Some((owner, _)) => owner == self.visited && placed != Some(owner),
                None => placed.is_none(),
            };
            if wins {
                site.position = Some(Position {
                    unit: self.visited,
                    // Code that stands for no line carries the unit's own file, which says nothing about it.
                    file: (row.line != 0)
                        .then(|| files.path(unit, row.file))
                        .flatten(),
                    line: number(row.line),
                    column: number(row.column),
                });
            }
        }
    }
}
