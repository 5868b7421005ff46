//! Tests of the public interface: properties, files made wrong on purpose, and real data sets if they are available.
mod files;
mod images;
mod pictures;
mod real;
mod text;
mod wrong;
