//! The training and held-out parts of a set that comes in one piece.
use crate::{Error, Images, Split};

/// One part of a set of which every `held_out`-th image of a class is held out; `place` names the set.
pub(super) fn part(
    images: &Images,
    split: Split,
    held_out: usize,
    place: impl FnOnce() -> String,
) -> Result<Images, Error> {
    let (train, held) = images.hold_out(held_out);
    let (part, remedy) = match split {
        Split::Train => (train, "`held_out = 1` holds out every image; set 10, for example, or 0 to hold out none."),
        Split::Test if held_out == 0 => {
            (held, "`held_out = 0` holds out none; set 10, for example, to hold out every tenth image.")
        }
        Split::Test => (held, "Every class has fewer images than `held_out`; set a smaller number."),
    };
    match part.is_empty() {
        true => {
            let place = format!("the {} part of {}", split.name(), place());
            Err(Error::empty(place).with_field("held_out").with_remedy(remedy))
        }
        false => Ok(part),
    }
}
