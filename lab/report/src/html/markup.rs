//! Markup in small pieces: escaping, tables. Every text from outside goes through [`escape`].

use std::fmt::{Display, Write as _};

/// `text` with everything that means something in HTML made harmless, in attributes too.
pub(super) fn escape(text: impl Display) -> String {
    let text = text.to_string();
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// A table; columns after the first `text_columns` hold numbers.
pub(super) struct Table {
    html: String,
    text_columns: usize,
}

impl Table {
    /// A table with these column headings. Headings are escaped here.
    pub(super) fn new(caption: &str, headings: &[&str], text_columns: usize) -> Table {
        let mut html = format!(
            "<div class=\"scroll\"><table><caption>{}</caption><thead><tr>",
            escape(caption)
        );
        for (index, heading) in headings.iter().enumerate() {
            let class = if index < text_columns { "" } else { " class=\"n\"" };
            let _ = write!(html, "<th scope=\"col\"{class}>{}</th>", escape(heading));
        }
        html.push_str("</tr></thead><tbody>");
        Table { html, text_columns }
    }

    /// One row of cells that are HTML already; the first is the row's heading.
    pub(super) fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        self.html.push_str("<tr>");
        for (index, cell) in cells.iter().enumerate() {
            let cell = cell.as_ref();
            let _ = match index {
                0 => write!(self.html, "<th scope=\"row\">{cell}</th>"),
                index if index < self.text_columns => write!(self.html, "<td>{cell}</td>"),
                _ => write!(self.html, "<td class=\"n\">{cell}</td>"),
            };
        }
        self.html.push_str("</tr>");
    }

    /// A row that is a heading for those below it, over `columns` columns.
    pub(super) fn heading(&mut self, text: &str, columns: usize) {
        let _ = write!(
            self.html,
            "<tr class=\"sub\"><th colspan=\"{columns}\" scope=\"colgroup\">{}</th></tr>",
            escape(text)
        );
    }

    /// The table's HTML.
    pub(super) fn finish(mut self) -> String {
        self.html.push_str("</tbody></table></div>");
        self.html
    }
}

/// HTML that is shown when its summary is opened.
pub(super) fn details(summary: &str, html: &str) -> String {
    format!("<details><summary>{}</summary>{html}</details>", escape(summary))
}

/// The verdict as a coloured word with a sign.
pub(super) fn chip(status: lab_model::Status) -> String {
    use lab_model::Status;
    let (class, sign) = match status {
        Status::Valid => ("valid", "✓"),
        Status::Suspect => ("suspect", "!"),
        Status::Invalid => ("invalid", "✕"),
    };
    format!(
        "<span class=\"chip {class}\"><i aria-hidden=\"true\">{sign}</i> {}</span>",
        status.name()
    )
}
