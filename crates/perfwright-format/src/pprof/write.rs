//! Encoding `profile.proto`.
//!
//! One pass: an entry gets its number when something first refers to it, and every table is written behind
//! those that refer to it. So only what is used is written, equal profiles give equal bytes whatever the
//! order of the model's tables, and what is held besides the profile is a few bytes an entry.

use std::{
    collections::HashMap,
    io::{self, Write},
};

#[cfg(feature = "gzip")]
use flate2::{Compression, write::GzEncoder};
use perfwright_model::{
    Frame, FunctionId, Label, LabelSetId, LabelValue, LocationId, MappingId, Profile, SampleRef,
    SampleType, StringId, ordered,
};

use super::{TIME_LABEL, TIME_UNIT, field::profile as top};
use crate::wire::{put_bytes, put_int, put_uint, put_varint};

/// Bytes gathered before they are handed to the writer.
const CHUNK: usize = 64 << 10;

/// Writes a profile as gzipped pprof, the form in which tools exchange it.
///
/// Compressed at level 1, as Go's runtime does: the next levels take twice the time for a few per cent.
///
/// # Errors
/// What the writer says.
#[cfg(feature = "gzip")]
pub fn write_gzip(profile: &Profile, writer: impl Write) -> io::Result<()> {
    let mut gzip = GzEncoder::new(writer, Compression::fast());
    write(profile, &mut gzip)?;
    gzip.finish()?.flush()
}

/// Writes a profile as pprof without compression.
///
/// Samples are written as they are, in order; strings, functions and locations only if a sample leads to
/// them, mappings also if they are the first, which by pprof's convention is the main binary.
///
/// # Errors
/// What the writer says.
pub fn write(profile: &Profile, mut writer: impl Write) -> io::Result<()> {
    let mut encoder = Encoder::new(profile, &mut writer);
    encoder.sample_types()?;
    encoder.samples()?;
    encoder.locations()?;
    encoder.functions()?;
    encoder.mappings()?;
    encoder.meta()?;
    encoder.string_table()?;
    encoder.flush()?;
    writer.flush()
}

struct Encoder<'a> {
    profile: &'a Profile,
    out: Vec<u8>,
    message: Vec<u8>,
    /// The labels of the sample at hand.
    sorted: Vec<Label>,
    writer: &'a mut dyn Write,
    strings: Strings<'a>,
    locations: Numbers,
    functions: Numbers,
    mappings: Numbers,
}

impl<'a> Encoder<'a> {
    fn new(profile: &'a Profile, writer: &'a mut dyn Write) -> Self {
        Self {
            profile,
            out: Vec::with_capacity(CHUNK + CHUNK / 4),
            message: Vec::new(),
            sorted: Vec::new(),
            writer,
            strings: Strings::new(profile),
            locations: Numbers::new(profile.location_count()),
            functions: Numbers::new(profile.functions().len()),
            mappings: Numbers::new(profile.mappings().len()),
        }
    }

