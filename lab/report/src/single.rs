//! Single requests: one as a ledger drawn in time, for a terminal; and the slowest, a line each.
//!
//! A hop has a line of its own, with what it took itself in the colours (else the letters) of families; below it each of
//! its stages lies where it lay in time, in a sign that says how it is known.

use std::fmt::Write as _;

use super::family::named;
use super::text::{Paint, wrap};
use lab_judge::result::units::{count, exact_bytes, http, percent, time};
use lab_judge::result::{HopInTime, Piece, RequestResult, ratio, sum};

/// Fewer columns than this are taken for this many.
const NARROWEST: usize = 100;
/// Everything but the bar, with the spaces between.
const FIXED: usize = 75;
/// A name, as far as there is room for it.
const NAME: usize = 34;
/// Stages of less of the latency than this are told together, unless all are asked for.
const SMALL: f64 = 0.01;

/// `request` as text of at most `width` columns (at least 100), with `all` of its stages, however small.
#[must_use]
pub fn single(request: &RequestResult, width: usize, colour: bool, all: bool) -> String {
    let (width, paint) = (width.max(NARROWEST), Paint(colour));
    let mut text = String::new();
    head(&mut text, request, width, paint);
    let bar = width - FIXED;
    let end = time(request.latency_us);
    let rule = bar.saturating_sub(end.chars().count() + 4);
    let axis = format!("0 {} {end}", "─".repeat(rule));
    let title = format!(
        "{:NAME$} {:>10} {:>10} {:>7} {:8} {axis}",
        "hop, and its stages", "from", "took", "share", "known"
    );
    let _ = writeln!(text, "\n{}", paint.bold(&title));
    let mut small = Vec::new();
    for hop in &request.hops {
        lane(&mut text, request, hop, bar, paint);
        for pieces in hop.stages() {
            let part = ratio(sum(&pieces), request.latency_us);
            if !all && part.abs() < SMALL {
                small.push(sum(&pieces));
                continue;
            }
            stage(&mut text, request, hop, &pieces, bar);
        }
    }
    if !small.is_empty() {
        let (of, us) = (small.len(), small.iter().sum());
        let line = format!("{of} more of less than {} each, together {}", percent(SMALL), time(us));
        let _ = writeln!(text, "{line} (--all shows them)");
    }
    text.push('\n');
    legend(&mut text, request, width, paint);
    text
}

/// Which request it is, how long it took, and what is to be known before one believes it.
fn head(text: &mut String, request: &RequestResult, width: usize, paint: Paint) {
    let cell = match request.cell.as_str() {
        "" => "of no cell".to_owned(),
        cell => format!("{cell}, round {}", request.round),
    };
    let trace = paint.bold(&format!("trace {}", request.trace_id));
    let told = [trace.as_str(), &cell, &request.operation, &request.started_at];
    let told: Vec<_> = told.into_iter().filter(|part| !part.is_empty()).collect();
    let _ = writeln!(text, "{}", told.join("  "));
    let kinds = ["measured", "inferred", "unseen"].map(|kind| {
        format!("{} {kind}", percent(ratio(request.of_kind(kind), request.latency_us)))
    });
    let mut line = format!("{}: {}", time(request.latency_us), kinds.join(", "));
    if let Some(stopwatch) = request.stopwatch_us {
        let residual = time(stopwatch - request.latency_us);
        let _ = write!(
            line,
            "; a stopwatch outside the probe: {}, residual {residual}",
            time(stopwatch)
        );
    }
    if request.weight > 1.0 {
        let _ = write!(line, "; stands for {:.0} of its kind", request.weight);
    }
    for doubt in doubts(request) {
        let _ = write!(line, "; {doubt}");
    }
    let _ = writeln!(text, "{}", wrap(&line, width, 0));
}

