//! What a configuration holds: the names, types, ranges, defaults and descriptions of its fields, read from its JSON schema.
use crate::{messages, registry::prose};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

/// The type of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    Boolean,
    Integer(Range),
    Number(Range),
    /// A text, and the pattern that it must match, if any.
    Text(Option<String>),
    /// One of a few texts.
    Choice(Vec<Choice>),
    List(Box<Type>, Lengths),
    Table(Vec<Field>),
    /// A table of values of one type, by names of one's own.
    Map(Box<Type>),
    /// The name of a module, or a table with its name; the kind is that of the module around it if empty.
    Module(String),
    /// Something else: its JSON schema.
    Other(Value),
}

/// The range of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Range {
    /// The least and the largest that are allowed.
    pub minimum: Option<f64>,
    pub maximum: Option<f64>,
    /// Ends that are not allowed themselves.
    pub above: Option<f64>,
    pub below: Option<f64>,
}

/// How many entries a list has, at least and at most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Lengths {
    pub least: Option<u64>,
    pub most: Option<u64>,
}

/// One of the texts that a field can be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice {
    pub value: String,
    pub doc: String,
}

/// A field of a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub name: String,
    pub doc: String,
    pub type_: Type,
    /// `None` if the field is not set by default.
    pub default: Option<Value>,
    pub unit: Option<String>,
    pub required: bool,
}

/// The schema of a type, with the schemas of its fields in place.
pub(crate) fn of<S: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<S>().to_value()
}

impl Type {
    /// What a JSON schema describes.
    pub fn read(schema: &Value) -> Self {
        if let Some(kind) = schema.get("x-module").and_then(Value::as_str) {
            return Self::Module(kind.into());
        }
        if let Some(choices) = choices(schema) {
            return Self::Choice(choices);
        }
        if let Some(inner) = optional(schema) {
            return Self::read(inner);
        }
        match type_name(schema) {
            Some("boolean") => Self::Boolean,
            Some("integer") => Self::Integer(Range::read(schema)),
            Some("number") => Self::Number(Range::read(schema)),
            Some("string") => Self::Text(schema.get("pattern").and_then(Value::as_str).map(str::to_owned)),
            Some("array") if schema.get("items").is_some_and(Value::is_object) => {
                let count = |key| schema.get(key).and_then(Value::as_u64);
                let lengths = Lengths { least: count("minItems"), most: count("maxItems") };
                Self::List(Box::new(Self::read(&schema["items"])), lengths)
            }
            Some("object") if schema.get("additionalProperties").is_none_or(|more| *more == false) => {
                Self::Table(fields(schema))
            }
            Some("object") => match schema.get("additionalProperties") {
                Some(inner) if inner.is_object() => Self::Map(Box::new(Self::read(inner))),
                _ => Self::Other(schema.clone()),
            },
            _ => Self::Other(schema.clone()),
        }
    }

    /// What a value must be, to end the sentence "`x` must be …".
    pub fn expected(&self) -> String {
        match self {
            Self::Boolean => "true or false".into(),
            Self::Integer(range) => range.expected("whole number"),
            Self::Number(range) => range.expected("number"),
            Self::Text(_) => "a text in quotation marks".into(),
            Self::Choice(choices) => {
                let values: Vec<&str> = choices.iter().map(|choice| &*choice.value).collect();
                format!("one of {}", messages::list(&values))
            }
            Self::List(item, lengths) => {
                let count = match lengths {
                    Lengths { least: Some(n), most: Some(m) } if n == m => format!(" of {n} entries"),
                    Lengths { least: Some(n), .. } if *n > 0 => format!(" of {n} or more entries"),
                    Lengths { most: Some(m), .. } => format!(" of up to {m} entries"),
                    _ => String::new(),
                };
                let example = match &**item {
                    Self::Number(_) => ", as in [0.5, 1.0]",
                    Self::Integer(_) => ", as in [1, 2]",
                    Self::Text(_) => ", as in [\"a\", \"b\"]",
                    _ => "",
                };
                format!("a list{count}{example}")
            }
            Self::Table(fields) => match fields.first() {
                Some(field) => format!("a table, as in {{ {} = {} }}", field.name, field.example()),
                None => "a table without fields: { }".into(),
            },
            Self::Map(_) => "a table with a table for each name".into(),
            Self::Module(_) => "a name, or a table with a name".into(),
            Self::Other(_) => "another value".into(),
        }
    }

