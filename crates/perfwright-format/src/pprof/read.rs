//! Decoding `profile.proto`.
//!
//! A message may come before the one it refers to (writers put the string table behind everything), so the
//! decoder goes over the whole once for the header and the strings, and over the messages of each other kind after
//! that, up to the samples. Skipping a message is reading its length; nothing is copied.

use std::{
    borrow::Cow,
    num::{NonZeroU32, NonZeroU64},
};

use perfwright_model::{
    Frame, Function, FunctionId, Label, LabelSetId, LabelValue, Location, LocationId, Mapping,
    MappingId, Period, Profile, SampleType, StackId, StringId,
};

use super::{TIME_LABEL, TIME_UNIT, field::profile as top, ids::Ids};
use crate::{
    Error, ErrorKind, Format, Limits, Place, Read, WarningKind,
    limits::too_many,
    warning::Warnings,
    wire::{Field, Fields, Varints},
};

/// Decodes a profile that is not compressed.
pub(crate) fn decode(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    if bytes.is_empty() {
        return Err(Error::pprof(
            ErrorKind::Empty,
            0,
            "the input is empty: nothing was recorded, or the copy failed",
        ));
    }
    let (mut header, mut table) = (Header::default(), StringTable::default());
    let mut spans = Spans::default();
    let mut fields = Fields::new(bytes, 0);
    while let Some(field) = fields.next()? {
        match u8::try_from(field.number).unwrap_or(0) {
            top::STRING_TABLE => table.add(field, limits)?,
            number @ top::SAMPLE..=top::FUNCTION => {
                spans.add(number, field.offset, fields.offset())
            }
            number => header.add(number, field, limits)?,
        }
    }
    let mut decoder = Decoder::new(bytes, limits, header, table, spans)?;
    decoder.each(top::MAPPING, Decoder::mapping)?;
    decoder.each(top::FUNCTION, Decoder::function)?;
    decoder.each(top::LOCATION, Decoder::location)?;
    decoder.each(top::SAMPLE, Decoder::sample)?;
    Ok(Read {
        profile: decoder.profile,
        format: Format::Pprof,
        warnings: decoder.table.warnings.into_vec(),
    })
}

/// By kind of message, from where to where in the file there are some: writers put those of a kind together, and
/// looking for the few strings among millions of samples takes as long as all else.
#[derive(Default)]
struct Spans([Option<(usize, usize)>; top::FUNCTION as usize + 1]);

impl Spans {
    #[inline]
    fn add(&mut self, number: u8, start: usize, end: usize) {
        let span = &mut self.0[usize::from(number)];
        *span = Some((span.map_or(start, |(first, _)| first), end));
    }

    fn fields<'a>(&self, number: u8, bytes: &'a [u8]) -> Fields<'a> {
        let (start, end) = self.0[usize::from(number)].unwrap_or_default();
        Fields::new(&bytes[start..end], start)
    }
}

struct Decoder<'a> {
    bytes: &'a [u8],
    spans: Spans,
    limits: &'a Limits,
    table: StringTable<'a>,
    profile: Profile,
    mappings: Ids<MappingId>,
    functions: Ids<FunctionId>,
    locations: Ids<LocationId>,
    frame_count: usize,
    /// Labels of all distinct sets.
    label_count: usize,
    /// What one sample has, kept for the next one's.
    stack: Vec<LocationId>,
    values: Vec<i64>,
    labels: Vec<Label>,
}

impl<'a> Decoder<'a> {
    /// With the profile's header decoded.
    fn new(
        bytes: &'a [u8],
        limits: &'a Limits,
        header: Header,
        mut table: StringTable<'a>,
        spans: Spans,
    ) -> Result<Self, Error> {
        let profile = header.into_profile(&mut table)?;
        Ok(Self {
            bytes,
            spans,
            limits,
            table,
            profile,
            mappings: Ids::new(),
            functions: Ids::new(),
            locations: Ids::new(),
            frame_count: 0,
            label_count: 0,
            stack: Vec::new(),
            values: Vec::new(),
            labels: Vec::new(),
        })
    }

