//! The frames of both formats, and what their functions are called.

use std::num::NonZeroU64;

use perfwright_model::{Frame, FunctionId, MappingId, StringId};

use crate::build::{Builder, line};
use crate::order::sorted;
use crate::{Error, Place};

use super::{read::Lib, stacks::FrameRow, table::Table};

/// The name is an address: nobody has found the function yet.
fn is_address(name: &str) -> bool {
    let is_hex = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    // As long as 64 bits are, so that no name is looked through for long.
    (3..=18).contains(&name.len()) && name.strip_prefix("0x").is_some_and(is_hex)
}

pub(super) fn processed_frames(
    builder: &mut Builder<'_>,
    strings: &[StringId],
    frames: &Table,
    functions: &Table,
    [resources, symbols, files]: &[Table; 3],
    libs: &[Lib],
) -> Result<Vec<FrameRow>, Error> {
    let mut known: Vec<(Result<FunctionId, StringId>, Option<usize>)> =
        Vec::with_capacity(functions.len());
    for row in 0..functions.len() {
        let name = functions
            .index(0, row, "string", strings.len())?
            .map_or(StringId::EMPTY, |at| strings[at]);
        let mut file = functions.index(1, row, "string", strings.len())?;
        if let Some(source) = functions.index(2, row, "source", files.len())? {
            file = files.index(0, source, "string", strings.len())?;
        }
        let file = file.map_or(StringId::EMPTY, |at| strings[at]);
        let start = line(functions.number(3, row));
        let lib = match functions.index(4, row, "resource", resources.len().max(1))? {
            Some(resource) => resources.index(0, resource, "library", libs.len())?,
            None => None,
        };
        let function = match is_address(builder.profile.string(name)) {
            true => Err(name),
            false => Ok(builder.function_of(name, file, start, functions.place)?),
        };
        known.push((function, lib));
    }
    let mut rows = Vec::with_capacity(frames.len());
    for row in 0..frames.len() {
        let (function, mut lib) = known[frames.some_index(0, row, "function", known.len())?];
        if let Some(symbol) = frames.index(6, row, "native symbol", symbols.len())? {
            lib = symbols.index(0, symbol, "library", libs.len())?.or(lib);
        }
        lib = frames.index(5, row, "library", libs.len())?.or(lib);
        let base = lib.map_or(0, |lib| libs[lib].base);
        let address = frames
            .unsigned(1, row)
            .filter(|&address| address != 0)
            .and_then(|address| NonZeroU64::new(address.wrapping_add(base)));
        let [line, column] = [2, 3].map(|column| line(frames.number(column, row)));
        // Without a name the address must do; outside of all libraries it is told by the name alone.
        let function = match function {
            Err(_) if address.is_some() => None,
            Err(name) => Some(builder.function_of(name, StringId::EMPTY, None, frames.place)?),
            Ok(function) => Some(function),
        };
        let frame = function.map(|function| Frame {
            function,
            line,
            column,
        });
        let inline_depth = frames.unsigned(4, row).unwrap_or(0);
        rows.push(FrameRow {
            frame,
            mapping: lib.map(|lib| libs[lib].mapping),
            address,
            inline_depth,
        });
    }
    Ok(rows)
}

/// What a string of Gecko's stands for: an address or a function.
type Meaning = Result<(Option<MappingId>, Option<NonZeroU64>), FunctionId>;

pub(super) fn gecko_frames(
    builder: &mut Builder<'_>,
    strings: &[StringId],
    frames: &Table,
    libs: &[Lib],
) -> Result<Vec<FrameRow>, Error> {
    let ranges: Vec<_> = libs
        .iter()
        .filter_map(|lib| Some((lib.range?, lib.mapping)))
        .collect();
    let by_start = sorted(ranges.len(), &|a, b| ranges[a].0.cmp(&ranges[b].0));
    let ranges: Vec<_> = by_start.iter().map(|&at| ranges[at as usize]).collect();
    let mut meanings: Vec<Option<Meaning>> = vec![None; strings.len()];
    let mut rows = Vec::with_capacity(frames.len());
    for row in 0..frames.len() {
        let string = frames.some_index(7, row, "string", strings.len())?;
        let meaning = match meanings[string] {
            Some(known) => known,
            None => {
                let text = builder.profile.string(strings[string]).to_owned();
                let meaning = meaning_of(builder, &text, &ranges, frames.place)?;
                *meanings[string].insert(meaning)
            }
        };
        rows.push(match meaning {
            Ok((mapping, address)) => FrameRow {
                frame: None,
                mapping,
                address,
                inline_depth: 0,
            },
            Err(function) => {
                let [line, column] = [2, 3].map(|column| line(frames.number(column, row)));
                let frame = Some(Frame {
                    function,
                    line,
                    column,
                });
                FrameRow {
                    frame,
                    mapping: None,
                    address: None,
                    inline_depth: 0,
                }
            }
        });
    }
    Ok(rows)
}

fn meaning_of(
    builder: &mut Builder<'_>,
    text: &str,
    ranges: &[((u64, u64), MappingId)],
    place: Place,
) -> Result<Meaning, Error> {
    if !is_address(text) {
        let (name, file, start) = script_place(text);
        return Ok(Err(builder.function(name, file, line(start), place)?));
    }
    let address = u64::from_str_radix(&text[2..], 16).unwrap_or(0);
    let before = ranges.partition_point(|((start, _), _)| *start <= address);
    let range = before.checked_sub(1).map(|at| ranges[at]);
    let mapping = range
        .filter(|((_, end), _)| address < *end)
        .map(|(_, mapping)| mapping);
    Ok(Ok((mapping, NonZeroU64::new(address))))
}

/// `name (file:line)` or `name (file:line:column)` of a script, `name (in library)`, or a name. The number of a source
/// may follow: `[12]`.
fn script_place(text: &str) -> (&str, &str, Option<f64>) {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let source = text
        .strip_suffix(']')
        .and_then(|text| text.rsplit_once(")["))
        .filter(|(_, number)| is_number(number));
    let text = source.map_or(text, |(before, _)| &text[..=before.len()]);
    let inner = text
        .strip_suffix(')')
        .and_then(|text| text.rsplit_once(" ("));
    let Some((name, place)) = inner else {
        return (text, "", None);
    };
    if place.starts_with("in ") {
        return (name, "", None);
    }
    let number = |text: &str| text.parse::<u32>().ok().map(f64::from);
    match place
        .rsplit_once(':')
        .map(|(rest, last)| (rest, number(last)))
    {
        Some((rest, Some(last))) => match rest
            .rsplit_once(':')
            .map(|(file, line)| (file, number(line)))
        {
            Some((file, Some(line))) => (name, file, Some(line)),
            _ => (name, rest, Some(last)),
        },
        _ => (text, "", None),
    }
}
