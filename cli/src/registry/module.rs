//! The description of a module, and the registry of the modules of one kind.
use crate::{
    data::DataKind,
    registry::{
        prose,
        schema::{self, Field, Type},
        settings::Settings,
    },
};
use serde::de::{DeserializeOwned, Deserializer, Visitor};
use std::fmt;
use toml::{Table, Value};
use tweedie::{Error, Result};

/// The kinds of modules, in the order of a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Data,
    Condition,
    Transform,
    Schedule,
    Noise,
    Net,
    Loss,
    Weight,
    Spacing,
    Sampler,
}
impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Data,
        Self::Condition,
        Self::Transform,
        Self::Schedule,
        Self::Noise,
        Self::Net,
        Self::Loss,
        Self::Weight,
        Self::Spacing,
        Self::Sampler,
    ];
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Condition => "condition",
            Self::Transform => "transform",
            Self::Schedule => "schedule",
            Self::Noise => "noise",
            Self::Net => "net",
            Self::Loss => "loss",
            Self::Weight => "weight",
            Self::Spacing => "spacing",
            Self::Sampler => "sampler",
        }
    }
    /// What one of them is called in a sentence, after "a".
    pub fn noun(self) -> &'static str {
        match self {
            Self::Data => "data set",
            other => other.name(),
        }
    }
    /// The key by which a table names a module: `name`, or the kind of a condition, whose table has a name of its own.
    pub fn key(self) -> &'static str {
        if self == Self::Condition { "kind" } else { "name" }
    }
    /// The kind of that name, in the singular or the plural.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name || format!("{}s", kind.name()) == name)
    }
}
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What `tweedie list` and the schema of recipes say of a module.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Description {
    pub name: String,
    /// One sentence, without a full stop.
    pub summary: String,
    /// All fields, in the order of the struct.
    pub fields: Vec<Field>,
    /// The fields that are set by default.
    pub defaults: Table,
}
impl Description {
    /// The description of settings, from their doc comments.
    pub fn of<S: Settings>(name: &str) -> Self {
        let schema = schema::of::<S>();
        let mut fields = match Type::read(&schema) {
            Type::Table(fields) => fields,
            _ => vec![],
        };
        let order = declared::<S>();
        fields.sort_by_key(|field| order.iter().position(|name| *name == field.name));
        let doc = prose::plain(schema.get("description").and_then(|doc| doc.as_str()).unwrap_or(""));
        Self {
            name: name.into(),
            summary: prose::first_sentence(&doc).into(),
            fields,
            defaults: written(&S::default(), name),
        }
    }
}

/// Settings as a table.
pub(crate) fn written<S: Settings>(settings: &S, name: &str) -> Table {
    Table::try_from(settings).unwrap_or_else(|error| panic!("the settings of `{name}` are not a TOML table: {error}"))
}

/// Settings from a table whose fields have the types of the schema.
pub(crate) fn read<S: Settings>(table: Table) -> Result<S> {
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
        let path = error.path().to_string();
        let error = Error::invalid(format!("cannot be read: {}", error.inner().message()));
        if path == "." { error } else { error.with_field(path) }
    })
}

/// Settings with the name of the module that they are of.
pub(crate) fn named(name: &str, settings: Table) -> Table {
    let mut table = Table::from_iter([("name".to_owned(), Value::String(name.into()))]);
    table.extend(settings);
    table
}

/// A module of its settings and of the modules that it is made of, and the settings with all defaults filled in.
type Build<T> = Box<dyn Fn(Table, Vec<T>) -> Result<(T, Table)>>;

struct Entry<T> {
    description: Description,
    /// The fields that name the modules it is made of.
    parts: &'static [&'static str],
    build: Build<T>,
}

