//! What the queries of a panel answer, as tables of columns: as Grafana makes them of InfluxQL's answers, and what the
//! panel's transformations make of those. How they look is not decided here.

use std::cmp::Ordering;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::panels::Series;

/// What Grafana calls the column of times.
pub(crate) const TIME: &str = "Time";

/// A column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) values: Vec<Value>,
}

/// Columns of one length.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frame {
    pub(crate) fields: Vec<Field>,
}

impl Frame {
    /// An answer in the format *table*: times, tags and columns beside each other, the series below each other.
    pub(crate) fn table(series: &[Series]) -> Vec<Frame> {
        let Some(first) = series.first() else { return Vec::new() };
        let names = std::iter::once(TIME.to_owned())
            .chain(first.tags.keys().cloned())
            .chain(first.columns.iter().skip(1).cloned());
        let mut fields: Vec<_> = names.map(|name| Field { name, values: Vec::new() }).collect();
        for one in series {
            for row in &one.values {
                let tags = one.tags.values().map(|tag| Value::from(tag.as_str()));
                let time = row.first().cloned().unwrap_or_default();
                let cells = std::iter::once(time).chain(tags).chain(row.iter().skip(1).cloned());
                for (field, value) in fields.iter_mut().zip(cells) {
                    field.values.push(value);
                }
            }
        }
        vec![Frame { fields }]
    }

    /// An answer in the format *time series*: one table of times and values for each column of each series.
    pub(crate) fn time_series(series: &[Series], alias: &str) -> Vec<Frame> {
        let mut frames = Vec::new();
        for one in series {
            let column = |at: usize| one.values.iter().map(|row| row[at].clone()).collect();
            for (at, name) in one.columns.iter().enumerate().skip(1) {
                let mut label = alias.replace("$col", name);
                for (tag, value) in &one.tags {
                    label = label.replace(&format!("$tag_{tag}"), value);
                }
                let time = Field { name: TIME.to_owned(), values: column(0) };
                let values = Field { name: label, values: column(at) };
                frames.push(Frame { fields: vec![time, values] });
            }
        }
        frames
    }

    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    pub(crate) fn rows(&self) -> usize {
        self.fields.first().map_or(0, |field| field.values.len())
    }

    /// Puts the rows in this order.
    fn reorder(&mut self, order: &[usize]) {
        for field in &mut self.fields {
            field.values = order.iter().map(|&row| field.values[row].clone()).collect();
        }
    }

    /// Sorts by the column `name`; where it is not there, nothing is done.
    pub(crate) fn sort(&mut self, name: &str, descending: bool) {
        let Some(by) = self.field(name).map(|field| field.values.clone()) else { return };
        let mut order: Vec<usize> = (0..self.rows()).collect();
        order.sort_by(|&a, &b| {
            let order = compare(&by[a], &by[b]);
            if descending { order.reverse() } else { order }
        });
        self.reorder(&order);
    }
}

/// Numbers by size, texts by letter, nothing before all.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (None, None) => a.as_str().unwrap_or_default().cmp(b.as_str().unwrap_or_default()),
        (a, _) => a.is_some().cmp(&true).then(Ordering::Less),
    }
}

/// What the transformations of a panel make of `frames`, in their order.
pub(crate) fn transform(mut frames: Vec<Frame>, transformations: &[Value]) -> Result<Vec<Frame>> {
    for one in transformations {
        let options = &one["options"];
        match one["id"].as_str().unwrap_or_default() {
            "sortBy" => {
                let by = &options["sort"][0];
                let name = by["field"].as_str().unwrap_or_default();
                frames.iter_mut().for_each(|frame| frame.sort(name, by["desc"] == true));
            }
            "convertFieldType" => {
                let name = options["conversions"][0]["targetField"].as_str().unwrap_or_default();
                frames.iter_mut().for_each(|frame| to_numbers(frame, name));
            }
            "joinByField" => {
                frames = join(frames, options["byField"].as_str().unwrap_or_default());
            }
            "organize" => frames.iter_mut().for_each(|frame| organize(frame, options)),
            other => bail!("the transformation {other} is not known to the preview"),
        }
    }
    Ok(frames)
}

fn to_numbers(frame: &mut Frame, name: &str) {
    for field in frame.fields.iter_mut().filter(|field| field.name == name) {
        for value in &mut field.values {
            let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
            *value = number.map_or(Value::Null, Value::from);
        }
    }
}

/// One table of all that have the column `by`: a row for each of its values that is in any of them.
fn join(frames: Vec<Frame>, by: &str) -> Vec<Frame> {
    let frames: Vec<Frame> = frames.into_iter().filter(|frame| frame.field(by).is_some()).collect();
    if frames.len() < 2 {
        return frames;
    }
    let mut keys: Vec<Value> = Vec::new();
    for value in frames.iter().filter_map(|frame| frame.field(by)).flat_map(|field| &field.values) {
        if !keys.contains(value) {
            keys.push(value.clone());
        }
    }
    let mut fields = vec![Field { name: by.to_owned(), values: keys.clone() }];
    for (at, frame) in frames.iter().enumerate() {
        let own = frame.field(by).map(|field| field.values.as_slice()).unwrap_or_default();
        for field in frame.fields.iter().filter(|field| field.name != by) {
            let value = |key: &Value| {
                let row = own.iter().position(|own| own == key);
                row.map_or(Value::Null, |row| field.values[row].clone())
            };
            let name = match field.name.as_str() {
                TIME => format!("{TIME} {}", at + 1),
                name => name.to_owned(),
            };
            fields.push(Field { name, values: keys.iter().map(value).collect() });
        }
    }
    vec![Frame { fields }]
}

/// Leaves columns out, puts the others in order, and gives them other names.
fn organize(frame: &mut Frame, options: &Value) {
    frame.fields.retain(|field| options["excludeByName"][&field.name] != true);
    let place = |field: &Field| options["indexByName"][&field.name].as_u64().unwrap_or(u64::MAX);
    frame.fields.sort_by_key(place);
    for field in &mut frame.fields {
        if let Some(name) = options["renameByName"][&field.name].as_str() {
            name.clone_into(&mut field.name);
        }
    }
}
