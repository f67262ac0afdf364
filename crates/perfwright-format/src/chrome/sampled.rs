//! The samples of a trace (`samples`), each of which names a frame of a tree (`stackFrames`).

use std::collections::HashMap;

use perfwright_model::StackId;

use super::{Ids, Reader, id, number};
use crate::json::{Json, Kind};
use crate::order::sorted;
use crate::v8::Nodes;
use crate::{Error, Place, WarningKind};

/// Where both are in the file.
pub(super) struct Sampled<'a> {
    pub(super) samples: Json<'a>,
    pub(super) frames: Json<'a>,
}

struct Sample {
    ids: Ids,
    /// Microseconds.
    time: f64,
    /// Of the whole file, rounded to what it stands for.
    weight: i64,
    stack: StackId,
    place: Place,
}

impl Sampled<'_> {
    /// There is at least one sample.
    pub(super) fn has_some(&self) -> Result<bool, Error> {
        let mut found = false;
        self.samples.clone().items(&mut |_, _| {
            found = true;
            Ok(())
        })?;
        Ok(found)
    }

    /// Adds the samples; each lasts until the next one of its thread.
    pub(super) fn read(self, reader: &mut Reader<'_>) -> Result<(), Error> {
        let stacks = stacks(self.frames, reader)?;
        let samples = samples(self.samples, &stacks, reader)?;
        let order = sorted(samples.len(), &|a, b| {
            let [a, b] = [a, b].map(|at| &samples[at]);
            a.ids.cmp(&b.ids).then(a.time.total_cmp(&b.time))
        });
        let times = samples.iter().map(|sample| sample.time);
        let origin = times.reduce(f64::min).unwrap_or(0.0);
        let nanos = |micros: f64| (micros * 1e3).round() as i64;
        let order: Vec<&Sample> = order.iter().map(|&at| &samples[at as usize]).collect();
        for thread in order.chunk_by(|a, b| a.ids == b.ids) {
            let labels = reader.labels(thread[0].ids, thread[0].place)?;
            for (index, sample) in thread.iter().enumerate() {
                let next = thread.get(index + 1).unwrap_or(sample);
                let values = [sample.weight, nanos(next.time - sample.time)];
                let time = nanos(sample.time - origin);
                reader
                    .builder
                    .sample_at(sample.stack, labels, &values, time, sample.place)?;
            }
        }
        Ok(())
    }
}

/// The stack of each frame, by the frame's id.
fn stacks(
    mut frames: Json<'_>,
    reader: &mut Reader<'_>,
) -> Result<HashMap<String, StackId>, Error> {
    let mut nodes = Nodes::default();
    let mut rows: HashMap<String, i64> = HashMap::new();
    let row_of = |rows: &mut HashMap<String, i64>, id: &str| {
        let next = rows.len() as i64;
        *rows.entry(id.to_owned()).or_insert(next)
    };
    frames.fields(&mut |json, id| {
        let place = json.place();
        let (mut name, mut parent) = (String::new(), None);
        json.fields(&mut |json, key| {
            match key {
                "name" => name = json.text_or_empty()?.into_owned(),
                "parent" => parent = key_of(json)?,
                _ => {}
            }
            Ok(())
        })?;
        let function = reader.builder.function(&name, "", None, place)?;
        let parent = parent.map(|parent| row_of(&mut rows, &parent));
        let row = row_of(&mut rows, id);
        nodes.add(row, parent, function, place, &reader.builder)
    })?;
    let stacks = nodes.stacks(&mut reader.builder, Some(&mut reader.warnings))?;
    let found = rows.into_iter().filter_map(|(id, row)| {
        let row = nodes.row(row)?;
        Some((id, stacks[row as usize]))
    });
    Ok(found.collect())
}

fn samples(
    mut json: Json<'_>,
    stacks: &HashMap<String, StackId>,
    reader: &mut Reader<'_>,
) -> Result<Vec<Sample>, Error> {
    let mut samples = Vec::new();
    json.items(&mut |json, index| {
        let place = json.place();
        let builder = &reader.builder;
        builder.check(index + 1, builder.limits.samples, "samples", place)?;
        let (mut ids, mut time, mut weight, mut frame) = ((0, 0), 0.0, 1.0, None);
        json.fields(&mut |json, key| {
            match key {
                "pid" => ids.0 = id(json)?,
                "tid" => ids.1 = id(json)?,
                "ts" => time = number(json)?.unwrap_or(0.0),
                "weight" => weight = number(json)?.unwrap_or(1.0),
                "sf" => frame = key_of(json)?,
                _ => {}
            }
            Ok(())
        })?;
        match frame.and_then(|frame| stacks.get(&frame)) {
            Some(&stack) => samples.push(Sample {
                ids,
                time,
                weight: weight.round() as i64,
                stack,
                place,
            }),
            None => reader.warnings.add(WarningKind::Lost, place),
        }
        Ok(())
    })?;
    Ok(samples)
}

/// An id as the key of an object: numbers are written without quotes where they are values.
fn key_of(json: &mut Json<'_>) -> Result<Option<String>, Error> {
    match json.kind()? {
        Kind::Text => json.text().map(|text| Some(text.into_owned())),
        Kind::Number => json.int().map(|number| Some(number.to_string())),
        _ => json.skip().map(|()| None),
    }
}
