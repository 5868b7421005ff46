//! The JSON schema of recipes, from which editors complete and check them.
use crate::{
    recipe::sections,
    registry::{
        Modules,
        module::{Description, Kind},
        schema::{Choice, Field, Lengths, Range, Type},
    },
};
use serde_json::{Map, Value, json};

/// The schema of all recipes that can be written with these modules, as of draft 7 of JSON schema, which TOML editors know.
pub(crate) fn schema(modules: &Modules) -> Value {
    let mut root = table(&sections::all(), None);
    let mut definitions = Map::new();
    for kind in Kind::ALL {
        definitions.insert(kind.name().into(), of_kind(modules, kind));
    }
    root.insert("definitions".into(), definitions.into());
    let mut schema = Map::from_iter([
        ("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#")),
        ("title".to_owned(), json!("tweedie recipe")),
        (
            "description".to_owned(),
            json!("A diffusion model, its data, and how it is trained and sampled: `tweedie train RECIPE.toml`."),
        ),
    ]);
    schema.extend(root);
    schema.into()
}

/// A module of a kind: its name alone, or a table with its name.
fn of_kind(modules: &Modules, kind: Kind) -> Value {
    let tables = modules.all_of_kind(kind).into_iter().map(|module| of_module(module, kind));
    let names: Vec<&str> = modules.names(kind);
    let name = json!({ "type": "string", "enum": names, "description": format!("The name of a {}.", kind.noun()) });
    json!({ "anyOf": std::iter::once(name).chain(tables).collect::<Vec<_>>() })
}
fn of_module(module: &Description, kind: Kind) -> Value {
    let mut schema = table(&module.fields, Some(kind));
    let name = json!({ "const": module.name, "description": module.summary });
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.insert(kind.key().into(), name);
    }
    match schema.get_mut("required") {
        Some(Value::Array(required)) => required.push(json!(kind.key())),
        _ => drop(schema.insert("required".into(), json!([kind.key()]))),
    }
    schema.insert("title".into(), json!(format!("{kind} {}", module.name)));
    schema.insert("description".into(), json!(module.summary));
    schema.into()
}

/// A table of these fields and no others; `kind` is that of the module it belongs to.
fn table(fields: &[Field], kind: Option<Kind>) -> Map<String, Value> {
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name.clone(), of_field(field, kind))).collect();
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| &*field.name).collect();
    let mut table = Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("properties".to_owned(), properties.into()),
        ("additionalProperties".to_owned(), json!(false)),
    ]);
    if !required.is_empty() {
        table.insert("required".into(), json!(required));
    }
    table
}

fn of_field(field: &Field, kind: Option<Kind>) -> Value {
    let mut schema = of_type(&field.type_, kind);
    // Beside a reference nothing else counts.
    if schema.contains_key("$ref") {
        schema = Map::from_iter([("allOf".to_owned(), json!([schema]))]);
    }
    let unit = field.unit.iter().map(|unit| format!("In {unit}."));
    let doc: Vec<String> = (!field.doc.is_empty()).then(|| field.doc.clone()).into_iter().chain(unit).collect();
    if !doc.is_empty() {
        schema.insert("description".into(), json!(doc.join(" ")));
    }
    if let Some(default) = &field.default {
        schema.insert("default".into(), default.clone());
    }
    schema.into()
}

fn of_type(type_: &Type, kind: Option<Kind>) -> Map<String, Value> {
    let of = |name: &str| Map::from_iter([("type".to_owned(), json!(name))]);
    match type_ {
        Type::Boolean => of("boolean"),
        Type::Integer(range) => with_range(of("integer"), range),
        Type::Number(range) => with_range(of("number"), range),
        Type::Text(pattern) => {
            let mut schema = of("string");
            schema.extend(pattern.iter().map(|pattern| ("pattern".to_owned(), json!(pattern))));
            schema
        }
        Type::Choice(choices) => with_choices(choices),
        Type::List(item, Lengths { least, most }) => {
            let mut schema = of("array");
            schema.insert("items".into(), of_type(item, kind).into());
            schema.extend(least.map(|least| ("minItems".to_owned(), json!(least))));
            schema.extend(most.map(|most| ("maxItems".to_owned(), json!(most))));
            schema
        }
        Type::Table(fields) => table(fields, kind),
        Type::Map(inner) => {
            let mut schema = of("object");
            schema.insert("additionalProperties".into(), of_type(inner, kind).into());
            schema
        }
        Type::Module(name) => match Kind::named(name).or(kind) {
            Some(kind) => Map::from_iter([("$ref".to_owned(), json!(format!("#/definitions/{kind}")))]),
            None => of("object"),
        },
        Type::Other(schema) => schema.as_object().cloned().unwrap_or_default(),
    }
}

fn with_range(mut schema: Map<String, Value>, range: &Range) -> Map<String, Value> {
    let Range { minimum, maximum, above, below } = *range;
    let ends = [("minimum", minimum), ("maximum", maximum), ("exclusiveMinimum", above), ("exclusiveMaximum", below)];
    schema.extend(ends.into_iter().filter_map(|(key, end)| Some((key.to_owned(), json!(end?)))));
    schema
}

fn with_choices(choices: &[Choice]) -> Map<String, Value> {
    let values: Vec<&str> = choices.iter().map(|choice| &*choice.value).collect();
    if choices.iter().all(|choice| choice.doc.is_empty()) {
        return Map::from_iter([("type".to_owned(), json!("string")), ("enum".to_owned(), json!(values))]);
    }
    let of = |choice: &Choice| match choice.doc.is_empty() {
        true => json!({ "const": choice.value }),
        false => json!({ "const": choice.value, "description": choice.doc }),
    };
    Map::from_iter([
        ("type".to_owned(), json!("string")),
        ("oneOf".to_owned(), json!(choices.iter().map(of).collect::<Vec<_>>())),
    ])
}
