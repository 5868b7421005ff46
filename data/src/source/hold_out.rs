//! The training and held-out parts of a set that comes in one piece.
use crate::{Error, Images, Split};

/// One part of a set of which every `held_out`-th image of a class is held out.
pub(super) fn part(images: Images, split: Split, held_out: usize) -> Result<Images, Error> {
    let (train, held) = images.hold_out(held_out);
    let (part, problem, remedy) = match split {
        Split::Train => (
            train,
            "must be 0 or at least 2, got 1, which leaves no images for training",
            "set 10, for example, or 0 to hold out none",
        ),
        Split::Test if held_out == 0 => {
            (held, "is 0, so no images are held out", "set 10, for example, to hold out every tenth image of a class")
        }
        Split::Test => {
            (held, "is more than the number of images of any class, so none are held out", "set a smaller number")
        }
    };
    match part.is_empty() {
        true => Err(Error::empty(problem).with_field("held_out").with_remedy(remedy)),
        false => Ok(part),
    }
}