    /// Calls `decode` with every message of one kind and with its place.
    fn each(
        &mut self,
        number: u8,
        mut decode: impl FnMut(&mut Self, Fields<'a>, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut fields = self.spans.fields(number, self.bytes);
        while let Some(field) = fields.next()? {
            if field.number == u64::from(number) {
                decode(self, field.message()?, field.offset)?;
            }
        }
        Ok(())
    }

    fn string(&mut self, index: Index) -> Result<StringId, Error> {
        self.table.intern(&mut self.profile, index)
    }

    fn mapping(&mut self, mut fields: Fields<'a>, at: usize) -> Result<(), Error> {
        check_count("mappings", self.mappings.len(), self.limits.mappings, at)?;
        let (mut id, mut mapping) = (0, Mapping::new(0, 0));
        while let Some(field) = fields.next()? {
            match field.number {
                1 => id = field.varint()?,
                2 => mapping.start = field.varint()?,
                3 => mapping.limit = field.varint()?,
                4 => mapping.offset = field.varint()?,
                5 => mapping.filename = self.string(Index::of(field.int()?, field.offset))?,
                6 => mapping.build_id = self.build_id(Index::of(field.int()?, field.offset))?,
                7 => mapping.has_functions = field.varint()? != 0,
                8 => mapping.has_filenames = field.varint()? != 0,
                9 => mapping.has_lines = field.varint()? != 0,
                10 => mapping.has_inlines = field.varint()? != 0,
                _ => {}
            }
        }
        let added = self.profile.add_mapping(mapping);
        define(&mut self.mappings, "mapping", id, added, at)
    }

    /// A build id; hex digits are made lower case, which is how the model spells it.
    fn build_id(&mut self, index: Index) -> Result<StringId, Error> {
        let id = self.string(index)?;
        let text = self.profile.string(id);
        let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hex || !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Ok(id);
        }
        let lower = text.to_ascii_lowercase();
        Ok(self.profile.intern(&lower))
    }

    fn function(&mut self, mut fields: Fields<'a>, at: usize) -> Result<(), Error> {
        check_count("functions", self.functions.len(), self.limits.functions, at)?;
        let (mut id, mut function) = (0, Function::named(StringId::EMPTY));
        while let Some(field) = fields.next()? {
            match field.number {
                1 => id = field.varint()?,
                2 => function.name = self.string(Index::of(field.int()?, field.offset))?,
                3 => function.system_name = self.string(Index::of(field.int()?, field.offset))?,
                4 => function.filename = self.string(Index::of(field.int()?, field.offset))?,
                5 => function.start_line = self.line_number(field.int()?, field.offset),
                _ => {}
            }
        }
        let added = self.profile.add_function(function);
        define(&mut self.functions, "function", id, added, at)
    }

    fn location(&mut self, mut fields: Fields<'a>, at: usize) -> Result<(), Error> {
        check_count("locations", self.locations.len(), self.limits.locations, at)?;
        let (mut id, mut location, mut frames) = (0, Location::default(), Vec::new());
        while let Some(field) = fields.next()? {
            match field.number {
                1 => id = field.varint()?,
                2 => {
                    location.mapping = match field.varint()? {
                        0 => None,
                        id => Some(find(&self.mappings, "mapping", id, field.offset)?),
                    }
                }
                3 => location.address = NonZeroU64::new(field.varint()?),
                4 => {
                    let seen = self.frame_count + frames.len();
                    check_count("lines", seen, self.limits.frames, field.offset)?;
                    frames.extend(self.line(field.message()?, field.offset)?);
                }
                5 => location.is_folded = field.varint()? != 0,
                _ => {}
            }
        }
        self.frame_count += frames.len();
        let added = self.profile.push_location(location, &frames);
        define(&mut self.locations, "location", id, added, at)
    }