/// What speaks against taking the request for what it is drawn as.
pub(super) fn doubts(request: &RequestResult) -> Vec<String> {
    let mut doubts = Vec::new();
    let mut doubt = |told: bool, text: &str| {
        if told {
            doubts.push(text.to_owned());
        }
    };
    doubt(request.kind == "message", "it is work that a message asked for: nobody waited");
    doubt(request.error, "it ended with an error");
    doubt(!request.whole, "it is not whole: a call lacks the span of a service that sends some");
    doubt(request.cut > 0, &format!("{} of its spans were left out", request.cut));
    doubt(request.late > 0, &format!("{} of its spans came late", request.late));
    doubt(request.out_of_order > 0, &format!("{} marks are out of order", request.out_of_order));
    doubts
}

/// The line of a hop, and what is known of it beside its time.
fn lane(text: &mut String, request: &RequestResult, hop: &HopInTime, bar: usize, paint: Paint) {
    let own: f64 = hop.pieces.iter().map(|piece| piece.us).sum();
    let share = percent(ratio(own, request.latency_us));
    let line = format!(
        "{} {:>10} {:>10} {share:>7} {:8} ",
        fit(&format!("{}{}", "  ".repeat(hop.depth as usize), hop.hop)),
        format!("{}{}", if hop.placed { "" } else { "~" }, time(hop.from_us)),
        time(hop.us),
        "",
    );
    let line = format!("{}{}", paint.bold(&line), own_bar(request, hop, bar, paint));
    let _ = writeln!(text, "{}", line.trim_end());
    let facts = facts(hop);
    if !facts.is_empty() {
        let indent = 2 * hop.depth as usize + 2;
        let _ = writeln!(text, "{:indent$}{}", "", facts.join(" · "));
    }
}

/// What is known of a hop beside its time.
pub(super) fn facts(hop: &HopInTime) -> Vec<String> {
    let mut facts = Vec::new();
    if hop.http != 0 {
        facts.push(http(hop.http));
    }
    let bytes = |bytes: Option<u64>| bytes.map_or_else(|| "?".to_owned(), exact_bytes);
    if hop.request_bytes.or(hop.reply_bytes).is_some() {
        facts.push(format!(
            "bodies {} there, {} back",
            bytes(hop.request_bytes),
            bytes(hop.reply_bytes)
        ));
    }
    if hop.attempts > 1 {
        facts.push(format!("tried {} times", count(hop.attempts)));
    }
    if hop.beside_us > 0.0 {
        facts.push(format!("{} more of it nobody waited for", time(hop.beside_us)));
    }
    if hop.unjoined {
        facts.push("one side told nothing".to_owned());
    }
    if !hop.placed {
        facts.push("when it was is not known".to_owned());
    }
    facts
}

/// The hop's own time by families; dots are calls that it waited for.
fn own_bar(request: &RequestResult, hop: &HopInTime, bar: usize, paint: Paint) -> String {
    let at = |column: usize| (column as f64 + 0.5) / bar as f64 * request.latency_us;
    let holds = |from: f64, us: f64, at: f64| from <= at && at < from + us;
    (0..bar)
        .map(|column| {
            let at = at(column);
            match hop.pieces.iter().find(|piece| holds(piece.from_us, piece.us, at)) {
                Some(piece) => {
                    let look = named(&piece.family);
                    let letter = look.letter.to_string();
                    if paint.0 { paint.colour("█", look.ansi) } else { letter }
                }
                None if holds(hop.from_us, hop.us, at) => "·".to_owned(),
                None if holds(hop.from_us + hop.us, hop.beside_us, at) => "┄".to_owned(),
                None => " ".to_owned(),
            }
        })
        .collect()
}

