//! `tweedie devices`: what this build can compute on, on this machine.
use crate::{messages, output::console::say};
use tweedie::device::{self, Found};

pub(crate) fn run() {
    let found = device::available();
    let header = ["NAME", "DEVICE", "MEMORY", "COMPUTES IN", "CHECK"].map(str::to_owned);
    let mut lines = vec![header];
    lines.extend(found.iter().map(line));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    for line in &lines {
        let cells: Vec<String> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        say(cells.join("  ").trim_end());
    }
    let absent = |kind: &&&str| **kind != "cpu" && !found.iter().any(|found| found.name.starts_with(**kind));
    for kind in device::kinds().iter().filter(absent) {
        if let Err(error) = device::named(kind) {
            say(&format!("\n{kind}: {}", messages::sentence(&error.to_string())));
        }
    }
    if device::kinds().len() == 1 {
        say(&format!(
            "\nThis build has no back end for GPUs; cargo features add them: {}.",
            messages::list(&device::KINDS[1..])
        ));
    }
}

/// The cells of a device.
fn line(found: &Found) -> [String; 5] {
    let memory = found.memory.map_or("-".into(), |bytes| format!("{:.1} GiB", bytes as f64 / f64::powi(2.0, 30)));
    let check = device::probe(&found.device).map_or_else(|problem| problem, |()| "right".into());
    [found.name.clone(), found.description.clone(), memory, found.types.join(", "), check]
}
