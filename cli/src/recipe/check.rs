//! Checks a recipe against the schemas of its sections and modules, and converts its values to the types of the fields.
use crate::{
    messages,
    recipe::{
        file::{Part, Recipe},
        hints, sections,
    },
    registry::{
        Modules,
        module::{Description, Kind},
        schema::{Choice, Field, Type},
    },
};
use toml::{Table, Value};
use tweedie::{Error, Result};

/// Checks all sections of a recipe.
///
/// # Errors
///
/// The first error, with its place in the file: a section or field that is not known or missing, a value of the wrong type or out of
/// range, a module that does not exist.
pub(crate) fn recipe(recipe: &Recipe, modules: &Modules) -> Result<()> {
    let sections = sections::all();
    let names: Vec<&str> = sections.iter().map(|section| &*section.name).collect();
    for (name, value) in recipe.table() {
        let Some(section) = sections.iter().find(|section| section.name == *name) else {
            if let Some(weighted) = hints::weighted(None, name) {
                return Err(recipe.fail(name, Part::Key, &weighted));
            }
            let message = format!(
                "there is no section `{name}`{} A recipe has the sections {}.",
                messages::meant_or(name, &names, hints::field_elsewhere(name, "train")),
                messages::list(&names)
            );
            return Err(recipe.fail(name, Part::Key, &message));
        };
        let place = Place { path: name.clone(), owner: format!("[{name}]"), field: String::new(), kind: None };
        Reader { recipe, modules }.read(&place, &section.type_, value)?;
    }
    let missing: Vec<&str> = sections
        .iter()
        .filter(|section| section.required && recipe.get(&section.name).is_none())
        .map(|section| &*section.name)
        .collect();
    match missing.as_slice() {
        [] => Ok(()),
        [one] => Err(absent(recipe, modules, one)),
        [first, ..] => {
            let names: Vec<String> = missing.iter().map(|name| format!("[{name}]")).collect();
            let known = Kind::named(first).map_or(vec![], |kind| modules.names(kind));
            Err(Error::invalid(format!(
                "{} has no sections {}: add each with the name of a module, as in `[{first}]` `name = \"{}\"`; `tweedie list {first}` \
                 and so on describe them.",
                recipe.name(),
                messages::list(&names),
                known.first().unwrap_or(&"…")
            )))
        }
    }
}

/// The error for a required section that is missing.
fn absent(recipe: &Recipe, modules: &Modules, section: &str) -> Error {
    let known = Kind::named(section).map_or(vec![], |kind| modules.names(kind));
    Error::invalid(format!(
        "{} has no section `[{section}]`: add it with a name, one of {}; `tweedie list {section}` describes them.",
        recipe.name(),
        messages::some(&known)
    ))
}

/// The table of a module at a path, with its name and with all values in the types of its fields.
pub(crate) fn module(recipe: &Recipe, modules: &Modules, kind: Kind, path: &str) -> Result<Table> {
    let Some(value) = recipe.get(path) else { return Err(absent(recipe, modules, path)) };
    let place = Place { path: path.into(), owner: String::new(), field: String::new(), kind: None };
    match (Reader { recipe, modules }).module(&place, kind, value)? {
        Value::Table(table) => Ok(table),
        _ => unreachable!("a module is read as a table"),
    }
}

/// The table of a section that is not a module, with all values in the types of its fields.
pub(crate) fn section(recipe: &Recipe, modules: &Modules, section: &str) -> Result<Table> {
    let Some(value) = recipe.get(section) else { return Ok(Table::new()) };
    let sections = sections::all();
    let field = sections.iter().find(|field| field.name == section).expect("a section of a recipe");
    let place = Place { path: section.into(), owner: format!("[{section}]"), field: String::new(), kind: None };
    match (Reader { recipe, modules }).read(&place, &field.type_, value)? {
        Value::Table(table) => Ok(table),
        _ => unreachable!("a section is read as a table"),
    }
}