    /// What it is called in a list of fields.
    pub fn label(&self) -> String {
        match self {
            Self::Boolean => "true or false".into(),
            Self::Integer(range) => range.expected("whole number").trim_start_matches("a ").to_owned(),
            Self::Number(range) => range.expected("number").trim_start_matches("a ").to_owned(),
            Self::Text(_) => "text".into(),
            Self::Choice(choices) => choices.iter().map(|choice| &*choice.value).collect::<Vec<_>>().join(" | "),
            Self::List(item, lengths) => {
                let of = item.label().replacen("number", "numbers", 1);
                match lengths {
                    Lengths { least: Some(n), most: Some(m) } if n == m => format!("list of {n} {of}"),
                    _ => format!("list of {of}"),
                }
            }
            Self::Table(_) | Self::Map(_) => "table".into(),
            Self::Module(kind) if kind.is_empty() => "name or table of another module of this kind".into(),
            Self::Module(kind) => format!("name or table of a {}", if kind == "data" { "data set" } else { kind }),
            Self::Other(_) => "value".into(),
        }
    }
}

impl Range {
    fn read(schema: &Value) -> Self {
        let end = |key| schema.get(key).and_then(Value::as_f64);
        Self {
            minimum: end("minimum"),
            maximum: end("maximum"),
            above: end("exclusiveMinimum"),
            below: end("exclusiveMaximum"),
        }
    }
    /// Whether a number lies in it; NaN lies in none that has an end.
    pub fn contains(&self, x: f64) -> bool {
        self.minimum.is_none_or(|end| x >= end)
            && self.maximum.is_none_or(|end| x <= end)
            && self.above.is_none_or(|end| x > end)
            && self.below.is_none_or(|end| x < end)
    }
    /// The numbers of the range: "a positive number below 1".
    fn expected(&self, what: &str) -> String {
        let least = self.minimum.filter(|least| self.above.is_none_or(|above| *least > above));
        match (least, self.above, self.maximum, self.below) {
            (None, None, None, None) => format!("a {what}"),
            (Some(least), _, Some(most), None) => format!("a {what} from {least} to {most}"),
            (Some(least), _, None, None) => format!("a {what} of {least} or more"),
            (Some(least), _, _, Some(below)) => format!("a {what} of {least} or more and below {below}"),
            (None, Some(0.0), None, None) => format!("a positive {what}"),
            (None, Some(above), None, None) => format!("a {what} above {above}"),
            (None, Some(above), Some(most), _) => format!("a {what} above {above} and up to {most}"),
            (None, Some(above), None, Some(below)) => format!("a {what} between {above} and {below}, without the ends"),
            (None, None, Some(most), _) => format!("a {what} of at most {most}"),
            (None, None, None, Some(below)) => format!("a {what} below {below}"),
        }
    }
}

impl Field {
    /// A value that it can have.
    fn example(&self) -> String {
        match &self.default {
            Some(value) if value.is_number() || value.is_string() || value.is_boolean() => value.to_string(),
            _ => "…".into(),
        }
    }
}

/// The fields of a table.
fn fields(schema: &Value) -> Vec<Field> {
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    properties
        .map(|(name, field)| Field {
            name: name.clone(),
            doc: described(field),
            type_: Type::read(field),
            default: default(field).cloned(),
            unit: field.get("x-unit").and_then(Value::as_str).map(str::to_owned),
            required: required.contains(&&**name),
        })
        .collect()
}

fn default(field: &Value) -> Option<&Value> {
    field.get("default").filter(|value| !value.is_null())
}
/// The doc comment of a field, without a sentence on a default that the schema holds.
fn described(field: &Value) -> String {
    let doc = prose::plain(field.get("description").and_then(Value::as_str).unwrap_or(""));
    match doc.rfind(" Default: ") {
        Some(end) if default(field).is_some() => doc[..end].to_owned(),
        _ => doc,
    }
}

/// The one type that is not `null`.
fn type_name(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => match names.as_slice() {
            [one, Value::String(null)] if null == "null" => one.as_str(),
            _ => None,
        },
        _ => None,
    }
}

/// The schema of `T` in that of `Option<T>`.
fn optional(schema: &Value) -> Option<&Value> {
    match schema.get("anyOf")?.as_array()?.as_slice() {
        [inner, null] if null.get("type").is_some_and(|name| name == "null") => Some(inner),
        _ => None,
    }
}

/// The texts of an enumeration, with the doc comments of its variants.
fn choices(schema: &Value) -> Option<Vec<Choice>> {
    if let Some(values) = schema.get("enum") {
        let values = values.as_array()?.iter().filter(|value| !value.is_null());
        return values.map(|value| Some(Choice { value: value.as_str()?.into(), doc: String::new() })).collect();
    }
    let mut all = vec![];
    for variant in schema.get("oneOf")?.as_array()? {
        match variant.get("const").and_then(Value::as_str) {
            Some(value) => {
                let doc = prose::plain(variant.get("description").and_then(Value::as_str).unwrap_or(""));
                all.push(Choice { value: value.into(), doc });
            }
            None => all.extend(choices(variant)?),
        }
    }
    Some(all)
}