    /// Ends the message that was being made: it becomes a field of the profile.
    #[inline]
    fn end_message(&mut self, field: u8) -> io::Result<()> {
        put_bytes(&mut self.out, field, &self.message);
        self.message.clear();
        if self.out.len() < CHUNK {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    fn sample_types(&mut self) -> io::Result<()> {
        for sample_type in self.profile.sample_types() {
            self.sample_type(sample_type);
            self.end_message(top::SAMPLE_TYPE)?;
        }
        Ok(())
    }

    fn sample_type(&mut self, sample_type: &'a SampleType) {
        let kind = self.strings.text(&sample_type.kind);
        let unit = self.strings.text(&sample_type.unit);
        put_uint(&mut self.message, 1, kind);
        put_uint(&mut self.message, 2, unit);
    }

    fn samples(&mut self) -> io::Result<()> {
        let mut packed = Vec::new();
        for sample in self.profile.samples() {
            self.sample(&sample, &mut packed);
            self.end_message(top::SAMPLE)?;
        }
        Ok(())
    }

    fn sample(&mut self, sample: &SampleRef<'_>, packed: &mut Vec<u8>) {
        for location in self.profile.stack(sample.stack) {
            put_varint(packed, self.locations.of(location.index()));
        }
        if !packed.is_empty() {
            put_bytes(&mut self.message, 1, packed);
            packed.clear();
        }
        for &value in sample.values {
            put_varint(packed, value.cast_unsigned());
        }
        put_bytes(&mut self.message, 2, packed);
        packed.clear();
        self.labels(sample.labels, packed);
        if let Some(time) = sample.time_nanos {
            put_uint(packed, 1, self.strings.text(TIME_LABEL));
            put_int(packed, 3, time);
            put_uint(packed, 4, self.strings.text(TIME_UNIT));
            self.end_label(packed);
        }
    }

    /// Labels are ordered by key: the model's order depends on which key it saw first.
    fn labels(&mut self, set: LabelSetId, label: &mut Vec<u8>) {
        let profile = self.profile;
        let labels = profile.labels(set);
        let key = |at: usize| profile.string(labels[at].key);
        self.sorted.clear();
        self.sorted.extend_from_slice(labels);
        if !labels.is_sorted_by_key(|label| profile.string(label.key)) {
            let order = ordered(labels.len(), &|a, b| key(a).cmp(key(b)));
            self.sorted = order.into_iter().map(|at| labels[at]).collect();
        }
        for position in 0..self.sorted.len() {
            let Label { key, value } = self.sorted[position];
            put_uint(label, 1, self.strings.of(key));
            match value {
                LabelValue::Str(StringId::EMPTY) => {
                    put_uint(label, 2, self.strings.second_empty());
                }
                LabelValue::Str(text) => put_uint(label, 2, self.strings.of(text)),
                LabelValue::Num { value, unit } => {
                    put_int(label, 3, value);
                    put_uint(label, 4, self.strings.of(unit));
                }
            }
            self.end_label(label);
        }
    }

    fn end_label(&mut self, label: &mut Vec<u8>) {
        put_bytes(&mut self.message, 3, label);
        label.clear();
    }

    fn locations(&mut self) -> io::Result<()> {
        // The first mapping is the main binary: it is number 1.
        if !self.profile.mappings().is_empty() {
            self.mappings.of(0);
        }
        let mut line = Vec::new();
        for position in 0..self.locations.order.len() {
            let id = LocationId::from_index(self.locations.order[position] as usize);
            let location = self.profile.location(id);
            put_uint(&mut self.message, 1, position as u64 + 1);
            if let Some(mapping) = location.mapping {
                let number = self.mappings.of(mapping.index());
                put_uint(&mut self.message, 2, number);
            }
            let address = location.address.map_or(0, |address| address.get());
            put_uint(&mut self.message, 3, address);
            for frame in self.profile.frames(id) {
                self.line(frame, &mut line);
            }
            put_uint(&mut self.message, 5, location.is_folded.into());
            self.end_message(top::LOCATION)?;
        }
        Ok(())
    }

    fn line(&mut self, frame: &Frame, line: &mut Vec<u8>) {
        put_uint(line, 1, self.functions.of(frame.function.index()));
        put_uint(line, 2, frame.line.map_or(0, |line| line.get().into()));
        put_uint(
            line,
            3,
            frame.column.map_or(0, |column| column.get().into()),
        );
        put_bytes(&mut self.message, 4, line);
        line.clear();
    }

    fn functions(&mut self) -> io::Result<()> {
        for position in 0..self.functions.order.len() {
            let id = FunctionId::from_index(self.functions.order[position] as usize);
            let function = self.profile.function(id);
            let start_line = function.start_line.map_or(0, |line| line.get().into());
            let strings = [function.name, function.system_name, function.filename];
            put_uint(&mut self.message, 1, position as u64 + 1);
            for (field, string) in (2..).zip(strings) {
                put_uint(&mut self.message, field, self.strings.of(string));
            }
            put_uint(&mut self.message, 5, start_line);
            self.end_message(top::FUNCTION)?;
        }
        Ok(())
    }

    fn mappings(&mut self) -> io::Result<()> {
        for position in 0..self.mappings.order.len() {
            let id = MappingId::from_index(self.mappings.order[position] as usize);
            let mapping = self.profile.mapping(id);
            let fields = [
                position as u64 + 1,
                mapping.start,
                mapping.limit,
                mapping.offset,
                self.strings.of(mapping.filename),
                self.strings.of(mapping.build_id),
                mapping.has_functions.into(),
                mapping.has_filenames.into(),
                mapping.has_lines.into(),
                mapping.has_inlines.into(),
            ];
            for (field, value) in (1..).zip(fields) {
                put_uint(&mut self.message, field, value);
            }
            self.end_message(top::MAPPING)?;
        }
        Ok(())
    }

    fn meta(&mut self) -> io::Result<()> {
        let profile = self.profile;
        let meta = &profile.meta;
        if let Some(period) = &meta.period {
            self.sample_type(&period.sample_type);
            self.end_message(top::PERIOD_TYPE)?;
            put_int(&mut self.out, top::PERIOD, period.value);
        }
        put_int(&mut self.out, top::TIME_NANOS, meta.time_nanos.unwrap_or(0));
        let duration = meta.duration_nanos.unwrap_or(0);
        put_int(&mut self.out, top::DURATION_NANOS, duration);
        let default = meta
            .default_sample_type
            .and_then(|index| profile.sample_types().get(index))
            .map(|sample_type| &sample_type.kind);
        let texts = [
            (top::DROP_FRAMES, meta.drop_frames.as_ref()),
            (top::KEEP_FRAMES, meta.keep_frames.as_ref()),
            (top::DEFAULT_SAMPLE_TYPE, default),
            (top::DOC_URL, meta.doc_url.as_ref()),
        ];
        for (field, text) in texts {
            let number = text.map_or(0, |text| self.strings.text(text));
            put_uint(&mut self.out, field, number);
        }
        for comment in &meta.comments {
            let number = self.strings.text(comment);
            put_varint(&mut self.message, number);
        }
        if !self.message.is_empty() {
            self.end_message(top::COMMENT)?;
        }
        Ok(())
    }

    fn string_table(&mut self) -> io::Result<()> {
        for position in 0..self.strings.order.len() {
            put_bytes(
                &mut self.out,
                top::STRING_TABLE,
                self.strings.order[position].as_bytes(),
            );
            if self.out.len() >= CHUNK {
                self.flush()?;
            }
        }
        Ok(())
    }
}

/// The numbers that entries of one table have in the file: from 1, in the order of first use.
struct Numbers {
    /// By position in the model's table; 0 is not used yet.
    numbers: Vec<u32>,
    /// The positions, in the order of their numbers.
    order: Vec<u32>,
}

impl Numbers {
    fn new(len: usize) -> Self {
        Self {
            numbers: vec![0; len],
            order: Vec::new(),
        }
    }

    #[inline]
    fn of(&mut self, index: usize) -> u64 {
        let number = &mut self.numbers[index];
        if *number == 0 {
            // The model's tables have fewer than 2^32 - 1 entries.
            self.order.push(index as u32);
            *number = self.order.len() as u32;
        }
        (*number).into()
    }
}

/// The file's string table: the empty string, then the others in the order of first use.
struct Strings<'a> {
    profile: &'a Profile,
    /// By position in the model's table; 0 is not used yet, or the empty string.
    numbers: Vec<u32>,
    /// Texts that the model does not have in its table: those of its header.
    others: HashMap<&'a str, u64>,
    second_empty: Option<u64>,
    order: Vec<&'a str>,
}

impl<'a> Strings<'a> {
    fn new(profile: &'a Profile) -> Self {
        Self {
            profile,
            numbers: vec![0; profile.string_count()],
            others: HashMap::new(),
            second_empty: None,
            order: vec![""],
        }
    }

    #[inline]
    fn of(&mut self, id: StringId) -> u64 {
        let number = &mut self.numbers[id.index()];
        if *number == 0 && id != StringId::EMPTY {
            *number = self.order.len() as u32;
            self.order.push(self.profile.string(id));
        }
        (*number).into()
    }

    /// The number of a text that may not be in the model's table.
    fn text(&mut self, text: &'a str) -> u64 {
        if let Some(id) = self.profile.find_string(text) {
            return self.of(id);
        }
        let next = self.order.len() as u64;
        let number = *self.others.entry(text).or_insert(next);
        if number == next {
            self.order.push(text);
        }
        number
    }

    /// Another empty string. A label whose text is number 0 would be one without a text.
    fn second_empty(&mut self) -> u64 {
        *self.second_empty.get_or_insert_with(|| {
            self.order.push("");
            self.order.len() as u64 - 1
        })
    }
}