    fn line(&mut self, mut fields: Fields<'a>, at: usize) -> Result<Option<Frame>, Error> {
        let (mut id, mut line, mut column) = (0, None, None);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => id = field.varint()?,
                2 => line = self.line_number(field.int()?, field.offset),
                3 => column = self.line_number(field.int()?, field.offset),
                _ => {}
            }
        }
        if id == 0 {
            self.table.warn(WarningKind::LineWithoutFunction, at);
            return Ok(None);
        }
        let function = find(&self.functions, "function", id, at)?;
        Ok(Some(Frame {
            function,
            line,
            column,
        }))
    }

    fn line_number(&mut self, number: i64, at: usize) -> Option<NonZeroU32> {
        let in_range = u32::try_from(number);
        if in_range.is_err() {
            self.table.warn(WarningKind::LineOutOfRange, at);
        }
        in_range.ok().and_then(NonZeroU32::new)
    }

    /// Not inlined, for browsers optimise functions that are called often, not loops that run for long.
    #[inline(never)]
    fn sample(&mut self, mut fields: Fields<'a>, at: usize) -> Result<(), Error> {
        self.check_samples(at)?;
        self.stack.clear();
        self.values.clear();
        self.labels.clear();
        let mut time_nanos = None;
        while let Some(field) = fields.next()? {
            match field.number {
                1 => self.push_locations(field.varints()?, field.offset)?,
                2 => {
                    let mut values = field.varints()?;
                    while let Some(value) = values.next()? {
                        self.push_value(value, field.offset)?;
                    }
                }
                3 => {
                    check_count(
                        "labels on one sample",
                        self.labels.len(),
                        self.limits.labels_per_sample,
                        field.offset,
                    )?;
                    let label = self.label(field.message()?)?;
                    match (time_nanos, self.time_of(&label)) {
                        (None, Some(time)) => time_nanos = Some(time),
                        _ => self.labels.push(label),
                    }
                }
                _ => {}
            }
        }
        let expected = self.profile.sample_types().len();
        if self.values.len() != expected {
            return Err(value_count_error(self.values.len(), expected, at));
        }
        let stack = self.push_stack(at)?;
        let labels = self.intern_labels(at)?;
        self.profile
            .push_sample_at(stack, labels, &self.values, time_nanos);
        Ok(())
    }

    fn check_samples(&self, at: usize) -> Result<(), Error> {
        let types = self.profile.sample_types().len();
        let samples = self.profile.sample_count();
        if types == 0 {
            let message = "a sample, but no sample types: the file lacks what its values mean";
            return Err(Error::pprof(ErrorKind::Malformed, at, message));
        }
        check_count("samples", samples, self.limits.samples, at)?;
        let values = (samples + 1) * types - 1;
        check_count("values", values, self.limits.values, at)
    }

    fn push_locations(&mut self, mut ids: Varints<'a>, at: usize) -> Result<(), Error> {
        while let Some(id) = ids.next()? {
            if self.stack.len() >= self.limits.depth {
                let what = "locations in one stack";
                return Err(too_many("pprof", Place::byte(at), what, self.limits.depth));
            }
            match self.locations.get(id) {
                Some(location) => self.stack.push(location),
                None => return Err(not_in_file("location", id, at)),
            }
        }
        Ok(())
    }

    #[inline]
    fn push_value(&mut self, value: u64, at: usize) -> Result<(), Error> {
        let expected = self.profile.sample_types().len();
        if self.values.len() >= expected {
            return Err(value_count_error(expected + 1, expected, at));
        }
        self.values.push(value.cast_signed());
        Ok(())
    }

    fn push_stack(&mut self, at: usize) -> Result<StackId, Error> {
        let stack = self.profile.intern_stack_leaf_first(&self.stack);
        // One stack adds at most `depth` nodes, so checking behind it bounds the memory as well.
        if self.profile.stack_count() - 1 > self.limits.stack_nodes {
            let what = "nodes in the stack tree";
            let limit = self.limits.stack_nodes;
            return Err(too_many("pprof", Place::byte(at), what, limit));
        }
        Ok(stack)
    }

    fn intern_labels(&mut self, at: usize) -> Result<LabelSetId, Error> {
        let known = self.profile.label_set_count();
        let set = self.profile.intern_labels(&self.labels);
        if self.profile.label_set_count() > known {
            self.label_count += self.labels.len();
        }
        // One set has few labels, so checking behind it bounds the memory as well.
        if self.label_count > self.limits.labels {
            let what = "labels in distinct sets";
            return Err(too_many("pprof", Place::byte(at), what, self.limits.labels));
        }
        Ok(set)
    }

    fn label(&mut self, mut fields: Fields<'a>) -> Result<Label, Error> {
        let mut key = StringId::EMPTY;
        // A text is there if its index is not 0, even when the string there is empty.
        let (mut text, mut value, mut unit) = (None, 0, StringId::EMPTY);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => key = self.string(Index::of(field.int()?, field.offset))?,
                2 => {
                    let index = Index::of(field.int()?, field.offset);
                    let string = self.string(index)?;
                    text = (index.index != 0).then_some(string);
                }
                3 => value = field.int()?,
                4 => unit = self.string(Index::of(field.int()?, field.offset))?,
                _ => {}
            }
        }
        let value = text.map_or(LabelValue::Num { value, unit }, LabelValue::Str);
        Ok(Label { key, value })
    }

    /// The time, if the label is the one that [`super::write`] puts it into.
    fn time_of(&self, label: &Label) -> Option<i64> {
        match label.value {
            LabelValue::Num { value, unit }
                if self.profile.string(label.key) == TIME_LABEL
                    && self.profile.string(unit) == TIME_UNIT =>
            {
                Some(value)
            }
            _ => None,
        }
    }
}

