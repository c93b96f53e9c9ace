//! Lines from a pipe or socket that is read when it is ready.

use std::io::{self, Read};

/// Longest line between the processes of a lab; beyond that the sender is not ours.
pub(super) const LINE_MAX: usize = 8 * 1024;

/// Collects bytes into lines.
#[derive(Debug, Default)]
pub(super) struct LineReader {
    partial: Vec<u8>,
}

/// What one read brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lines {
    /// Whole lines, without their ends; none if a line is still under way.
    Some(Vec<String>),
    /// The other side has closed. A partial line is lost.
    End,
}

impl LineReader {
    /// Reads once, which does not block if `source` is ready. Fails on a line that is too long.
    pub(super) fn read(&mut self, mut source: impl Read) -> io::Result<Lines> {
        let mut chunk = [0; 4096];
        let len = match source.read(&mut chunk) {
            Ok(0) => return Ok(Lines::End),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        self.partial.extend_from_slice(&chunk[..len]);
        let mut lines = Vec::new();
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let rest = self.partial.split_off(end + 1);
            let line = std::mem::replace(&mut self.partial, rest);
            lines.push(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        if self.partial.len() > LINE_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Lines::Some(lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_may_come_in_pieces() {
        let mut reader = LineReader::default();
        let mut read = |bytes: &[u8]| reader.read(bytes).expect("readable");
        assert_eq!(read(b"on"), Lines::Some(vec![]));
        assert_eq!(
            read(b"e\ntwo\nth"),
            Lines::Some(vec!["one".into(), "two".into()])
        );
        assert_eq!(read(b"ree\n"), Lines::Some(vec!["three".into()]));
        assert_eq!(read(b""), Lines::End);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut reader = LineReader::default();
        let refused = (0..4).any(|_| reader.read([b'x'; 4096].as_slice()).is_err());
        assert!(refused);
    }
}
