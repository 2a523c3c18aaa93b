//! Plain text with a width: wrapping, and colour where it is wanted.

use lab_model::Status;

/// Writes escape codes, or leaves them out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(pub bool);

impl Paint {
    /// `text` in one of the 256 colours of a terminal.
    pub(super) fn colour(self, text: &str, ansi: u8) -> String {
        self.code(text, &format!("38;5;{ansi}"))
    }

    /// `text` in bold.
    pub(super) fn bold(self, text: &str) -> String {
        self.code(text, "1")
    }

    /// `text` in the colour of a verdict.
    pub(super) fn status(self, text: &str, status: Status) -> String {
        self.code(
            text,
            match status {
                Status::Valid => "32",
                Status::Unchecked => "36",
                Status::Suspect => "33",
                Status::Invalid => "1;31",
            },
        )
    }

    fn code(self, text: &str, code: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `text` in lines of at most `width` characters, every line but the first behind `indent` spaces.
pub(super) fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut lines = String::new();
    let mut used = 0;
    for word in words(text) {
        let length = word.chars().count();
        if used > indent && used + 1 + length > width {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            used = indent;
        } else if used > 0 {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(&word);
        used += length;
    }
    lines
}

/// The words of `text`; a number stays with its unit.
fn words(text: &str) -> Vec<String> {
    const UNITS: [&str; 9] = ["%", "µs", "ms", "s", "B", "kB", "MB", "KiB", "MiB"];
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let unit = word.trim_end_matches(|end: char| !end.is_alphanumeric() && end != '%');
        match words.last_mut() {
            Some(number)
                if UNITS.contains(&unit) && number.ends_with(|end: char| end.is_ascii_digit()) =>
            {
                number.push(' ');
                number.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}
