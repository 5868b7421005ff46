//! `tweedie schema`: the JSON schema of recipes.
use crate::{commands::list::pretty, output::console::say, recipe::schema, registry::Modules};

pub(crate) fn run(modules: &Modules) {
    say(&pretty(&schema::schema(modules)));
}
