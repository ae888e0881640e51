//! The Grafana boards: their panels, and every query in them.

use serde::Deserialize;
use serde_json::Value;

use crate::{files, path, read};

/// What a board holds, as far as tests look at it.
#[derive(Debug, Deserialize)]
pub struct Board {
    pub uid: String,
    pub title: String,
    pub panels: Vec<Panel>,
    pub templating: Templating,
    pub annotations: Annotations,
    /// Links to other boards.
    #[serde(default)]
    pub links: Vec<BoardLink>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Panel {
    pub id: u64,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub description: String,
    pub grid_pos: GridPosition,
    pub datasource: Option<Value>,
    #[serde(default)]
    pub targets: Vec<Target>,
    #[serde(default)]
    pub links: Vec<Link>,
    #[serde(default)]
    pub field_config: Value,
}

/// In a grid of 24 columns.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct GridPosition {
    pub x: u32,
    pub y: u32,
    pub w: u32,
    pub h: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    pub ref_id: String,
    pub datasource: Option<Value>,
    pub expr: String,
}

#[derive(Debug, Deserialize)]
pub struct Link {
    pub title: String,
    pub url: String,
}

/// A link in the head of a board.
#[derive(Debug, Deserialize)]
pub struct BoardLink {
    pub title: String,
    #[serde(default)]
    pub url: String,
}

#[derive(Debug, Deserialize)]
pub struct Templating {
    pub list: Vec<Variable>,
}

#[derive(Debug, Deserialize)]
pub struct Variable {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub datasource: Option<Value>,
    #[serde(default)]
    pub definition: String,
    /// What a query gets when everything is selected.
    #[serde(default, rename = "allValue")]
    pub all_value: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Annotations {
    pub list: Vec<Annotation>,
}

#[derive(Debug, Deserialize)]
pub struct Annotation {
    pub name: String,
    pub datasource: Option<Value>,
    pub expr: String,
}

impl Board {
    /// The board of a name, which is its `uid`.
    ///
    /// # Panics
    /// Panics if the file is missing or is not a board.
    pub fn of(name: &str) -> Self {
        let file = path(&format!("grafana/{name}.json"));
        serde_json::from_str(&read(&file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    /// Every board.
    pub fn all() -> impl Iterator<Item = Self> {
        files("grafana", "json").into_iter().map(|file| Self::of(crate::stem(&file)))
    }

    /// Panels that show something.
    pub fn shown(&self) -> impl Iterator<Item = &Panel> {
        self.panels.iter().filter(|panel| panel.kind != "row")
    }

    /// Every query with the board and the place in it, its variables replaced: everything selected, rates over `range`.
    pub fn queries(&self, range: &str) -> Vec<(String, String)> {
        let panels = self.shown().flat_map(|panel| {
            panel
                .targets
                .iter()
                .map(|target| (format!("{} panel {} \"{}\" {}", self.uid, panel.id, panel.title, target.ref_id), &target.expr))
        });
        let annotations = self
            .annotations
            .list
            .iter()
            .map(|annotation| (format!("{} annotation \"{}\"", self.uid, annotation.name), &annotation.expr));
        panels.chain(annotations).map(|(place, query)| (place, self.replaced(query, range))).collect()
    }

    /// The series that each variable takes its values from, with the board and the variable.
    pub fn variable_series(&self) -> impl Iterator<Item = (String, String)> {
        let queried = self.templating.list.iter().filter(|variable| variable.kind == "query");
        queried.map(|variable| {
            let inner = variable.definition.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
            let (series, _label) = inner.and_then(|inner| inner.rsplit_once(',')).expect("label_values(series, label)");
            (format!("{} variable {}", self.uid, variable.name), self.replaced(series, ""))
        })
    }

    fn replaced(&self, query: &str, range: &str) -> String {
        let replaced = self.templating.list.iter().fold(query.to_owned(), |query, variable| {
            let all = variable.all_value.as_deref().unwrap_or(".+");
            query.replace(&format!("\"${}\"", variable.name), &format!("\"{all}\""))
        });
        replaced.replace("$__rate_interval", range)
    }
}
