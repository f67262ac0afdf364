//! The tables of both formats: a column a field, or a row an entry with a schema that says which item is which.

use crate::json::{Json, Kind};
use crate::limits::too_many;
use crate::{Error, ErrorKind, Place};

use super::SUBJECT;

/// The columns that are wanted of a table. What is no number is `NaN`.
pub(super) struct Table {
    columns: Vec<Vec<f64>>,
    pub(super) place: Place,
}

impl Table {
    /// No entries.
    pub(super) fn empty() -> Self {
        Self {
            columns: Vec::new(),
            place: Place::Whole,
        }
    }

    /// Reads these columns, of at most `limit` entries each.
    pub(super) fn read(mut json: Json<'_>, wanted: &[&str], limit: usize) -> Result<Self, Error> {
        let place = json.place();
        let mut columns = vec![Vec::new(); wanted.len()];
        let (mut schema, mut data) = (None, None);
        json.fields(&mut |json, key| {
            match key {
                "schema" => schema = Some(json.later()?),
                "data" if json.kind()? == Kind::Array && !wanted.contains(&"data") => {
                    data = Some(json.later()?)
                }
                key => {
                    if let Some(index) = wanted.iter().position(|wanted| *wanted == key)
                        && json.kind()? == Kind::Array
                    {
                        columns[index] = column(json, limit)?;
                    }
                }
            }
            Ok(())
        })?;
        if let (Some(schema), Some(data)) = (schema, data) {
            rows(schema, data, wanted, limit, &mut columns)?;
        }
        Ok(Self { columns, place })
    }

    /// The entries of the longest column.
    pub(super) fn len(&self) -> usize {
        self.columns.iter().map(Vec::len).max().unwrap_or(0)
    }

    pub(super) fn number(&self, column: usize, row: usize) -> Option<f64> {
        let number = *self.columns.get(column)?.get(row)?;
        (!number.is_nan()).then_some(number)
    }

    /// The whole number, or `None` if it is none or negative.
    pub(super) fn unsigned(&self, column: usize, row: usize) -> Option<u64> {
        self.number(column, row)
            .filter(|number| *number >= 0.0)
            .map(|number| number as u64)
    }

    /// An index into a table of `len` entries; `null` and -1 stand for none.
    pub(super) fn index(
        &self,
        column: usize,
        row: usize,
        what: &str,
        len: usize,
    ) -> Result<Option<usize>, Error> {
        let Some(index) = self.unsigned(column, row) else {
            return Ok(None);
        };
        if index < len as u64 {
            return Ok(Some(index as usize));
        }
        let message =
            format!("{what} {index} is used in row {row} of the table here, of {len} in the file");
        Err(Error::new(
            ErrorKind::Dangling,
            SUBJECT,
            self.place,
            message,
        ))
    }

    /// An index that every entry has.
    pub(super) fn some_index(
        &self,
        column: usize,
        row: usize,
        what: &str,
        len: usize,
    ) -> Result<usize, Error> {
        self.index(column, row, what, len)?.ok_or_else(|| {
            let message = format!("row {row} of the table here has no {what}");
            Error::new(ErrorKind::Malformed, SUBJECT, self.place, message)
        })
    }
}

fn column(json: &mut Json<'_>, limit: usize) -> Result<Vec<f64>, Error> {
    let mut column = Vec::new();
    json.items(&mut |json, index| {
        check(json, index, limit)?;
        column.push(json.maybe_number()?.unwrap_or(f64::NAN));
        Ok(())
    })?;
    Ok(column)
}

fn rows(
    mut schema: Json<'_>,
    mut data: Json<'_>,
    wanted: &[&str],
    limit: usize,
    columns: &mut [Vec<f64>],
) -> Result<(), Error> {
    let mut positions = vec![None; wanted.len()];
    schema.fields(&mut |json, key| {
        if let Some(index) = wanted.iter().position(|wanted| *wanted == key) {
            positions[index] = json.maybe_number()?.map(|position| position as usize);
        }
        Ok(())
    })?;
    data.items(&mut |json, row| {
        check(json, row, limit)?;
        for column in columns.iter_mut() {
            column.push(f64::NAN);
        }
        json.items(&mut |json, item| {
            if let Some(column) = positions
                .iter()
                .position(|position| *position == Some(item))
            {
                columns[column][row] = json.maybe_number()?.unwrap_or(f64::NAN);
            }
            Ok(())
        })
    })
}

fn check(json: &Json<'_>, index: usize, limit: usize) -> Result<(), Error> {
    match index < limit {
        true => Ok(()),
        false => Err(too_many(SUBJECT, json.place(), "rows of one table", limit)),
    }
}
