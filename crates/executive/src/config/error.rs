//! What is wrong with a configuration, where, and what to write instead.

use core::fmt;
use std::sync::Arc;

/// A place in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file's name as the host gave it.
    pub file: Arc<str>,
    /// Line, counted from 1; 0 means the file as a whole.
    pub line: u32,
    /// Column in bytes, counted from 1; 0 means the line as a whole.
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        Ok(())
    }
}

/// One reason why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where it stands.
    pub at: Location,
    /// What is wrong, in corosync's words where corosync has words for it.
    pub what: String,
    /// What to write instead.
    pub instead: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)?;
        if !self.instead.is_empty() {
            write!(f, "; {}", self.instead)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// All reasons why a configuration is refused, the first one first; never empty. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    /// One line per reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Something that an administrator should look at although the node starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where it stands.
    pub at: Location,
    /// What was noticed and what was made of it.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.text)
    }
}

/// Collects errors and warnings while a configuration is read; keeps the first [`Findings::MAX`] of each.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    errors: Vec<ConfigError>,
    warnings: Vec<Warning>,
}

impl Findings {
    /// A file of nothing but rubbish must not make its report larger than itself.
    const MAX: usize = 256;

    pub(crate) fn error(
        &mut self,
        at: Location,
        what: impl Into<String>,
        instead: impl Into<String>,
    ) {
        if self.errors.len() < Self::MAX {
            self.errors.push(ConfigError {
                at,
                what: what.into(),
                instead: instead.into(),
            });
        }
    }

    pub(crate) fn warn(&mut self, at: Location, text: impl Into<String>) {
        if self.warnings.len() < Self::MAX {
            self.warnings.push(Warning {
                at,
                text: text.into(),
            });
        }
    }

    /// Whether no error was found so far.
    pub(crate) fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    /// Puts what was found so far into the order of the lines of each file.
    pub(crate) fn sort_by_line(&mut self) {
        let mut files: Vec<Arc<str>> = Vec::new();
        for error in &self.errors {
            if !files.contains(&error.at.file) {
                files.push(Arc::clone(&error.at.file));
            }
        }
        self.errors.sort_by_key(|error| {
            let file = files.iter().position(|file| *file == error.at.file);
            (file, error.at.line)
        });
    }

    /// The warnings, or the errors when there are any.
    pub(crate) fn finish(self) -> Result<Vec<Warning>, ConfigErrors> {
        if self.errors.is_empty() {
            Ok(self.warnings)
        } else {
            Err(ConfigErrors(self.errors))
        }
    }
}