/// The modules of one kind by name; `T` is what a table of settings becomes.
pub(crate) struct Registry<T> {
    entries: Vec<Entry<T>>,
    /// The data that they are for; `None` if it does not matter.
    of: Option<DataKind>,
}
impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self { entries: vec![], of: None }
    }
}
impl<T: 'static> Registry<T> {
    /// No modules yet, for data of one kind.
    pub fn of(kind: DataKind) -> Self {
        Self { of: Some(kind), ..Self::default() }
    }
    /// The data that they are for; `None` if it does not matter.
    pub fn data_kind(&self) -> Option<DataKind> {
        self.of
    }
    /// Adds a module, or replaces the one of that name.
    pub fn register<S: Settings>(&mut self, name: &str, make: impl Fn(S) -> T + 'static) -> &mut Description {
        self.register_of::<S>(name, &[], move |settings, _| make(settings))
    }
    /// Adds a module whose fields `parts` name modules of the same kind.
    ///
    /// # Panics
    ///
    /// If one of them is not a field of type [`Part`](crate::Part).
    pub fn register_of<S: Settings>(
        &mut self,
        name: &str,
        parts: &'static [&'static str],
        make: impl Fn(S, Vec<T>) -> T + 'static,
    ) -> &mut Description {
        let description = Description::of::<S>(name);
        for part in parts {
            let is_part = |field: &Field| field.name == *part && matches!(field.type_, Type::Module(_));
            assert!(description.fields.iter().any(is_part), "`{name}` must have a field `{part}` of type `Part`");
        }
        let of = name.to_owned();
        let build = move |table: Table, made: Vec<T>| {
            let settings: S = read(table)?;
            let resolved = written(&settings, &of);
            Ok((make(settings, made), resolved))
        };
        self.entries.retain(|entry| entry.description.name != name);
        self.entries.push(Entry { description, parts, build: Box::new(build) });
        &mut self.entries.last_mut().expect("it was just added").description
    }

    pub fn descriptions(&self) -> impl Iterator<Item = &Description> {
        self.entries.iter().map(|entry| &entry.description)
    }
    pub fn description(&self, name: &str) -> Option<&Description> {
        self.descriptions().find(|description| description.name == name)
    }
    pub fn description_mut(&mut self, name: &str) -> Option<&mut Description> {
        self.entries.iter_mut().map(|entry| &mut entry.description).find(|description| description.name == name)
    }
    pub fn names(&self) -> Vec<&str> {
        self.descriptions().map(|description| &*description.name).collect()
    }

    /// A module, the modules of its parts being built first, and its settings with all defaults filled in.
    ///
    /// # Errors
    ///
    /// If there is no module of that name, or if its settings cannot be read.
    pub fn build(&self, name: &str, mut table: Table) -> Result<(T, Table)> {
        let Some(entry) = self.entries.iter().find(|entry| entry.description.name == name) else {
            return Err(Error::invalid(format!("must name a module, and there is no `{name}`")).with_field("name"));
        };
        let (mut modules, mut resolved_parts) = (vec![], Table::new());
        for part in entry.parts {
            let own = table.remove(*part).or_else(|| entry.description.defaults.get(*part).cloned());
            let (inner, settings) = own.and_then(named_table).ok_or_else(|| {
                Error::invalid("must be a table with the name of a module, as in { name = \"…\" }").with_field(*part)
            })?;
            let (module, resolved) = self.build(&inner, settings).map_err(|error| error.with_field(*part))?;
            modules.push(module);
            resolved_parts.insert((*part).into(), Value::Table(named(&inner, resolved)));
        }
        let (module, mut resolved) = (entry.build)(table, modules)?;
        resolved.extend(resolved_parts);
        Ok((module, resolved))
    }
}

/// The name and the settings in the table of a module.
pub(crate) fn named_table(value: Value) -> Option<(String, Table)> {
    let Value::Table(mut table) = value else { return None };
    match table.remove("name")? {
        Value::String(name) => Some((name, table)),
        _ => None,
    }
}

/// The names of a struct's fields, in the order in which it declares them.
fn declared<S: DeserializeOwned>() -> &'static [&'static str] {
    /// A deserializer that is handed the names and stops.
    struct Ask;
    #[derive(Debug)]
    struct Names(&'static [&'static str]);
    impl fmt::Display for Names {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the names of the fields")
        }
    }
    impl std::error::Error for Names {}
    impl serde::de::Error for Names {
        fn custom<T: fmt::Display>(_: T) -> Self {
            Self(&[])
        }
    }
    impl<'de> Deserializer<'de> for Ask {
        type Error = Names;
        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Names> {
            Err(Names(&[]))
        }
        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Names> {
            Err(Names(fields))
        }
        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }
    S::deserialize(Ask).err().map_or(&[], |Names(fields)| fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    /// A module. It has more to say.
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Many {
        /// Declared first.
        zeta: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        alpha: Option<usize>,
        #[serde(skip)]
        hidden: usize,
    }
    impl Default for Many {
        fn default() -> Self {
            Self { zeta: 0.5, alpha: None, hidden: 3 }
        }
    }

    #[test]
    fn a_description_repeats_the_doc_comments_in_the_order_of_the_struct() {
        let many = Description::of::<Many>("many");
        assert_eq!(many.summary, "A module");
        let fields: Vec<(&str, &str)> = many.fields.iter().map(|field| (&*field.name, &*field.doc)).collect();
        assert_eq!(fields, [("zeta", "Declared first."), ("alpha", "")]);
        assert_eq!((many.fields[0].default.clone(), many.fields[1].default.clone()), (Some(0.5.into()), None));
    }
}