/// Where a value stands.
#[derive(Clone)]
struct Place {
    /// Its path in the recipe.
    path: String,
    /// The module or section that it belongs to: the schedule `cosine`, [train].
    owner: String,
    /// Its path in there; empty for the module or section itself.
    field: String,
    /// The kind of the module, if it is one.
    kind: Option<Kind>,
}
impl Place {
    fn within(&self, key: &str) -> Self {
        let field = if self.field.is_empty() { key.to_owned() } else { format!("{}.{key}", self.field) };
        Self { path: format!("{}.{key}", self.path), field, ..self.clone() }
    }
}

/// Characters that no path and no name of a column has, but a Windows path in double quotes.
const ESCAPED: [char; 6] = ['\n', '\r', '\t', '\u{8}', '\u{c}', '\u{1b}'];

struct Reader<'a> {
    recipe: &'a Recipe,
    modules: &'a Modules,
}
impl Reader<'_> {
    /// The value as one of the type.
    fn read(&self, at: &Place, type_: &Type, value: &Value) -> Result<Value> {
        match (type_, value) {
            (Type::Text(_), Value::String(text)) if at.kind == Some(Kind::Data) && text.contains(ESCAPED) => {
                let message = format!(
                    "`{}` of {} holds a control character, for which a backslash and a letter stand in double quotes: write \
                     paths in single quotes, as in 'C:\\new\\data', or with `/`.",
                    at.field, at.owner
                );
                Err(self.recipe.fail(&at.path, Part::Value, &message))
            }
            (Type::Boolean, Value::Boolean(_)) | (Type::Text(_), Value::String(_)) | (Type::Other(_), _) => {
                Ok(value.clone())
            }
            (Type::Integer(range), Value::Integer(whole)) if range.contains(*whole as f64) => Ok(value.clone()),
            // 1e3 is a whole number too.
            (Type::Integer(range), Value::Float(x)) if x.fract() == 0.0 && range.contains(*x) => {
                Ok(Value::Integer(*x as i64))
            }
            (Type::Number(range), Value::Float(x)) if range.contains(*x) => Ok(value.clone()),
            (Type::Number(range), Value::Integer(whole)) if range.contains(*whole as f64) => {
                Ok(Value::Float(*whole as f64))
            }
            (Type::Choice(choices), Value::String(text)) => match choices.iter().any(|choice| choice.value == *text) {
                true => Ok(value.clone()),
                false => Err(self.not_a_choice(at, type_, choices, text)),
            },
            (Type::List(item, lengths), Value::Array(list)) => {
                let count = list.len() as u64;
                if lengths.least.is_some_and(|least| count < least) || lengths.most.is_some_and(|most| count > most) {
                    return Err(self.mismatch(at, type_, value));
                }
                let items =
                    list.iter().enumerate().map(|(i, value)| self.read(&at.within(&i.to_string()), item, value));
                Ok(Value::Array(items.collect::<Result<_>>()?))
            }
            (Type::List(item, _), Value::Table(_)) if matches!(**item, Type::Module(_)) => {
                let message = format!("[{0}] must be a list: write `[[{0}]]` with double brackets.", at.path);
                Err(self.recipe.fail(&at.path, Part::Key, &message))
            }
            (Type::Table(fields), Value::Table(table)) => Ok(Value::Table(self.table(at, fields, table)?)),
            (Type::Map(inner), Value::Table(table)) => {
                let mut read = Table::new();
                for (key, value) in table {
                    if key.trim().is_empty() || key.contains(['=', '.']) {
                        let message =
                            format!("the name of a {} must not be empty or have `=` or `.`, got `{key}`.", at.path);
                        return Err(self.recipe.fail(&format!("{}.{key}", at.path), Part::Key, &message));
                    }
                    read.insert(key.clone(), self.read(&at.within(key), inner, value)?);
                }
                Ok(Value::Table(read))
            }
            (Type::Map(_), _) => {
                let message = format!("`{0}` must be a table for each name, written `[{0}.NAME]`.", at.path);
                Err(self.recipe.fail(&at.path, Part::Key, &message))
            }
            (Type::Table(_), _) if at.field.is_empty() => {
                let message = format!("`{0}` must be a section, written `[{0}]`.", at.path);
                Err(self.recipe.fail(&at.path, Part::Key, &message))
            }
            (Type::Module(kind), _) => match Kind::named(kind).or(at.kind) {
                Some(kind) => self.module(at, kind, value),
                None => Ok(value.clone()),
            },
            _ => Err(self.mismatch(at, type_, value)),
        }
    }

    fn table(&self, at: &Place, fields: &[Field], table: &Table) -> Result<Table> {
        let mut read = Table::new();
        for (key, value) in table {
            let place = at.within(key);
            let Some(field) = fields.iter().find(|field| field.name == *key) else {
                return Err(self.unknown(&place, key, at, fields));
            };
            read.insert(key.clone(), self.read(&place, &field.type_, value)?);
        }
        match fields.iter().find(|field| field.required && !table.contains_key(&field.name)) {
            None => Ok(read),
            Some(field) => {
                let message = format!("{} needs the field `{}`, {}.", at.owner, field.name, field.type_.expected());
                Err(self.recipe.fail(&at.path, Part::Key, &message))
            }
        }
    }

    /// A module: its name alone, or a table with its name.
    fn module(&self, at: &Place, kind: Kind, value: &Value) -> Result<Value> {
        let known = self.modules.names(kind);
        let (name, settings) = match value {
            Value::String(name) => (name.clone(), Table::new()),
            Value::Table(table) => {
                let mut settings = table.clone();
                match settings.remove(kind.key()) {
                    Some(Value::String(name)) => (name, settings),
                    Some(other) => {
                        let message = format!(
                            "the {} of a {} must be a text in quotation marks, got {}.",
                            kind.key(),
                            kind.noun(),
                            found(&other)
                        );
                        return Err(self.recipe.fail(&format!("{}.{}", at.path, kind.key()), Part::Value, &message));
                    }
                    None => return Err(self.nameless(at, kind, &known)),
                }
            }
            other => {
                let message = format!(
                    "a {} must be a name, or a table with a name as in {{ {} = \"{}\" }}, got {}.",
                    kind.noun(),
                    kind.key(),
                    known.first().unwrap_or(&"…"),
                    found(other)
                );
                return Err(self.recipe.fail(&at.path, Part::Value, &message));
            }
        };
        let candidates = self.modules.all_of_kind(kind).into_iter().filter(|module| module.name == name);
        let candidates: Vec<&Description> = candidates.collect();
        let place = Place {
            path: at.path.clone(),
            owner: format!("the {kind} `{name}`"),
            field: String::new(),
            kind: Some(kind),
        };
        // A net of one name may have other fields for data of another rank.
        let mut first = None;
        for module in candidates {
            match self.table(&place, &module.fields, &settings) {
                Ok(settings) => {
                    let mut table = Table::from_iter([("name".to_owned(), Value::String(name))]);
                    table.extend(settings);
                    return Ok(Value::Table(table));
                }
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| {
            let message = unknown_module(kind, &name, &known);
            let path = if value.is_str() { at.path.clone() } else { format!("{}.{}", at.path, kind.key()) };
            self.recipe.fail(&path, Part::Value, &message)
        }))
    }

    fn nameless(&self, at: &Place, kind: Kind, known: &[&str]) -> Error {
        let several = known.len() > 1;
        let message = format!(
            "this names no {}: add `{} = \"{}\"`{}; `tweedie list {kind}` describes {}.",
            if kind == Kind::Condition { "kind of condition" } else { kind.noun() },
            kind.key(),
            known.first().unwrap_or(&"…"),
            if several { format!(", or another of {}", messages::some(known)) } else { String::new() },
            if several { "them" } else { "it" },
        );
        self.recipe.fail(&at.path, Part::Key, &message)
    }
    fn unknown(&self, place: &Place, key: &str, at: &Place, fields: &[Field]) -> Error {
        let names: Vec<&str> = fields.iter().map(|field| &*field.name).collect();
        let there = match names.as_slice() {
            [] => "It has no fields.".into(),
            [one] => format!("It has the field `{one}`."),
            _ => format!("It has the fields {}.", messages::list(&names)),
        };
        let of = if at.field.is_empty() { at.owner.clone() } else { format!("`{}` of {}", at.field, at.owner) };
        if let Some(weighted) = hints::weighted(at.kind, key).filter(|_| !names.contains(&"weighting")) {
            return self.recipe.fail(&place.path, Part::Key, &weighted);
        }
        if let Some(decided) = hints::decided(at.kind, key) {
            return self.recipe.fail(&place.path, Part::Key, &decided);
        }
        // The name of a module, which is no field of it.
        let known: Vec<&str> = names.iter().copied().chain(at.kind.map(|_| "name")).collect();
        let elsewhere = match at.kind {
            None if at.field.is_empty() => hints::field_elsewhere(key, &at.path),
            _ => None,
        };
        let meant = messages::meant_or(key, &known, elsewhere);
        // A field of the module that a flag put another in the place of.
        let name = format!("{}.name", at.path);
        if at.kind.is_some() && self.recipe.by_flag(&name) && !self.recipe.by_flag(&place.path) {
            let message = format!(
                "{of} has no field `{key}`, which the recipe sets for another module{meant} {there} Set `{}` as a whole, as in \
                 `--set {0}={1}`, to leave out the fields of the other.",
                at.path,
                self.recipe.module_name(&at.path).unwrap_or("…")
            );
            return self.recipe.fail(&name, Part::Value, &message);
        }
        let message = format!("{of} has no field `{key}`{meant} {there}");
        self.recipe.fail(&place.path, Part::Key, &message)
    }
    fn mismatch(&self, at: &Place, type_: &Type, value: &Value) -> Error {
        let what = if at.field.is_empty() { at.owner.clone() } else { format!("`{}` of {}", at.field, at.owner) };
        let mut message = format!("{what} must be {}, got {}.", type_.expected(), found(value));
        let is_weight = |name: &str| self.modules.names(Kind::Weight).contains(&name);
        if at.kind == Some(Kind::Loss)
            && at.field == "weight"
            && (value.is_table() || value.as_str().is_some_and(is_weight))
        {
            message += " `weight` is the factor of the loss in the sum; a weight over noise levels is `weighting`, as in weighting = \
                        { name = \"min-snr\" }.";
        }
        self.recipe.fail(&at.path, Part::Value, &message)
    }
    fn not_a_choice(&self, at: &Place, type_: &Type, choices: &[Choice], text: &str) -> Error {
        let known: Vec<&str> = choices.iter().map(|choice| &*choice.value).collect();
        let message = format!(
            "`{}` of {} must be {}, got \"{text}\"{}",
            at.field,
            at.owner,
            type_.expected(),
            messages::meant(text, &known)
        );
        self.recipe.fail(&at.path, Part::Value, &message)
    }
}