/// The scalar fields of a profile and its sample types, not yet resolved.
#[derive(Default)]
struct Header {
    sample_types: Vec<(Index, Index)>,
    period_type: Option<(Index, Index)>,
    period: i64,
    time_nanos: i64,
    duration_nanos: i64,
    drop_frames: Index,
    keep_frames: Index,
    doc_url: Index,
    default_sample_type: Index,
    comments: Vec<Index>,
}

impl Header {
    fn add(&mut self, number: u8, field: Field<'_>, limits: &Limits) -> Result<(), Error> {
        let at = field.offset;
        match number {
            top::SAMPLE_TYPE => {
                let seen = self.sample_types.len();
                check_count("sample types", seen, limits.sample_types, at)?;
                let sample_type = value_type(field.message()?, Default::default())?;
                self.sample_types.push(sample_type);
            }
            top::DROP_FRAMES => self.drop_frames = Index::of(field.int()?, at),
            top::KEEP_FRAMES => self.keep_frames = Index::of(field.int()?, at),
            top::TIME_NANOS if self.time_nanos != 0 => return Err(two_profiles(at)),
            top::TIME_NANOS => self.time_nanos = field.int()?,
            top::DURATION_NANOS => self.duration_nanos = field.int()?,
            top::PERIOD_TYPE => {
                let known = self.period_type.unwrap_or_default();
                self.period_type = Some(value_type(field.message()?, known)?);
            }
            top::PERIOD => self.period = field.int()?,
            top::COMMENT => {
                let mut indexes = field.varints()?;
                while let Some(index) = indexes.next()? {
                    check_count("comments", self.comments.len(), limits.strings, at)?;
                    self.comments.push(Index::of(index.cast_signed(), at));
                }
            }
            top::DEFAULT_SAMPLE_TYPE => self.default_sample_type = Index::of(field.int()?, at),
            top::DOC_URL => self.doc_url = Index::of(field.int()?, at),
            _ => {}
        }
        Ok(())
    }

    fn into_profile(self, table: &mut StringTable<'_>) -> Result<Profile, Error> {
        let sample_types: Vec<SampleType> = self
            .sample_types
            .into_iter()
            .map(|sample_type| table.sample_type(sample_type))
            .collect::<Result<_, _>>()?;
        let mut profile = Profile::new(sample_types);
        let known_period = self.period_type.is_some() || self.period != 0;
        let period_type = table.sample_type(self.period_type.unwrap_or_default())?;
        let meta = &mut profile.meta;
        meta.period = known_period.then_some(Period {
            sample_type: period_type,
            value: self.period,
        });
        meta.time_nanos = Some(self.time_nanos).filter(|&time| time != 0);
        meta.duration_nanos = Some(self.duration_nanos).filter(|&duration| duration != 0);
        meta.drop_frames = table.optional(self.drop_frames)?;
        meta.keep_frames = table.optional(self.keep_frames)?;
        meta.doc_url = table.optional(self.doc_url)?;
        meta.comments = table.comments(&self.comments)?;
        if let Some(kind) = table.optional(self.default_sample_type)? {
            profile.meta.default_sample_type = profile.find_sample_type(&kind);
            if profile.meta.default_sample_type.is_none() {
                let at = self.default_sample_type.at;
                table.warn(WarningKind::UnknownDefaultSampleType, at);
            }
        }
        Ok(profile)
    }
}

/// A position in the string table, and the byte that names it.
#[derive(Clone, Copy, Default)]
struct Index {
    index: i64,
    at: usize,
}

impl Index {
    fn of(index: i64, at: usize) -> Self {
        Self { index, at }
    }
}

/// The file's strings. Each is interned when it is first needed, so that what nothing uses is left behind.
#[derive(Default)]
struct StringTable<'a> {
    /// The bytes of each string and where they start.
    strings: Vec<(&'a [u8], usize)>,
    interned: Vec<Option<StringId>>,
    warnings: Warnings,
}

impl<'a> StringTable<'a> {
    fn add(&mut self, field: Field<'a>, limits: &Limits) -> Result<(), Error> {
        check_count("strings", self.strings.len(), limits.strings, field.offset)?;
        let string = field.bytes()?;
        if self.strings.is_empty() && !string.0.is_empty() {
            let message =
                "the first string is not empty: the file breaks a rule of pprof, write it anew";
            return Err(Error::pprof(ErrorKind::Malformed, field.offset, message));
        }
        self.strings.push(string);
        self.interned.push(None);
        Ok(())
    }

