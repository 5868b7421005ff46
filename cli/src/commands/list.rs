//! `tweedie list`: the modules that a recipe can name, and the fields of modules and sections.
use crate::{
    args, messages,
    output::console::{bold, paragraph, say, together},
    recipe::{sections, unknown_module},
    registry::{
        Modules, Rank,
        module::{Description, Kind},
        prose::first_sentence,
        schema::{Field, Type},
    },
};
use serde_json::{Value, json};
use tweedie::{
    Error, Result, laws,
    noise::{Discrete, Gaussian, Noise},
    sample::{Properties, Sampler},
    schedule::{Linear, VariancePreserving},
    spacing::{Spacing, Uniform},
};

/// What can be listed: the modules of a kind, or the fields of a section.
enum Listed {
    Modules(Kind),
    Section(Field),
}

pub(crate) fn run(args: &args::List, modules: &Modules) -> Result<()> {
    match (&args.kind, &args.name) {
        (None, _) if args.json => say(&pretty(&json!(entries(modules, &Kind::ALL)))),
        (None, _) => overview(modules),
        (Some(kind), name) => match (named(kind)?, name) {
            (Listed::Modules(kind), None) if args.json => say(&pretty(&json!(entries(modules, &[kind])))),
            (Listed::Modules(kind), None) => group(modules, kind),
            (Listed::Modules(kind), Some(name)) => one(args, modules, kind, name)?,
            (Listed::Section(section), None) => one_section(args, &section),
            (Listed::Section(section), Some(field)) => {
                return Err(Error::invalid(format!(
                    "[{0}] is a section without modules: `tweedie list {0}` describes its fields, `{field}` included if there is one",
                    section.name
                )));
            }
        },
    }
    Ok(())
}

/// The kind or section of that name.
fn named(name: &str) -> Result<Listed> {
    let sections = sections::all();
    if let Some(kind) = Kind::named(name) {
        return Ok(Listed::Modules(kind));
    }
    if let Some(section) = sections.iter().find(|section| section.name == name) {
        return Ok(match &section.type_ {
            Type::Module(kind) => Listed::Modules(Kind::named(kind).expect("a section names modules of a kind")),
            Type::Map(_) => Listed::Modules(Kind::Condition),
            _ => Listed::Section(section.clone()),
        });
    }
    let kinds = Kind::ALL.map(Kind::name);
    let others: Vec<&str> = plain_sections(&sections).map(|section| &*section.name).collect();
    let all: Vec<&str> = kinds.into_iter().chain(others.iter().copied()).collect();
    Err(Error::invalid(format!(
        "there is no kind of module `{name}`{} The kinds are {}, and the sections with fields of their own {}.",
        messages::meant(name, &all),
        messages::list(&kinds),
        messages::list(&others)
    )))
}

/// The sections that hold fields.
fn plain_sections(sections: &[Field]) -> impl Iterator<Item = &Field> {
    sections.iter().filter(|section| matches!(section.type_, Type::Table(_)))
}

/// Every module, and the sections.
fn overview(modules: &Modules) {
    for kind in Kind::ALL {
        group(modules, kind);
        say("");
    }
    say(&bold("sections"));
    let sections = sections::all();
    let lines: Vec<Line<'_>> = plain_sections(&sections)
        .map(|section| Line { name: &section.name, summary: section.doc.trim_end_matches('.').into(), fields: &[] })
        .collect();
    several(&lines);
    say("");
    say("Explained by `tweedie list KIND NAME`, as in `tweedie list net unet`, and by `tweedie list train`.");
}

/// A module in an overview.
struct Line<'a> {
    name: &'a str,
    summary: String,
    fields: &'a [Field],
}

/// The modules of a kind.
fn group(modules: &Modules, kind: Kind) {
    say(&bold(kind.name()));
    let all = modules.of_kind(kind);
    if kind == Kind::Sampler {
        samplers(modules, &all);
    } else {
        several(&all.iter().map(|module| line(module, String::new())).collect::<Vec<_>>());
    }
}
fn line(module: &Description, more: String) -> Line<'_> {
    Line { name: &module.name, summary: format!("{}{more}", module.summary), fields: &module.fields }
}

/// Names with summaries, and fields with their defaults.
fn several(lines: &[Line<'_>]) {
    let width = lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0);
    let indent = " ".repeat(width + 4);
    for Line { name, summary, fields } in lines {
        let pad = " ".repeat(width - name.chars().count());
        paragraph(&format!("  {}{pad}  ", bold(name)), &indent, summary);
        // Every loss has a weight.
        let fields = fields.iter().filter(|field| field.name != "weight");
        let fields: Vec<String> =
            fields.map(|field| together(&format!("{} = {}", field.name, default(field)))).collect();
        if !fields.is_empty() {
            paragraph(&indent, &indent, &fields.join(", "));
        }
    }
}