/// The line of a stage: where its pieces lie.
fn stage(
    text: &mut String,
    request: &RequestResult,
    hop: &HopInTime,
    pieces: &[&Piece],
    bar: usize,
) {
    let (first, all) = (pieces[0], sum(pieces));
    let column = |us: f64| (us / request.latency_us.max(1e-3) * bar as f64).clamp(0.0, bar as f64);
    let mut signs = vec![' '; bar];
    for piece in pieces.iter().filter(|piece| piece.us > 0.0) {
        let from = (column(piece.from_us) as usize).min(bar - 1);
        let to = (column(piece.from_us + piece.us).ceil() as usize).max(from + 1);
        signs[from..to.min(bar)].fill(sign(&piece.kind));
    }
    let bar: String = signs.into_iter().collect();
    let name = format!("{}{}", "  ".repeat(hop.depth as usize + 1), first.stage.replace('_', " "));
    let line = format!(
        "{} {:>10} {:>10} {:>7} {:8} {bar}",
        fit(&name),
        time(first.from_us),
        time(all),
        percent(ratio(all, request.latency_us)),
        first.kind,
    );
    let _ = writeln!(text, "{}", line.trim_end());
}

/// How a stage that is known so is drawn.
fn sign(kind: &str) -> char {
    match kind {
        "measured" => '█',
        "inferred" => '▒',
        _ => '░',
    }
}

/// `name` in its column.
fn fit(name: &str) -> String {
    match name.chars().count() {
        long if long > NAME => name.chars().take(NAME - 1).chain(['…']).collect(),
        _ => format!("{name:NAME$}"),
    }
}

/// What the signs mean, as far as they are there.
fn legend(text: &mut String, request: &RequestResult, width: usize, paint: Paint) {
    let mut families: Vec<&str> = Vec::new();
    for piece in request.hops.iter().flat_map(|hop| &hop.pieces) {
        if !families.contains(&piece.family.as_str()) {
            families.push(&piece.family);
        }
    }
    let own = families.iter().map(|family| {
        let look = named(family);
        let sign = if paint.0 { "█".to_owned() } else { look.letter.to_string() };
        format!("{sign} {}", look.short)
    });
    let own: Vec<_> = own.collect();
    let plain = format!("hops: {}; · waiting for a call of its own", own.join(", "));
    let mut plain = wrap(&plain, width, 6);
    if paint.0 {
        // Colour has no width: it is put in where the lines have been made.
        for family in families {
            let look = named(family);
            let sign = format!("█ {}", look.short);
            plain = plain.replacen(
                &sign,
                &format!("{} {}", paint.colour("█", look.ansi), look.short),
                1,
            );
        }
    }
    let _ = writeln!(text, "{plain}");
    let known = "stages: █ measured (two marks on one clock) · ▒ inferred (a difference of durations) · ░ unseen (nobody \
                 told: network, queues, libraries and the scheduler in one). What is known of both ways over a wire \
                 together is drawn half before the server and half behind it.";
    let _ = writeln!(text, "{}", wrap(known, width, 8));
}

/// The slowest requests, the slowest first, a line each.
#[must_use]
pub fn slowest(requests: &[RequestResult], width: usize, colour: bool) -> String {
    let (width, paint) = (width.max(NARROWEST), Paint(colour));
    let cell = |request: &RequestResult| match request.cell.as_str() {
        "" => request.operation.clone(),
        cell => cell.to_owned(),
    };
    let longest =
        requests.iter().map(|one| cell(one).chars().count()).max().unwrap_or(0).clamp(4, 40);
    let title = format!(
        "{:>9} {:longest$} {:>5} {:32}  largest stage",
        "latency", "cell", "round", "trace"
    );
    let mut text = paint.bold(&title);
    text.push('\n');
    for request in requests {
        let largest = request.largest().map_or_else(
            || "unknown".to_owned(),
            |(hop, stage, us)| {
                let share = percent(ratio(us, request.latency_us));
                format!("{} {}, {} ({share})", hop.hop, stage.replace('_', " "), time(us))
            },
        );
        let doubt = if doubts(request).is_empty() { "" } else { " !" };
        let cell: String = cell(request).chars().take(longest).collect();
        let line = format!(
            "{:>9} {cell:longest$} {:>5} {:32}  {largest}{doubt}",
            time(request.latency_us),
            request.round,
            request.trace_id,
        );
        let _ = writeln!(text, "{}", wrap(&line, width.max(line.chars().count()), 0));
    }
    text
}
