//! The tables of a run file and the SQL that makes and fills them.
//!
//! A stage is a column `<stage>_ns`, NULL where it is absent: a mean over all requests is
//! `total(x) / count(*)`, not `avg(x)`. Which of the others are inferred stands in `hop.inferred`. Traffic is NULL where
//! nobody counted it, and so is what spans claim where they claim nothing. What is known of a trace beside its requests stands in `aside`.

use ledger::Stage;

/// Version of the tables; higher where an old reader would misread them.
pub(super) const VERSION: i64 = 2;

/// A table: its name and its columns with their types.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: Vec<(String, &'static str)>,
}

/// Columns of one message's traffic, after `request_` or `reply_`.
pub(super) const TRAFFIC: [&str; 6] =
    ["payload_bytes", "body_bytes", "wire_bytes", "frames", "framing_bytes", "header_bytes"];

fn columns(list: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    list.iter().map(|&(name, kind)| (name.to_owned(), kind)).collect()
}

const INTEGER: &str = "INTEGER NOT NULL";
const TEXT: &str = "TEXT NOT NULL";

/// The name of a stage's column.
pub(super) fn stage_column(stage: Stage) -> String {
    format!("{}_ns", stage.name())
}

pub(super) fn request() -> Table {
    let columns = columns(&[
        ("id", "INTEGER PRIMARY KEY"),
        ("trace_id", TEXT),
        ("root_id", TEXT),
        ("kind", TEXT),
        ("cell", TEXT),
        ("round", INTEGER),
        ("run", INTEGER),
        ("operation", TEXT),
        ("linked", TEXT),
        ("start_ns", INTEGER),
        ("wall_ns", INTEGER),
        ("latency_ns", INTEGER),
        ("stopwatch_ns", "INTEGER"),
        ("margin_ns", "INTEGER"),
        ("weight", "REAL NOT NULL"),
        ("out_of_order", INTEGER),
        ("early", INTEGER),
        ("error", INTEGER),
        ("whole", INTEGER),
        ("edge_assumed", INTEGER),
        ("cut", INTEGER),
        ("late", INTEGER),
        ("provisional", INTEGER),
    ]);
    Table { name: "request", columns }
}

pub(super) fn hop() -> Table {
    let mut all = columns(&[
        ("request_id", INTEGER),
        ("hop", TEXT),
        ("depth", INTEGER),
        ("unjoined", INTEGER),
        ("at_ns", "INTEGER"),
        ("concurrent_ns", INTEGER),
        ("detached_ns", INTEGER),
        ("clipped_ns", INTEGER),
        ("wire_disagrees", INTEGER),
        ("connection", INTEGER),
        ("http", INTEGER),
        ("attempts", INTEGER),
        ("others", TEXT),
        ("injected", TEXT),
        ("inferred", TEXT),
        ("claimed_request_bytes", "INTEGER"),
        ("claimed_reply_bytes", "INTEGER"),
        ("by_relay", INTEGER),
    ]);
    for message in ["request", "reply"] {
        all.extend(TRAFFIC.iter().map(|part| (format!("{message}_{part}"), "INTEGER")));
    }
    all.extend(Stage::ALL.iter().map(|&stage| (stage_column(stage), "INTEGER")));
    Table { name: "hop", columns: all }
}

pub(super) fn process_sample() -> Table {
    let columns = columns(&[
        ("at_ns", INTEGER),
        ("process", TEXT),
        ("pid", INTEGER),
        ("cpu_ns", INTEGER),
        ("rss_bytes", INTEGER),
        ("threads", INTEGER),
        ("voluntary_switches", INTEGER),
        ("involuntary_switches", INTEGER),
        ("run_queue_wait_ns", INTEGER),
    ]);
    Table { name: "process_sample", columns }
}

/// Every statement that an empty run file needs.
pub(super) fn create_all() -> Vec<String> {
    let mut all: Vec<_> =
        [request(), hop(), process_sample()].iter().map(Table::create_sql).collect();
    all.push(
        "CREATE TABLE aside (trace_id TEXT PRIMARY KEY, cell TEXT NOT NULL, fragments INTEGER NOT NULL,
         late INTEGER NOT NULL) WITHOUT ROWID"
            .to_owned(),
    );
    all.push("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)".to_owned());
    all.push(format!("INSERT INTO meta VALUES ('schema', '{VERSION}')"));
    all.push("CREATE INDEX request_cell ON request (cell)".to_owned());
    // Only rows that may be written anew are ever looked for by their trace.
    all.push("CREATE INDEX request_provisional ON request (trace_id) WHERE provisional".to_owned());
    all.push("CREATE INDEX hop_request ON hop (request_id)".to_owned());
    all
}

/// Adds to what is known of a trace.
pub(super) const ASIDE: &str = "INSERT INTO aside (trace_id, cell, fragments, late)
    VALUES (?1, ?2, coalesce(?3, 0), ?4) ON CONFLICT (trace_id) DO UPDATE SET
    cell = iif(excluded.cell = '', cell, excluded.cell), fragments = coalesce(?3, fragments),
    late = late + excluded.late";

/// Take away what was written of a trace while something was missing.
pub(super) const AMEND: [&str; 2] = [
    "DELETE FROM hop WHERE request_id IN (SELECT id FROM request WHERE trace_id = ?1 AND provisional)",
    "DELETE FROM request WHERE trace_id = ?1 AND provisional",
];

impl Table {
    fn create_sql(&self) -> String {
        let columns: Vec<_> =
            self.columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
        format!("CREATE TABLE {} ({})", self.name, columns.join(", "))
    }

    /// One statement that inserts `rows` rows.
    pub(super) fn insert_sql(&self, rows: usize) -> String {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let marks = format!("({})", vec!["?"; names.len()].join(","));
        let values = vec![marks; rows].join(",");
        format!("INSERT INTO {} ({}) VALUES {values}", self.name, names.join(","))
    }
}