/// The sentence that there is no module of a name.
pub(crate) fn unknown_module(kind: Kind, name: &str, known: &[&str]) -> String {
    format!(
        "there is no {} `{name}`{} There {} {}; `tweedie list {kind}` describes {}.",
        if kind == Kind::Condition { "kind of condition" } else { kind.noun() },
        messages::meant(name, known),
        if known.len() == 1 { "is" } else { "are" },
        messages::some(known),
        if known.len() == 1 { "it" } else { "them" },
    )
}

/// A value as a message shows it.
fn found(value: &Value) -> String {
    const SHORT: usize = 40;
    match value {
        Value::Table(_) => "a table".into(),
        Value::Array(list) if value.to_string().len() > SHORT => format!("a list of {} entries", list.len()),
        Value::Float(x) => x.to_string(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Modules;

    /// The recipe for digits with one field set.
    fn checked(case: &str) -> Result<()> {
        let mut digits = Recipe::parse("digits.toml", include_str!("../../../recipes/digits.toml").into())?;
        digits.set(case)?;
        recipe(&digits, &Modules::default())
    }
    fn cases(text: &str) -> impl Iterator<Item = &str> {
        text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
    }

    #[test]
    fn what_the_schema_accepts_is_accepted() {
        for case in cases(include_str!("../../tests/schema/good.txt")) {
            assert!(checked(case).is_ok(), "{case}: {}", checked(case).unwrap_err());
        }
    }

    #[test]
    fn what_the_schema_refuses_is_refused() {
        for case in cases(include_str!("../../tests/schema/bad.txt")) {
            // Texts with a pattern are read by the module.
            if !case.contains("mauve") {
                assert!(checked(case).is_err(), "{case} is accepted");
            }
        }
    }

    #[test]
    fn whole_numbers_numbers_and_names_are_read_as_what_is_wanted() {
        let text = "[schedule]\nname = \"shifted\"\nfactor = 2\nschedule = \"cosine\"\n[train]\nsteps = 1e3";
        let recipe = Recipe::parse("r.toml", text.into()).unwrap();
        let schedule = module(&recipe, &Modules::default(), Kind::Schedule, "schedule").unwrap();
        assert_eq!(schedule["factor"], Value::Float(2.0));
        assert_eq!(schedule["schedule"]["name"].as_str(), Some("cosine"));
        assert_eq!(section(&recipe, &Modules::default(), "train").unwrap()["steps"], Value::Integer(1000));
    }

    #[test]
    fn names_that_are_ours_too_need_no_hint() {
        for case in ["sample.sampler=lms", "sample.sampler=plms", "sample.sampler=unipc", "train.ema_decay=0.5"] {
            assert!(checked(case).is_ok(), "{case}: {}", checked(case).unwrap_err());
        }
    }

    #[test]
    fn what_the_data_decide_need_not_be_set() {
        for key in ["in_channels", "num_classes", "classes"] {
            let message = checked(&format!("net.{key}=3")).unwrap_err().to_string();
            assert!(
                message.contains(&format!("`{key}` follows from the data and the noise: leave it out.")),
                "{message}"
            );
        }
    }

    #[test]
    fn a_name_alone_is_a_module_everywhere() {
        for case in [
            "schedule=linear",
            "noise=gaussian",
            "net=dit",
            "times=uniform",
            "loss=vlb",
            "data=digits",
            "sample.sampler=heun",
            "sample.times=karras",
            "loss=[\"vlb\"]",
            "loss=[\"vlb\", {name=\"simple\"}]",
        ] {
            assert!(checked(case).is_ok(), "{case}: {}", checked(case).unwrap_err());
        }
        let text = "data = \"digits\"\nschedule = \"cosine\"\nnoise = \"gaussian\"\nnet = \"unet\"\nloss = \"simple\"\n\
                    times = \"uniform\"\n[sample]\nsampler = \"heun\"\ntimes = \"karras\"";
        recipe(&Recipe::parse("r.toml", text.into()).unwrap(), &Modules::default()).unwrap();
    }

    #[test]
    fn a_path_with_escapes_is_refused_with_the_quotes_to_use() {
        let fails = |text: &str| match Recipe::parse("r.toml", text.into()) {
            Err(error) => error.to_string(),
            Ok(read) => recipe(&read, &Modules::default()).unwrap_err().to_string(),
        };
        for path in [r#""C:\new\data""#, r#""C:\new\table""#, r#""D:\run""#] {
            let message = fails(&format!("[data]\nname = \"text\"\npath = {path}"));
            assert!(message.contains("write paths in single quotes, as in 'C:\\new\\data'"), "{path}: {message}");
            let mut digits = Recipe::parse("r.toml", "[data]\nname = \"text\"".into()).unwrap();
            let set = digits.set(&format!("data.path={path}")).and_then(|()| recipe(&digits, &Modules::default()));
            let message = set.unwrap_err().to_string();
            assert!(message.starts_with("`--set data.path="), "{message}");
            assert!(message.contains("single quotes"), "{message}");
        }
    }

    #[test]
    fn a_flag_that_changed_the_recipe_is_named() {
        // The field is the recipe's, the name of the module that does not have it the flag's.
        let message = checked("net.name=dit").unwrap_err().to_string();
        assert!(message.starts_with("`--set net.name=dit`: the net `dit` has no field `channels`"), "{message}");
        assert!(message.contains("as in `--set net=dit`"), "{message}");
        let text = "[schedule]\nname = \"cosine\"\nstpes = 3";
        let mut wrong = Recipe::parse("r.toml", text.into()).unwrap();
        wrong.set("train.lr=0.1").unwrap();
        let message = recipe(&wrong, &Modules::default()).unwrap_err().to_string();
        assert!(message.contains("r.toml, line 3") && message.ends_with("with `--set train.lr=0.1`"), "{message}");
    }

    #[test]
    fn names_of_other_libraries_are_understood() {
        for (case, meant) in [
            ("train.learning_rate=1", "`lr`"),
            ("train.epochs=1", "`steps`"),
            ("train.num_epochs=1", "`steps`"),
            ("train.batch_size=1", "`batch`"),
            ("train.weight_decay=1", "`adam.weight_decay`"),
            ("train.gradient_accumulation_steps=1", "`accumulate`"),
            ("train.max_grad_norm=1", "`clip`"),
            ("train.adam_beta1=1", "`adam.beta1`"),
            ("train.adam_epsilon=1", "`adam.eps`"),
            ("train.lr_scheduler=1", "`lr_schedule`"),
            ("train.lr_warmup_steps=1", "`warmup`"),
            ("train.guidance_scale=1", "`sample.guidance`"),
            ("train.num_inference_steps=1", "`sample.steps`"),
            ("sample.guidance_scale=1", "`guidance`"),
            ("sample.num_inference_steps=1", "`steps`"),
            ("sample.batch_size=1", "`batch`"),
            ("sample.scheduler=1", "`sampler`"),
            ("sample.lr=1", "`train.lr`"),
            ("schedule.num_train_timesteps=1", "`steps`"),
            ("schedule.beta_schedule=1", "`name`"),
            ("noise.prediction_type=1", "`prediction`"),
            ("net.block_out_channels=1", "`channels`"),
            ("net.layers_per_block=1", "`blocks`"),
            ("noise.prediction=\"v_prediction\"", "`v`"),
            ("noise.prediction=\"sample\"", "`x0`"),
            ("noise.prediction=\"flow_prediction\"", "`velocity`"),
            ("sample.sampler=\"dpmpp_2m\"", "`dpm-solver++`"),
            ("sample.sampler=\"dpmpp_2m_sde\"", "`dpm-solver++`"),
            ("sample.sampler=\"euler_a\"", "`euler-ancestral`"),
            ("sample.sampler=\"ddpm\"", "`ancestral`"),
            ("sample.sampler=\"uni_pc\"", "`unipc`"),
            ("sample.sampler=\"LMSDiscreteScheduler\"", "`lms`"),
            ("sample.sampler=\"sample_heun\"", "`heun`"),
            ("schedule=\"squaredcos_cap_v2\"", "`cosine`"),
            ("schedule=\"scaled_linear\"", "`scaled-linear`"),
            ("schedule=\"ddpm\"", "`linear`"),
            // Without a section.
            ("learning_rate=1", "`train.lr`"),
            ("lr=1", "`train.lr`"),
            ("epochs=1", "`train.steps`"),
            ("weight_decay=1", "`train.adam.weight_decay`"),
            ("ema_decay=1", "`train.ema_decay`"),
            ("guidance_scale=1", "`sample.guidance`"),
            ("num_inference_steps=1", "`sample.steps`"),
            ("batch_size=1", "`train.batch`"),
        ] {
            let message = checked(case).unwrap_err().to_string();
            assert!(message.contains(&format!("did you mean {meant}?")), "{case}: {message}");
        }
    }
}
