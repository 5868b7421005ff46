//! Tests of the crate as its user sees it: laws, files made wrong on purpose, and real sets where they are at hand.
mod files;
mod images;
mod pictures;
mod real;
mod text;
mod wrong;
