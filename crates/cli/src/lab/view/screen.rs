//! The whole terminal, redrawn.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode, size,
};
use crossterm::{execute, queue};

use super::super::cluster::{Node, State};
use super::{Picture, headline, table};

/// A terminal in raw mode with the alternate screen. Dropping it gives the terminal back.
pub(in crate::lab) struct Screen {
    notes: VecDeque<String>,
    drawn_at: Option<Instant>,
}

/// Lines of notes that are kept.
const NOTES_MAX: usize = 100;
/// Redrawing more often than this shows nothing that an eye could follow.
const DRAW_EVERY: Duration = Duration::from_millis(50);

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        let screen = Self {
            notes: VecDeque::new(),
            drawn_at: None,
        };
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    pub(super) fn note(&mut self, elapsed: Duration, text: &str) {
        if self.notes.len() == NOTES_MAX {
            self.notes.pop_front();
        }
        self.notes
            .push_back(format!("{:9.3} {text}", elapsed.as_secs_f64()));
        self.drawn_at = None;
    }

    pub(super) fn show(&mut self, picture: &Picture<'_>) -> io::Result<()> {
        if self.drawn_at.is_some_and(|at| at.elapsed() < DRAW_EVERY) {
            return Ok(());
        }
        self.drawn_at = Some(Instant::now());
        let (columns, rows) = match size()? {
            // A serial line does not know its size.
            (0, _) | (_, 0) => (80, 24),
            known => known,
        };
        let lines = self.lines(picture, usize::from(rows));
        let mut out = io::stdout().lock();
        for (row, (colour, line)) in (0..rows).zip(&lines) {
            let line: String = line.chars().take(usize::from(columns)).collect();
            queue!(out, MoveTo(0, row))?;
            match colour {
                Paint::Plain => {}
                Paint::Bold => queue!(out, SetAttribute(Attribute::Bold))?,
                Paint::Colour(colour) => queue!(out, SetForegroundColor(*colour))?,
            }
            queue!(
                out,
                Print(line),
                ResetColor,
                SetAttribute(Attribute::Reset),
                Clear(ClearType::UntilNewLine)
            )?;
        }
        if lines.len() < usize::from(rows) {
            queue!(out, Clear(ClearType::FromCursorDown))?;
        }
        out.flush()
    }

    fn lines(&self, picture: &Picture<'_>, rows: usize) -> Vec<(Paint, String)> {
        let mut table = table(picture.nodes).into_iter();
        let mut lines = vec![
            (
                Paint::Bold,
                format!("Ferrosync {}   q ends", headline(picture)),
            ),
            (Paint::Plain, String::new()),
        ];
        lines.extend(table.next().map(|line| (Paint::Bold, line)));
        lines.extend(picture.nodes.iter().map(paint).zip(table));
        lines.push((Paint::Plain, String::new()));
        let room = rows.saturating_sub(lines.len());
        let hidden = self.notes.len().saturating_sub(room);
        let notes = self.notes.iter().skip(hidden);
        lines.extend(notes.map(|note| (Paint::Plain, note.clone())));
        lines
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing back.
        let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paint {
    Plain,
    Bold,
    Colour(Color),
}

/// Green with quorum, yellow without, red where no daemon runs.
fn paint(node: &Node) -> Paint {
    match (&node.state, &node.seen) {
        (State::Ended(_) | State::Off | State::Lost, _) => Paint::Colour(Color::Red),
        (_, Some(seen)) if seen.quorate => Paint::Colour(Color::Green),
        (State::Booting | State::Running | State::Stopped | State::Ending, _) => {
            Paint::Colour(Color::Yellow)
        }
    }
}