    fn warn(&mut self, kind: WarningKind, at: usize) {
        self.warnings.add(kind, Place::byte(at));
    }

    #[inline]
    fn intern(&mut self, profile: &mut Profile, index: Index) -> Result<StringId, Error> {
        if index.index == 0 {
            return Ok(StringId::EMPTY);
        }
        let position = usize::try_from(index.index).unwrap_or(usize::MAX);
        if let Some(&Some(id)) = self.interned.get(position) {
            return Ok(id);
        }
        let text = self.text(index)?;
        let id = profile.intern(&text);
        self.interned[position] = Some(id);
        Ok(id)
    }

    fn text(&mut self, index: Index) -> Result<Cow<'a, str>, Error> {
        let position = usize::try_from(index.index).unwrap_or(usize::MAX);
        let Some(&(bytes, at)) = self.strings.get(position) else {
            // Even a file without a string table has the empty string.
            if index.index == 0 {
                return Ok("".into());
            }
            let (index_, len) = (index.index, self.strings.len());
            let message =
                format!("string {index_} of a table of {len}: the file is cut short or damaged");
            return Err(Error::pprof(ErrorKind::Dangling, index.at, message));
        };
        let text = String::from_utf8_lossy(bytes);
        if matches!(text, Cow::Owned(_)) {
            self.warn(WarningKind::InvalidUtf8, at);
        }
        Ok(text)
    }

    fn sample_type(&mut self, (kind, unit): (Index, Index)) -> Result<SampleType, Error> {
        Ok(SampleType::new(self.text(kind)?, self.text(unit)?))
    }

    fn optional(&mut self, index: Index) -> Result<Option<String>, Error> {
        let text = self.text(index)?;
        Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
    }

    /// The comments. Many may point to one long string, so what they take together is bounded by the size
    /// of the table.
    fn comments(&mut self, indexes: &[Index]) -> Result<Vec<String>, Error> {
        let mut budget = 3 * self
            .strings
            .iter()
            .map(|(bytes, _)| bytes.len())
            .sum::<usize>();
        let mut comments = Vec::new();
        for &index in indexes {
            let text = self.text(index)?.into_owned();
            let Some(left) = budget.checked_sub(text.len()) else {
                let message = "comments repeat one another without end: the file is damaged";
                return Err(Error::pprof(ErrorKind::Limit, index.at, message));
            };
            budget = left;
            comments.push(text);
        }
        Ok(comments)
    }
}

fn value_type(mut fields: Fields<'_>, known: (Index, Index)) -> Result<(Index, Index), Error> {
    let (mut kind, mut unit) = known;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => kind = Index::of(field.int()?, field.offset),
            2 => unit = Index::of(field.int()?, field.offset),
            _ => {}
        }
    }
    Ok((kind, unit))
}

/// Fails if one more than `seen` exceeds the limit.
fn check_count(what: &str, seen: usize, limit: usize, at: usize) -> Result<(), Error> {
    if seen < limit {
        return Ok(());
    }
    Err(too_many("pprof", Place::byte(at), what, limit))
}

fn define<T: Copy>(
    ids: &mut Ids<T>,
    what: &str,
    id: u64,
    value: T,
    at: usize,
) -> Result<(), Error> {
    let message = if id == 0 {
        format!("a {what} without an id: 0 is reserved, the file is damaged")
    } else if ids.insert(id, value) {
        return Ok(());
    } else {
        format!("two {what}s have the id {id}: the file is damaged")
    };
    Err(Error::pprof(ErrorKind::Malformed, at, message))
}

#[inline]
fn find<T: Copy>(ids: &Ids<T>, what: &str, id: u64, at: usize) -> Result<T, Error> {
    ids.get(id).ok_or_else(|| not_in_file(what, id, at))
}

#[cold]
fn not_in_file(what: &str, id: u64, at: usize) -> Error {
    let message =
        format!("{what} {id} is used but not in the file: the file is cut short or damaged");
    Error::pprof(ErrorKind::Dangling, at, message)
}

fn value_count_error(found: usize, expected: usize, at: usize) -> Error {
    let found = match found > expected {
        true => "more".to_owned(),
        false => found.to_string(),
    };
    let message = format!(
        "a sample with {found} values in a profile of {expected} sample types: the file is damaged"
    );
    Error::pprof(ErrorKind::Malformed, at, message)
}

fn two_profiles(at: usize) -> Error {
    let message = "a second profile starts here: split the file, or merge with `pprof -proto`";
    Error::pprof(ErrorKind::Malformed, at, message)
}
