//! Reading a profile that comes in pieces.

use crate::{Error, Format, Limits, Read, detect, folded, gunzip, is_zstd, read};

/// Reads a profile that comes in pieces, as [`read`] reads one that is there as a whole: whatever the pieces are, the
/// outcome is the same.
///
/// Folded stacks are read as they come, and their text is not kept. Of other formats, and of what is compressed, all
/// is kept until the end.
///
/// ```
/// use perfwright_format::{Limits, Reader};
///
/// let mut reader = Reader::new(Limits::default());
/// for piece in ["main;par", "se 12\nmain;render ", "30\n"] {
///     reader.push(piece.as_bytes());
/// }
/// assert_eq!(reader.finish()?.profile.total(0), 42);
/// # Ok::<(), perfwright_format::Error>(())
/// ```
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    /// Bytes so far.
    len: usize,
    expected: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Too few bytes to tell the format.
    Begun(Vec<u8>),
    Folded(Box<folded::Pieces>),
    Kept(Vec<u8>),
    Failed(Error),
}

impl Reader {
    /// Nothing read.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            len: 0,
            expected: 0,
            state: State::Begun(Vec::new()),
        }
    }

    /// Says how many bytes will come, so that there is room for them at once. Another number does no harm.
    pub fn expect(&mut self, len: usize) {
        self.expected = len.min(self.limits.max_bytes());
    }

    /// Takes the next piece. What is wrong with it is said at the [end](Self::finish).
    pub fn push(&mut self, piece: &[u8]) {
        self.len = self.len.saturating_add(piece.len());
        let outcome = match &mut self.state {
            State::Begun(bytes) => {
                bytes.extend_from_slice(piece);
                if bytes.len() < detect::PREFIX {
                    return;
                }
                let bytes = std::mem::take(bytes);
                self.begin(bytes)
            }
            State::Folded(pieces) => pieces.push(piece),
            State::Kept(bytes) if is_packed(bytes) => {
                bytes.extend_from_slice(piece);
                Ok(())
            }
            State::Kept(bytes) => {
                let fits = self.limits.check_len(self.len);
                fits.map(|()| bytes.extend_from_slice(piece))
            }
            State::Failed(_) => Ok(()),
        };
        if let Err(error) = outcome {
            self.state = State::Failed(error);
        }
    }

    /// Chooses what to do from the moment on at which the format is told.
    fn begin(&mut self, mut bytes: Vec<u8>) -> Result<(), Error> {
        if !is_packed(&bytes) && matches!(detect::identify(&bytes), Ok(Format::Folded)) {
            let mut pieces = Box::new(folded::Pieces::new(&self.limits));
            pieces.push(&bytes)?;
            self.state = State::Folded(pieces);
            return Ok(());
        }
        let _ = bytes.try_reserve_exact(self.expected.saturating_sub(bytes.len()));
        self.state = State::Kept(bytes);
        Ok(())
    }

    /// The profile.
    ///
    /// # Errors
    /// Those of [`read`].
    pub fn finish(self) -> Result<Read, Error> {
        match self.state {
            State::Begun(bytes) | State::Kept(bytes) => read(&bytes, &self.limits),
            // As of a whole, the length is looked at before the rest.
            State::Folded(pieces) => self
                .limits
                .check_len(self.len)
                .and_then(|()| pieces.finish()),
            State::Failed(error) => self.limits.check_len(self.len).and(Err(error)),
        }
    }
}

fn is_packed(bytes: &[u8]) -> bool {
    gunzip::is_gzip(bytes) || is_zstd(bytes)
}