/// The default of a field as it stands in a recipe.
fn default(field: &Field) -> String {
    match &field.default {
        None => "(not set)".into(),
        Some(value) => written(value),
    }
}
/// A value as TOML has it.
fn written(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("[{}]", list.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::Object(table) if table.is_empty() => "{}".into(),
        Value::Object(table) => {
            let fields: Vec<String> = table.iter().map(|(key, value)| format!("{key} = {}", written(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        _ => value.to_string(),
    }
}

/// A module and its fields.
fn one(args: &args::List, modules: &Modules, kind: Kind, name: &str) -> Result<()> {
    let all = modules.of_kind(kind);
    let Some(module) = all.iter().find(|module| module.name == name) else {
        return Err(Error::invalid(unknown_module(kind, name, &modules.names(kind))));
    };
    if args.json {
        say(&pretty(&entry(modules, kind, module)));
        return Ok(());
    }
    paragraph("", "  ", &format!("{}: {}", bold(&format!("{kind} {name}")), module.summary));
    if let Some(own) = Declared::of(modules, name).filter(|own| kind == Kind::Sampler && own.continuous) {
        say(&format!("  By default {}.", own.figures()));
        if let Some(text) = unfit_sentence(&own.unfit) {
            paragraph("  ", "  ", &text);
        }
    }
    fields(&module.fields);
    say("");
    let (section, table) = match kind {
        Kind::Loss => ("[[loss]]", format!("name = \"{name}\"")),
        Kind::Weight => (
            "[[loss]]",
            format!("weighting = \"{name}\", or weighting = {{ name = \"{name}\", … }}, of `squared` and other errors"),
        ),
        Kind::Condition => ("[condition.NAME], with a name of your own", format!("kind = \"{name}\"")),
        Kind::Spacing => ("[times]", format!("name = \"{name}\", or under [sample]: times = \"{name}\"")),
        Kind::Sampler => ("[sample]", format!("sampler = \"{name}\", or sampler = {{ name = \"{name}\", … }}")),
        _ => ("", format!("name = \"{name}\"")),
    };
    let section = if section.is_empty() { format!("[{kind}]") } else { section.into() };
    paragraph("", "  ", &format!("In a recipe, under {section}: {table}"));
    Ok(())
}

/// A section and its fields.
fn one_section(args: &args::List, section: &Field) {
    let Type::Table(all) = &section.type_ else { unreachable!("a section of fields") };
    if args.json {
        let parameters: serde_json::Map<String, Value> =
            all.iter().map(|field| (field.name.clone(), parameter(field))).collect();
        say(&pretty(&json!({ "section": section.name, "about": section.doc, "parameters": parameters })));
        return;
    }
    paragraph("", "  ", &format!("{}: {}", bold(&format!("[{}]", section.name)), section.doc.trim_end_matches('.')));
    fields(all);
}

/// Each field with its default, its type and its description.
fn fields(all: &[Field]) {
    if all.is_empty() {
        say("  It has no fields.");
    }
    for field in all {
        say("");
        let required = if field.required { "(required)".into() } else { default(field) };
        paragraph(&format!("  {} = ", bold(&field.name)), "    ", &required);
        const INDENT: &str = "      ";
        let unit = field.unit.iter().map(|unit| format!(", in {unit}")).collect::<String>();
        match &field.type_ {
            Type::Choice(choices) if choices.iter().any(|choice| !choice.doc.is_empty()) => {
                let width = choices.iter().map(|choice| choice.value.chars().count()).max().unwrap_or(0);
                describe(&field.doc);
                for choice in choices {
                    let pad = " ".repeat(width - choice.value.chars().count());
                    let rest = format!("{INDENT}{}  ", " ".repeat(width));
                    paragraph(&format!("{INDENT}{}{pad}  ", choice.value), &rest, first_sentence(&choice.doc));
                }
            }
            Type::Table(inner) => {
                describe(&field.doc);
                for field in inner {
                    let text = format!("{} = {}: {}. {}", field.name, default(field), field.type_.label(), field.doc);
                    paragraph(INDENT, "        ", &text.replace('\n', " "));
                }
            }
            type_ => {
                paragraph(INDENT, INDENT, &format!("{}{unit}", type_.label()));
                describe(&field.doc);
            }
        }
    }
    fn describe(doc: &str) {
        doc.lines().for_each(|text| paragraph("      ", "      ", text));
    }
}

/// What a sampler declares, and the noises that it is for.
struct Declared {
    continuous: bool,
    categorical: bool,
    properties: Properties,
    /// The schedules for which it is unfit.
    unfit: Vec<&'static str>,
}

/// The built-in schedules for which a sampler declares itself unfit with 20 uniform timesteps.
pub(crate) fn unfit<const D: usize>(sampler: &dyn Sampler<D>) -> Vec<&'static str> {
    let unfit = |schedule| {
        let noise = Gaussian::new(schedule);
        sampler.check(&noise).is_ok() && sampler.unfit(&noise, &Uniform::default().grid(20)).is_some()
    };
    laws::schedules().into_iter().filter_map(|(name, schedule)| unfit(schedule).then_some(name)).collect()
}
/// What follows from [`unfit`].
pub(crate) fn unfit_sentence(schedules: &[&str]) -> Option<String> {
    if schedules.is_empty() {
        return None;
    }
    Some(format!(
        "Unfit for 20 uniform timesteps on the schedules {}: `tweedie sample` warns there.",
        messages::list(schedules)
    ))
}
impl Declared {
    fn of(modules: &Modules, name: &str) -> Option<Self> {
        let sampler: Box<dyn Sampler<3>> = Rank::<3>::ranked(modules).samplers.build(name, toml::Table::new()).ok()?.0;
        let categorical: [&dyn Noise<3>; 2] =
            [&Discrete::absorbing(Linear::new(100), 4, 3), &Discrete::uniform(Linear::new(100), 3)];
        Some(Self {
            continuous: sampler.check(&Gaussian::new(VariancePreserving::default())).is_ok(),
            categorical: categorical.into_iter().any(|noise| sampler.check(noise).is_ok()),
            properties: sampler.properties(),
            unfit: unfit(&*sampler),
        })
    }
    /// Whether it follows the probability-flow ODE.
    fn deterministic(&self) -> bool {
        self.properties.order.is_some() || self.properties.adaptive
    }
    fn figures(&self) -> String {
        let order = self.properties.order.map_or(String::new(), |order| format!("order {order}, "));
        format!("{order}{} NFE per step", self.properties.nfe_per_step)
    }
}

/// Samplers by what they are for.
fn samplers(modules: &Modules, all: &[&Description]) {
    let known: Vec<(&Description, Declared)> =
        all.iter().filter_map(|module| Some((*module, Declared::of(modules, &module.name)?))).collect();
    type Belongs = fn(&Declared) -> bool;
    let groups: [(&str, Belongs); 3] = [
        ("continuous data, deterministic", |own| own.continuous && own.deterministic()),
        ("continuous data, stochastic", |own| own.continuous && !own.deterministic()),
        ("categorical data", |own| own.categorical),
    ];
    for (i, (title, belongs)) in groups.iter().enumerate() {
        let members = known.iter().filter(|(_, own)| belongs(own));
        let lines: Vec<Line<'_>> = members
            .map(|(module, own)| {
                let more = if i < 2 { format!("; {}", own.figures()) } else { String::new() };
                line(module, more)
            })
            .collect();
        if !lines.is_empty() {
            say(&format!(" {title}"));
            several(&lines);
        }
    }
}

fn entries(modules: &Modules, kinds: &[Kind]) -> Vec<Value> {
    let all = kinds.iter().flat_map(|kind| modules.of_kind(*kind).into_iter().map(move |module| (*kind, module)));
    all.map(|(kind, module)| entry(modules, kind, module)).collect()
}
fn entry(modules: &Modules, kind: Kind, module: &Description) -> Value {
    let parameters: serde_json::Map<String, Value> =
        module.fields.iter().map(|field| (field.name.clone(), parameter(field))).collect();
    let mut entry =
        json!({ "kind": kind.name(), "name": module.name, "about": module.summary, "parameters": parameters });
    if let Some(own) = Declared::of(modules, &module.name).filter(|_| kind == Kind::Sampler) {
        entry["continuous"] = json!(own.continuous);
        entry["categorical"] = json!(own.categorical);
        entry["order"] = json!(own.properties.order);
        entry["nfe_per_step"] = json!(own.properties.nfe_per_step);
        entry["unfit"] = json!(own.unfit);
    }
    entry
}
fn parameter(field: &Field) -> Value {
    let mut parameter = json!({ "default": field.default, "type": field.type_.label(), "about": field.doc });
    if let Type::Choice(choices) = &field.type_ {
        parameter["choices"] = choices.iter().map(|choice| choice.value.clone()).collect();
    }
    parameter
}

pub(crate) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("a value is JSON")
}
