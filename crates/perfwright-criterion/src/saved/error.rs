//! What is odd about a file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a result could not be read. Fits "failed to {error}".
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Io(io::Error),
    Odd(String),
}

impl Error {
    pub(crate) fn io(path: &Path, error: io::Error) -> Error {
        Error {
            path: path.to_owned(),
            why: Why::Io(error),
        }
    }

    pub(crate) fn odd(path: &Path, what: impl Into<String>) -> Error {
        Error {
            path: path.to_owned(),
            why: Why::Odd(what.into()),
        }
    }

    pub(crate) fn json(path: &Path, error: &serde_json::Error) -> Error {
        Error::odd(path, format!("it is broken JSON: {error}"))
    }

    /// The file or folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is no such file or folder.
    pub fn is_not_found(&self) -> bool {
        matches!(&self.why, Why::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// What is odd about it, without its path.
    pub fn reason(&self) -> String {
        match &self.why {
            Why::Io(error) => error.to_string(),
            Why::Odd(what) => what.clone(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read {}: {}", self.path.display(), self.reason())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.why {
            Why::Io(error) => Some(error),
            Why::Odd(_) => None,
        }
    }
}
