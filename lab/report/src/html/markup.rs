//! Markup that several sections need: tables, details, verdicts. Texts are escaped by their type: maud makes every
//! value that is no [`Markup`] harmless.

use lab_model::Status;
use maud::{Markup, Render, html};

/// A table; columns after the first `text_columns` hold numbers.
pub(super) struct Table {
    caption: String,
    headings: Vec<String>,
    rows: Vec<Markup>,
    text_columns: usize,
}

impl Table {
    /// A table with these column headings.
    pub(super) fn new(caption: &str, headings: &[&str], text_columns: usize) -> Table {
        let headings = headings.iter().map(|&heading| heading.to_owned()).collect();
        Table { caption: caption.to_owned(), headings, rows: Vec::new(), text_columns }
    }

    /// One row; its first cell is the row's heading.
    pub(super) fn row(&mut self, cells: &[&dyn Render]) {
        self.rows.push(html! {
            tr {
                @for (index, cell) in cells.iter().enumerate() {
                    @if index == 0 { th scope="row" { (cell) } }
                    @else { td class=[self.class(index)] { (cell) } }
                }
            }
        });
    }

    /// One row of cells that are all of one kind, as many as there are.
    pub(super) fn row_of<R: Render>(&mut self, cells: &[R]) {
        let cells: Vec<&dyn Render> = cells.iter().map(|cell| cell as &dyn Render).collect();
        self.row(&cells);
    }

    /// How the cells of a column are set: numbers to the right.
    fn class(&self, column: usize) -> Option<&'static str> {
        (column >= self.text_columns).then_some("n")
    }

    /// A row that is a heading for those below it, over all columns.
    pub(super) fn heading(&mut self, text: &str) {
        let columns = self.headings.len();
        self.rows.push(html! { tr.sub { th colspan=(columns) scope="colgroup" { (text) } } });
    }
}

impl Render for Table {
    fn render(&self) -> Markup {
        html! {
            div.scroll {
                table {
                    caption { (self.caption) }
                    thead {
                        tr {
                            @for (index, heading) in self.headings.iter().enumerate() {
                                th scope="col" class=[self.class(index)] { (heading) }
                            }
                        }
                    }
                    tbody { @for row in &self.rows { (row) } }
                }
            }
        }
    }
}

/// What is shown when its summary is opened.
pub(super) fn details(summary: &str, content: &dyn Render) -> Markup {
    html! { details { summary { (summary) } (content) } }
}

/// The verdict as a coloured word with a sign.
pub(super) fn chip(status: Status) -> Markup {
    let (class, sign) = match status {
        Status::Valid => ("valid", "✓"),
        Status::Unchecked => ("unchecked", "?"),
        Status::Suspect => ("suspect", "!"),
        Status::Invalid => ("invalid", "✕"),
    };
    html! { span class={ "chip " (class) } { i aria-hidden="true" { (sign) } " " (status.name()) } }
}
