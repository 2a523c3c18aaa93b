//! One series of what InfluxDB answers.

use serde_json::Value;

/// Rows with the same tags.
#[derive(Debug, Clone)]
pub struct Series(pub(super) Value);

impl Series {
    /// The value of a tag that was grouped by.
    ///
    /// # Panics
    /// If it was not grouped by `name`.
    #[must_use]
    pub fn tag(&self, name: &str) -> &str {
        self.0["tags"][name].as_str().unwrap_or_else(|| panic!("no tag {name} in {}", self.0))
    }

    /// The values of a column, in the order of time.
    ///
    /// # Panics
    /// If there is no column `name`.
    #[must_use]
    pub fn column(&self, name: &str) -> Vec<Value> {
        let columns = self.0["columns"].as_array().into_iter().flatten();
        let at = columns.into_iter().position(|column| column == name);
        let at = at.unwrap_or_else(|| panic!("no column {name} in {}", self.0));
        self.rows().map(|row| row[at].clone()).collect()
    }

    /// The values of a column of integers.
    ///
    /// # Panics
    /// If one is none.
    #[must_use]
    pub fn ints(&self, name: &str) -> Vec<i64> {
        let int = |value: &Value| value.as_i64().unwrap_or_else(|| panic!("{name}: {value}"));
        self.column(name).iter().map(int).collect()
    }

    /// What stands behind the time in the first row.
    #[must_use]
    pub fn first_value(&self) -> Option<&Value> {
        self.rows().next()?.get(1)
    }

    fn rows(&self) -> impl Iterator<Item = &Value> {
        self.0["values"].as_array().into_iter().flatten()
    }
}
