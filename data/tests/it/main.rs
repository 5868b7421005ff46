//! Tests of the public interface: properties, files made wrong on purpose, and real data sets if they are available.
mod arrays;
mod bounds;
mod complete;
mod corpus;
mod files;
mod folders;
mod images;
mod kinds;
mod laws;
mod parts;
mod pictures;
mod real;
mod text;
mod wrong;
